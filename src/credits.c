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

#include "access/htup_details.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "errors.h"
#include "ledger.h"
#include "mutation.h"
#include "settings.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(stripe_credit_balance);
PG_FUNCTION_INFO_V1(stripe_credit_grant_credits);
PG_FUNCTION_INFO_V1(stripe_credit_adjust_credits);
PG_FUNCTION_INFO_V1(stripe_credit_void_test_credits);

Datum
stripe_credit_balance(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	AccountBalance balance;
	TupleDesc	row_type;
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
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls));
}

/* Lock the account of credits that come, made if the settings say so. */
static void
open_or_create(Account *account, const char *account_id)
{
	if (!account_open(account, account_id,
					  settings_get()->create_accounts ? OPEN_OR_CREATE : OPEN_KNOWN))
		ereport(ERROR,
				(errcode(ERRCODE_SC_NOT_FOUND),
				 errmsg("unknown account"),
				 errdetail("The setting create_accounts is off.")));
}

/* Checked only when the grant is made: a retry may come after the expiry. */
static TimestampTz
expiry_argument(FunctionCallInfo fcinfo, int n, TimestampTz now)
{
	if (PG_ARGISNULL(n))
		return DT_NOEND;
	if (PG_GETARG_TIMESTAMPTZ(n) <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires_at must be in the future")));
	return PG_GETARG_TIMESTAMPTZ(n);
}

Datum
stripe_credit_grant_credits(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	Entry		entry = {.kind = "grant"};
	Lot			lot = {0};
	Account		account;
	Mutation	answer;
	int64		seq;

	entry.credits = credits_argument(fcinfo, 1);
	entry.idempotency_key = key_argument(fcinfo, 2);
	entry.has_metadata = metadata_argument(fcinfo, 5, &entry.metadata);

	SPI_connect();
	open_or_create(&account, account_id);
	if (mutation_is_duplicate(&account, entry.idempotency_key, entry.kind, entry.credits, &seq))
		answer = mutation_close(&account, seq, true);
	else
	{
		lot.expires_at = expiry_argument(fcinfo, 3, account.now);
		lot.has_priority = !PG_ARGISNULL(4);
		lot.priority = lot.has_priority ? PG_GETARG_INT32(4) : 0;
		account_post_lot(&account, &entry, &lot);
		answer = mutation_close(&account, account.seq, false);
	}
	SPI_finish();
	return mutation_result(&answer);
}

/* A reason is kept as {"reason": ...}. */
static void
reason_argument(FunctionCallInfo fcinfo, int n, Entry *entry)
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
	entry->metadata = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	entry->has_metadata = true;
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

static void
adjust(Account *account, Entry *entry)
{
	Lot			lot = {.expires_at = DT_NOEND};
	Taken		taken = {0};

	if (entry->credits > 0)
		account_post_lot(account, entry, &lot);
	else
	{
		/* what the lots lack is a debt */
		account->may_owe = true;
		(void) account_take(account, -entry->credits, &taken);
		account_post(account, entry);
	}
}

Datum
stripe_credit_adjust_credits(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	Entry		entry = {.kind = "adjustment"};
	Account		account;
	Mutation	answer;
	int64		seq;

	entry.credits = signed_credits_argument(fcinfo, 1);
	entry.idempotency_key = key_argument(fcinfo, 2);
	reason_argument(fcinfo, 3, &entry);

	SPI_connect();
	open_or_create(&account, account_id);
	if (mutation_is_duplicate(&account, entry.idempotency_key, entry.kind, entry.credits, &seq))
		answer = mutation_close(&account, seq, true);
	else
	{
		adjust(&account, &entry);
		answer = mutation_close(&account, account.seq, false);
	}
	SPI_finish();
	return mutation_result(&answer);
}

/*
 * Test credits
 */

static Statement test_lots = {
	"SELECT DISTINCT l.account_id, l.payment_id FROM stripe_credit.lot l "
	"JOIN stripe_credit.payment p ON p.payment_id = l.payment_id "
	"WHERE l.remaining > 0 AND NOT p.livemode ORDER BY l.account_id, l.payment_id",
	0, {0}
};

static int64
void_test_lots(void)
{
	Arguments	args = {0};
	uint64		n = statement_execute(&test_lots, &args);
	SPITupleTable *rows = SPI_tuptable;
	int64		voided = 0;
	uint64		row;

	for (row = 0; row < n; row++)
	{
		char	   *account_id = SPI_getvalue(rows->vals[row], rows->tupdesc, 1);
		char	   *payment_id = SPI_getvalue(rows->vals[row], rows->tupdesc, 2);

		CHECK_FOR_INTERRUPTS();
		if (pg_add_s64_overflow(voided, ledger_void(account_id, payment_id), &voided))
			report_out_of_range();
	}
	return voided;
}

Datum
stripe_credit_void_test_credits(PG_FUNCTION_ARGS)
{
	int64		voided;

	if (!settings_get()->policy.live)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("mode is test"),
				 errhint("Set stripe_credit.settings.mode to 'live' first.")));
	SPI_connect();
	voided = void_test_lots();
	SPI_finish();
	PG_RETURN_INT64(voided);
}
