/*-------------------------------------------------------------------------
 *
 * account.h
 *	  One account, open: its row locked, and what is touched of its lots in
 *	  memory.
 *
 * An open account is changed in memory and written back by account_close(),
 * with one update of its row.  What had expired when it was locked is entered
 * when it is opened, so all that comes after sees only what counts.
 *
 * Rules that hold whenever an account is not open:
 *
 * - balance is the sum of the entries; the lots' remaining credits add up to
 *	 what is available, and to zero while that is below zero.
 * - floor is least(0, available): what is below zero is a debt that a reversal
 *	 or an adjustment made, and only these may.
 * - No lot that has credits left comes before head_lot in the spending order.
 *	 While a lot is the head, head_remaining counts and not its row; but the row
 *	 says more than zero, so that an index finds it.
 * - next_expiry and hold_expiry may be too early, but never too late.
 *
 * Whatever changes another row of an account changes the account's own row too.
 * So whoever locks that row knows all, and he who can't know fails to lock it,
 * at REPEATABLE READ.
 *
 * The caller is between SPI_connect() and SPI_finish(); an open account lives
 * until then.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

#include "taken.h"

typedef struct Lot
{
	int64		lot_id;
	const char *payment_id;		/* NULL: promotional */
	bool		has_priority;	/* without: last */
	int32		priority;		/* lower numbers are spent first */
	TimestampTz expires_at;		/* DT_NOEND: never */
	int64		granted;
	int64		remaining;
	int64		expired;
	int64		written_off;
	int64		reversed_expired;
	int64		first_lot;		/* of the same purchase; 0: it is itself */

	int64		row_remaining;	/* what its row says */
	bool		changed;		/* its row differs in something else */
} Lot;

typedef struct Account
{
	const char *account_id;
	int64		balance;
	int64		held;
	int64		seq;
	int64		head_lot;		/* 0: none */
	int64		head_remaining; /* as long as it is not among lots */
	bool		head_unknown;	/* it must be looked for */
	TimestampTz next_expiry;
	TimestampTz hold_expiry;
	bool		has_holds;
	bool		may_owe;		/* set by who may make a debt */
	bool		has_low_balance;
	int64		low_balance;

	TimestampTz now;			/* when it was locked */
	List	   *lots;			/* those that were looked at */

	/* as its row says */
	int64		row_balance;
	int64		row_held;
	int64		row_seq;
	TimestampTz row_next_expiry;
	TimestampTz row_hold_expiry;

	Snapshot	snapshot;		/* of account_read(): nothing is written */
} Account;

/* An entry to be written into the ledger. */
typedef struct Entry
{
	const char *kind;
	int64		credits;		/* plus or minus */
	const char *idempotency_key;	/* or NULL */
	const char *payment_id;		/* or NULL */
	int64		lot_id;			/* 0: none */
	const Taken *taken;			/* from which lots, or NULL */
	int64		reverses;		/* 0: none */
	Datum		metadata;		/* jsonb */
	bool		has_metadata;
} Entry;

typedef enum AccountOpening
{
	OPEN_KNOWN,
	OPEN_OR_CREATE,
	OPEN_UNLESS_LOCKED			/* don't wait for somebody else's lock */
} AccountOpening;

/*
 * Get in line with those who want to change an account; the place is kept until
 * the end of the transaction.  A row that many want is then handed from one to
 * the next, instead of waking all of them.  Correctness rests on the row's lock
 * alone, but the line must come first: the other order could deadlock.
 */
extern void account_queue(const char *account_id);

/* Returns false if there is no such account, or it was passed over. */
extern bool account_open(Account *account, const char *account_id, AccountOpening opening);

/*
 * The same, entering no more than so many lots and so many holds that have
 * expired; *entered is set to how many of both there were.
 */
extern bool account_open_some(Account *account, const char *account_id,
							  AccountOpening opening, int64 most, int64 *entered);

/*
 * What there would be in memory if it was opened now.  Takes no lock; close it
 * by account_finish_reading().
 */
extern bool account_read(Account *account, const char *account_id);
extern void account_finish_reading(Account *account);

/*
 * Write it back.  An account that was opened must be closed, though nothing was
 * done: what had expired is entered already.
 */
extern void account_close(Account *account);

extern int64 account_available(const Account *account);

/* Whether the balance can hold so many more. */
extern bool account_has_room(const Account *account, int64 credits);

/* Write an entry, and let the balance follow; 22003 if it can't. */
extern void account_post(Account *account, const Entry *entry);

/*
 * The same for an entry that brings a lot, of which priority, expiry and payment
 * are given; what the account owes is paid from it.
 */
extern void account_post_lot(Account *account, Entry *entry, Lot *lot);

/* What is true of a lot, by its id. */
extern Lot *account_lot(Account *account, int64 lot_id);

/*
 * The lots that a payment brought, oldest first.  What is changed of one of
 * them must be changed before account_take().
 */
extern List *account_lots_of_payment(Account *account, const char *payment_id);

/* A lot expires at another time than was thought. */
extern void account_set_lot_expiry(Account *account, Lot *lot, TimestampTz expires_at);

/* When the next credits expire; DT_NOEND: never. */
extern TimestampTz account_next_expiry(Account *account);

/*
 * Take up to that many credits out of the lots in spending order; returns how
 * many were not there.
 */
extern int64 account_take(Account *account, int64 credits, Taken *taken);

/*
 * Give credits back to the lots that they were taken from, which are counted as
 * available already.  What was written off of their purchase is made good first,
 * then what the account owes; what returns to a lot that has expired has
 * expired.
 */
extern void account_give_back(Account *account, const Taken *taken);

/* The part of it that is for one lot, and owed to nobody. */
extern void account_return_to_lot(Account *account, Lot *lot, int64 credits);

/* For those who change an account's row without opening it. */
extern void account_insert_lot(const char *account_id, const Lot *lot);
extern void account_notify(const char *account_id, int64 available_before,
						   int64 available_after, int64 low_balance);

#endif							/* ACCOUNT_H */
