/*-------------------------------------------------------------------------
 *
 * spending.c
 *	  SQL entries for spending: one spend, many at once, and undoing one.
 *
 * This is what an application does on every request.  Where the head lot has
 * the credits, a spend is one update of the account and one entry; all else is
 * found out under the account's lock, slowly and with care.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "arguments.h"
#include "errors.h"
#include "hold.h"
#include "mutation.h"
#include "statement.h"
#include "subtransaction.h"

PG_FUNCTION_INFO_V1(stripe_credit_spend);
PG_FUNCTION_INFO_V1(stripe_credit_spend_many);
PG_FUNCTION_INFO_V1(stripe_credit_reverse_spend);

static Statement spend_from_head = {
	"UPDATE stripe_credit.account SET balance = balance - $2, seq = seq + $3, "
	"head_remaining = head_remaining - $2 "
	IF_HEAD_HAS_CREDITS,
	3, {TEXTOID, INT8OID, INT8OID}
};

static Statement undo_spend_from_head = {
	"UPDATE stripe_credit.account SET balance = balance + $2, seq = seq - $3, "
	"head_remaining = head_remaining + $2 WHERE account_id = $1",
	3, {TEXTOID, INT8OID, INT8OID}
};

#define INSERT_SPEND \
	"INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, lot_id, " \
	"metadata, idempotency_key) VALUES ($1, $2, 'spend', $3, $4, $5, $6, $7)"

static Statement insert_spend = {
	INSERT_SPEND, 7, {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, JSONBOID, TEXTOID}
};

static Statement insert_spend_once = {
	INSERT_SPEND " ON CONFLICT (account_id, idempotency_key, reverses) DO NOTHING",
	7, {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, JSONBOID, TEXTOID}
};

/* $4 to $6: credits, balances and keys, of entries from $2 + 1 on */
static Statement insert_spends = {
	"INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, lot_id, "
	"idempotency_key) SELECT $1, $2 + u.n, 'spend', - u.credits, u.balance, $3, u.key "
	"FROM ROWS FROM (pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6)) "
	"WITH ORDINALITY AS u (credits, balance, key, n)",
	6, {TEXTOID, INT8OID, INT8OID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID}
};

typedef struct Spend
{
	const char *key;			/* or NULL */
	int64		credits;
	Datum		metadata;		/* jsonb */
	bool		has_metadata;
} Spend;

/*
 * From the head lot
 */

/* Returns false if there is more to it. */
static bool
take_from_head(const char *account_id, int64 credits, int count, HeadTaken *head)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, credits, false);
	add_int64(&args, count, false);
	if (statement_execute(&spend_from_head, &args) == 0)
		return false;
	head_taken_from_row(head);
	return true;
}

static void
undo_take_from_head(const char *account_id, int64 credits, int count)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, credits, false);
	add_int64(&args, count, false);
	statement_execute(&undo_spend_from_head, &args);
}

/* As a text[] */
static Datum
array_of_key(const char *key)
{
	Datum		element = CStringGetTextDatum(key);

	return PointerGetDatum(construct_array(&element, 1, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Returns false if its key was used. */
static bool
insert_entry_once(const char *account_id, const Spend *spend, const HeadTaken *head)
{
	Arguments	args = {0};

	if (spend->key && head->has_holds && hold_has_any_key(account_id, array_of_key(spend->key)))
		return false;
	add_text(&args, account_id);
	add_int64(&args, head->seq, false);
	add_int64(&args, -spend->credits, false);
	add_int64(&args, head->balance, false);
	add_int64(&args, head->head_lot, false);
	add_datum(&args, spend->metadata, !spend->has_metadata);
	add_text(&args, spend->key);
	return statement_execute(spend->key ? &insert_spend_once : &insert_spend, &args) == 1;
}

static bool
spend_quickly(const char *account_id, const Spend *spend, Mutation *answer)
{
	HeadTaken	head;

	if (!take_from_head(account_id, spend->credits, 1, &head))
		return false;
	if (head.late || !insert_entry_once(account_id, spend, &head))
	{
		undo_take_from_head(account_id, spend->credits, 1);
		return false;
	}
	head_taken_notify(account_id, &head, spend->credits);
	answer->seq = head.seq;
	answer->balance = head.balance;
	answer->held = head.held;
	return true;
}

/*
 * With care
 */

static void
post_spend(Account *account, const Spend *spend)
{
	Taken		taken = {0};
	Entry		entry = {
		.kind = "spend",
		.credits = -spend->credits,
		.idempotency_key = spend->key,
		.taken = &taken,
		.metadata = spend->metadata,
		.has_metadata = spend->has_metadata
	};

	if (account_take(account, spend->credits, &taken) != 0)
		elog(ERROR, "lots are not what is available");
	account_post(account, &entry);
}

static void
spend_with_care(const char *account_id, const Spend *spend, Mutation *answer)
{
	Account		account;
	int64		seq;

	if (!account_open(&account, account_id, OPEN_KNOWN))
		report_not_enough(0, spend->credits);
	if (mutation_is_duplicate(&account, spend->key, "spend", -spend->credits, &seq))
	{
		*answer = mutation_close(&account, seq, true);
		return;
	}
	if (account_available(&account) < spend->credits)
		report_not_enough(account_available(&account), spend->credits);
	post_spend(&account, spend);
	*answer = mutation_close(&account, account.seq, false);
}

Datum
stripe_credit_spend(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	Spend		spend = {0};
	Mutation	answer = {0};

	spend.credits = credits_argument(fcinfo, 1);
	spend.key = key_argument_or_null(fcinfo, 2);
	spend.has_metadata = metadata_argument(fcinfo, 3, &spend.metadata);

	SPI_connect();
	account_queue(account_id);
	if (!spend_quickly(account_id, &spend, &answer))
		spend_with_care(account_id, &spend, &answer);
	SPI_finish();
	return mutation_result(&answer);
}

/*
 * Many at once
 */

typedef struct Batch
{
	const char *account_id;
	int			count;
	Spend	   *spends;
	Mutation   *answers;
	int64		total;
	bool		has_keys;
	bool		done;
} Batch;

static void
report_bad_arrays(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message)));
}

/* The elements of an array of one dimension, or of none. */
static void
array_elements(ArrayType *array, Datum **elements, bool **nulls, int *count)
{
	int16		length;
	bool		by_value;
	char		alignment;

	if (ARR_NDIM(array) > 1)
		report_bad_arrays("credits and idempotency_keys must be arrays of one dimension");
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  elements, nulls, count);
}

static void
read_credits(FunctionCallInfo fcinfo, int n, Batch *batch)
{
	Datum	   *elements;
	bool	   *nulls;
	int			i;

	if (PG_ARGISNULL(n))
		report_bad_arrays("credits must not be null");
	array_elements(PG_GETARG_ARRAYTYPE_P(n), &elements, &nulls, &batch->count);
	batch->spends = palloc0(sizeof(Spend) * Max(batch->count, 1));
	batch->answers = palloc0(sizeof(Mutation) * Max(batch->count, 1));
	for (i = 0; i < batch->count; i++)
	{
		batch->spends[i].credits = nulls[i] ? 0 : DatumGetInt64(elements[i]);
		check_credits(batch->spends[i].credits);
		if (pg_add_s64_overflow(batch->total, batch->spends[i].credits, &batch->total))
			report_out_of_range();
	}
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
check_keys_differ(const Batch *batch)
{
	const char **keys = palloc(sizeof(char *) * Max(batch->count, 1));
	int			n = 0;
	int			i;

	for (i = 0; i < batch->count; i++)
		if (batch->spends[i].key)
			keys[n++] = batch->spends[i].key;
	qsort(keys, n, sizeof(char *), compare_keys);
	for (i = 1; i < n; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			report_bad_arrays("idempotency_keys must differ from each other");
}

static void
read_keys(FunctionCallInfo fcinfo, int n, Batch *batch)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	if (PG_ARGISNULL(n))
		return;
	array_elements(PG_GETARG_ARRAYTYPE_P(n), &elements, &nulls, &count);
	if (count != batch->count)
		report_bad_arrays("there must be as many idempotency_keys as credits");
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;
		check_key(DatumGetTextPP(elements[i]), "idempotency_key");
		batch->spends[i].key = TextDatumGetCString(elements[i]);
		batch->has_keys = true;
	}
	check_keys_differ(batch);
}

/* The keys as a text[]; NULL where there is none. */
static Datum
batch_keys(const Batch *batch)
{
	Datum	   *elements = palloc(sizeof(Datum) * batch->count);
	bool	   *nulls = palloc(sizeof(bool) * batch->count);
	int			lower = 1;
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		nulls[i] = batch->spends[i].key == NULL;
		elements[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(batch->spends[i].key);
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, unconstify(int *, &batch->count),
											  &lower, TEXTOID, -1, false, TYPALIGN_INT));
}

/* All of them came from the head lot, and left this. */
static void
insert_batch(Batch *batch, const HeadTaken *head, Datum keys)
{
	int64		balance = head->balance + batch->total;
	int64		seq = head->seq - batch->count;
	Taken		columns = {0};	/* the credits, and the balances behind them */
	Arguments	args = {0};
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		Mutation   *answer = &batch->answers[i];

		balance -= batch->spends[i].credits;
		answer->seq = seq + i + 1;
		answer->balance = balance;
		answer->held = head->held;
		taken_add(&columns, batch->spends[i].credits, balance);
	}
	add_text(&args, batch->account_id);
	add_int64(&args, seq, false);
	add_int64(&args, head->head_lot, false);
	add_datum(&args, taken_lots(&columns), false);
	add_datum(&args, taken_credits(&columns), false);
	add_datum(&args, keys, false);
	statement_execute(&insert_spends, &args);
}

static void
try_batch(void *argument)
{
	Batch	   *batch = argument;
	HeadTaken	head;
	Datum		keys;

	batch->done = false;
	if (!take_from_head(batch->account_id, batch->total, batch->count, &head))
		return;
	keys = batch_keys(batch);
	if (head.late || (head.has_holds && hold_has_any_key(batch->account_id, keys)))
	{
		undo_take_from_head(batch->account_id, batch->total, batch->count);
		return;
	}
	insert_batch(batch, &head, keys);
	head_taken_notify(batch->account_id, &head, batch->total);
	batch->done = true;
}

/*
 * A key that was used makes it fail, which is cheaper than to look for each of
 * them before.
 */
static bool
spend_many_quickly(Batch *batch)
{
	ErrorData  *error = NULL;

	if (batch->has_keys)
		error = try_in_subtransaction(try_batch, batch);
	else
		try_batch(batch);
	if (error && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	return error == NULL && batch->done;
}

/* Which of them were made before; returns what the others come to. */
static int64
find_duplicates(const Account *account, Batch *batch)
{
	int64		total = 0;
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		Mutation   *answer = &batch->answers[i];

		CHECK_FOR_INTERRUPTS();
		answer->duplicate = mutation_is_duplicate(account, batch->spends[i].key, "spend",
												  -batch->spends[i].credits, &answer->seq);
		if (!answer->duplicate)
			total += batch->spends[i].credits;
	}
	return total;
}

static void
spend_many_with_care(Batch *batch)
{
	Account		account;
	int64		total;
	int			i;

	if (!account_open(&account, batch->account_id, OPEN_KNOWN))
		report_not_enough(0, batch->total);
	total = find_duplicates(&account, batch);
	if (account_available(&account) < total)
		report_not_enough(account_available(&account), total);
	for (i = 0; i < batch->count; i++)
	{
		Mutation   *answer = &batch->answers[i];

		CHECK_FOR_INTERRUPTS();
		if (!answer->duplicate)
		{
			post_spend(&account, &batch->spends[i]);
			answer->seq = account.seq;
		}
		answer->balance = account.balance;
		answer->held = account.held;
	}
	account_close(&account);
}

Datum
stripe_credit_spend_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Batch		batch = {.account_id = account_argument(fcinfo, 0)};
	Datum		values[MUTATION_COLUMNS];
	bool		nulls[MUTATION_COLUMNS];
	int			i;

	read_credits(fcinfo, 1, &batch);
	read_keys(fcinfo, 2, &batch);
	if (batch.count > 0)
	{
		SPI_connect();
		account_queue(batch.account_id);
		if (!spend_many_quickly(&batch))
			spend_many_with_care(&batch);
		SPI_finish();
	}

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < batch.count; i++)
	{
		mutation_values(&batch.answers[i], values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Undoing
 */

static bool
is_spend(const KeyUse *use)
{
	return strcmp(use->kind, "spend") == 0 || strcmp(use->kind, "capture") == 0;
}

static int64
post_spend_reversal(Account *account, const char *key, const KeyUse *spend)
{
	Entry		entry = {
		.kind = "spend_reversal",
		.credits = -spend->credits,
		.idempotency_key = key,
		.taken = &spend->taken,
		.reverses = spend->seq
	};
	int64		seq;

	account_post(account, &entry);
	seq = account->seq;
	account_give_back(account, &spend->taken);
	return seq;
}

Datum
stripe_credit_reverse_spend(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	char	   *key = key_argument(fcinfo, 1);
	Account		account;
	KeyUse		spend;
	Mutation	answer;
	int64		seq;

	SPI_connect();
	if (!account_open(&account, account_id, OPEN_KNOWN) ||
		!ledger_find_key(&account, key, &spend) || !is_spend(&spend))
		report_unknown("spend");
	seq = ledger_find_reversal(&account, key, spend.seq);
	if (seq != 0)
		answer = mutation_close(&account, seq, true);
	else
	{
		seq = post_spend_reversal(&account, key, &spend);
		answer = mutation_close(&account, seq, false);
	}
	SPI_finish();
	return mutation_result(&answer);
}
