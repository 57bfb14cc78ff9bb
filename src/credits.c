/*-------------------------------------------------------------------------
 *
 * credits.c
 *	  SQL entries for an account's credits: balance, grant, adjustment.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "errors.h"
#include "ledger.h"
#include "settings.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(stripe_credit_balance);
PG_FUNCTION_INFO_V1(stripe_credit_grant_credits);
PG_FUNCTION_INFO_V1(stripe_credit_adjust_credits);

static Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

Datum
stripe_credit_balance(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	AccountBalance balance;
	Datum		values[4];
	bool		nulls[4] = {false};

	SPI_connect();
	ledger_balance(account_id, &balance);
	SPI_finish();

	values[0] = Int64GetDatum(balance.balance);
	values[1] = Int64GetDatum(balance.held);
	values[2] = Int64GetDatum(balance.balance - balance.held);
	values[3] = TimestampTzGetDatum(balance.next_expiry);
	nulls[3] = TIMESTAMP_IS_NOEND(balance.next_expiry);
	return result_row(fcinfo, values, nulls);
}

/* (seq, balance, held, available, duplicate); leaves SPI. */
static Datum
mutation_row(FunctionCallInfo fcinfo, const char *account_id, int64 seq, bool duplicate)
{
	AccountBalance balance;
	Datum		values[5];
	bool		nulls[5] = {false};

	ledger_balance(account_id, &balance);
	SPI_finish();
	values[0] = Int64GetDatum(seq);
	values[1] = Int64GetDatum(balance.balance);
	values[2] = Int64GetDatum(balance.held);
	values[3] = Int64GetDatum(balance.balance - balance.held);
	values[4] = BoolGetDatum(duplicate);
	return result_row(fcinfo, values, nulls);
}

static void
report_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("bigint out of range")));
}

/* The account is there, so only its balance can stand in the way. */
static void
credit_locked(const Posting *posting, const LotTerms *terms, AccountState *after)
{
	if (!ledger_credit(posting, terms, false, after))
		report_out_of_range();
}

/*
 * Lock the account, and look whether the key was used before.  The same
 * operation again is a duplicate; another is refused.
 */
static bool
begin_mutation(const Posting *posting, int64 signed_credits, LedgerEntry *entry)
{
	AccountState state;

	if (!ledger_lock(posting->account_id, settings_get()->create_accounts, &state))
		ereport(ERROR,
				(errcode(ERRCODE_SC_NOT_FOUND),
				 errmsg("unknown account"),
				 errdetail("The setting create_accounts is off.")));
	if (!ledger_find(posting->account_id, posting->idempotency_key, entry))
		return true;
	if (strcmp(entry->kind, posting->kind) != 0 || entry->credits != signed_credits)
		ereport(ERROR,
				(errcode(ERRCODE_SC_CONFLICT),
				 errmsg("idempotency key was used for something else"),
				 errdetail("It belongs to entry " INT64_FORMAT " of the account: %s, " INT64_FORMAT " credits.",
						   entry->seq, entry->kind, entry->credits)));
	return false;
}

static void
report_too_large(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s is too large", argument),
			 errdetail("The limit is %d octets.", METADATA_MAX_SIZE)));
}

static void
metadata_argument(FunctionCallInfo fcinfo, int n, Posting *posting)
{
	if (PG_ARGISNULL(n))
		return;
	if (toast_raw_datum_size(PG_GETARG_DATUM(n)) > METADATA_MAX_SIZE)
		report_too_large("metadata");
	posting->metadata = PG_GETARG_DATUM(n);
	posting->has_metadata = true;
}

/* Checked only when the grant is made: a retry may come after the expiry. */
static TimestampTz
expiry_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return DT_NOEND;
	if (PG_GETARG_TIMESTAMPTZ(n) <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires_at must be in the future")));
	return PG_GETARG_TIMESTAMPTZ(n);
}

Datum
stripe_credit_grant_credits(PG_FUNCTION_ARGS)
{
	Posting		posting = {.kind = "grant"};
	LotTerms	terms;
	LedgerEntry entry;
	AccountState after;
	bool		fresh;

	posting.account_id = account_argument(fcinfo, 0);
	posting.credits = credits_argument(fcinfo, 1);
	posting.idempotency_key = key_argument(fcinfo, 2);
	metadata_argument(fcinfo, 5, &posting);

	SPI_connect();
	fresh = begin_mutation(&posting, posting.credits, &entry);
	if (fresh)
	{
		terms.priority = PG_ARGISNULL(4) ? NULL : psprintf("%d", PG_GETARG_INT32(4));
		terms.expires_at = expiry_argument(fcinfo, 3);
		credit_locked(&posting, &terms, &after);
		entry.seq = after.seq;
	}
	PG_RETURN_DATUM(mutation_row(fcinfo, posting.account_id, entry.seq, !fresh));
}

/* A reason is kept as {"reason": ...}. */
static void
reason_argument(FunctionCallInfo fcinfo, int n, Posting *posting)
{
	char	   *reason = PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
	StringInfoData json;

	if (reason == NULL || reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must be given")));
	if (strlen(reason) > METADATA_MAX_SIZE)
		report_too_large("reason");
	initStringInfo(&json);
	appendStringInfoString(&json, "{\"reason\": ");
	escape_json(&json, reason);
	appendStringInfoChar(&json, '}');
	posting->metadata = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	posting->has_metadata = true;
}

/* Not zero, and with an opposite. */
static int64
signed_credits_argument(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n) || PG_GETARG_INT64(n) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("credits must not be null or zero")));
	if (PG_GETARG_INT64(n) == PG_INT64_MIN)
		report_out_of_range();
	return PG_GETARG_INT64(n);
}

Datum
stripe_credit_adjust_credits(PG_FUNCTION_ARGS)
{
	Posting		posting = {.kind = "adjustment"};
	LotTerms	terms = {NULL, DT_NOEND};
	LedgerEntry entry;
	AccountState after;
	int64		credits;
	bool		fresh;

	posting.account_id = account_argument(fcinfo, 0);
	credits = signed_credits_argument(fcinfo, 1);
	posting.credits = credits > 0 ? credits : -credits;
	posting.idempotency_key = key_argument(fcinfo, 2);
	reason_argument(fcinfo, 3, &posting);

	SPI_connect();
	fresh = begin_mutation(&posting, credits, &entry);
	if (fresh)
	{
		if (credits > 0)
			credit_locked(&posting, &terms, &after);
		else
			ledger_debit(&posting, &after);
		entry.seq = after.seq;
	}
	PG_RETURN_DATUM(mutation_row(fcinfo, posting.account_id, entry.seq, !fresh));
}
