/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  SQL entries for what Stripe sends: verify, parse, read, apply, answer.
 *	  The one place where verdicts become errors, and where events are kept.
 *
 * An event's row is locked before its payment's.  It is written in the same
 * transaction as what it changes, and once the function has returned, the
 * transaction's commit is durable.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "catalogue.h"
#include "compat.h"
#include "errors.h"
#include "event.h"
#include "member.h"
#include "payment.h"
#include "secret.h"
#include "settings.h"
#include "signature.h"
#include "statement.h"
#include "text.h"
#include "webhook.h"

PG_FUNCTION_INFO_V1(stripe_credit_webhook);
PG_FUNCTION_INFO_V1(stripe_credit_replay);
PG_FUNCTION_INFO_V1(stripe_credit_resolve);
PG_FUNCTION_INFO_V1(stripe_credit_apply_event);
PG_FUNCTION_INFO_V1(stripe_credit_apply_object);

/* A row of the event table that was there before. */
typedef struct StoredEvent
{
	bool		waiting;		/* pending or unmatched */
	bool		unmatched;		/* or an invoice that nobody may ever claim */
	bool		wrong_mode;		/* its reason */
	EventKind	kind;
	char	   *payment_id;
	char	   *body;			/* payload, or else facts */
	bool		has_livemode;
	bool		livemode;
	int64		created;		/* seconds since 1970, or FACTS_NO_TIME */
} StoredEvent;

/* What is being processed: the event, and the bytes it was read from. */
typedef struct Delivery
{
	Event		event;
	const char *body;
	size_t		length;
	EventReading reading;
} Delivery;

static const char *const status_names[] = {
	"applied", "duplicate", "pending", "ignored", "unmatched"
};

static Statement insert_event = {
	"INSERT INTO stripe_credit.event (event_id, type, created, livemode, status, reason, "
	"payment_id, payload, facts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
	"ON CONFLICT (event_id) DO NOTHING",
	9, {TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

#define LOCK_EVENT \
	"SELECT status, payment_id, coalesce(payload, facts), livemode, created, reason = 'mode', " \
	"type, reason = 'subscription' " \
	"FROM stripe_credit.event WHERE event_id = $1 FOR UPDATE"

static Statement lock_event = {LOCK_EVENT, 1, {TEXTOID}};

static Statement lock_event_unless_locked = {LOCK_EVENT " SKIP LOCKED", 1, {TEXTOID}};

static Statement update_event = {
	"UPDATE stripe_credit.event SET status = $2, reason = $3, payment_id = $4, "
	"payload = $5, facts = $6 WHERE event_id = $1",
	6, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

#define SETTLE \
	"UPDATE stripe_credit.event SET status = 'applied', reason = NULL, payment_id = $2, " \
	"payload = CASE WHEN $3 THEN payload END, facts = NULL "

/* A person has decided. */
static Statement settle_event = {
	SETTLE "WHERE event_id = $1", 3, {TEXTOID, TEXTOID, BOOLOID}
};

/* A person has decided, but it is not paid yet: $3 is of no use here. */
static Statement await_payment = {
	"UPDATE stripe_credit.event SET status = 'pending', reason = 'unpaid', payment_id = $2 "
	"WHERE event_id = $1",
	3, {TEXTOID, TEXTOID, BOOLOID}
};

/*
 * Other events that waited for the same payment: all of them once it is
 * posted, those that waited for money once it is known that none will come, and
 * refunds and disputes once the payment is known.  Whoever holds one of them
 * waits for the payment that we hold, so it is passed over, not waited for: he
 * will find the payment as we leave it.
 */
#define OTHERS(condition) \
	"WHERE event_id IN (SELECT e.event_id FROM stripe_credit.event e " \
	"WHERE e.payment_id = $2 AND e.event_id <> $1 AND e.status IN ('pending', 'unmatched') " \
	condition "FOR UPDATE SKIP LOCKED)"

static Statement settle_others = {
	SETTLE OTHERS(""), 3, {TEXTOID, TEXTOID, BOOLOID}
};

static Statement settle_unpaid = {
	SETTLE OTHERS("AND e.status = 'pending' "), 3, {TEXTOID, TEXTOID, BOOLOID}
};

static Statement settle_reversals = {
	SETTLE OTHERS("AND e.status = 'pending' AND e.reason = 'payment' "), 3,
	{TEXTOID, TEXTOID, BOOLOID}
};

static Statement unmatch_others = {
	"UPDATE stripe_credit.event SET status = 'unmatched', reason = $3 "
	OTHERS("AND e.reason = 'subscription' "), 3, {TEXTOID, TEXTOID, TEXTOID}
};

static Statement move_others = {
	"UPDATE stripe_credit.event SET payment_id = $3 " OTHERS(""), 3, {TEXTOID, TEXTOID, TEXTOID}
};

/*
 * Signatures
 */

/* One error for every signature failure; what it was is for the log. */
static void
report_bad_signature(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_BAD_REQUEST),
			 errmsg("webhook signature verification failed"),
			 errdetail_log("The signature is %s.", why),
			 errhint("Pass the raw body as it came, its Stripe-Signature header, and the signing secret of this endpoint.")));
}

static void
verify_delivery(const char *body, size_t length, text *signature, const Settings *settings)
{
	int			nkeys;
	SignatureKey *const *keys = webhook_keys(&nkeys);
	SignatureVerdict verdict;

	verdict = signature_verify(body, length,
							   VARDATA_ANY(signature), VARSIZE_ANY_EXHDR(signature),
							   keys, nkeys, (int64) time(NULL),
							   settings->signature_tolerance);
	if (verdict == SIGNATURE_FAILED)
		report_crypto_failure();
	if (verdict != SIGNATURE_VALID)
		report_bad_signature(signature_verdict_name(verdict));
}

/*
 * Events
 */

static void
parse_delivery(Delivery *delivery, const char *body, size_t length)
{
	EventVerdict verdict;

	delivery->body = body;
	delivery->length = length;
	verdict = event_parse(body, length, palloc(length + 1), &delivery->event);
	if (verdict != EVENT_OK)
		ereport(ERROR,
				(errcode(ERRCODE_SC_BAD_REQUEST),
				 errmsg("webhook payload is not a Stripe event"),
				 errdetail("%s", event_verdict_detail(verdict))));
}

/*
 * What is kept of a body: $1 payload and $2 facts of the statements above.  A
 * waiting event must be applied one day, so without its payload its facts are
 * kept.
 */
static void
add_body(Arguments *args, const Delivery *delivery, EventStatus status, KeepPayload keep)
{
	bool		waiting = status == STATUS_PENDING || status == STATUS_UNMATCHED;
	bool		payload = keep == KEEP_ALL || (waiting && keep == KEEP_UNAPPLIED);
	StringInfoData facts;

	add_text_length(args, payload ? delivery->body : NULL, delivery->length);
	if (!waiting || payload)
	{
		add_text(args, NULL);
		return;
	}
	initStringInfo(&facts);
	event_write_facts(&delivery->event, append_to_string, &facts);
	add_text_length(args, facts.data, facts.len);
}

/* Returns false if the event is known. */
static bool
event_insert(const Delivery *delivery, KeepPayload keep)
{
	const Event *event = &delivery->event;
	EventStatus status = payment_forecast(&delivery->reading);
	int64		created = facts_event_time(event);
	Arguments	args = {0};

	add_text(&args, event->id.value);
	add_text(&args, event->type.value);
	add_seconds(&args, created, created == FACTS_NO_TIME);
	add_datum(&args, BoolGetDatum(event->livemode.value), event->livemode.state != FIELD_OK);
	add_text(&args, status_names[status]);
	add_text(&args, payment_forecast_reason(&delivery->reading));
	add_text(&args, delivery->reading.facts.payment_id);
	add_body(&args, delivery, status, keep);
	return statement_execute(&insert_event, &args) == 1;
}

static bool
event_lock(Statement *stmt, const char *event_id, StoredEvent *stored)
{
	Arguments	args = {0};
	char	   *status;
	char	   *type;
	bool		isnull;

	add_text(&args, event_id);
	if (statement_execute(stmt, &args) == 0)
		return false;
	status = result_text(0, 1);
	stored->unmatched = strcmp(status, "unmatched") == 0 || result_bool(0, 8);
	stored->waiting = stored->unmatched || strcmp(status, "pending") == 0;
	stored->payment_id = result_text(0, 2);
	stored->body = result_text(0, 3);
	stored->livemode = DatumGetBool(result_datum(0, 4, &isnull));
	stored->has_livemode = !isnull;
	stored->created = result_seconds(0, 5, FACTS_NO_TIME);
	stored->wrong_mode = result_bool(0, 6);
	type = result_text(0, 7);
	stored->kind = event_kind(type, strlen(type));
	return true;
}

static void
event_update(const Delivery *delivery, const PaymentOutcome *outcome, EventStatus status,
			 KeepPayload keep)
{
	Arguments	args = {0};

	add_text(&args, delivery->event.id.value);
	add_text(&args, status_names[status]);
	add_text(&args, outcome->reason);
	add_text(&args, outcome->payment_id);
	add_body(&args, delivery, status, keep);
	statement_execute(&update_event, &args);
}

static void
settle(Statement *stmt, const char *event_id, const char *payment_id, KeepPayload keep)
{
	Arguments	args = {0};

	add_text(&args, event_id);
	add_text(&args, payment_id);
	add_bool(&args, keep == KEEP_ALL);
	statement_execute(stmt, &args);
}

static void
tell_others(Statement *stmt, const char *event_id, const Settlement *settlement)
{
	Arguments	args = {0};

	add_text(&args, event_id);
	add_text(&args, settlement->payment_id);
	add_text(&args, settlement->to);
	statement_execute(stmt, &args);
}

/* What waited for the payments that have changed. */
static void
make_settlements(const char *event_id, const PaymentOutcome *outcome, KeepPayload keep)
{
	ListCell   *cell;

	foreach(cell, outcome->settlements)
	{
		const Settlement *settlement = lfirst(cell);

		switch (settlement->kind)
		{
			case SETTLE_MOVED:
				tell_others(&move_others, event_id, settlement);
				break;
			case SETTLE_POSTED:
				settle(&settle_others, event_id, settlement->payment_id, keep);
				break;
			case SETTLE_CLOSED:
				settle(&settle_unpaid, event_id, settlement->payment_id, keep);
				break;
			case SETTLE_HEARD:
				settle(&settle_reversals, event_id, settlement->payment_id, keep);
				break;
			case SETTLE_UNMATCHED:
				tell_others(&unmatch_others, event_id, settlement);
				break;
		}
	}
}

/*
 * Answers
 */

static Datum
answer(const char *event_id, const PaymentOutcome *outcome)
{
	JsonbValue	ok = {.type = jbvBool, .val.boolean = true};
	JsonbParseState *json = NULL;

	pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
	push_member(&json, "ok", &ok);
	push_text(&json, "event", event_id);
	push_text(&json, "status", status_names[outcome->status]);
	push_text(&json, "reason", outcome->reason);
	push_text(&json, "payment", outcome->payment_id);
	if (outcome->status == STATUS_APPLIED && outcome->account_id)
	{
		push_text(&json, "account", outcome->account_id);
		push_int64(&json, "credits", outcome->credits);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&json, WJB_END_OBJECT, NULL)));
}

static Datum
answer_status(const char *event_id, EventStatus status)
{
	PaymentOutcome outcome = {.status = status};

	return answer(event_id, &outcome);
}

/*
 * Processing
 */

/*
 * HTTP 200 means that the event is on disk.  Where the session's commits are
 * weaker than that, this one isn't; a SET clause of the function would end
 * before the commit, a local setting made inside of it does not.
 */
static void
make_commit_durable(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

/* Whether an event's row can stay as it was inserted. */
static bool
is_as_forecast(const EventReading *reading, EventStatus status, const PaymentOutcome *outcome)
{
	if (status != payment_forecast(reading))
		return false;
	return outcome->payment_id == NULL || reading->facts.payment_id == NULL ||
		strcmp(outcome->payment_id, reading->facts.payment_id) == 0;
}

/*
 * Apply a delivery whose row is locked; a row that was inserted just now holds
 * the forecast.
 */
static void
apply_delivery(const Delivery *delivery, const Settings *settings, bool inserted,
			   PaymentOutcome *outcome)
{
	EventStatus status;

	payment_apply(&delivery->reading, settings, outcome);

	/* an event that waited and tells nothing new has been applied by others */
	status = outcome->status == STATUS_DUPLICATE && !inserted ? STATUS_APPLIED : outcome->status;
	if (!inserted || !is_as_forecast(&delivery->reading, status, outcome))
		event_update(delivery, outcome, status, settings->keep_payload);
	make_settlements(delivery->event.id.value, outcome, settings->keep_payload);
}

/* One delivery, the first or another: the event's row is the first guard. */
static Datum
process(Delivery *delivery, const Settings *settings)
{
	const char *event_id = delivery->event.id.value;
	StoredEvent stored;
	PaymentOutcome outcome;
	bool		inserted;

	facts_read(&delivery->event, &settings->policy, &delivery->reading);
	if (delivery->reading.nature == FACTS_IGNORED)
		return answer_status(event_id, STATUS_IGNORED);

	catalogue_price(&delivery->reading);
	make_commit_durable();
	inserted = event_insert(delivery, settings->keep_payload);
	if (!inserted)
	{
		if (!event_lock(&lock_event, event_id, &stored))
			elog(ERROR, "event vanished while it was locked");
		if (!stored.waiting)
			return answer_status(event_id, STATUS_DUPLICATE);
	}
	apply_delivery(delivery, settings, inserted, &outcome);
	return answer(event_id, &outcome);
}

/* A result that outlives SPI_finish(). */
static Datum
leave_spi(Datum jsonb)
{
	Datum		result = SPI_datumTransfer(jsonb, false, -1);

	SPI_finish();
	return result;
}

/* SQL: webhook(text, text) and webhook_bytes(bytea, text), which look alike here. */
Datum
stripe_credit_webhook(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide;
	const Settings *settings;
	Delivery   *delivery;
	struct varlena *payload;
	Datum		result;

	hide_statement_begin(&hide);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		report_bad_signature("missing");
	settings = settings_get();
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ > (Size) settings->max_payload)
		ereport(ERROR,
				(errcode(ERRCODE_SC_PAYLOAD_TOO_LARGE),
				 errmsg("webhook payload is too large"),
				 errdetail("The limit is %d octets.", settings->max_payload),
				 errhint("It is set in stripe_credit.settings.max_payload.")));

	payload = PG_GETARG_VARLENA_PP(0);
	verify_delivery(VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload), PG_GETARG_TEXT_PP(1),
					settings);
	delivery = palloc(sizeof(Delivery));
	parse_delivery(delivery, VARDATA_ANY(payload), VARSIZE_ANY_EXHDR(payload));
	SPI_connect();
	result = leave_spi(process(delivery, settings));
	hide_statement_end(&hide);
	PG_RETURN_DATUM(result);
}

/*
 * SQL: apply_event(jsonb), for an event that came from Stripe's API: as if it was
 * delivered, but for the signature.
 */
Datum
stripe_credit_apply_event(PG_FUNCTION_ARGS)
{
	Jsonb	   *event = PG_GETARG_JSONB_P(0);
	char	   *body = JsonbToCString(NULL, &event->root, VARSIZE(event));
	const Settings *settings = settings_get();
	Delivery   *delivery = palloc(sizeof(Delivery));

	parse_delivery(delivery, body, strlen(body));
	SPI_connect();
	PG_RETURN_DATUM(leave_spi(process(delivery, settings)));
}

/* An event of ours around an object of Stripe's. */
static char *
event_around(const char *type, Jsonb *object, TimestampTz at, bool live)
{
	StringInfoData event;

	initStringInfo(&event);
	appendStringInfo(&event, "{\"id\": \"evt_object\", \"object\": \"event\", \"type\": \"%s\", "
					 "\"created\": " INT64_FORMAT ", \"livemode\": %s, \"data\": {\"object\": ",
					 type, (int64) timestamptz_to_time_t(at), live ? "true" : "false");
	(void) JsonbToCString(&event, &object->root, VARSIZE(object));
	appendStringInfoString(&event, "}}");
	return event.data;
}

/*
 * SQL: apply_object(type, object, at), for an object that came from Stripe's API:
 * its facts go the road of an event's, but no event is recorded.
 */
Datum
stripe_credit_apply_object(PG_FUNCTION_ARGS)
{
	const Settings *settings = settings_get();
	char	   *body = event_around(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_JSONB_P(1),
									PG_GETARG_TIMESTAMPTZ(2), settings->policy.live);
	Delivery   *delivery = palloc(sizeof(Delivery));
	PaymentOutcome outcome;

	parse_delivery(delivery, body, strlen(body));
	facts_read(&delivery->event, &settings->policy, &delivery->reading);
	SPI_connect();
	catalogue_price(&delivery->reading);
	make_commit_durable();
	payment_apply(&delivery->reading, settings, &outcome);
	make_settlements("", &outcome, settings->keep_payload);
	PG_RETURN_DATUM(leave_spi(answer(NULL, &outcome)));
}

static void
report_unknown_event(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_NOT_FOUND),
			 errmsg("unknown event"),
			 detail ? errdetail("%s", detail) : 0));
}

static char *
event_id_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event_id must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

/* Of a locked event, as if it was delivered again; something of it must be kept. */
static void
replay(const StoredEvent *stored, const Settings *settings, PaymentOutcome *outcome)
{
	Delivery   *delivery = palloc(sizeof(Delivery));

	memset(outcome, 0, sizeof(PaymentOutcome));
	parse_delivery(delivery, stored->body, strlen(stored->body));
	facts_read(&delivery->event, &settings->policy, &delivery->reading);
	outcome->status = STATUS_IGNORED;
	if (delivery->reading.nature == FACTS_IGNORED)
		return;
	catalogue_price(&delivery->reading);
	make_commit_durable();
	apply_delivery(delivery, settings, false, outcome);
}

Datum
stripe_credit_replay(PG_FUNCTION_ARGS)
{
	char	   *event_id = event_id_argument(fcinfo);
	const Settings *settings = settings_get();
	StoredEvent stored;
	PaymentOutcome outcome = {.status = STATUS_DUPLICATE};

	SPI_connect();
	if (!event_lock(&lock_event, event_id, &stored))
		report_unknown_event(NULL);
	if (stored.waiting && stored.body == NULL)
		report_unknown_event("Nothing of the event is kept but its id.");
	if (stored.waiting)
		replay(&stored, settings, &outcome);
	PG_RETURN_DATUM(leave_spi(answer(event_id, &outcome)));
}

bool
webhook_retry(const char *event_id, const Settings *settings, EventStatus *status)
{
	StoredEvent stored;
	PaymentOutcome outcome = {.status = STATUS_IGNORED};	/* others were first */

	if (!event_lock(&lock_event_unless_locked, event_id, &stored))
		return false;
	if (stored.waiting && stored.body)
		replay(&stored, settings, &outcome);
	*status = outcome.status;
	return true;
}

static void
report_not_unmatched(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_CONFLICT),
			 errmsg("event is not unmatched")));
}

/* A refund, a dispute or a link brings no credits that could be anybody's. */
static bool
brings_credits(EventKind kind)
{
	return kind == EVENT_KIND_PAYMENT_SUCCEEDED || kind == EVENT_KIND_INVOICE_PAID ||
		kind == EVENT_KIND_SESSION_COMPLETED || kind == EVENT_KIND_SESSION_ASYNC_SUCCEEDED;
}

/* A person decided before: the same again is no more than that. */
static Datum
resolve_again(const char *event_id, const StoredEvent *stored, const char *account_id,
			  int64 credits)
{
	if (stored->payment_id == NULL ||
		!payment_is_resolved_as(stored->payment_id, account_id, credits))
		report_not_unmatched();
	return answer_status(event_id, STATUS_DUPLICATE);
}

static void
report_refused_by_ledger(const Settings *settings)
{
	if (settings->create_accounts)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range")));
	ereport(ERROR,
			(errcode(ERRCODE_SC_NOT_FOUND),
			 errmsg("unknown account"),
			 errdetail("The setting create_accounts is off.")));
}

/*
 * Live money in test mode may not be paid yet: a person who decides whose it
 * is doesn't say that it is.  A subscription's invoices say it.
 */
static Resolution
resolution_of(const char *event_id, const StoredEvent *stored, const char *account_id,
			  int64 credits, const Settings *settings)
{
	Resolution	resolution = {
		.payment_id = stored->payment_id ? stored->payment_id : event_id,
		.livemode = stored->has_livemode ? stored->livemode : settings->policy.live,
		.paid_at = stored->created,
		.account_id = account_id,
		.credits = credits
	};

	resolution.paid = !stored->wrong_mode && strncmp(resolution.payment_id, "sub_", 4) != 0;
	return resolution;
}

static Datum
resolve(const char *event_id, const StoredEvent *stored, const char *account_id,
		int64 credits, const Settings *settings)
{
	Resolution	resolution = resolution_of(event_id, stored, account_id, credits, settings);
	PaymentOutcome outcome;

	if (!brings_credits(stored->kind))
		ereport(ERROR,
				(errcode(ERRCODE_SC_CONFLICT),
				 errmsg("event is not unmatched"),
				 errdetail("It is about no payment that brings credits."),
				 errhint("Use stripe_credit.adjust_credits() to correct a balance.")));
	if (!stored->unmatched)
		return resolve_again(event_id, stored, account_id, credits);

	make_commit_durable();
	if (!payment_resolve(&resolution, settings, &outcome))
		report_not_unmatched();
	if (outcome.status == STATUS_UNMATCHED)
		report_refused_by_ledger(settings);
	if (outcome.status == STATUS_PENDING)
		settle(&await_payment, event_id, outcome.payment_id, settings->keep_payload);
	else
	{
		settle(&settle_event, event_id, outcome.payment_id, settings->keep_payload);
		settle(&settle_others, event_id, outcome.payment_id, settings->keep_payload);
	}
	make_settlements(event_id, &outcome, settings->keep_payload);
	return answer(event_id, &outcome);
}

Datum
stripe_credit_resolve(PG_FUNCTION_ARGS)
{
	char	   *event_id = event_id_argument(fcinfo);
	char	   *account_id = account_argument(fcinfo, 1);
	int64		credits = credits_argument(fcinfo, 2);
	const Settings *settings = settings_get();
	StoredEvent stored;

	SPI_connect();
	if (!event_lock(&lock_event, event_id, &stored))
		report_unknown_event(NULL);
	PG_RETURN_DATUM(leave_spi(resolve(event_id, &stored, account_id, credits, settings)));
}
