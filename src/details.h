/*-------------------------------------------------------------------------
 *
 * details.h
 *	  The parts of a payment as payment.details keeps them: the lists of its
 *	  facts as jsonb, and room in memory for more of them.
 *
 * The lists are arrays of objects, in the order of their ids, for people and
 * check_books() to read.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef DETAILS_H
#define DETAILS_H

#include "facts.h"

/* False, if the payment has no parts. */
extern bool details_write(const Facts *facts, Datum *jsonb);

/* The lists of facts that hold none yet. */
extern void details_read(Facts *facts, Datum jsonb);

/* facts_merge(), with the room that it needs. */
extern bool details_merge(Facts *known, const Facts *news);

#endif							/* DETAILS_H */
