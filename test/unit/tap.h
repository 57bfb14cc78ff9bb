/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  Just enough of the Test Anything Protocol for a plain C program:
 *	  ok() for every check, and "return done();" at the end of main().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>

static int	tap_count = 0;
static int	tap_failures = 0;

__attribute__((format(printf, 2, 3)))
static inline int
ok(int passed, const char *format,...)
{
	va_list		arguments;

	tap_count++;
	if (!passed)
		tap_failures++;
	printf("%sok %d - ", passed ? "" : "not ", tap_count);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	return passed;
}

/* Prints the plan; the result is the exit code of the program. */
static inline int
done(void)
{
	printf("1..%d\n", tap_count);
	if (tap_failures > 0)
		printf("# %d of %d failed\n", tap_failures, tap_count);
	return tap_failures > 0;
}

#endif							/* TAP_H */
