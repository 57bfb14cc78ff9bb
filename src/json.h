/*-------------------------------------------------------------------------
 *
 * json.h
 *	  A scanner for strict JSON (RFC 8259) in valid UTF-8, one pass, nothing
 *	  allocated.
 *
 * The caller walks the containers it is interested in and steps over all other
 * values; what is stepped over is checked just as strictly.  Every function
 * that returns bool returns false if the scan has stopped; why is in 'fault'
 * then, and the scan must not be used any more.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef STRIPE_CREDIT_JSON_H
#define STRIPE_CREDIT_JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef enum JsonFault
{
	JSON_FAULT_NONE,
	JSON_FAULT_UTF8,			/* not valid UTF-8, or a byte order mark */
	JSON_FAULT_GRAMMAR,			/* includes a text that ends too early or late */
	JSON_FAULT_DEPTH			/* nested deeper than allowed */
} JsonFault;

typedef struct JsonScan
{
	const char *at;				/* the next octet of the text */
	const char *end;
	int			depth_left;		/* how many levels may still be opened */
	JsonFault	fault;
} JsonScan;

/* A string as it stands in the text, without its quotes; its form is checked. */
typedef struct JsonString
{
	const char *start;
	size_t		length;
	bool		escaped;		/* holds a backslash */
} JsonString;

/*
 * A text is begun, holds one value, and is ended.  White space before and
 * after each value and key is stepped over.
 */
extern void json_scan_begin(JsonScan *scan, const char *text, size_t length,
							int max_depth);
extern bool json_scan_end(JsonScan *scan);

/* Step over a value of any type, or of the type that it begins as. */
extern bool json_scan_value(JsonScan *scan);
extern bool json_scan_number(JsonScan *scan);
extern bool json_scan_string(JsonScan *scan, JsonString *string);

/*
 * At a bracket or brace: open a container, and step over its end if it is
 * empty; then, after each of its elements: go to the next or over its end.
 * 'closing' is the container's closing bracket or brace; 'more' says whether
 * an element follows.
 */
extern bool json_scan_open(JsonScan *scan, char closing, bool *more);
extern bool json_scan_next(JsonScan *scan, char closing, bool *more);

/* Step over a member's key and colon. */
extern bool json_scan_key(JsonScan *scan, JsonString *key);

/*
 * Decode a string into 'out', which must have room for string->length octets;
 * no NUL is appended.  False if it holds what no text of PostgreSQL's can:
 * \u0000, or half of a surrogate pair.  The scan may go on in that case.
 */
extern bool json_decode_string(const JsonString *string, char *out,
							   size_t *length);

/* What the next octet is, or -1 at the end. */
static inline int
json_scan_peek(const JsonScan *scan)
{
	return scan->at < scan->end ? (unsigned char) *scan->at : -1;
}

#endif							/* STRIPE_CREDIT_JSON_H */
