/*-------------------------------------------------------------------------
 *
 * growing.h
 *	  Texts that grow, and the octets of a form, for the test of form.c and for
 *	  its fuzzer.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef GROWING_H
#define GROWING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNRESERVED \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"

/* A text that grows, always with a NUL behind it, once something was added. */
typedef struct Text
{
	char	   *octets;
	size_t		length;
	size_t		room;
} Text;

/* A FormAppend, so the target is no Text by its type. */
static inline void
add(void *target, const char *octets, size_t length)
{
	Text	   *text = target;

	if (text->length + length >= text->room)
	{
		text->room = 2 * (text->length + length) + 64;
		text->octets = realloc(text->octets, text->room);
		if (text->octets == NULL)
			abort();
	}
	if (length > 0)
		memcpy(text->octets + text->length, octets, length);
	text->length += length;
	text->octets[text->length] = '\0';
}

static inline Text *
emptied(Text *text)
{
	text->length = 0;
	add(text, "", 0);
	return text;
}

/* In UTF-8. */
static inline void
add_character(Text *text, uint32_t code)
{
	char		octets[4];
	int			length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	int			i;

	for (i = length - 1; i > 0; i--)
	{
		octets[i] = (char) (0x80 | (code & 0x3F));
		code >>= 6;
	}
	octets[0] = (char) (length == 1 ? code : (0xF00u >> length & 0xF0) | code);
	add(text, octets, (size_t) length);
}

static inline bool
is_unreserved(char octet)
{
	return octet != '\0' && strchr(UNRESERVED, octet) != NULL;
}

/* Of an upper-case hexadecimal digit; -1 if it is none. */
static inline int
hex_digit(char octet)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *found = octet == '\0' ? NULL : strchr(digits, octet);

	return found == NULL ? -1 : (int) (found - digits);
}

#endif							/* GROWING_H */
