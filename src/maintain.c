/*-------------------------------------------------------------------------
 *
 * maintain.c
 *	  SQL entry for what should happen now and then: enter what has expired,
 *	  try again what waits, and forget old events.
 *
 * Nothing depends on it for being right: what has expired counts no more in any
 * case, and an event that waits is tried again when it is delivered again.
 *
 * It touches many events, payments and accounts in one transaction, in an order
 * that others may not have.  So it never waits long for a lock while it holds
 * others: it passes over what somebody else is working on.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "account.h"
#include "member.h"
#include "payment_row.h"
#include "settings.h"
#include "statement.h"
#include "subtransaction.h"
#include "webhook.h"

PG_FUNCTION_INFO_V1(stripe_credit_maintain);

/* For a lock; shorter than the time after which a deadlock is looked for */
#define LOCK_TIMEOUT		"100ms"

typedef struct Work
{
	int64		most;			/* of each kind */
	int64		expired;		/* lots and holds */
	int64		retried;
	int64		applied;
	int64		pruned;
	bool		complete;		/* nothing was left or passed over */
} Work;

static Statement accounts_with_expired_holds = {
	"SELECT DISTINCT account_id FROM stripe_credit.hold "
	"WHERE state = 'open' AND expires_at <= clock_timestamp() LIMIT $1",
	1, {INT8OID}
};

static Statement accounts_with_expired_lots = {
	"SELECT account_id FROM stripe_credit.lot "
	"WHERE remaining > 0 AND expires_at < 'infinity' AND expires_at <= clock_timestamp() "
	"ORDER BY expires_at LIMIT $1",
	1, {INT8OID}
};

/* Those that were never tried again come first, then those tried longest ago. */
static Statement waiting_events = {
	"SELECT event_id FROM stripe_credit.event "
	"WHERE status IN ('pending', 'unmatched') "
	"AND coalesce(payload, facts) IS NOT NULL "
	"ORDER BY tried_at NULLS FIRST, received_at LIMIT $1",
	1, {INT8OID}
};

/* Before it is tried, so that one that fails lets others have their turn. */
static Statement set_tried = {
	"UPDATE stripe_credit.event SET tried_at = clock_timestamp() WHERE event_id IN ("
	"SELECT e.event_id FROM stripe_credit.event e "
	"WHERE e.event_id = $1 AND e.status IN ('pending', 'unmatched') FOR UPDATE SKIP LOCKED)",
	1, {TEXTOID}
};

/*
 * Stripe delivers an event for three days and can be asked for it for thirty;
 * if an older one came all the same, its payment would say that it is known.
 */
static Statement prune_events = {
	"DELETE FROM stripe_credit.event WHERE event_id IN ("
	"SELECT e.event_id FROM stripe_credit.event e "
	"WHERE e.received_at < clock_timestamp() - '90 days'::interval "
	"AND e.status IN ('applied', 'duplicate') LIMIT $1 FOR UPDATE SKIP LOCKED)",
	1, {INT8OID}
};

/* What waited for a payment that is forgotten; who holds one of them tries it. */
static Statement delete_waiting = {
	"DELETE FROM stripe_credit.event WHERE event_id IN ("
	"SELECT e.event_id FROM stripe_credit.event e "
	"WHERE e.payment_id = $1 AND e.status IN ('pending', 'unmatched') FOR UPDATE SKIP LOCKED)",
	1, {TEXTOID}
};

/* The texts of a query with a limit as its argument; fewer means there are no more. */
static char **
read_ids(Statement *stmt, int64 most, uint64 *n)
{
	Arguments	args = {0};
	char	  **ids;
	uint64		row;

	add_int64(&args, most, false);
	*n = statement_execute(stmt, &args);
	ids = palloc(sizeof(char *) * Max(*n, 1));
	for (row = 0; row < *n; row++)
		ids[row] = result_text(row, 1);
	SPI_freetuptable(SPI_tuptable);
	return ids;
}

/*
 * What has expired
 */

static void
enter_expired(const char *account_id, Work *work)
{
	Account		account;
	int64		entered;

	if (!account_open_some(&account, account_id, OPEN_UNLESS_LOCKED,
						   work->most - work->expired, &entered))
	{
		work->complete = false;
		return;
	}
	account_close(&account);
	work->expired += entered;
}

static void
enter_expired_of(Statement *accounts, Work *work)
{
	uint64		n;
	char	  **ids = read_ids(accounts, work->most, &n);
	uint64		i;

	for (i = 0; i < n && work->expired < work->most; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i == 0 || strcmp(ids[i], ids[i - 1]) != 0)
			enter_expired(ids[i], work);
	}
	if (work->expired >= work->most || (int64) n >= work->most)
		work->complete = false;
}

/*
 * What waits
 */

typedef struct Retry
{
	const char *event_id;
	const Settings *settings;
	bool		done;			/* not passed over */
	EventStatus status;
} Retry;

static void
retry_event(void *argument)
{
	Retry	   *retry = argument;
	int			save_nestlevel = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	retry->done = webhook_retry(retry->event_id, retry->settings, &retry->status);
	AtEOXact_GUC(true, save_nestlevel);
}

/* Whether it is no more than one event's: the transaction as a whole can go on. */
static bool
is_of_one_event(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE &&
		category != ERRCODE_OPERATOR_INTERVENTION &&
		category != ERRCODE_INSUFFICIENT_RESOURCES;
}

/* What it was is told by its SQLSTATE only: the rest may quote the event. */
static void
note_failure(const char *event_id, const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		return;
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("could not apply event %s", event_id),
			 errdetail("It failed with SQLSTATE %s.", unpack_sql_state(error->sqlerrcode))));
}

static void
retry(const char *event_id, const Settings *settings, Work *work)
{
	Retry		retry = {.event_id = event_id, .settings = settings};
	Arguments	args = {0};
	ErrorData  *error;

	add_text(&args, event_id);
	if (statement_execute(&set_tried, &args) == 0)
	{
		work->complete = false;
		return;
	}
	error = try_in_subtransaction(retry_event, &retry);
	if (error && !is_of_one_event(error->sqlerrcode))
		ReThrowError(error);
	if (error)
		note_failure(event_id, error);
	if (error || !retry.done)
	{
		work->complete = false;
		return;
	}
	work->retried++;
	if (retry.status == STATUS_APPLIED || retry.status == STATUS_DUPLICATE)
		work->applied++;
}

static void
retry_waiting(Work *work)
{
	const Settings *settings = settings_get();
	uint64		n;
	char	  **ids = read_ids(&waiting_events, work->most, &n);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		retry(ids[i], settings, work);
	}
}

/*
 * What is old.  An owner who keeps all payloads wants them kept.
 */
static void
prune_applied(Work *work)
{
	Arguments	args = {0};

	if (settings_get()->keep_payload == KEEP_ALL)
		return;
	add_int64(&args, work->most, false);
	work->pruned = (int64) statement_execute(&prune_events, &args);
	if (work->pruned >= work->most)
		work->complete = false;
}

/*
 * Refunds, disputes and links of payments that are none of ours: other things
 * are sold in the same Stripe account.
 */
static void
prune_unheard(Work *work)
{
	List	   *payments = payments_unheard(work->most);
	ListCell   *cell;

	foreach(cell, payments)
	{
		Arguments	args = {0};

		CHECK_FOR_INTERRUPTS();
		add_text(&args, lfirst(cell));
		work->pruned += (int64) statement_execute(&delete_waiting, &args);
		payment_delete(lfirst(cell));
	}
	if (list_length(payments) >= work->most)
		work->complete = false;
}

static Datum
work_as_jsonb(const Work *work)
{
	JsonbValue	complete = {.type = jbvBool, .val.boolean = work->complete};
	JsonbParseState *json = NULL;

	pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
	push_int64(&json, "expired", work->expired);
	push_int64(&json, "retried", work->retried);
	push_int64(&json, "applied", work->applied);
	push_int64(&json, "pruned", work->pruned);
	push_member(&json, "complete", &complete);
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&json, WJB_END_OBJECT, NULL)));
}

Datum
stripe_credit_maintain(PG_FUNCTION_ARGS)
{
	Work		work = {.complete = true};

	if (PG_ARGISNULL(0) || PG_GETARG_INT32(0) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be greater than zero")));
	work.most = PG_GETARG_INT32(0);

	/* what waits comes first, while there are few locks to be in anybody's way */
	SPI_connect();
	retry_waiting(&work);
	enter_expired_of(&accounts_with_expired_holds, &work);
	enter_expired_of(&accounts_with_expired_lots, &work);
	prune_applied(&work);
	prune_unheard(&work);
	SPI_finish();
	PG_RETURN_DATUM(work_as_jsonb(&work));
}
