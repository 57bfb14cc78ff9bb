/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every test of PG_VERSION_NUM that there is.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef COMPAT_H
#define COMPAT_H

#if PG_VERSION_NUM < 150000
#error "stripe_credit needs PostgreSQL 15 or later"
#endif

/* Since 16 postgres.h doesn't bring VARDATA_ANY() and the like. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Since 18 it stands before the declaration, where older compilers take it too. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Since 18 a module can tell its name and version. */
#if PG_VERSION_NUM >= 180000
#define STRIPE_CREDIT_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "stripe_credit", .version = STRIPE_CREDIT_VERSION)
#else
#define STRIPE_CREDIT_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif							/* COMPAT_H */
