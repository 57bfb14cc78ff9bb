/*-------------------------------------------------------------------------
 *
 * random.c
 *	  Random numbers, for ids that must not meet and for choices.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t
random_seed(void)
{
	uint64_t	seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
	{
		fprintf(stderr, "getrandom failed\n");
		exit(1);
	}
	return seed;
}

/* splitmix64 */
uint64_t
random_next(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}
