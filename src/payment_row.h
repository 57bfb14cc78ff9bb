/*-------------------------------------------------------------------------
 *
 * payment_row.h
 *	  Rows of the payment table.
 *
 * A payment has a row for each of its names that may come alone.  One of them,
 * that of its greatest name, holds what is known; in the others same_as leads to
 * it, over several rows perhaps, each of a greater name.  Once it is set, it
 * never changes.  A session's name may stand in its payment's row instead of one
 * of its own.
 *
 * The caller is between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef PAYMENT_ROW_H
#define PAYMENT_ROW_H

#include "nodes/pg_list.h"

#include "facts.h"

typedef struct Payment
{
	Facts		facts;
	char	   *same_as;		/* NULL: the row itself holds what is known */
	int64		posted;
	char	   *posted_to;		/* NULL: nothing was posted yet */
	char	   *posted_as;		/* the name that the ledger has it under, if
								 * not its own */
} Payment;

/* Returns false if there is a row of that name already, or one of the session. */
extern bool payment_insert(const Payment *payment);

/* Returns false if there is a row of that name already. */
extern bool payment_insert_alias(const char *name, bool livemode, const char *same_as);

/* Returns false if there is none. */
extern bool payment_lock(const char *payment_id, Payment *payment);

/* The row that has a session as one of its payment's names, or NULL. */
extern char *payment_of_session(const char *session_id);

/* The invoices of a subscription, in the order in which they are locked. */
extern List *payments_of_subscription(const char *subscription_id);

extern void payment_write_facts(const Payment *payment);
extern void payment_write_posted(const Payment *payment);

/*
 * Another row has changed that whoever changes this one must know of.  A lock does
 * not tell him, if his snapshot is older: this fails him.
 */
extern void payment_touch(const char *payment_id);

/* What a row knows is known elsewhere now. */
extern void payment_make_alias(const char *payment_id, const char *same_as);

/* Whose customer it is, unless the account has one. */
extern void payment_keep_customer(const Facts *facts);

/*
 * Up to so many payments that were not heard of for 30 days, though refunds,
 * disputes or links of them were; locked.
 */
extern List *payments_unheard(int64 most);

/* Forget a payment, and all of its names. */
extern void payment_delete(const char *payment_id);

#endif							/* PAYMENT_ROW_H */
