"""The credits of an application's users, kept in PostgreSQL by stripe_credit.

For Python 3.10 and psycopg2 (Debian: python3-psycopg2).  DATABASE_URL names
the database and a role that has what roles.sql gives.  Each call is a
connection and a transaction of its own, committed before it returns; where
connections are dear, let DATABASE_URL lead to a pooler, which may pool
transactions.  With psycopg 3 it works alike, where cursor_factory is
row_factory=dict_row and pgcode is sqlstate.

user_id is who is logged in.  A key names what is done: a call that was cut
off is made again with the same key, and done once.
"""
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

Row = dict[str, Any]


class NotEnoughCredits(Exception):
    """The user has less than was asked for, and nothing was done."""


class NotFound(Exception):
    """There is no such session, hold or pack on sale."""


# psycopg2 knows no class for SQLSTATEs of ours: they are in pgcode.
REFUSALS = {'PT402': NotEnoughCredits, 'PT404': NotFound}


def _rows(statement: str, *arguments: Any) -> list[Row]:
    try:
        with (closing(psycopg2.connect(os.environ['DATABASE_URL'])) as session,
              session,  # which commits, or rolls back, but does not close
              session.cursor(cursor_factory=RealDictCursor) as cursor):
            cursor.execute(statement, arguments)
            return [dict(row) for row in cursor]
    except psycopg2.Error as error:
        if error.pgcode not in REFUSALS:
            raise
        message = error.diag.message_detail or error.diag.message_primary
        raise REFUSALS[error.pgcode](message) from error


def _row(statement: str, *arguments: Any) -> Row:
    return _rows(statement, *arguments)[0]


def packs() -> list[Row]:
    """What is on sale; amounts are in minor units of their currency."""
    return _rows('''
        SELECT pack_id, coalesce(nullif(name, ''), pack_id) AS name, credits,
               unit_amount, currency, recurring_interval
        FROM stripe_credit.pack WHERE active ORDER BY unit_amount, pack_id''')


def buy(user_id: str, pack_id: str, key: str) -> str:
    """The URL of Stripe's where the user pays for a pack."""
    return _row('''
        SELECT url FROM stripe_credit.create_checkout(
            %s, %s, idempotency_key => %s)''', user_id, pack_id, key)['url']


def came_back(session_id: str) -> Row:
    """Credits what was paid, if the webhook has not yet.

    The id comes with the buyer's browser and may be anything: the answer's
    account says whose purchase it is.  It has credits once they are there.
    """
    try:
        return _row('SELECT stripe_credit.confirm_checkout(%s) AS answer',
                    session_id)['answer']
    except psycopg2.errors.InvalidParameterValue as error:
        raise NotFound('session_id is not valid') from error


def balance(user_id: str) -> Row:
    """balance, held, available, and next_expiry: a datetime, or None."""
    return _row('SELECT * FROM stripe_credit.balance(%s)', user_id)


def history(user_id: str, before_seq: int | None = None) -> list[Row]:
    """The last 50 entries, newest first, or those before one of them."""
    return _rows('SELECT * FROM stripe_credit.statement(%s, 50, %s)',
                 user_id, before_seq)


def spend(user_id: str, credits: int, key: str) -> Row:
    """seq, balance, held, available, and whether it was done before."""
    return _row('SELECT * FROM stripe_credit.spend(%s, %s, %s)',
                user_id, credits, key)


@dataclass
class Hold:
    """used: what it has cost, all that is held unless the body says less."""
    used: int


@contextmanager
def held(user_id: str, credits: int, key: str) -> Iterator[Hold]:
    """Holds credits while the body runs, then spends what it has used.

    If the body fails they are free again, and its key is used up: what is
    tried after that is another request.  Who dies in between, or takes more
    than 15 minutes, has not spent them either.
    """
    _row('SELECT * FROM stripe_credit.hold(%s, %s, %s)', user_id, credits, key)
    hold = Hold(used=credits)
    try:
        yield hold
    except BaseException:  # that is how Streamlit ends a run, too
        with suppress(psycopg2.Error):  # then they are free when it expires
            _release(user_id, key)
        raise
    if hold.used > 0:
        _row('SELECT * FROM stripe_credit.capture(%s, %s, %s)',
             user_id, key, hold.used)
    else:
        _release(user_id, key)


def _release(user_id: str, key: str) -> None:
    _row('SELECT * FROM stripe_credit.release(%s, %s)', user_id, key)
