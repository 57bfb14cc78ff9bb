/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  The books: what is posted to accounts for payments, and what keys were
 *	  used for.  Knows nothing of Stripe.
 *
 * What is posted for payments has no key, so no caller's key can stand in its
 * way.  The rules of the books are in account.h.
 *
 * The caller is between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "account.h"

#define KEY_MAX_LENGTH	200

extern bool is_key(const char *key, size_t length);

/*
 * A time that is so much later: counted in UTC, so that months and days are
 * the same whatever the session's time zone.
 */
extern TimestampTz time_after(TimestampTz time, const Interval *interval);

/* Credits that come as a lot of their own. */
typedef struct PurchasedLot
{
	int64		credits;
	bool		has_priority;	/* without: spent last */
	int32		priority;
	TimestampTz expires_at;		/* DT_NOEND: never */
} PurchasedLot;

typedef struct AccountBalance
{
	int64		balance;
	int64		held;
	TimestampTz next_expiry;	/* DT_NOEND: nothing expires */
} AccountBalance;

/* What an account has, without what has expired; zeros if there is none. */
extern void ledger_balance(const char *account_id, AccountBalance *balance);

/*
 * Add the credits of a payment, each lot by an entry of its own; what the account
 * owes is paid from them first.  Returns false if there is no such account and
 * none may be made, or if the balance would be out of range.
 */
extern bool ledger_purchase(const char *account_id, const char *payment_id,
							const PurchasedLot *lots, int n, bool create);

/* Whether there is such an account, or one may be made. */
extern bool ledger_knows(const char *account_id, bool create);

/*
 * Add credits to the lots that a payment has brought before; returns false if it
 * has brought none, or if the balance would be out of range.  Last taken, first
 * given back: what was written off is made good first, then what the account
 * owes, then what other lots lost, then what had expired, and the rest can be
 * spent again.
 */
extern bool ledger_give_back(const char *account_id, const char *payment_id, const char *kind,
							 int64 credits);

typedef enum Overdraw
{
	OVERDRAW_DEBT,				/* what was spent is owed */
	OVERDRAW_CLAMP,				/* what is available is taken, the rest written off */
	OVERDRAW_OWN_LOT			/* nothing but its own lot is touched */
} Overdraw;

/*
 * Take back credits that a payment brought: its own lot's first, then those
 * of it that have expired, which cost nothing more, then as overdraw says.
 */
extern void ledger_reverse(const char *account_id, const char *payment_id, int64 credits,
						   Overdraw overdraw);

/*
 * A payment's lots, if it has any, expire at other times than was thought: in the
 * order in which it brought them.
 */
extern void ledger_set_expiry(const char *account_id, const char *payment_id,
							  const PurchasedLot *lots, int n);

/*
 * What is left of a payment's credits expires at once.  Returns how many those
 * are.
 */
extern int64 ledger_void(const char *account_id, const char *payment_id);

/* What a key was used for. */
typedef struct KeyUse
{
	char	   *kind;			/* of the entry, or "hold" */
	int64		credits;		/* of the entry, with its sign, or of the hold */
	int64		seq;			/* 0: a hold, which is no entry */
	Taken		taken;			/* by a spend or capture */
} KeyUse;

/* Of an open account; returns false if it was not used. */
extern bool ledger_find_key(const Account *account, const char *key, KeyUse *use);

/* The entry that has undone another; 0 if there is none. */
extern int64 ledger_find_reversal(const Account *account, const char *key, int64 seq);

#endif							/* LEDGER_H */
