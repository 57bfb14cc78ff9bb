/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Random numbers, for ids that must not meet and for choices.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

/* A state to begin with. */
extern uint64_t random_seed(void);

extern uint64_t random_next(uint64_t *state);

#endif							/* RANDOM_H */
