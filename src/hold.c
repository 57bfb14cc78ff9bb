/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Credits that are reserved under a key: SQL entries to hold, capture and
 *	  release them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "errors.h"
#include "hold.h"
#include "mutation.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(stripe_credit_hold);
PG_FUNCTION_INFO_V1(stripe_credit_capture);
PG_FUNCTION_INFO_V1(stripe_credit_release);

static const char *const state_names[] = {"open", "captured", "released", "expired"};

static Statement find_hold = {
	"SELECT state, credits, captured, lots, taken FROM stripe_credit.hold "
	"WHERE account_id = $1 AND idempotency_key = $2",
	2, {TEXTOID, TEXTOID}
};

/* Key by key: a plan for = ANY could read all holds of the account instead. */
static Statement find_any_hold = {
	"SELECT FROM pg_catalog.unnest($2) AS k (key), LATERAL (SELECT FROM stripe_credit.hold h "
	"WHERE h.account_id = $1 AND h.idempotency_key = k.key OFFSET 0) AS h LIMIT 1",
	2, {TEXTOID, TEXTARRAYOID}
};

static Statement insert_hold = {
	"INSERT INTO stripe_credit.hold (account_id, idempotency_key, credits, expires_at, lots, taken) "
	"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id, idempotency_key) DO NOTHING",
	6, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8ARRAYOID, INT8ARRAYOID}
};

static Statement close_hold = {
	"UPDATE stripe_credit.hold SET state = $3, captured = $4, closed_at = $5 "
	"WHERE account_id = $1 AND idempotency_key = $2 AND state = 'open'",
	5, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement hold_from_head = {
	"UPDATE stripe_credit.account SET held = held + $2, head_remaining = head_remaining - $2, "
	"hold_expiry = least(hold_expiry, $3) "
	IF_HEAD_HAS_CREDITS,
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement undo_hold_from_head = {
	"UPDATE stripe_credit.account SET held = held - $2, head_remaining = head_remaining + $2 "
	"WHERE account_id = $1",
	2, {TEXTOID, INT8OID}
};

static HoldState
state_by_name(const char *name)
{
	int			state;

	for (state = 0; state < (int) lengthof(state_names); state++)
		if (strcmp(state_names[state], name) == 0)
			return (HoldState) state;
	elog(ERROR, "unrecognized state of a hold");
}

bool
hold_find(const Account *account, const char *key, Hold *hold)
{
	Arguments	args = {0};
	bool		isnull;

	add_text(&args, account->account_id);
	add_text(&args, key);
	if (statement_execute(&find_hold, &args) == 0)
		return false;
	memset(hold, 0, sizeof(Hold));
	hold->state = state_by_name(result_text(0, 1));
	hold->credits = result_int64(0, 2, 0);
	hold->captured = result_int64(0, 3, 0);
	taken_add_arrays(&hold->taken, result_datum(0, 4, &isnull), result_datum(0, 5, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

bool
hold_has_any_key(const char *account_id, Datum keys)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_datum(&args, keys, false);
	return statement_execute(&find_any_hold, &args) > 0;
}

/*
 * hold()
 */

typedef struct HoldRequest
{
	const char *account_id;
	const char *key;
	int64		credits;
	const Interval *ttl;
	TimestampTz expires_at;
} HoldRequest;

/* Returns false if there is such a hold. */
static bool
hold_insert(const HoldRequest *request, const Taken *taken)
{
	Arguments	args = {0};

	add_text(&args, request->account_id);
	add_text(&args, request->key);
	add_int64(&args, request->credits, false);
	add_datum(&args, TimestampTzGetDatum(request->expires_at), false);
	add_datum(&args, taken_lots(taken), false);
	add_datum(&args, taken_credits(taken), false);
	return statement_execute(&insert_hold, &args) == 1;
}

static void
undo_from_head(const HoldRequest *request)
{
	Arguments	args = {0};

	add_text(&args, request->account_id);
	add_int64(&args, request->credits, false);
	statement_execute(&undo_hold_from_head, &args);
}

/*
 * Out of the head lot, if it has them and nothing else is to be done.  Of the
 * key only the ledger is asked: another hold's is found by inserting.
 */
static bool
hold_quickly(const HoldRequest *request, Mutation *answer)
{
	Arguments	args = {0};
	Account		account = {.account_id = request->account_id};
	HeadTaken	head;
	KeyUse		use;
	Taken		taken = {0};

	add_text(&args, request->account_id);
	add_int64(&args, request->credits, false);
	add_datum(&args, TimestampTzGetDatum(request->expires_at), false);
	if (statement_execute(&hold_from_head, &args) == 0)
		return false;
	head_taken_from_row(&head);
	taken_add(&taken, head.head_lot, request->credits);
	if (head.late || ledger_find_key(&account, request->key, &use) ||
		!hold_insert(request, &taken))
	{
		undo_from_head(request);
		return false;
	}
	head_taken_notify(request->account_id, &head, request->credits);
	answer->balance = head.balance;
	answer->held = head.held;
	return true;
}

/* A captured hold's key is its entry's too, so the hold is asked first. */
static bool
is_duplicate(const Account *account, const HoldRequest *request)
{
	Hold		hold;
	int64		seq;

	if (account->has_holds && hold_find(account, request->key, &hold) &&
		hold.credits == request->credits)
		return true;
	return mutation_is_duplicate(account, request->key, "hold", request->credits, &seq);
}

/* It may have waited for the lock, and lasts from now on. */
static void
hold_with_care(HoldRequest *request, Mutation *answer)
{
	Account		account;
	Taken		taken = {0};

	if (!account_open(&account, request->account_id, OPEN_KNOWN))
		report_not_enough(0, request->credits);
	if (is_duplicate(&account, request))
	{
		*answer = mutation_close(&account, 0, true);
		return;
	}
	if (account_available(&account) < request->credits)
		report_not_enough(account_available(&account), request->credits);
	if (account_take(&account, request->credits, &taken) != 0)
		elog(ERROR, "lots are not what is available");
	request->expires_at = time_after(account.now, request->ttl);
	account.held += request->credits;
	account.hold_expiry = Min(account.hold_expiry, request->expires_at);
	account.has_holds = true;
	if (!hold_insert(request, &taken))
		elog(ERROR, "hold appeared while its account was locked");
	*answer = mutation_close(&account, 0, false);
}

Datum
stripe_credit_hold(PG_FUNCTION_ARGS)
{
	HoldRequest request;
	Mutation	answer = {0};

	request.account_id = account_argument(fcinfo, 0);
	request.credits = credits_argument(fcinfo, 1);
	request.key = key_argument(fcinfo, 2);
	request.ttl = duration_argument(fcinfo, 3, "ttl");

	SPI_connect();
	account_queue(request.account_id);
	request.expires_at = time_after(GetCurrentTimestamp(), request.ttl);
	if (!hold_quickly(&request, &answer))
		hold_with_care(&request, &answer);
	SPI_finish();
	return mutation_result(&answer);
}

/*
 * capture() and release()
 */

static void
hold_close(Account *account, const char *key, const Hold *hold, HoldState state,
		   int64 captured)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_text(&args, key);
	add_text(&args, state_names[state]);
	add_int64(&args, captured, false);
	add_datum(&args, TimestampTzGetDatum(account->now), false);
	if (statement_execute(&close_hold, &args) != 1)
		elog(ERROR, "hold was closed while its account was locked");
	account->held -= hold->credits;
}

static void
open_with_hold(Account *account, const char *account_id, const char *key, Hold *hold)
{
	if (!account_open(account, account_id, OPEN_KNOWN) || !hold_find(account, key, hold))
		report_unknown("hold");
}

static void
report_closed(const Hold *hold)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_CONFLICT),
			 errmsg("hold is closed"),
			 hold->state == HOLD_CAPTURED ?
			 errdetail("It was captured, " INT64_FORMAT " credits of it.", hold->captured) :
			 hold->state == HOLD_EXPIRED ?
			 errdetail("It has expired.") : errdetail("It was released.")));
}

static void
report_more_than_held(const Hold *hold)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("credits must not be more than are held"),
			 errdetail("The hold is of " INT64_FORMAT " credits.", hold->credits)));
}

static int64
capture_open_hold(Account *account, const char *key, const Hold *hold, int64 credits)
{
	Taken		spent = {0};
	Taken		rest = {0};
	Entry		entry = {
		.kind = "capture",
		.credits = -credits,
		.idempotency_key = key,
		.taken = &spent
	};
	int64		seq;

	if (credits > hold->credits)
		report_more_than_held(hold);
	taken_split(&hold->taken, credits, &spent, &rest);
	hold_close(account, key, hold, HOLD_CAPTURED, credits);
	account_post(account, &entry);
	seq = account->seq;
	account_give_back(account, &rest);
	return seq;
}

Datum
stripe_credit_capture(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	char	   *key = key_argument(fcinfo, 1);
	int64		credits = credits_argument(fcinfo, 2);
	Account		account;
	Hold		hold;
	Mutation	answer;
	int64		seq;

	SPI_connect();
	open_with_hold(&account, account_id, key, &hold);
	if (hold.state == HOLD_CAPTURED && hold.captured == credits)
	{
		if (!mutation_is_duplicate(&account, key, "capture", -credits, &seq))
			elog(ERROR, "entry of a captured hold vanished");
		answer = mutation_close(&account, seq, true);
	}
	else if (hold.state == HOLD_OPEN)
	{
		seq = capture_open_hold(&account, key, &hold, credits);
		answer = mutation_close(&account, seq, false);
	}
	else
		report_closed(&hold);
	SPI_finish();
	return mutation_result(&answer);
}

Datum
stripe_credit_release(PG_FUNCTION_ARGS)
{
	char	   *account_id = account_argument(fcinfo, 0);
	char	   *key = key_argument(fcinfo, 1);
	Account		account;
	Hold		hold;
	Mutation	answer;

	SPI_connect();
	open_with_hold(&account, account_id, key, &hold);
	if (hold.state == HOLD_CAPTURED)
		report_closed(&hold);
	if (hold.state == HOLD_OPEN)
	{
		hold_close(&account, key, &hold, HOLD_RELEASED, 0);
		account_give_back(&account, &hold.taken);
	}
	answer = mutation_close(&account, 0, hold.state != HOLD_OPEN);
	SPI_finish();
	return mutation_result(&answer);
}
