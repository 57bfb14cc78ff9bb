"""psycopg2, for tests.  What it reads and prints is described in lines.mjs.

It hands out bigint as int, numeric as Decimal, timestamptz as datetime,
interval as timedelta, jsonb parsed.  It puts the arguments into the statement
itself, so there is nothing that could be prepared.

A statement's transaction is committed, unless it says "commit": false: then
the connection is closed as it is, and the next statement has another one.
"""
import base64
import json
import re
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg2
from psycopg2.extras import Json, RealDictCursor

KINDS = {
    'text': lambda value: base64.b64decode(value).decode(),
    'bytes': base64.b64decode,
    'bigint': int,
    'time': lambda value: datetime.fromisoformat(value.replace('Z', '+00:00')),
    'interval': lambda value: timedelta(seconds=value),
    'list': lambda value: [decode(element) for element in value],
    'json': Json,
    'plain': lambda value: value,
    'missing': lambda value: None,
}
COMMON_NAMES = {'str': 'string', 'bool': 'boolean', 'NoneType': 'null',
                'dict': 'object', 'list': 'array'}


def decode(argument: Any) -> Any:
    if not isinstance(argument, dict):
        return argument
    [(kind, value)] = argument.items()
    return KINDS[kind](value)


def encode(value: Any) -> dict[str, Any]:
    kind = type(value).__name__
    kind = COMMON_NAMES.get(kind, kind)
    if isinstance(value, datetime):
        value = (value.astimezone(timezone.utc)
                 .isoformat(timespec='milliseconds').replace('+00:00', 'Z'))
    elif isinstance(value, timedelta) or kind == 'int':
        value = str(value)
    return {'type': kind, 'value': value}


def encode_error(error: Exception) -> dict[str, Any]:
    diag = getattr(error, 'diag', None)
    return {
        'type': type(error).__name__,
        'code': getattr(error, 'pgcode', None),
        'message': getattr(diag, 'message_primary', None) or str(error),
        'detail': getattr(diag, 'message_detail', None),
        'hint': getattr(diag, 'message_hint', None),
    }


def query(connection: Any, case: dict[str, Any]) -> list[dict[str, Any]]:
    arguments = [decode(argument) for argument in case['arguments']]
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(re.sub(r'\$\d+', '%s', case['sql']), arguments)
        return [{name: encode(value) for name, value in row.items()}
                for row in cursor]


def answer(connection: Any, case: dict[str, Any]) -> dict[str, Any]:
    try:
        rows = query(connection, case)
        if case.get('commit', True):
            connection.commit()
        return {'rows': rows}
    except Exception as error:
        connection.rollback()
        return {'error': encode_error(error)}


def main() -> None:
    connection = psycopg2.connect('')
    for line in sys.stdin:
        case = json.loads(line)
        print(json.dumps(answer(connection, case)), flush=True)
        if not case.get('commit', True):
            connection.close()
            connection = psycopg2.connect('')
    connection.close()


main()
