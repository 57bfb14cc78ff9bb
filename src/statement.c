/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  SQL statements that are planned once per backend.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "statement.h"

void
add_datum(Arguments *args, Datum value, bool isnull)
{
	Assert(args->count < STATEMENT_MAX_ARGS);
	args->values[args->count] = value;
	args->nulls[args->count] = isnull ? 'n' : ' ';
	args->count++;
}

void
add_text(Arguments *args, const char *value)
{
	add_datum(args, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
add_text_length(Arguments *args, const char *value, size_t length)
{
	add_datum(args,
			  value ? PointerGetDatum(cstring_to_text_with_len(value, (int) length)) : (Datum) 0,
			  value == NULL);
}

void
add_int64(Arguments *args, int64 value, bool isnull)
{
	add_datum(args, isnull ? (Datum) 0 : Int64GetDatum(value), isnull);
}

void
add_seconds(Arguments *args, int64 seconds, bool isnull)
{
	add_datum(args, isnull ? (Datum) 0 : TimestampTzGetDatum(time_t_to_timestamptz(seconds)),
			  isnull);
}

void
add_bool(Arguments *args, bool value)
{
	add_datum(args, BoolGetDatum(value), false);
}

/*
 * The statements are so plain that no argument could change their plan, so the
 * generic one is right from the first time on.
 */
static void
statement_prepare(Statement *stmt)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(stmt->sql, stmt->nargs, stmt->types,
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	stmt->plan = plan;
}

uint64
statement_execute(Statement *stmt, const Arguments *args)
{
	return statement_execute_snapshot(stmt, args, InvalidSnapshot);
}

uint64
statement_execute_snapshot(Statement *stmt, const Arguments *args, Snapshot snapshot)
{
	Datum	   *values = args ? unconstify(Datum *, &args->values[0]) : NULL;
	int			rc;

	if (stmt->plan == NULL)
		statement_prepare(stmt);

	Assert(args == NULL ? stmt->nargs == 0 : args->count == stmt->nargs);
	rc = SPI_execute_snapshot(stmt->plan, values, args ? args->nulls : NULL,
							  snapshot, InvalidSnapshot, false, true, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

Datum
result_datum(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_tuptable->numvals);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* NULL for SQL NULL; else palloc'd in the current context. */
char *
result_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

int64
result_int64(uint64 row, int column, int64 if_null)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return isnull ? if_null : DatumGetInt64(value);
}

int64
result_seconds(uint64 row, int column, int64 if_null)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return isnull ? if_null : timestamptz_to_time_t(DatumGetTimestampTz(value));
}

/* SQL NULL is false. */
bool
result_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = result_datum(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

TimestampTz
result_time(uint64 row, int column)
{
	bool		isnull;

	return DatumGetTimestampTz(result_datum(row, column, &isnull));
}
