/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  What is now true?  What is known of a payment, how news merge into that,
 *	  and how many credits are due.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc and no clock.
 * Strings are borrowed from the caller.
 *
 * facts_merge() is commutative, associative and idempotent as long as the
 * catalogue stays what it is, so events may come in any order and any number,
 * and what two rows know of one payment merges as an event does.  That rests on
 * this: a payment has at most one session; and under one catalogue, equal terms
 * have equal rank and credits.  If the catalogue changes, what was computed once
 * stays: the same terms are never computed again.
 *
 * Names.  Stripe knows one payment by several ids, and an event may hold any of
 * them alone: its charge, its Checkout Session, its payment intent, its invoice.
 * The payment is known by the greatest of those that are heard of, in the order
 * of facts_compare_names(), which is also the order in which they are locked.
 *
 * Refunds are accounted for twice.  A charge.refunded brings the charge's
 * cumulative figure C as of a time t, but says nothing of a refund that fails
 * later; the refund events bring each refund by itself, but some of them may be
 * missing, or still be on their way.  Neither account alone is right in every
 * order, and neither is the greater of the two, nor their sum.  So:
 *
 *	   refunded = sum of the known refunds that count
 *				  + max(0, C - sum of all known refunds created up to t)
 *
 * The second term is what C knows and we don't: refunds whose own events have
 * not come.  It subtracts refunds that have failed too, since they were in C
 * when it was taken, or were taken out of it again, in which case the term is
 * cut off at zero.  Hence a known refund counts once, by its own state; and when
 * the last event has come, C says nothing more.  An endpoint that isn't sent
 * refund.created, refund.updated and refund.failed has C alone, and gives
 * nothing back for a refund that fails.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTS_H
#define FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACTS_NO_TIME		INT64_MAX
#define FACTS_NO_AMOUNT		INT64_C(-1)

/* Who says so: the lower number is believed. */
typedef enum FactsRank
{
	RANK_PERSON = 1,			/* resolve() */
	RANK_PRICE = 2,				/* the price of an invoice's line: it is a
								 * pack's */
	RANK_SESSION = 3,			/* the session's metadata, or for an account
								 * whatever the session names */
	RANK_INTENT = 4,			/* our metadata on the payment intent or the
								 * subscription */
	RANK_LINK = 5,				/* the payment link's pack */
	RANK_RATE = 6,				/* the rate of the currency */
	RANK_LINES = 7,				/* all lines of the invoice together */
	RANK_NONE = 9				/* nobody */
} FactsRank;

/* How many credits something is worth. */
typedef struct Pricing
{
	FactsRank	rank;
	int64_t		credits;
	const char *pack_id;
	const char *terms;			/* what the credits were computed from */
	const char *priority;		/* of the lot, as text; NULL: none */
	const char *expires_after;	/* of the lot, as text; NULL: never */
} Pricing;

/*
 * What is known of the parts of a payment, by Stripe's ids.  Each begins with
 * its id, and lists of them are sorted by it.
 */
typedef struct FactsCharge
{
	const char *id;
	int64_t		amount;			/* FACTS_NO_AMOUNT: it is not paid, or unknown */
	const char *currency;
	int64_t		refunded_at;	/* the time t of the cumulative figure; -1: none */
	int64_t		refunded;		/* the figure C */
} FactsCharge;

typedef enum Finality
{
	REFUND_OPEN,				/* pending, or requires action */
	REFUND_SUCCEEDED,
	REFUND_FAILED				/* or canceled: the only one that counts not */
} Finality;

typedef struct FactsRefund
{
	const char *id;
	const char *charge_id;		/* NULL: not said */

	/* of the event that is greatest by finality and time */
	Finality	finality;
	int64_t		at;				/* the event's time */
	int64_t		amount;
	const char *currency;
	int64_t		created;		/* the refund's own time */
} FactsRefund;

/* In the order in which they are believed if they are of the same second. */
typedef enum DisputeStatus
{
	DISPUTE_UNKNOWN,			/* one that we don't know: moves nothing */
	DISPUTE_WARNING_NEEDS_RESPONSE,
	DISPUTE_WARNING_UNDER_REVIEW,
	DISPUTE_NEEDS_RESPONSE,
	DISPUTE_UNDER_REVIEW,
	DISPUTE_APPEAL_NEEDS_RESPONSE,
	DISPUTE_APPEAL_UNDER_REVIEW,
	DISPUTE_WARNING_CLOSED,
	DISPUTE_PREVENTED,
	DISPUTE_LOST,
	DISPUTE_WON,
	DISPUTE_STATUSES			/* how many there are */
} DisputeStatus;

typedef enum DisputeFunds
{
	FUNDS_UNKNOWN,
	FUNDS_WITHDRAWN,
	FUNDS_REINSTATED
} DisputeFunds;

typedef struct FactsDispute
{
	const char *id;

	/* of the event that is greatest by time and status */
	int64_t		at;
	DisputeStatus status;
	int64_t		amount;
	const char *currency;

	/* of the latest event about its funds */
	int64_t		funds_at;
	DisputeFunds funds;
} FactsDispute;

/* A balance transaction of a dispute. */
typedef struct FactsTransaction
{
	const char *id;
	const char *dispute_id;
	int64_t		amount;			/* below zero: withdrawn */
} FactsTransaction;

/* A line of an invoice that is worth credits. */
typedef struct FactsLine
{
	const char *id;
	const char *price_id;		/* NULL: has none */
	int64_t		unit_amount;	/* before discounts; FACTS_NO_AMOUNT: not whole */
	const char *currency;
	int64_t		quantity;
	Pricing		pricing;
} FactsLine;

typedef struct Facts
{
	const char *payment_id;
	bool		livemode;
	const char *connected_account;
	const char *session_id;
	const char *subscription_id;
	const char *customer_id;
	const char *payment_link;
	int64_t		amount;			/* minor units, or FACTS_NO_AMOUNT */
	const char *currency;		/* of the amount, if there is one */
	bool		paid;
	int64_t		paid_at;		/* seconds since 1970, or FACTS_NO_TIME */
	int64_t		failed_at;
	int64_t		expired_at;

	/* who */
	FactsRank	account_rank;
	const char *account_id;
	const char *account_from;	/* the field that named it */

	/* how much; of a subscription: how much a unit of it is worth */
	Pricing		pricing;

	/* the parts */
	int			n_charges;
	int			n_refunds;
	int			n_disputes;
	int			n_transactions;
	int			n_lines;
	FactsCharge *charges;
	FactsRefund *refunds;
	FactsDispute *disputes;
	FactsTransaction *transactions;
	FactsLine  *lines;
} Facts;

extern void facts_init(Facts *facts);

/*
 * Merge news into what is known; returns whether that changed.  Each list of
 * 'known' must have room for all that 'news' has besides its own.
 */
extern bool facts_merge(Facts *known, const Facts *news);

/*
 * Put a list of parts in the order of their ids, in which each list must be;
 * returns false if an id stands there twice.
 */
extern bool facts_sort(void *parts, int n, size_t size);

/*
 * What was paid, and what of it went back by refunds and disputes, in the
 * currency of 'charged', which is FACTS_NO_AMOUNT if that is not known; then
 * all of it counts as gone back if anything has.
 */
typedef struct Reversed
{
	int64_t		charged;
	const char *currency;
	bool		whole;			/* some of it can't be compared: it is all */
	int64_t		reversed;		/* at most what was charged */
} Reversed;

extern void facts_reversed(const Facts *facts, Reversed *reversed);

/* The credits of a payment that go back: ceil(credits * reversed / charged). */
extern int64_t facts_back(const Facts *facts);

/* The credits that the ledger should hold for a payment. */
extern int64_t facts_due(const Facts *facts);

/* Whether it is known whose a payment is and how much it is worth. */
extern bool facts_known(const Facts *facts);

/* Whether the payment itself was heard of, and not just what belongs to it. */
extern bool facts_heard(const Facts *facts);

/*
 * The order of a payment's names: charges, sessions, payment intents, invoices;
 * within a kind the greater id first.
 */
extern int	facts_compare_names(const char *a, const char *b);
extern bool facts_is_session_name(const char *name);

extern const char *dispute_status_name(DisputeStatus status);
extern DisputeStatus dispute_status_from_name(const char *name);

/*
 * Arithmetic.  Each returns false if there is no such number: no whole number
 * of units, or beyond int64.
 */
extern bool facts_units(int64_t amount, int64_t unit_amount, int64_t *units);
extern bool facts_multiply(int64_t credits, int64_t quantity, int64_t *product);
extern bool facts_rate(int64_t net, int64_t credits, int64_t per_amount, int64_t *result);

#endif							/* FACTS_H */
