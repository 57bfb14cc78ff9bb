/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  Credits that are reserved under a key, to be captured or released.
 *
 * A hold takes its credits out of their lots, so they don't expire while it is
 * open.  Its row is written under the lock of its account only, and stays for
 * good: its key is used.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef HOLD_H
#define HOLD_H

#include "account.h"

typedef enum HoldState
{
	HOLD_OPEN,
	HOLD_CAPTURED,
	HOLD_RELEASED,
	HOLD_EXPIRED
} HoldState;

typedef struct Hold
{
	HoldState	state;
	int64		credits;
	int64		captured;
	Taken		taken;
} Hold;

/* Of an open account, so that an expired one says so. */
extern bool hold_find(const Account *account, const char *key, Hold *hold);

/* Whether any of some keys, a text[], is a hold's. */
extern bool hold_has_any_key(const char *account_id, Datum keys);

#endif							/* HOLD_H */
