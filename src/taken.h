/*-------------------------------------------------------------------------
 *
 * taken.h
 *	  Credits that were taken from lots, in the order in which they were.
 *
 * Kept with what took them, as two bigint[], so that what is given back can
 * return to where it came from.  Memory is of the context that is current when
 * something is added.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef TAKEN_H
#define TAKEN_H

typedef struct Taken
{
	int			count;
	int			room;
	int64	   *lots;
	int64	   *credits;
} Taken;

extern void taken_add(Taken *taken, int64 lot_id, int64 credits);
extern int64 taken_total(const Taken *taken);

/* Split into the first so many credits and the rest. */
extern void taken_split(const Taken *taken, int64 credits, Taken *first, Taken *rest);

/* The lots and the credits, as bigint[]. */
extern Datum taken_lots(const Taken *taken);
extern Datum taken_credits(const Taken *taken);

/* Add what two such arrays say. */
extern void taken_add_arrays(Taken *taken, Datum lots, Datum credits);

#endif							/* TAKEN_H */
