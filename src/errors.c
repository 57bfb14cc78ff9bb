/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Keeping what callers passed out of the log.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errors.h"

static void
hide_statement_callback(void *arg)
{
	errhidestmt(true);
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
hide_statement_end(ErrorContextCallback *callback)
{
	error_context_stack = callback->previous;
}
