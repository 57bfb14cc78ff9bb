/*-------------------------------------------------------------------------
 *
 * must.h
 *	  What fuzzers demand of the code that they try.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef MUST_H
#define MUST_H

#include <stdio.h>
#include <stdlib.h>

/* Not assert(), which NDEBUG would take away. */
#define MUST(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, \
					#condition); \
			abort(); \
		} \
	} while (0)

#endif							/* MUST_H */
