/*-------------------------------------------------------------------------
 *
 * fuzz_form.c
 *	  libFuzzer target for src/form.c and src/json.c: whatever the text, no step
 *	  outside its memory or the buffer's, no octet in a form that has no place
 *	  there, and the form decoded is just what a plain walk over the JSON finds.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "growing.h"
#include "must.h"

/*
 * A walk over JSON or a form, at 'at'.  What it finds is a list of (path,
 * value): the segments of the path and then the value, each with its length
 * before it, so that no two lists look alike.
 */
typedef struct Walk
{
	const char *at;
	Text		path;
	Text		list;
} Walk;

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_value(Walk *walk, int depth);


/*
 * Texts and lists
 */

static void
add_part(Text *list, char kind, const Text *part)
{
	char		mark[32];
	int			length = snprintf(mark, sizeof(mark), "%c%zu:", kind, part->length);

	add(list, mark, (size_t) length);
	add(list, part->octets, part->length);
}

static void
add_pair(Walk *walk, const Text *value)
{
	add(&walk->list, walk->path.octets, walk->path.length);
	add_part(&walk->list, '=', value);
}

static void
forget(Walk *walk)
{
	free(walk->path.octets);
	free(walk->list.octets);
}


/*
 * JSON, which is known to be valid
 */

static void
skip_space(Walk *walk)
{
	walk->at += strspn(walk->at, " \t\n\r");
}

static uint32_t
read_hex(Walk *walk)
{
	char		digits[5] = "";

	memcpy(digits, walk->at, 4);
	walk->at += 4;
	return (uint32_t) strtoul(digits, NULL, 16);
}

/* Behind a backslash. */
static void
walk_escape(Walk *walk, Text *string)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	char		letter = *walk->at++;
	uint32_t	code;

	if (letter != 'u')
	{
		MUST(strchr(letters, letter) != NULL);
		add(string, &meanings[strchr(letters, letter) - letters], 1);
		return;
	}
	code = read_hex(walk);
	if (code >= 0xD800 && code <= 0xDBFF)
	{
		MUST(walk->at[0] == '\\' && walk->at[1] == 'u');
		walk->at += 2;
		code = 0x10000 + (code - 0xD800) * 0x400 + (read_hex(walk) - 0xDC00);
	}
	MUST(code != 0);
	add_character(string, code);
}

static void
walk_string(Walk *walk, Text *string)
{
	emptied(string);
	for (walk->at++; *walk->at != '"';)
	{
		char		octet = *walk->at++;

		MUST(octet != '\0');
		if (octet == '\\')
			walk_escape(walk, string);
		else
			add(string, &octet, 1);
	}
	walk->at++;
}

/* A string, a number or a literal. */
static void
walk_scalar(Walk *walk)
{
	Text		value = {0};
	size_t		length;

	if (*walk->at == '"')
		walk_string(walk, &value);
	else
	{
		length = strcspn(walk->at, " \t\n\r,]}");
		MUST(length > 0);
		if (*walk->at != 'n')
			add(&value, walk->at, length);
		walk->at += length;
	}
	add_pair(walk, &value);
	free(value.octets);
}

/* A key that would mean something else to Stripe has been refused. */
static void
check_key(const Text *key)
{
	size_t		i;

	MUST(key->length > 0);
	MUST(strcspn(key->octets, "[]\x7F") == key->length);
	for (i = 0; i < key->length; i++)
		MUST((unsigned char) key->octets[i] >= 0x20);
}

/* Add the key, or the element's number, to the path. */
static void
walk_segment(Walk *walk, bool is_object, size_t index)
{
	Text		segment = {0};
	char		digits[32];

	if (is_object)
	{
		walk_string(walk, &segment);
		check_key(&segment);
		skip_space(walk);
		MUST(*walk->at++ == ':');
	}
	else
		add(&segment, digits,
			(size_t) snprintf(digits, sizeof(digits), "%zu", index));
	add_part(&walk->path, '/', &segment);
	free(segment.octets);
}

static void
walk_container(Walk *walk, int depth)
{
	const size_t outer = walk->path.length;
	bool		is_object = (*walk->at == '{');
	size_t		index = 0;

	MUST(depth <= FORM_MAX_DEPTH);
	do
	{
		walk->at++;				/* the bracket, or a comma */
		skip_space(walk);
		if (*walk->at == (is_object ? '}' : ']'))
			break;
		walk_segment(walk, is_object, index++);
		walk_value(walk, depth + 1);
		walk->path.length = outer;
	} while (*walk->at == ',');
	MUST(*walk->at == (is_object ? '}' : ']'));
	walk->at++;
}

static void
walk_value(Walk *walk, int depth)
{
	skip_space(walk);
	if (*walk->at == '{' || *walk->at == '[')
		walk_container(walk, depth);
	else
		walk_scalar(walk);
	skip_space(walk);
}


/*
 * Forms
 */

static int
must_be_hex_digit(char octet)
{
	MUST(hex_digit(octet) >= 0);
	return hex_digit(octet);
}

/* Up to what is neither unreserved nor an escape that is needed. */
static void
decode_part(Walk *walk, Text *part)
{
	part->length = 0;
	for (; *walk->at == '%' || is_unreserved(*walk->at); walk->at++)
	{
		char		octet = *walk->at;

		if (octet == '%')
		{
			octet = (char) (must_be_hex_digit(walk->at[1]) << 4 | must_be_hex_digit(walk->at[2]));
			MUST(!is_unreserved(octet));
			walk->at += 2;
		}
		add(part, &octet, 1);
	}
}

/* A name is a segment, then more of them in brackets. */
static void
decode_pair(Walk *walk)
{
	const char *start = walk->at;
	Text		part = {0};

	walk->path.length = 0;
	decode_part(walk, &part);
	MUST(part.length > 0);
	add_part(&walk->path, '/', &part);
	while (*walk->at == '[')
	{
		walk->at++;
		decode_part(walk, &part);
		MUST(part.length > 0);
		add_part(&walk->path, '/', &part);
		MUST(*walk->at++ == ']');
	}
	MUST(walk->at - start <= FORM_MAX_NAME);
	MUST(*walk->at++ == '=');
	decode_part(walk, &part);
	add_pair(walk, &part);
	free(part.octets);
}

static void
decode_form(Walk *walk, const Text *form)
{
	walk->at = form->octets;
	if (form->length == 0)
		return;
	for (decode_pair(walk); *walk->at == '&'; decode_pair(walk))
		walk->at++;
	MUST(walk->at == form->octets + form->length);
}


/*
 * What must hold
 */

static void
check_form(const Text *json, const Text *form)
{
	Walk		from_json = {0};
	Walk		from_form = {0};

	from_json.at = json->octets;
	walk_value(&from_json, 1);
	MUST(from_json.at == json->octets + json->length);
	decode_form(&from_form, form);
	MUST(from_json.list.length == from_form.list.length);
	MUST(from_json.list.length == 0 ||
		 memcmp(from_json.list.octets, from_form.list.octets,
				from_json.list.length) == 0);
	forget(&from_json);
	forget(&from_form);
}

/* Any octets at all, in memory of just their size, come back. */
static void
check_escape(const char *octets, size_t length)
{
	Text		form = {0};
	Text		part = {0};
	Walk		walk = {0};

	form_escape(octets, length, add, &form);
	walk.at = form.octets;
	decode_part(&walk, &part);
	MUST(walk.at == form.octets + form.length);
	MUST(part.length == length);
	MUST(length == 0 || memcmp(part.octets, octets, length) == 0);
	free(form.octets);
	free(part.octets);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *json = malloc(size);
	char	   *buffer = malloc(size);
	Text		whole = {0};
	Text		form = {0};
	FormVerdict verdict;

	MUST(json != NULL && buffer != NULL);
	if (size > 0)
		memcpy(json, data, size);
	verdict = form_encode(json, size, buffer, add, &form);
	MUST(verdict >= FORM_OK && verdict <= FORM_TOO_LONG);
	add(&whole, json, size);
	if (verdict == FORM_OK)
		check_form(&whole, &form);
	check_escape(json, size);
	free(json);
	free(buffer);
	free(whole.octets);
	free(form.octets);
	return 0;
}
