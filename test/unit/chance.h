/*-------------------------------------------------------------------------
 *
 * chance.h
 *	  What the tests of facts and of readings share: above all chance, which is
 *	  the same each time.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SEED			UINT64_C(0x9e3779b97f4a7c15)
#define YEAR_10000		INT64_C(253402300800)

static uint64_t chance_state = SEED;

/* xorshift64* */
static inline uint64_t
chance(void)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return chance_state * UINT64_C(2685821657736338717);
}

static inline size_t
chance_below(size_t n)
{
	return (size_t) ((chance() >> 33) % n);
}

/* Not negative, of every length in bits. */
static inline int64_t
chance_number(void)
{
	return (int64_t) (chance() >> (1 + chance_below(63)));
}

static inline bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static inline const char *
shown(const char *text)
{
	return text ? text : "none";
}

#endif							/* CHANCE_H */
