/*-------------------------------------------------------------------------
 *
 * form.h
 *	  How is that said to Stripe?  A JSON object as the body that its API takes:
 *	  application/x-www-form-urlencoded, with nested values written as
 *	  line_items[0][price_data][unit_amount]=1000.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc, so that it can be
 * tested and fuzzed alone.  It knows no field of the API by name.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FORM_H
#define FORM_H

#include <stddef.h>

#define FORM_MAX_DEPTH		20	/* the outermost object is level 1 */
#define FORM_MAX_NAME		1000

typedef enum FormVerdict
{
	FORM_OK,
	FORM_NOT_OBJECT,			/* not one JSON object, or no valid JSON or UTF-8 */
	FORM_TOO_DEEP,				/* nested deeper than FORM_MAX_DEPTH */
	FORM_NUL_CHARACTER,			/* a key or string holds \u0000, or half of a surrogate pair */
	FORM_BAD_KEY,				/* a key is empty, or holds [, ] or an ASCII
								 * control character */
	FORM_TOO_LONG				/* a name, as it is written, of more than
								 * FORM_MAX_NAME octets */
} FormVerdict;

typedef void (*FormAppend) (void *target, const char *data, size_t length);

/*
 * Write the members of a JSON object as pairs of name and value, in the order
 * of the text.  The elements of an array are numbered from 0, each by its
 * place; true, false and numbers are written as they stand in the text; null is
 * an empty value, by which Stripe unsets a field; an empty object or array
 * brings nothing.  Nothing but the brackets of nesting stands as [ and ].
 *
 * The verdict is about the first thing found wrong, in the order of the text.
 * If it is not FORM_OK, then the caller must throw away what was appended.
 *
 * 'buffer' must have room for length octets.
 */
extern FormVerdict form_encode(const char *json, size_t length, char *buffer,
							   FormAppend append, void *target);

/*
 * Write one value, or one segment of a path: every octet but A-Z, a-z, 0-9,
 * '-', '_', '.' and '~' becomes % and two upper-case hexadecimal digits.
 */
extern void form_escape(const char *text, size_t length, FormAppend append,
						void *target);

#endif							/* FORM_H */
