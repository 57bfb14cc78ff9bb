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

#endif							/* COMPAT_H */
