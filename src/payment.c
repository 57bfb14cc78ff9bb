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

#include "utils/builtins.h"

#include "catalogue.h"
#include "details.h"
#include "payment.h"
#include "posting.h"

/*
 * Names
 */

/* All names of one payment, while its rows are being brought together. */
typedef struct Join
{
	Payment		known;			/* what the rows so far, and the news, know */
	bool		is_new;			/* the last row was not there before */
	bool		linked;			/* nor was that of another name */
	List	   *names;			/* those still to be seen, in order */
	List	   *absorbed;		/* those whose rows knew something */
	List	   *postings;		/* of rows that posted it once too often */
	int			vanished;		/* how often a row did before it was locked */
} Join;

/* A name that is to be seen, in its place. */
static void
add_name(Join *join, char *name)
{
	int			i;

	for (i = 0; i < list_length(join->names); i++)
	{
		int			order = facts_compare_names(name, list_nth(join->names, i));

		if (order == 0)
			return;
		if (order < 0)
			break;
	}
	join->names = list_insert_nth(join->names, i, name);
}

/* The next name's row leads to another: that is seen in its stead. */
static void
follow(Join *join, char *name)
{
	join->names = list_delete_first(join->names);
	add_name(join, name);
}

/* What one row has posted becomes another's, unless that has posted too. */
static void
take_over_posting(Join *join, Payment *keeper, const Payment *other)
{
	Payment    *extra;

	if (other->posted_to == NULL)
		return;
	if (keeper->posted_to == NULL)
	{
		keeper->posted = other->posted;
		keeper->posted_to = other->posted_to;
		keeper->posted_as = pstrdup(posting_name(other));
		return;
	}
	extra = palloc(sizeof(Payment));
	*extra = *other;
	join->postings = lappend(join->postings, extra);
}

/* A row that knows something, and is not the last. */
static void
absorb(Join *join, Payment *row)
{
	take_over_posting(join, &join->known, row);
	(void) details_merge(&join->known.facts, &row->facts);
	payment_make_alias(row->facts.payment_id, llast(join->names));
	join->absorbed = lappend(join->absorbed, unconstify(char *, row->facts.payment_id));
	join->names = list_delete_first(join->names);
}

/*
 * A row that was there a moment ago.  Returns false if it is there no more: one
 * that was never heard of may have been forgotten, and can be made anew.
 */
static bool
lock_next(Join *join, Payment *row)
{
	if (payment_lock(linitial(join->names), row))
		return true;
	if (join->vanished++ > 3)
		elog(ERROR, "payment vanished while it was locked");
	return false;
}

/* A session that stands in its payment's row has none of its own. */
static char *
row_of_session(const char *name)
{
	char	   *found = facts_is_session_name(name) ? payment_of_session(name) : NULL;

	return found && strcmp(found, name) != 0 ? found : NULL;
}

/*
 * See the next name; returns true if it was the last, whose row is in *row then,
 * unless it is new.
 */
static bool
see_next(Join *join, Payment *row, const Settings *settings)
{
	char	   *name = linitial(join->names);
	bool		last = list_length(join->names) == 1;
	char	   *elsewhere;

	join->known.facts.payment_id = llast(join->names);
	if (last && posting_insert(&join->known, settings))
		return join->is_new = true;
	if ((elsewhere = row_of_session(name)) != NULL)
	{
		follow(join, elsewhere);
		return false;
	}
	if (!last && payment_insert_alias(name, join->known.facts.livemode, llast(join->names)))
	{
		join->linked = true;
		join->names = list_delete_first(join->names);
		return false;
	}
	if (!lock_next(join, row))
		return false;
	if (row->same_as)
		follow(join, row->same_as);
	else if (last)
		return true;
	else
		absorb(join, row);
	return false;
}

/*
 * Nearly every payment is new, and its session stands in its row: no other row
 * is needed, and one insertion finds out.
 */
static bool
insert_at_once(Join *join, const Settings *settings)
{
	if (list_length(join->names) != 2 || !facts_is_session_name(linitial(join->names)))
		return false;
	join->known.facts.payment_id = llast(join->names);
	return join->is_new = posting_insert(&join->known, settings);
}

/*
 * Applying
 */

static bool
is_closed(const Facts *facts)
{
	return facts->failed_at != FACTS_NO_TIME || facts->expired_at != FACTS_NO_TIME;
}

static void
add_settlement(PaymentOutcome *outcome, SettlementKind kind, const char *payment_id,
			   const char *to)
{
	Settlement *settlement = palloc(sizeof(Settlement));

	settlement->kind = kind;
	settlement->payment_id = payment_id;
	settlement->to = to;
	outcome->settlements = lappend(outcome->settlements, settlement);
}

/* What a payment was like before it changed. */
typedef struct Before
{
	bool		closed;
	bool		heard;
	int64		paid_at;
	int64		back;
} Before;

static Before
before_of(const Facts *facts)
{
	Before		before = {
		.closed = is_closed(facts),
		.heard = facts_heard(facts),
		.paid_at = facts->paid_at,
		.back = facts_back(facts)
	};

	return before;
}

/*
 * Post what is due of a payment whose facts have changed; returns whether the
 * books did.
 */
static bool
settle_payment(Payment *payment, const Before *before, const Settings *settings,
			   PaymentOutcome *outcome)
{
	const char *payment_id = payment->facts.payment_id;
	Posted		posted;

	if (payment->facts.paid_at != before->paid_at)
		posting_set_expiry(payment);
	posted = posting_difference(payment, before->back, settings);
	outcome->credits += posted.credits;
	outcome->refused = posted.refused;
	if (payment->posted_to)
		outcome->account_id = payment->posted_to;
	if (posted.first)
		add_settlement(outcome, SETTLE_POSTED, payment_id, NULL);
	else if (is_closed(&payment->facts) && !before->closed)
		add_settlement(outcome, SETTLE_CLOSED, payment_id, NULL);
	else if (facts_heard(&payment->facts) && !before->heard)
		add_settlement(outcome, SETTLE_HEARD, payment_id, NULL);
	return posted.first || posted.credits != 0;
}

/* Rows that knew something of it are one now: so is what waited for them. */
static void
settle_absorbed(const Join *join, const Payment *payment, PaymentOutcome *outcome)
{
	const char *payment_id = payment->facts.payment_id;
	ListCell   *cell;

	foreach(cell, join->absorbed)
		add_settlement(outcome, SETTLE_MOVED, lfirst(cell), payment_id);
	if (join->absorbed == NIL)
		return;
	if (payment->posted_to)
		add_settlement(outcome, SETTLE_POSTED, payment_id, NULL);
	else if (is_closed(&payment->facts))
		add_settlement(outcome, SETTLE_CLOSED, payment_id, NULL);
	else if (facts_heard(&payment->facts))
		add_settlement(outcome, SETTLE_HEARD, payment_id, NULL);
}

/* The last row was there: returns whether it changed, or the books. */
static bool
apply_to_known(Join *join, Payment *payment, const Settings *settings, PaymentOutcome *outcome)
{
	Before		before = before_of(&payment->facts);
	bool		changed = details_merge(&payment->facts, &join->known.facts);
	bool		took_over = payment->posted_to == NULL && join->known.posted_to != NULL;

	take_over_posting(join, payment, &join->known);
	if (changed)
		payment_write_facts(payment);
	if (took_over)
		payment_write_posted(payment);
	outcome->credits -= posting_undo(payment, join->postings, settings);
	changed |= settle_payment(payment, &before, settings, outcome);
	settle_absorbed(join, payment, outcome);
	return changed || join->absorbed != NIL;
}

/* What was absorbed may have been posted before: then its difference is due. */
static void
apply_to_new(Join *join, Payment *payment, const Settings *settings, PaymentOutcome *outcome)
{
	Before		before = before_of(&payment->facts);

	*payment = join->known;
	outcome->credits = payment->posted;
	if (join->absorbed == NIL)
		return;
	if (payment->posted_as)
		outcome->credits = 0;
	outcome->credits -= posting_undo(payment, join->postings, settings);
	(void) settle_payment(payment, &before, settings, outcome);
	settle_absorbed(join, payment, outcome);
}

/*
 * Merge news of a payment, known by these names, into what is known of it.  The
 * payment comes back as it is now, its row locked.
 */
static bool
merge_news(const Facts *news, List *names, Payment *payment, const Settings *settings,
		   PaymentOutcome *outcome)
{
	Join		join = {.names = names};
	bool		changed = true;

	join.known.facts = *news;
	memset(payment, 0, sizeof(Payment));
	facts_init(&payment->facts);
	if (!insert_at_once(&join, settings))
		while (!see_next(&join, payment, settings))
			;
	if (join.is_new)
		apply_to_new(&join, payment, settings, outcome);
	else
		changed = apply_to_known(&join, payment, settings, outcome);
	outcome->linked = join.linked;
	outcome->payment_id = payment->facts.payment_id;
	outcome->account_id = payment->posted_to;
	return changed;
}

/*
 * Subscriptions
 */

static bool
is_subscription(const Facts *facts)
{
	return facts->subscription_id && strcmp(facts->payment_id, facts->subscription_id) == 0;
}

/* Where all is known, the ledger would not take the credits. */
static const char *
why_unmatched(const Facts *facts, bool create_accounts)
{
	if (facts->account_rank == RANK_NONE)
		return "account";
	if (facts->pricing.rank == RANK_NONE)
		return "pack";
	return create_accounts ? "credits" : "account";
}

/* What a subscription says of an invoice: whose it is, and what its lines are. */
static void
inherit(Facts *news, const Facts *subscription)
{
	news->payment_link = subscription->payment_link;
	news->account_rank = subscription->account_rank;
	news->account_id = subscription->account_id;
	news->account_from = subscription->account_from;
	catalogue_price_lines(news, subscription);
}

/* The lines of an invoice, not yet priced. */
static void
copy_lines(Facts *news, const Facts *invoice)
{
	int			i;

	news->n_lines = invoice->n_lines;
	news->lines = palloc(sizeof(FactsLine) * Max(invoice->n_lines, 1));
	for (i = 0; i < invoice->n_lines; i++)
	{
		news->lines[i] = invoice->lines[i];
		memset(&news->lines[i].pricing, 0, sizeof(Pricing));
		news->lines[i].pricing.rank = RANK_NONE;
	}
}

/* An invoice that has been told of its subscription. */
typedef struct ToldInvoice
{
	Payment		payment;
	Before		before;
} ToldInvoice;

/* Returns NULL if there is no such invoice any more. */
static ToldInvoice *
tell_invoice(const char *invoice_id, const Facts *subscription)
{
	ToldInvoice *told = palloc0(sizeof(ToldInvoice));
	Facts	   *facts = &told->payment.facts;
	Facts		news;

	if (!payment_lock(invoice_id, &told->payment) || told->payment.same_as)
		return NULL;
	told->before = before_of(facts);
	facts_init(&news);
	copy_lines(&news, facts);
	news.paid_at = facts->paid_at;
	inherit(&news, subscription);
	if (details_merge(facts, &news))
		payment_write_facts(&told->payment);
	return told;
}

static int
compare_accounts(const ListCell *a, const ListCell *b)
{
	const Payment *x = &((ToldInvoice *) lfirst(a))->payment;
	const Payment *y = &((ToldInvoice *) lfirst(b))->payment;
	const char *account_x = x->posted_to ? x->posted_to : x->facts.account_id;
	const char *account_y = y->posted_to ? y->posted_to : y->facts.account_id;

	return strcmp(account_x ? account_x : "", account_y ? account_y : "");
}

/*
 * Its invoices may have come before it.  They are locked after it, all of them
 * before the first account, and their accounts by name.
 */
static void
tell_invoices(const Payment *subscription, const Settings *settings, PaymentOutcome *outcome)
{
	List	   *told = NIL;
	ListCell   *cell;

	foreach(cell, payments_of_subscription(subscription->facts.payment_id))
	{
		ToldInvoice *invoice = tell_invoice(lfirst(cell), &subscription->facts);

		if (invoice)
			told = lappend(told, invoice);
	}
	list_sort(told, compare_accounts);
	foreach(cell, told)
	{
		ToldInvoice *invoice = lfirst(cell);
		const Facts *facts = &invoice->payment.facts;

		(void) settle_payment(&invoice->payment, &invoice->before, settings, outcome);
		if (invoice->payment.posted_to == NULL)
			add_settlement(outcome, SETTLE_UNMATCHED, facts->payment_id,
						   why_unmatched(facts, settings->create_accounts));
	}
	outcome->refused = false;	/* the invoices' own events say so */
}

/* An invoice's subscription, locked; a row is made for it if there is none. */
static void
lock_subscription(const Facts *invoice, Payment *subscription)
{
	Payment		unheard = {{0}};
	bool		known;

	facts_init(&unheard.facts);
	unheard.facts.payment_id = invoice->subscription_id;
	unheard.facts.subscription_id = invoice->subscription_id;
	unheard.facts.livemode = invoice->livemode;
	known = payment_lock(invoice->subscription_id, subscription);
	if (!known && payment_insert(&unheard))
	{
		*subscription = unheard;
		return;
	}
	if (!known && !payment_lock(invoice->subscription_id, subscription))
		elog(ERROR, "payment vanished while it was locked");
	payment_touch(invoice->subscription_id);	/* who tells its invoices must see this one */
}

/* Returns whether the subscription was heard of. */
static bool
inherit_from_subscription(Facts *news)
{
	Payment		subscription = {{0}};
	Facts		inherited;

	lock_subscription(news, &subscription);
	facts_init(&inherited);
	inherited.paid_at = news->paid_at;
	copy_lines(&inherited, news);
	inherit(&inherited, &subscription.facts);
	(void) details_merge(news, &inherited);
	return facts_heard(&subscription.facts);
}

/*
 * Outcomes
 */

static EventStatus
changed_or_duplicate(bool changed)
{
	return changed ? STATUS_APPLIED : STATUS_DUPLICATE;
}

/* What an event came to, as far as it can be told before it is applied. */
EventStatus
payment_forecast(const EventReading *reading)
{
	if (reading->wrong_mode)
		return STATUS_UNMATCHED;
	if (reading->nature == FACTS_UNPAID)
		return STATUS_PENDING;
	return reading->reason && reading->nature != FACTS_CLOSED ? STATUS_UNMATCHED : STATUS_APPLIED;
}

static EventStatus
judge_invoice(const EventReading *reading, const Payment *payment, bool changed, bool heard)
{
	if (payment->posted_to)
		return changed_or_duplicate(changed);
	if (reading->reason)
		return STATUS_UNMATCHED;
	if (reading->facts.n_lines == 0)
		return changed_or_duplicate(changed);
	return payment->facts.account_rank == RANK_NONE && !heard ?
		STATUS_PENDING : STATUS_UNMATCHED;
}

/*
 * What an event came to, given the payment as it is now.  Live money in test mode
 * waits for a person, unless it was posted already.
 */
static EventStatus
judge(const EventReading *reading, const Payment *payment, bool changed, bool heard)
{
	if (reading->wrong_mode && payment->posted_to == NULL)
		return STATUS_UNMATCHED;
	switch (reading->nature)
	{
		case FACTS_CLOSED:
		case FACTS_LINK:
			return changed_or_duplicate(changed);
		case FACTS_REVERSAL:
			return facts_heard(&payment->facts) ? changed_or_duplicate(changed) : STATUS_PENDING;
		case FACTS_SUBSCRIPTION:
			return reading->reason ? STATUS_UNMATCHED : changed_or_duplicate(changed);
		case FACTS_INVOICE:
			return judge_invoice(reading, payment, changed, heard);
		case FACTS_UNPAID:
			return payment->facts.paid || is_closed(&payment->facts) ?
				changed_or_duplicate(changed) : STATUS_PENDING;
		default:
			return payment->posted_to ? changed_or_duplicate(changed) : STATUS_UNMATCHED;
	}
}

static const char *
why_pending(const EventReading *reading)
{
	if (reading->nature == FACTS_REVERSAL)
		return "payment";
	return reading->nature == FACTS_INVOICE ? "subscription" : "unpaid";
}

/* Why an event waits. */
static const char *
waiting_reason(const EventReading *reading, EventStatus status, const Payment *payment,
			   bool create_accounts)
{
	if (status == STATUS_PENDING)
		return why_pending(reading);
	if (status != STATUS_UNMATCHED)
		return NULL;
	if (reading->wrong_mode)
		return "mode";
	if (reading->reason)
		return reading->reason;
	return payment ? why_unmatched(&payment->facts, create_accounts) : NULL;
}

const char *
payment_forecast_reason(const EventReading *reading)
{
	return waiting_reason(reading, payment_forecast(reading), NULL, true);
}

/*
 * A customer who has paid for an account, and could not have named it himself, is
 * its customer.
 */
static bool
brings_customer(const Payment *payment)
{
	const Facts *facts = &payment->facts;

	return facts->customer_id && facts->account_rank == RANK_SESSION &&
		(payment->posted_to ? strcmp(payment->posted_to, facts->account_id) == 0 :
		 is_subscription(facts)) &&
		!posting_named_by_buyer(facts);
}

static List *
names_of(const EventReading *reading)
{
	List	   *names = NIL;
	int			i;

	for (i = 0; i < reading->n_names; i++)
		names = lappend(names, unconstify(char *, reading->names[i]));
	return names;
}

static void
apply(const EventReading *reading, const Settings *settings, PaymentOutcome *outcome)
{
	Facts		news = reading->facts;
	Payment		payment;
	bool		heard = true;
	bool		changed;

	if (reading->nature == FACTS_INVOICE)
		heard = inherit_from_subscription(&news);
	changed = merge_news(&news, names_of(reading), &payment, settings, outcome);
	if (reading->nature == FACTS_LINK && outcome->linked)
		changed = true;
	if (reading->nature == FACTS_SUBSCRIPTION && changed)
		tell_invoices(&payment, settings, outcome);
	if (changed && brings_customer(&payment))
		payment_keep_customer(&payment.facts);
	outcome->status = outcome->refused ? STATUS_UNMATCHED :
		judge(reading, &payment, changed, heard);
	if (!changed && (outcome->status == STATUS_PENDING || outcome->status == STATUS_UNMATCHED))
		payment_touch(payment.facts.payment_id);	/* who posts it must see the event */
	outcome->reason = waiting_reason(reading, outcome->status, &payment,
									 settings->create_accounts);
}

void
payment_apply(const EventReading *reading, const Settings *settings, PaymentOutcome *outcome)
{
	memset(outcome, 0, sizeof(PaymentOutcome));
	outcome->status = STATUS_IGNORED;
	if (reading->nature == FACTS_UNUSABLE)
	{
		outcome->status = payment_forecast(reading);
		outcome->reason = payment_forecast_reason(reading);
		outcome->payment_id = reading->facts.payment_id;
	}
	else if (reading->nature != FACTS_IGNORED)
		apply(reading, settings, outcome);
}

/*
 * What a person says
 */

/* The payment that a name leads to; returns false if there is none. */
static bool
lock_by_name(const char *name, Payment *payment)
{
	while (payment_lock(name, payment))
	{
		if (payment->same_as == NULL)
			return true;
		name = payment->same_as;
	}
	return false;
}

bool
payment_is_resolved_as(const char *payment_id, const char *account_id, int64 credits)
{
	Payment		payment = {{0}};
	Facts	   *facts = &payment.facts;

	return lock_by_name(payment_id, &payment) &&
		facts->account_rank == RANK_PERSON && strcmp(facts->account_id, account_id) == 0 &&
		facts->pricing.rank == RANK_PERSON && facts->pricing.credits == credits;
}

static EventStatus
judge_resolution(const Payment *payment, bool changed)
{
	if (payment->posted_to || (is_subscription(&payment->facts) && !payment->facts.paid))
		return changed_or_duplicate(changed);
	return payment->facts.paid ? STATUS_UNMATCHED : STATUS_PENDING;
}

static void
read_resolution(const Resolution *resolution, Facts *news)
{
	facts_init(news);
	news->payment_id = resolution->payment_id;
	news->livemode = resolution->livemode;
	news->paid = resolution->paid;
	news->paid_at = resolution->paid ? resolution->paid_at : FACTS_NO_TIME;
	news->account_rank = RANK_PERSON;
	news->account_id = resolution->account_id;
	news->account_from = "resolve";
	news->pricing.rank = RANK_PERSON;
	news->pricing.credits = resolution->credits;
	news->pricing.terms = psprintf("resolve credits=" INT64_FORMAT, resolution->credits);
}

bool
payment_resolve(const Resolution *resolution, const Settings *settings, PaymentOutcome *outcome)
{
	Facts		news;
	Payment		payment = {{0}};
	bool		changed;

	memset(outcome, 0, sizeof(PaymentOutcome));
	if (lock_by_name(resolution->payment_id, &payment) && payment.posted_to)
		return false;
	read_resolution(resolution, &news);
	changed = merge_news(&news, list_make1(unconstify(char *, resolution->payment_id)),
						 &payment, settings, outcome);
	if (is_subscription(&payment.facts))
		tell_invoices(&payment, settings, outcome);
	outcome->status = judge_resolution(&payment, changed);
	outcome->reason = outcome->status == STATUS_PENDING ? "unpaid" : NULL;
	return true;
}
