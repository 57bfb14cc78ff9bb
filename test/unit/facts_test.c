/*-------------------------------------------------------------------------
 *
 * facts_test.c
 *	  Tests of src/facts.c.
 *
 * Events are built by hand, field by field, out of one that is in order.  What
 * merging promises is tried on facts drawn by chance from domains so small
 * that they meet and disagree all the time, and where the domain is small
 * enough, on all of them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "tap.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

#define INSTALL			"0b7c1c9e-3d0a-4c57-8b1e-6f2a9d4e5c10"
#define INSTALL_UPPER	"0B7C1C9E-3D0A-4C57-8B1E-6F2A9D4E5C10"
#define INSTALL_OTHER	"0b7c1c9e-3d0a-4c57-8b1e-6f2a9d4e5c11"

#define CREATED			INT64_C(1700000000)
#define YEAR_10000		INT64_C(253402300800)
#define SEED			UINT64_C(0x9e3779b97f4a7c15)

static Event event;
static FactsPolicy policy;
static EventReading reading;

static const AccountSource default_sources[] = {
	ACCOUNT_FROM_METADATA, ACCOUNT_FROM_CLIENT_REFERENCE_ID
};

/*-------------------------------------------------------------------------
 * Chance
 *-------------------------------------------------------------------------
 */
static uint64_t chance_state = SEED;

/* xorshift64* */
static uint64_t
chance(void)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return chance_state * UINT64_C(2685821657736338717);
}

static size_t
chance_below(size_t n)
{
	return (size_t) ((chance() >> 33) % n);
}

/* Not negative, of every length in bits. */
static int64_t
chance_number(void)
{
	return (int64_t) (chance() >> (1 + chance_below(63)));
}

/*-------------------------------------------------------------------------
 * Events and policies
 *-------------------------------------------------------------------------
 */
static void
set(EventString *field, const char *value)
{
	field->state = FIELD_OK;
	field->value = value;
	field->length = strlen(value);
}

static void
set_number(EventInteger *field, int64_t value)
{
	field->state = FIELD_OK;
	field->value = value;
}

/* As the parser leaves a field that is not OK. */
static void
unset(EventString *field, EventFieldState state)
{
	memset(field, 0, sizeof(*field));
	field->state = state;
}

static void
unset_number(EventInteger *field, EventFieldState state)
{
	field->state = state;
	field->value = 0;
}

static void
set_livemode(EventFieldState state, bool value)
{
	event.livemode.state = state;
	event.livemode.value = value;
}

static void
begin(EventKind kind)
{
	memset(&event, 0, sizeof(event));
	event.kind = kind;
	set(&event.id, "evt_1");
	set(&event.object, "event");
	set(&event.type, "t");
	set_number(&event.created, CREATED);
	set_livemode(FIELD_OK, false);
	event.data = FIELD_OK;
	event.data_object = FIELD_OK;

	memset(&policy, 0, sizeof(policy));
	policy.install_id = INSTALL;
	policy.account_from = default_sources;
	policy.n_account_from = lengthof(default_sources);
}

/* A paid session of somebody's, as good as it can be. */
static void
begin_session(EventKind kind)
{
	begin(kind);
	set(&event.object_id, "cs_test_1");
	set(&event.mode, "payment");
	set(&event.payment_status, "paid");
	set(&event.payment_intent, "pi_1");
	set(&event.customer, "cus_1");
	set(&event.client_reference_id, "alice");
	set(&event.currency, "eur");
	set_number(&event.amount_subtotal, 1000);
	set_number(&event.amount_total, 1290);
	event.total_details = FIELD_OK;
	set_number(&event.amount_tax, 190);
	set_number(&event.amount_shipping, 100);
	event.metadata = FIELD_OK;
}

static void
begin_subscription(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.mode, "subscription");
	unset(&event.payment_intent, FIELD_NULL);
	set(&event.subscription, "sub_1");
	set(&event.meta_pack, "pro");
	set(&event.meta_unit_amount, "900");
	set(&event.meta_currency, "usd");
}

static void
begin_intent(void)
{
	begin(EVENT_KIND_PAYMENT_SUCCEEDED);
	set(&event.object_id, "pi_1");
	set(&event.status, "succeeded");
	set(&event.customer, "cus_1");
	set(&event.currency, "eur");
	set_number(&event.amount, 1290);
	event.metadata = FIELD_OK;
	set(&event.meta_install, INSTALL);
	set(&event.meta_account, "alice");
	set(&event.meta_pack, "pro");
}

static void
set_conversion(const char *currency, int64_t subtotal, int64_t total)
{
	event.currency_conversion = FIELD_OK;
	set(&event.source_currency, currency);
	set_number(&event.source_subtotal, subtotal);
	set_number(&event.source_total, total);
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const char *
shown(const char *text)
{
	return text ? text : "none";
}

/* Read the event, and expect what it is and why it can't be credited. */
static void
expect(FactsNature nature, const char *reason, const char *name)
{
	/* whatever was there before must not matter */
	memset(&reading, 0x55, sizeof(reading));
	facts_read(&event, &policy, &reading);
	if (!ok(reading.nature == nature && same(reading.reason, reason), "%s", name))
		printf("# nature %d, reason %s\n", (int) reading.nature, shown(reading.reason));
}

static void
expect_account(FactsRank rank, const char *account_id, const char *from, const char *name)
{
	const Facts *facts = &reading.facts;

	if (!ok(facts->account_rank == rank && same(facts->account_id, account_id) &&
			same(facts->account_from, from), "%s", name))
		printf("# rank %d, account %s from %s\n", (int) facts->account_rank,
			   shown(facts->account_id), shown(facts->account_from));
}

/*-------------------------------------------------------------------------
 * Arithmetic
 *-------------------------------------------------------------------------
 */
typedef bool (*Operation) (int64_t a, int64_t b, int64_t *result);

static void
expect_number(Operation operation, int64_t a, int64_t b, bool possible, int64_t expected,
			  const char *name)
{
	int64_t		result = 0;
	bool		found = operation(a, b, &result);

	ok(found == possible && (!found || result == expected), "%s", name);
}

static void
expect_rate(int64_t net, int64_t credits, int64_t per_amount, bool possible, int64_t expected,
			const char *name)
{
	int64_t		result = 0;
	bool		found = facts_rate(net, credits, per_amount, &result);

	ok(found == possible && (!found || result == expected), "rate: %s", name);
}

static void
test_units(void)
{
	expect_number(facts_units, 1000, 500, true, 2, "units: whole");
	expect_number(facts_units, 1000, 1000, true, 1, "units: one");
	expect_number(facts_units, 1000, 300, false, 0, "units: a rest");
	expect_number(facts_units, 300, 1000, false, 0, "units: less than one");
	expect_number(facts_units, 0, 5, false, 0, "units: of nothing");
	expect_number(facts_units, 5, 0, false, 0, "units: nothing is divided by zero");
	expect_number(facts_units, 0, 0, false, 0, "units: not even zero");
	expect_number(facts_units, -10, 5, false, 0, "units: of less than nothing");
	expect_number(facts_units, 10, -5, false, 0, "units: that cost less than nothing");
	expect_number(facts_units, -10, -5, false, 0, "units: both negative");
	expect_number(facts_units, INT64_MIN, -1, false, 0, "units: the one division that traps");
	expect_number(facts_units, FACTS_NO_AMOUNT, 1, false, 0, "units: of an unknown amount");
	expect_number(facts_units, INT64_MAX, 1, true, INT64_MAX, "units: as many as there can be");
	expect_number(facts_units, INT64_MAX, INT64_MAX, true, 1, "units: as dear as can be");
	expect_number(facts_units, INT64_MAX, 2, false, 0, "units: an odd amount");
}

static void
test_multiply(void)
{
	expect_number(facts_multiply, 100, 3, true, 300, "product");
	expect_number(facts_multiply, INT64_MAX, 1, true, INT64_MAX, "product: the greatest");
	expect_number(facts_multiply, 1, INT64_MAX, true, INT64_MAX, "product: the other way round");
	expect_number(facts_multiply, INT64_MAX, 2, false, 0, "product: too great");
	expect_number(facts_multiply, INT64_MAX, INT64_MAX, false, 0, "product: far too great");
	expect_number(facts_multiply, INT64_C(3037000499), INT64_C(3037000499), true,
				  INT64_C(9223372030926249001), "product: the greatest square");
	expect_number(facts_multiply, INT64_C(3037000500), INT64_C(3037000500), false, 0,
				  "product: the next square");
	expect_number(facts_multiply, INT64_C(1) << 62, 2, false, 0, "product: just 2^63");
}

static void
test_rate(void)
{
	expect_rate(1000, 1, 10, true, 100, "whole");
	expect_rate(999, 5, 2, true, 2497, "floored");
	expect_rate(9, 1, 10, true, 0, "less than one");
	expect_rate(0, 5, 2, true, 0, "of nothing");
	expect_rate(5, 0, 2, true, 0, "no credits");
	expect_rate(5, 1, 0, false, 0, "nothing is divided by zero");
	expect_rate(0, 0, 0, false, 0, "not even zero");
	expect_rate(5, 1, -1, false, 0, "per less than nothing");
	expect_rate(-5, 1, 1, false, 0, "of less than nothing");
	expect_rate(5, -1, 1, false, 0, "less than no credits");
	expect_rate(INT64_MAX, 1, 1, true, INT64_MAX, "the greatest");
	expect_rate(INT64_MAX, INT64_MAX, INT64_MAX, true, INT64_MAX,
				"a product of 126 bits comes down again");
	expect_rate(INT64_MAX, INT64_MAX, INT64_MAX - 1, false, 0, "one more than the greatest");
	expect_rate(INT64_MAX, INT64_MAX, 1, false, 0, "far too great");
	expect_rate(INT64_MAX - 1, INT64_MAX, INT64_MAX, true, INT64_MAX - 1, "one less");
	expect_rate(INT64_C(1) << 62, 2, 1, false, 0, "just 2^63");
	expect_rate(INT64_C(1) << 62, 4, 3, true, INT64_C(6148914691236517205), "beyond 64 bits on the way");
	expect_rate(1, 1, INT64_MAX, true, 0, "as little as can be");
	expect_rate(INT64_MAX, 1, INT64_MAX, true, 1, "one");
}

/* The floor by what defines it, with no division. */
static void
test_rate_by_chance(void)
{
	const __int128 beyond = (__int128) INT64_MAX + 1;
	int			wrong = 0;
	int			possible = 0;
	int			i;

	for (i = 0; i < 200000; i++)
	{
		int64_t		net = chance_number();
		int64_t		credits = chance_number();
		int64_t		per_amount = chance_number() | 1;
		__int128	product = (__int128) net * credits;
		int64_t		result;

		if (facts_rate(net, credits, per_amount, &result))
		{
			possible++;
			wrong += (__int128) result * per_amount > product ||
				((__int128) result + 1) * per_amount <= product;
		}
		else
			wrong += product < beyond * per_amount;
	}
	ok(wrong == 0 && possible > 1000 && possible < i - 1000,
	   "rate: by chance, %d of %d with a result", possible, i);
}

/*-------------------------------------------------------------------------
 * What an event is
 *-------------------------------------------------------------------------
 */
static void
test_names(void)
{
	static const char *const names[] = {
		"metadata", "client_reference_id", "customer_email", "customer_details_email",
		"customer"
	};
	int			source;

	for (source = 0; source < ACCOUNT_SOURCES; source++)
	{
		ok(same(account_source_name(source), names[source]), "source %s has its name",
		   names[source]);
		ok(account_source_is_email(source) == (strstr(names[source], "email") != NULL),
		   "source %s is an e-mail or not", names[source]);
	}
}

static void
test_kinds(void)
{
	begin(EVENT_KIND_OTHER);
	expect(FACTS_IGNORED, NULL, "another kind");
	set_livemode(FIELD_ABSENT, false);
	expect(FACTS_IGNORED, NULL, "another kind without livemode");
	begin(EVENT_KIND_KEPT);
	expect(FACTS_KEPT, NULL, "a kept kind");
	ok(reading.facts.payment_id == NULL && !reading.facts.paid, "a kept kind has no facts");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	expect(FACTS_PAID, NULL, "completed and paid");
	ok(reading.facts.paid && reading.facts.paid_at == CREATED &&
	   reading.facts.failed_at == FACTS_NO_TIME && reading.facts.expired_at == FACTS_NO_TIME,
	   "paid since the event, not failed, not expired");
	begin_session(EVENT_KIND_SESSION_ASYNC_SUCCEEDED);
	expect(FACTS_PAID, NULL, "paid later");
	ok(reading.facts.paid && reading.facts.paid_at == CREATED, "paid since then");
	begin_session(EVENT_KIND_SESSION_ASYNC_FAILED);
	set(&event.payment_status, "unpaid");
	expect(FACTS_CLOSED, NULL, "failed later");
	ok(!reading.facts.paid && reading.facts.failed_at == CREATED &&
	   reading.facts.paid_at == FACTS_NO_TIME && reading.facts.expired_at == FACTS_NO_TIME,
	   "failed since the event, not paid");
	event.created.state = FIELD_NULL;
	expect(FACTS_CLOSED, NULL, "failed at an unknown time");
	ok(reading.facts.failed_at == 0, "failed all the same");
	begin_session(EVENT_KIND_SESSION_EXPIRED);
	set(&event.payment_status, "unpaid");
	unset(&event.payment_intent, FIELD_NULL);
	expect(FACTS_CLOSED, NULL, "expired");
	ok(!reading.facts.paid && reading.facts.expired_at == CREATED &&
	   reading.facts.paid_at == FACTS_NO_TIME && reading.facts.failed_at == FACTS_NO_TIME,
	   "expired since the event, not paid");
	ok(same(reading.facts.payment_id, "cs_test_1"), "expired before there was an intent");

	/* what failed was not paid, whatever else its session says */
	begin_session(EVENT_KIND_SESSION_ASYNC_FAILED);
	expect(FACTS_CLOSED, NULL, "failed, though the session says paid");
	ok(!reading.facts.paid, "failed is not paid");
	begin_session(EVENT_KIND_SESSION_EXPIRED);
	unset_number(&event.amount_total, FIELD_BAD);
	unset(&event.client_reference_id, FIELD_ABSENT);
	expect(FACTS_CLOSED, NULL, "expired without amount and account");
}

static void
test_payment_status(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.payment_status, "no_payment_required");
	unset(&event.payment_intent, FIELD_NULL);
	set_number(&event.amount_total, 0);
	set_number(&event.amount_tax, 0);
	set_number(&event.amount_shipping, 0);
	expect(FACTS_PAID, NULL, "nothing had to be paid");
	ok(reading.facts.paid && same(reading.facts.payment_id, "cs_test_1"),
	   "then the session is the payment");
	ok(reading.facts.amount == 0 && reading.terms.net == 0, "of nothing");

	set(&event.payment_status, "unpaid");
	expect(FACTS_UNPAID, NULL, "unpaid");
	ok(!reading.facts.paid && reading.facts.paid_at == FACTS_NO_TIME, "unpaid is not paid");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "unpaid names its account");

	set(&event.payment_status, "refunded");
	expect(FACTS_PAID, "payment_status", "an unknown payment_status");
	ok(!reading.facts.paid, "an unknown payment_status is not paid");
	set(&event.payment_status, "");
	expect(FACTS_PAID, "payment_status", "an empty payment_status");
	set(&event.payment_status, "Paid");
	expect(FACTS_PAID, "payment_status", "a payment_status in another case");
	unset(&event.payment_status, FIELD_ABSENT);
	expect(FACTS_PAID, "payment_status", "no payment_status");
	unset(&event.payment_status, FIELD_NULL);
	expect(FACTS_PAID, "payment_status", "a null payment_status");
	unset(&event.payment_status, FIELD_BAD);
	expect(FACTS_PAID, "payment_status", "a payment_status that is no string");
	ok(!reading.facts.paid, "and is not paid");
}

static void
test_session_mode(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset(&event.mode, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "no mode is payment");
	unset(&event.mode, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null mode is payment");
	set(&event.mode, "setup");
	expect(FACTS_IGNORED, NULL, "setup");
	set_livemode(FIELD_ABSENT, false);
	expect(FACTS_IGNORED, NULL, "setup without livemode");
	set_livemode(FIELD_OK, false);
	set(&event.mode, "gift");
	expect(FACTS_UNUSABLE, "session mode", "an unknown mode");
	set(&event.mode, "");
	expect(FACTS_UNUSABLE, "session mode", "an empty mode");
	unset(&event.mode, FIELD_BAD);
	expect(FACTS_UNUSABLE, "session mode", "a mode that is no string");
}

/* A session's event without its session: somebody may have paid. */
static void
test_no_object(void)
{
	static const EventFieldState states[] = {FIELD_ABSENT, FIELD_NULL, FIELD_BAD};
	size_t		i;

	for (i = 0; i < lengthof(states); i++)
	{
		begin(EVENT_KIND_SESSION_COMPLETED);
		event.data_object = states[i];
		expect(FACTS_UNUSABLE, "id", "completed without a session");
		begin(EVENT_KIND_PAYMENT_SUCCEEDED);
		event.data_object = states[i];
		expect(FACTS_IGNORED, NULL, "succeeded without a payment intent");
	}
}

static void
test_session_facts(void)
{
	const Facts *facts = &reading.facts;
	const Terms *terms = &reading.terms;

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.payment_link, "plink_1");
	expect(FACTS_PAID, NULL, "a session");
	ok(same(facts->payment_id, "pi_1") && same(facts->session_id, "cs_test_1") &&
	   same(facts->customer_id, "cus_1") && same(facts->payment_link, "plink_1") &&
	   facts->subscription_id == NULL && facts->connected_account == NULL,
	   "a session's ids");
	ok(!facts->livemode && !reading.wrong_mode, "a session's mode");
	ok(facts->amount == 1290 && same(facts->currency, "eur"), "a session's amount");
	ok(terms->subtotal == 1000 && terms->net == 1000 && same(terms->currency, "eur") &&
	   same(terms->payment_link, "plink_1") && terms->rank == RANK_SESSION,
	   "a session's terms");
	ok(terms->pack_id == NULL && terms->unit_credits == 0 && terms->quantity == 0,
	   "nothing said of how much");
	ok(facts->credits_rank == RANK_NONE, "how much is for the catalogue to say");

	set(&event.customer, "");
	set(&event.payment_link, "");
	expect(FACTS_PAID, NULL, "empty ids");
	ok(facts->customer_id == NULL && facts->payment_link == NULL, "are none");
	unset(&event.customer, FIELD_BAD);
	unset(&event.payment_link, FIELD_BAD);
	expect(FACTS_PAID, NULL, "ids that are no strings");
	ok(facts->customer_id == NULL && facts->payment_link == NULL && terms->payment_link == NULL,
	   "are none either");
}

static void
test_times(void)
{
	static const struct
	{
		EventFieldState state;
		int64_t		created;
		int64_t		time;
		const char *name;
	}			times[] = {
		{FIELD_ABSENT, 0, FACTS_NO_TIME, "no created is no time"},
		{FIELD_NULL, 0, FACTS_NO_TIME, "a null created is no time"},
		{FIELD_BAD, 0, FACTS_NO_TIME, "a created that is no number is no time"},
		{FIELD_OK, -1, FACTS_NO_TIME, "before 1970 is no time"},
		{FIELD_OK, 0, 0, "1970 is a time"},
		{FIELD_OK, YEAR_10000 - 1, YEAR_10000 - 1, "the year 9999 is a time"},
		{FIELD_OK, YEAR_10000, FACTS_NO_TIME, "the year 10000 is no time"},
		{FIELD_OK, INT64_MAX, FACTS_NO_TIME, "the greatest number is no time"},
	};
	size_t		i;

	for (i = 0; i < lengthof(times); i++)
	{
		begin_session(EVENT_KIND_SESSION_COMPLETED);
		event.created.state = times[i].state;
		event.created.value = times[i].created;
		expect(FACTS_PAID, NULL, times[i].name);
		ok(reading.facts.paid && reading.facts.paid_at == times[i].time,
		   "paid all the same: %s", times[i].name);
	}
}

/*-------------------------------------------------------------------------
 * Ids
 *-------------------------------------------------------------------------
 */
static void
test_ids(void)
{
	char		longest[257];

	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "cs_", 3);
	longest[255] = '\0';

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.object_id, longest);
	expect(FACTS_PAID, NULL, "an id of 255 octets");
	longest[255] = 'x';
	longest[256] = '\0';
	set(&event.object_id, longest);
	expect(FACTS_UNUSABLE, "id", "an id of 256 octets");
	set(&event.object_id, "cs_AZaz09_");
	expect(FACTS_PAID, NULL, "every sort of octet in an id");
	set(&event.object_id, "cs_");
	expect(FACTS_UNUSABLE, "id", "no more than a prefix");
	set(&event.object_id, "pi_1");
	expect(FACTS_UNUSABLE, "id", "another's prefix");
	set(&event.object_id, "");
	expect(FACTS_UNUSABLE, "id", "an empty id");
	set(&event.object_id, "cs_1-");
	expect(FACTS_UNUSABLE, "id", "a hyphen in an id");
	set(&event.object_id, "cs_[");
	expect(FACTS_UNUSABLE, "id", "an octet between the cases in an id");
	set(&event.object_id, "cs_{");
	expect(FACTS_UNUSABLE, "id", "an octet after the letters in an id");
	set(&event.object_id, "cs_:");
	expect(FACTS_UNUSABLE, "id", "an octet after the digits in an id");
	set(&event.object_id, "cs_\xC3\xA9");
	expect(FACTS_UNUSABLE, "id", "an octet beyond ASCII in an id");
	unset(&event.object_id, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "no id");
	unset(&event.object_id, FIELD_NULL);
	expect(FACTS_UNUSABLE, "id", "a null id");
	unset(&event.object_id, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "an id that is no string");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset(&event.payment_intent, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "no payment intent");
	ok(same(reading.facts.payment_id, "cs_test_1"), "the session is the payment");
	set(&event.payment_intent, "");
	expect(FACTS_UNUSABLE, "id", "an empty payment intent");
	set(&event.payment_intent, "ch_1");
	expect(FACTS_UNUSABLE, "id", "a charge for a payment intent");
	unset(&event.payment_intent, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a payment intent that is no string");
	ok(!reading.facts.paid, "what cannot be told apart is not paid");
}

/*-------------------------------------------------------------------------
 * Amounts
 *-------------------------------------------------------------------------
 */
static void
test_amounts(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset_number(&event.amount_total, FIELD_ABSENT);
	expect(FACTS_PAID, "amount", "no amount_total");
	ok(reading.facts.paid && reading.facts.amount == FACTS_NO_AMOUNT &&
	   reading.facts.currency == NULL, "is paid, of an unknown amount");
	unset_number(&event.amount_total, FIELD_NULL);
	expect(FACTS_PAID, "amount", "a null amount_total");
	unset_number(&event.amount_total, FIELD_BAD);
	expect(FACTS_PAID, "amount", "an amount_total that is no whole number");
	set_number(&event.amount_total, -1);
	expect(FACTS_PAID, "amount", "a negative amount_total");
	set_number(&event.amount_total, INT64_MAX);
	expect(FACTS_PAID, NULL, "the greatest amount_total");
	ok(reading.terms.net == INT64_MAX - 290, "without tax and shipping");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset_number(&event.amount_subtotal, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "no amount_subtotal");
	ok(reading.terms.subtotal == FACTS_NO_AMOUNT, "is unknown");
	unset_number(&event.amount_subtotal, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null amount_subtotal");
	ok(reading.terms.subtotal == FACTS_NO_AMOUNT, "is unknown");
	unset_number(&event.amount_subtotal, FIELD_BAD);
	expect(FACTS_PAID, "amount", "an amount_subtotal that is no whole number");
	set_number(&event.amount_subtotal, -1);
	expect(FACTS_PAID, "amount", "a negative amount_subtotal");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset_number(&event.amount_tax, FIELD_ABSENT);
	unset_number(&event.amount_shipping, FIELD_NULL);
	expect(FACTS_PAID, NULL, "neither tax nor shipping");
	ok(reading.terms.net == 1290, "takes nothing off");
	set_number(&event.amount_tax, -1);
	expect(FACTS_PAID, "amount", "a negative tax");
	unset_number(&event.amount_tax, FIELD_BAD);
	expect(FACTS_PAID, "amount", "a tax that is no whole number");
	set_number(&event.amount_tax, 1290);
	expect(FACTS_PAID, NULL, "nothing but tax");
	ok(reading.terms.net == 0, "is worth nothing");
	set_number(&event.amount_tax, 1291);
	expect(FACTS_PAID, "amount", "more tax than money");
	set_number(&event.amount_tax, 190);
	set_number(&event.amount_shipping, -1);
	expect(FACTS_PAID, "amount", "a negative shipping");
	unset_number(&event.amount_shipping, FIELD_BAD);
	expect(FACTS_PAID, "amount", "a shipping that is no whole number");
	set_number(&event.amount_shipping, 1101);
	expect(FACTS_PAID, "amount", "more tax and shipping than money");
	set_number(&event.amount_total, 0);
	set_number(&event.amount_tax, INT64_MAX);
	set_number(&event.amount_shipping, INT64_MAX);
	expect(FACTS_PAID, "amount", "as much tax and shipping as can be");
}

static void
test_currencies(void)
{
	static const char *const wrong[] = {"", "us", "usdx", "USD", "u$d", "us1", "`sd", "us{"};
	size_t		i;

	for (i = 0; i < lengthof(wrong); i++)
	{
		begin_session(EVENT_KIND_SESSION_COMPLETED);
		set(&event.currency, wrong[i]);
		expect(FACTS_PAID, "currency", "no currency of three lower-case letters");
		ok(reading.facts.amount == FACTS_NO_AMOUNT, "then no amount either");
	}
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset(&event.currency, FIELD_ABSENT);
	expect(FACTS_PAID, "currency", "no currency");
	unset(&event.currency, FIELD_NULL);
	expect(FACTS_PAID, "currency", "a null currency");
	unset(&event.currency, FIELD_BAD);
	expect(FACTS_PAID, "currency", "a currency that is no string");
	set(&event.currency, "azz");
	expect(FACTS_PAID, NULL, "the first and the last letter");
}

static void
test_conversion(void)
{
	const Terms *terms = &reading.terms;

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	event.currency_conversion = FIELD_NULL;
	expect(FACTS_PAID, NULL, "a null conversion");
	ok(same(terms->currency, "eur") && terms->net == 1000, "is none");
	event.currency_conversion = FIELD_BAD;
	unset(&event.source_currency, FIELD_BAD);
	unset_number(&event.source_subtotal, FIELD_BAD);
	unset_number(&event.source_total, FIELD_BAD);
	expect(FACTS_PAID, "currency_conversion", "a conversion that is no object");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set_conversion("usd", 1100, 1419);
	expect(FACTS_PAID, NULL, "a conversion");
	ok(same(terms->currency, "usd") && terms->subtotal == 1100 && terms->net == 1100,
	   "sells in the seller's currency, without tax and shipping");
	ok(reading.facts.amount == 1290 && same(reading.facts.currency, "eur"),
	   "what was paid stays the buyer's");
	set_conversion("usd", 1100, 1420);
	expect(FACTS_PAID, NULL, "a conversion that leaves a rest");
	ok(terms->net == 1100, "is floored");
	unset_number(&event.source_subtotal, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a conversion without subtotal");
	ok(terms->subtotal == FACTS_NO_AMOUNT && terms->net == 1100, "has none");
	unset_number(&event.source_subtotal, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "the same, absent");
	unset_number(&event.source_subtotal, FIELD_BAD);
	expect(FACTS_PAID, "currency_conversion", "a converted subtotal that is no whole number");
	set_conversion("usd", -1, 1419);
	expect(FACTS_PAID, "currency_conversion", "a negative converted subtotal");
	set_conversion("usd", 1100, -1);
	expect(FACTS_PAID, "currency_conversion", "a negative converted total");
	unset_number(&event.source_total, FIELD_NULL);
	expect(FACTS_PAID, "currency_conversion", "a null converted total");
	set_conversion("USD", 1100, 1419);
	expect(FACTS_PAID, "currency_conversion", "a converted currency in capitals");
	unset(&event.source_currency, FIELD_ABSENT);
	expect(FACTS_PAID, "currency_conversion", "a conversion without currency");

	set_conversion("usd", 1, INT64_MAX);
	expect(FACTS_PAID, NULL, "the greatest conversion");
	ok(terms->net == (int64_t) ((__int128) INT64_MAX * 1000 / 1290), "goes through 128 bits");
	set_number(&event.amount_total, INT64_MAX);
	set_number(&event.amount_tax, 0);
	set_number(&event.amount_shipping, 0);
	expect(FACTS_PAID, NULL, "the greatest conversion of the greatest amount");
	ok(terms->net == INT64_MAX, "is itself");
	set_number(&event.amount_total, 0);
	expect(FACTS_PAID, NULL, "a conversion of nothing");
	ok(terms->net == 0, "is nothing, and divides nothing by zero");
}

/*-------------------------------------------------------------------------
 * Whose
 *-------------------------------------------------------------------------
 */
static void
test_accounts(void)
{
	static const AccountSource all[] = {
		ACCOUNT_FROM_CUSTOMER_DETAILS_EMAIL, ACCOUNT_FROM_CUSTOMER_EMAIL,
		ACCOUNT_FROM_CUSTOMER, ACCOUNT_FROM_METADATA, ACCOUNT_FROM_CLIENT_REFERENCE_ID
	};
	EventString *const fields[] = {
		&event.customer_details_email, &event.customer_email, &event.customer,
		&event.meta_account, &event.client_reference_id
	};
	size_t		i;
	size_t		j;

	/* in the order of the policy, from the last to the first */
	for (i = lengthof(all); i-- > 0;)
	{
		begin_session(EVENT_KIND_SESSION_COMPLETED);
		policy.account_from = all;
		policy.n_account_from = lengthof(all);
		for (j = 0; j < i; j++)
			unset(fields[j], j % 2 ? FIELD_NULL : FIELD_ABSENT);
		for (j = i; j < lengthof(all); j++)
			set(fields[j], account_source_name(all[j]));
		expect(FACTS_PAID, NULL, "the first source that is there decides");
		expect_account(RANK_SESSION, account_source_name(all[i]), account_source_name(all[i]),
					   account_source_name(all[i]));
		ok(reading.account_source == all[i], "and is known");

		set(fields[i], "");
		expect(FACTS_PAID, i + 1 < lengthof(all) ? NULL : "account", "an empty one names nobody");
		if (i + 1 < lengthof(all))
			expect_account(RANK_SESSION, account_source_name(all[i + 1]),
						   account_source_name(all[i + 1]), "the next decides");
		unset(fields[i], FIELD_BAD);
		expect(FACTS_PAID, "account", "one that is no string decides all the same");
		expect_account(RANK_NONE, NULL, NULL, "and names nobody");
	}

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	policy.n_account_from = 0;
	expect(FACTS_PAID, "account", "no source at all");
	ok(reading.facts.paid && reading.facts.amount == 1290, "the other facts are kept");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.meta_account, "bob");
	policy.account_from = default_sources + 1;
	policy.n_account_from = 1;
	expect(FACTS_PAID, NULL, "metadata that nobody asked for");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "do not count");
	set(&event.meta_install, INSTALL);
	expect(FACTS_PAID, NULL, "our own metadata");
	expect_account(RANK_SESSION, "bob", "metadata", "count before everything");
	set(&event.meta_account, "");
	expect(FACTS_PAID, NULL, "our own metadata with an empty account");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "leave it to the policy");
	unset(&event.meta_account, FIELD_BAD);
	expect(FACTS_PAID, "account", "our own metadata with an account that is no string");

	/* an account is as it stands there: what it may be is for others to say */
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.client_reference_id, " Alice ");
	expect(FACTS_PAID, NULL, "a name");
	expect_account(RANK_SESSION, " Alice ", "client_reference_id", "comes as it is");
}

/*-------------------------------------------------------------------------
 * How much
 *-------------------------------------------------------------------------
 */
static void
test_count(EventString *field, const char *reason)
{
	static const char *const wrong[] = {
		"", "0", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1a", ":", "/",
		"9223372036854775808", "9223372036854775810", "92233720368547758070",
		"99999999999999999999999999999999"
	};
	size_t		i;

	for (i = 0; i < lengthof(wrong); i++)
	{
		char		name[64];

		set(field, wrong[i]);
		snprintf(name, sizeof(name), "%s of \"%s\"", reason, wrong[i]);
		expect(FACTS_PAID, reason, name);
	}
	unset(field, FIELD_BAD);
	expect(FACTS_PAID, reason, "a number instead of a string");
	unset(field, FIELD_NULL);
	expect(FACTS_PAID, NULL, "null is not said");
	set(field, "9223372036854775807");
	expect(FACTS_PAID, NULL, "the greatest number");
}

static void
test_metadata(void)
{
	const Terms *terms = &reading.terms;

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.meta_pack, "starter");
	set(&event.meta_credits, "100");
	set(&event.meta_quantity, "3");
	expect(FACTS_PAID, NULL, "all of our metadata");
	ok(same(terms->pack_id, "starter") && terms->unit_credits == 100 && terms->quantity == 3 &&
	   terms->rank == RANK_SESSION, "are the terms");
	set(&event.meta_pack, "");
	expect(FACTS_PAID, "pack", "an empty pack");
	unset(&event.meta_pack, FIELD_BAD);
	expect(FACTS_PAID, "pack", "a pack that is no string");
	unset(&event.meta_pack, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null pack");

	test_count(&event.meta_credits, "credits");
	ok(terms->unit_credits == INT64_MAX, "credits are that many");
	test_count(&event.meta_quantity, "quantity");
	ok(terms->quantity == INT64_MAX, "quantity is that many");
}

/*-------------------------------------------------------------------------
 * Subscriptions
 *-------------------------------------------------------------------------
 */
static void
test_subscriptions(void)
{
	const Facts *facts = &reading.facts;

	begin_subscription();
	expect(FACTS_SUBSCRIPTION, NULL, "a subscription's session");
	ok(same(facts->payment_id, "sub_1") && same(facts->subscription_id, "sub_1") &&
	   same(facts->session_id, "cs_test_1") && same(facts->customer_id, "cus_1"),
	   "a subscription's ids");
	ok(!facts->paid && facts->paid_at == FACTS_NO_TIME && facts_due(facts) == 0,
	   "a subscription's session pays for nothing");
	ok(facts->amount == 900 && same(facts->currency, "usd") &&
	   same(reading.terms.pack_id, "pro"), "what is sold");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "whose it is");

	unset(&event.client_reference_id, FIELD_NULL);
	expect(FACTS_SUBSCRIPTION, "account", "nobody's subscription");
	set(&event.meta_account, "bob");
	expect(FACTS_SUBSCRIPTION, NULL, "a subscription by metadata");
	expect_account(RANK_SESSION, "bob", "metadata", "is his");

	begin_subscription();
	set(&event.meta_unit_amount, "0");
	expect(FACTS_SUBSCRIPTION, NULL, "a unit amount of nothing");
	ok(facts->amount == FACTS_NO_AMOUNT && facts->currency == NULL, "is not said");
	begin_subscription();
	set(&event.meta_currency, "USD");
	expect(FACTS_SUBSCRIPTION, NULL, "a unit amount in no currency");
	ok(facts->amount == FACTS_NO_AMOUNT && facts->currency == NULL, "is not said either");

	begin_subscription();
	set(&event.subscription, "su_1");
	expect(FACTS_UNUSABLE, "id", "a subscription with another id");
	unset(&event.subscription, FIELD_NULL);
	expect(FACTS_UNUSABLE, "id", "a subscription without id");
	begin_subscription();
	unset(&event.object_id, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a subscription's session without id");

	begin_subscription();
	event.kind = EVENT_KIND_SESSION_EXPIRED;
	expect(FACTS_IGNORED, NULL, "a subscription's session expired");
	event.kind = EVENT_KIND_SESSION_ASYNC_FAILED;
	expect(FACTS_IGNORED, NULL, "a subscription's session failed");
	event.kind = EVENT_KIND_SESSION_ASYNC_SUCCEEDED;
	expect(FACTS_SUBSCRIPTION, NULL, "a subscription's session succeeded later");
}

/*-------------------------------------------------------------------------
 * Payment intents
 *-------------------------------------------------------------------------
 */
static void
test_intents(void)
{
	EventString *const ours[] = {
		&event.meta_install, &event.meta_account, &event.meta_pack, &event.meta_credits
	};
	const Facts *facts = &reading.facts;
	const Terms *terms = &reading.terms;
	size_t		i;

	begin_intent();
	expect(FACTS_PAID, NULL, "our payment intent");
	ok(same(facts->payment_id, "pi_1") && same(facts->customer_id, "cus_1") &&
	   facts->session_id == NULL && facts->paid && facts->paid_at == CREATED,
	   "is paid");
	ok(facts->amount == 1290 && same(facts->currency, "eur") && terms->subtotal == 1290 &&
	   terms->net == 1290 && same(terms->currency, "eur") && same(terms->pack_id, "pro") &&
	   terms->rank == RANK_INTENT && terms->payment_link == NULL,
	   "an intent's terms");
	expect_account(RANK_INTENT, "alice", "metadata", "whose it is");
	policy.account_from = default_sources + 1;
	policy.n_account_from = 1;
	expect(FACTS_PAID, NULL, "whatever the policy says of sessions");

	begin_intent();
	for (i = 0; i < lengthof(ours); i++)
		unset(ours[i], i % 2 ? FIELD_NULL : FIELD_ABSENT);
	expect(FACTS_IGNORED, NULL, "somebody else's payment intent");
	set(&event.meta_quantity, "2");
	expect(FACTS_IGNORED, NULL, "a quantity alone makes it none of ours");
	set_livemode(FIELD_BAD, false);
	expect(FACTS_IGNORED, NULL, "the same without livemode");
	set_livemode(FIELD_OK, false);
	set(&event.meta_pack, "pro");
	expect(FACTS_PAID, "account", "ours by the pack, but nobody's");
	ok(facts->paid, "is paid");
	unset(&event.meta_pack, FIELD_ABSENT);
	set(&event.meta_credits, "5");
	expect(FACTS_PAID, "account", "ours by the credits, but nobody's");
	set(&event.meta_account, "alice");
	expect(FACTS_PAID, NULL, "account and credits are enough");
	ok(terms->unit_credits == 5 && terms->quantity == 2, "for so many");
	unset(&event.meta_credits, FIELD_ABSENT);
	expect(FACTS_PAID, "credits", "ours by the account, but for how much");
	unset(&event.meta_account, FIELD_ABSENT);
	set(&event.meta_install, INSTALL);
	expect(FACTS_PAID, "credits", "ours by the install alone: its terms are no good");
	unset(&event.meta_account, FIELD_BAD);
	expect(FACTS_PAID, "credits", "the same with an account that is no string");
	set(&event.meta_credits, "5");
	expect(FACTS_PAID, "account", "an account that is no string");

	begin_intent();
	unset(&event.status, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "an intent without status");
	ok(facts->paid, "is paid, as its type says");
	unset(&event.status, FIELD_NULL);
	expect(FACTS_PAID, NULL, "an intent with a null status");
	set(&event.status, "processing");
	expect(FACTS_PAID, "status", "an intent that did not succeed");
	ok(!facts->paid && facts->paid_at == FACTS_NO_TIME, "is not paid");
	unset(&event.status, FIELD_BAD);
	expect(FACTS_PAID, "status", "a status that is no string");
	ok(!facts->paid, "is not paid either");

	begin_intent();
	set(&event.object_id, "cs_1");
	expect(FACTS_UNUSABLE, "id", "an intent with a session's id");
	begin_intent();
	unset_number(&event.amount, FIELD_NULL);
	expect(FACTS_PAID, "amount", "an intent without amount");
	ok(facts->paid && facts->amount == FACTS_NO_AMOUNT, "is paid");
	set_number(&event.amount, -1);
	expect(FACTS_PAID, "amount", "an intent of a negative amount");
	set_number(&event.amount, 5);
	set(&event.currency, "EUR");
	expect(FACTS_PAID, "currency", "an intent in capitals");
}

/*-------------------------------------------------------------------------
 * Policies
 *-------------------------------------------------------------------------
 */
static void
test_install(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.meta_install, INSTALL);
	expect(FACTS_PAID, NULL, "our install");
	set(&event.meta_install, INSTALL_UPPER);
	expect(FACTS_PAID, NULL, "our install in capitals");
	policy.install_id = INSTALL_UPPER;
	set(&event.meta_install, INSTALL);
	expect(FACTS_PAID, NULL, "our install, where ours is in capitals");
	unset(&event.meta_install, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null install");
	set(&event.meta_install, INSTALL_OTHER);
	expect(FACTS_IGNORED, NULL, "another install's session");
	set(&event.meta_install, "");
	expect(FACTS_IGNORED, NULL, "an empty install");
	set(&event.meta_install, INSTALL " ");
	expect(FACTS_IGNORED, NULL, "our install and more");

	/* what is no string is nobody's install, and the money is there */
	unset(&event.meta_install, FIELD_BAD);
	expect(FACTS_PAID, "install", "an install that is no string");
	begin_subscription();
	unset(&event.meta_install, FIELD_BAD);
	expect(FACTS_SUBSCRIPTION, "install", "a subscription's install that is no string");
	begin_intent();
	unset(&event.meta_install, FIELD_BAD);
	expect(FACTS_PAID, "install", "a payment intent's install that is no string");

	begin_subscription();
	set(&event.meta_install, INSTALL_OTHER);
	expect(FACTS_IGNORED, NULL, "another install's subscription");
	begin_intent();
	set(&event.meta_install, INSTALL_OTHER);
	expect(FACTS_IGNORED, NULL, "another install's payment intent");
}

static void
test_livemode(void)
{
	static const EventFieldState states[] = {FIELD_ABSENT, FIELD_NULL, FIELD_BAD};
	size_t		i;

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set_livemode(FIELD_OK, true);
	expect(FACTS_PAID, NULL, "live in test");
	ok(reading.wrong_mode && reading.facts.livemode, "is the wrong mode");
	policy.live = true;
	expect(FACTS_PAID, NULL, "live in live");
	ok(!reading.wrong_mode && reading.facts.livemode, "is the right mode");
	set_livemode(FIELD_OK, false);
	expect(FACTS_IGNORED, NULL, "test in live");
	policy.live = false;
	expect(FACTS_PAID, NULL, "test in test");
	ok(!reading.wrong_mode && !reading.facts.livemode, "is the right mode");

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.payment_status, "unpaid");
	set_livemode(FIELD_OK, true);
	expect(FACTS_UNPAID, NULL, "live and unpaid in test");
	ok(reading.wrong_mode, "is the wrong mode");
	begin_subscription();
	set_livemode(FIELD_OK, true);
	expect(FACTS_SUBSCRIPTION, NULL, "a live subscription in test");
	ok(reading.wrong_mode, "is the wrong mode");
	begin_intent();
	set_livemode(FIELD_OK, true);
	expect(FACTS_PAID, NULL, "a live payment intent in test");
	ok(reading.wrong_mode, "is the wrong mode");

	begin(EVENT_KIND_KEPT);
	policy.live = true;
	expect(FACTS_IGNORED, NULL, "a kept kind of test in live");
	set_livemode(FIELD_ABSENT, false);
	expect(FACTS_KEPT, NULL, "a kept kind without livemode");

	for (i = 0; i < lengthof(states); i++)
	{
		begin_session(EVENT_KIND_SESSION_COMPLETED);
		set_livemode(states[i], false);
		expect(FACTS_UNUSABLE, "livemode", "paid without livemode");
		ok(!reading.wrong_mode, "is in no mode");
		policy.live = true;
		expect(FACTS_UNUSABLE, "livemode", "paid without livemode in live");
		unset(&event.client_reference_id, FIELD_ABSENT);
		expect(FACTS_UNUSABLE, "livemode", "paid without livemode and account");
		begin_intent();
		set_livemode(states[i], false);
		expect(FACTS_UNUSABLE, "livemode", "a payment intent without livemode");
	}
}

static void
test_connected_accounts(void)
{
	static char *connected[] = {"acct_1", "acct_2"};

	begin_session(EVENT_KIND_SESSION_COMPLETED);
	unset(&event.account, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null account of Connect");
	ok(reading.facts.connected_account == NULL, "is none");
	set(&event.account, "acct_2");
	expect(FACTS_IGNORED, NULL, "an account of Connect that nobody listed");
	policy.connected_accounts = connected;
	policy.n_connected_accounts = lengthof(connected);
	expect(FACTS_PAID, NULL, "an account of Connect that is listed");
	ok(same(reading.facts.connected_account, "acct_2"), "is known");
	set(&event.account, "acct_1");
	expect(FACTS_PAID, NULL, "the other one");
	set(&event.account, "acct_");
	expect(FACTS_IGNORED, NULL, "a part of one");
	set(&event.account, "acct_11");
	expect(FACTS_IGNORED, NULL, "one and more");
	set(&event.account, "ACCT_1");
	expect(FACTS_IGNORED, NULL, "one in capitals");
	set(&event.account, "");
	expect(FACTS_IGNORED, NULL, "an empty account of Connect");
	unset(&event.account, FIELD_BAD);
	expect(FACTS_IGNORED, NULL, "an account of Connect that is no string");
	unset(&event.account, FIELD_ABSENT);
	expect(FACTS_PAID, NULL, "no account of Connect, though some are listed");
	begin(EVENT_KIND_KEPT);
	set(&event.account, "acct_1");
	expect(FACTS_IGNORED, NULL, "a kept kind of another account");
	policy.connected_accounts = connected;
	policy.n_connected_accounts = lengthof(connected);
	expect(FACTS_KEPT, NULL, "a kept kind of a listed account");
}

/*-------------------------------------------------------------------------
 * Merging
 *-------------------------------------------------------------------------
 */
/* What merging is about, field by field; payment_id and livemode never differ. */
static bool
facts_equal(const Facts *a, const Facts *b)
{
	return same(a->payment_id, b->payment_id) && a->livemode == b->livemode &&
		same(a->connected_account, b->connected_account) &&
		same(a->session_id, b->session_id) &&
		same(a->subscription_id, b->subscription_id) &&
		same(a->customer_id, b->customer_id) && same(a->payment_link, b->payment_link) &&
		a->amount == b->amount && same(a->currency, b->currency) && a->paid == b->paid &&
		a->paid_at == b->paid_at && a->failed_at == b->failed_at &&
		a->expired_at == b->expired_at && a->account_rank == b->account_rank &&
		same(a->account_id, b->account_id) && same(a->account_from, b->account_from) &&
		a->credits_rank == b->credits_rank && a->credits == b->credits &&
		same(a->pack_id, b->pack_id) && same(a->terms, b->terms) &&
		same(a->priority, b->priority) && same(a->expires_after, b->expires_after);
}

static void
show_facts(const char *name, const Facts *facts)
{
	printf("# %s: %s %s %s %s %s, %lld %s, %s since %lld, failed %lld, expired %lld,\n"
		   "#   account %d %s from %s, credits %d %lld, pack %s, terms %s, lot %s %s\n",
		   name, shown(facts->connected_account), shown(facts->session_id),
		   shown(facts->subscription_id), shown(facts->customer_id),
		   shown(facts->payment_link), (long long) facts->amount, shown(facts->currency),
		   facts->paid ? "paid" : "unpaid", (long long) facts->paid_at,
		   (long long) facts->failed_at, (long long) facts->expired_at,
		   (int) facts->account_rank, shown(facts->account_id), shown(facts->account_from),
		   (int) facts->credits_rank, (long long) facts->credits, shown(facts->pack_id),
		   shown(facts->terms), shown(facts->priority), shown(facts->expires_after));
}

static void
begin_facts(Facts *facts)
{
	facts_init(facts);
	facts->payment_id = "pi_1";
}

/* Set n to any of the 13 ways of whose: nobody's, or a rank, a name, a field. */
#define N_ACCOUNTS	13

static void
choose_account(Facts *facts, size_t n)
{
	static const char *const names[] = {"a", "b"};
	static const char *const sources[] = {"customer", "metadata"};

	if (n == 0)
		return;
	n--;
	facts->account_rank = RANK_PERSON + n / 4;
	facts->account_id = names[n / 2 % 2];
	facts->account_from = sources[n % 2];
}

/*
 * Set n to any of the 16 ways of how much: not said, or a rank and one of its
 * terms.  Terms say which rank they are of and, because the catalogue stays
 * what it is, all the rest; but different terms may come to the same credits,
 * and even to none.
 */
#define N_CREDITS	16

static void
choose_credits(Facts *facts, size_t n)
{
	static const char *const terms[][3] = {
		{"resolve b", "resolve a", "resolve c"},
		{"session b", "session a", "session c"},
		{"intent b", "intent a", "intent c"},
		{"link b", "link a", "link c"},
		{"rate b", "rate a", "rate c"},
	};
	static const struct
	{
		int64_t		credits;
		const char *pack_id;
		const char *priority;
		const char *expires_after;
	}			ways[] = {
		{7, "p1", NULL, NULL},
		{5, "p2", "1", "1 year"},
		{5, NULL, "2", NULL},
	};

	if (n == 0)
		return;
	n--;
	facts->credits_rank = RANK_PERSON + n / 3;
	facts->terms = terms[n / 3][n % 3];
	facts->credits = facts->credits_rank == RANK_RATE ? 0 : ways[n % 3].credits;
	facts->pack_id = ways[n % 3].pack_id;
	facts->priority = ways[n % 3].priority;
	facts->expires_after = ways[n % 3].expires_after;
}

static const char *
any_string(void)
{
	static const char *const strings[] = {NULL, "", "a", "ab", "b"};

	return strings[chance_below(lengthof(strings))];
}

static int64_t
any_time(void)
{
	static const int64_t times[] = {FACTS_NO_TIME, 0, 1, YEAR_10000 - 1};

	return times[chance_below(lengthof(times))];
}

static void
any_facts(Facts *facts)
{
	static const int64_t amounts[] = {FACTS_NO_AMOUNT, 0, 1, INT64_MAX};
	static const char *const currencies[] = {"aud", "eur", "usd"};

	begin_facts(facts);
	facts->connected_account = any_string();
	/* a payment has one session, if any */
	facts->session_id = chance_below(2) ? "cs_1" : NULL;
	facts->subscription_id = any_string();
	facts->customer_id = any_string();
	facts->payment_link = any_string();
	facts->amount = amounts[chance_below(lengthof(amounts))];
	/* an amount and its currency are said together or not at all */
	facts->currency = facts->amount == FACTS_NO_AMOUNT ? NULL :
		currencies[chance_below(lengthof(currencies))];
	facts->paid = chance_below(2);
	facts->paid_at = any_time();
	facts->failed_at = any_time();
	facts->expired_at = any_time();
	choose_account(facts, chance_below(N_ACCOUNTS));
	choose_credits(facts, chance_below(N_CREDITS));
}

/* The laws that a merge has broken, each shown once. */
typedef enum Law
{
	LAW_COMMUTES,
	LAW_ASSOCIATES,
	LAW_IDEMPOTENT,
	LAW_IDENTITY,
	LAW_SAYS_CHANGED,
	LAWS
} Law;

static const char *const law_names[LAWS] = {
	"commutes", "associates", "is idempotent", "leaves what is unknown", "says what changed"
};

static int	broken[LAWS];

static void
demand(Law law, bool holds, const Facts *a, const Facts *b, const Facts *c)
{
	if (holds || broken[law]++ > 0)
		return;
	printf("# merging, which %s, does not with\n", law_names[law]);
	show_facts("a", a);
	show_facts("b", b);
	show_facts("c", c);
}

/* a and b merged; the operands stay, and whether a changed is told truly. */
static Facts
merged(const Facts *a, const Facts *b)
{
	Facts		result = *a;
	Facts		news = *b;
	bool		changed = facts_merge(&result, &news);

	demand(LAW_SAYS_CHANGED,
		   changed == !facts_equal(&result, a) && facts_equal(&news, b), a, b, b);
	return result;
}

static void
try_laws(const Facts *a, const Facts *b, const Facts *c)
{
	Facts		nothing;
	Facts		ab = merged(a, b);
	Facts		ba = merged(b, a);
	Facts		bc = merged(b, c);
	Facts		ab_c = merged(&ab, c);
	Facts		a_bc = merged(a, &bc);
	Facts		aa = merged(a, a);
	Facts		abb = merged(&ab, b);
	Facts		aba = merged(&ab, a);
	Facts		a0;
	Facts		b0;

	begin_facts(&nothing);
	a0 = merged(a, &nothing);
	b0 = merged(&nothing, b);
	demand(LAW_COMMUTES, facts_equal(&ab, &ba), a, b, c);
	demand(LAW_ASSOCIATES, facts_equal(&ab_c, &a_bc), a, b, c);
	demand(LAW_IDEMPOTENT, facts_equal(&aa, a) && facts_equal(&abb, &ab) &&
		   facts_equal(&aba, &ab), a, b, c);
	demand(LAW_IDENTITY, facts_equal(&a0, a) && facts_equal(&b0, b), a, b, c);
}

static void
expect_laws(const char *over, long triples)
{
	int			law;

	for (law = 0; law < LAWS; law++)
		ok(broken[law] == 0, "merging %s: %s, %ld triples", law_names[law], over, triples);
	memset(broken, 0, sizeof(broken));
}

static void
test_all_of(void (*choose) (Facts *facts, size_t n), size_t count, const char *over)
{
	Facts		facts[3];
	size_t		n;
	size_t		i;

	for (n = 0; n < count * count * count; n++)
	{
		size_t		rest = n;

		for (i = 0; i < lengthof(facts); i++)
		{
			begin_facts(&facts[i]);
			choose(&facts[i], rest % count);
			rest /= count;
		}
		try_laws(&facts[0], &facts[1], &facts[2]);
	}
	expect_laws(over, (long) n);
}

static void
test_laws_by_chance(void)
{
	Facts		facts[3];
	long		n;

	for (n = 0; n < 100000; n++)
	{
		any_facts(&facts[0]);
		any_facts(&facts[1]);
		any_facts(&facts[2]);
		try_laws(&facts[0], &facts[1], &facts[2]);
	}
	expect_laws("everything by chance", n);
}

#define MAX_EVENTS	5

/* Every order of what is left, from 'from' on, must come to the same. */
static long
try_orders(const Facts **order, size_t from, size_t count, const Facts *expected, long *wrong)
{
	Facts		result;
	long		orders = 0;
	size_t		i;

	if (from == count)
	{
		begin_facts(&result);
		for (i = 0; i < count; i++)
		{
			facts_merge(&result, order[i]);
			/* and one of those before once more */
			facts_merge(&result, order[chance_below(i + 1)]);
		}
		*wrong += !facts_equal(&result, expected) ||
			facts_due(&result) != facts_due(expected) ||
			facts_known(&result) != facts_known(expected);
		return 1;
	}
	for (i = from; i < count; i++)
	{
		const Facts *here = order[from];

		order[from] = order[i];
		order[i] = here;
		orders += try_orders(order, from + 1, count, expected, wrong);
		order[i] = order[from];
		order[from] = here;
	}
	return orders;
}

static void
test_convergence(void)
{
	Facts		facts[MAX_EVENTS];
	const Facts *order[MAX_EVENTS];
	Facts		expected;
	long		orders = 0;
	long		wrong = 0;
	size_t		count;
	size_t		i;
	int			round;

	for (round = 0; round < 2000; round++)
		for (count = 1; count <= MAX_EVENTS; count++)
		{
			begin_facts(&expected);
			for (i = 0; i < count; i++)
			{
				any_facts(&facts[i]);
				order[i] = &facts[i];
				facts_merge(&expected, &facts[i]);
			}
			orders += try_orders(order, 0, count, &expected, &wrong);
		}
	ok(wrong == 0, "up to %d events converge, in %ld orders, %ld wrong", MAX_EVENTS, orders, wrong);
}

/* What merging decides, beyond that it always decides the same. */
static void
test_merge_rules(void)
{
	Facts		a;
	Facts		b;
	int			rank;

	for (rank = RANK_SESSION; rank <= RANK_RATE; rank++)
	{
		begin_facts(&a);
		begin_facts(&b);
		a.account_rank = b.account_rank = rank;
		a.account_id = "z";
		b.account_id = "a";
		a.account_from = b.account_from = "metadata";
		a.account_rank = rank - 1;
		ok(!facts_merge(&a, &b) && same(a.account_id, "z"), "rank %d names nobody new", rank);
		a.account_rank = rank;
		ok(facts_merge(&a, &b) && same(a.account_id, "a"), "in a rank the smallest name");
		b.account_rank = rank - 1;
		b.account_id = "z";
		ok(facts_merge(&a, &b) && same(a.account_id, "z"), "rank %d is believed before it",
		   rank - 1);

		a.credits_rank = rank;
		a.credits = 1;
		a.terms = "t";
		b.credits_rank = rank - 1;
		b.credits = 100;
		b.terms = "u";
		b.pack_id = "p";
		b.priority = "1";
		b.expires_after = "1 day";
		ok(facts_merge(&a, &b) && a.credits == 100 && same(a.terms, "u") &&
		   same(a.pack_id, "p") && same(a.priority, "1") && same(a.expires_after, "1 day"),
		   "credits of rank %d come with all that belongs to them", rank - 1);
		b.credits_rank = rank;
		b.credits = 1;
		b.terms = "t";
		ok(!facts_merge(&a, &b) && a.credits == 100, "credits of rank %d change nothing", rank);
	}

	begin_facts(&a);
	begin_facts(&b);
	a.credits_rank = b.credits_rank = RANK_RATE;
	a.terms = b.terms = "t";
	a.credits = 5;
	b.credits = 4;
	ok(!facts_merge(&a, &b) && a.credits == 5, "the same terms are not computed again for fewer");
	b.credits = 6;
	ok(!facts_merge(&a, &b) && a.credits == 5, "nor for more");
	b.credits_rank = RANK_LINK;
	ok(!facts_merge(&a, &b) && a.credits == 5 && a.credits_rank == RANK_RATE,
	   "nor because the payment link has come to sell a pack");
	b.credits_rank = RANK_RATE;
	b.terms = "u";
	ok(!facts_merge(&a, &b) && a.credits == 5, "other terms for more change nothing");
	b.credits = 4;
	ok(facts_merge(&a, &b) && a.credits == 4, "other terms for fewer do");
}

static void
test_due(void)
{
	Facts		facts;

	memset(&facts, 0x55, sizeof(facts));
	begin_facts(&facts);
	ok(facts_due(&facts) == 0 && !facts_known(&facts), "of nothing nothing is due");
	ok(facts.amount == FACTS_NO_AMOUNT && facts.paid_at == FACTS_NO_TIME && !facts.paid &&
	   facts.failed_at == FACTS_NO_TIME && facts.expired_at == FACTS_NO_TIME &&
	   facts.account_id == NULL && facts.terms == NULL, "nothing is known at first");
	choose_credits(&facts, 4);
	ok(facts_due(&facts) == 0 && !facts_known(&facts), "unpaid: nothing is due");
	facts.paid = true;
	ok(facts_due(&facts) == 7 && !facts_known(&facts), "paid: it is due, but to whom");
	choose_account(&facts, 1);
	ok(facts_due(&facts) == 7 && facts_known(&facts), "paid and known");
	facts.credits_rank = RANK_NONE;
	ok(facts_due(&facts) == 0 && !facts_known(&facts), "paid, but for how much");
}

int
main(void)
{
	printf("# seed %#llx\n", (unsigned long long) SEED);

	test_units();
	test_multiply();
	test_rate();
	test_rate_by_chance();

	test_names();
	test_kinds();
	test_payment_status();
	test_session_mode();
	test_no_object();
	test_session_facts();
	test_times();
	test_ids();
	test_amounts();
	test_currencies();
	test_conversion();
	test_accounts();
	test_metadata();
	test_subscriptions();
	test_intents();
	test_install();
	test_livemode();
	test_connected_accounts();

	test_all_of(choose_account, N_ACCOUNTS, "whose");
	test_all_of(choose_credits, N_CREDITS, "how much");
	test_laws_by_chance();
	test_convergence();
	test_merge_rules();
	test_due();
	return done();
}
