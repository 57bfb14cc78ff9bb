/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  The books: accounts, their append-only entries, and lots.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ledger.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(stripe_credit_is_key);

static Statement lock_account = {
	"SELECT balance, held, seq FROM stripe_credit.account "
	"WHERE account_id = $1 FOR UPDATE",
	1, {TEXTOID}
};

static Statement create_account = {
	"INSERT INTO stripe_credit.account (account_id) VALUES ($1) "
	"ON CONFLICT (account_id) DO NOTHING",
	1, {TEXTOID}
};

/* For an account that was not there a moment ago; another session may make it. */
static Statement credit_or_create_account = {
	"INSERT INTO stripe_credit.account AS a (account_id, balance, seq, next_expiry) "
	"VALUES ($1, $2, 1, $3) "
	"ON CONFLICT (account_id) DO UPDATE SET balance = a.balance + $2, seq = a.seq + 1, "
	"floor = least(0, a.balance + $2 - a.held), next_expiry = least(a.next_expiry, $3) "
	"WHERE a.balance <= 9223372036854775807 - $2 "
	"RETURNING balance, held, seq",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement credit_account = {
	"UPDATE stripe_credit.account SET balance = balance + $2, seq = seq + 1, "
	"floor = least(0, balance + $2 - held), next_expiry = least(next_expiry, $3) "
	"WHERE account_id = $1 AND balance <= 9223372036854775807 - $2 "
	"RETURNING balance, held, seq",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement change_account = {
	"UPDATE stripe_credit.account SET balance = balance + $2, seq = seq + 1, "
	"floor = least(0, balance + $2 - held), next_expiry = least(next_expiry, $3) "
	"WHERE account_id = $1 RETURNING balance, held, seq",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement set_next_expiry = {
	"UPDATE stripe_credit.account SET next_expiry = "
	"coalesce((SELECT min(l.expires_at) FROM stripe_credit.lot l "
	"WHERE l.account_id = $1 AND l.remaining > 0), 'infinity') "
	"WHERE account_id = $1",
	1, {TEXTOID}
};

static Statement insert_entry = {
	"INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, "
	"idempotency_key, payment_id, lot_id, metadata) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	9, {TEXTOID, INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID, INT8OID, JSONBOID}
};

static Statement find_entry = {
	"SELECT seq, kind, credits FROM stripe_credit.ledger "
	"WHERE account_id = $1 AND idempotency_key = $2",
	2, {TEXTOID, TEXTOID}
};

static Statement insert_lot = {
	"INSERT INTO stripe_credit.lot (account_id, lot_id, payment_id, priority, expires_at, "
	"granted, remaining) VALUES ($1, $2, $3, $4::integer, $5, $6, $7)",
	7, {TEXTOID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID}
};

static Statement read_balance = {
	"SELECT balance, held, next_expiry, next_expiry <= clock_timestamp() "
	"FROM stripe_credit.account WHERE account_id = $1",
	1, {TEXTOID}
};

static Statement read_expired = {
	"SELECT coalesce(sum(remaining) FILTER (WHERE expires_at <= clock_timestamp()), 0)::bigint, "
	"coalesce(min(expires_at) FILTER (WHERE expires_at > clock_timestamp()), 'infinity') "
	"FROM stripe_credit.lot WHERE account_id = $1 AND remaining > 0",
	1, {TEXTOID}
};

static Statement lots_to_spend = {
	"SELECT lot_id, remaining FROM stripe_credit.lot "
	"WHERE account_id = $1 AND remaining > 0 "
	"ORDER BY priority NULLS LAST, expires_at, payment_id IS NOT NULL, lot_id",
	1, {TEXTOID}
};

static Statement lots_to_expire = {
	"SELECT lot_id, remaining, payment_id FROM stripe_credit.lot "
	"WHERE account_id = $1 AND remaining > 0 AND expires_at <= clock_timestamp() "
	"ORDER BY expires_at, lot_id",
	1, {TEXTOID}
};

static Statement lots_of_payment = {
	"SELECT lot_id, remaining, expired FROM stripe_credit.lot "
	"WHERE account_id = $1 AND payment_id = $2 ORDER BY lot_id",
	2, {TEXTOID, TEXTOID}
};

static Statement change_lot = {
	"UPDATE stripe_credit.lot SET granted = granted + $3, remaining = remaining + $4, "
	"expired = expired + $5 WHERE account_id = $1 AND lot_id = $2",
	5, {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID}
};

static Statement set_lot_expiry = {
	"UPDATE stripe_credit.lot SET expires_at = $3 "
	"WHERE account_id = $1 AND payment_id = $2",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* A lot as one of the queries above has it. */
typedef struct Lot
{
	int64		lot_id;
	int64		remaining;
	int64		expired;		/* lots_of_payment only */
	char	   *payment_id;		/* lots_to_expire only */
} Lot;

/*
 * 1 to 200 bytes, no control characters (C0, DEL or C1), no space at either
 * end.  The text is valid UTF-8.
 */
bool
is_key(const char *key, size_t length)
{
	size_t		i;

	if (length == 0 || length > KEY_MAX_LENGTH || key[0] == ' ' || key[length - 1] == ' ')
		return false;
	for (i = 0; i < length; i++)
	{
		unsigned char c = key[i];

		if (c < ' ' || c == 0x7f)
			return false;
		if (c == 0xc2 && i + 1 < length && (unsigned char) key[i + 1] < 0xa0)
			return false;
	}
	return true;
}

Datum
stripe_credit_is_key(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
}

static void
state_from_row(AccountState *state)
{
	state->balance = result_int64(0, 1, 0);
	state->held = result_int64(0, 2, 0);
	state->seq = result_int64(0, 3, 0);
}

bool
ledger_lock(const char *account_id, bool create, AccountState *state)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	if (statement_execute(&lock_account, &args) == 0)
	{
		if (!create)
			return false;
		statement_execute(&create_account, &args);
		if (statement_execute(&lock_account, &args) == 0)
			elog(ERROR, "account vanished while it was locked");
	}
	state_from_row(state);
	return true;
}

/* An account that has had a posting is there for good. */
static void
lock_known(const char *account_id, AccountState *state)
{
	if (!ledger_lock(account_id, false, state))
		elog(ERROR, "account vanished");
}

bool
ledger_find(const char *account_id, const char *idempotency_key, LedgerEntry *entry)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_text(&args, idempotency_key);
	if (statement_execute(&find_entry, &args) == 0)
		return false;
	entry->seq = result_int64(0, 1, 0);
	entry->kind = result_text(0, 2);
	entry->credits = result_int64(0, 3, 0);
	return true;
}

/* Lots whose time has come count no more, whether or not that was entered. */
static void
without_expired(const char *account_id, AccountBalance *balance)
{
	Arguments	args = {0};
	bool		isnull;

	add_text(&args, account_id);
	statement_execute(&read_expired, &args);
	balance->balance -= result_int64(0, 1, 0);
	balance->next_expiry = DatumGetTimestampTz(result_datum(0, 2, &isnull));
}

void
ledger_balance(const char *account_id, AccountBalance *balance)
{
	Arguments	args = {0};
	bool		isnull;

	balance->balance = 0;
	balance->held = 0;
	balance->next_expiry = DT_NOEND;
	add_text(&args, account_id);
	if (statement_execute(&read_balance, &args) == 0)
		return;
	balance->balance = result_int64(0, 1, 0);
	balance->held = result_int64(0, 2, 0);
	balance->next_expiry = DatumGetTimestampTz(result_datum(0, 3, &isnull));
	if (result_bool(0, 4))
		without_expired(account_id, balance);
}

/* Write the entry that belongs to the change that made this state. */
static void
append_entry(const Posting *posting, const char *kind, int64 credits, int64 lot_id,
			 const AccountState *state)
{
	Arguments	args = {0};

	add_text(&args, posting->account_id);
	add_int64(&args, state->seq, false);
	add_text(&args, kind);
	add_int64(&args, credits, false);
	add_int64(&args, state->balance, false);
	add_text(&args, posting->idempotency_key);
	add_text(&args, posting->payment_id);
	add_int64(&args, lot_id, lot_id == 0);
	add_datum(&args, posting->metadata, !posting->has_metadata);
	statement_execute(&insert_entry, &args);
}

/* Run one of the statements that change an account's balance. */
static bool
move_balance(Statement *stmt, const char *account_id, int64 credits,
			 TimestampTz next_expiry, AccountState *after)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, credits, false);
	add_datum(&args, TimestampTzGetDatum(next_expiry), false);
	if (statement_execute(stmt, &args) == 0)
		return false;
	state_from_row(after);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Change the balance of a locked account, and write the entry. */
static void
post(const Posting *posting, const char *kind, int64 credits, int64 lot_id, AccountState *after)
{
	if (!move_balance(&change_account, posting->account_id, credits, DT_NOEND, after))
		elog(ERROR, "account vanished while it was locked");
	append_entry(posting, kind, credits, lot_id, after);
}

static void
alter_lot(const char *account_id, int64 lot_id, int64 granted, int64 remaining, int64 expired)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, lot_id, false);
	add_int64(&args, granted, false);
	add_int64(&args, remaining, false);
	add_int64(&args, expired, false);
	statement_execute(&change_lot, &args);
}

/* How much of new credits is left after they paid what the account owed. */
static int64
left_after_debt(int64 credits, const AccountState *after)
{
	int64		available = after->balance - after->held;

	return Max(Min(credits, available), 0);
}

static void
create_lot(const Posting *posting, const LotTerms *terms, const AccountState *after)
{
	Arguments	args = {0};

	add_text(&args, posting->account_id);
	add_int64(&args, after->seq, false);
	add_text(&args, posting->payment_id);
	add_text(&args, terms->priority);
	add_datum(&args, TimestampTzGetDatum(terms->expires_at), false);
	add_int64(&args, posting->credits, false);
	add_int64(&args, left_after_debt(posting->credits, after), false);
	statement_execute(&insert_lot, &args);
}

bool
ledger_credit(const Posting *posting, const LotTerms *terms, bool create, AccountState *after)
{
	/* the account is nearly always there, and then an update is all it takes */
	if (!move_balance(&credit_account, posting->account_id, posting->credits,
					  terms->expires_at, after) &&
		!(create && move_balance(&credit_or_create_account, posting->account_id,
								 posting->credits, terms->expires_at, after)))
		return false;
	append_entry(posting, posting->kind, posting->credits, after->seq, after);
	create_lot(posting, terms, after);
	return true;
}

/* The rows of a query for lots, in memory of the caller's. */
static Lot *
read_lots(Statement *stmt, const char *account_id, const char *payment_id, uint64 *n)
{
	Arguments	args = {0};
	Lot		   *lots;
	uint64		row;

	add_text(&args, account_id);
	if (stmt->nargs == 2)
		add_text(&args, payment_id);
	*n = statement_execute(stmt, &args);
	lots = palloc0(sizeof(Lot) * Max(*n, 1));
	for (row = 0; row < *n; row++)
	{
		lots[row].lot_id = result_int64(row, 1, 0);
		lots[row].remaining = result_int64(row, 2, 0);
		if (stmt == &lots_of_payment)
			lots[row].expired = result_int64(row, 3, 0);
		if (stmt == &lots_to_expire)
			lots[row].payment_id = result_text(row, 3);
	}
	return lots;
}

static void
recompute_next_expiry(const char *account_id)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	statement_execute(&set_next_expiry, &args);
}

/* Enter the expiry of every lot whose time has come. */
static void
expire_lots(const char *account_id, AccountState *after)
{
	uint64		n;
	Lot		   *lots = read_lots(&lots_to_expire, account_id, NULL, &n);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		Posting		expiry = {.account_id = account_id, .payment_id = lots[i].payment_id};

		CHECK_FOR_INTERRUPTS();
		alter_lot(account_id, lots[i].lot_id, 0, -lots[i].remaining, lots[i].remaining);
		post(&expiry, "expiry", -lots[i].remaining, lots[i].lot_id, after);
	}
}

/* Take up to that many credits from the lots, in spending order. */
static void
take_from_lots(const char *account_id, int64 credits)
{
	uint64		n;
	Lot		   *lots = read_lots(&lots_to_spend, account_id, NULL, &n);
	uint64		i;

	for (i = 0; i < n && credits > 0; i++)
	{
		int64		taken = Min(credits, lots[i].remaining);

		CHECK_FOR_INTERRUPTS();
		alter_lot(account_id, lots[i].lot_id, 0, -taken, 0);
		credits -= taken;
	}
}

void
ledger_debit(const Posting *posting, AccountState *after)
{
	lock_known(posting->account_id, after);
	expire_lots(posting->account_id, after);
	take_from_lots(posting->account_id, posting->credits);
	post(posting, posting->kind, -posting->credits, 0, after);
	recompute_next_expiry(posting->account_id);
}

/* The parts of what is given back. */
static int64
part_of(int64 *left, int64 limit)
{
	int64		part = Max(Min(*left, limit), 0);

	*left -= part;
	return part;
}

bool
ledger_give_back(const Posting *posting, Reversed *reversed, AccountState *after)
{
	int64		live = posting->credits;
	int64		written_off;
	int64		expired;
	uint64		n;
	Lot		   *lots;

	lock_known(posting->account_id, after);
	lots = read_lots(&lots_of_payment, posting->account_id, posting->payment_id, &n);
	if (n == 0)
		return false;

	written_off = part_of(&live, reversed->written_off);
	(void) part_of(&live, after->held - after->balance);
	expired = part_of(&live, reversed->expired);
	alter_lot(posting->account_id, lots[0].lot_id, live + expired, live, expired);
	if (posting->credits > expired)
		post(posting, posting->kind, posting->credits - expired, lots[0].lot_id, after);
	if (written_off > 0)
		post(posting, "write_off", -written_off, 0, after);
	reversed->written_off -= written_off;
	reversed->expired -= expired;
	recompute_next_expiry(posting->account_id);
	return true;
}

/*
 * Take credits out of a payment's own lots: those that can still be spent, and
 * then those that have expired.  Returns how many were not there, because they
 * were spent.
 */
static int64
take_from_own_lots(const Posting *posting, int64 *expired)
{
	uint64		n;
	Lot		   *lots = read_lots(&lots_of_payment, posting->account_id, posting->payment_id, &n);
	int64		missing = posting->credits;
	uint64		i;

	*expired = 0;
	for (i = 0; i < n; i++)
	{
		int64		live = Min(missing, lots[i].remaining);
		int64		dead = Min(missing - live, lots[i].expired);

		alter_lot(posting->account_id, lots[i].lot_id, -(live + dead), -live, -dead);
		missing -= live + dead;
		*expired += dead;
	}
	return missing;
}

/* What of a shortfall is written off rather than taken elsewhere or owed. */
static int64
to_write_off(int64 missing, Overdraw overdraw, const AccountState *state, int64 own)
{
	int64		available = state->balance - state->held - own;

	if (overdraw == OVERDRAW_OWN_LOT)
		return missing;
	if (overdraw == OVERDRAW_DEBT)
		return 0;
	return missing - Max(Min(missing, available), 0);
}

void
ledger_reverse(const Posting *posting, Overdraw overdraw, Reversed *reversed, AccountState *after)
{
	int64		expired;
	int64		missing;
	int64		write_off;

	lock_known(posting->account_id, after);
	expire_lots(posting->account_id, after);
	missing = take_from_own_lots(posting, &expired);
	write_off = to_write_off(missing, overdraw, after, posting->credits - expired - missing);
	take_from_lots(posting->account_id, missing - write_off);
	if (posting->credits > expired)
		post(posting, "reversal", -(posting->credits - expired), 0, after);
	if (write_off > 0)
		post(posting, "write_off", write_off, 0, after);
	reversed->expired += expired;
	reversed->written_off += write_off;
	recompute_next_expiry(posting->account_id);
}

void
ledger_set_expiry(const char *account_id, const char *payment_id, TimestampTz expires_at)
{
	Arguments	args = {0};
	AccountState state;

	lock_known(account_id, &state);
	add_text(&args, account_id);
	add_text(&args, payment_id);
	add_datum(&args, TimestampTzGetDatum(expires_at), false);
	statement_execute(&set_lot_expiry, &args);
	recompute_next_expiry(account_id);
}
