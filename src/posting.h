/*-------------------------------------------------------------------------
 *
 * posting.h
 *	  What the ledger holds for a payment: the difference between what is due
 *	  and what was posted before, as purchases, reversals and reinstatements.
 *
 * The payment's row is locked, or not seen by anybody yet.  The caller is
 * between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef POSTING_H
#define POSTING_H

#include "payment_row.h"
#include "settings.h"

/*
 * Insert a payment's row with what is due posted.  Returns false, and has done
 * nothing, if there is such a row.
 */
extern bool posting_insert(Payment *payment, const Settings *settings);

typedef struct Posted
{
	int64		credits;		/* plus or minus */
	bool		first;			/* for the first time, if only as zero */
	bool		refused;		/* the ledger doesn't take what is due */
} Posted;

/*
 * Let the ledger hold what is due, and the row say so.  'back' is what
 * facts_back() was before the facts changed.
 */
extern Posted posting_difference(Payment *payment, int64 back, const Settings *settings);

/*
 * A payment that had several names was posted under two of them: keep the one,
 * and take the others back.  Returns how many credits that were.
 */
extern int64 posting_undo(const Payment *kept, List *others, const Settings *settings);

/* The earliest event that says paid has changed: its lots expire by that. */
extern void posting_set_expiry(const Payment *payment);

/* Whether the buyer could write the account's name himself: a gift, perhaps. */
extern bool posting_named_by_buyer(const Facts *facts);

/* The name that the ledger has a payment under. */
extern const char *posting_name(const Payment *payment);

#endif							/* POSTING_H */
