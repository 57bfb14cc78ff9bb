/*-------------------------------------------------------------------------
 *
 * rooms.c
 *	  What the pure rooms cost: signature_verify() and event_parse(), in
 *	  nanoseconds of CPU per call, beside what cannot be done without.
 *
 * The contestants take turns, and the median of their turns counts.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "event.h"
#include "random.h"
#include "sample.h"
#include "signature.h"

#define TURNS		41
#define TURN_NS		4e6
#define LARGEST		20480

typedef struct Body
{
	const char *text;
	size_t		length;
	char		signature[192];
	time_t		signed_at;
} Body;

typedef bool (*Contestant) (const Body *body);

static SignatureKey *key;
static EVP_MD *sha256;
static EVP_MD_CTX *sha256_context;

static void
fail(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

/*
 * Contestants
 */

static bool
verify(const Body *body)
{
	return signature_verify(body->text, body->length, body->signature, strlen(body->signature),
							&key, 1, body->signed_at, 300 * INT64_C(1000000)) == SIGNATURE_VALID;
}

static bool
hash(const Body *body)
{
	unsigned char digest[32];

	return EVP_DigestInit_ex2(sha256_context, sha256, NULL) &&
		EVP_DigestUpdate(sha256_context, body->text, body->length) &&
		EVP_DigestFinal_ex(sha256_context, digest, NULL);
}

static bool
parse(const Body *body)
{
	static char buffer[LARGEST + 1];
	Event		event;

	return event_parse(body->text, body->length, buffer, &event) == EVENT_OK;
}

/* To find every quote is the least that a JSON parser does. */
static bool
find_quotes(const Body *body)
{
	const char *end = body->text + body->length;
	const char *at = body->text;
	volatile int quotes = 0;

	while ((at = memchr(at, '"', end - at)) != NULL)
	{
		quotes++;
		at++;
	}
	return quotes > 0;
}

/*
 * Measuring
 */

static double
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double
take_turn(Contestant contestant, const Body *body, int calls)
{
	double		before = cpu_ns();
	int			i;

	for (i = 0; i < calls; i++)
		if (!contestant(body))
			fail("a contestant");
	return (cpu_ns() - before) / calls;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values)
{
	qsort(values, TURNS, sizeof(double), compare_doubles);
	return values[TURNS / 2];
}

/* The medians of both, and of what the first is to the second in each turn. */
static void
compare(Contestant first, Contestant second, const Body *body,
		double *first_ns, double *second_ns, double *ratio)
{
	double		a[TURNS];
	double		b[TURNS];
	double		ratios[TURNS];
	int			first_calls = 1 + TURN_NS / take_turn(first, body, 100);
	int			second_calls = 1 + TURN_NS / take_turn(second, body, 100);
	int			i;

	for (i = 0; i < TURNS; i++)
	{
		a[i] = take_turn(first, body, first_calls);
		b[i] = take_turn(second, body, second_calls);
		ratios[i] = a[i] / b[i];
	}
	*first_ns = median(a);
	*second_ns = median(b);
	*ratio = median(ratios);
}

static void
print_comparison(const char *what, Contestant first, Contestant second, const Body *body)
{
	double		first_ns;
	double		second_ns;
	double		ratio;

	compare(first, second, body, &first_ns, &second_ns, &ratio);
	printf("%-42s %7zu %10.0f %10.0f %8.2f\n", what, body->length, first_ns, second_ns, ratio);
}

static Body
sign(const char *text, size_t length)
{
	Body		body = {.text = text,.length = length,.signed_at = time(NULL)};

	sample_sign(text, length, body.signature, sizeof(body.signature));
	return body;
}

int
main(void)
{
	static const size_t sizes[] = {1024, 3072, LARGEST};
	static char text[LARGEST];
	uint64_t	random_state = random_seed();
	Sample		sample;
	Body		body;
	size_t		i;

	key = signature_key_create(SAMPLE_SECRET, strlen(SAMPLE_SECRET));
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	sha256_context = EVP_MD_CTX_new();
	if (key == NULL || sha256 == NULL || sha256_context == NULL)
		fail("OpenSSL");

	printf("%-42s %7s %10s %10s %8s\n", "CPU ns per call", "bytes", "first", "second", "ratio");
	memset(text, 'x', sizeof(text));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		body = sign(text, sizes[i]);
		print_comparison("signature_verify / one pass of SHA-256", verify, hash, &body);
	}
	sample_make(&sample, &random_state);
	body = sign(sample.body, sample.length);
	print_comparison("event_parse / finding every quote", parse, find_quotes, &body);
	print_comparison("event_parse / signature_verify", parse, verify, &body);
	return 0;
}
