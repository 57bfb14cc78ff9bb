/*-------------------------------------------------------------------------
 *
 * facts_test.c
 *	  Tests of src/facts.c: how facts merge, and how much of a payment goes
 *	  back.
 *
 * What merging promises is tried on facts drawn by chance from domains so small
 * that they meet and disagree all the time, and where the domain is small
 * enough, on all of them.  What goes back is compared with a slow computation
 * of its own, and tried on whole lives of refunds and disputes, of which we
 * know the end: whatever part of their events has come, in whatever order.
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


/*-------------------------------------------------------------------------
 * Chance
 *-------------------------------------------------------------------------
 */
/* Take a digit off a number: every combination of choices has its number. */
static size_t
pick(size_t *number, size_t choices)
{
	size_t		digit = *number % choices;

	*number /= choices;
	return digit;
}

/*-------------------------------------------------------------------------
 * The lists
 *-------------------------------------------------------------------------
 */
static bool
charge_equal(const void *left, const void *right)
{
	const FactsCharge *a = left;
	const FactsCharge *b = right;

	return same(a->id, b->id) && a->amount == b->amount && same(a->currency, b->currency) &&
		a->refunded_at == b->refunded_at && a->refunded == b->refunded;
}

static bool
refund_equal(const void *left, const void *right)
{
	const FactsRefund *a = left;
	const FactsRefund *b = right;

	return same(a->id, b->id) && same(a->charge_id, b->charge_id) &&
		a->finality == b->finality && a->at == b->at && a->amount == b->amount &&
		same(a->currency, b->currency) && a->created == b->created;
}

static bool
dispute_equal(const void *left, const void *right)
{
	const FactsDispute *a = left;
	const FactsDispute *b = right;

	return same(a->id, b->id) && a->at == b->at && a->status == b->status &&
		a->amount == b->amount && same(a->currency, b->currency) &&
		a->funds_at == b->funds_at && a->funds == b->funds;
}

static bool
transaction_equal(const void *left, const void *right)
{
	const FactsTransaction *a = left;
	const FactsTransaction *b = right;

	return same(a->id, b->id) && same(a->dispute_id, b->dispute_id) && a->amount == b->amount;
}

/* Of what nobody has said nothing else matters. */
static bool
pricing_equal(const Pricing *a, const Pricing *b)
{
	if (a->rank == RANK_NONE && b->rank == RANK_NONE)
		return true;
	return a->rank == b->rank && a->credits == b->credits && same(a->pack_id, b->pack_id) &&
		same(a->terms, b->terms) && same(a->priority, b->priority) &&
		same(a->expires_after, b->expires_after);
}

static bool
line_equal(const void *left, const void *right)
{
	const FactsLine *a = left;
	const FactsLine *b = right;

	return same(a->id, b->id) && same(a->price_id, b->price_id) &&
		a->unit_amount == b->unit_amount && same(a->currency, b->currency) &&
		a->quantity == b->quantity && pricing_equal(&a->pricing, &b->pricing);
}

static void
show_charge(const void *element)
{
	const FactsCharge *charge = element;

	printf("#   charge %s: %lld %s, refunded %lld at %lld\n", charge->id,
		   (long long) charge->amount, shown(charge->currency), (long long) charge->refunded,
		   (long long) charge->refunded_at);
}

static void
show_refund(const void *element)
{
	const FactsRefund *refund = element;

	printf("#   refund %s of %s: %lld %s, created %lld, state %d at %lld\n", refund->id,
		   shown(refund->charge_id), (long long) refund->amount, shown(refund->currency),
		   (long long) refund->created, (int) refund->finality, (long long) refund->at);
}

static void
show_dispute(const void *element)
{
	const FactsDispute *dispute = element;

	printf("#   dispute %s: %lld %s, status %d at %lld, funds %d at %lld\n", dispute->id,
		   (long long) dispute->amount, shown(dispute->currency), (int) dispute->status,
		   (long long) dispute->at, (int) dispute->funds, (long long) dispute->funds_at);
}

static void
show_transaction(const void *element)
{
	const FactsTransaction *transaction = element;

	printf("#   transaction %s of %s: %lld\n", transaction->id, shown(transaction->dispute_id),
		   (long long) transaction->amount);
}

static void
show_line(const void *element)
{
	const FactsLine *line = element;

	printf("#   line %s: price %s, %lld of %lld %s, credits %d %lld, terms %s\n", line->id,
		   shown(line->price_id), (long long) line->quantity, (long long) line->unit_amount,
		   shown(line->currency), (int) line->pricing.rank, (long long) line->pricing.credits,
		   shown(line->pricing.terms));
}

/* The lists of Facts, all alike: each element begins with its id. */
typedef struct ListKind
{
	size_t		element;		/* its size */
	size_t		count;			/* offset of the number of elements in Facts */
	size_t		list;			/* offset of the list in Facts */
	bool		(*equal) (const void *a, const void *b);
	void		(*show) (const void *element);
} ListKind;

static const ListKind kinds[] = {
	{sizeof(FactsCharge), offsetof(Facts, n_charges), offsetof(Facts, charges),
	charge_equal, show_charge},
	{sizeof(FactsRefund), offsetof(Facts, n_refunds), offsetof(Facts, refunds),
	refund_equal, show_refund},
	{sizeof(FactsDispute), offsetof(Facts, n_disputes), offsetof(Facts, disputes),
	dispute_equal, show_dispute},
	{sizeof(FactsTransaction), offsetof(Facts, n_transactions), offsetof(Facts, transactions),
	transaction_equal, show_transaction},
	{sizeof(FactsLine), offsetof(Facts, n_lines), offsetof(Facts, lines),
	line_equal, show_line},
};

#define N_KINDS		lengthof(kinds)

static int
list_count(const Facts *facts, const ListKind *kind)
{
	int			count;

	memcpy(&count, (const char *) facts + kind->count, sizeof(count));
	return count;
}

static char *
list_elements(const Facts *facts, const ListKind *kind)
{
	char	   *elements;

	memcpy(&elements, (const char *) facts + kind->list, sizeof(elements));
	return elements;
}

static const char *
list_id(const Facts *facts, const ListKind *kind, int i)
{
	const char *id;

	memcpy(&id, list_elements(facts, kind) + i * kind->element, sizeof(id));
	return id;
}

static bool
lists_equal(const Facts *a, const Facts *b, const ListKind *kind)
{
	int			i;

	if (list_count(a, kind) != list_count(b, kind))
		return false;
	for (i = 0; i < list_count(a, kind); i++)
		if (!kind->equal(list_elements(a, kind) + i * kind->element,
						 list_elements(b, kind) + i * kind->element))
			return false;
	return true;
}

/* By id, and none of them twice. */
static bool
lists_sorted(const Facts *facts)
{
	size_t		k;
	int			i;

	for (k = 0; k < N_KINDS; k++)
		for (i = 1; i < list_count(facts, &kinds[k]); i++)
			if (strcmp(list_id(facts, &kinds[k], i - 1), list_id(facts, &kinds[k], i)) >= 0)
				return false;
	return true;
}

/*-------------------------------------------------------------------------
 * Facts
 *-------------------------------------------------------------------------
 */
static bool
facts_equal(const Facts *a, const Facts *b)
{
	size_t		k;

	for (k = 0; k < N_KINDS; k++)
		if (!lists_equal(a, b, &kinds[k]))
			return false;
	return same(a->payment_id, b->payment_id) && a->livemode == b->livemode &&
		same(a->connected_account, b->connected_account) &&
		same(a->session_id, b->session_id) &&
		same(a->subscription_id, b->subscription_id) &&
		same(a->customer_id, b->customer_id) && same(a->payment_link, b->payment_link) &&
		a->amount == b->amount && same(a->currency, b->currency) && a->paid == b->paid &&
		a->paid_at == b->paid_at && a->failed_at == b->failed_at &&
		a->expired_at == b->expired_at && a->account_rank == b->account_rank &&
		same(a->account_id, b->account_id) && same(a->account_from, b->account_from) &&
		pricing_equal(&a->pricing, &b->pricing);
}

static void
show_parts(const Facts *facts)
{
	size_t		k;
	int			i;

	for (k = 0; k < N_KINDS; k++)
		for (i = 0; i < list_count(facts, &kinds[k]); i++)
			kinds[k].show(list_elements(facts, &kinds[k]) + i * kinds[k].element);
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
		   (int) facts->pricing.rank, (long long) facts->pricing.credits,
		   shown(facts->pricing.pack_id), shown(facts->pricing.terms),
		   shown(facts->pricing.priority), shown(facts->pricing.expires_after));
	show_parts(facts);
}

/* Facts with lists of their own. */
#define MAX_ELEMENTS	3		/* in any list: as many ids as there are */
#define ROOM			(2 * MAX_ELEMENTS + 1)
#define UNTOUCHED		0x55

typedef struct Store
{
	Facts		facts;
	FactsCharge charges[ROOM];
	FactsRefund refunds[ROOM];
	FactsDispute disputes[ROOM];
	FactsTransaction transactions[ROOM];
	FactsLine	lines[ROOM];
} Store;

static void
point_to_lists(Store *store)
{
	store->facts.charges = store->charges;
	store->facts.refunds = store->refunds;
	store->facts.disputes = store->disputes;
	store->facts.transactions = store->transactions;
	store->facts.lines = store->lines;
}

static void
begin_store(Store *store)
{
	memset(store, UNTOUCHED, sizeof(*store));
	facts_init(&store->facts);
	store->facts.payment_id = "pi_1";
	point_to_lists(store);
}

static void
copy_facts(Store *store, const Facts *facts)
{
	size_t		k;

	memset(store, UNTOUCHED, sizeof(*store));
	store->facts = *facts;
	point_to_lists(store);
	for (k = 0; k < N_KINDS; k++)
	{
		int			count = list_count(facts, &kinds[k]);

		if (count > 0)
			memcpy(list_elements(&store->facts, &kinds[k]), list_elements(facts, &kinds[k]),
				   count * kinds[k].element);
	}
}

/* Whether nothing was written behind so many elements as there may be. */
static bool
kept_to_its_room(const Store *store, const Facts *known, const Facts *news)
{
	size_t		k;
	size_t		i;

	for (k = 0; k < N_KINDS; k++)
	{
		int			room = list_count(known, &kinds[k]) + list_count(news, &kinds[k]);
		const char *behind = list_elements(&store->facts, &kinds[k]) + room * kinds[k].element;

		for (i = 0; i < kinds[k].element; i++)
			if (behind[i] != UNTOUCHED)
				return false;
	}
	return true;
}

/*-------------------------------------------------------------------------
 * Domains
 *-------------------------------------------------------------------------
 */
static const char *const currencies[] = {"eur", "usd"};
static const char *const ids[MAX_ELEMENTS] = {"x_1", "x_2", "x_3"};

/* Set n to any of the 13 ways of whose: nobody's, or a rank, a name, a field. */
#define N_ACCOUNTS	13

static void
choose_account(Store *store, size_t n)
{
	static const FactsRank ranks[] = {RANK_PERSON, RANK_SESSION, RANK_INTENT};
	static const char *const names[] = {"a", "b"};
	static const char *const sources[] = {"customer", "metadata"};
	Facts	   *facts = &store->facts;

	if (n-- == 0)
		return;
	facts->account_rank = ranks[pick(&n, lengthof(ranks))];
	facts->account_id = names[pick(&n, lengthof(names))];
	facts->account_from = sources[pick(&n, lengthof(sources))];
}

/*
 * Set n to any of the 22 ways of how much: not said, or a rank and one of its
 * terms.  Terms say which rank they are of and, because the catalogue stays
 * what it is, all the rest; but different terms may come to the same credits,
 * and even to none.
 */
#define N_PRICINGS			22
#define N_LINE_PRICINGS		19	/* those before the last rank, of an invoice */

static Pricing
a_pricing(size_t n)
{
	static const char *const terms[][3] = {
		{"resolve b", "resolve a", "resolve c"},
		{"price b", "price a", "price c"},
		{"session b", "session a", "session c"},
		{"intent b", "intent a", "intent c"},
		{"link b", "link a", "link c"},
		{"rate b", "rate a", "rate c"},
		{"lines b", "lines a", "lines c"},
	};
	static const Pricing ways[] = {
		{RANK_NONE, 7, "p1", NULL, NULL, NULL},
		{RANK_NONE, 7, "p2", NULL, "1", "1 year"},
		{RANK_NONE, INT64_MAX, NULL, NULL, "2", NULL},
	};
	Pricing		pricing;

	if (n-- == 0)
	{
		memset(&pricing, 0, sizeof(pricing));
		pricing.rank = RANK_NONE;
		return pricing;
	}
	pricing = ways[n % 3];
	pricing.rank = RANK_PERSON + n / 3;
	pricing.terms = terms[n / 3][n % 3];
	if (pricing.rank == RANK_RATE)
		pricing.credits = 0;
	return pricing;
}

static void
choose_pricing(Store *store, size_t n)
{
	store->facts.pricing = a_pricing(n);
}

/* A charge that is paid or not, and refunded or not. */
#define N_CHARGES	45

static FactsCharge
a_charge(const char *id, size_t n)
{
	static const int64_t amounts[] = {FACTS_NO_AMOUNT, 1, INT64_MAX};
	static const char *const any_currency[] = {"eur", "usd", NULL};
	FactsCharge charge = {.id = id};
	size_t		refunded = pick(&n, 5);

	charge.refunded_at = -1;
	if (refunded-- > 0)
	{
		charge.refunded_at = pick(&refunded, 2);
		charge.refunded = 1 + pick(&refunded, 2);
	}
	charge.amount = amounts[pick(&n, lengthof(amounts))];
	charge.currency = any_currency[n % lengthof(any_currency)];
	/* a known amount has its currency */
	if (charge.amount != FACTS_NO_AMOUNT && charge.currency == NULL)
		charge.currency = "eur";
	return charge;
}

/* The first half of them are of one currency. */
#define N_REFUNDS	144

static FactsRefund
a_refund(const char *id, size_t n)
{
	static const int64_t amounts[] = {1, INT64_MAX};
	static const char *const charges[] = {NULL, "x_1", "x_2"};
	FactsRefund refund = {.id = id};

	refund.charge_id = charges[pick(&n, lengthof(charges))];
	refund.finality = pick(&n, 3);
	refund.at = pick(&n, 2);
	refund.amount = amounts[pick(&n, lengthof(amounts))];
	refund.created = pick(&n, 2);
	refund.currency = currencies[pick(&n, lengthof(currencies))];
	return refund;
}

/* The first half of them are of one currency. */
#define N_DISPUTES	160

static FactsDispute
a_dispute(const char *id, size_t n)
{
	static const int64_t amounts[] = {1, INT64_MAX};
	static const DisputeStatus statuses[] = {
		DISPUTE_UNKNOWN, DISPUTE_NEEDS_RESPONSE, DISPUTE_LOST, DISPUTE_WON
	};
	FactsDispute dispute = {.id = id};
	size_t		funds = pick(&n, 5);

	dispute.funds_at = -1;
	if (funds-- > 0)
	{
		dispute.funds_at = pick(&funds, 2);
		dispute.funds = FUNDS_WITHDRAWN + pick(&funds, 2);
	}
	dispute.at = pick(&n, 2);
	dispute.status = statuses[pick(&n, lengthof(statuses))];
	dispute.amount = amounts[pick(&n, lengthof(amounts))];
	dispute.currency = currencies[pick(&n, lengthof(currencies))];
	return dispute;
}

#define N_TRANSACTIONS	9

static FactsTransaction
a_transaction(const char *id, size_t n)
{
	static const int64_t amounts[] = {INT64_MIN, 5, INT64_MAX};
	static const char *const disputes[] = {"x_1", "x_2", "x_3"};
	FactsTransaction transaction = {.id = id};

	transaction.dispute_id = disputes[pick(&n, lengthof(disputes))];
	transaction.amount = amounts[pick(&n, lengthof(amounts))];
	return transaction;
}

/* The first sixth of them are all of one quantity and currency, priced or not. */
#define N_LINES		(24 * N_LINE_PRICINGS)

static FactsLine
a_line(const char *id, size_t n)
{
	static const char *const prices[] = {NULL, "price_1"};
	static const int64_t amounts[] = {FACTS_NO_AMOUNT, 1, 2};
	FactsLine	line = {.id = id};

	line.price_id = prices[pick(&n, lengthof(prices))];
	line.unit_amount = amounts[pick(&n, lengthof(amounts))];
	line.pricing = a_pricing(pick(&n, N_LINE_PRICINGS));
	line.quantity = 1 + pick(&n, 2);
	line.currency = currencies[pick(&n, lengthof(currencies))];
	return line;
}

/*
 * What is known of an invoice's worth agrees with what is known of its lines:
 * unless somebody better says so, it is worth all of them or unknown.
 */
static void
agree_with_lines(Facts *facts)
{
	bool		priced = true;
	__int128	credits = 0;
	int			i;

	if (facts->pricing.rank < RANK_LINES ||
		(facts->pricing.rank == RANK_NONE && facts->n_lines == 0))
		return;
	for (i = 0; i < facts->n_lines; i++)
	{
		priced &= facts->lines[i].pricing.rank != RANK_NONE;
		credits += facts->lines[i].pricing.credits;
	}
	facts->pricing = a_pricing(0);
	if (!priced || credits > INT64_MAX)
		return;
	facts->pricing.rank = RANK_LINES;
	facts->pricing.credits = (int64_t) credits;
	facts->pricing.terms = "lines";
}

/* One charge, or none; and so with the others. */
static void
choose_charge(Store *store, size_t n)
{
	if (n > 0)
		store->charges[store->facts.n_charges++] = a_charge(ids[0], n - 1);
}

static void
choose_refund(Store *store, size_t n)
{
	if (n > 0)
		store->refunds[store->facts.n_refunds++] = a_refund(ids[0], n - 1);
}

static void
choose_dispute(Store *store, size_t n)
{
	if (n > 0)
		store->disputes[store->facts.n_disputes++] = a_dispute(ids[0], n - 1);
}

static void
choose_transaction(Store *store, size_t n)
{
	if (n > 0)
		store->transactions[store->facts.n_transactions++] = a_transaction(ids[0], n - 1);
}

static void
choose_line(Store *store, size_t n)
{
	if (n > 0)
		store->lines[store->facts.n_lines++] = a_line(ids[0], n - 1);
	agree_with_lines(&store->facts);
}

/* Transactions of up to three ids, two ways each. */
#define N_THREE_TRANSACTIONS	27

static void
choose_three(Store *store, size_t n)
{
	int			i;

	for (i = 0; i < MAX_ELEMENTS; i++)
	{
		size_t		way = pick(&n, 3);

		if (way > 0)
			store->transactions[store->facts.n_transactions++] =
				a_transaction(ids[i], (way - 1) * 3);
	}
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
any_lists(Store *store)
{
	Facts	   *facts = &store->facts;
	int			i;

	for (i = 0; i < MAX_ELEMENTS; i++)
	{
		if (chance_below(2))
			store->charges[facts->n_charges++] = a_charge(ids[i], chance_below(N_CHARGES));
		if (chance_below(2))
			store->refunds[facts->n_refunds++] = a_refund(ids[i], chance_below(N_REFUNDS));
		if (chance_below(2))
			store->disputes[facts->n_disputes++] = a_dispute(ids[i], chance_below(N_DISPUTES));
		if (chance_below(2))
			store->transactions[facts->n_transactions++] =
				a_transaction(ids[i], chance_below(N_TRANSACTIONS));
		if (chance_below(2))
			store->lines[facts->n_lines++] = a_line(ids[i], chance_below(N_LINES));
	}
}

static void
any_facts(Store *store)
{
	static const int64_t amounts[] = {FACTS_NO_AMOUNT, 0, 1, INT64_MAX};
	static const char *const three[] = {"aud", "eur", "usd"};
	Facts	   *facts = &store->facts;

	begin_store(store);
	facts->connected_account = any_string();
	/* a payment has one session, if any */
	facts->session_id = chance_below(2) ? "cs_1" : NULL;
	facts->subscription_id = any_string();
	facts->customer_id = any_string();
	facts->payment_link = any_string();
	facts->amount = amounts[chance_below(lengthof(amounts))];
	/* an amount and its currency are said together or not at all */
	facts->currency = facts->amount == FACTS_NO_AMOUNT ? NULL :
		three[chance_below(lengthof(three))];
	facts->paid = chance_below(2);
	facts->paid_at = any_time();
	facts->failed_at = any_time();
	facts->expired_at = any_time();
	choose_account(store, chance_below(N_ACCOUNTS));
	choose_pricing(store, chance_below(N_PRICINGS));
	any_lists(store);
	agree_with_lines(facts);
}

/*-------------------------------------------------------------------------
 * The laws of merging
 *-------------------------------------------------------------------------
 */

/* Those that a merge has broken, each shown once. */
typedef enum Law
{
	LAW_COMMUTES,
	LAW_ASSOCIATES,
	LAW_IDEMPOTENT,
	LAW_IDENTITY,
	LAW_SAYS_CHANGED,
	LAW_LEAVES_NEWS,
	LAW_SORTS,
	LAW_KEEPS_TO_ROOM,
	LAWS
} Law;

static const char *const law_names[LAWS] = {
	"commutes", "associates", "is idempotent", "leaves what is unknown", "says what changed",
	"leaves the news alone", "keeps lists sorted", "keeps to its room"
};

static int	broken[LAWS];

static void
demand(Law law, bool holds, const Store *a, const Store *b, const Store *c)
{
	if (holds || broken[law]++ > 0)
		return;
	printf("# merging, which %s, does not with\n", law_names[law]);
	show_facts("a", &a->facts);
	show_facts("b", &b->facts);
	show_facts("c", &c->facts);
}

/* a and b merged, which stay as they are. */
static void
merge(Store *result, const Store *a, const Store *b)
{
	Store		news;
	bool		changed;

	copy_facts(result, &a->facts);
	copy_facts(&news, &b->facts);
	changed = facts_merge(&result->facts, &news.facts);

	demand(LAW_SAYS_CHANGED, changed == !facts_equal(&result->facts, &a->facts), a, b, b);
	demand(LAW_LEAVES_NEWS, facts_equal(&news.facts, &b->facts), a, b, b);
	demand(LAW_SORTS, lists_sorted(&result->facts), a, b, b);
	demand(LAW_KEEPS_TO_ROOM, kept_to_its_room(result, &a->facts, &b->facts), a, b, b);
}

/* Whether merging a and b comes to 'expected'. */
static bool
merges_to(const Store *a, const Store *b, const Store *expected)
{
	Store		result;

	merge(&result, a, b);
	return facts_equal(&result.facts, &expected->facts);
}

static void
try_laws(const Store *a, const Store *b, const Store *c)
{
	Store		nothing;
	Store		ab;
	Store		bc;
	Store		a_bc;

	begin_store(&nothing);
	merge(&ab, a, b);
	merge(&bc, b, c);
	merge(&a_bc, a, &bc);
	demand(LAW_COMMUTES, merges_to(b, a, &ab), a, b, c);
	demand(LAW_ASSOCIATES, merges_to(&ab, c, &a_bc), a, b, c);
	demand(LAW_IDEMPOTENT, merges_to(a, a, a) && merges_to(&ab, b, &ab) &&
		   merges_to(&ab, a, &ab), a, b, c);
	demand(LAW_IDENTITY, merges_to(a, &nothing, a) && merges_to(&nothing, b, b), a, b, c);
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
test_all_of(void (*choose) (Store *store, size_t n), size_t count, const char *over)
{
	Store		stores[3];
	size_t		n;
	size_t		i;

	for (n = 0; n < count * count * count; n++)
	{
		size_t		rest = n;

		for (i = 0; i < lengthof(stores); i++)
		{
			begin_store(&stores[i]);
			choose(&stores[i], pick(&rest, count));
		}
		try_laws(&stores[0], &stores[1], &stores[2]);
	}
	expect_laws(over, (long) n);
}

static void
test_laws_by_chance(void)
{
	Store		stores[3];
	long		n;

	for (n = 0; n < 200000; n++)
	{
		any_facts(&stores[0]);
		any_facts(&stores[1]);
		any_facts(&stores[2]);
		try_laws(&stores[0], &stores[1], &stores[2]);
	}
	expect_laws("everything by chance", n);
}

#define MAX_EVENTS	5

/* What is computed from facts must be the same if they are. */
static bool
same_outcome(const Facts *a, const Facts *b)
{
	Reversed	left;
	Reversed	right;

	facts_reversed(a, &left);
	facts_reversed(b, &right);
	return facts_equal(a, b) && facts_due(a) == facts_due(b) && facts_back(a) == facts_back(b) &&
		facts_known(a) == facts_known(b) && facts_heard(a) == facts_heard(b) &&
		left.charged == right.charged && same(left.currency, right.currency) &&
		left.whole == right.whole && left.reversed == right.reversed;
}

/* Every order of what is left, from 'from' on, must come to the same. */
static long
try_orders(const Store **order, size_t from, size_t count, const Store *expected, long *wrong)
{
	Store		result;
	long		orders = 0;
	size_t		i;

	if (from == count)
	{
		begin_store(&result);
		for (i = 0; i < count; i++)
		{
			facts_merge(&result.facts, &order[i]->facts);
			/* and one of those before once more */
			facts_merge(&result.facts, &order[chance_below(i + 1)]->facts);
		}
		*wrong += !same_outcome(&result.facts, &expected->facts);
		return 1;
	}
	for (i = from; i < count; i++)
	{
		const Store *here = order[from];

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
	Store		stores[MAX_EVENTS];
	const Store *order[MAX_EVENTS];
	Store		expected;
	long		orders = 0;
	long		wrong = 0;
	size_t		count;
	size_t		i;
	int			round;

	for (round = 0; round < 2000; round++)
		for (count = 1; count <= MAX_EVENTS; count++)
		{
			begin_store(&expected);
			for (i = 0; i < count; i++)
			{
				any_facts(&stores[i]);
				order[i] = &stores[i];
				facts_merge(&expected.facts, &stores[i].facts);
			}
			orders += try_orders(order, 0, count, &expected, &wrong);
		}
	ok(wrong == 0, "up to %d events converge, in %ld orders, %ld wrong", MAX_EVENTS, orders, wrong);
}

/* What merging decides, beyond that it always decides the same. */
static void
test_merge_account(void)
{
	static const FactsRank ranks[] = {
		RANK_PERSON, RANK_SESSION, RANK_INTENT, RANK_LINK, RANK_RATE
	};
	Store		a;
	Store		b;
	size_t		i;

	for (i = 1; i < lengthof(ranks); i++)
	{
		begin_store(&a);
		begin_store(&b);
		a.facts.account_id = "z";
		b.facts.account_id = "a";
		a.facts.account_from = b.facts.account_from = "metadata";
		a.facts.account_rank = ranks[i - 1];
		b.facts.account_rank = ranks[i];
		ok(!facts_merge(&a.facts, &b.facts) && same(a.facts.account_id, "z"),
		   "rank %d names nobody new", (int) ranks[i]);
		a.facts.account_rank = ranks[i];
		ok(facts_merge(&a.facts, &b.facts) && same(a.facts.account_id, "a"),
		   "in a rank the smallest name");
		b.facts.account_rank = ranks[i - 1];
		b.facts.account_id = "z";
		ok(facts_merge(&a.facts, &b.facts) && same(a.facts.account_id, "z"),
		   "rank %d is believed before it", (int) ranks[i - 1]);
	}
}

static void
test_merge_pricing(void)
{
	Store		a;
	Store		b;
	Pricing    *known = &a.facts.pricing;
	Pricing    *news = &b.facts.pricing;
	int			rank;

	for (rank = RANK_PRICE; rank <= RANK_LINES; rank++)
	{
		begin_store(&a);
		begin_store(&b);
		*known = (Pricing) {rank, 1, NULL, "t", NULL, NULL};
		*news = (Pricing) {rank - 1, 100, "p", "u", "1", "1 day"};
		ok(facts_merge(&a.facts, &b.facts) && pricing_equal(known, news),
		   "credits of rank %d come with all that belongs to them", rank - 1);
		*news = (Pricing) {rank, 1, NULL, "t", NULL, NULL};
		ok(!facts_merge(&a.facts, &b.facts) && known->credits == 100,
		   "credits of rank %d change nothing", rank);
	}

	*known = (Pricing) {RANK_RATE, 5, NULL, "t", NULL, NULL};
	*news = (Pricing) {RANK_RATE, 4, NULL, "t", NULL, NULL};
	ok(!facts_merge(&a.facts, &b.facts) && known->credits == 5,
	   "the same terms are not computed again for fewer");
	news->credits = 6;
	ok(!facts_merge(&a.facts, &b.facts) && known->credits == 5, "nor for more");
	news->rank = RANK_LINK;
	ok(!facts_merge(&a.facts, &b.facts) && known->credits == 5 && known->rank == RANK_RATE,
	   "nor because the payment link has come to sell a pack");
	*news = (Pricing) {RANK_RATE, 6, NULL, "u", NULL, NULL};
	ok(!facts_merge(&a.facts, &b.facts) && known->credits == 5,
	   "other terms for more change nothing");
	news->credits = 4;
	ok(facts_merge(&a.facts, &b.facts) && known->credits == 4, "other terms for fewer do");
}

/* Of two events about one refund, whichever comes first. */
static void
test_merge_refunds(void)
{
	int			wrong = 0;
	size_t		n;

	/* finality and time of both; a later event doesn't undo a final state */
	for (n = 0; n < 6 * 6; n++)
	{
		size_t		rest = n;
		FactsRefund a = {"re_1", "ch_1", REFUND_OPEN, 4, 1, "eur", 3};
		FactsRefund b = {"re_1", NULL, REFUND_OPEN, 4, 2, "usd", 2};
		FactsRefund expected;
		bool		a_stays;
		Store		known;
		Store		news;

		a.finality = pick(&rest, 3);
		a.at += pick(&rest, 2);
		b.finality = pick(&rest, 3);
		b.at += pick(&rest, 2);
		a_stays = a.finality > b.finality || (a.finality == b.finality && a.at > b.at);
		expected = a_stays ? a : b;

		begin_store(&known);
		begin_store(&news);
		known.refunds[known.facts.n_refunds++] = a;
		news.refunds[news.facts.n_refunds++] = b;
		expected.charge_id = "ch_1";
		wrong += facts_merge(&known.facts, &news.facts) == a_stays ||
			known.facts.n_refunds != 1 || !refund_equal(&known.refunds[0], &expected);
	}
	ok(wrong == 0, "a refund is the most final event's, of these the latest, %d wrong", wrong);
}

/* A dispute is its latest event's; of a second the status' that comes later. */
static void
test_merge_disputes(void)
{
	int			wrong = 0;
	size_t		n;

	for (n = 0; n < 4 * DISPUTE_STATUSES * DISPUTE_STATUSES * 36; n++)
	{
		size_t		rest = n;
		FactsDispute a = {"dp_1", 0, DISPUTE_UNKNOWN, 1, "eur", 0, FUNDS_UNKNOWN};
		FactsDispute b = {"dp_1", 0, DISPUTE_UNKNOWN, 2, "usd", 0, FUNDS_UNKNOWN};
		FactsDispute expected;
		Store		known;
		Store		news;

		a.at = pick(&rest, 2);
		b.at = pick(&rest, 2);
		a.status = pick(&rest, DISPUTE_STATUSES);
		b.status = pick(&rest, DISPUTE_STATUSES);
		expected = a.at > b.at || (a.at == b.at && a.status > b.status) ? a : b;
		/* the funds' events go by themselves; -1: none */
		a.funds_at = (int64_t) pick(&rest, 3) - 1;
		a.funds = a.funds_at < 0 ? FUNDS_UNKNOWN : FUNDS_WITHDRAWN + pick(&rest, 2);
		b.funds_at = (int64_t) pick(&rest, 3) - 1;
		b.funds = b.funds_at < 0 ? FUNDS_UNKNOWN : FUNDS_WITHDRAWN + pick(&rest, 2);
		expected.funds_at = a.funds_at > b.funds_at ? a.funds_at : b.funds_at;
		if (a.funds_at == b.funds_at)
			expected.funds = a.funds > b.funds ? a.funds : b.funds;
		else
			expected.funds = a.funds_at > b.funds_at ? a.funds : b.funds;

		begin_store(&known);
		begin_store(&news);
		known.disputes[known.facts.n_disputes++] = a;
		news.disputes[news.facts.n_disputes++] = b;
		facts_merge(&known.facts, &news.facts);
		wrong += known.facts.n_disputes != 1 || !dispute_equal(&known.disputes[0], &expected);
	}
	ok(wrong == 0, "a dispute is its latest event's, and its funds are theirs, %d wrong", wrong);
}

/* Of a charge the newest figure, and of the same second the greatest. */
static void
test_merge_charges(void)
{
	int			wrong = 0;
	size_t		n;

	for (n = 0; n < 3 * 3 * 3 * 3 * 4; n++)
	{
		size_t		rest = n;
		FactsCharge a = {"ch_1", FACTS_NO_AMOUNT, "eur", -1, 0};
		FactsCharge b = {"ch_1", FACTS_NO_AMOUNT, "eur", -1, 0};
		FactsCharge expected;
		Store		known;
		Store		news;

		a.refunded_at += pick(&rest, 3);
		b.refunded_at += pick(&rest, 3);
		a.refunded = a.refunded_at < 0 ? 0 : pick(&rest, 3);
		b.refunded = b.refunded_at < 0 ? 0 : pick(&rest, 3);
		if (a.refunded_at == b.refunded_at)
			expected = a.refunded > b.refunded ? a : b;
		else
			expected = a.refunded_at > b.refunded_at ? a : b;
		/* it is paid as soon as one event says so */
		if (pick(&rest, 2))
			a.amount = expected.amount = 1000;
		if (pick(&rest, 2))
			b.amount = expected.amount = 1000;

		begin_store(&known);
		begin_store(&news);
		known.charges[known.facts.n_charges++] = a;
		news.charges[news.facts.n_charges++] = b;
		facts_merge(&known.facts, &news.facts);
		wrong += known.facts.n_charges != 1 || !charge_equal(&known.charges[0], &expected);
	}
	ok(wrong == 0, "a charge's figure is the newest, %d wrong", wrong);
}

static void
expect_lines(const Store *store, FactsRank rank, int64_t credits, const char *name)
{
	const Pricing *pricing = &store->facts.pricing;

	if (!ok(pricing->rank == rank && (rank == RANK_NONE || pricing->credits == credits), "%s",
			name))
		printf("# rank %d, %lld credits\n", (int) pricing->rank, (long long) pricing->credits);
}

/* An invoice is worth all its lines, or nobody knows what. */
static void
test_merge_lines(void)
{
	static const Pricing three = {RANK_PRICE, 3, "p", "three", "1", NULL};
	static const Pricing most = {RANK_PRICE, INT64_MAX, "p", "most", NULL, NULL};
	Store		known;
	Store		news;

	begin_store(&known);
	begin_store(&news);
	news.lines[news.facts.n_lines++] = a_line("il_2", 0);
	news.lines[0].pricing = three;
	facts_merge(&known.facts, &news.facts);
	expect_lines(&known, RANK_LINES, 3, "an invoice of one line is worth that");
	news.lines[0].id = "il_1";
	facts_merge(&known.facts, &news.facts);
	expect_lines(&known, RANK_LINES, 6, "of two it is worth both");
	news.lines[0].id = "il_3";
	news.lines[0].pricing = a_pricing(0);
	facts_merge(&known.facts, &news.facts);
	expect_lines(&known, RANK_NONE, 0, "one that nobody knows makes all of it unknown");
	news.lines[0].pricing = three;
	ok(facts_merge(&known.facts, &news.facts), "a price for it is news");
	expect_lines(&known, RANK_LINES, 9, "and all of it known");
	ok(!facts_merge(&known.facts, &news.facts), "but not twice");
	news.lines[0].pricing = most;
	news.lines[0].id = "il_4";
	facts_merge(&known.facts, &news.facts);
	expect_lines(&known, RANK_NONE, 0, "more than there can be is unknown");
	news.facts.n_lines = 0;
	news.facts.pricing = (Pricing) {RANK_PERSON, 1, NULL, "resolve", NULL, NULL};
	facts_merge(&known.facts, &news.facts);
	expect_lines(&known, RANK_PERSON, 1, "a person is believed before all lines");
}

/*-------------------------------------------------------------------------
 * What is due
 *-------------------------------------------------------------------------
 */

/* Somebody's paid payment of 100 credits, for an amount of so many euros. */
static void
begin_paid(Store *store, int64_t amount)
{
	begin_store(store);
	store->facts.paid = true;
	store->facts.amount = amount;
	store->facts.currency = amount == FACTS_NO_AMOUNT ? NULL : "eur";
	store->facts.pricing = (Pricing) {RANK_SESSION, 100, NULL, "t", NULL, NULL};
}

static void
add_charge(Store *store, const char *id, int64_t amount, const char *currency, int64_t refunded)
{
	store->charges[store->facts.n_charges++] =
		(FactsCharge) {id, amount, currency, refunded > 0 ? 5 : -1, refunded};
}

/* Created at 3, and so before what add_charge() says. */
static void
add_refund(Store *store, const char *id, const char *charge_id, Finality finality, int64_t amount,
		   const char *currency)
{
	store->refunds[store->facts.n_refunds++] =
		(FactsRefund) {id, charge_id, finality, 4, amount, currency, 3};
}

static void
add_dispute(Store *store, const char *id, DisputeStatus status, int64_t amount,
			const char *currency)
{
	store->disputes[store->facts.n_disputes++] =
		(FactsDispute) {id, 4, status, amount, currency, -1, FUNDS_UNKNOWN};
}

static void
expect_reversed(const Store *store, int64_t charged, int64_t reversed, int64_t due,
				const char *name)
{
	Reversed	result;

	facts_reversed(&store->facts, &result);
	if (!ok(result.charged == charged && result.reversed == reversed &&
			facts_due(&store->facts) == due &&
			facts_back(&store->facts) == store->facts.pricing.credits - due, "%s", name))
		printf("# %lld of %lld, whole %d, back %lld, due %lld\n", (long long) result.reversed,
			   (long long) result.charged, result.whole, (long long) facts_back(&store->facts),
			   (long long) facts_due(&store->facts));
}

static void
test_due(void)
{
	Store		store;
	Facts	   *facts = &store.facts;

	begin_store(&store);
	ok(facts_due(facts) == 0 && facts_back(facts) == 0 && !facts_known(facts) &&
	   !facts_heard(facts), "of nothing nothing is due");
	ok(facts->amount == FACTS_NO_AMOUNT && facts->paid_at == FACTS_NO_TIME && !facts->paid &&
	   facts->failed_at == FACTS_NO_TIME && facts->expired_at == FACTS_NO_TIME &&
	   facts->account_id == NULL && facts->pricing.terms == NULL && facts->n_charges == 0 &&
	   facts->n_refunds == 0 && facts->n_disputes == 0 && facts->n_transactions == 0 &&
	   facts->n_lines == 0, "nothing is known at first");
	choose_pricing(&store, 4);
	ok(facts_due(facts) == 0 && !facts_known(facts), "unpaid: nothing is due");
	add_refund(&store, "re_1", NULL, REFUND_OPEN, 1, "eur");
	ok(facts_due(facts) == 0 && !facts_heard(facts), "a refund alone is no payment");
	facts->n_refunds = 0;
	facts->paid = true;
	ok(facts_due(facts) == 7 && !facts_known(facts) && facts_heard(facts),
	   "paid: it is due, but to whom");
	choose_account(&store, 1);
	ok(facts_due(facts) == 7 && facts_known(facts), "paid and known");
	facts->pricing.rank = RANK_NONE;
	add_refund(&store, "re_1", NULL, REFUND_OPEN, 1, "eur");
	ok(facts_due(facts) == 0 && facts_back(facts) == 0 && !facts_known(facts),
	   "paid, but for how much");
	facts->paid = false;
	facts->session_id = "cs_1";
	ok(facts_heard(facts), "a session that is not paid was heard of");
}

static void
test_refunds(void)
{
	Store		store;

	begin_paid(&store, 1000);
	expect_reversed(&store, 1000, 0, 100, "nothing went back");
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 250, "eur");
	expect_reversed(&store, 1000, 250, 75, "a refund that is not final counts");
	store.refunds[0].finality = REFUND_SUCCEEDED;
	expect_reversed(&store, 1000, 250, 75, "one that succeeded counts");
	store.refunds[0].finality = REFUND_FAILED;
	expect_reversed(&store, 1000, 0, 100, "one that failed doesn't");
	store.refunds[0].finality = REFUND_OPEN;
	store.refunds[0].amount = 1;
	expect_reversed(&store, 1000, 1, 99, "the least refund takes a credit");
	store.refunds[0].amount = 999;
	expect_reversed(&store, 1000, 999, 0, "and leaves none to the last cent");
	store.refunds[0].amount = 5000;
	expect_reversed(&store, 1000, 1000, 0, "no more goes back than was paid");
	store.refunds[0].amount = INT64_MAX;
	add_refund(&store, "re_2", NULL, REFUND_OPEN, INT64_MAX, "eur");
	expect_reversed(&store, 1000, 1000, 0, "and be it twice the greatest number");

	begin_paid(&store, 1000);
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 1, "usd");
	expect_reversed(&store, 1000, 1000, 0, "a refund in another currency is whole");
	store.refunds[0].finality = REFUND_FAILED;
	expect_reversed(&store, 1000, 0, 100, "unless it failed");
	store.refunds[0].finality = REFUND_OPEN;
	store.refunds[0].amount = 0;
	expect_reversed(&store, 1000, 0, 100, "or is nothing");

	begin_paid(&store, FACTS_NO_AMOUNT);
	expect_reversed(&store, FACTS_NO_AMOUNT, 0, 100, "of an unknown amount nothing went back");
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 1, "eur");
	expect_reversed(&store, FACTS_NO_AMOUNT, 0, 0, "of an unknown amount any refund is whole");
	store.refunds[0].finality = REFUND_FAILED;
	expect_reversed(&store, FACTS_NO_AMOUNT, 0, 100, "unless it failed");

	begin_paid(&store, 0);
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 5, "eur");
	expect_reversed(&store, 0, 0, 100, "of nothing nothing goes back; nothing is divided by 0");
}

static void
test_charges(void)
{
	Store		store;

	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", 500, "usd", 0);
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 250, "usd");
	expect_reversed(&store, 500, 250, 50, "the charge's amount and currency, not the session's");
	store.refunds[0].currency = "eur";
	expect_reversed(&store, 500, 500, 0, "the session's currency is another");
	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", FACTS_NO_AMOUNT, "usd", 0);
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 250, "eur");
	expect_reversed(&store, 1000, 250, 75, "a charge that is not paid is none");

	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", 600, "eur", 0);
	add_charge(&store, "ch_2", FACTS_NO_AMOUNT, "eur", 0);
	add_charge(&store, "ch_3", 200, "eur", 0);
	expect_reversed(&store, 800, 0, 100, "several charges");
	add_refund(&store, "re_1", "ch_3", REFUND_OPEN, 200, "eur");
	expect_reversed(&store, 800, 200, 75, "of which one went back");
	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", INT64_MAX, "eur", 0);
	add_charge(&store, "ch_2", INT64_MAX, "eur", 0);
	expect_reversed(&store, INT64_MAX, 0, 100, "more than the greatest number was charged");

	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", 1000, "eur", 300);
	expect_reversed(&store, 1000, 300, 70, "the cumulative figure alone");
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 200, "eur");
	expect_reversed(&store, 1000, 300, 70, "a refund that is in it");
	add_refund(&store, "re_2", NULL, REFUND_OPEN, 50, "eur");
	expect_reversed(&store, 1000, 300, 70, "another one, which doesn't say of which charge");
	add_refund(&store, "re_3", "ch_1", REFUND_OPEN, 40, "eur");
	store.refunds[2].created = 6;
	expect_reversed(&store, 1000, 340, 66, "one that was created later");
	store.refunds[2].created = 5;
	expect_reversed(&store, 1000, 300, 70, "one that was created in the same second");
	store.refunds[2].charge_id = "ch_2";
	expect_reversed(&store, 1000, 340, 66, "one of another charge");
	store.refunds[0].finality = REFUND_FAILED;
	expect_reversed(&store, 1000, 140, 86, "a failed one was in the figure too");
	store.charges[0].refunded = 50;
	expect_reversed(&store, 1000, 90, 91, "or was taken out of it");

	begin_paid(&store, 1000);
	add_charge(&store, "ch_1", 500, "eur", 100);
	add_charge(&store, "ch_2", 500, "eur", 100);
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 100, "eur");
	expect_reversed(&store, 1000, 200, 80, "each charge has a figure of its own");
	begin_paid(&store, FACTS_NO_AMOUNT);
	add_charge(&store, "ch_1", FACTS_NO_AMOUNT, NULL, 1);
	expect_reversed(&store, FACTS_NO_AMOUNT, 0, 0, "the figure of an unknown charge is whole");
}

/* Whether funds are withdrawn in each status, if nothing else is known. */
static const char withdrawn_by_status[] = "...WWWW..W.";

static bool
gives_back(DisputeStatus status)
{
	return status == DISPUTE_WON || status == DISPUTE_PREVENTED || status == DISPUTE_WARNING_CLOSED;
}

static bool
should_be_withdrawn(DisputeStatus status, DisputeFunds funds, int64_t net, int entries)
{
	if (gives_back(status))
		return entries > 1 && net < 0;
	if (entries > 0)
		return net < 0;
	if (funds == FUNDS_UNKNOWN)
		return withdrawn_by_status[status] == 'W';
	return funds == FUNDS_WITHDRAWN;
}

/* Every status, funds and list of transactions. */
static void
test_dispute_states(void)
{
	static const int64_t lists[][3] = {
		{0}, {-10}, {10}, {-10, 10}, {-10, 4}, {-10, 10, -10}, {10, -10, 3},
		{INT64_MIN, INT64_MIN, INT64_MAX}, {INT64_MAX, INT64_MAX, INT64_MIN}
	};
	int			wrong = 0;
	int			tried = 0;
	int			status;
	int			funds;
	size_t		i;
	int			n;

	for (status = 0; status < DISPUTE_STATUSES; status++)
		for (funds = FUNDS_UNKNOWN; funds <= FUNDS_REINSTATED; funds++)
			for (i = 0; i < lengthof(lists); i++)
			{
				Store		store;
				Reversed	reversed;
				int64_t		net = 0;
				bool		expected;

				begin_paid(&store, 1000);
				add_dispute(&store, "dp_1", status, 300, "eur");
				store.disputes[0].funds = funds;
				store.disputes[0].funds_at = funds == FUNDS_UNKNOWN ? -1 : 4;
				for (n = 0; n < 3 && lists[i][n] != 0; n++)
				{
					store.transactions[n] = (FactsTransaction) {ids[n], "dp_1", lists[i][n]};
					/* only the sign matters, and this keeps it */
					net += lists[i][n] / 4;
				}
				store.facts.n_transactions = n;
				/* another dispute's must not matter */
				store.transactions[n] = (FactsTransaction) {"y", "dp_2", net < 0 ? 1000 : -1000};
				store.facts.n_transactions++;

				expected = should_be_withdrawn(status, funds, net, n);
				facts_reversed(&store.facts, &reversed);
				tried++;
				if (reversed.reversed == (expected ? 300 : 0))
					continue;
				if (wrong++ == 0)
					show_facts("wrong", &store.facts);
			}
	ok(wrong == 0, "every dispute of one state, %d of %d wrong", wrong, tried);
}

static void
test_disputes(void)
{
	Store		store;

	ok(strlen(withdrawn_by_status) == DISPUTE_STATUSES, "every status is known");
	begin_paid(&store, 1000);
	add_dispute(&store, "dp_1", DISPUTE_LOST, 1000, "eur");
	expect_reversed(&store, 1000, 1000, 0, "a lost dispute");
	store.disputes[0].amount = 400;
	expect_reversed(&store, 1000, 400, 60, "of a part");
	add_dispute(&store, "dp_2", DISPUTE_UNDER_REVIEW, 100, "eur");
	expect_reversed(&store, 1000, 500, 50, "and another");
	add_refund(&store, "re_1", "ch_1", REFUND_OPEN, 300, "eur");
	expect_reversed(&store, 1000, 800, 20, "and a refund");
	store.refunds[0].amount = 900;
	expect_reversed(&store, 1000, 1000, 0, "together no more than was paid");
	store.disputes[0].status = DISPUTE_WON;
	store.disputes[1].status = DISPUTE_WON;
	expect_reversed(&store, 1000, 900, 10, "what was won comes back");

	begin_paid(&store, 1000);
	add_dispute(&store, "dp_1", DISPUTE_LOST, 1, "usd");
	expect_reversed(&store, 1000, 1000, 0, "a dispute in another currency is whole");
	store.disputes[0].status = DISPUTE_WON;
	expect_reversed(&store, 1000, 0, 100, "and comes back if it is won");
	begin_paid(&store, FACTS_NO_AMOUNT);
	add_dispute(&store, "dp_1", DISPUTE_LOST, 1, "eur");
	expect_reversed(&store, FACTS_NO_AMOUNT, 0, 0, "of an unknown amount any dispute is whole");
}

static void
test_dispute_names(void)
{
	static const char *const names[] = {
		"warning_needs_response", "warning_under_review", "needs_response", "under_review",
		"appeal_needs_response", "appeal_under_review", "warning_closed", "prevented", "lost", "won"
	};
	size_t		i;

	for (i = 0; i < lengthof(names); i++)
		ok(dispute_status_from_name(names[i]) == (DisputeStatus) (i + 1) &&
		   same(dispute_status_name((DisputeStatus) (i + 1)), names[i]),
		   "status %s has its name", names[i]);
	ok(dispute_status_from_name("charge_refunded") == DISPUTE_UNKNOWN &&
	   dispute_status_from_name("") == DISPUTE_UNKNOWN &&
	   dispute_status_from_name("Won") == DISPUTE_UNKNOWN, "other statuses are unknown");
	ok(dispute_status_from_name(dispute_status_name(DISPUTE_UNKNOWN)) == DISPUTE_UNKNOWN,
	   "the unknown one has a name too");
}

/*
 * The same again, slowly: 128 bits for every sum, and no division.
 */
static __int128
slowly_unseen(const Facts *facts, const FactsCharge *charge)
{
	__int128	seen = 0;
	int			i;

	for (i = 0; i < facts->n_refunds; i++)
		if ((facts->refunds[i].charge_id == NULL ||
			 same(facts->refunds[i].charge_id, charge->id)) &&
			!(facts->refunds[i].created > charge->refunded_at))
			seen += facts->refunds[i].amount;
	return charge->refunded < seen ? 0 : charge->refunded - seen;
}

/* Charges are of one currency here. */
static void
slowly_reversed(const Facts *facts, __int128 *charged, __int128 *reversed)
{
	const char *currency = facts->currency;
	bool		whole = false;
	int			i;

	*charged = 0;
	*reversed = 0;
	for (i = 0; i < facts->n_charges; i++)
	{
		*charged += facts->charges[i].amount;
		*reversed += slowly_unseen(facts, &facts->charges[i]);
		currency = facts->charges[i].currency;
	}
	if (facts->n_charges == 0)
		*charged = facts->amount;
	if (*charged > INT64_MAX)
		*charged = INT64_MAX;
	for (i = 0; i < facts->n_refunds; i++)
	{
		if (facts->refunds[i].finality == REFUND_FAILED)
			continue;
		*reversed += facts->refunds[i].amount;
		whole |= facts->refunds[i].amount > 0 && !same(facts->refunds[i].currency, currency);
	}
	for (i = 0; i < facts->n_disputes; i++)
	{
		/* which have no transactions here */
		if (!should_be_withdrawn(facts->disputes[i].status, facts->disputes[i].funds, 0, 0))
			continue;
		*reversed += facts->disputes[i].amount;
		whole |= facts->disputes[i].amount > 0 && !same(facts->disputes[i].currency, currency);
	}
	if (whole || *reversed > *charged)
		*reversed = *charged;
}

static int64_t
any_amount(void)
{
	switch (chance_below(4))
	{
		case 0:
			return (int64_t) chance_below(4);
		case 1:
			return INT64_MAX - (int64_t) chance_below(4);
		default:
			return chance_number();
	}
}

static const char *
any_currency(void)
{
	return currencies[chance_below(16) == 0];
}

/* A paid payment with parts of any size, in one currency for the most part. */
static void
any_reversal(Store *store)
{
	Facts	   *facts = &store->facts;
	size_t		n_charges = chance_below(3);
	int			i;

	begin_paid(store, any_amount());
	facts->pricing.credits = any_amount();
	for (i = 0; i < (int) n_charges; i++)
	{
		add_charge(store, ids[i], any_amount(), "eur", 0);
		store->charges[i].refunded_at = chance_below(3);
		if (chance_below(2))
			store->charges[i].refunded = any_amount();
	}
	for (i = chance_below(MAX_ELEMENTS + 1); i < MAX_ELEMENTS; i++)
	{
		FactsRefund *refund = &store->refunds[facts->n_refunds];

		/* one that doesn't say its charge is of the only one */
		add_refund(store, ids[i], n_charges < 2 ? NULL : ids[0], REFUND_OPEN, 0, "eur");
		if (chance_below(2))
			refund->charge_id = ids[chance_below(MAX_ELEMENTS)];
		refund->finality = chance_below(3);
		refund->amount = any_amount();
		refund->currency = any_currency();
		refund->created = chance_below(3);
	}
	for (i = chance_below(MAX_ELEMENTS + 1); i < MAX_ELEMENTS; i++)
	{
		FactsDispute *dispute = &store->disputes[facts->n_disputes];

		add_dispute(store, ids[i], DISPUTE_UNKNOWN, 0, "eur");
		dispute->status = chance_below(DISPUTE_STATUSES);
		dispute->amount = any_amount();
		dispute->currency = any_currency();
		dispute->funds = chance_below(3);
	}
}

/* Whether so many credits are the least that are worth as much. */
static bool
is_rounded_up(__int128 back, __int128 credits, __int128 reversed, __int128 charged)
{
	return back * charged >= credits * reversed &&
		(back == 0 || (back - 1) * charged < credits * reversed);
}

static void
test_reversed_by_chance(void)
{
	int			wrong = 0;
	int			partly = 0;
	int			i;

	for (i = 0; i < 200000; i++)
	{
		Store		store;
		Reversed	result;
		__int128	charged;
		__int128	reversed;
		int64_t		credits;
		int64_t		back;
		int64_t		due;

		any_reversal(&store);
		slowly_reversed(&store.facts, &charged, &reversed);
		facts_reversed(&store.facts, &result);
		credits = store.facts.pricing.credits;
		back = facts_back(&store.facts);
		due = facts_due(&store.facts);
		partly += due > 0 && due < credits;
		if (result.charged == charged && result.reversed == reversed &&
			due >= 0 && due <= credits && back == credits - due &&
			(charged == 0 ? back == 0 : is_rounded_up(back, credits, reversed, charged)))
			continue;
		if (wrong++ == 0)
			show_facts("wrong", &store.facts);
	}
	ok(wrong == 0 && partly > 1000, "what is due, by chance: %d wrong, %d of %d in part", wrong,
	   partly, i);
}

/* The more goes back the less is due, from all of it down to nothing. */
static void
test_due_falls(void)
{
	int			wrong = 0;
	int			i;
	int			step;

	for (i = 0; i < 5000; i++)
	{
		Store		store;
		int64_t		charged = any_amount() | 1;
		int64_t		credits = any_amount();
		int64_t		last = credits;

		begin_paid(&store, FACTS_NO_AMOUNT);
		store.facts.pricing.credits = credits;
		add_charge(&store, "ch_1", charged, "eur", 0);
		add_refund(&store, "re_1", "ch_1", REFUND_SUCCEEDED, 0, "eur");
		wrong += facts_due(&store.facts) != credits;
		for (step = 0; step < 20; step++)
		{
			int64_t		left = charged - store.refunds[0].amount;
			int64_t		more = left > 0 ? (int64_t) (chance() >> 1) % left : 0;
			int64_t		due;

			store.refunds[0].amount += more;
			due = facts_due(&store.facts);
			wrong += due < 0 || due > last || (credits > 0 && more > 0 && due == credits);
			last = due;
		}
		store.refunds[0].amount = charged;
		wrong += facts_due(&store.facts) != 0;
	}
	ok(wrong == 0, "the more goes back the less is due, %d wrong", wrong);
}

/*-------------------------------------------------------------------------
 * Lives
 *
 * What happens to a payment at Stripe, as the events that tell of it, in the
 * order of time.  Every order in which some of them may come ends in the set of
 * those that came; so the facts of each set are computed once, and must be the
 * same whichever of them came last.  That is every order of every part.
 *-------------------------------------------------------------------------
 */
#define MAX_REFUNDS		3
#define MAX_LIFE		(4 * MAX_REFUNDS)
#define CHARGED			1000

typedef struct Life
{
	Store		before;			/* the payment without them */
	int			n_events;
	Store		events[MAX_LIFE];
	int64_t		says[MAX_LIFE]; /* what an event alone says went back */
	int64_t		counted[MAX_LIFE];	/* what had gone back then, at Stripe */
	int64_t		ever[MAX_LIFE]; /* the same, if none had failed */
	unsigned	figures;		/* the set of those that bring the cumulative
								 * figure */
	unsigned	finals;			/* the set of each refund's last event */
} Life;

static Event event;
static Life life;
static Store sets[1 << MAX_LIFE];

/* The numbers of sets that were tried, and of those that were wrong. */
static long tried;
static long wrong_sets;

static const char *const refund_ids[MAX_REFUNDS] = {"re_2", "re_3", "re_1"};

static void
begin_life(void)
{
	life.n_events = 0;
	life.figures = life.finals = 0;
	begin_paid(&life.before, CHARGED);
}

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

static void
begin_event(EventKind kind, int64_t now)
{
	memset(&event, 0, offsetof(Event, transaction));
	event.kind = kind;
	event.livemode.state = FIELD_OK;
	event.data = event.data_object = FIELD_OK;
	set_number(&event.created, now);
	set(&event.currency, "eur");
}

/* Read the event, as one of the life's. */
static void
add_event(int64_t says, int64_t counted, int64_t ever)
{
	static EventReading reading;
	FactsPolicy policy = {.install_id = ""};
	int			n = life.n_events++;

	facts_read(&event, &policy, &reading);
	if (reading.nature != FACTS_REVERSAL || reading.reason != NULL)
		ok(false, "event %d of a life can't be used", n);
	reading.facts.payment_id = "pi_1";
	copy_facts(&life.events[n], &reading.facts);
	life.says[n] = says;
	life.counted[n] = counted;
	life.ever[n] = ever;
}

static void
show_set(const char *why, unsigned set, int64_t reversed)
{
	int			i;

	if (wrong_sets++ > 0)
		return;
	printf("# %s, reversed %lld\n", why, (long long) reversed);
	for (i = 0; i < life.n_events; i++)
	{
		printf("# event %d %s: alone it says %lld, counted %lld, ever %lld\n", i,
			   set & 1U << i ? "came" : "has not come", (long long) life.says[i],
			   (long long) life.counted[i], (long long) life.ever[i]);
		show_parts(&life.events[i].facts);
	}
}

static bool
comes_to(const Store *known, const Store *news, const Store *expected)
{
	static Store result;

	copy_facts(&result, &known->facts);
	facts_merge(&result.facts, &news->facts);
	return facts_equal(&result.facts, &expected->facts);
}

static int64_t
reversed_of(const Store *store)
{
	Reversed	reversed;

	facts_reversed(&store->facts, &reversed);
	return reversed.reversed;
}

/* The facts of every set of the life's events, whichever came last. */
static void
try_every_order(void)
{
	unsigned	set;
	int			i;

	sets[0] = life.before;
	point_to_lists(&sets[0]);
	for (set = 1; set < 1U << life.n_events; set++)
	{
		int			lowest = __builtin_ctz(set);

		tried++;
		copy_facts(&sets[set], &sets[set & (set - 1)].facts);
		facts_merge(&sets[set].facts, &life.events[lowest].facts);
		if (!lists_sorted(&sets[set].facts))
			show_set("a list is not sorted", set, reversed_of(&sets[set]));
		for (i = lowest; i < life.n_events; i++)
			if (set & 1U << i && !comes_to(&sets[set & ~(1U << i)], &life.events[i], &sets[set]))
				show_set("another order comes to something else", set, reversed_of(&sets[set]));
	}
}

/* What the events of a set that bring the figure say: the newest. */
static int64_t
newest_figure(unsigned set)
{
	int64_t		at = -1;
	int64_t		figure = 0;
	int			i;

	for (i = 0; i < life.n_events; i++)
		if (set & life.figures & 1U << i)
		{
			int64_t		now = life.events[i].facts.charges[0].refunded_at;

			if (now > at || (now == at && life.says[i] > figure))
			{
				at = now;
				figure = life.says[i];
			}
		}
	return figure;
}

/* What holds of a set of a life's events, whatever else will come. */
static void
try_refund_set(unsigned set, bool any_fails)
{
	int			last = life.n_events - 1;
	int			latest = 31 - __builtin_clz(set);
	int64_t		reversed = reversed_of(&sets[set]);
	int			i;

	/* once each refund's last event is there, nothing else matters */
	if ((set & life.finals) == life.finals && reversed != life.counted[last])
		show_set("all is known and wrong", set, reversed);
	/* never more than was ever refunded until the latest event */
	if (reversed > life.ever[latest])
		show_set("more than was ever refunded", set, reversed);
	/* the figure alone is believed as it is */
	if ((set & ~life.figures) == 0 && reversed != newest_figure(set))
		show_set("not what the newest figure says", set, reversed);
	/* without holes it is right at every moment */
	if ((set & (set + 1)) == 0 && reversed != life.counted[latest])
		show_set("wrong on the way", set, reversed);
	/* if nothing fails, it is never less than any event says */
	for (i = 0; i < life.n_events && !any_fails; i++)
		if (set & 1U << i && reversed < life.says[i])
			show_set("less than an event says", set, reversed);
}

/* How a life of refunds goes. */
typedef struct Plan
{
	int			n_refunds;
	int			size[MAX_REFUNDS];
	bool		fails[MAX_REFUNDS];
	int			steps[2 * MAX_REFUNDS];	/* each refund twice: made, and decided */
	bool		lowers;			/* a failure lowers the cumulative figure */
	bool		at_once;		/* refunds are said to have succeeded at once */
	bool		ticks;			/* each step has a second of its own */
} Plan;

static void
add_refund_event(EventKind kind, const Plan *plan, int i, const char *status, int64_t made,
				 int64_t now, int64_t counted, int64_t ever)
{
	begin_event(kind, now);
	set(&event.object_id, refund_ids[i]);
	set(&event.charge, "ch_1");
	set(&event.payment_intent, "pi_1");
	set(&event.status, status);
	set_number(&event.amount, plan->size[i]);
	set_number(&event.object_created, made);
	add_event(strcmp(status, "failed") == 0 ? 0 : plan->size[i], counted, ever);
}

static void
add_figure_event(int64_t figure, int64_t now, int64_t counted, int64_t ever)
{
	begin_event(EVENT_KIND_CHARGE_REFUNDED, now);
	set(&event.object_id, "ch_1");
	set(&event.payment_intent, "pi_1");
	set_number(&event.amount, CHARGED);
	set_number(&event.amount_refunded, figure);
	event.paid.state = FIELD_OK;
	event.paid.value = true;
	life.figures |= 1U << life.n_events;
	add_event(figure, counted, ever);
}

/* At every step the refund's event and the charge's. */
static void
live(const Plan *plan)
{
	int64_t		made[MAX_REFUNDS] = {0};
	int64_t		now = 1;
	int64_t		figure = 0;
	int64_t		counted = 0;
	int64_t		ever = 0;
	int			step;

	begin_life();
	for (step = 0; step < 2 * plan->n_refunds; step++)
	{
		int			i = plan->steps[step];
		int64_t		size = plan->size[i];

		now += plan->ticks;
		if (made[i] == 0)
		{
			made[i] = now;
			figure += size;
			counted += size;
			ever += size;
			add_refund_event(EVENT_KIND_REFUND, plan, i, plan->at_once ? "succeeded" : "pending",
							 made[i], now, counted, ever);
		}
		else if (plan->fails[i])
		{
			figure -= plan->lowers ? size : 0;
			counted -= size;
			life.finals |= 1U << life.n_events;
			add_refund_event(EVENT_KIND_REFUND_FAILED, plan, i, "failed", made[i], now, counted,
							 ever);
		}
		else
		{
			life.finals |= 1U << life.n_events;
			add_refund_event(EVENT_KIND_REFUND, plan, i, "succeeded", made[i], now, counted, ever);
		}
		add_figure_event(figure, now, counted, ever);
	}
}

static bool
any_of(const Plan *plan)
{
	int			i;

	for (i = 0; i < plan->n_refunds; i++)
		if (plan->fails[i])
			return true;
	return false;
}

static void
try_plan(const Plan *plan)
{
	unsigned	set;

	live(plan);
	try_every_order();
	for (set = 1; set < 1U << life.n_events; set++)
		try_refund_set(set, any_of(plan));
}

/* One order of all events of a plan, by chance, is enough if there are many. */
static void
try_one_order(const Plan *plan)
{
	int			order[MAX_LIFE];
	Store		known;
	int			i;

	live(plan);
	copy_facts(&known, &life.before.facts);
	for (i = 0; i < life.n_events; i++)
	{
		int			j = chance_below(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < life.n_events; i++)
		facts_merge(&known.facts, &life.events[order[i]].facts);
	tried++;
	if (reversed_of(&known) != life.counted[life.n_events - 1])
		show_set("all is known and wrong", (1U << life.n_events) - 1, reversed_of(&known));
}

/*
 * The n-th of all orders in which refunds are made and decided; returns false
 * if it is none.  They are made in the order of their numbers, which loses
 * nothing because each has every size.
 */
static bool
order_steps(Plan *plan, size_t n)
{
	int			steps[MAX_REFUNDS] = {0};
	int			i;

	for (i = 0; i < 2 * plan->n_refunds; i++)
	{
		int			refund = pick(&n, plan->n_refunds);

		if (++steps[refund] > 2 || (refund > 0 && steps[refund - 1] == 0))
			return false;
		plan->steps[i] = refund;
	}
	return true;
}

/* The n-th of all plans; returns false if it is none. */
static bool
choose_plan(Plan *plan, int n_refunds, size_t n)
{
	int			i;

	plan->n_refunds = n_refunds;
	plan->lowers = pick(&n, 2);
	plan->at_once = pick(&n, 2);
	plan->ticks = pick(&n, 2);
	for (i = 0; i < n_refunds; i++)
	{
		plan->size[i] = 1 + pick(&n, 3);
		plan->fails[i] = pick(&n, 2);
	}
	return order_steps(plan, n);
}

/* How many numbers of plans there are: n ^ (2 * n) orders, 6 ^ n refunds. */
static size_t
count_plans(int n_refunds)
{
	size_t		count = 8;
	int			i;

	for (i = 0; i < n_refunds; i++)
		count *= 6 * n_refunds * n_refunds;
	return count;
}

static void
expect_lives(const char *name, int plans)
{
	ok(wrong_sets == 0 && plans > 0, "%s: %ld sets of events of %d lives, %ld wrong", name, tried,
	   plans, wrong_sets);
	tried = wrong_sets = 0;
}

static void
test_refund_lives(void)
{
	Plan		plan;
	int			plans;
	int			refunds;
	size_t		n;

	for (refunds = 1; refunds <= 2; refunds++)
	{
		plans = 0;
		for (n = 0; n < count_plans(refunds); n++)
			if (choose_plan(&plan, refunds, n))
			{
				plans++;
				try_plan(&plan);
			}
		expect_lives(refunds == 1 ? "every life of one refund" : "every life of two refunds",
					 plans);
	}

	plans = 0;
	for (n = 0; n < count_plans(MAX_REFUNDS); n++)
		if (choose_plan(&plan, MAX_REFUNDS, n))
		{
			plans++;
			try_one_order(&plan);
		}
	expect_lives("every life of three refunds, in one order", plans);

	for (plans = 0; plans < 150;)
		if (choose_plan(&plan, MAX_REFUNDS, chance_below(count_plans(MAX_REFUNDS))))
		{
			plans++;
			try_plan(&plan);
		}
	expect_lives("some lives of three refunds, in every order", plans);
}

/*
 * Disputes.  At each step there is an event with all transactions until then.
 */
typedef struct DisputeStep
{
	EventKind	kind;
	const char *status;
	int64_t		moved;			/* the transaction that is new; 0: none */
} DisputeStep;

typedef struct DisputePlan
{
	const char *name;
	bool		withdrawn;		/* in the end */
	bool		needs_time;		/* within a second it can't be told */
	DisputeStep steps[8];
} DisputePlan;

#define DISPUTED	300
#define STEP(status)	{EVENT_KIND_DISPUTE, status, 0}
#define WITHDRAWN(status)	{EVENT_KIND_FUNDS_WITHDRAWN, status, -315}
#define REINSTATED(status)	{EVENT_KIND_FUNDS_REINSTATED, status, 315}

static const DisputePlan dispute_plans[] = {
	{"created", true, false,
	{STEP("needs_response")}},
	{"withdrawn", true, false,
	{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("under_review")}},
	{"won", false, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("under_review"), STEP("won"),
	REINSTATED("won")}},
	{"won, reinstated before it was closed", false, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), REINSTATED("under_review"),
	STEP("won")}},
	{"won, and nothing reinstated", false, false,
	{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("won")}},
	{"lost", true, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("under_review"),
	STEP("lost")}},
	{"lost, appealed and lost", true, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("appeal_needs_response"),
	STEP("appeal_under_review"), STEP("lost")}},
	{"lost, appealed and won", false, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("lost"),
	STEP("appeal_under_review"), STEP("won"), REINSTATED("won")}},
	{"lost and in appeal", true, true,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("lost"),
	STEP("appeal_needs_response"), STEP("appeal_under_review")}},
	{"won, and lost after all", true, true,
		{STEP("needs_response"), WITHDRAWN("needs_response"), STEP("won"), REINSTATED("won"),
	STEP("under_review"), WITHDRAWN("under_review"), STEP("lost")}},
	{"an inquiry that was closed", false, false,
	{STEP("warning_needs_response"), STEP("warning_under_review"), STEP("warning_closed")}},
	{"an inquiry", false, false,
	{STEP("warning_needs_response"), STEP("warning_under_review")}},
	{"an inquiry that became a dispute", true, false,
		{STEP("warning_needs_response"), STEP("needs_response"), WITHDRAWN("needs_response"),
	STEP("lost")}},
	{"prevented", false, false,
		{STEP("needs_response"), WITHDRAWN("needs_response"), REINSTATED("prevented"),
	STEP("prevented")}},
};

/* Stripe lists them with the newest first or last; their ids have no order. */
static void
add_transactions(const int64_t *moved, int n, bool newest_first)
{
	static const char *const transaction_ids[] = {"txn_2", "txn_1", "txn_3"};
	int			i;

	event.balance_transactions = FIELD_OK;
	event.n_transactions = n;
	for (i = 0; i < n; i++)
	{
		int			from = newest_first ? n - 1 - i : i;

		event.transaction[i].state = FIELD_OK;
		set(&event.transaction[i].id, transaction_ids[from]);
		set_number(&event.transaction[i].amount, moved[from]);
	}
}

static void
live_dispute(const DisputePlan *plan, bool transactions, bool newest_first, bool ticks)
{
	int64_t		moved[MAX_ELEMENTS] = {0};
	int			n_moved = 0;
	int64_t		now = 1;
	int			i;

	begin_life();
	for (i = 0; i < (int) lengthof(plan->steps) && plan->steps[i].status; i++)
	{
		const DisputeStep *step = &plan->steps[i];

		now += ticks;
		if (step->moved != 0)
			moved[n_moved++] = step->moved;
		begin_event(step->kind, now);
		set(&event.object_id, "dp_1");
		set(&event.charge, "ch_1");
		set(&event.payment_intent, "pi_1");
		set(&event.status, step->status);
		set_number(&event.amount, DISPUTED);
		if (transactions)
			add_transactions(moved, n_moved, newest_first);
		add_event(0, 0, 0);
	}
}

static void
try_dispute_plan(const DisputePlan *plan, int way)
{
	bool		transactions = way & 1;
	bool		newest_first = way & 2;
	bool		ticks = way & 4;
	int64_t		expected = plan->withdrawn ? DISPUTED : 0;
	Store	   *all;

	if (plan->needs_time && !ticks)
		return;
	live_dispute(plan, transactions, newest_first, ticks);
	try_every_order();
	all = &sets[(1U << life.n_events) - 1];
	if (reversed_of(all) != expected)
		show_set(plan->name, (1U << life.n_events) - 1, reversed_of(all));
}

static void
test_dispute_lives(void)
{
	size_t		i;
	int			way;

	for (i = 0; i < lengthof(dispute_plans); i++)
	{
		for (way = 0; way < 8; way++)
			try_dispute_plan(&dispute_plans[i], way);
		ok(wrong_sets == 0, "a dispute %s: in every order, %ld sets, %ld wrong",
		   dispute_plans[i].name, tried, wrong_sets);
		tried = wrong_sets = 0;
	}
}

int
main(void)
{
	printf("# seed %#llx\n", (unsigned long long) SEED);

	test_all_of(choose_account, N_ACCOUNTS, "whose");
	test_all_of(choose_pricing, N_PRICINGS, "how much");
	test_all_of(choose_charge, N_CHARGES + 1, "a charge");
	test_all_of(choose_refund, N_REFUNDS / 2 + 1, "a refund");
	test_all_of(choose_dispute, N_DISPUTES / 2 + 1, "a dispute");
	test_all_of(choose_transaction, N_TRANSACTIONS + 1, "a transaction");
	test_all_of(choose_three, N_THREE_TRANSACTIONS, "three transactions");
	test_all_of(choose_line, 36 + 1, "a line");
	test_laws_by_chance();
	test_convergence();
	test_merge_account();
	test_merge_pricing();
	test_merge_charges();
	test_merge_refunds();
	test_merge_disputes();
	test_merge_lines();

	test_due();
	test_refunds();
	test_charges();
	test_dispute_names();
	test_dispute_states();
	test_disputes();
	test_reversed_by_chance();
	test_due_falls();

	test_refund_lives();
	test_dispute_lives();
	return done();
}
