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

#include "datatype/timestamp.h"
#include "fmgr.h"

#include "compat.h"

#define METADATA_MAX_SIZE	(1024 * 1024)

extern char *account_argument(FunctionCallInfo fcinfo, int n);
extern char *key_argument(FunctionCallInfo fcinfo, int n);
extern char *key_argument_or_null(FunctionCallInfo fcinfo, int n);
extern int64 credits_argument(FunctionCallInfo fcinfo, int n);	/* > 0 */

/* Greater than zero, and at most a thousand years. */
extern Interval *duration_argument(FunctionCallInfo fcinfo, int n, const char *name);

/* jsonb of no more than METADATA_MAX_SIZE; returns false if it is NULL. */
extern bool metadata_argument(FunctionCallInfo fcinfo, int n, Datum *metadata);

/* For arguments that are no function's own: the elements of arrays. */
extern void check_key(const text *key, const char *name);
extern void check_credits(int64 credits);

pg_noreturn extern void report_too_large(const char *argument);

#endif							/* ARGUMENTS_H */
