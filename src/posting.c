/*-------------------------------------------------------------------------
 *
 * posting.c
 *	  What the ledger holds for a payment.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ledger.h"
#include "posting.h"

const char *
posting_name(const Payment *payment)
{
	return payment->posted_as ? payment->posted_as : payment->facts.payment_id;
}

/* Live money is not credited while the mode is test, unless a person says so. */
static bool
may_post(const Facts *facts, const Settings *settings)
{
	return facts->paid && facts_known(facts) &&
		(!facts->livemode || settings->policy.live || facts->account_rank == RANK_PERSON);
}

/*
 * Lots
 */

static TimestampTz
lot_expiry(const Facts *facts, const Pricing *pricing)
{
	Datum		interval;

	if (pricing->expires_after == NULL || facts->paid_at == FACTS_NO_TIME)
		return DT_NOEND;
	interval = DirectFunctionCall3(interval_in, CStringGetDatum(pricing->expires_after),
								   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return time_after(time_t_to_timestamptz(facts->paid_at), DatumGetIntervalP(interval));
}

static PurchasedLot
lot_of(const Facts *facts, const Pricing *pricing)
{
	PurchasedLot lot = {
		.credits = pricing->credits,
		.has_priority = pricing->priority != NULL,
		.priority = pricing->priority ? pg_strtoint32(pricing->priority) : 0,
		.expires_at = lot_expiry(facts, pricing)
	};

	return lot;
}

/* A lot for each line of an invoice, or one for the whole payment. */
static PurchasedLot *
lots_of(const Facts *facts, int *n)
{
	PurchasedLot *lots = palloc(sizeof(PurchasedLot) * Max(facts->n_lines, 1));
	int			i;

	*n = 0;
	if (facts->pricing.rank == RANK_LINES)
	{
		for (i = 0; i < facts->n_lines; i++)
			if (facts->lines[i].pricing.credits > 0)
				lots[(*n)++] = lot_of(facts, &facts->lines[i].pricing);
	}
	else
		lots[(*n)++] = lot_of(facts, &facts->pricing);
	return lots;
}

static bool
expires(const PurchasedLot *lots, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (!TIMESTAMP_IS_NOEND(lots[i].expires_at))
			return true;
	return false;
}

void
posting_set_expiry(const Payment *payment)
{
	int			n;
	PurchasedLot *lots = lots_of(&payment->facts, &n);

	if (payment->posted_to && expires(lots, n))
		ledger_set_expiry(payment->posted_to, posting_name(payment), lots, n);
}

/*
 * Postings
 */

bool
posting_named_by_buyer(const Facts *facts)
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

	if (payment->facts.account_rank != RANK_NONE && posting_named_by_buyer(&payment->facts))
		overdraw = OVERDRAW_OWN_LOT;
	ledger_reverse(payment->posted_to, posting_name(payment), credits, overdraw);
}

/*
 * So many of the credits that a payment brings, if only to say that it brings none.  Where it brings several lots
 * they come whole, and what is not due goes back as it would have later on.
 * Returns false if the ledger doesn't take them.
 */
static bool
post_purchase(const Payment *payment, int64 credits, const Settings *settings)
{
	int			n;
	PurchasedLot *lots = lots_of(&payment->facts, &n);
	int64		back = 0;

	if (credits == 0)
		return ledger_knows(payment->posted_to, settings->create_accounts);
	if (n == 1)
		lots[0].credits = credits;
	else
		back = payment->facts.pricing.credits - credits;
	if (!ledger_purchase(payment->posted_to, posting_name(payment), lots, n,
						 settings->create_accounts))
		return false;
	if (back > 0)
		post_reversal(payment, back, settings);
	return true;
}

/* Add to what was posted before: to the lots that it brought, if any. */
static bool
post_more(const Payment *payment, int64 credits, int64 back, const Settings *settings)
{
	const char *kind = facts_back(&payment->facts) < back ? "reinstatement" : "purchase";

	return ledger_give_back(payment->posted_to, posting_name(payment), kind, credits) ||
		post_purchase(payment, credits, settings);
}

bool
posting_insert(Payment *payment, const Settings *settings)
{
	bool		post = payment->posted_to == NULL && may_post(&payment->facts, settings);

	if (post)
	{
		payment->posted = facts_due(&payment->facts);
		payment->posted_to = unconstify(char *, payment->facts.account_id);
	}
	if (payment_insert(payment))
	{
		if (post && !post_purchase(payment, payment->posted, settings))
		{
			payment->posted = 0;
			payment->posted_to = NULL;
			payment_write_posted(payment);
		}
		return true;
	}
	if (post)
	{
		payment->posted = 0;
		payment->posted_to = NULL;
	}
	return false;
}

/* To the account that was posted to before, or else to the one that is known. */
static bool
post(Payment *payment, int64 difference, int64 back, const Settings *settings)
{
	bool		first = payment->posted_to == NULL;

	if (difference < 0)
		post_reversal(payment, -difference, settings);
	else if (first)
	{
		payment->posted_to = unconstify(char *, payment->facts.account_id);
		if (!post_purchase(payment, difference, settings))
		{
			payment->posted_to = NULL;
			return false;
		}
	}
	else if (difference > 0)
		return post_more(payment, difference, back, settings);
	return true;
}

Posted
posting_difference(Payment *payment, int64 back, const Settings *settings)
{
	int64		difference = facts_due(&payment->facts) - payment->posted;
	Posted		posted = {0};

	posted.first = payment->posted_to == NULL;
	if (posted.first && !may_post(&payment->facts, settings))
		posted.first = false;
	else if (!post(payment, difference, back, settings))
	{
		posted.first = false;
		posted.refused = true;
	}
	else
	{
		posted.credits = difference;
		payment->posted += difference;
		if (posted.first || difference != 0)
			payment_write_posted(payment);
	}
	return posted;
}

/*
 * Accounts are locked in the order of their names, so the places in line for
 * all of them are taken first.
 */
static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
queue_accounts(const Payment *kept, List *others)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, others)
		names = lappend(names, ((Payment *) lfirst(cell))->posted_to);
	if (kept->posted_to)
		names = lappend(names, kept->posted_to);
	list_sort(names, compare_names);
	foreach(cell, names)
		account_queue(lfirst(cell));
}

int64
posting_undo(const Payment *kept, List *others, const Settings *settings)
{
	int64		credits = 0;
	ListCell   *cell;

	if (others != NIL)
		queue_accounts(kept, others);
	foreach(cell, others)
	{
		const Payment *other = lfirst(cell);

		if (other->posted > 0)
			post_reversal(other, other->posted, settings);
		credits += other->posted;
	}
	return credits;
}
