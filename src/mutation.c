/*-------------------------------------------------------------------------
 *
 * mutation.c
 *	  What the SQL functions that change an account have in common.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "errors.h"
#include "mutation.h"
#include "statement.h"

void
mutation_values(const Mutation *mutation, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * MUTATION_COLUMNS);
	values[0] = Int64GetDatum(mutation->seq);
	nulls[0] = mutation->seq == 0;
	values[1] = Int64GetDatum(mutation->balance);
	values[2] = Int64GetDatum(mutation->held);
	values[3] = Int64GetDatum(mutation->balance - mutation->held);
	values[4] = BoolGetDatum(mutation->duplicate);
}

Datum
row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

Datum
mutation_result(FunctionCallInfo fcinfo, const Mutation *mutation)
{
	Datum		values[MUTATION_COLUMNS];
	bool		nulls[MUTATION_COLUMNS];

	mutation_values(mutation, values, nulls);
	return row_result(fcinfo, values, nulls);
}

Mutation
mutation_close(Account *account, int64 seq, bool duplicate)
{
	Mutation	mutation = {
		.seq = seq,
		.balance = account->balance,
		.held = account->held,
		.duplicate = duplicate
	};

	account_close(account);
	return mutation;
}

static void
report_key_conflict(const KeyUse *use)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_CONFLICT),
			 errmsg("idempotency key was used for something else"),
			 use->seq == 0 ?
			 errdetail("It belongs to a hold of " INT64_FORMAT " credits.", use->credits) :
			 errdetail("It belongs to entry " INT64_FORMAT " of the account: %s, " INT64_FORMAT " credits.",
					   use->seq, use->kind, use->credits)));
}

bool
mutation_is_duplicate(const Account *account, const char *key, const char *kind,
					  int64 credits, int64 *seq)
{
	KeyUse		use;

	if (key == NULL || !ledger_find_key(account, key, &use))
		return false;
	if (strcmp(use.kind, kind) != 0 || use.credits != credits)
		report_key_conflict(&use);
	*seq = use.seq;
	return true;
}

void
head_taken_from_row(HeadTaken *head)
{
	bool		isnull;

	head->balance = result_int64(0, 1, 0);
	head->held = result_int64(0, 2, 0);
	head->seq = result_int64(0, 3, 0);
	head->head_lot = result_int64(0, 4, 0);
	head->has_holds = result_bool(0, 5);
	head->late = result_bool(0, 6);
	head->low_balance = DatumGetInt64(result_datum(0, 7, &isnull));
	head->has_low_balance = !isnull;
	SPI_freetuptable(SPI_tuptable);
}

void
head_taken_notify(const char *account_id, const HeadTaken *head, int64 credits)
{
	int64		available = head->balance - head->held;

	if (head->has_low_balance)
		account_notify(account_id, available + credits, available, head->low_balance);
}

void
report_not_enough(int64 available, int64 credits)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_NOT_ENOUGH),
			 errmsg("not enough credits"),
			 errdetail("The account has " INT64_FORMAT " available, " INT64_FORMAT " were asked for.",
					   available, credits)));
}

void
report_unknown(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_NOT_FOUND),
			 errmsg("unknown %s", what)));
}
