/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  SQL entry for a signature alone, of any of Stripe's webhooks.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "signature.h"

PG_FUNCTION_INFO_V1(stripe_credit_verify_signature);

/* A tolerance in microseconds; NULL leaves the age unchecked. */
static int64
tolerance_argument(FunctionCallInfo fcinfo, int n)
{
	Interval   *tolerance;
	int64		days;
	int64		microseconds;

	if (PG_ARGISNULL(n))
		return SIGNATURE_ANY_AGE;
	tolerance = PG_GETARG_INTERVAL_P(n);
	days = (int64) tolerance->month * DAYS_PER_MONTH + tolerance->day;
	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &microseconds) ||
		pg_add_s64_overflow(microseconds, tolerance->time, &microseconds))
		microseconds = days < 0 ? -1 : PG_INT64_MAX;
	if (microseconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tolerance must not be negative")));
	return microseconds;
}

/* A time in whole seconds since 1970, floored. */
static int64
seconds_argument(FunctionCallInfo fcinfo, int n)
{
	TimestampTz at;
	int64		seconds;

	if (PG_ARGISNULL(n) || TIMESTAMP_NOT_FINITE(at = PG_GETARG_TIMESTAMPTZ(n)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at must be a finite time")));
	seconds = at / USECS_PER_SEC - (at % USECS_PER_SEC < 0 ? 1 : 0);
	return seconds + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

static SignatureVerdict
verify_with_secret(bytea *payload, text *signature, const char *secret,
				   int64 now, int64 tolerance)
{
	SignatureKey *key = signature_key_create(secret, strlen(secret));
	SignatureVerdict verdict;

	if (key == NULL)
		report_crypto_failure();
	verdict = signature_verify(VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload),
							   VARDATA_ANY(signature), VARSIZE_ANY_EXHDR(signature),
							   &key, 1, now, tolerance);
	signature_key_free(key);
	if (verdict == SIGNATURE_FAILED)
		report_crypto_failure();
	return verdict;
}

/* Blank is empty or white space; an inner space only makes it mismatch. */
static bool
is_blank(const char *secret)
{
	return secret[strspn(secret, " \t\r\n\f\v")] == '\0';
}

Datum
stripe_credit_verify_signature(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide;
	SignatureVerdict verdict = SIGNATURE_MALFORMED;
	char	   *secret = NULL;
	int64		tolerance;
	int64		now;

	hide_statement_begin(&hide);
	hide_activity();
	tolerance = tolerance_argument(fcinfo, 3);
	now = seconds_argument(fcinfo, 4);
	if (!PG_ARGISNULL(2))
		secret = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (secret == NULL || is_blank(secret))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret must not be null or blank")));
	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		verdict = verify_with_secret(PG_GETARG_BYTEA_PP(0), PG_GETARG_TEXT_PP(1),
									 secret, now, tolerance);
	hide_statement_end(&hide);
	PG_RETURN_TEXT_P(cstring_to_text(signature_verdict_name(verdict)));
}
