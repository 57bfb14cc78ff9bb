/*-------------------------------------------------------------------------
 *
 * payment_row.c
 *	  Rows of the payment table.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "details.h"
#include "payment_row.h"
#include "statement.h"

/* What add_facts() adds: $1 to $23. */
#define FACTS_TYPES \
	TEXTOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, \
	BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID, \
	INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID

static Statement insert_payment = {
	"INSERT INTO stripe_credit.payment (payment_id, livemode, connected_account, session_id, "
	"subscription_id, customer_id, payment_link, amount, currency, paid, paid_at, failed_at, "
	"expired_at, account_rank, account_id, account_from, credits_rank, credits, pack_id, terms, "
	"priority, expires_after, details, posted, posted_to, posted_as) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, "
	"$19, $20, $21::integer, $22::interval, $23, $24, $25, $26) "
	"ON CONFLICT DO NOTHING",
	26, {FACTS_TYPES, INT8OID, TEXTOID, TEXTOID}
};

static Statement insert_alias = {
	"INSERT INTO stripe_credit.payment (payment_id, livemode, same_as) VALUES ($1, $2, $3) "
	"ON CONFLICT DO NOTHING",
	3, {TEXTOID, BOOLOID, TEXTOID}
};

static Statement lock_payment = {
	"SELECT payment_id, livemode, connected_account, session_id, "
	"subscription_id, customer_id, payment_link, amount, currency, paid, paid_at, failed_at, "
	"expired_at, account_rank::bigint, account_id, account_from, credits_rank::bigint, credits, "
	"pack_id, terms, priority::text, expires_after::text, details, posted, posted_to, posted_as, "
	"same_as FROM stripe_credit.payment WHERE payment_id = $1 FOR UPDATE",
	1, {TEXTOID}
};

static Statement find_session = {
	"SELECT payment_id FROM stripe_credit.payment "
	"WHERE session_id = $1 AND subscription_id IS NULL",
	1, {TEXTOID}
};

static Statement find_subscription = {
	"SELECT payment_id FROM stripe_credit.payment "
	"WHERE subscription_id = $1 AND payment_id <> $1 ORDER BY payment_id DESC",
	1, {TEXTOID}
};

/* $2, livemode, never changes. */
static Statement update_facts = {
	"UPDATE stripe_credit.payment SET connected_account = $3, session_id = $4, "
	"subscription_id = $5, customer_id = $6, payment_link = $7, amount = $8, currency = $9, "
	"paid = $10, paid_at = $11, failed_at = $12, expired_at = $13, account_rank = $14, "
	"account_id = $15, account_from = $16, credits_rank = $17, credits = $18, pack_id = $19, "
	"terms = $20, priority = $21::integer, expires_after = $22::interval, details = $23 "
	"WHERE payment_id = $1",
	23, {FACTS_TYPES}
};

static Statement update_posted = {
	"UPDATE stripe_credit.payment SET posted = $2, posted_to = $3, posted_as = $4 "
	"WHERE payment_id = $1",
	4, {TEXTOID, INT8OID, TEXTOID, TEXTOID}
};

static Statement touch_payment = {
	"UPDATE stripe_credit.payment SET livemode = livemode WHERE payment_id = $1", 1, {TEXTOID}
};

static Statement make_alias = {
	"UPDATE stripe_credit.payment SET same_as = $2, connected_account = NULL, session_id = NULL, "
	"subscription_id = NULL, customer_id = NULL, payment_link = NULL, amount = NULL, "
	"currency = NULL, paid = false, paid_at = NULL, failed_at = NULL, expired_at = NULL, "
	"account_rank = NULL, account_id = NULL, account_from = NULL, credits_rank = NULL, "
	"credits = NULL, pack_id = NULL, terms = NULL, priority = NULL, expires_after = NULL, "
	"details = NULL, posted = 0, posted_to = NULL, posted_as = NULL WHERE payment_id = $1",
	2, {TEXTOID, TEXTOID}
};

/*
 * Names lead to names that lead to the payment.  Who has one of them locked waits
 * for the payment, so he is passed over: he will make it anew.
 */
static Statement delete_names = {
	"DELETE FROM stripe_credit.payment WHERE payment_id IN ("
	"SELECT n.payment_id FROM stripe_credit.payment n WHERE n.same_as = $1 OR n.same_as IN "
	"(SELECT a.payment_id FROM stripe_credit.payment a WHERE a.same_as = $1) "
	"FOR UPDATE SKIP LOCKED)",
	1, {TEXTOID}
};

static Statement delete_payment = {
	"DELETE FROM stripe_credit.payment WHERE payment_id = $1", 1, {TEXTOID}
};

/* Those that were made long ago, and that nothing but refunds or links tells of. */
static Statement lock_unheard = {
	"SELECT payment_id FROM stripe_credit.payment WHERE NOT paid AND session_id IS NULL "
	"AND same_as IS NULL AND account_id IS NULL AND posted_to IS NULL "
	"AND created_at < clock_timestamp() - '30 days'::interval LIMIT $1 FOR UPDATE SKIP LOCKED",
	1, {INT8OID}
};

static Statement insert_customer = {
	"INSERT INTO stripe_credit.customer (account_id, livemode, customer_id) VALUES ($1, $2, $3) "
	"ON CONFLICT (account_id, livemode) DO NOTHING",
	3, {TEXTOID, BOOLOID, TEXTOID}
};

static void
add_time(Arguments *args, int64 seconds)
{
	add_seconds(args, seconds, seconds == FACTS_NO_TIME);
}

static void
add_details(Arguments *args, const Facts *facts)
{
	Datum		jsonb = (Datum) 0;
	bool		any = details_write(facts, &jsonb);

	add_datum(args, jsonb, !any);
}

/* $1 to $23 of the statements above, in the order of lock_payment's columns. */
static void
add_facts(Arguments *args, const Facts *facts)
{
	const Pricing *pricing = &facts->pricing;
	bool		nobody = facts->account_rank == RANK_NONE;
	bool		unpriced = pricing->rank == RANK_NONE;

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
	add_int64(args, pricing->rank, unpriced);
	add_int64(args, pricing->credits, unpriced);
	add_text(args, pricing->pack_id);
	add_text(args, unpriced ? NULL : pricing->terms);
	add_text(args, pricing->priority);
	add_text(args, pricing->expires_after);
	add_details(args, facts);
}

static void
payment_from_row(Payment *payment)
{
	Facts	   *facts = &payment->facts;
	Datum		details;
	bool		isnull;

	facts_init(facts);
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
	facts->pricing.rank = (FactsRank) result_int64(0, 17, RANK_NONE);
	facts->pricing.credits = result_int64(0, 18, 0);
	facts->pricing.pack_id = result_text(0, 19);
	facts->pricing.terms = result_text(0, 20);
	facts->pricing.priority = result_text(0, 21);
	facts->pricing.expires_after = result_text(0, 22);
	details = result_datum(0, 23, &isnull);
	if (!isnull)
		details_read(facts, details);
	payment->posted = result_int64(0, 24, 0);
	payment->posted_to = result_text(0, 25);
	payment->posted_as = result_text(0, 26);
	payment->same_as = result_text(0, 27);
}

bool
payment_insert(const Payment *payment)
{
	Arguments	args = {0};

	add_facts(&args, &payment->facts);
	add_int64(&args, payment->posted, false);
	add_text(&args, payment->posted_to);
	add_text(&args, payment->posted_as);
	return statement_execute(&insert_payment, &args) == 1;
}

bool
payment_insert_alias(const char *name, bool livemode, const char *same_as)
{
	Arguments	args = {0};

	add_text(&args, name);
	add_bool(&args, livemode);
	add_text(&args, same_as);
	return statement_execute(&insert_alias, &args) == 1;
}

bool
payment_lock(const char *payment_id, Payment *payment)
{
	Arguments	args = {0};

	add_text(&args, payment_id);
	if (statement_execute(&lock_payment, &args) == 0)
		return false;
	payment_from_row(payment);
	return true;
}

char *
payment_of_session(const char *session_id)
{
	Arguments	args = {0};

	add_text(&args, session_id);
	return statement_execute(&find_session, &args) == 0 ? NULL : result_text(0, 1);
}

static List *
read_ids(Statement *stmt, const Arguments *args)
{
	List	   *ids = NIL;
	uint64		n = statement_execute(stmt, args);
	uint64		row;

	for (row = 0; row < n; row++)
		ids = lappend(ids, result_text(row, 1));
	SPI_freetuptable(SPI_tuptable);
	return ids;
}

List *
payments_of_subscription(const char *subscription_id)
{
	Arguments	args = {0};

	add_text(&args, subscription_id);
	return read_ids(&find_subscription, &args);
}

List *
payments_unheard(int64 most)
{
	Arguments	args = {0};

	add_int64(&args, most, false);
	return read_ids(&lock_unheard, &args);
}

void
payment_write_facts(const Payment *payment)
{
	Arguments	args = {0};

	add_facts(&args, &payment->facts);
	statement_execute(&update_facts, &args);
}

void
payment_write_posted(const Payment *payment)
{
	Arguments	args = {0};

	add_text(&args, payment->facts.payment_id);
	add_int64(&args, payment->posted, false);
	add_text(&args, payment->posted_to);
	add_text(&args, payment->posted_as);
	statement_execute(&update_posted, &args);
}

void
payment_keep_customer(const Facts *facts)
{
	Arguments	args = {0};

	add_text(&args, facts->account_id);
	add_bool(&args, facts->livemode);
	add_text(&args, facts->customer_id);
	statement_execute(&insert_customer, &args);
}

void
payment_touch(const char *payment_id)
{
	Arguments	args = {0};

	add_text(&args, payment_id);
	statement_execute(&touch_payment, &args);
}

void
payment_make_alias(const char *payment_id, const char *same_as)
{
	Arguments	args = {0};

	add_text(&args, payment_id);
	add_text(&args, same_as);
	statement_execute(&make_alias, &args);
}

void
payment_delete(const char *payment_id)
{
	Arguments	args = {0};

	add_text(&args, payment_id);
	statement_execute(&delete_names, &args);
	statement_execute(&delete_payment, &args);
}
