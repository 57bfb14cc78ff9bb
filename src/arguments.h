/*-------------------------------------------------------------------------
 *
 * arguments.h
 *	  The arguments that SQL functions share, checked: 22023 for what they
 *	  must not be.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "fmgr.h"

#define METADATA_MAX_SIZE	(1024 * 1024)

extern char *account_argument(FunctionCallInfo fcinfo, int n);
extern char *key_argument(FunctionCallInfo fcinfo, int n);
extern int64 credits_argument(FunctionCallInfo fcinfo, int n);	/* > 0 */

#endif							/* ARGUMENTS_H */
