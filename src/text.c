/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Texts, as several rooms need them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "text.h"

const char *
after_prefix(const char *text, const char *prefix)
{
	size_t		length = strlen(prefix);

	return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

void
append_to_string(void *target, const char *octets, size_t length)
{
	appendBinaryStringInfo((StringInfo) target, octets, (int) length);
}
