/*-------------------------------------------------------------------------
 *
 * signature_test.c
 *	  Tests of src/signature.c.
 *
 * Expected signatures come from the one-shot HMAC() of OpenSSL, which shares
 * little with EVP_MAC, and from literals that Python's hmac module computed.
 * The Makefile links this with --wrap for each function in Call below, so
 * that any call of them can be made to fail.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "signature.h"
#include "tap.h"

#define SECRET		"whsec_test_secret"
#define SECRET_2	"whsec_rolled_secret"
#define BODY		"{\"id\":\"evt_1\",\"object\":\"event\"}"
#define NOW			INT64_C(1700000000)
#define NOW_TEXT	"1700000000"
#define SECONDS(n)	((n) * INT64_C(1000000))

/* BODY at NOW_TEXT with SECRET, by Python */
#define KNOWN \
	"0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"

/* no body at 0 with the empty secret, by Python */
#define KNOWN_EMPTY \
	"b849d5a581847b281957065739df36df2463d1977ea8d6e1e4e6cf33fadc68c3"

#define DIGITS		64

/*-------------------------------------------------------------------------
 * Calls that can be made to fail
 *-------------------------------------------------------------------------
 */
typedef enum Call
{
	CALL_NONE,
	CALL_MALLOC,
	CALL_FETCH,
	CALL_CTX_NEW,
	CALL_INIT,
	CALL_UPDATE,
	CALL_FINAL,
	CALL_FINAL_SHORT			/* succeeds, with too few octets */
} Call;

static Call armed = CALL_NONE;
static int	calls_left;

extern void *__real_malloc(size_t size);
extern EVP_MAC *__real_EVP_MAC_fetch(OSSL_LIB_CTX *library, const char *name,
									 const char *properties);
extern EVP_MAC_CTX *__real_EVP_MAC_CTX_new(EVP_MAC *mac);
extern int	__real_EVP_MAC_init(EVP_MAC_CTX *context,
								const unsigned char *key, size_t length,
								const OSSL_PARAM params[]);
extern int	__real_EVP_MAC_update(EVP_MAC_CTX *context,
								  const unsigned char *data, size_t length);
extern int	__real_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *out,
								 size_t *length, size_t size);

extern void *__wrap_malloc(size_t size);
extern EVP_MAC *__wrap_EVP_MAC_fetch(OSSL_LIB_CTX *library, const char *name,
									 const char *properties);
extern EVP_MAC_CTX *__wrap_EVP_MAC_CTX_new(EVP_MAC *mac);
extern int	__wrap_EVP_MAC_init(EVP_MAC_CTX *context,
								const unsigned char *key, size_t length,
								const OSSL_PARAM params[]);
extern int	__wrap_EVP_MAC_update(EVP_MAC_CTX *context,
								  const unsigned char *data, size_t length);
extern int	__wrap_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *out,
								 size_t *length, size_t size);

/* Make the nth call from now fail, once. */
static void
arm(Call call, int nth)
{
	armed = call;
	calls_left = nth;
}

static bool
fails(Call call)
{
	if (armed != call || --calls_left > 0)
		return false;
	armed = CALL_NONE;
	if (call != CALL_MALLOC)
		ERR_raise(ERR_LIB_EVP, ERR_R_INTERNAL_ERROR);
	return true;
}

void *
__wrap_malloc(size_t size)
{
	return fails(CALL_MALLOC) ? NULL : __real_malloc(size);
}

EVP_MAC *
__wrap_EVP_MAC_fetch(OSSL_LIB_CTX *library, const char *name,
					 const char *properties)
{
	return fails(CALL_FETCH) ? NULL :
		__real_EVP_MAC_fetch(library, name, properties);
}

EVP_MAC_CTX *
__wrap_EVP_MAC_CTX_new(EVP_MAC *mac)
{
	return fails(CALL_CTX_NEW) ? NULL : __real_EVP_MAC_CTX_new(mac);
}

int
__wrap_EVP_MAC_init(EVP_MAC_CTX *context, const unsigned char *key,
					size_t length, const OSSL_PARAM params[])
{
	return fails(CALL_INIT) ? 0 :
		__real_EVP_MAC_init(context, key, length, params);
}

int
__wrap_EVP_MAC_update(EVP_MAC_CTX *context, const unsigned char *data,
					  size_t length)
{
	return fails(CALL_UPDATE) ? 0 :
		__real_EVP_MAC_update(context, data, length);
}

int
__wrap_EVP_MAC_final(EVP_MAC_CTX *context, unsigned char *out,
					 size_t *length, size_t size)
{
	int			result;

	if (fails(CALL_FINAL))
		return 0;
	result = __real_EVP_MAC_final(context, out, length, size);
	if (fails(CALL_FINAL_SHORT))
		*length -= 1;
	return result;
}

/*-------------------------------------------------------------------------
 * Headers
 *-------------------------------------------------------------------------
 */
typedef struct Text
{
	char	   *data;
	size_t		length;
} Text;

/* The signature of a body, without EVP_MAC; digits has room for a NUL. */
static void
sign(const char *secret, const char *t, const char *body, size_t body_length,
	 char *digits)
{
	size_t		t_length = strlen(t);
	char	   *message = malloc(t_length + 1 + body_length);
	unsigned char mac[EVP_MAX_MD_SIZE];
	int			i;

	memcpy(message, t, t_length);
	message[t_length] = '.';
	memcpy(message + t_length + 1, body, body_length);
	HMAC(EVP_sha256(), secret, (int) strlen(secret),
		 (unsigned char *) message, t_length + 1 + body_length, mac, NULL);
	for (i = 0; i < DIGITS / 2; i++)
		sprintf(digits + 2 * i, "%02x", mac[i]);
	free(message);
}

static void
append(Text *text, const char *data, size_t length)
{
	text->data = realloc(text->data, text->length + length + 1);
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

/*
 * The header a template stands for: @ is the signature of BODY at t with
 * SECRET, & the one with SECRET_2, ^ the first in upper case, and # a wrong
 * one.
 */
static Text
expand(const char *template, size_t length, const char *t)
{
	Text		text = {NULL, 0};
	char		good[DIGITS + 1];
	char		second[DIGITS + 1];
	char		upper[DIGITS + 1];
	char		wrong[DIGITS + 1];
	size_t		i;

	sign(SECRET, t, BODY, strlen(BODY), good);
	sign(SECRET_2, t, BODY, strlen(BODY), second);
	memset(wrong, '0', sizeof(wrong));
	for (i = 0; i <= DIGITS; i++)
		upper[i] = good[i] >= 'a' ? good[i] - 'a' + 'A' : good[i];

	for (i = 0; i < length; i++)
	{
		switch (template[i])
		{
			case '@':
				append(&text, good, DIGITS);
				break;
			case '&':
				append(&text, second, DIGITS);
				break;
			case '^':
				append(&text, upper, DIGITS);
				break;
			case '#':
				append(&text, wrong, DIGITS);
				break;
			default:
				append(&text, template + i, 1);
		}
	}
	return text;
}

static SignatureKey *
new_key(const char *secret)
{
	return signature_key_create(secret, strlen(secret));
}

/* BODY under a header, with one key */
static SignatureVerdict
verdict_of(const Text *header, SignatureKey *key, int64_t now,
		   int64_t tolerance)
{
	return signature_verify(BODY, strlen(BODY), header->data, header->length,
							&key, 1, now, tolerance);
}

static void
is(SignatureVerdict verdict, SignatureVerdict expected, const char *name)
{
	ok(verdict == expected, "%s: %s%s%s", name,
	   signature_verdict_name(expected),
	   verdict == expected ? "" : ", got ",
	   verdict == expected ? "" : signature_verdict_name(verdict));
}

/*-------------------------------------------------------------------------
 * Tests
 *-------------------------------------------------------------------------
 */
typedef struct HeaderCase
{
	const char *name;
	const char *template;
	size_t		length;
	const char *t;
	SignatureVerdict expected;
} HeaderCase;

#define CASE(name, template, t, expected) \
	{name, template, sizeof(template) - 1, t, SIGNATURE_##expected}
#define T			NOW_TEXT
#define ZEROS_30	"000000000000000000000000000000"
#define ZEROS_60	ZEROS_30 ZEROS_30

static const HeaderCase header_cases[] = {
	CASE("plain", "t=" T ",v1=@", T, VALID),
	CASE("v1 before t", "v1=@,t=" T, T, VALID),
	CASE("with v0", "t=" T ",v1=@,v0=#", T, VALID),
	CASE("two v1, good one first", "t=" T ",v1=@,v1=#", T, VALID),
	CASE("two v1, good one last", "t=" T ",v1=#,v1=@", T, VALID),
	CASE("good v1 twice", "t=" T ",v1=@,v1=@", T, VALID),
	CASE("upper-case v1, then a good one", "t=" T ",v1=^,v1=@", T, VALID),
	CASE("short v1, then a good one", "t=" T ",v1=00,v1=@", T, VALID),
	CASE("spaces around", "  t=" T "  ,  v1=@  ", T, VALID),
	CASE("part without =", "t=" T ",rubbish,v1=@", T, VALID),
	CASE("empty parts", ",,t=" T ",, ,v1=@,,", T, VALID),
	CASE("lone =", "=,t=" T ",=,v1=@,=1", T, VALID),
	CASE("unknown keys", "T=1,tt=2,v=3,v11=@,t=" T ",v1=@", T, VALID),
	CASE("t without =", "t,t=" T ",v1=@", T, VALID),
	CASE("NUL in another part", "t=" T ",a\0b,v1=@", T, VALID),
	CASE("NUL as a part", "\0,t=" T ",v1=@,\0", T, VALID),
	CASE("non-ASCII parts", "\xff\xfe,t=" T ",\xc3\xa9=\x80,v1=@", T, VALID),
	CASE("t = 0", "t=0,v1=@", "0", VALID),
	CASE("t of 11 digits", "t=99999999999,v1=@", "99999999999", VALID),

	CASE("wrong v1", "t=" T ",v1=#", T, MISMATCH),
	CASE("good v1 of another t", "t=1700000001,v1=@", T, MISMATCH),
	CASE("good v0, wrong v1", "t=" T ",v0=@,v1=#", T, MISMATCH),

	CASE("empty", "", T, MALFORMED),
	CASE("only spaces", "   ", T, MALFORMED),
	CASE("only commas", ",,,", T, MALFORMED),
	CASE("only t", "t=" T, T, MALFORMED),
	CASE("no t", "v1=@", T, MALFORMED),
	CASE("v0 only", "t=" T ",v0=@", T, MALFORMED),
	CASE("two t, equal", "t=" T ",t=" T ",v1=@", T, MALFORMED),
	CASE("two t, second bad", "t=" T ",v1=@,t=x", T, MALFORMED),
	CASE("two t, second empty", "t=" T ",v1=@,t=", T, MALFORMED),
	CASE("two t, first bad", "t=x,t=" T ",v1=@", T, MALFORMED),
	CASE("t empty", "t=,v1=@", "", MALFORMED),
	CASE("t negative", "t=-1,v1=@", "-1", MALFORMED),
	CASE("t with +", "t=+" T ",v1=@", "+" T, MALFORMED),
	CASE("t with a leading zero", "t=0" T ",v1=@", "0" T, MALFORMED),
	CASE("t = 00", "t=00,v1=@", "00", MALFORMED),
	CASE("t of 12 digits", "t=100000000000,v1=@", "100000000000", MALFORMED),
	CASE("t of 40 digits", "t=1" "000000000000000000000000000000000000000"
		 ",v1=@", T, MALFORMED),
	CASE("t with a letter", "t=" T "x,v1=@", T "x", MALFORMED),
	CASE("t with a space inside", "t=17 00,v1=@", "17 00", MALFORMED),
	CASE("t after a space", "t= " T ",v1=@", " " T, MALFORMED),
	CASE("t with a NUL", "t=" T "\0,v1=@", T, MALFORMED),
	CASE("t followed by a tab", "t=" T "\t,v1=@", T "\t", MALFORMED),
	CASE("t after a tab", "\tt=" T ",v1=@", T, MALFORMED),
	CASE("t of non-ASCII digits", "t=\xd9\xa1,v1=@", "\xd9\xa1", MALFORMED),
	CASE("T for t", "T=" T ",v1=@", T, MALFORMED),
	CASE("space before =", "t =" T ",v1=@", T, MALFORMED),
	CASE("semicolon", "t=" T ";v1=@", T, MALFORMED),

	CASE("v1 in upper case", "t=" T ",v1=^", T, MALFORMED),
	CASE("V1 for v1", "t=" T ",V1=@", T, MALFORMED),
	CASE("v1 empty", "t=" T ",v1=", T, MALFORMED),
	CASE("v1 without =", "t=" T ",v1", T, MALFORMED),
	CASE("v1 of 63 digits", "t=" T ",v1=" ZEROS_60 "000", T, MALFORMED),
	CASE("v1 of 65 digits", "t=" T ",v1=@0", T, MALFORMED),
	CASE("v1 of 65 digits, one in front", "t=" T ",v1=0@", T, MALFORMED),
	CASE("v1 quoted", "t=" T ",v1=\"@\"", T, MALFORMED),
	CASE("v1 after a space", "t=" T ",v1= @", T, MALFORMED),
	CASE("v1 followed by a NUL", "t=" T ",v1=@\0", T, MALFORMED),
	CASE("v1 with a g", "t=" T ",v1=" ZEROS_60 "000g", T, MALFORMED),
	CASE("v1 with a /", "t=" T ",v1=" ZEROS_60 "000/", T, MALFORMED),
	CASE("v1 with a :", "t=" T ",v1=" ZEROS_60 "000:", T, MALFORMED),
	CASE("v1 with a `", "t=" T ",v1=" ZEROS_60 "000`", T, MALFORMED),
	CASE("v1 with a NUL", "t=" T ",v1=" ZEROS_60 "000\0", T, MALFORMED),
	CASE("v1 with \\xff", "t=" T ",v1=" ZEROS_60 "000\xff", T, MALFORMED),

	/* malformed comes before the rest */
	CASE("no good v1, old", "t=1,v1=00", "1", MALFORMED),
};

static void
test_headers(SignatureKey *key)
{
	size_t		i;

	for (i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]); i++)
	{
		const HeaderCase *c = &header_cases[i];
		Text		header = expand(c->template, c->length, c->t);

		is(verdict_of(&header, key, NOW, SIGNATURE_ANY_AGE), c->expected,
		   c->name);
		free(header.data);
	}
}

/* t, then count wrong candidates, then the good one */
static Text
header_of_many(const char *start, int count)
{
	Text		header = expand(start, strlen(start), NOW_TEXT);
	Text		wrong = expand(",v1=#", 5, NOW_TEXT);
	Text		good = expand(",v1=@", 5, NOW_TEXT);
	int			i;

	for (i = 0; i < count; i++)
		append(&header, wrong.data, wrong.length);
	append(&header, good.data, good.length);
	free(wrong.data);
	free(good.data);
	return header;
}

static void
test_many_candidates(SignatureKey *key)
{
	static const struct
	{
		int			wrong;
		SignatureVerdict expected;
	}			cases[] = {
		{199, SIGNATURE_VALID},
		{238, SIGNATURE_VALID},
		{239, SIGNATURE_VALID}, /* no more can fit */
		{240, SIGNATURE_MALFORMED},
		{999, SIGNATURE_MALFORMED}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Text		header = header_of_many("t=" NOW_TEXT, cases[i].wrong);

		ok(verdict_of(&header, key, NOW, SIGNATURE_ANY_AGE) ==
		   cases[i].expected, "%d candidates, the good one last, %zu octets",
		   cases[i].wrong + 1, header.length);
		free(header.data);
	}
}

/* A good header, brought to a length by a part of filler */
static SignatureVerdict
verdict_at_length(SignatureKey *key, size_t length, char filler)
{
	Text		header = expand("t=" NOW_TEXT ",v1=@,", 18, NOW_TEXT);
	SignatureVerdict verdict;

	header.data = realloc(header.data, length);
	memset(header.data + header.length, filler, length - header.length);
	header.length = length;
	verdict = verdict_of(&header, key, NOW, 0);
	free(header.data);
	return verdict;
}

static void
test_length(SignatureKey *key)
{
	is(verdict_at_length(key, 16384, 'x'), SIGNATURE_VALID, "16,384 octets");
	is(verdict_at_length(key, 16385, 'x'), SIGNATURE_MALFORMED,
	   "16,385 octets");
	is(verdict_at_length(key, 16384, ','), SIGNATURE_VALID, "mostly commas");
	is(verdict_at_length(key, 16384, ' '), SIGNATURE_VALID, "mostly spaces");
	is(verdict_at_length(key, 16384, '\0'), SIGNATURE_VALID, "mostly NULs");
	is(verdict_at_length(key, 1 << 20, 'x'), SIGNATURE_MALFORMED, "1 MB");
}

static void
test_age(SignatureKey *key)
{
	static const struct
	{
		int64_t		now;
		int64_t		tolerance;
		SignatureVerdict expected;
	}			cases[] = {
		{NOW, SECONDS(300), SIGNATURE_VALID},
		{NOW + 300, SECONDS(300), SIGNATURE_VALID},
		{NOW + 301, SECONDS(300), SIGNATURE_EXPIRED},
		{NOW - 300, SECONDS(300), SIGNATURE_VALID},
		{NOW - 301, SECONDS(300), SIGNATURE_FUTURE},
		{NOW + 300, SECONDS(300) - 1, SIGNATURE_EXPIRED},
		{NOW - 300, SECONDS(300) - 1, SIGNATURE_FUTURE},
		{NOW + 300, SECONDS(300) + 1, SIGNATURE_VALID},
		{NOW + 301, SECONDS(301) - 1, SIGNATURE_EXPIRED},
		{NOW, 0, SIGNATURE_VALID},
		{NOW + 1, 0, SIGNATURE_EXPIRED},
		{NOW - 1, 0, SIGNATURE_FUTURE},
		{NOW + 1, 999999, SIGNATURE_EXPIRED},
		{NOW - 1, 999999, SIGNATURE_FUTURE},
		{NOW + 1, 1000000, SIGNATURE_VALID},
		{0, SECONDS(300), SIGNATURE_FUTURE},
		{INT64_MAX, SECONDS(300), SIGNATURE_EXPIRED},
		{INT64_MIN, SECONDS(300), SIGNATURE_FUTURE},
		{INT64_MAX, INT64_MAX, SIGNATURE_EXPIRED},
		{INT64_MIN, INT64_MAX, SIGNATURE_FUTURE},
		{NOW + INT64_MAX / 1000000, INT64_MAX, SIGNATURE_VALID},
		{NOW + INT64_MAX / 1000000 + 1, INT64_MAX, SIGNATURE_EXPIRED},
		{NOW - INT64_MAX / 1000000, INT64_MAX, SIGNATURE_VALID},
		{NOW - INT64_MAX / 1000000 - 1, INT64_MAX, SIGNATURE_FUTURE},
		{INT64_MAX, SIGNATURE_ANY_AGE, SIGNATURE_VALID},
		{INT64_MIN, SIGNATURE_ANY_AGE, SIGNATURE_VALID},
		{INT64_MIN, INT64_MIN, SIGNATURE_VALID}
	};
	Text		header = expand("t=" NOW_TEXT ",v1=@", 17, NOW_TEXT);
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ok(verdict_of(&header, key, cases[i].now, cases[i].tolerance) ==
		   cases[i].expected, "now %lld, tolerance %lld: %s",
		   (long long) cases[i].now, (long long) cases[i].tolerance,
		   signature_verdict_name(cases[i].expected));
	free(header.data);
}

/* A header that is wrong in several ways is called by the first of them. */
static void
test_order(SignatureKey *key)
{
	Text		wrong = expand("t=" NOW_TEXT ",v1=#", 17, NOW_TEXT);
	Text		malformed = expand("t=" NOW_TEXT ",v1=00", 18, NOW_TEXT);

	is(verdict_of(&wrong, key, NOW + 9999, 0), SIGNATURE_MISMATCH,
	   "wrong and old");
	is(verdict_of(&wrong, key, NOW - 9999, 0), SIGNATURE_MISMATCH,
	   "wrong and in the future");
	is(verdict_of(&malformed, key, NOW + 9999, 0), SIGNATURE_MALFORMED,
	   "malformed and old");
	arm(CALL_INIT, 1);
	is(verdict_of(&malformed, key, NOW, 0), SIGNATURE_MALFORMED,
	   "malformed never reaches OpenSSL");
	arm(CALL_NONE, 0);
	free(wrong.data);
	free(malformed.data);
}

static void
test_keys(void)
{
	SignatureKey *first = new_key(SECRET);
	SignatureKey *second = new_key(SECRET_2);
	SignatureKey *other = new_key("whsec_test_secret ");
	SignatureKey *all[3];
	static const struct
	{
		const char *template;
		int			with[4];	/* verdicts with 0, 1, 2 and 3 keys */
	}			cases[] = {
		{"t=" T ",v1=@", {2, 2, 0, 0}},
		{"t=" T ",v1=&", {2, 2, 2, 0}},
		{"t=" T ",v1=&,v1=@", {2, 2, 0, 0}},
		{"t=" T ",v1=@,v1=&", {2, 2, 0, 0}},
		{"t=" T ",v1=#", {2, 2, 2, 2}},
		{"t=" T, {1, 1, 1, 1}}
	};
	size_t		i;
	int			n;

	all[0] = other;
	all[1] = first;
	all[2] = second;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *template = cases[i].template;
		Text		header = expand(template, strlen(template), NOW_TEXT);

		for (n = 0; n <= 3; n++)
			ok((int) signature_verify(BODY, strlen(BODY), header.data,
									  header.length, n > 0 ? all : NULL, n,
									  NOW, 0) == cases[i].with[n],
			   "%s with %d keys", template, n);
		free(header.data);
	}
	for (i = 0; i < 3; i++)
		signature_key_free(all[i]);
}

/* One key, bodies of all lengths around the blocks of SHA-256 */
static void
test_reuse(SignatureKey *key)
{
	char		body[2000];
	char		digits[DIGITS + 1];
	char		header[128];
	int			good = 0;
	int			bad = 0;
	int			i;

	for (i = 0; i < (int) sizeof(body); i++)
		body[i] = (char) (i * 31);
	for (i = 0; i < (int) sizeof(body); i++)
	{
		sign(SECRET, NOW_TEXT, body, i, digits);
		sprintf(header, "t=%s,v1=%s", NOW_TEXT, digits);
		good += signature_verify(body, i, header, strlen(header), &key, 1,
								 NOW, 0) == SIGNATURE_VALID;
		bad += signature_verify(body, i + 1, header, strlen(header), &key, 1,
								NOW, 0) == SIGNATURE_MISMATCH;
	}
	ok(good == i, "one key for %d bodies in a row", i);
	ok(bad == i, "and none of them with an octet more");
}

/* Every octet of the signature counts, and every octet of the body. */
static void
test_each_octet(SignatureKey *key)
{
	Text		header = expand("t=" NOW_TEXT ",v1=@", 17, NOW_TEXT);
	char		body[] = BODY;
	int			mismatches = 0;
	size_t		i;

	for (i = header.length - DIGITS; i < header.length; i++)
	{
		char		saved = header.data[i];

		header.data[i] = saved == '0' ? '1' : '0';
		mismatches += verdict_of(&header, key, NOW, 0) == SIGNATURE_MISMATCH;
		header.data[i] = saved;
	}
	ok(mismatches == DIGITS, "each digit of the signature counts");

	mismatches = 0;
	for (i = 0; i < strlen(BODY); i++)
	{
		body[i] ^= 1;
		mismatches += signature_verify(body, strlen(BODY), header.data,
									   header.length, &key, 1, NOW,
									   0) == SIGNATURE_MISMATCH;
		body[i] ^= 1;
	}
	ok(mismatches == (int) strlen(BODY), "each octet of the body counts");
	free(header.data);
}

static void
test_known(SignatureKey *key)
{
	static const char header[] = "t=" NOW_TEXT ",v1=" KNOWN;
	static const char header_empty[] = "t=0,v1=" KNOWN_EMPTY;
	SignatureKey *empty = signature_key_create("", 0);
	SignatureKey *null = signature_key_create(NULL, 0);

	is(signature_verify(BODY, strlen(BODY), header, strlen(header), &key, 1,
						NOW, 0), SIGNATURE_VALID, "known vector");
	is(signature_verify("", 0, header_empty, strlen(header_empty), &empty, 1,
						0, 0), SIGNATURE_VALID, "known vector, all empty");
	is(signature_verify(NULL, 0, header_empty, strlen(header_empty), &null, 1,
						0, 0), SIGNATURE_VALID, "null payload and secret");
	is(signature_verify(NULL, 0, header, strlen(header), &key, 1, NOW, 0),
	   SIGNATURE_MISMATCH, "null payload, header of another");
	is(signature_verify(NULL, 0, NULL, 0, &key, 1, NOW, 0),
	   SIGNATURE_MALFORMED, "null header");
	is(signature_verify(NULL, 0, NULL, 0, NULL, 0, NOW, 0),
	   SIGNATURE_MALFORMED, "null everything");
	signature_key_free(empty);
	signature_key_free(null);
	signature_key_free(NULL);
}

/* Must come first, while the algorithm has not been fetched yet. */
static void
test_create_failures(void)
{
	static const struct
	{
		Call		call;
		const char *name;
	}			cases[] = {
		{CALL_FETCH, "EVP_MAC_fetch"},
		{CALL_MALLOC, "malloc"},
		{CALL_CTX_NEW, "EVP_MAC_CTX_new"},
		{CALL_INIT, "EVP_MAC_init"}
	};
	SignatureKey *key;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		arm(cases[i].call, 1);
		ok(new_key(SECRET) == NULL, "no key if %s fails", cases[i].name);
		ok(armed == CALL_NONE && ERR_peek_error() == 0,
		   "and it leaves no error behind");
	}
	arm(CALL_FETCH, 2);
	key = new_key(SECRET);
	ok(key != NULL, "a key once they work again");
	signature_key_free(key);
	key = new_key(SECRET);
	ok(key != NULL && calls_left == 2, "the algorithm is fetched only once");
	signature_key_free(key);
	arm(CALL_NONE, 0);
}

static void
test_verify_failures(SignatureKey *key)
{
	static const struct
	{
		Call		call;
		int			nth;
		const char *name;
	}			cases[] = {
		{CALL_INIT, 1, "EVP_MAC_init"},
		{CALL_UPDATE, 1, "the first EVP_MAC_update"},
		{CALL_UPDATE, 2, "the second EVP_MAC_update"},
		{CALL_FINAL, 1, "EVP_MAC_final"},
		{CALL_FINAL_SHORT, 1, "the length of the MAC"},
		{CALL_INIT, 2, "EVP_MAC_init of the second key"},
		{CALL_FINAL, 2, "EVP_MAC_final of the second key"}
	};
	Text		header = expand("t=" NOW_TEXT ",v1=@", 17, NOW_TEXT);
	SignatureKey *keys[2];
	size_t		i;

	keys[0] = keys[1] = key;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		arm(cases[i].call, cases[i].nth);
		is(signature_verify(BODY, strlen(BODY), header.data, header.length,
							keys, 2, NOW, 0), SIGNATURE_FAILED,
		   cases[i].name);
		ok(armed == CALL_NONE && ERR_peek_error() == 0,
		   "and it leaves no error behind");
		is(verdict_of(&header, key, NOW, 0), SIGNATURE_VALID,
		   "the same key afterwards");
	}
	free(header.data);
}

static void
test_names(void)
{
	static const char *const names[] = {
		"valid", "malformed", "mismatch", "expired", "future", "failed"
	};
	int			i;

	for (i = SIGNATURE_VALID; i <= SIGNATURE_FAILED; i++)
		ok(strcmp(signature_verdict_name(i), names[i]) == 0,
		   "verdict %d is called %s", i, names[i]);
	ok(strcmp(signature_verdict_name(99), "failed") == 0,
	   "a verdict there is not is called failed");
}

int
main(void)
{
	SignatureKey *key;

	test_create_failures();

	key = new_key(SECRET);
	test_known(key);
	test_headers(key);
	test_many_candidates(key);
	test_length(key);
	test_age(key);
	test_order(key);
	test_keys();
	test_reuse(key);
	test_each_octet(key);
	test_verify_failures(key);
	test_names();
	signature_key_free(key);
	return done();
}
