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
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

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

/*
 * The same for all of these functions, so that it need not be looked up in each
 * call.
 */
static TupleDesc
mutation_row_type(void)
{
	static TupleDesc row_type = NULL;

	if (row_type == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	desc = CreateTemplateTupleDesc(MUTATION_COLUMNS);

		TupleDescInitEntry(desc, 1, "seq", INT8OID, -1, 0);
		TupleDescInitEntry(desc, 2, "balance", INT8OID, -1, 0);
		TupleDescInitEntry(desc, 3, "held", INT8OID, -1, 0);
		TupleDescInitEntry(desc, 4, "available", INT8OID, -1, 0);
		TupleDescInitEntry(desc, 5, "duplicate", BOOLOID, -1, 0);
		row_type = BlessTupleDesc(desc);
		MemoryContextSwitchTo(old);
	}
	return row_type;
}

Datum
mutation_result(const Mutation *mutation)
{
	Datum		values[MUTATION_COLUMNS];
	bool		nulls[MUTATION_COLUMNS];

	mutation_values(mutation, values, nulls);
	return HeapTupleGetDatum(heap_form_tuple(mutation_row_type(), values, nulls));
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
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next_expiry;
	TimestampTz hold_expiry;
	bool		isnull;

	head->balance = result_int64(0, 1, 0);
	head->held = result_int64(0, 2, 0);
	head->seq = result_int64(0, 3, 0);
	head->head_lot = result_int64(0, 4, 0);
	next_expiry = DatumGetTimestampTz(result_datum(0, 5, &isnull));
	hold_expiry = DatumGetTimestampTz(result_datum(0, 6, &isnull));
	head->has_holds = !isnull;
	head->late = next_expiry <= now || (head->has_holds && hold_expiry <= now);
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
