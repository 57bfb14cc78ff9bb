/*-------------------------------------------------------------------------
 *
 * payment.c
 *	  What was paid for: facts in the payment table, credits in the ledger.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "payment.h"
#include "statement.h"

/* A row of the payment table. */
typedef struct Payment
{
	Facts		facts;
	int64		posted;
	char	   *posted_to;		/* NULL: nothing was posted yet */
} Payment;

/* What add_facts() adds: $1 to $22. */
#define FACTS_TYPES \
	TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, \
	BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID, \
	INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID

static Statement insert_payment = {
	"INSERT INTO stripe_credit.payment (payment_id, livemode, connected_account, session_id, "
	"subscription_id, customer_id, payment_link, amount, currency, paid, paid_at, failed_at, "
	"expired_at, account_rank, account_id, account_from, credits_rank, credits, pack_id, terms, "
	"priority, expires_after, posted, posted_to) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, "
	"$19, $20, $21::integer, $22::interval, $23, $24) "
	"ON CONFLICT DO NOTHING",
	24, {FACTS_TYPES, INT8OID, TEXTOID}
};

#define LOCK_PAYMENT(condition) \
	"SELECT payment_id, livemode, connected_account, session_id, " \
	"subscription_id, customer_id, payment_link, amount, currency, paid, paid_at, failed_at, " \
	"expired_at, account_rank::bigint, account_id, account_from, credits_rank::bigint, credits, " \
	"pack_id, terms, priority::text, expires_after::text, posted, posted_to " \
	"FROM stripe_credit.payment WHERE " condition " FOR UPDATE"

static Statement lock_payment = {
	LOCK_PAYMENT("payment_id = $1"), 1, {TEXTOID}
};

static Statement lock_payment_of_session = {
	LOCK_PAYMENT("session_id = $1 AND subscription_id IS NULL"), 1, {TEXTOID}
};

static Statement find_session = {
	"SELECT FROM stripe_credit.payment WHERE session_id = $1 AND subscription_id IS NULL",
	1, {TEXTOID}
};

/* $2, livemode, never changes. */
static Statement update_facts = {
	"UPDATE stripe_credit.payment SET connected_account = $3, session_id = $4, "
	"subscription_id = $5, customer_id = $6, payment_link = $7, amount = $8, currency = $9, "
	"paid = $10, paid_at = $11, failed_at = $12, expired_at = $13, account_rank = $14, "
	"account_id = $15, account_from = $16, credits_rank = $17, credits = $18, pack_id = $19, "
	"terms = $20, priority = $21::integer, expires_after = $22::interval "
	"WHERE payment_id = $1",
	22, {FACTS_TYPES}
};

static Statement update_posted = {
	"UPDATE stripe_credit.payment SET posted = $2, posted_to = $3 WHERE payment_id = $1",
	3, {TEXTOID, INT8OID, TEXTOID}
};

/*
 * Rows and facts
 */

static void
add_time(Arguments *args, int64 seconds)
{
	add_seconds(args, seconds, seconds == FACTS_NO_TIME);
}

/* $1 to $22 of the statements above, in the order of lock_payment's columns. */
static void
add_facts(Arguments *args, const Facts *facts)
{
	bool		nobody = facts->account_rank == RANK_NONE;
	bool		unpriced = facts->credits_rank == RANK_NONE;

	add_text(args, facts->payment_id);
	add_bool(args, facts->livemode);
	add_text(args, facts->connected_account);
	add_text(args, facts->session_id);
	add_text(args, facts->subscription_id);
	add_text(args, facts->customer_id);
	add_text(args, facts->payment_link);
	add_int64(args, facts->amount, facts->amount == FACTS_NO_AMOUNT);
	add_text(args, facts->currency);
	add_bool(args, facts->paid);
	add_time(args, facts->paid_at);
	add_time(args, facts->failed_at);
	add_time(args, facts->expired_at);
	add_int64(args, facts->account_rank, nobody);
	add_text(args, nobody ? NULL : facts->account_id);
	add_text(args, nobody ? NULL : facts->account_from);
	add_int64(args, facts->credits_rank, unpriced);
	add_int64(args, facts->credits, unpriced);
	add_text(args, facts->pack_id);
	add_text(args, unpriced ? NULL : facts->terms);
	add_text(args, facts->priority);
	add_text(args, facts->expires_after);
}

static void
payment_from_row(Payment *payment)
{
	Facts	   *facts = &payment->facts;

	facts->payment_id = result_text(0, 1);
	facts->livemode = result_bool(0, 2);
	facts->connected_account = result_text(0, 3);
	facts->session_id = result_text(0, 4);
	facts->subscription_id = result_text(0, 5);
	facts->customer_id = result_text(0, 6);
	facts->payment_link = result_text(0, 7);
	facts->amount = result_int64(0, 8, FACTS_NO_AMOUNT);
	facts->currency = result_text(0, 9);
	facts->paid = result_bool(0, 10);
	facts->paid_at = result_seconds(0, 11, FACTS_NO_TIME);
	facts->failed_at = result_seconds(0, 12, FACTS_NO_TIME);
	facts->expired_at = result_seconds(0, 13, FACTS_NO_TIME);
	facts->account_rank = (FactsRank) result_int64(0, 14, RANK_NONE);
	facts->account_id = result_text(0, 15);
	facts->account_from = result_text(0, 16);
	facts->credits_rank = (FactsRank) result_int64(0, 17, RANK_NONE);
	facts->credits = result_int64(0, 18, 0);
	facts->pack_id = result_text(0, 19);
	facts->terms = result_text(0, 20);
	facts->priority = result_text(0, 21);
	facts->expires_after = result_text(0, 22);
	payment->posted = result_int64(0, 23, 0);
	payment->posted_to = result_text(0, 24);
}

/* Returns false if there is such a payment already, or one of the session. */
static bool
payment_insert(const Payment *payment)
{
	Arguments	args = {0};

	add_facts(&args, &payment->facts);
	add_int64(&args, payment->posted, false);
	add_text(&args, payment->posted_to);
	return statement_execute(&insert_payment, &args) == 1;
}

/* Returns false if there is none. */
static bool
payment_lock_by(Statement *stmt, const char *id, Payment *payment)
{
	Arguments	args = {0};

	add_text(&args, id);
	if (statement_execute(stmt, &args) == 0)
		return false;
	payment_from_row(payment);
	return true;
}

static bool
payment_lock(const char *payment_id, Payment *payment)
{
	return payment_lock_by(&lock_payment, payment_id, payment);
}

/* Lock what payment_insert() met: by its name, or else by its session's. */
static void
payment_lock_known(const Facts *news, Payment *payment)
{
	if (!payment_lock(news->payment_id, payment) &&
		!(news->session_id &&
		  payment_lock_by(&lock_payment_of_session, news->session_id, payment)))
		elog(ERROR, "payment vanished while it was locked");
}

static bool
session_is_known(const char *session_id)
{
	Arguments	args = {0};

	add_text(&args, session_id);
	return statement_execute(&find_session, &args) > 0;
}

static void
payment_write_facts(const Payment *payment)
{
	Arguments	args = {0};

	add_facts(&args, &payment->facts);
	statement_execute(&update_facts, &args);
}

static void
payment_write_posted(const Payment *payment)
{
	Arguments	args = {0};

	add_text(&args, payment->facts.payment_id);
	add_int64(&args, payment->posted, false);
	add_text(&args, payment->posted_to);
	statement_execute(&update_posted, &args);
}

/*
 * Posting
 */

static TimestampTz
lot_expiry(const Facts *facts)
{
	Datum		interval;

	if (facts->expires_after == NULL || facts->paid_at == FACTS_NO_TIME)
		return DT_NOEND;
	interval = DirectFunctionCall3(interval_in, CStringGetDatum(facts->expires_after),
								   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return time_after(time_t_to_timestamptz(facts->paid_at), DatumGetIntervalP(interval));
}

/* Live money is not credited while the mode is test, unless a person says so. */
static bool
may_post(const Facts *facts, const Settings *settings)
{
	return facts->paid && facts_known(facts) &&
		(!facts->livemode || settings->policy.live || facts->account_rank == RANK_PERSON);
}

/* Returns false as ledger_purchase() does. */
static bool
post_purchase(const Payment *payment, int64 credits, const Settings *settings)
{
	const char *priority = payment->facts.priority;
	LotTerms	terms = {
		.has_priority = priority != NULL,
		.priority = priority ? pg_strtoint32(priority) : 0,
		.expires_at = lot_expiry(&payment->facts)
	};

	return ledger_purchase(payment->posted_to, payment->facts.payment_id, credits, &terms,
						   settings->create_accounts);
}

/* The buyer could write the account's name himself: a gift, perhaps. */
static bool
named_by_buyer(const Facts *facts)
{
	if (strcmp(facts->account_from, account_source_name(ACCOUNT_FROM_CUSTOMER_DETAILS_EMAIL)) == 0)
		return true;
	return facts->payment_link != NULL &&
		strcmp(facts->account_from,
			   account_source_name(ACCOUNT_FROM_CLIENT_REFERENCE_ID)) == 0;
}

static void
post_reversal(const Payment *payment, int64 credits, const Settings *settings)
{
	Overdraw	overdraw = settings->clamp ? OVERDRAW_CLAMP : OVERDRAW_DEBT;

	if (named_by_buyer(&payment->facts))
		overdraw = OVERDRAW_OWN_LOT;
	ledger_reverse(payment->posted_to, payment->facts.payment_id, credits, overdraw);
}

/* Add to what was posted before: to its lot, if it brought one. */
static bool
post_more(const Payment *payment, int64 credits, const Settings *settings)
{
	return ledger_give_back(payment->posted_to, payment->facts.payment_id, credits) ||
		post_purchase(payment, credits, settings);
}

/*
 * Let the ledger hold what is due.  Returns the difference that was posted;
 * *first says that the payment was posted for the first time, if only as zero.
 */
static int64
post_difference(Payment *payment, const Settings *settings, bool *first)
{
	int64		difference = facts_due(&payment->facts) - payment->posted;
	bool		posted = true;

	*first = false;
	if (!may_post(&payment->facts, settings))
		return 0;
	if (payment->posted_to == NULL)
	{
		payment->posted_to = unconstify(char *, payment->facts.account_id);
		*first = true;
		if (difference > 0)
			posted = post_purchase(payment, difference, settings);
	}
	else if (difference > 0)
		posted = post_more(payment, difference, settings);
	else if (difference < 0)
		post_reversal(payment, -difference, settings);

	if (!posted)
	{
		if (*first)
			payment->posted_to = NULL;
		*first = false;
		return 0;
	}
	payment->posted += difference;
	return difference;
}

/*
 * Outcomes
 */

static EventStatus
changed_or_duplicate(bool changed)
{
	return changed ? STATUS_APPLIED : STATUS_DUPLICATE;
}

static bool
is_closed(const Facts *facts)
{
	return facts->failed_at != FACTS_NO_TIME || facts->expired_at != FACTS_NO_TIME;
}

/* What an event came to, given the payment as it is now. */
static EventStatus
judge(const EventReading *reading, const Payment *payment, bool changed)
{
	switch (reading->nature)
	{
		case FACTS_CLOSED:
			return changed_or_duplicate(changed);
		case FACTS_SUBSCRIPTION:
			return reading->reason || reading->wrong_mode ?
				STATUS_UNMATCHED : changed_or_duplicate(changed);
		case FACTS_UNPAID:
			if (payment->facts.paid || is_closed(&payment->facts))
				return changed_or_duplicate(changed);
			return reading->wrong_mode ? STATUS_UNMATCHED : STATUS_PENDING;
		default:
			return payment->posted_to ? changed_or_duplicate(changed) : STATUS_UNMATCHED;
	}
}

/*
 * Why an event waits.  Where its own reading is in order, the ledger would not
 * take the credits: no such account, or a balance out of range.
 */
static const char *
waiting_reason(const EventReading *reading, EventStatus status, bool create_accounts)
{
	if (status == STATUS_PENDING)
		return reading->nature == FACTS_KEPT ? "not acted on" : "unpaid";
	if (status != STATUS_UNMATCHED)
		return NULL;
	if (reading->wrong_mode)
		return "mode";
	if (reading->reason)
		return reading->reason;
	return create_accounts ? "credits" : "account";
}

const char *
payment_forecast_reason(const EventReading *reading)
{
	return waiting_reason(reading, payment_forecast(reading), true);
}

EventStatus
payment_forecast(const EventReading *reading)
{
	switch (reading->nature)
	{
		case FACTS_KEPT:
			return STATUS_PENDING;
		case FACTS_UNPAID:
			return reading->wrong_mode ? STATUS_UNMATCHED : STATUS_PENDING;
		case FACTS_CLOSED:
			return STATUS_APPLIED;
		default:
			return reading->reason || reading->wrong_mode ?
				STATUS_UNMATCHED : STATUS_APPLIED;
	}
}

/* A payment that nothing was known of: the row is written as it will be. */
static bool
apply_to_new(Payment *payment, const Settings *settings, PaymentOutcome *outcome)
{
	bool		post = may_post(&payment->facts, settings);

	if (post)
	{
		payment->posted = facts_due(&payment->facts);
		payment->posted_to = unconstify(char *, payment->facts.account_id);
	}
	if (!payment_insert(payment))
		return false;
	if (post && payment->posted > 0 &&
		!post_purchase(payment, payment->posted, settings))
	{
		payment->posted = 0;
		payment->posted_to = NULL;
		payment_write_posted(payment);
	}
	outcome->credits = payment->posted;
	return true;
}

/* Returns whether facts or books changed. */
static bool
apply_to_known(const Facts *news, Payment *payment, const Settings *settings,
			   PaymentOutcome *outcome)
{
	Facts		merged = *news;
	TimestampTz expiry;
	bool		was_closed;
	bool		was_posted;
	bool		changed;
	bool		first;

	payment_lock_known(news, payment);
	if (payment->facts.session_id == NULL && news->session_id &&
		session_is_known(news->session_id))
		merged.session_id = NULL;	/* it is another payment's */
	expiry = lot_expiry(&payment->facts);
	was_closed = is_closed(&payment->facts);
	was_posted = payment->posted_to != NULL;
	changed = facts_merge(&payment->facts, &merged);
	if (changed)
		payment_write_facts(payment);

	outcome->credits = post_difference(payment, settings, &first);
	if (first || outcome->credits != 0)
		payment_write_posted(payment);
	if (was_posted && lot_expiry(&payment->facts) != expiry)
		ledger_set_expiry(payment->posted_to, payment->facts.payment_id,
						  lot_expiry(&payment->facts));
	outcome->settled = first || is_closed(&payment->facts) != was_closed;
	return changed || first || outcome->credits != 0;
}

static void
payment_merge(const Facts *news, Payment *payment, const Settings *settings,
			  PaymentOutcome *outcome, bool *changed)
{
	memset(payment, 0, sizeof(Payment));
	payment->facts = *news;
	if (apply_to_new(payment, settings, outcome))
		*changed = true;
	else
		*changed = apply_to_known(news, payment, settings, outcome);
	outcome->payment_id = payment->facts.payment_id;
	outcome->account_id = payment->posted_to;
}

void
payment_apply(const EventReading *reading, const Settings *settings, PaymentOutcome *outcome)
{
	Payment		payment;
	bool		changed;

	memset(outcome, 0, sizeof(PaymentOutcome));
	outcome->status = STATUS_IGNORED;
	if (reading->nature == FACTS_KEPT || reading->nature == FACTS_UNUSABLE)
	{
		outcome->status = payment_forecast(reading);
		outcome->reason = payment_forecast_reason(reading);
		outcome->payment_id = reading->facts.payment_id;
		return;
	}
	if (reading->nature == FACTS_IGNORED)
		return;

	payment_merge(&reading->facts, &payment, settings, outcome, &changed);
	outcome->status = judge(reading, &payment, changed);
	outcome->reason = waiting_reason(reading, outcome->status, settings->create_accounts);
}

bool
payment_is_resolved_as(const char *payment_id, const char *account_id, int64 credits)
{
	Payment		payment = {{0}};
	Facts	   *facts = &payment.facts;

	return payment_lock(payment_id, &payment) &&
		facts->account_rank == RANK_PERSON && strcmp(facts->account_id, account_id) == 0 &&
		facts->credits_rank == RANK_PERSON && facts->credits == credits;
}

static EventStatus
judge_resolution(const Payment *payment, bool changed)
{
	bool		is_subscription = payment->facts.subscription_id != NULL;

	if (payment->posted_to || (is_subscription && !payment->facts.paid))
		return changed_or_duplicate(changed);
	return payment->facts.paid ? STATUS_UNMATCHED : STATUS_PENDING;
}

bool
payment_resolve(const Resolution *resolution, const Settings *settings, PaymentOutcome *outcome)
{
	Facts		news;
	Payment		payment;
	bool		changed;

	memset(outcome, 0, sizeof(PaymentOutcome));
	if (payment_lock(resolution->payment_id, &payment) && payment.posted_to)
		return false;
	facts_init(&news);
	news.payment_id = resolution->payment_id;
	news.livemode = resolution->livemode;
	news.paid = resolution->paid;
	news.paid_at = resolution->paid ? resolution->paid_at : FACTS_NO_TIME;
	news.account_rank = RANK_PERSON;
	news.account_id = resolution->account_id;
	news.account_from = "resolve";
	news.credits_rank = RANK_PERSON;
	news.credits = resolution->credits;
	news.terms = psprintf("resolve credits=" INT64_FORMAT, resolution->credits);
	payment_merge(&news, &payment, settings, outcome, &changed);
	outcome->status = judge_resolution(&payment, changed);
	outcome->reason = outcome->status == STATUS_PENDING ? "unpaid" : NULL;
	return true;
}
