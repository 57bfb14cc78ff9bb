/*-------------------------------------------------------------------------
 *
 * form.c
 *	  How is that said to Stripe?  A JSON object as the body that its API takes:
 *	  application/x-www-form-urlencoded, with nested values written as
 *	  line_items[0][price_data][unit_amount]=1000.
 *
 * One pass over the text, nothing allocated.  The name of the value at hand
 * grows with every level and is cut back after it; each key and string is
 * decoded to the buffer's start, written from there, and forgotten.
 *
 * A key that stands in an object twice is passed on twice, and Stripe decides
 * what that means: the texts come from jsonb, which never has any.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "form.h"

#include <stdio.h>
#include <string.h>

#include "json.h"

/* The state of one pass. */
typedef struct FormWriter
{
	JsonScan	json;
	FormVerdict refusal;		/* what is wrong though it is valid JSON */
	char	   *buffer;
	FormAppend	append;
	void	   *target;
	bool		has_pair;		/* one has been written */
	size_t		name_length;
	char		name[FORM_MAX_NAME];	/* as it is written */
} FormWriter;

static bool write_value(FormWriter *writer);


/*
 * Octets
 */

/* What RFC 3986 calls unreserved; isalnum() would ask the locale. */
static inline bool
is_plain(unsigned char octet)
{
	return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
		(octet >= '0' && octet <= '9') ||
		octet == '-' || octet == '_' || octet == '.' || octet == '~';
}

static void
write_percent(unsigned char octet, FormAppend append, void *target)
{
	static const char digits[] = "0123456789ABCDEF";
	char		escape[3];

	escape[0] = '%';
	escape[1] = digits[octet >> 4];
	escape[2] = digits[octet & 0x0F];
	append(target, escape, sizeof(escape));
}

/* A blank is %20 and not +, which not everybody takes for one. */
void
form_escape(const char *text, size_t length, FormAppend append, void *target)
{
	const char *run = text;
	const char *end = text + length;
	const char *at;

	for (at = text; at < end; at++)
	{
		unsigned char octet = (unsigned char) *at;

		if (is_plain(octet))
			continue;
		append(target, run, (size_t) (at - run));
		write_percent(octet, append, target);
		run = at + 1;
	}
	append(target, run, (size_t) (end - run));
}


/*
 * Names
 */

/* Stop: it is valid JSON so far, but can't be written. */
static bool
refuse(FormWriter *writer, FormVerdict verdict)
{
	writer->refusal = verdict;
	return false;
}

/* A FormAppend whose target is the writer.  What doesn't fit is left out. */
static void
append_to_name(void *target, const char *data, size_t length)
{
	FormWriter *writer = target;

	if (length > FORM_MAX_NAME - writer->name_length)
	{
		refuse(writer, FORM_TOO_LONG);
		return;
	}
	memcpy(writer->name + writer->name_length, data, length);
	writer->name_length += length;
}

/*
 * Stripe decodes a name before it looks for brackets, so that one in a key,
 * escaped or not, would be taken for nesting; and [] for "append to an array".
 */
static bool
is_bad_key(const char *key, size_t length)
{
	size_t		i;

	for (i = 0; i < length; i++)
	{
		unsigned char octet = (unsigned char) key[i];

		if (octet < 0x20 || octet == 0x7F || octet == '[' || octet == ']')
			return true;
	}
	return length == 0;
}

/* Make the name that of a member; only the outermost object has none itself. */
static bool
name_member(FormWriter *writer, const JsonString *key)
{
	bool		nested = (writer->name_length > 0);
	size_t		length;

	if (!json_decode_string(key, writer->buffer, &length))
		return refuse(writer, FORM_NUL_CHARACTER);
	if (is_bad_key(writer->buffer, length))
		return refuse(writer, FORM_BAD_KEY);
	if (nested)
		append_to_name(writer, "[", 1);
	form_escape(writer->buffer, length, append_to_name, writer);
	if (nested)
		append_to_name(writer, "]", 1);
	return writer->refusal == FORM_OK;
}

static bool
name_element(FormWriter *writer, size_t index)
{
	char		segment[sizeof("[18446744073709551615]")];
	int			length = snprintf(segment, sizeof(segment), "[%zu]", index);

	append_to_name(writer, segment, (size_t) length);
	return writer->refusal == FORM_OK;
}


/*
 * Values
 */

static void
write_pair(FormWriter *writer, const char *value, size_t length)
{
	if (writer->has_pair)
		writer->append(writer->target, "&", 1);
	writer->has_pair = true;
	writer->append(writer->target, writer->name, writer->name_length);
	writer->append(writer->target, "=", 1);
	form_escape(value, length, writer->append, writer->target);
}

static bool
write_string(FormWriter *writer)
{
	JsonString	token;
	size_t		length;

	if (!json_scan_string(&writer->json, &token))
		return false;
	if (!json_decode_string(&token, writer->buffer, &length))
		return refuse(writer, FORM_NUL_CHARACTER);
	write_pair(writer, writer->buffer, length);
	return true;
}

/* A number or literal, as it stands in the text; 1e+2 needs an escape too. */
static bool
write_token(FormWriter *writer)
{
	const char *start = writer->json.at;

	if (!json_scan_value(&writer->json))
		return false;
	write_pair(writer, start, (size_t) (writer->json.at - start));
	return true;
}

static bool
write_null(FormWriter *writer)
{
	if (!json_scan_value(&writer->json))
		return false;
	write_pair(writer, "", 0);
	return true;
}

static bool
write_object(FormWriter *writer)
{
	const size_t outer = writer->name_length;
	JsonString	key;
	bool		more;

	if (!json_scan_open(&writer->json, '}', &more))
		return false;
	while (more)
	{
		if (!json_scan_key(&writer->json, &key) || !name_member(writer, &key) ||
			!write_value(writer) || !json_scan_next(&writer->json, '}', &more))
			return false;
		writer->name_length = outer;
	}
	return true;
}

static bool
write_array(FormWriter *writer)
{
	const size_t outer = writer->name_length;
	size_t		index;
	bool		more;

	if (!json_scan_open(&writer->json, ']', &more))
		return false;
	for (index = 0; more; index++)
	{
		if (!name_element(writer, index) || !write_value(writer) ||
			!json_scan_next(&writer->json, ']', &more))
			return false;
		writer->name_length = outer;
	}
	return true;
}

/* The depth limit bounds the recursion. */
static bool
write_value(FormWriter *writer)
{
	switch (json_scan_peek(&writer->json))
	{
		case '"':
			return write_string(writer);
		case '{':
			return write_object(writer);
		case '[':
			return write_array(writer);
		case 'n':
			return write_null(writer);
		default:
			return write_token(writer);
	}
}


/*
 * The text as a whole
 */

static FormVerdict
verdict_of(const FormWriter *writer)
{
	if (writer->refusal != FORM_OK)
		return writer->refusal;
	if (writer->json.fault == JSON_FAULT_DEPTH)
		return FORM_TOO_DEEP;
	return FORM_NOT_OBJECT;
}

FormVerdict
form_encode(const char *json, size_t length, char *buffer, FormAppend append,
			void *target)
{
	FormWriter	writer;

	json_scan_begin(&writer.json, json, length, FORM_MAX_DEPTH);
	writer.refusal = FORM_OK;
	writer.buffer = buffer;
	writer.append = append;
	writer.target = target;
	writer.has_pair = false;
	writer.name_length = 0;
	if (json_scan_peek(&writer.json) != '{')
		return FORM_NOT_OBJECT;
	if (write_object(&writer) && json_scan_end(&writer.json))
		return FORM_OK;
	return verdict_of(&writer);
}
