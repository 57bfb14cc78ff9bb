/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  The arguments that SQL functions share, checked.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "compat.h"
#include "ledger.h"

void
check_key(const text *key, const char *name)
{
	if (!is_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not valid", name),
				 errdetail("It must be 1 to %d bytes without control characters or a space at either end.",
						   KEY_MAX_LENGTH)));
}

static void
report_null(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must not be null", name)));
}

static char *
checked_key(FunctionCallInfo fcinfo, int n, const char *name)
{
	text	   *key;

	if (PG_ARGISNULL(n))
		report_null(name);
	key = PG_GETARG_TEXT_PP(n);
	check_key(key, name);
	return text_to_cstring(key);
}

char *
account_argument(FunctionCallInfo fcinfo, int n)
{
	return checked_key(fcinfo, n, "account_id");
}

char *
key_argument(FunctionCallInfo fcinfo, int n)
{
	return checked_key(fcinfo, n, "idempotency_key");
}

char *
key_argument_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : key_argument(fcinfo, n);
}

void
check_credits(int64 credits)
{
	if (credits <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("credits must be greater than zero")));
}

int64
credits_argument(FunctionCallInfo fcinfo, int n)
{
	check_credits(PG_ARGISNULL(n) ? 0 : PG_GETARG_INT64(n));
	return PG_GETARG_INT64(n);
}

Interval *
duration_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	static const Interval nothing = {0};
	static const Interval longest = {.month = 1000 * MONTHS_PER_YEAR};
	Datum		interval;

	if (PG_ARGISNULL(n))
		report_null(name);
	interval = PG_GETARG_DATUM(n);
	if (!DatumGetBool(DirectFunctionCall2(interval_gt, interval, IntervalPGetDatum(&nothing))) ||
		DatumGetBool(DirectFunctionCall2(interval_gt, interval, IntervalPGetDatum(&longest))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero and at most 1000 years", name)));
	return DatumGetIntervalP(interval);
}

void
report_too_large(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is too large", argument),
			 errdetail("The limit is %d octets.", METADATA_MAX_SIZE)));
}

bool
metadata_argument(FunctionCallInfo fcinfo, int n, Datum *metadata)
{
	if (PG_ARGISNULL(n))
		return false;
	if (toast_raw_datum_size(PG_GETARG_DATUM(n)) > METADATA_MAX_SIZE)
		report_too_large("metadata");
	*metadata = PG_GETARG_DATUM(n);
	return true;
}
