/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  The books: accounts, their append-only entries, and lots.  Knows nothing
 *	  of Stripe.
 *
 * Rules that hold for every function here:
 *
 * - The account's row is locked first and its lots after it, so that all that
 *	 happens to one account happens one after the other.  The key of an entry is
 *	 looked up under that lock.
 * - balance is the sum of the entries; the lots' remaining credits add up to
 *	 what is available, and to zero while that is below zero.
 * - floor is least(0, available) after each change: what is below zero is a
 *	 debt that a reversal or an adjustment made, and only these may.
 *
 * The caller is between SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "datatype/timestamp.h"

#define KEY_MAX_LENGTH	200

typedef struct AccountState
{
	int64		balance;
	int64		held;
	int64		seq;
} AccountState;

/* What is to be written into an account's ledger. */
typedef struct Posting
{
	const char *account_id;
	const char *kind;
	int64		credits;		/* greater than zero: the function says which way */
	const char *idempotency_key;	/* or NULL */
	const char *payment_id;		/* or NULL */
	Datum		metadata;		/* jsonb */
	bool		has_metadata;
} Posting;

/* What an entry with a known key was. */
typedef struct LedgerEntry
{
	int64		seq;
	char	   *kind;
	int64		credits;
} LedgerEntry;

/* The lot that credits come in. */
typedef struct LotTerms
{
	const char *priority;		/* an integer as text, or NULL: last */
	TimestampTz expires_at;		/* DT_NOEND: never */
} LotTerms;

extern bool is_key(const char *key, size_t length);

/* Lock an account, made if create says so; returns whether there is one. */
extern bool ledger_lock(const char *account_id, bool create, AccountState *state);

/* Find the entry with a key; the account must be locked. */
extern bool ledger_find(const char *account_id, const char *idempotency_key, LedgerEntry *entry);

typedef struct AccountBalance
{
	int64		balance;
	int64		held;
	TimestampTz next_expiry;	/* DT_NOEND: nothing expires */
} AccountBalance;

/* What an account has, without what has expired; zeros if there is none. */
extern void ledger_balance(const char *account_id, AccountBalance *balance);

/*
 * Add credits as a lot of their own; what the account owes is paid from them
 * first.  Returns false if there is no such account and none may be made, or
 * if the balance would be out of range.
 */
extern bool ledger_credit(const Posting *posting, const LotTerms *terms, bool create,
						  AccountState *after);

/*
 * Of the credits that were taken back from a payment: how many were found
 * expired, and how many were written off.
 */
typedef struct Reversed
{
	int64		expired;
	int64		written_off;
} Reversed;

/*
 * Add credits to the lot that a payment has brought before, if it has.  Last
 * taken, first given back: what was written off is made good first, then what
 * the account owes, then what had expired; the rest can be spent again.
 */
extern bool ledger_give_back(const Posting *posting, Reversed *reversed, AccountState *after);

/* Take credits from the lots in spending order; what they lack is a debt. */
extern void ledger_debit(const Posting *posting, AccountState *after);

typedef enum Overdraw
{
	OVERDRAW_DEBT,				/* what was spent is owed */
	OVERDRAW_CLAMP,				/* what is available is taken, the rest written off */
	OVERDRAW_OWN_LOT			/* nothing but its own lot is touched */
} Overdraw;

/*
 * Take back credits that a payment brought: its own lot's first, then those
 * of it that have expired, which cost nothing more, then as overdraw says.
 * Adds to what was reversed before.
 */
extern void ledger_reverse(const Posting *posting, Overdraw overdraw, Reversed *reversed,
						   AccountState *after);

/* A payment's lots expire at another time than was thought. */
extern void ledger_set_expiry(const char *account_id, const char *payment_id,
							  TimestampTz expires_at);

#endif							/* LEDGER_H */
