/*-------------------------------------------------------------------------
 *
 * lots.h
 *	  The lots of an open account, for account.c: what has been looked at is in
 *	  memory, and newer than its row.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef LOTS_H
#define LOTS_H

#include "account.h"
#include "statement.h"

/* Run a query as the account is being read: at its snapshot, or at the newest. */
extern uint64 account_query(const Account *account, Statement *stmt, const Arguments *args);

/*
 * The lot that is spent next, or NULL.  While something is left of the head,
 * nothing that is not in memory can come before it.
 */
extern Lot *lots_first(Account *account);

/* Write the lots that were changed, but not what is left of that one. */
extern void lots_write(const Account *account, const Lot *head);

/* Up to so many lots whose time has come, those that expired first before. */
extern List *lots_expired(Account *account, int64 most);

/*
 * A lot that the last entry has brought, whose credits are counted as available
 * already.
 */
extern void lots_add(Account *account, const Lot *terms);

#endif							/* LOTS_H */
