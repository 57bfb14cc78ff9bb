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
 * Call work(argument) in a subtransaction.  If it fails, all that it did in the
 * database is undone, and the error is returned; whoever can't go on without it
 * calls ReThrowError().  NULL: it did not fail.
 *
 * By then our own subtransaction has ended, which must come before anything is
 * thrown again: whoever catches that ends a subtransaction of his own, or would
 * be left in ours.
 */
extern ErrorData *try_in_subtransaction(void (*work) (void *argument), void *argument);

#endif							/* SUBTRANSACTION_H */
