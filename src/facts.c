/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  What is known of a payment: how news merge into it, and what is due.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "facts.h"

#include <stdlib.h>
#include <string.h>

void
facts_init(Facts *facts)
{
	memset(facts, 0, sizeof(Facts));
	facts->amount = FACTS_NO_AMOUNT;
	facts->paid_at = FACTS_NO_TIME;
	facts->failed_at = FACTS_NO_TIME;
	facts->expired_at = FACTS_NO_TIME;
	facts->account_rank = RANK_NONE;
	facts->pricing.rank = RANK_NONE;
}

/*
 * Names
 */

/* A charge's name may begin in several ways; it is all that is left. */
static int
kind_of_name(const char *name)
{
	if (strncmp(name, "in_", 3) == 0)
		return 3;
	if (strncmp(name, "pi_", 3) == 0)
		return 2;
	return facts_is_session_name(name) ? 1 : 0;
}

bool
facts_is_session_name(const char *name)
{
	return strncmp(name, "cs_", 3) == 0;
}

int
facts_compare_names(const char *a, const char *b)
{
	int			order = kind_of_name(a) - kind_of_name(b);

	return order != 0 ? order : strcmp(b, a);
}

/*
 * Arithmetic
 */

bool
facts_units(int64_t amount, int64_t unit_amount, int64_t *units)
{
	if (amount <= 0 || unit_amount <= 0 || amount % unit_amount != 0)
		return false;
	*units = amount / unit_amount;
	return true;
}

bool
facts_multiply(int64_t credits, int64_t quantity, int64_t *product)
{
	return !__builtin_mul_overflow(credits, quantity, product);
}

/* floor(net * credits / per_amount); nothing here is negative */
bool
facts_rate(int64_t net, int64_t credits, int64_t per_amount, int64_t *result)
{
	__int128	quotient;

	if (net < 0 || credits < 0 || per_amount <= 0)
		return false;
	quotient = (__int128) net * credits / per_amount;
	if (quotient > INT64_MAX)
		return false;
	*result = (int64_t) quotient;
	return true;
}

/*
 * Merging
 */

/* Which of two strings stays: the only one, or the smaller. */
static bool
merge_string(const char **known, const char *news)
{
	if (news == NULL || (*known != NULL && strcmp(*known, news) <= 0))
		return false;
	*known = news;
	return true;
}

static bool
merge_least(int64_t *known, int64_t news)
{
	if (news >= *known)
		return false;
	*known = news;
	return true;
}

/* An amount and its currency belong together: the smaller amount's. */
static bool
merge_amount(Facts *known, const Facts *news)
{
	if (news->amount == FACTS_NO_AMOUNT)
		return false;
	if (known->amount != FACTS_NO_AMOUNT &&
		(news->amount > known->amount ||
		 (news->amount == known->amount && strcmp(news->currency, known->currency) >= 0)))
		return false;
	known->amount = news->amount;
	known->currency = news->currency;
	return true;
}

/* The account that the better rank names; within a rank the smallest. */
static bool
merge_account(Facts *known, const Facts *news)
{
	int			order;

	if (news->account_rank == RANK_NONE || news->account_rank > known->account_rank)
		return false;
	if (news->account_rank == known->account_rank)
	{
		order = strcmp(news->account_id, known->account_id);
		if (order > 0 ||
			(order == 0 && strcmp(news->account_from, known->account_from) >= 0))
			return false;
	}
	known->account_rank = news->account_rank;
	known->account_id = news->account_id;
	known->account_from = news->account_from;
	return true;
}

/*
 * The credits that the better rank gives; within a rank the fewest.  If the
 * same terms were computed before, perhaps from another catalogue, that stands.
 */
static bool
merge_pricing(Pricing *known, const Pricing *news)
{
	int			order;

	if (news->rank == RANK_NONE)
		return false;
	order = known->rank == RANK_NONE ? -1 : strcmp(news->terms, known->terms);
	if (order == 0 || news->rank > known->rank)
		return false;
	if (news->rank == known->rank &&
		(news->credits > known->credits || (news->credits == known->credits && order > 0)))
		return false;
	*known = *news;
	return true;
}

/*
 * The parts.  What is merged of one is the greater of two, by a total order
 * over all that is taken together.
 */

static int
compare_int64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
compare_strings(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* A charge may grow, by an authorization that is incremented. */
static bool
merge_charge(void *target, const void *source)
{
	FactsCharge *known = target;
	const FactsCharge *news = source;
	bool		changed = false;
	int			order = compare_int64(news->amount, known->amount);

	if (order > 0 || (order == 0 && compare_strings(news->currency, known->currency) > 0))
	{
		known->amount = news->amount;
		known->currency = news->currency;
		changed = true;
	}
	order = compare_int64(news->refunded_at, known->refunded_at);
	if (order > 0 || (order == 0 && news->refunded > known->refunded))
	{
		known->refunded_at = news->refunded_at;
		known->refunded = news->refunded;
		changed = true;
	}
	return changed;
}

static int
compare_refunds(const FactsRefund *a, const FactsRefund *b)
{
	int			order = (int) a->finality - (int) b->finality;

	if (order == 0)
		order = compare_int64(a->at, b->at);
	if (order == 0)
		order = compare_int64(a->amount, b->amount);
	if (order == 0)
		order = compare_strings(a->currency, b->currency);
	return order != 0 ? order : compare_int64(a->created, b->created);
}

static bool
merge_refund(void *target, const void *source)
{
	FactsRefund *known = target;
	const FactsRefund *news = source;
	const char *charge_id = known->charge_id;
	bool		changed = merge_string(&charge_id, news->charge_id);

	if (compare_refunds(news, known) > 0)
	{
		*known = *news;
		changed = true;
	}
	known->charge_id = charge_id;
	return changed;
}

static int
compare_disputes(const FactsDispute *a, const FactsDispute *b)
{
	int			order = compare_int64(a->at, b->at);

	if (order == 0)
		order = (int) a->status - (int) b->status;
	if (order == 0)
		order = compare_int64(a->amount, b->amount);
	return order != 0 ? order : compare_strings(a->currency, b->currency);
}

/* Funds can only be reinstated after they were withdrawn. */
static bool
merge_dispute(void *target, const void *source)
{
	FactsDispute *known = target;
	const FactsDispute *news = source;
	int			order = compare_int64(news->funds_at, known->funds_at);
	bool		changed = false;

	if (order > 0 || (order == 0 && news->funds > known->funds))
	{
		known->funds_at = news->funds_at;
		known->funds = news->funds;
		changed = true;
	}
	if (compare_disputes(news, known) > 0)
	{
		known->at = news->at;
		known->status = news->status;
		known->amount = news->amount;
		known->currency = news->currency;
		changed = true;
	}
	return changed;
}

static bool
merge_transaction(void *target, const void *source)
{
	FactsTransaction *known = target;
	const FactsTransaction *news = source;
	int			order = compare_int64(news->amount, known->amount);

	if (order == 0)
		order = strcmp(news->dispute_id, known->dispute_id);
	if (order >= 0)
		return false;
	*known = *news;
	return true;
}

/* A line is what one invoice says it is; only its pricing may get better. */
static int
compare_line_terms(const FactsLine *a, const FactsLine *b)
{
	int			order = compare_int64(a->unit_amount, b->unit_amount);

	if (order == 0)
		order = compare_int64(a->quantity, b->quantity);
	if (order == 0)
		order = compare_strings(a->currency, b->currency);
	return order != 0 ? order : compare_strings(a->price_id, b->price_id);
}

static bool
merge_line(void *target, const void *source)
{
	FactsLine  *known = target;
	const FactsLine *news = source;
	Pricing		pricing = known->pricing;
	bool		changed = merge_pricing(&pricing, &news->pricing);

	if (compare_line_terms(news, known) < 0)
	{
		*known = *news;
		changed = true;
	}
	known->pricing = pricing;
	return changed;
}

/* By their ids: every part begins with its own. */
static int
compare_parts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

bool
facts_sort(void *parts, int n, size_t size)
{
	const char *part = parts;
	int			i;

	qsort(parts, (size_t) n, size, compare_parts);
	for (i = 1; i < n; i++, part += size)
		if (compare_parts(part, part + size) == 0)
			return false;
	return true;
}

/*
 * Merge a sorted list into another that has room for it; returns whether that
 * changed anything.
 */
static bool
merge_list(void *known, int *n_known, const void *news, int n_news, size_t size,
		   bool (*merge) (void *, const void *))
{
	char	   *parts = known;
	const char *part = news;
	bool		changed = false;
	int			at = 0;
	int			i;

	for (i = 0; i < n_news; i++, part += size)
	{
		int			order = 1;

		while (at < *n_known && (order = compare_parts(parts + (size_t) at * size, part)) < 0)
			at++;
		if (at < *n_known && order == 0)
		{
			changed |= merge(parts + (size_t) at * size, part);
			continue;
		}
		memmove(parts + (size_t) (at + 1) * size, parts + (size_t) at * size,
				(size_t) (*n_known - at) * size);
		memcpy(parts + (size_t) at * size, part, size);
		(*n_known)++;
		changed = true;
	}
	return changed;
}

#define MERGE_LIST(known, news, list, merge) \
	merge_list((known)->list, &(known)->n_##list, (news)->list, (news)->n_##list, \
			   sizeof((known)->list[0]), merge)

static bool
merge_parts(Facts *known, const Facts *news)
{
	bool		changed = false;

	changed |= MERGE_LIST(known, news, charges, merge_charge);
	changed |= MERGE_LIST(known, news, refunds, merge_refund);
	changed |= MERGE_LIST(known, news, disputes, merge_dispute);
	changed |= MERGE_LIST(known, news, transactions, merge_transaction);
	changed |= MERGE_LIST(known, news, lines, merge_line);
	return changed;
}

/*
 * An invoice is worth what its lines are, if all of them are known.  That comes
 * last in rank, so it may be computed anew whenever a line has changed.
 */
static void
price_lines(Facts *facts)
{
	Pricing		pricing = {.rank = RANK_LINES, .terms = "lines"};
	int			i;

	if (facts->n_lines == 0 || facts->pricing.rank < RANK_LINES)
		return;
	for (i = 0; i < facts->n_lines; i++)
	{
		const Pricing *line = &facts->lines[i].pricing;

		if (line->rank == RANK_NONE ||
			__builtin_add_overflow(pricing.credits, line->credits, &pricing.credits))
		{
			memset(&facts->pricing, 0, sizeof(Pricing));
			facts->pricing.rank = RANK_NONE;
			return;
		}
	}
	facts->pricing = pricing;
}

static bool
is_same_pricing(const Pricing *a, const Pricing *b)
{
	return a->rank == b->rank &&
		(a->rank == RANK_NONE || (a->credits == b->credits && strcmp(a->terms, b->terms) == 0));
}

/* Of the whole payment, whose lines are merged already. */
static bool
merge_pricing_of_all(Facts *known, const Facts *news)
{
	Pricing		before = known->pricing;

	(void) merge_pricing(&known->pricing, &news->pricing);
	price_lines(known);
	return !is_same_pricing(&before, &known->pricing);
}

bool
facts_merge(Facts *known, const Facts *news)
{
	bool		changed = false;

	/* one of the payment's names, and so never changed for another */
	if (known->session_id == NULL && news->session_id != NULL)
	{
		known->session_id = news->session_id;
		changed = true;
	}
	changed |= merge_string(&known->connected_account, news->connected_account);
	changed |= merge_string(&known->subscription_id, news->subscription_id);
	changed |= merge_string(&known->customer_id, news->customer_id);
	changed |= merge_string(&known->payment_link, news->payment_link);
	changed |= merge_amount(known, news);
	changed |= merge_least(&known->paid_at, news->paid_at);
	changed |= merge_least(&known->failed_at, news->failed_at);
	changed |= merge_least(&known->expired_at, news->expired_at);
	if (news->paid && !known->paid)
		changed = known->paid = true;
	changed |= merge_account(known, news);
	changed |= merge_parts(known, news);
	changed |= merge_pricing_of_all(known, news);
	return changed;
}

/*
 * What is due
 */

static const char *const dispute_status_names[DISPUTE_STATUSES] = {
	"unknown",
	"warning_needs_response",
	"warning_under_review",
	"needs_response",
	"under_review",
	"appeal_needs_response",
	"appeal_under_review",
	"warning_closed",
	"prevented",
	"lost",
	"won"
};

const char *
dispute_status_name(DisputeStatus status)
{
	return dispute_status_names[status];
}

DisputeStatus
dispute_status_from_name(const char *name)
{
	int			status;

	for (status = 0; status < DISPUTE_STATUSES; status++)
		if (strcmp(dispute_status_names[status], name) == 0)
			return (DisputeStatus) status;
	return DISPUTE_UNKNOWN;
}

/* What was charged: by the charges, or else as the payment itself says. */
static void
read_charged(const Facts *facts, Reversed *result)
{
	__int128	charged = 0;
	int			i;

	result->charged = FACTS_NO_AMOUNT;
	result->currency = NULL;
	for (i = 0; i < facts->n_charges; i++)
	{
		const FactsCharge *charge = &facts->charges[i];

		if (charge->amount == FACTS_NO_AMOUNT)
			continue;
		if (result->currency == NULL)
			result->currency = charge->currency;
		if (strcmp(charge->currency, result->currency) == 0)
			charged += charge->amount;
	}
	if (result->currency)
		result->charged = charged > INT64_MAX ? INT64_MAX : (int64_t) charged;
	else if (facts->amount != FACTS_NO_AMOUNT)
	{
		result->charged = facts->amount;
		result->currency = facts->currency;
	}
}

/* An amount in another currency can't be compared: it counts as the whole. */
static void
add_reversed(Reversed *result, __int128 *sum, int64_t amount, const char *currency)
{
	*sum += amount;
	if (amount > 0 && (result->currency == NULL || currency == NULL ||
					   strcmp(currency, result->currency) != 0))
		result->whole = true;
}

/* Of a charge: what its cumulative figure knows, and its refunds don't. */
static int64_t
refunded_unseen(const Facts *facts, const FactsCharge *charge)
{
	__int128	unseen = charge->refunded;
	int			i;

	for (i = 0; i < facts->n_refunds; i++)
	{
		const FactsRefund *refund = &facts->refunds[i];

		if (refund->created <= charge->refunded_at &&
			(refund->charge_id == NULL || strcmp(refund->charge_id, charge->id) == 0))
			unseen -= refund->amount;
	}
	return unseen > 0 ? (int64_t) unseen : 0;
}

static void
add_refunds(const Facts *facts, Reversed *result, __int128 *sum)
{
	int			i;

	for (i = 0; i < facts->n_refunds; i++)
		if (facts->refunds[i].finality != REFUND_FAILED)
			add_reversed(result, sum, facts->refunds[i].amount, facts->refunds[i].currency);
	for (i = 0; i < facts->n_charges; i++)
	{
		const FactsCharge *charge = &facts->charges[i];

		add_reversed(result, sum, refunded_unseen(facts, charge),
					 charge->amount == FACTS_NO_AMOUNT ? NULL : charge->currency);
	}
}

/* Whether the buyer's bank has the money of a dispute. */
static bool
is_withdrawn(const Facts *facts, const FactsDispute *dispute)
{
	__int128	net = 0;
	int			n = 0;
	int			i;

	for (i = 0; i < facts->n_transactions; i++)
		if (strcmp(facts->transactions[i].dispute_id, dispute->id) == 0)
		{
			net += facts->transactions[i].amount;
			n++;
		}
	if (dispute->status == DISPUTE_WON || dispute->status == DISPUTE_PREVENTED ||
		dispute->status == DISPUTE_WARNING_CLOSED)
		return n > 1 && net < 0;
	if (n > 0)
		return net < 0;
	if (dispute->funds != FUNDS_UNKNOWN)
		return dispute->funds == FUNDS_WITHDRAWN;
	return dispute->status == DISPUTE_NEEDS_RESPONSE || dispute->status == DISPUTE_UNDER_REVIEW ||
		dispute->status == DISPUTE_LOST || dispute->status == DISPUTE_APPEAL_NEEDS_RESPONSE ||
		dispute->status == DISPUTE_APPEAL_UNDER_REVIEW;
}

static void
add_disputes(const Facts *facts, Reversed *result, __int128 *sum)
{
	int			i;

	for (i = 0; i < facts->n_disputes; i++)
		if (is_withdrawn(facts, &facts->disputes[i]))
			add_reversed(result, sum, facts->disputes[i].amount, facts->disputes[i].currency);
}

void
facts_reversed(const Facts *facts, Reversed *reversed)
{
	__int128	sum = 0;

	memset(reversed, 0, sizeof(Reversed));
	read_charged(facts, reversed);
	add_refunds(facts, reversed, &sum);
	add_disputes(facts, reversed, &sum);
	if (reversed->charged == FACTS_NO_AMOUNT)
		return;
	if (reversed->whole || sum > reversed->charged)
		sum = reversed->charged;
	reversed->reversed = (int64_t) sum;
}

/* Whoever gets a part of his money back keeps no credit that he didn't pay. */
int64_t
facts_back(const Facts *facts)
{
	int64_t		credits = facts->pricing.rank == RANK_NONE ? 0 : facts->pricing.credits;
	Reversed	part;

	facts_reversed(facts, &part);
	if (part.charged == FACTS_NO_AMOUNT)
		return part.whole ? credits : 0;
	if (part.charged == 0 || part.reversed == 0)
		return 0;
	return (int64_t) (((__int128) credits * part.reversed + part.charged - 1) / part.charged);
}

int64_t
facts_due(const Facts *facts)
{
	return facts->paid && facts->pricing.rank != RANK_NONE ?
		facts->pricing.credits - facts_back(facts) : 0;
}

bool
facts_known(const Facts *facts)
{
	return facts->account_rank != RANK_NONE && facts->pricing.rank != RANK_NONE;
}

bool
facts_heard(const Facts *facts)
{
	return facts->paid || facts->session_id != NULL;
}
