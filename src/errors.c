/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Errors that several rooms raise, and keeping what callers passed out of
 *	  the log.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/backend_status.h"

#include "errors.h"

/* The context that PL/pgSQL adds can hold the statement's literals too. */
static void
hide_statement_callback(void *arg)
{
	/* what a constraint says of a row quotes it */
	if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		errdetail("The row is not shown.");
	errhidestmt(true);
	errhidecontext(true);
}

void
hide_statement_begin(ErrorContextCallback *callback)
{
	callback->callback = hide_statement_callback;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

void
hide_activity(void)
{
	pgstat_report_activity(STATE_RUNNING, "<a statement of stripe_credit with a secret>");
}

void
hide_statement_end(ErrorContextCallback *callback)
{
	error_context_stack = callback->previous;
}

void
report_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("bigint out of range")));
}

void
report_crypto_failure(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute a signature")));
}
