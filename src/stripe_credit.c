/*-------------------------------------------------------------------------
 *
 * stripe_credit.c
 *	  The module: prepaid credits inside the database, paid through Stripe.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "settings.h"

STRIPE_CREDIT_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_init();
}
