/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Trying something that may fail, and going on without it.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SUBTRANSACTION_H
#define SUBTRANSACTION_H

/*
 * Call work(argument) in a subtransaction.  If it fails with an error that
 * may_go_on() accepts, all that it did in the database is undone and the error
 * is returned; any other error is raised again.  NULL: it did not fail.
 */
extern ErrorData *try_in_subtransaction(void (*work) (void *argument), void *argument,
										bool (*may_go_on) (int sqlerrcode));

#endif							/* SUBTRANSACTION_H */
