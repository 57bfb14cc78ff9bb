/*-------------------------------------------------------------------------
 *
 * form_test.c
 *	  Tests of src/form.c.
 *
 * Every text is read out of memory of just its size, with a buffer of just the
 * size that is promised to suffice, so that valgrind and ASan see a step beyond
 * either; and every output goes through a decoder that takes nothing but what
 * form.h says.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "growing.h"
#include "tap.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

/* Texts are never freed before the end, but used again. */
static Text output;				/* what the last encode() wrote */
static Text output_list;		/* the same, decoded */


/*
 * Texts
 */

static void
add_string(Text *text, const char *string)
{
	add(text, string, strlen(string));
}

__attribute__((format(printf, 2, 3)))
static void
add_format(Text *text, const char *format,...)
{
	char		octets[128];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(octets, sizeof(octets), format, arguments);
	va_end(arguments);
	add_string(text, octets);
}

static void
add_times(Text *text, const char *string, int times)
{
	for (; times > 0; times--)
		add_string(text, string);
}

static bool
same_text(const Text *a, const Text *b)
{
	return a->length == b->length && memcmp(a->octets, b->octets, a->length) == 0;
}

/* As \uXXXX, or two of them. */
static void
add_unicode(Text *text, uint32_t code, bool upper)
{
	if (code >= 0x10000)
	{
		code -= 0x10000;
		add_unicode(text, 0xD800 + (code >> 10), upper);
		code = 0xDC00 + (code & 0x3FF);
	}
	if (upper)
		add_format(text, "\\u%04X", code);
	else
		add_format(text, "\\u%04x", code);
}


/*
 * Lists of (path, value)
 *
 * A list is a text: of each pair the segments of its path and then its value,
 * each with its length before it, so that no two lists look alike.
 */

static void
add_segment(Text *list, const char *octets, size_t length)
{
	add_format(list, "%zu:", length);
	add(list, octets, length);
}

static void
add_value(Text *list, const char *octets, size_t length)
{
	add_string(list, "=");
	add_segment(list, octets, length);
	add_string(list, "\n");
}

/* Decode up to what is neither unreserved nor an escape that is needed. */
static bool
decode_part(const char **at, Text *part)
{
	emptied(part);
	for (;; (*at)++)
	{
		char		octet = **at;

		if (octet == '%')
		{
			if (hex_digit((*at)[1]) < 0 || hex_digit((*at)[2]) < 0)
				return false;
			octet = (char) (hex_digit((*at)[1]) * 16 + hex_digit((*at)[2]));
			if (is_unreserved(octet))
				return false;
			*at += 2;
		}
		else if (!is_unreserved(octet))
			return true;
		add(part, &octet, 1);
	}
}

static bool
decode_pair(const char **at, Text *list)
{
	static Text part;
	bool		nested = false;

	do
	{
		*at += nested;
		if (!decode_part(at, &part) || part.length == 0)
			return false;
		if (nested && *(*at)++ != ']')
			return false;
		add_segment(list, part.octets, part.length);
		nested = true;
	} while (**at == '[');
	if (*(*at)++ != '=' || !decode_part(at, &part))
		return false;
	add_value(list, part.octets, part.length);
	return true;
}

/* False if the form breaks form.h's rules in any way. */
static bool
decode(const Text *form, Text *list)
{
	const char *at = form->octets;
	const char *end = at + form->length;

	emptied(list);
	if (at == end)
		return true;
	while (decode_pair(&at, list))
	{
		if (at == end)
			return true;
		if (*at++ != '&')
			return false;
	}
	return false;
}


/*
 * Helpers
 */

static FormVerdict
encode(const char *text, size_t length)
{
	char	   *json = malloc(length > 0 ? length : 1);
	char	   *buffer = malloc(length > 0 ? length : 1);
	FormVerdict verdict;

	if (json == NULL || buffer == NULL)
		abort();
	memcpy(json, text, length);
	verdict = form_encode(json, length, buffer, add, emptied(&output));
	free(json);
	free(buffer);
	if (verdict == FORM_OK && !decode(&output, &output_list))
		ok(false, "well formed: %.200s", output.octets);
	return verdict;
}

static FormVerdict
encode_text(const Text *json)
{
	return encode(json->octets, json->length);
}

static bool
output_is(const char *expected)
{
	if (strlen(expected) == output.length &&
		memcmp(expected, output.octets, output.length) == 0)
		return true;
	printf("# %.200s\n", output.octets);
	return false;
}

/* For the test's name: no control characters, and not too long. */
static const char *
shown(const char *text)
{
	static char name[61];
	size_t		i;

	for (i = 0; text[i] != '\0' && i < sizeof(name) - 1; i++)
		name[i] = text[i] < 0x20 || text[i] == 0x7F || text[i] == '#' ?
			'?' : text[i];
	name[i] = '\0';
	return name;
}

static void
becomes(const char *json, const char *expected)
{
	ok(encode(json, strlen(json)) == FORM_OK && output_is(expected),
	   "%s", shown(json));
}

static void
refused(const char *json, FormVerdict verdict)
{
	FormVerdict found = encode(json, strlen(json));

	ok(found == verdict, "verdict %d, got %d: %s", verdict, found, shown(json));
}


/*
 * Values and structure
 */

static void
test_stripes_own(void)
{
	becomes("{\"mode\": \"payment\", \"line_items\": [{\"price_data\": "
			"{\"currency\": \"eur\", \"unit_amount\": 1000, "
			"\"product_data\": {\"name\": \"100 credits\"}}, \"quantity\": 1}], "
			"\"metadata\": {\"stripe_credit_account\": \"a/b\"}, "
			"\"success_url\": \"https://x.example/?s={CHECKOUT_SESSION_ID}\"}",
			"mode=payment&line_items[0][price_data][currency]=eur"
			"&line_items[0][price_data][unit_amount]=1000"
			"&line_items[0][price_data][product_data][name]=100%20credits"
			"&line_items[0][quantity]=1"
			"&metadata[stripe_credit_account]=a%2Fb"
			"&success_url="
			"https%3A%2F%2Fx.example%2F%3Fs%3D%7BCHECKOUT_SESSION_ID%7D");
}

static void
test_values(void)
{
	becomes("{\"a\":\"b\"}", "a=b");
	becomes("{\"a\":\"\"}", "a=");
	becomes("{\"a\":null}", "a=");
	becomes("{\"a\":true}", "a=true");
	becomes("{\"a\":false}", "a=false");
	becomes("{\"a\":\"true\",\"b\":\"null\"}", "a=true&b=null");
	becomes("{\"a\":null,\"b\":[null,1,null]}", "a=&b[0]=&b[1]=1&b[2]=");
	becomes("{\"b\":1,\"a\":2,\"c\":3}", "b=1&a=2&c=3");
	becomes("{\"a\":1,\"a\":{\"b\":2},\"a\":3}", "a=1&a[b]=2&a=3");
}

static void
test_numbers(void)
{
	static const char *const same[] = {
		"0", "-0", "1", "-1", "1000", "1e2", "1E2", "1e-2", "-1.50", "0.0",
		"0e0", "1.0", "12345678901234567890", "123456789012345678901234567890.10",
		"-9223372036854775809", "1e999999",
	};
	static const char *const bad[] = {
		"01", "+1", "1.", ".1", "-", "1e", "1e+", "0x1", "NaN", "Infinity",
		"-Infinity", "1_000", "1 2", "--1", "tru", "True", "nul", "nulll",
		"truefalse", "'a'", "",
	};
	char		json[64];
	char		form[64];
	size_t		i;

	for (i = 0; i < lengthof(same); i++)
	{
		snprintf(json, sizeof(json), "{\"a\":%s}", same[i]);
		snprintf(form, sizeof(form), "a=%s", same[i]);
		becomes(json, form);
	}
	becomes("{\"a\":1e+2}", "a=1e%2B2");
	becomes("{\"a\":-1.5E+07}", "a=-1.5E%2B07");
	for (i = 0; i < lengthof(bad); i++)
	{
		snprintf(json, sizeof(json), "{\"a\":%s}", bad[i]);
		refused(json, FORM_NOT_OBJECT);
	}
}

static void
test_nesting(void)
{
	becomes("{\"a\":[1,\"x\",true,null]}", "a[0]=1&a[1]=x&a[2]=true&a[3]=");
	becomes("{\"a\":[1,{\"b\":2,\"c\":3},4],\"d\":5}",
			"a[0]=1&a[1][b]=2&a[1][c]=3&a[2]=4&d=5");
	becomes("{\"a\":[[1,2],[[3]]]}", "a[0][0]=1&a[0][1]=2&a[1][0][0]=3");
	becomes("{\"a\":{\"b\":{\"c\":1},\"d\":2},\"e\":3}",
			"a[b][c]=1&a[d]=2&e=3");
	becomes("{\"a\":[{\"b\":[1]},{\"b\":[2]}]}", "a[0][b][0]=1&a[1][b][0]=2");
	becomes("{\"a\":{\"0\":1,\"1\":2}}", "a[0]=1&a[1]=2");
}

/* They bring nothing, no '&' either, but an element keeps its number. */
static void
test_empty(void)
{
	becomes("{}", "");
	becomes(" { } ", "");
	becomes("{\"a\":{}}", "");
	becomes("{\"a\":[]}", "");
	becomes("{\"a\":[ ],\"b\":{ }}", "");
	becomes("{\"a\":{\"b\":{},\"c\":[[],[{}]]}}", "");
	becomes("{\"a\":1,\"b\":{},\"c\":2}", "a=1&c=2");
	becomes("{\"a\":{},\"b\":1}", "b=1");
	becomes("{\"a\":1,\"b\":[]}", "a=1");
	becomes("{\"a\":[],\"b\":[{}],\"c\":1,\"d\":[[]],\"e\":{\"f\":{}}}", "c=1");
	becomes("{\"a\":[[],1,{},2,[{}]]}", "a[1]=1&a[3]=2");
	becomes("{\"a\":{\"b\":{},\"c\":1},\"d\":[{}],\"e\":2}", "a[c]=1&e=2");
}

static void
test_many_elements(void)
{
	static Text json;
	static Text form;
	int			i;

	add_string(emptied(&json), "{\"a\":[0");
	add_string(emptied(&form), "a[0]=0");
	for (i = 1; i <= 12345; i++)
	{
		add_format(&json, ",%d", i * 7);
		add_format(&form, "&a[%d]=%d", i, i * 7);
	}
	add_string(&json, "]}");
	ok(encode_text(&json) == FORM_OK && same_text(&output, &form),
	   "an array of many elements");
	free(json.octets);
	free(form.octets);
}

static void
test_space(void)
{
	becomes("\n\r\t {\n\r\t \"a\"\n\r\t :\n\r\t [\n\r\t 1\n\r\t ,\n\r\t {\n\r\t "
			"\"b\"\n\r\t :\n\r\t null\n\r\t }\n\r\t ]\n\r\t ,\n\r\t \"c\"\n\r\t "
			":\n\r\t true\n\r\t }\n\r\t ", "a[0]=1&a[1][b]=&c=true");
	becomes("{                 \"a\":                1                 }",
			"a=1");
	refused("{\"a\":\f1}", FORM_NOT_OBJECT);
	refused("{\"a\":\v1}", FORM_NOT_OBJECT);
	refused("{\"a\":\xC2\xA0" "1}", FORM_NOT_OBJECT);
}


/*
 * Characters
 */

static void
test_escapes(void)
{
	becomes("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
			"a=%22%5C%2F%08%0C%0A%0D%09");
	becomes("{\"a\":\"\\u00e9\\u00E9\xC3\xA9\"}", "a=%C3%A9%C3%A9%C3%A9");
	becomes("{\"a\":\"\\u0041\\u007e\\u007f\\u0001\"}", "a=A~%7F%01");
	becomes("{\"a\":\"\\ud83d\\uDE00\xF0\x9F\x98\x80\"}",
			"a=%F0%9F%98%80%F0%9F%98%80");
	becomes("{\"\\u0061\\u00e9\\ud83d\\ude00\":\"\\udbff\\udfff\"}",
			"a%C3%A9%F0%9F%98%80=%F4%8F%BF%BF");
	becomes("{\"a\":\"\\uFEFF\\uffff\\u2028\"}", "a=%EF%BB%BF%EF%BF%BF%E2%80%A8");
	refused("{\"a\":\"\\q\"}", FORM_NOT_OBJECT);
	refused("{\"a\":\"\\u12g4\"}", FORM_NOT_OBJECT);
	refused("{\"a\":\"\\u123\"}", FORM_NOT_OBJECT);
	refused("{\"a\":\"\\U0041\"}", FORM_NOT_OBJECT);
	refused("{\"a\":\"\\\"}", FORM_NOT_OBJECT);
}

/* What could end a value, begin another, or mean another octet. */
static void
test_injection(void)
{
	becomes("{\"a\":\"b&c=d\"}", "a=b%26c%3Dd");
	becomes("{\"a\":\"b[c]=1\"}", "a=b%5Bc%5D%3D1");
	becomes("{\"a\":\"1+1 %2B%\"}", "a=1%2B1%20%252B%25");
	becomes("{\"a\":\"\\r\\nHost: x\"}", "a=%0D%0AHost%3A%20x");
	becomes("{\"a\":\"?#/;,:@!$'()*\"}",
			"a=%3F%23%2F%3B%2C%3A%40%21%24%27%28%29%2A");
	becomes("{\"a&b=c\":1}", "a%26b%3Dc=1");
	becomes("{\"a+b %5B\":1}", "a%2Bb%20%255B=1");
	becomes("{\"m\":{\"a&b=c\":1,\" \":2,\"%\":3,\"+\":4,\";\":5,\"\xC3\xA9\":6}}",
			"m[a%26b%3Dc]=1&m[%20]=2&m[%25]=3&m[%2B]=4&m[%3B]=5&m[%C3%A9]=6");
}

static void
test_bad_keys(void)
{
	static const char *const keys[] = {
		"", "[", "]", "a[", "a]", "a[b", "[a]", "a[b]", "a[]", "[]", "][",
		"\\u005b", "a\\u005Db", "\\n", "a\\r", "\\r\\nb", "\\t", "a\\bc", "\\f",
		"\\u0001", "a\\u001f", "\\u007f", "a\x7Fz", "\xC3\xA9[",
	};
	static const char *const texts[] = {
		"{\"%s\":1}", "{\"x\":1,\"%s\":2}", "{\"x\":{\"%s\":1}}",
		"{\"x\":[0,{\"y\":1,\"%s\":1}]}", "{\"%s\":{}}", "{\"x\":{\"%s\":[]}}",
	};
	char		json[128];
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(keys); i++)
	{
		for (j = 0; j < lengthof(texts); j++)
		{
			snprintf(json, sizeof(json), texts[j], keys[i]);
			refused(json, FORM_BAD_KEY);
		}
	}
	refused("{\"a\n\":1}", FORM_NOT_OBJECT);
	becomes("{\"a\":\"[]\\u007f\\u0001\"}", "a=%5B%5D%7F%01");
}

static void
test_nul_characters(void)
{
	static const char *const strings[] = {
		"\\u0000", "a\\u0000", "\\u0000b", "\\ud800", "\\udc00", "\\udbff\\u0041",
		"\\ud800\\ud800", "a\\ud800b", "\\udfff\\ud800", "\\ud83d\\n",
		"\\ud83d\xF0\x9F\x98\x80", "[\\u0000",
	};
	static const char *const texts[] = {
		"{\"a\":\"%s\"}", "{\"%s\":1}", "{\"a\":{\"%s\":{}}}",
		"{\"a\":[1,\"x\",\"%s\"],\"b\":1}", "{\"a\":[{\"b\":{\"%s\":1}}]}",
	};
	char		json[128];
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(strings); i++)
	{
		for (j = 0; j < lengthof(texts); j++)
		{
			snprintf(json, sizeof(json), texts[j], strings[i]);
			refused(json, FORM_NUL_CHARACTER);
		}
	}
	ok(encode("{\"a\":\"\0\"}", 9) == FORM_NOT_OBJECT, "a NUL in a string");
	ok(encode("{\"a\":1}\0", 8) == FORM_NOT_OBJECT, "a NUL after the object");
}

static void
add_expected(Text *form, const char *octets, size_t length)
{
	size_t		i;

	for (i = 0; i < length; i++)
	{
		if (is_unreserved(octets[i]))
			add(form, &octets[i], 1);
		else
			add_format(form, "%%%02X", (unsigned char) octets[i]);
	}
}

/* Each octet that is ASCII: as it is where JSON allows it, and as \uXXXX. */
static void
test_ascii(void)
{
	static Text json;
	static Text form;
	char		octet[1];
	int			code;

	for (code = 0x01; code < 0x80; code++)
	{
		bool		raw = code >= 0x20 && code != '"' && code != '\\';
		bool		bad_key = code < 0x20 || code == 0x7F || code == '[' ||
			code == ']';

		octet[0] = (char) code;
		add_string(emptied(&form), "a=");
		add_expected(&form, octet, 1);
		add_format(emptied(&json), "{\"a\":\"%c\"}", code);
		if (code != '\\' && code != '"')
			ok(encode_text(&json) == (raw ? FORM_OK : FORM_NOT_OBJECT) &&
			   (!raw || same_text(&output, &form)), "octet %02X in a string", code);
		add_format(emptied(&json), "{\"a\":\"\\u%04x\"}", code);
		ok(encode_text(&json) == FORM_OK && same_text(&output, &form),
		   "\\u%04x in a string", code);

		add_expected(emptied(&form), octet, 1);
		add_string(&form, "=1");
		add_format(emptied(&json), "{\"\\u%04X\":1}", code);
		ok(encode_text(&json) == (bad_key ? FORM_BAD_KEY : FORM_OK) &&
		   (bad_key || same_text(&output, &form)), "\\u%04x in a key", code);
	}
	free(json.octets);
	free(form.octets);
}

/* One alone is never UTF-8; a pair of them may be, and is told by its form. */
static void
test_high_octets(void)
{
	char		json[] = "{\"a\":\"??\"}";
	char		expected[] = "a=%00%00";
	int			first;
	int			second;
	int			wrong;

	for (first = 0x80; first <= 0xFF; first++)
	{
		wrong = 0;
		for (second = 0x01; second <= 0xFF; second++)
		{
			bool		valid = first >= 0xC2 && first <= 0xDF &&
				(second & 0xC0) == 0x80;

			json[6] = (char) first;
			json[7] = (char) second;
			snprintf(expected, sizeof(expected), "a=%%%02X%%%02X",
					 (unsigned) first, (unsigned) second);
			wrong += encode(json, sizeof(json) - 1) !=
				(valid ? FORM_OK : FORM_NOT_OBJECT);
			wrong += valid && !output_is(expected);
		}
		ok(wrong == 0, "octet %02X: %d wrong", (unsigned) first, wrong);
	}
}

/* From all over Unicode, in a key and a value, as it is and as \uXXXX. */
static void
test_characters(void)
{
	static Text json;
	static Text form;
	static Text character;
	uint32_t	code;
	int			wrong = 0;

	for (code = 0x80; code <= 0x10FFFF; code += code < 0x900 ? 1 : 0x1F5)
	{
		if (code >= 0xD800 && code <= 0xDFFF)
			continue;
		add_character(emptied(&character), code);
		add_string(emptied(&json), "{\"");
		add(&json, character.octets, character.length);
		add_unicode(&json, code, code % 2 == 0);
		add_string(&json, "\":\"");
		add_unicode(&json, code, code % 2 == 1);
		add(&json, character.octets, character.length);
		add_string(&json, "\"}");

		add_expected(emptied(&form), character.octets, character.length);
		add_expected(&form, character.octets, character.length);
		add_string(&form, "=");
		add_expected(&form, character.octets, character.length);
		add_expected(&form, character.octets, character.length);
		wrong += encode_text(&json) != FORM_OK || !same_text(&output, &form);
	}
	ok(wrong == 0, "characters: %d wrong", wrong);
	free(json.octets);
	free(form.octets);
	free(character.octets);
}

static void
escapes_to(const char *text, size_t length, const char *expected)
{
	char	   *copy = malloc(length > 0 ? length : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, text, length);
	form_escape(copy, length, add, emptied(&output));
	free(copy);
	ok(output_is(expected), "form_escape gives \"%s\"", expected);
}

static void
test_form_escape(void)
{
	char		octet[1];
	char		expected[4];
	int			code;

	escapes_to("", 0, "");
	escapes_to("pi_3Nx.-~", 9, "pi_3Nx.-~");
	escapes_to("a/../b?c#d", 10, "a%2F..%2Fb%3Fc%23d");
	escapes_to("a b+c", 5, "a%20b%2Bc");
	escapes_to("  ", 2, "%20%20");
	escapes_to("[a]", 3, "%5Ba%5D");
	escapes_to("\xFF\x00\xC3", 3, "%FF%00%C3");
	escapes_to(UNRESERVED, strlen(UNRESERVED), UNRESERVED);
	for (code = 0x00; code <= 0xFF; code++)
	{
		octet[0] = (char) code;
		snprintf(expected, sizeof(expected), is_unreserved(octet[0]) ?
				 "%c" : "%%%02X", (unsigned) code);
		escapes_to(octet, 1, expected);
	}
}


/*
 * Limits
 */

/* Levels of objects and arrays in turn inside the outermost object. */
static const Text *
nested(int levels, bool arrays, const char *innermost)
{
	static Text json;
	int			level;

	emptied(&json);
	for (level = 1; level <= levels; level++)
		add_string(&json, level > 1 && arrays ? "[" : "{\"k\":");
	add_string(&json, innermost);
	for (level = levels; level >= 1; level--)
		add_string(&json, level > 1 && arrays ? "]" : "}");
	return &json;
}

static void
test_depth(void)
{
	static Text form;
	int			arrays;

	for (arrays = 0; arrays <= 1; arrays++)
	{
		const char *kind = arrays ? "arrays" : "objects";

		add_string(emptied(&form), "k");
		add_times(&form, arrays ? "[0]" : "[k]", FORM_MAX_DEPTH - 1);
		add_string(&form, "=1");
		ok(encode_text(nested(FORM_MAX_DEPTH, arrays, "1")) == FORM_OK &&
		   same_text(&output, &form), "%s to the limit", kind);
		ok(encode_text(nested(FORM_MAX_DEPTH + 1, arrays, "1")) ==
		   FORM_TOO_DEEP, "%s beyond it", kind);
		ok(encode_text(nested(FORM_MAX_DEPTH - 1, arrays, "[]")) == FORM_OK &&
		   output_is(""), "an empty array in %s at the limit", kind);
		ok(encode_text(nested(FORM_MAX_DEPTH, arrays, "[]")) == FORM_TOO_DEEP,
		   "an empty array in %s beyond it", kind);
		ok(encode_text(nested(FORM_MAX_DEPTH, arrays, "{}")) == FORM_TOO_DEEP,
		   "an empty object in %s beyond it", kind);
		ok(encode_text(nested(100000, arrays, "1")) == FORM_TOO_DEEP,
		   "%s far beyond it", kind);
	}
	ok(FORM_MAX_DEPTH == 20, "the limit");
	free(form.octets);
}

/* A container that is closed leaves room for the next, empty or not. */
static void
test_depth_of_siblings(void)
{
	static Text json;
	static Text form;
	int			i;

	add_string(emptied(&json), "{\"a\":[");
	emptied(&form);
	for (i = 0; i < 50; i++)
	{
		add_format(&json, "%s{},[[]],{\"b\":[%d]}", i > 0 ? "," : "", i);
		add_format(&form, "%sa[%d][b][0]=%d", i > 0 ? "&" : "", 3 * i + 2, i);
	}
	add_string(&json, "]}");
	ok(encode_text(&json) == FORM_OK && same_text(&output, &form),
	   "many containers side by side");
	free(json.octets);
	free(form.octets);
}

/* A long key among some text: before it, after it, how long a name it makes. */
static void
test_name_length(void)
{
	static const struct
	{
		const char *before;
		const char *unit;		/* of the key */
		int			written;	/* so many octets in the name each */
		const char *after;
		int			more;		/* the name's other octets */
	}			cases[] = {
		{"{\"", "k", 1, "\":1}", 0},
		{"{\"", "k", 1, "\":null}", 0},
		{"{\"", "k", 1, "\":{}}", 0},
		{"{\"", "k", 1, "\":\"x\"}", 0},
		{"{\"", "k", 1, "\":[1]}", 3},
		{"{\"", "k", 1, "\":[[[]]]}", 6},
		{"{\"", "k", 1, "\":[0,1,2,3,4,5,6,7,8,9,10]}", 4},
		{"{\"", "k", 1, "\":{\"ab\":1}}", 4},
		{"{\"", "k", 1, "\":{\" \":1}}", 5},
		{"{\"", "k", 1, "\":{\"a\":[{\"b\":1}]},\"c\":1}", 9},
		{"{\"a\":{\"", "k", 1, "\":1}}", 3},
		{"{\"a\":[{\"b\":2,\"", "k", 1, "\":1},3]}", 6},
		{"{\"", " ", 3, "\":1}", 0},
		{"{\"", "\\u0020", 3, "\":1}", 0},
		{"{\"", "\xC3\xA9", 6, "\":1}", 0},
		{"{\"", "\\ud83d\\ude00", 12, "\":[1]}", 3},
		{"{\"a\":{\"x", "\xF0\x9F\x98\x80", 12, "\":1}}", 4},
	};
	static Text json;
	size_t		i;
	int			times;

	for (i = 0; i < lengthof(cases); i++)
	{
		int			fits = (FORM_MAX_NAME - cases[i].more) / cases[i].written;
		int			wrong = 0;

		for (times = fits - 12; times <= fits + 12; times++)
		{
			add_string(emptied(&json), cases[i].before);
			add_times(&json, cases[i].unit, times);
			add_string(&json, cases[i].after);
			wrong += encode_text(&json) !=
				(times <= fits ? FORM_OK : FORM_TOO_LONG);
		}
		ok(wrong == 0, "a name of at most %d times %s: %d wrong", fits,
		   shown(cases[i].unit), wrong);
	}
	free(json.octets);
}

static void
test_long(void)
{
	static Text json;
	static Text form;

	add_string(emptied(&json), "{\"");
	add_times(&json, "k", FORM_MAX_NAME);
	add_string(&json, "\":\"");
	add_times(&json, "v", 100000);
	add_string(&json, "\",\"a\":{\"b\":1}}");
	add_times(emptied(&form), "k", FORM_MAX_NAME);
	add_string(&form, "=");
	add_times(&form, "v", 100000);
	add_string(&form, "&a[b]=1");
	ok(encode_text(&json) == FORM_OK && same_text(&output, &form),
	   "a long name, a long value, and a short name after them");

	add_string(emptied(&json), "{\"");
	add_times(&json, "k ", 100000);
	add_string(&json, "\":1}");
	ok(encode_text(&json) == FORM_TOO_LONG, "a very long key");
	ok(FORM_MAX_NAME == 1000, "the limit");
	free(json.octets);
	free(form.octets);
}


/*
 * What is no object
 */

static void
test_not_object(void)
{
	static const char *const texts[] = {
		"", " ", "\n", "[]", "[{\"a\":1}]", "\"a\"", "\"{}\"", "1", "null",
		"true", "x", "a=1", "{", "}", "{}}", "{}{}", "{} x", "{},", "{}\\",
		"{\"a\":1}{\"a\":1}", "{\"a\":1},", "{\"a\":1}]", "{\"a\":1", "{\"a\":",
		"{\"a\"", "{\"a", "{\"", "{a:1}", "{'a':1}", "{\"a\" 1}", "{\"a\":1,}",
		"{,\"a\":1}", "{\"a\":1,,\"b\":2}", "{\"a\":1 \"b\":2}", "{\"a\":[1,]}",
		"{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[1}", "{\"a\":{\"b\":1]}",
		"{\"a\":[}", "{\"a\":[", "{\"a\":]}", "{1:1}", "{null:1}",
		"{\"a\":1;\"b\":2}", "{\"a\"=1}", "{\"a\":1}//", "/**/{}", "{\"a\":\"",
		"{\"a\":\"b}", "{\"a\":b\"}", "\xEF\xBB\xBF{}", "\xEF\xBB\xBF{\"a\":1}",
		"{\xEF\xBB\xBF\"a\":1}", "{\"a\":1}\xEF\xBB\xBF", "\xFF\xFE{}",
		"{\"a\":\"\xC3\"}", "{\"a\":\"\xC0\x80\"}", "{\"a\":\"\xED\xA0\x80\"}",
		"{\"a\":\"\xF4\x90\x80\x80\"}", "{\"\xE2\x82\":1}", "{\"\x80\":1}",
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
		refused(texts[i], FORM_NOT_OBJECT);

	/* an array is none, however deep */
	refused("[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]", FORM_NOT_OBJECT);
}

static void
test_truncation(void)
{
	static const char whole[] = "{\"a\":[1e+2,{\"b\\u00e9\":\"\\ud83d\\ude00\","
		"\"c\":null}, true,-0.5],\"\xC3\xA9\":{ \"d\":[],\"e\":\"\"}}";
	size_t		length;
	int			wrong = 0;

	becomes(whole, "a[0]=1e%2B2&a[1][b%C3%A9]=%F0%9F%98%80&a[1][c]=&a[2]=true"
			"&a[3]=-0.5&%C3%A9[e]=");
	for (length = 0; length < sizeof(whole) - 1; length++)
		wrong += encode(whole, length) != FORM_NOT_OBJECT;
	ok(wrong == 0, "cut short: %d wrong", wrong);
}

/* The verdict is about what comes first. */
static void
test_order(void)
{
	static Text json;

	refused("{\"a[\":1,\"b\":\"\\u0000\"}", FORM_BAD_KEY);
	refused("{\"b\":\"\\u0000\",\"a[\":1}", FORM_NUL_CHARACTER);
	refused("{\"a[\":1,", FORM_BAD_KEY);
	refused("{\"a\":1,,\"a[\":1}", FORM_NOT_OBJECT);
	refused("{\"a[\" 1}", FORM_NOT_OBJECT);
	refused("{\"\\u0000[\":1}", FORM_NUL_CHARACTER);
	refused("{\"a\":\"\\u0000", FORM_NOT_OBJECT);
	ok(encode_text(nested(FORM_MAX_DEPTH, false, "{\"a[\":1}")) ==
	   FORM_TOO_DEEP, "too deep before a bad key");
	ok(encode_text(nested(FORM_MAX_DEPTH, false, "1,\"\":1")) ==
	   FORM_BAD_KEY, "a bad key at the limit");
	add_string(emptied(&json), "{\"");
	add_times(&json, "k", FORM_MAX_NAME + 1);
	add_string(&json, "]\":1}");
	ok(encode_text(&json) == FORM_BAD_KEY, "a bad key that is too long");
	free(json.octets);
}


/*
 * Random structures
 */

/* Each is written as JSON and walked to its list at once, in the same order. */
typedef struct Generator
{
	uint64_t	state;
	Text		json;
	Text		list;
	Text		path;			/* segments of a list */
} Generator;

static void generate_value(Generator *generator, int depth);

static uint32_t
random_below(Generator *generator, uint32_t limit)
{
	generator->state = generator->state * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (uint32_t) (generator->state >> 33) % limit;
}

static void
generate_space(Generator *generator)
{
	static const char *const spaces[] = {"", "", "", "", " ", "\n", "\r\n\t  "};

	add_string(&generator->json,
			   spaces[random_below(generator, lengthof(spaces))]);
}

static uint32_t
random_character(Generator *generator)
{
	static const char special[] = "&=[]%+ ;?#/\\\"\b\f\n\r\t\x7F";
	uint32_t	code;

	switch (random_below(generator, 8))
	{
		case 0:
			return (unsigned char) special[random_below(generator,
														sizeof(special) - 1)];
		case 1:
			return 1 + random_below(generator, 0xFF);
		case 2:
			code = 1 + random_below(generator, 0xFFFF);
			return code >= 0xD800 && code <= 0xDFFF ? 0xFFFD : code;
		case 3:
			return 0x10000 + random_below(generator, 0x100000);
		default:
			return 'a' + random_below(generator, 26);
	}
}

/* In one of its spellings. */
static void
spell(Generator *generator, uint32_t code)
{
	static const char escaped[] = "\"\\/\b\f\n\r\t";
	static const char letters[] = "\"\\/bfnrt";
	const char *found = code < 0x80 ? strchr(escaped, (int) code) : NULL;
	uint32_t	way = random_below(generator, 4);

	if (found != NULL && way < 2)
		add_format(&generator->json, "\\%c", letters[found - escaped]);
	else if (way == 0 || code < 0x20 || code == '"' || code == '\\')
		add_unicode(&generator->json, code, random_below(generator, 2) == 0);
	else
		add_character(&generator->json, code);
}

/* Of up to so many characters; decoded into 'decoded'. */
static void
generate_string(Generator *generator, bool key, uint32_t longest, Text *decoded)
{
	uint32_t	left = random_below(generator, longest + 1) + key;

	emptied(decoded);
	add_string(&generator->json, "\"");
	while (left > 0)
	{
		uint32_t	code = random_character(generator);

		if (key && (code < 0x20 || code == 0x7F || code == '[' || code == ']'))
			continue;
		spell(generator, code);
		add_character(decoded, code);
		left--;
	}
	add_string(&generator->json, "\"");
}

static void
expect(Generator *generator, const char *value, size_t length)
{
	add(&generator->list, generator->path.octets, generator->path.length);
	add_value(&generator->list, value, length);
}

static void
generate_scalar(Generator *generator)
{
	static const char *const tokens[] = {
		"true", "false", "0", "-0", "1e+2", "1000", "12345678901234567890", "-1.5"
	};
	static Text decoded;
	uint32_t	which = random_below(generator, 2 * lengthof(tokens));

	if (which < lengthof(tokens))
	{
		add_string(&generator->json, tokens[which]);
		expect(generator, tokens[which], strlen(tokens[which]));
	}
	else if (which == lengthof(tokens))
	{
		add_string(&generator->json, "null");
		expect(generator, "", 0);
	}
	else
	{
		generate_string(generator, false, 20, &decoded);
		expect(generator, decoded.octets, decoded.length);
	}
}

static void
generate_container(Generator *generator, bool object, int depth)
{
	static Text decoded;
	const size_t outer = generator->path.length;
	uint32_t	count = random_below(generator, depth == 1 ? 8 : 4);
	uint32_t	i;

	add_string(&generator->json, object ? "{" : "[");
	generate_space(generator);
	for (i = 0; i < count; i++)
	{
		add_string(&generator->json, i > 0 ? "," : "");
		generate_space(generator);
		if (object)
		{
			generate_string(generator, true, 3, &decoded);
			generate_space(generator);
			add_string(&generator->json, ":");
		}
		else
			add_format(emptied(&decoded), "%u", i);
		add_segment(&generator->path, decoded.octets, decoded.length);
		generate_space(generator);
		generate_value(generator, depth + 1);
		generate_space(generator);
		generator->path.length = outer;
	}
	add_string(&generator->json, object ? "}" : "]");
}

static void
generate_value(Generator *generator, int depth)
{
	uint32_t	kind = random_below(generator, 5);

	if (depth <= FORM_MAX_DEPTH && kind < 3)
		generate_container(generator, kind < 2, depth);
	else
		generate_scalar(generator);
}

static void
test_random(void)
{
	static Generator generator;
	const int	rounds = 5000;
	size_t		longest = 0;
	int			right = 0;
	int			round;

	generator.state = 20260101;
	for (round = 0; round < rounds; round++)
	{
		emptied(&generator.json);
		emptied(&generator.list);
		emptied(&generator.path);
		generate_space(&generator);
		generate_container(&generator, true, 1);
		generate_space(&generator);
		if (encode_text(&generator.json) == FORM_OK &&
			same_text(&output_list, &generator.list))
			right++;
		else if (right == round)
			printf("# %s\n# %s\n", shown(generator.json.octets), output.octets);
		if (generator.list.length > longest)
			longest = generator.list.length;
	}
	ok(right == rounds, "%d of %d random structures", right, rounds);
	ok(longest > 2000, "the longest of %zu octets", longest);
	free(generator.json.octets);
	free(generator.list.octets);
	free(generator.path.octets);
}

int
main(void)
{
	test_stripes_own();
	test_values();
	test_numbers();
	test_nesting();
	test_empty();
	test_many_elements();
	test_space();
	test_escapes();
	test_injection();
	test_bad_keys();
	test_nul_characters();
	test_ascii();
	test_high_octets();
	test_characters();
	test_form_escape();
	test_depth();
	test_depth_of_siblings();
	test_name_length();
	test_long();
	test_not_object();
	test_truncation();
	test_order();
	test_random();
	free(output.octets);
	free(output_list.octets);
	return done();
}
