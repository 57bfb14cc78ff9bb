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

#include "utils/builtins.h"

#include "arguments.h"
#include "compat.h"
#include "ledger.h"

static char *
checked_key(FunctionCallInfo fcinfo, int n, const char *name)
{
	text	   *key = PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n);

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be null", name)));
	if (!is_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not valid", name),
				 errdetail("It must be 1 to %d bytes without control characters or a space at either end.",
						   KEY_MAX_LENGTH)));
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

int64
credits_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n) || PG_GETARG_INT64(n) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("credits must be greater than zero")));
	return PG_GETARG_INT64(n);
}
