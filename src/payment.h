/*-------------------------------------------------------------------------
 *
 * payment.h
 *	  What was paid for: gathers the facts of events in the payment table, and
 *	  lets the ledger hold what is due.
 *
 * Two events that can be about the same money always meet on a row that both
 * lock: each makes or locks a row for every name that it has for its payment, in
 * the order of the names, and what the rows know is brought together in that of
 * the greatest.  A subscription's row comes before those of its invoices: what it
 * says of who and how much is merged into each of them, whichever comes first.
 *
 * Rows of payments are locked before those of accounts.  Credits go to the account
 * that the payment was first posted to, and to no other: if events disagree
 * later on whose it is, nothing moves, and a person is told.
 *
 * The caller is between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef PAYMENT_H
#define PAYMENT_H

#include "nodes/pg_list.h"

#include "reading.h"
#include "settings.h"

typedef enum EventStatus
{
	STATUS_APPLIED,				/* facts or books changed */
	STATUS_DUPLICATE,			/* it told nothing new */
	STATUS_PENDING,				/* waits for more */
	STATUS_IGNORED,				/* not ours to act on */
	STATUS_UNMATCHED			/* paid, but whose or how many is unknown */
} EventStatus;

/* What became of a payment that events may wait for. */
typedef enum SettlementKind
{
	SETTLE_MOVED,				/* it is 'to' now: they wait for that */
	SETTLE_POSTED,				/* they wait no more */
	SETTLE_CLOSED,				/* it will not be paid: nor do those for money */
	SETTLE_HEARD,				/* nor do refunds and disputes */
	SETTLE_UNMATCHED			/* its subscription is known, but does not help:
								 * 'to' is why */
} SettlementKind;

typedef struct Settlement
{
	SettlementKind kind;
	const char *payment_id;
	const char *to;
} Settlement;

typedef struct PaymentOutcome
{
	EventStatus status;
	const char *reason;			/* of pending and unmatched */
	const char *payment_id;
	const char *account_id;		/* whom it was posted to, or NULL */
	int64		credits;		/* posted by this call, plus or minus */
	bool		linked;			/* a name was new, but the payment was not */
	bool		refused;		/* the ledger doesn't take what is due */
	List	   *settlements;	/* in the order in which they must be made */
} PaymentOutcome;

/*
 * What payment_apply() will answer to a priced reading if the payment is new, so
 * that the event's row, which is locked first, need not be written twice.
 */
extern EventStatus payment_forecast(const EventReading *reading);
extern const char *payment_forecast_reason(const EventReading *reading);

/* Merge a reading into its payment, and post the difference. */
extern void payment_apply(const EventReading *reading, const Settings *settings,
						  PaymentOutcome *outcome);

/* What a person says of a payment. */
typedef struct Resolution
{
	const char *payment_id;
	bool		livemode;
	bool		paid;			/* he vouches that it was paid, if no event did */
	int64		paid_at;		/* seconds since 1970, or FACTS_NO_TIME */
	const char *account_id;
	int64		credits;
} Resolution;

/*
 * Merge what a person says, which goes before everything else.  Returns false
 * if the payment's credits were posted by others meanwhile.  The outcome is
 * unmatched if the ledger wouldn't take them.
 */
extern bool payment_resolve(const Resolution *resolution, const Settings *settings,
							PaymentOutcome *outcome);

/* Whether a person has said just that of it before. */
extern bool payment_is_resolved_as(const char *payment_id, const char *account_id,
								   int64 credits);

#endif							/* PAYMENT_H */
