/*-------------------------------------------------------------------------
 *
 * reading_test.c
 *	  Tests of src/reading.c: what an event says; and of the arithmetic in
 *	  src/facts.c.
 *
 * Events are built by hand, field by field, out of one that is in order.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "chance.h"
#include "reading.h"
#include "tap.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

#define INSTALL			"0b7c1c9e-3d0a-4c57-8b1e-6f2a9d4e5c10"
#define INSTALL_UPPER	"0B7C1C9E-3D0A-4C57-8B1E-6F2A9D4E5C10"
#define INSTALL_OTHER	"0b7c1c9e-3d0a-4c57-8b1e-6f2a9d4e5c11"

#define CREATED			INT64_C(1700000000)

static Event event;
static FactsPolicy policy;
static EventReading reading;

static const AccountSource default_sources[] = {
	ACCOUNT_FROM_METADATA, ACCOUNT_FROM_CLIENT_REFERENCE_ID
};

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
	event.metadata.state = FIELD_OK;
}

static void
begin_subscription(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.mode, "subscription");
	unset(&event.payment_intent, FIELD_NULL);
	set(&event.subscription, "sub_1");
	set(&event.metadata.pack, "pro");
	set(&event.metadata.unit_amount, "900");
	set(&event.metadata.currency, "usd");
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
	event.metadata.state = FIELD_OK;
	set(&event.metadata.install, INSTALL);
	set(&event.metadata.account, "alice");
	set(&event.metadata.pack, "pro");
}

static void
set_conversion(const char *currency, int64_t subtotal, int64_t total)
{
	event.currency_conversion = FIELD_OK;
	set(&event.source_currency, currency);
	set_number(&event.source_subtotal, subtotal);
	set_number(&event.source_total, total);
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
	ok(reading.facts.payment_id == NULL && !reading.facts.paid && reading.n_names == 0,
	   "has no facts");

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
	ok(reading.n_names == 2 && same(reading.names[0], "cs_test_1") &&
	   same(reading.names[1], "pi_1"), "a session's names");
	ok(!facts->livemode && !reading.wrong_mode, "a session's mode");
	ok(facts->amount == 1290 && same(facts->currency, "eur"), "a session's amount");
	ok(terms->subtotal == 1000 && terms->net == 1000 && same(terms->currency, "eur") &&
	   same(terms->payment_link, "plink_1") && terms->rank == RANK_SESSION,
	   "a session's terms");
	ok(terms->pack_id == NULL && terms->unit_credits == 0 && terms->quantity == 0,
	   "nothing said of how much");
	ok(facts->pricing.rank == RANK_NONE, "how much is for the catalogue to say");

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
	ok(same(reading.facts.payment_id, "cs_test_1") && reading.n_names == 1 &&
	   same(reading.names[0], "cs_test_1"), "the session is the payment");
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
		&event.metadata.account, &event.client_reference_id
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
	set(&event.metadata.account, "bob");
	policy.account_from = default_sources + 1;
	policy.n_account_from = 1;
	expect(FACTS_PAID, NULL, "metadata that nobody asked for");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "do not count");
	set(&event.metadata.install, INSTALL);
	expect(FACTS_PAID, NULL, "our own metadata");
	expect_account(RANK_SESSION, "bob", "metadata", "count before everything");
	set(&event.metadata.account, "");
	expect(FACTS_PAID, NULL, "our own metadata with an empty account");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "leave it to the policy");
	unset(&event.metadata.account, FIELD_BAD);
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
	set(&event.metadata.pack, "starter");
	set(&event.metadata.credits, "100");
	set(&event.metadata.quantity, "3");
	expect(FACTS_PAID, NULL, "all of our metadata");
	ok(same(terms->pack_id, "starter") && terms->unit_credits == 100 && terms->quantity == 3 &&
	   terms->rank == RANK_SESSION, "are the terms");
	set(&event.metadata.pack, "");
	expect(FACTS_PAID, "pack", "an empty pack");
	unset(&event.metadata.pack, FIELD_BAD);
	expect(FACTS_PAID, "pack", "a pack that is no string");
	unset(&event.metadata.pack, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null pack");

	test_count(&event.metadata.credits, "credits");
	ok(terms->unit_credits == INT64_MAX, "credits are that many");
	test_count(&event.metadata.quantity, "quantity");
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
	ok(reading.n_names == 1 && same(reading.names[0], "sub_1"), "a subscription's name");
	ok(facts->payment_link == NULL, "no payment link");
	ok(facts->amount == 900 && same(facts->currency, "usd") &&
	   same(reading.terms.pack_id, "pro"), "what is sold");
	expect_account(RANK_SESSION, "alice", "client_reference_id", "whose it is");

	set(&event.payment_link, "plink_1");
	expect(FACTS_SUBSCRIPTION, NULL, "a subscription by a payment link");
	ok(same(facts->payment_link, "plink_1"), "says by which");
	unset(&event.client_reference_id, FIELD_NULL);
	expect(FACTS_SUBSCRIPTION, "account", "nobody's subscription");
	set(&event.metadata.account, "bob");
	expect(FACTS_SUBSCRIPTION, NULL, "a subscription by metadata");
	expect_account(RANK_SESSION, "bob", "metadata", "is his");

	begin_subscription();
	set(&event.metadata.unit_amount, "0");
	expect(FACTS_SUBSCRIPTION, NULL, "a unit amount of nothing");
	ok(facts->amount == FACTS_NO_AMOUNT && facts->currency == NULL, "is not said");
	begin_subscription();
	set(&event.metadata.currency, "USD");
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
		&event.metadata.install, &event.metadata.account, &event.metadata.pack,
		&event.metadata.credits
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

	ok(reading.n_names == 1 && same(reading.names[0], "pi_1"), "an intent's name");
	set(&event.latest_charge, "ch_1");
	expect(FACTS_PAID, NULL, "an intent with a charge");
	ok(reading.n_names == 2 && same(reading.names[0], "ch_1") && same(reading.names[1], "pi_1") &&
	   same(facts->payment_id, "pi_1") && facts->n_charges == 0, "names it too");
	unset(&event.latest_charge, FIELD_NULL);
	expect(FACTS_PAID, NULL, "an intent with no charge");
	ok(reading.n_names == 1, "has one name");
	set(&event.latest_charge, "pi_1");
	expect(FACTS_UNUSABLE, "id", "an intent for a charge");
	unset(&event.latest_charge, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a charge that is no string");

	begin_intent();
	for (i = 0; i < lengthof(ours); i++)
		unset(ours[i], i % 2 ? FIELD_NULL : FIELD_ABSENT);
	expect(FACTS_IGNORED, NULL, "somebody else's payment intent");
	set(&event.metadata.quantity, "2");
	expect(FACTS_IGNORED, NULL, "a quantity alone makes it none of ours");
	set_livemode(FIELD_BAD, false);
	expect(FACTS_IGNORED, NULL, "the same without livemode");
	set_livemode(FIELD_OK, false);
	set(&event.metadata.pack, "pro");
	expect(FACTS_PAID, "account", "ours by the pack, but nobody's");
	ok(facts->paid, "is paid");
	unset(&event.metadata.pack, FIELD_ABSENT);
	set(&event.metadata.credits, "5");
	expect(FACTS_PAID, "account", "ours by the credits, but nobody's");
	set(&event.metadata.account, "alice");
	expect(FACTS_PAID, NULL, "account and credits are enough");
	ok(terms->unit_credits == 5 && terms->quantity == 2, "for so many");
	unset(&event.metadata.credits, FIELD_ABSENT);
	expect(FACTS_PAID, "credits", "ours by the account, but for how much");
	unset(&event.metadata.account, FIELD_ABSENT);
	set(&event.metadata.install, INSTALL);
	expect(FACTS_PAID, "credits", "ours by the install alone: its terms are no good");
	unset(&event.metadata.account, FIELD_BAD);
	expect(FACTS_PAID, "credits", "the same with an account that is no string");
	set(&event.metadata.credits, "5");
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
 * Names
 *-------------------------------------------------------------------------
 */

/* In this order, each kind before the next, and in a kind the greater first. */
static void
test_name_order(void)
{
	static const char *const names[] = {
		"py_2", "py_1", "ch_b", "ch_ab", "ch_a", "ch_B", "cs_test_2", "cs_test_1", "cs_live_9",
		"pi_2", "pi_1", "in_2", "in_10", "in_1"
	};
	size_t		i;
	size_t		j;
	int			wrong = 0;

	for (i = 0; i < lengthof(names); i++)
		for (j = 0; j < lengthof(names); j++)
		{
			int			order = facts_compare_names(names[i], names[j]);

			wrong += (order > 0) - (order < 0) != (i > j) - (i < j);
		}
	ok(wrong == 0, "names are in order, %d wrong", wrong);
	ok(facts_is_session_name("cs_test_1") && !facts_is_session_name("pi_1") &&
	   !facts_is_session_name("ch_1") && !facts_is_session_name("in_1") &&
	   !facts_is_session_name("csx_1"), "a session's name is known");
}

/*
 * The names in a reading, with a space between any two; the payment is known by
 * the last.
 */
static void
expect_names(const char *expected, const char *name)
{
	char		names[256] = "";
	const char *last = NULL;
	bool		sorted = true;
	int			i;

	for (i = 0; i < reading.n_names && i < READING_MAX_NAMES; i++)
	{
		if (last)
		{
			sorted &= facts_compare_names(last, reading.names[i]) < 0;
			strcat(names, " ");
		}
		last = reading.names[i];
		strcat(names, last);
	}
	if (!ok(same(names, expected) && sorted && same(reading.facts.payment_id, last), "%s", name))
		printf("# names %s, payment %s\n", names, shown(reading.facts.payment_id));
}

/* What only moves money, or links, tells nothing else. */
static void
expect_no_payment(const char *name)
{
	const Facts *facts = &reading.facts;

	ok(!facts->paid && facts->paid_at == FACTS_NO_TIME && facts->failed_at == FACTS_NO_TIME &&
	   facts->expired_at == FACTS_NO_TIME && facts->account_rank == RANK_NONE &&
	   facts->pricing.rank == RANK_NONE && facts->amount == FACTS_NO_AMOUNT &&
	   facts->session_id == NULL && facts->subscription_id == NULL && !facts_heard(facts) &&
	   facts_due(facts) == 0, "%s", name);
}

static void
expect_lists(int charges, int refunds, int disputes, int transactions, int lines)
{
	const Facts *facts = &reading.facts;

	if (!ok(facts->n_charges == charges && facts->n_refunds == refunds &&
			facts->n_disputes == disputes && facts->n_transactions == transactions &&
			facts->n_lines == lines, "and no other parts"))
		printf("# %d charges, %d refunds, %d disputes, %d transactions, %d lines\n",
			   facts->n_charges, facts->n_refunds, facts->n_disputes, facts->n_transactions,
			   facts->n_lines);
}

/* Ids that name nothing of their kind. */
static const char *const bad_ids[] = {
	"", "x", "cus_1", "pi_", "ch_", "in_", "pi_1 ", "ch_1-", "in_\xC3\xA9"
};

/* Each of them, and no string, in one field of the event that is there. */
static void
expect_bad_ids(EventString *field, const char *name)
{
	const EventString good = *field;
	size_t		i;

	for (i = 0; i < lengthof(bad_ids); i++)
	{
		set(field, bad_ids[i]);
		expect(FACTS_UNUSABLE, "id", name);
		ok(reading.facts.payment_id == NULL, "is of no payment");
	}
	unset(field, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", name);
	*field = good;
}

static void
expect_bad_amounts(FactsNature nature, EventInteger *field, const char *name)
{
	const EventInteger good = *field;

	unset_number(field, FIELD_ABSENT);
	expect(nature, "amount", name);
	unset_number(field, FIELD_NULL);
	expect(nature, "amount", name);
	unset_number(field, FIELD_BAD);
	expect(nature, "amount", name);
	set_number(field, -1);
	expect(nature, "amount", name);
	*field = good;
}

static void
expect_bad_currencies(FactsNature nature, const char *name)
{
	set(&event.currency, "EUR");
	expect(nature, "currency", name);
	set(&event.currency, "euro");
	expect(nature, "currency", name);
	unset(&event.currency, FIELD_BAD);
	expect(nature, "currency", name);
	unset(&event.currency, FIELD_ABSENT);
	expect(nature, "currency", name);
	set(&event.currency, "eur");
}

/*-------------------------------------------------------------------------
 * Charges
 *-------------------------------------------------------------------------
 */
static void
begin_charge(EventKind kind)
{
	begin(kind);
	set(&event.object_id, "ch_1");
	set(&event.status, "succeeded");
	set(&event.payment_intent, "pi_1");
	set(&event.currency, "eur");
	set_number(&event.amount, 1290);
	set_number(&event.amount_refunded, 290);
	event.paid.state = FIELD_OK;
	event.paid.value = true;
	event.metadata.state = FIELD_OK;
}

static void
test_charge_names(void)
{
	begin_charge(EVENT_KIND_CHARGE);
	expect(FACTS_LINK, NULL, "a charge");
	expect_names("ch_1 pi_1", "links itself and its payment intent");
	set(&event.invoice, "in_1");
	expect(FACTS_LINK, NULL, "a charge of an invoice");
	expect_names("ch_1 pi_1 in_1", "is known by the invoice");
	unset(&event.payment_intent, FIELD_NULL);
	expect(FACTS_LINK, NULL, "a charge of an invoice without payment intent");
	expect_names("ch_1 in_1", "is known by it too");
	unset(&event.invoice, FIELD_NULL);
	expect(FACTS_LINK, NULL, "a charge of nothing");
	expect_names("ch_1", "is known by itself");
	set(&event.object_id, "py_1");
	expect(FACTS_LINK, NULL, "a charge of another sort");
	expect_names("py_1", "is one");

	begin_charge(EVENT_KIND_CHARGE_REFUNDED);
	set(&event.invoice, "in_1");
	expect(FACTS_REVERSAL, NULL, "a refunded charge");
	expect_names("ch_1 pi_1 in_1", "has the same names");
	expect_bad_ids(&event.object_id, "a charge's bad id");
	set(&event.object_id, "pi_1");
	expect(FACTS_UNUSABLE, "id", "a payment intent for a charge");
	unset(&event.object_id, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "a charge without id");
	set(&event.object_id, "ch_1");
	expect_bad_ids(&event.payment_intent, "a charge's bad payment intent");
	expect_bad_ids(&event.invoice, "a charge's bad invoice");
}

static void
expect_charge(int64_t amount, int64_t refunded_at, int64_t refunded, const char *name)
{
	const FactsCharge *charge = reading.facts.charges;

	if (!ok(reading.facts.n_charges == 1 && same(charge->id, "ch_1") && charge->amount == amount &&
			same(charge->currency, "eur") && charge->refunded_at == refunded_at &&
			charge->refunded == refunded, "%s", name))
		printf("# %d charges, %lld, refunded %lld at %lld\n", reading.facts.n_charges,
			   (long long) reading.charge.amount, (long long) reading.charge.refunded,
			   (long long) reading.charge.refunded_at);
}

static void
test_charges(void)
{
	begin_charge(EVENT_KIND_CHARGE);
	expect(FACTS_LINK, NULL, "a charge");
	expect_charge(1290, -1, 0, "brings its amount, and not what went back");
	expect_lists(1, 0, 0, 0, 0);
	expect_no_payment("a charge pays for nothing by itself");
	set(&event.metadata.install, INSTALL);
	set(&event.metadata.account, "alice");
	set(&event.metadata.credits, "5");
	expect(FACTS_LINK, NULL, "a charge with our metadata");
	expect_no_payment("doesn't either");

	event.paid.value = false;
	expect(FACTS_LINK, NULL, "a charge that is not paid");
	expect_charge(FACTS_NO_AMOUNT, -1, 0, "has no amount");
	event.paid.state = FIELD_ABSENT;
	expect(FACTS_LINK, NULL, "a charge that doesn't say it is paid");
	expect_charge(1290, -1, 0, "goes by its status");
	set(&event.status, "paid");
	expect(FACTS_LINK, NULL, "a charge of a status that we don't know");
	expect_charge(FACTS_NO_AMOUNT, -1, 0, "is not paid");
	unset_number(&event.amount_refunded, FIELD_BAD);
	expect(FACTS_LINK, NULL, "a charge that went back by a bad amount");
	ok(reading.charge.refunded_at == -1, "doesn't say so");

	begin_charge(EVENT_KIND_CHARGE_REFUNDED);
	expect(FACTS_REVERSAL, NULL, "a refunded charge");
	expect_charge(1290, CREATED, 290, "brings what went back until then");
	expect_lists(1, 0, 0, 0, 0);
	expect_no_payment("but no payment");
	set_number(&event.object_created, 5);
	expect(FACTS_REVERSAL, NULL, "a refunded charge that is old");
	expect_charge(1290, CREATED, 290, "the event's time counts");
	set_number(&event.amount_refunded, 0);
	expect(FACTS_REVERSAL, NULL, "a charge of which nothing went back any more");
	expect_charge(1290, CREATED, 0, "says so");
	set_number(&event.amount_refunded, INT64_MAX);
	expect(FACTS_REVERSAL, NULL, "more than all went back");
	expect_charge(1290, CREATED, INT64_MAX, "comes as it is");
	unset_number(&event.created, FIELD_BAD);
	expect(FACTS_REVERSAL, NULL, "a refunded charge of an unknown time");
	expect_charge(1290, 0, INT64_MAX, "is the earliest");

	begin_charge(EVENT_KIND_CHARGE_REFUNDED);
	expect_bad_amounts(FACTS_UNUSABLE, &event.amount, "a refunded charge's bad amount");
	expect_bad_amounts(FACTS_UNUSABLE, &event.amount_refunded, "a bad amount that went back");
	expect_bad_currencies(FACTS_UNUSABLE, "a refunded charge's bad currency");
	begin_charge(EVENT_KIND_CHARGE);
	expect_bad_amounts(FACTS_UNUSABLE, &event.amount, "a charge's bad amount");
	expect_bad_currencies(FACTS_UNUSABLE, "a charge's bad currency");
	expect(FACTS_LINK, NULL, "a charge that is in order again");
}

/*-------------------------------------------------------------------------
 * Refunds
 *-------------------------------------------------------------------------
 */
static void
begin_refund(EventKind kind)
{
	begin(kind);
	set(&event.object_id, "re_1");
	set(&event.status, kind == EVENT_KIND_REFUND_FAILED ? "failed" : "succeeded");
	set(&event.charge, "ch_1");
	set(&event.payment_intent, "pi_1");
	set(&event.currency, "eur");
	set_number(&event.amount, 290);
	set_number(&event.object_created, CREATED - 60);
	event.metadata.state = FIELD_OK;
}

static void
test_refund_names(void)
{
	begin_refund(EVENT_KIND_REFUND);
	expect(FACTS_REVERSAL, NULL, "a refund");
	expect_names("ch_1 pi_1", "of a charge and its payment intent");
	expect_bad_ids(&event.charge, "a refund's bad charge");
	expect_bad_ids(&event.payment_intent, "a refund's bad payment intent");
	unset(&event.charge, FIELD_NULL);
	expect(FACTS_REVERSAL, NULL, "a refund without charge");
	expect_names("pi_1", "is of its payment intent");
	ok(reading.refund.charge_id == NULL, "and doesn't say of which charge");
	set(&event.charge, "py_1");
	unset(&event.payment_intent, FIELD_ABSENT);
	expect(FACTS_REVERSAL, NULL, "a refund without payment intent");
	expect_names("py_1", "is of its charge");
	ok(same(reading.refund.charge_id, "py_1"), "and says of which");
	unset(&event.charge, FIELD_ABSENT);
	expect(FACTS_IGNORED, NULL, "a refund of neither");
	unset(&event.payment_intent, FIELD_NULL);
	expect(FACTS_IGNORED, NULL, "a refund of neither, null");
	unset_number(&event.amount, FIELD_BAD);
	expect(FACTS_IGNORED, NULL, "whatever else is wrong with it");
	unset(&event.charge, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a refund of what is no string");

	begin_refund(EVENT_KIND_REFUND);
	set(&event.object_id, "pyr_1");
	expect(FACTS_REVERSAL, NULL, "a refund of another sort");
	set(&event.object_id, "");
	expect(FACTS_UNUSABLE, "id", "a refund with an empty id");
	set(&event.object_id, "re_1 ");
	expect(FACTS_UNUSABLE, "id", "a refund with a space in its id");
	unset(&event.object_id, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "a refund without id");
	unset(&event.object_id, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a refund with an id that is no string");
}

static void
expect_finality(Finality finality, const char *name)
{
	expect(FACTS_REVERSAL, NULL, name);
	if (!ok(reading.facts.n_refunds == 1 && reading.facts.refunds->finality == finality,
			"is in state %d", (int) finality))
		printf("# state %d\n", (int) reading.refund.finality);
}

static void
test_refund_states(void)
{
	static const struct
	{
		const char *status;
		Finality	finality;
	}			states[] = {
		{"pending", REFUND_OPEN},
		{"requires_action", REFUND_OPEN},
		{"succeeded", REFUND_SUCCEEDED},
		{"failed", REFUND_FAILED},
		{"canceled", REFUND_FAILED},
		{"Failed", REFUND_OPEN},
		{"something new", REFUND_OPEN},
		{"", REFUND_OPEN},
	};
	size_t		i;

	for (i = 0; i < lengthof(states); i++)
	{
		begin_refund(EVENT_KIND_REFUND);
		set(&event.status, states[i].status);
		expect_finality(states[i].finality, states[i].status);
	}
	begin_refund(EVENT_KIND_REFUND_FAILED);
	expect_finality(REFUND_FAILED, "a failed refund");
	set(&event.status, "canceled");
	expect_finality(REFUND_FAILED, "a failed refund that was canceled");
	unset(&event.status, FIELD_ABSENT);
	expect_finality(REFUND_FAILED, "a failed refund without status");
	begin_refund(EVENT_KIND_REFUND);
	unset(&event.status, FIELD_NULL);
	expect_finality(REFUND_SUCCEEDED, "a refund without status, as they once were");
	unset(&event.status, FIELD_BAD);
	expect_finality(REFUND_OPEN, "a refund with a status that is no string");
}

static void
test_refunds(void)
{
	const FactsRefund *refund = &reading.refund;

	begin_refund(EVENT_KIND_REFUND);
	expect(FACTS_REVERSAL, NULL, "a refund");
	ok(reading.facts.refunds == refund && same(refund->id, "re_1") &&
	   same(refund->charge_id, "ch_1") && refund->at == CREATED && refund->amount == 290 &&
	   same(refund->currency, "eur") && refund->created == CREATED - 60, "a refund's facts");
	expect_lists(0, 1, 0, 0, 0);
	expect_no_payment("a refund is no payment");
	unset_number(&event.object_created, FIELD_NULL);
	expect(FACTS_REVERSAL, NULL, "a refund that doesn't say since when");
	ok(refund->created == CREATED, "is as old as its event");
	set_number(&event.object_created, -1);
	expect(FACTS_REVERSAL, NULL, "a refund since before 1970");
	ok(refund->created == CREATED, "is as old as its event too");
	set_number(&event.created, YEAR_10000);
	expect(FACTS_REVERSAL, NULL, "a refund's event of an unknown time");
	ok(refund->at == 0 && refund->created == 0, "is the earliest");

	begin_refund(EVENT_KIND_REFUND_FAILED);
	expect_bad_amounts(FACTS_UNUSABLE, &event.amount, "a refund's bad amount");
	expect_bad_currencies(FACTS_UNUSABLE, "a refund's bad currency");
	set_number(&event.amount, 0);
	expect(FACTS_REVERSAL, NULL, "a refund of nothing");
	set_number(&event.amount, INT64_MAX);
	expect(FACTS_REVERSAL, NULL, "the greatest refund");
	ok(refund->amount == INT64_MAX, "comes as it is");
}

/*-------------------------------------------------------------------------
 * Disputes
 *-------------------------------------------------------------------------
 */
static void
begin_dispute(EventKind kind)
{
	begin(kind);
	set(&event.object_id, "dp_1");
	set(&event.status, "needs_response");
	set(&event.charge, "ch_1");
	set(&event.payment_intent, "pi_1");
	set(&event.currency, "eur");
	set_number(&event.amount, 1290);
	event.metadata.state = FIELD_OK;
	event.balance_transactions = FIELD_OK;
}

static void
set_transaction(int i, const char *id, int64_t amount)
{
	event.transaction[i].state = FIELD_OK;
	set(&event.transaction[i].id, id);
	set_number(&event.transaction[i].amount, amount);
	if (event.n_transactions <= i)
		event.n_transactions = i + 1;
}

static void
test_dispute_names(void)
{
	begin_dispute(EVENT_KIND_DISPUTE);
	expect(FACTS_REVERSAL, NULL, "a dispute");
	expect_names("ch_1 pi_1", "of a charge and its payment intent");
	expect_bad_ids(&event.charge, "a dispute's bad charge");
	expect_bad_ids(&event.payment_intent, "a dispute's bad payment intent");
	unset(&event.payment_intent, FIELD_ABSENT);
	expect(FACTS_REVERSAL, NULL, "a dispute of a charge");
	expect_names("ch_1", "is known by it");
	set(&event.payment_intent, "pi_1");
	unset(&event.charge, FIELD_NULL);
	expect(FACTS_REVERSAL, NULL, "a dispute of a payment intent");
	expect_names("pi_1", "is known by that");
	unset(&event.object_id, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "a dispute without id and charge");
	unset(&event.payment_intent, FIELD_NULL);
	expect(FACTS_IGNORED, NULL, "a dispute of neither");

	begin_dispute(EVENT_KIND_DISPUTE);
	unset(&event.object_id, FIELD_ABSENT);
	set_transaction(0, "txn_1", -1290);
	expect(FACTS_REVERSAL, NULL, "a dispute without id");
	ok(same(reading.dispute.id, "ch_1") && same(reading.transactions[0].dispute_id, "ch_1"),
	   "is known by its charge");
	unset(&event.object_id, FIELD_NULL);
	expect(FACTS_REVERSAL, NULL, "a dispute with a null id");
	ok(same(reading.dispute.id, "ch_1"), "is known by it too");
	set(&event.object_id, "");
	expect(FACTS_UNUSABLE, "id", "a dispute with an empty id");
	unset(&event.object_id, FIELD_BAD);
	expect(FACTS_UNUSABLE, "id", "a dispute with an id that is no string");
	set(&event.object_id, "du_1");
	expect(FACTS_REVERSAL, NULL, "a dispute of another sort");
	ok(same(reading.dispute.id, "du_1"), "has its own id");
}

static void
test_disputes(void)
{
	static const struct
	{
		EventKind	kind;
		DisputeFunds funds;
	}			funds[] = {
		{EVENT_KIND_DISPUTE, FUNDS_UNKNOWN},
		{EVENT_KIND_FUNDS_WITHDRAWN, FUNDS_WITHDRAWN},
		{EVENT_KIND_FUNDS_REINSTATED, FUNDS_REINSTATED},
	};
	const FactsDispute *dispute = &reading.dispute;
	int			status;
	size_t		i;

	for (i = 0; i < lengthof(funds); i++)
	{
		begin_dispute(funds[i].kind);
		expect(FACTS_REVERSAL, NULL, "a dispute");
		ok(reading.facts.disputes == dispute && same(dispute->id, "dp_1") &&
		   dispute->at == CREATED && dispute->status == DISPUTE_NEEDS_RESPONSE &&
		   dispute->amount == 1290 && same(dispute->currency, "eur") &&
		   dispute->funds == funds[i].funds &&
		   dispute->funds_at == (funds[i].funds == FUNDS_UNKNOWN ? -1 : CREATED),
		   "a dispute's facts, funds %d", (int) funds[i].funds);
		expect_lists(0, 0, 1, 0, 0);
		expect_no_payment("a dispute is no payment");
		unset_number(&event.created, FIELD_ABSENT);
		expect(FACTS_REVERSAL, NULL, "a dispute of an unknown time");
		ok(dispute->at == 0 && dispute->funds_at == (funds[i].funds == FUNDS_UNKNOWN ? -1 : 0),
		   "is the earliest");
	}

	begin_dispute(EVENT_KIND_DISPUTE);
	for (status = DISPUTE_UNKNOWN + 1; status < DISPUTE_STATUSES; status++)
	{
		set(&event.status, dispute_status_name((DisputeStatus) status));
		expect(FACTS_REVERSAL, NULL, "a dispute's status");
		ok(dispute->status == (DisputeStatus) status, "%s", event.status.value);
	}
	set(&event.status, "charge_refunded");
	expect(FACTS_REVERSAL, NULL, "a dispute of a status that we don't know");
	ok(dispute->status == DISPUTE_UNKNOWN, "moves nothing");
	unset(&event.status, FIELD_BAD);
	expect(FACTS_REVERSAL, NULL, "a dispute with a status that is no string");
	ok(dispute->status == DISPUTE_UNKNOWN, "moves nothing either");
	unset(&event.status, FIELD_ABSENT);
	expect(FACTS_REVERSAL, NULL, "a dispute without status");
	ok(dispute->status == DISPUTE_UNKNOWN, "nor does this");
	expect_bad_amounts(FACTS_UNUSABLE, &event.amount, "a dispute's bad amount");
	expect_bad_currencies(FACTS_UNUSABLE, "a dispute's bad currency");
}

static void
expect_transactions(int count, const char *name)
{
	const Facts *facts = &reading.facts;
	bool		sorted = true;
	int			i;

	expect(FACTS_REVERSAL, NULL, name);
	ok(facts->n_transactions == count && facts->n_disputes == 1, "brings %d", count);
	for (i = 0; i < facts->n_transactions; i++)
		sorted &= same(facts->transactions[i].dispute_id, "dp_1") &&
			(i == 0 || strcmp(facts->transactions[i - 1].id, facts->transactions[i].id) < 0);
	ok(sorted, "of the dispute, in the order of their ids");
}

static void
test_transactions(void)
{
	static char names[EVENT_MAX_TRANSACTIONS][16];
	int			i;

	begin_dispute(EVENT_KIND_DISPUTE);
	expect_transactions(0, "no transactions");
	event.balance_transactions = FIELD_NULL;
	expect_transactions(0, "a null list of transactions");
	event.balance_transactions = FIELD_BAD;
	expect_transactions(0, "a list of transactions that is none");
	event.balance_transactions = FIELD_OK;
	set_transaction(0, "txn_1", -1290);
	expect_transactions(1, "a transaction");
	ok(same(reading.facts.transactions[0].id, "txn_1") &&
	   reading.facts.transactions[0].amount == -1290, "with its amount");
	set_transaction(1, "txn_2", INT64_MAX);
	expect_transactions(2, "two transactions");
	set_transaction(0, "txn_3", INT64_MIN);
	expect_transactions(2, "two in another order");
	ok(reading.facts.transactions[0].amount == INT64_MAX &&
	   reading.facts.transactions[1].amount == INT64_MIN, "each with its amount");

	/* the rest wouldn't tell the sum */
	unset_number(&event.transaction[1].amount, FIELD_BAD);
	expect_transactions(0, "a transaction of a bad amount");
	set_number(&event.transaction[1].amount, 0);
	unset(&event.transaction[0].id, FIELD_ABSENT);
	expect_transactions(0, "a transaction without id");
	set(&event.transaction[0].id, "");
	expect_transactions(0, "a transaction with an empty id");

	begin_dispute(EVENT_KIND_FUNDS_REINSTATED);
	for (i = 0; i < EVENT_MAX_TRANSACTIONS; i++)
	{
		snprintf(names[i], sizeof(names[i]), "txn_%02d", i * 7 % EVENT_MAX_TRANSACTIONS);
		set_transaction(i, names[i], i);
	}
	expect_transactions(EVENT_MAX_TRANSACTIONS, "as many transactions as there can be");
}

/*-------------------------------------------------------------------------
 * Invoices
 *-------------------------------------------------------------------------
 */
static EventLine *
add_line(const char *id, int64_t amount, int64_t quantity)
{
	EventLine  *line = &event.line[event.n_lines++];

	line->state = FIELD_OK;
	set(&line->id, id);
	set_number(&line->amount, amount);
	set_number(&line->quantity, quantity);
	set(&line->currency, "eur");
	line->metadata.state = FIELD_OK;
	return line;
}

/* As it is since 2025-03-31. */
static EventLine *
add_new_line(const char *id, int64_t amount, int64_t quantity)
{
	EventLine  *line = add_line(id, amount, quantity);

	line->parent = FIELD_OK;
	set(&line->parent_type, "subscription_item_details");
	line->item_details = FIELD_OK;
	line->item_proration.state = FIELD_OK;
	set(&line->item_subscription, "sub_1");
	line->invoice_item_details = FIELD_NULL;
	line->pricing = FIELD_OK;
	line->price_details = FIELD_OK;
	set(&line->pricing_price, "price_1");
	return line;
}

/* As it was before. */
static EventLine *
add_old_line(const char *id, int64_t amount, int64_t quantity)
{
	EventLine  *line = add_line(id, amount, quantity);

	set(&line->type, "subscription");
	line->proration.state = FIELD_OK;
	set(&line->subscription, "sub_1");
	line->price = FIELD_OK;
	set(&line->price_id, "price_1");
	return line;
}

static void
begin_any_invoice(void)
{
	begin(EVENT_KIND_INVOICE_PAID);
	set(&event.object_id, "in_1");
	set(&event.status, "paid");
	set(&event.customer, "cus_1");
	set(&event.billing_reason, "subscription_cycle");
	set(&event.currency, "eur");
	set_number(&event.amount_paid, 1290);
	event.metadata.state = FIELD_OK;
	event.lines = FIELD_OK;
	event.lines_data = FIELD_OK;
	event.lines_has_more.state = FIELD_OK;
}

static void
set_our_metadata(EventMetadata *metadata, const char *account)
{
	metadata->state = FIELD_OK;
	set(&metadata->install, INSTALL);
	set(&metadata->account, account);
	set(&metadata->pack, "pro");
	set(&metadata->credits, "100");
	set(&metadata->unit_amount, "900");
	set(&metadata->currency, "usd");
}

static void
begin_new_invoice(void)
{
	begin_any_invoice();
	event.parent = FIELD_OK;
	event.parent_details = FIELD_OK;
	set(&event.parent_subscription, "sub_1");
	set_our_metadata(&event.parent_metadata, "alice");
	add_new_line("il_1", 1000, 2);
}

/* The shape of 2023 and 2024; older ones have no subscription_details. */
static void
begin_old_invoice(void)
{
	begin_any_invoice();
	set(&event.subscription, "sub_1");
	set(&event.charge, "ch_1");
	set(&event.payment_intent, "pi_1");
	event.subscription_details = FIELD_OK;
	set_our_metadata(&event.subscription_metadata, "alice");
	add_old_line("il_1", 1000, 2);
}

static void
test_invoice_names(void)
{
	begin_new_invoice();
	expect(FACTS_INVOICE, NULL, "an invoice");
	expect_names("in_1", "is known by itself");
	begin_old_invoice();
	expect(FACTS_INVOICE, NULL, "an old invoice");
	expect_names("ch_1 pi_1 in_1", "knows its charge and payment intent");
	unset(&event.charge, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "one without charge");
	expect_names("pi_1 in_1", "knows its payment intent");
	expect_bad_ids(&event.payment_intent, "an invoice's bad payment intent");
	set(&event.charge, "ch_1");
	unset(&event.payment_intent, FIELD_ABSENT);
	expect(FACTS_INVOICE, NULL, "one without payment intent");
	expect_names("ch_1 in_1", "knows its charge");
	expect_bad_ids(&event.charge, "an invoice's bad charge");
	expect_bad_ids(&event.object_id, "an invoice's bad id");
	set(&event.object_id, "ch_1");
	expect(FACTS_UNUSABLE, "id", "an invoice with a charge's id");
	unset(&event.object_id, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "an invoice without id");
}

static void
test_invoice_subscription(void)
{
	begin_new_invoice();
	expect(FACTS_INVOICE, NULL, "a subscription in parent");
	ok(same(reading.facts.subscription_id, "sub_1"), "is the invoice's");
	set(&event.subscription, "sub_2");
	expect(FACTS_INVOICE, NULL, "and another beside it");
	ok(same(reading.facts.subscription_id, "sub_1"), "which is not");
	expect_bad_ids(&event.parent_subscription, "a bad subscription");
	unset(&event.parent_subscription, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "a subscription of its own");
	ok(same(reading.facts.subscription_id, "sub_2"), "is the invoice's");
	expect_bad_ids(&event.subscription, "a bad subscription of its own");
	unset(&event.subscription, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "a subscription in a line");
	ok(same(reading.facts.subscription_id, "sub_1"), "is the invoice's");

	begin_old_invoice();
	unset(&event.subscription, FIELD_ABSENT);
	set(&event.line[0].subscription, "sub_3");
	expect(FACTS_INVOICE, NULL, "a subscription in an old line");
	ok(same(reading.facts.subscription_id, "sub_3"), "is the invoice's");
	unset(&event.line[0].subscription, FIELD_NULL);
	expect(FACTS_IGNORED, NULL, "no subscription anywhere");
	event.n_lines = 0;
	expect(FACTS_IGNORED, NULL, "no line either");
	set(&event.line[0].type, "invoiceitem");
	event.n_lines = 1;
	expect(FACTS_IGNORED, NULL, "an invoice of something else");

	begin_new_invoice();
	set(&event.billing_reason, "manual");
	expect(FACTS_IGNORED, NULL, "a manual invoice");
	set(&event.billing_reason, "subscription_create");
	expect(FACTS_INVOICE, NULL, "the first invoice");
	set(&event.billing_reason, "subscription_update");
	expect(FACTS_INVOICE, NULL, "an update's invoice");
	unset(&event.billing_reason, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "an invoice without reason");
}

static void
test_invoice_facts(void)
{
	const Facts *facts = &reading.facts;
	const Terms *terms = &reading.terms;

	begin_new_invoice();
	expect(FACTS_INVOICE, NULL, "an invoice");
	ok(facts->paid && facts->paid_at == CREATED && facts->amount == 1290 &&
	   same(facts->currency, "eur") && same(facts->customer_id, "cus_1") &&
	   facts->session_id == NULL, "an invoice's facts");
	expect_account(RANK_INTENT, "alice", "metadata", "whose it is");
	ok(same(terms->pack_id, "pro") && terms->unit_credits == 100 && terms->unit_amount == 900 &&
	   same(terms->currency, "usd") && terms->rank == RANK_INTENT, "what was sold");
	ok(facts->pricing.rank == RANK_NONE, "how much is for its lines to say");
	expect_lists(0, 0, 0, 0, 1);
	unset_number(&event.created, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "an invoice paid at an unknown time");
	ok(facts->paid && facts->paid_at == FACTS_NO_TIME, "is paid all the same");

	expect_bad_amounts(FACTS_INVOICE, &event.amount_paid, "an invoice's bad amount");
	ok(facts->paid && facts->amount == FACTS_NO_AMOUNT && facts->currency == NULL,
	   "is paid, of an unknown amount");
	expect_bad_currencies(FACTS_INVOICE, "an invoice's bad currency");
	set_number(&event.amount_paid, 0);
	expect(FACTS_INVOICE, NULL, "an invoice of nothing");
	ok(facts->paid && facts->amount == 0, "is paid");
}

static void
test_invoice_metadata(void)
{
	EventMetadata *places[] = {
		&event.parent_metadata, &event.subscription_metadata, &event.line[0].metadata,
		&event.line[1].metadata
	};
	const char *names[] = {"parent", "details", "first line", "second line"};
	size_t		i;
	size_t		j;

	/* the first place that has ours decides, from the last to the first */
	for (i = lengthof(places); i-- > 0;)
	{
		begin_old_invoice();
		add_old_line("il_2", 500, 1);
		for (j = 0; j < lengthof(places); j++)
		{
			memset(places[j], 0, sizeof(*places[j]));
			places[j]->state = j % 2 ? FIELD_OK : FIELD_NULL;
		}
		for (j = i; j < lengthof(places); j++)
			set_our_metadata(places[j], names[j]);
		expect(FACTS_INVOICE, NULL, names[i]);
		expect_account(RANK_INTENT, names[i], "metadata", "decides");
		ok(same(reading.terms.pack_id, "pro"), "and says what was sold");

		set(&places[i]->credits, "none");
		expect(FACTS_INVOICE, "credits", "credits that are no number");
		set(&places[i]->credits, "5");
		set(&places[i]->pack, "");
		expect(FACTS_INVOICE, "pack", "an empty pack");
		set(&places[i]->pack, "pro");
		unset(&places[i]->install, FIELD_BAD);
		expect(FACTS_INVOICE, "install", "an install that is no string");
		unset(&places[i]->install, FIELD_NULL);
		unset(&places[i]->account, FIELD_NULL);
		expect(FACTS_INVOICE, NULL, "the subscription's session may say who");
		expect_account(RANK_NONE, NULL, NULL, "not the next place");
		set(&places[i]->install, INSTALL_OTHER);
		expect(FACTS_IGNORED, NULL, "another install's invoice");
	}

	begin_old_invoice();
	memset(&event.subscription_metadata, 0, sizeof(event.subscription_metadata));
	expect(FACTS_INVOICE, NULL, "none of our metadata");
	expect_account(RANK_NONE, NULL, NULL, "names nobody");
	ok(reading.terms.pack_id == NULL && reading.terms.unit_credits == 0 &&
	   reading.terms.unit_amount == FACTS_NO_AMOUNT, "and no pack");
	ok(reading.facts.n_lines == 1, "but the lines are there");
}

static void
expect_line(int i, const char *id, const char *price, int64_t unit_amount, int64_t quantity,
			const char *name)
{
	const FactsLine *line = &reading.lines[i];

	if (!ok(reading.facts.lines == reading.lines && reading.facts.n_lines > i &&
			same(line->id, id) && same(line->price_id, price) &&
			line->unit_amount == unit_amount && line->quantity == quantity &&
			same(line->currency, "eur") && line->pricing.rank == RANK_NONE, "%s", name))
		printf("# of %d lines %s, price %s, %lld of %lld\n", reading.facts.n_lines,
			   shown(line->id), shown(line->price_id), (long long) line->quantity,
			   (long long) line->unit_amount);
}

/* Lines that grant, in both shapes. */
static void
test_lines(EventLine *(*add) (const char *id, int64_t amount, int64_t quantity))
{
	EventLine  *line;

	begin_new_invoice();
	event.n_lines = 0;
	line = add("il_1", 1000, 2);
	expect(FACTS_INVOICE, NULL, "a line");
	expect_lists(0, 0, 0, 0, 1);
	expect_line(0, "il_1", "price_1", 500, 2, "is worth its price");
	set_number(&line->amount, 1001);
	expect(FACTS_INVOICE, NULL, "a line of no whole unit amount");
	expect_line(0, "il_1", "price_1", FACTS_NO_AMOUNT, 2, "has none");
	unset_number(&line->quantity, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "a line without quantity");
	expect_line(0, "il_1", "price_1", 1001, 1, "is one");
	set_number(&line->quantity, 0);
	expect(FACTS_INVOICE, NULL, "a line of none");
	expect_line(0, "il_1", "price_1", 1001, 1, "is one too, and nothing is divided by zero");
	set_number(&line->quantity, -1);
	expect(FACTS_INVOICE, NULL, "a line of less than none");
	expect_line(0, "il_1", "price_1", 1001, 1, "is one as well");
	set_number(&line->amount, INT64_MAX);
	set_number(&line->quantity, INT64_MAX);
	expect(FACTS_INVOICE, NULL, "the greatest line");
	expect_line(0, "il_1", "price_1", 1, INT64_MAX, "comes as it is");

	/* what grants nothing may be as it likes */
	event.n_lines = 0;
	add("il_3", 300, 1);
	add("il_1", 100, 1);
	add("il_2", 200, 1);
	set_number(&add("il_4", 0, 1)->amount, 0);
	unset(&add("il_5", -5, 1)->currency, FIELD_BAD);
	expect(FACTS_INVOICE, NULL, "lines in any order");
	expect_lists(0, 0, 0, 0, 3);
	expect_line(0, "il_1", "price_1", 100, 1, "the first by id");
	expect_line(1, "il_2", "price_1", 200, 1, "the second");
	expect_line(2, "il_3", "price_1", 300, 1, "the third");

	add("il_2", 200, 1);
	expect(FACTS_INVOICE, "lines", "an id twice");
	ok(reading.facts.n_lines == 0, "no line is known then");
	unset(&event.line[event.n_lines - 1].id, FIELD_ABSENT);
	expect(FACTS_INVOICE, "amount", "a line without id");
	ok(reading.facts.n_lines == 0, "no line is known then");
	line = &event.line[event.n_lines - 1];
	set(&line->id, "il_6");
	unset_number(&line->amount, FIELD_BAD);
	expect(FACTS_INVOICE, "amount", "a line of a bad amount");
	set_number(&line->amount, 5);
	set(&line->currency, "EUR");
	expect(FACTS_INVOICE, "amount", "a line of a bad currency");
	ok(reading.facts.n_lines == 0 && reading.facts.paid, "no line is known, but it is paid");

	event.n_lines = 0;
	add("il_1", 0, 1);
	expect(FACTS_INVOICE, NULL, "a trial's line");
	ok(reading.facts.n_lines == 0 && reading.facts.pricing.rank == RANK_LINES &&
	   reading.facts.pricing.credits == 0 && reading.facts.pricing.terms != NULL &&
	   facts_due(&reading.facts) == 0, "is known to be worth nothing");
}

static void
test_line_prices(void)
{
	EventLine  *line;

	begin_new_invoice();
	line = &event.line[0];
	set(&line->price_id, "price_2");
	set(&line->plan_id, "plan_3");
	expect(FACTS_INVOICE, NULL, "every way to name a price");
	expect_line(0, "il_1", "price_1", 500, 2, "the newest is believed");
	unset(&line->pricing_price, FIELD_NULL);
	expect(FACTS_INVOICE, NULL, "the way before");
	expect_line(0, "il_1", "price_2", 500, 2, "is believed then");
	unset(&line->price_id, FIELD_ABSENT);
	expect(FACTS_INVOICE, NULL, "the oldest way");
	expect_line(0, "il_1", "plan_3", 500, 2, "is believed then");
	unset(&line->plan_id, FIELD_ABSENT);
	expect(FACTS_INVOICE, NULL, "a line without price");
	expect_line(0, "il_1", NULL, 500, 2, "is a line");
}

static void
test_prorations(void)
{
	EventLine  *line;
	int			way;

	for (way = 0; way < 4; way++)
	{
		begin_new_invoice();
		event.n_lines = 0;
		line = way < 2 ? add_new_line("il_2", 700, 1) : add_old_line("il_2", 700, 1);
		if (way == 0)
			line->item_proration.value = true;
		else if (way == 1)
		{
			set(&line->parent_type, "invoice_item_details");
			line->invoice_item_details = FIELD_OK;
			line->invoice_item_proration.state = FIELD_OK;
			line->invoice_item_proration.value = true;
		}
		else
		{
			set(&line->type, way == 2 ? "invoiceitem" : "subscription");
			line->proration.value = true;
		}
		expect(FACTS_INVOICE, "proration", "a proration that was paid");
		ok(reading.facts.n_lines == 0 && reading.facts.paid, "brings no line");
		set_number(&event.amount_paid, 0);
		expect(FACTS_INVOICE, NULL, "a proration of nothing");
		ok(reading.facts.n_lines == 0 && reading.facts.pricing.rank == RANK_LINES &&
		   reading.facts.pricing.credits == 0, "is known to be worth nothing");
		set_number(&event.amount_paid, 1700);
		add_new_line("il_1", 1000, 2);
		expect(FACTS_INVOICE, NULL, "a proration and a line");
		expect_lists(0, 0, 0, 0, 1);
		expect_line(0, "il_1", "price_1", 500, 2, "only the line counts");
		unset_number(&line->amount, FIELD_BAD);
		expect(FACTS_INVOICE, NULL, "whatever is wrong with the proration");
	}

	/* something else that was sold beside the subscription */
	begin_new_invoice();
	line = add_old_line("il_2", 700, 1);
	set(&line->type, "invoiceitem");
	expect(FACTS_INVOICE, NULL, "another item on the invoice");
	expect_lists(0, 0, 0, 0, 1);
	line = add_new_line("il_3", 700, 1);
	set(&line->parent_type, "invoice_item_details");
	expect(FACTS_INVOICE, NULL, "another one in the new shape");
	expect_lists(0, 0, 0, 0, 1);
}

static void
test_line_lists(void)
{
	static char names[EVENT_MAX_LINES][16];
	static const EventFieldState states[] = {FIELD_ABSENT, FIELD_NULL, FIELD_BAD};
	size_t		i;

	begin_new_invoice();
	event.lines_has_more.value = true;
	expect(FACTS_INVOICE, "lines", "more lines than there are");
	ok(reading.facts.n_lines == 0 && reading.facts.paid &&
	   reading.facts.pricing.rank == RANK_NONE, "is paid, but for what");
	event.lines_has_more.value = false;
	for (i = 0; i < lengthof(states); i++)
	{
		event.n_lines = 0;
		event.lines_data = states[i];
		expect(FACTS_INVOICE, "lines", "no list of lines");
		ok(reading.facts.pricing.rank == RANK_NONE, "is paid for something unknown");
	}
	event.lines_data = FIELD_OK;
	event.lines_has_more.state = FIELD_ABSENT;
	expect(FACTS_INVOICE, NULL, "an empty list");
	ok(reading.facts.pricing.rank == RANK_LINES && reading.facts.pricing.credits == 0,
	   "is known to be worth nothing");

	for (i = 0; i < EVENT_MAX_LINES; i++)
	{
		snprintf(names[i], sizeof(names[i]), "il_%03d", (int) (i * 37 % EVENT_MAX_LINES));
		add_new_line(names[i], 100, 1);
	}
	expect(FACTS_INVOICE, NULL, "as many lines as there can be");
	expect_lists(0, 0, 0, 0, EVENT_MAX_LINES);
	expect_line(99, "il_099", "price_1", 100, 1, "and the last of them");
}

static void
begin_invoice_payment(void)
{
	begin(EVENT_KIND_INVOICE_PAYMENT_PAID);
	set(&event.object_id, "inpay_1");
	set(&event.status, "paid");
	set(&event.invoice, "in_1");
	event.payment = FIELD_OK;
	set(&event.payment_payment_intent, "pi_1");
}

static void
test_invoice_payments(void)
{
	begin_invoice_payment();
	expect(FACTS_LINK, NULL, "an invoice's payment");
	expect_names("pi_1 in_1", "links them");
	expect_lists(0, 0, 0, 0, 0);
	expect_no_payment("and pays for nothing by itself");
	set(&event.payment_charge, "ch_1");
	expect(FACTS_LINK, NULL, "one with both");
	expect_names("ch_1 pi_1 in_1", "links all");
	expect_bad_ids(&event.payment_charge, "a bad charge of an invoice's payment");
	expect_bad_ids(&event.payment_payment_intent, "a bad payment intent of an invoice's payment");
	expect_bad_ids(&event.invoice, "a payment's bad invoice");
	unset(&event.payment_payment_intent, FIELD_NULL);
	expect(FACTS_LINK, NULL, "one by a charge");
	expect_names("ch_1 in_1", "links that");
	unset(&event.payment_charge, FIELD_NULL);
	expect(FACTS_IGNORED, NULL, "one by neither links nothing");
	set(&event.payment_charge, "ch_1");
	unset(&event.invoice, FIELD_ABSENT);
	expect(FACTS_UNUSABLE, "id", "one without invoice");
}

/*-------------------------------------------------------------------------
 * Policies
 *-------------------------------------------------------------------------
 */
static void
test_install(void)
{
	begin_session(EVENT_KIND_SESSION_COMPLETED);
	set(&event.metadata.install, INSTALL);
	expect(FACTS_PAID, NULL, "our install");
	set(&event.metadata.install, INSTALL_UPPER);
	expect(FACTS_PAID, NULL, "our install in capitals");
	policy.install_id = INSTALL_UPPER;
	set(&event.metadata.install, INSTALL);
	expect(FACTS_PAID, NULL, "our install, where ours is in capitals");
	unset(&event.metadata.install, FIELD_NULL);
	expect(FACTS_PAID, NULL, "a null install");
	set(&event.metadata.install, INSTALL_OTHER);
	expect(FACTS_IGNORED, NULL, "another install's session");
	set(&event.metadata.install, "");
	expect(FACTS_IGNORED, NULL, "an empty install");
	set(&event.metadata.install, INSTALL " ");
	expect(FACTS_IGNORED, NULL, "our install and more");

	/* what is no string is nobody's install, and the money is there */
	unset(&event.metadata.install, FIELD_BAD);
	expect(FACTS_PAID, "install", "an install that is no string");
	begin_subscription();
	unset(&event.metadata.install, FIELD_BAD);
	expect(FACTS_SUBSCRIPTION, "install", "a subscription's install that is no string");
	begin_intent();
	unset(&event.metadata.install, FIELD_BAD);
	expect(FACTS_PAID, "install", "a payment intent's install that is no string");

	begin_subscription();
	set(&event.metadata.install, INSTALL_OTHER);
	expect(FACTS_IGNORED, NULL, "another install's subscription");
	begin_intent();
	set(&event.metadata.install, INSTALL_OTHER);
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
}

/*
 * The kinds of events that are read by what they name, each of somebody's
 * payment and as good as it can be.
 */
static const struct
{
	EventKind	kind;
	FactsNature nature;
	const char *name;
}			reversals[] = {
	{EVENT_KIND_CHARGE, FACTS_LINK, "a charge"},
	{EVENT_KIND_CHARGE_REFUNDED, FACTS_REVERSAL, "a refunded charge"},
	{EVENT_KIND_REFUND, FACTS_REVERSAL, "a refund"},
	{EVENT_KIND_REFUND_FAILED, FACTS_REVERSAL, "a failed refund"},
	{EVENT_KIND_DISPUTE, FACTS_REVERSAL, "a dispute"},
	{EVENT_KIND_FUNDS_WITHDRAWN, FACTS_REVERSAL, "withdrawn funds"},
	{EVENT_KIND_FUNDS_REINSTATED, FACTS_REVERSAL, "reinstated funds"},
	{EVENT_KIND_INVOICE_PAID, FACTS_INVOICE, "an invoice"},
	{EVENT_KIND_INVOICE_PAYMENT_PAID, FACTS_LINK, "an invoice's payment"},
};

static void
begin_reversal(EventKind kind)
{
	if (kind == EVENT_KIND_INVOICE_PAID)
		begin_new_invoice();
	else if (kind == EVENT_KIND_INVOICE_PAYMENT_PAID)
		begin_invoice_payment();
	else if (kind == EVENT_KIND_CHARGE || kind == EVENT_KIND_CHARGE_REFUNDED)
		begin_charge(kind);
	else if (kind == EVENT_KIND_REFUND || kind == EVENT_KIND_REFUND_FAILED)
		begin_refund(kind);
	else
		begin_dispute(kind);
}

static void
test_reversal_policies(void)
{
	static const EventFieldState states[] = {FIELD_ABSENT, FIELD_NULL, FIELD_BAD};
	static char *connected[] = {"acct_1"};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(reversals); i++)
	{
		FactsNature nature = reversals[i].nature;
		const char *name = reversals[i].name;

		begin_reversal(reversals[i].kind);
		expect(nature, NULL, name);
		ok(!reading.wrong_mode && !reading.facts.livemode, "of the test mode");
		policy.live = true;
		expect(FACTS_IGNORED, NULL, "test in live");
		set_livemode(FIELD_OK, true);
		expect(nature, NULL, "live in live");
		ok(!reading.wrong_mode && reading.facts.livemode, "is the right mode");
		policy.live = false;
		expect(nature, NULL, "live in test");
		ok(reading.wrong_mode && reading.facts.livemode, "is the wrong mode");
		for (j = 0; j < lengthof(states); j++)
		{
			set_livemode(states[j], false);
			expect(FACTS_UNUSABLE, "livemode", "no livemode");
			ok(!reading.wrong_mode, "is in no mode");
		}

		begin_reversal(reversals[i].kind);
		set(&event.account, "acct_1");
		expect(FACTS_IGNORED, NULL, "an account of Connect that nobody listed");
		policy.connected_accounts = connected;
		policy.n_connected_accounts = lengthof(connected);
		expect(nature, NULL, "one that is listed");
		ok(same(reading.facts.connected_account, "acct_1"), "is known");
		set(&event.account, "acct_2");
		expect(FACTS_IGNORED, NULL, "another one");

		for (j = 0; j < lengthof(states); j++)
		{
			begin(reversals[i].kind);
			event.data_object = states[j];
			expect(FACTS_UNUSABLE, "id", "an event without its object");
		}

		/* an invoice's own metadata are tried where they are read */
		if (reversals[i].kind == EVENT_KIND_INVOICE_PAID)
			continue;
		begin_reversal(reversals[i].kind);
		set(&event.metadata.install, INSTALL_UPPER);
		expect(nature, NULL, "our install");
		set(&event.metadata.install, INSTALL_OTHER);
		expect(FACTS_IGNORED, NULL, "another install");
		set(&event.metadata.install, "");
		expect(FACTS_IGNORED, NULL, "an empty install");
		unset(&event.metadata.install, FIELD_BAD);
		expect(nature, NULL, "an install that is no string is nobody's");
	}
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

	test_name_order();
	test_charge_names();
	test_charges();
	test_refund_names();
	test_refund_states();
	test_refunds();
	test_dispute_names();
	test_disputes();
	test_transactions();
	test_invoice_names();
	test_invoice_subscription();
	test_invoice_facts();
	test_invoice_metadata();
	test_lines(add_new_line);
	test_lines(add_old_line);
	test_line_prices();
	test_prorations();
	test_line_lists();
	test_invoice_payments();
	test_reversal_policies();
	return done();
}
