/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A scanner for strict JSON (RFC 8259) in valid UTF-8, one pass, nothing
 *	  allocated.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "json.h"

#include <stdint.h>
#include <string.h>

#define BYTE_ORDER_MARK	"\xEF\xBB\xBF"


/*
 * Characters
 */

/*
 * Texts are looked at eight octets at a time where that is simple: where the
 * lowest octet of a word is the first in memory, and its place can be counted.
 */
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define JSON_BY_WORDS
#endif

#ifdef JSON_BY_WORDS
#define WORD_OF(octet)	(UINT64_C(0x0101010101010101) * (octet))

static inline uint64_t
load_word(const char *at)
{
	uint64_t	word;

	memcpy(&word, at, sizeof(word));
	return word;
}
#endif

static inline bool
is_digit(int octet)
{
	return octet >= '0' && octet <= '9';
}

static inline bool
is_hex_digit(int octet)
{
	return is_digit(octet) || (octet >= 'a' && octet <= 'f') ||
		(octet >= 'A' && octet <= 'F');
}

static inline bool
is_continuation(unsigned char octet)
{
	return (octet & 0xC0) == 0x80;
}

/*
 * The length of the character at 'at', or 0 if it is not valid UTF-8: cut
 * short, longer than need be, a surrogate, or above U+10FFFF.
 */
static size_t
character_length(const char *at, const char *end)
{
	const unsigned char *octet = (const unsigned char *) at;
	size_t		length;
	size_t		i;

	if (octet[0] < 0x80)
		return 1;
	if (octet[0] < 0xC2 || octet[0] > 0xF4)
		return 0;
	length = octet[0] < 0xE0 ? 2 : octet[0] < 0xF0 ? 3 : 4;
	if ((size_t) (end - at) < length)
		return 0;
	for (i = 1; i < length; i++)
	{
		if (!is_continuation(octet[i]))
			return 0;
	}
	if ((octet[0] == 0xE0 && octet[1] < 0xA0) ||
		(octet[0] == 0xED && octet[1] > 0x9F) ||
		(octet[0] == 0xF0 && octet[1] < 0x90) ||
		(octet[0] == 0xF4 && octet[1] > 0x8F))
		return 0;
	return length;
}

/* Stop: what stands at scan->at has no place there. */
static bool
refuse(JsonScan *scan)
{
	const size_t mark = sizeof(BYTE_ORDER_MARK) - 1;
	size_t		left = (size_t) (scan->end - scan->at);

	scan->fault = JSON_FAULT_GRAMMAR;
	if (left > 0 && character_length(scan->at, scan->end) == 0)
		scan->fault = JSON_FAULT_UTF8;
	else if (left >= mark && memcmp(scan->at, BYTE_ORDER_MARK, mark) == 0)
		scan->fault = JSON_FAULT_UTF8;
	return false;
}

/*
 * Stripe indents its bodies, so that white space is mostly a newline and a run
 * of blanks.
 */
static inline void
skip_space(JsonScan *scan)
{
	const char *at = scan->at;
	const char *end = scan->end;

	while (at < end &&
		   (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
	{
		at++;
#ifdef JSON_BY_WORDS
		while (end - at >= (ptrdiff_t) sizeof(uint64_t))
		{
			uint64_t	others = load_word(at) ^ WORD_OF(' ');

			if (others != 0)
			{
				at += __builtin_ctzll(others) / 8;
				break;
			}
			at += sizeof(uint64_t);
		}
#endif
	}
	scan->at = at;
}


/*
 * Strings
 */

/* ASCII that stands for itself in a string. */
static inline bool
is_plain(unsigned char octet)
{
	return octet >= 0x20 && octet < 0x80 && octet != '"' && octet != '\\';
}

/*
 * In each of the three differences an octet's high bit is set if it is the one
 * looked for, or not ASCII; a borrow can spoil only octets behind such a one,
 * and so never the first.
 */
static inline const char *
skip_plain(const char *at, const char *end)
{
#ifdef JSON_BY_WORDS
	while (end - at >= (ptrdiff_t) sizeof(uint64_t))
	{
		uint64_t	word = load_word(at);
		uint64_t	stops = ((word ^ WORD_OF('"')) - WORD_OF(1)) |
			((word ^ WORD_OF('\\')) - WORD_OF(1)) |
			(word - WORD_OF(0x20)) | word;

		stops &= WORD_OF(0x80);
		if (stops != 0)
			return at + __builtin_ctzll(stops) / 8;
		at += sizeof(uint64_t);
	}
#endif
	while (at < end && is_plain((unsigned char) *at))
		at++;
	return at;
}

/* At a backslash: check the escape's form. */
static bool
skip_escape(JsonScan *scan)
{
	int			i;

	scan->at++;
	switch (json_scan_peek(scan))
	{
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			scan->at++;
			return true;
		case 'u':
			scan->at++;
			break;
		default:
			return refuse(scan);
	}
	for (i = 0; i < 4; i++)
	{
		if (!is_hex_digit(json_scan_peek(scan)))
			return refuse(scan);
		scan->at++;
	}
	return true;
}

/* At something in a string that is neither plain nor its end. */
static bool
skip_special(JsonScan *scan, JsonString *string)
{
	int			octet = json_scan_peek(scan);
	size_t		length;

	if (octet == '\\')
	{
		string->escaped = true;
		return skip_escape(scan);
	}
	if (octet < 0x80)			/* a control character, or the text's end */
		return refuse(scan);
	length = character_length(scan->at, scan->end);
	if (length == 0)
		return refuse(scan);
	scan->at += length;
	return true;
}

/* At a quote: find the string's end and check its form. */
static inline bool
scan_string(JsonScan *scan, JsonString *string)
{
	scan->at++;
	string->start = scan->at;
	string->escaped = false;
	for (;;)
	{
		scan->at = skip_plain(scan->at, scan->end);
		if (json_scan_peek(scan) == '"')
			break;
		if (!skip_special(scan, string))
			return false;
	}
	string->length = (size_t) (scan->at - string->start);
	scan->at++;
	return true;
}

bool
json_scan_string(JsonScan *scan, JsonString *string)
{
	return scan_string(scan, string);
}

/* The value of four hexadecimal digits, whose form has been checked. */
static uint32_t
hex_value(const char *digits)
{
	uint32_t	value = 0;
	int			i;

	for (i = 0; i < 4; i++)
	{
		int			digit = digits[i];

		digit = is_digit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
		value = value * 16 + (uint32_t) digit;
	}
	return value;
}

static char *
put_character(char *out, uint32_t code)
{
	if (code < 0x80)
	{
		*out++ = (char) code;
		return out;
	}
	if (code < 0x800)
		*out++ = (char) (0xC0 | code >> 6);
	else
	{
		if (code < 0x10000)
			*out++ = (char) (0xE0 | code >> 12);
		else
		{
			*out++ = (char) (0xF0 | code >> 18);
			*out++ = (char) (0x80 | (code >> 12 & 0x3F));
		}
		*out++ = (char) (0x80 | (code >> 6 & 0x3F));
	}
	*out++ = (char) (0x80 | (code & 0x3F));
	return out;
}

/*
 * Decode the \uXXXX at *at, or two that are a surrogate pair, and step over
 * it.  Returns 0 for what no text of PostgreSQL's can hold: U+0000, and half a
 * pair.
 */
static uint32_t
decode_unicode(const char **at, const char *end)
{
	uint32_t	code = hex_value(*at + 2);
	uint32_t	low;

	*at += 6;
	if (code < 0xD800 || code > 0xDFFF)
		return code;
	if (code > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return 0;
	low = hex_value(*at + 2);
	if (low < 0xDC00 || low > 0xDFFF)
		return 0;
	*at += 6;
	return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

/* Decode the escape at *at and step over it; 0 as above. */
static uint32_t
decode_escape(const char **at, const char *end)
{
	char		letter = (*at)[1];

	if (letter == 'u')
		return decode_unicode(at, end);
	*at += 2;
	switch (letter)
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		default:				/* quote, backslash and slash */
			return (uint32_t) letter;
	}
}

bool
json_decode_string(const JsonString *string, char *out, size_t *length)
{
	const char *at = string->start;
	const char *end = at + string->length;
	char	   *start = out;
	uint32_t	code;

	while (at < end)
	{
		const char *stop = end;

		if (string->escaped)
			stop = memchr(at, '\\', (size_t) (end - at));
		if (stop == NULL)
			stop = end;
		memcpy(out, at, (size_t) (stop - at));
		out += stop - at;
		at = stop;
		if (at == end)
			break;
		code = decode_escape(&at, end);
		if (code == 0)
			return false;
		out = put_character(out, code);
	}
	*length = (size_t) (out - start);
	return true;
}


/*
 * Numbers and literals
 */

static bool
skip_digits(JsonScan *scan)
{
	if (!is_digit(json_scan_peek(scan)))
		return refuse(scan);
	while (is_digit(json_scan_peek(scan)))
		scan->at++;
	return true;
}

static inline bool
skip_one_of(JsonScan *scan, char either, char other)
{
	int			octet = json_scan_peek(scan);

	if (octet != either && octet != other)
		return false;
	scan->at++;
	return true;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
bool
json_scan_number(JsonScan *scan)
{
	skip_one_of(scan, '-', '-');
	if (!skip_one_of(scan, '0', '0') && !skip_digits(scan))
		return false;
	if (skip_one_of(scan, '.', '.') && !skip_digits(scan))
		return false;
	if (skip_one_of(scan, 'e', 'E'))
	{
		skip_one_of(scan, '+', '-');
		return skip_digits(scan);
	}
	return true;
}

static inline bool
skip_literal(JsonScan *scan, const char *literal, size_t length)
{
	if ((size_t) (scan->end - scan->at) < length ||
		memcmp(scan->at, literal, length) != 0)
		return refuse(scan);
	scan->at += length;
	return true;
}


/*
 * Containers
 */

bool
json_scan_open(JsonScan *scan, char closing, bool *more)
{
	if (scan->depth_left == 0)
	{
		scan->fault = JSON_FAULT_DEPTH;
		return false;
	}
	scan->at++;
	skip_space(scan);
	*more = (json_scan_peek(scan) != closing);
	if (*more)
		scan->depth_left--;
	else
		scan->at++;
	return true;
}

bool
json_scan_next(JsonScan *scan, char closing, bool *more)
{
	int			octet;

	skip_space(scan);
	octet = json_scan_peek(scan);
	if (octet != ',' && octet != closing)
		return refuse(scan);
	scan->at++;
	*more = (octet == ',');
	if (*more)
		skip_space(scan);
	else
		scan->depth_left++;
	return true;
}

bool
json_scan_key(JsonScan *scan, JsonString *key)
{
	if (json_scan_peek(scan) != '"')
		return refuse(scan);
	if (!scan_string(scan, key))
		return false;
	skip_space(scan);
	if (json_scan_peek(scan) != ':')
		return refuse(scan);
	scan->at++;
	skip_space(scan);
	return true;
}

static bool
skip_array(JsonScan *scan)
{
	bool		more;

	if (!json_scan_open(scan, ']', &more))
		return false;
	while (more)
	{
		if (!json_scan_value(scan) || !json_scan_next(scan, ']', &more))
			return false;
	}
	return true;
}

static bool
skip_object(JsonScan *scan)
{
	JsonString	key;
	bool		more;

	if (!json_scan_open(scan, '}', &more))
		return false;
	while (more)
	{
		if (!json_scan_key(scan, &key) || !json_scan_value(scan) ||
			!json_scan_next(scan, '}', &more))
			return false;
	}
	return true;
}

/* The depth limit bounds the recursion. */
bool
json_scan_value(JsonScan *scan)
{
	JsonString	string;

	switch (json_scan_peek(scan))
	{
		case '"':
			return scan_string(scan, &string);
		case '{':
			return skip_object(scan);
		case '[':
			return skip_array(scan);
		case 't':
			return skip_literal(scan, "true", 4);
		case 'f':
			return skip_literal(scan, "false", 5);
		case 'n':
			return skip_literal(scan, "null", 4);
		default:
			return json_scan_number(scan);
	}
}


/*
 * The text as a whole
 */

void
json_scan_begin(JsonScan *scan, const char *text, size_t length, int max_depth)
{
	scan->at = text;
	scan->end = text + length;
	scan->depth_left = max_depth;
	scan->fault = JSON_FAULT_NONE;
	skip_space(scan);
}

bool
json_scan_end(JsonScan *scan)
{
	skip_space(scan);
	if (scan->at < scan->end)
		return refuse(scan);
	return true;
}
