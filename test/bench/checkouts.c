/*-------------------------------------------------------------------------
 *
 * checkouts.c
 *	  One turn of one contestant of test/bench/checkout: from one client, one
 *	  Checkout Session after the other.
 *
 *	  checkouts SECONDS sql STATEMENT
 *	  checkouts SECONDS kept URL CA_FILE BODY
 *
 * sql: STATEMENT without parameters, over a connection of its own, so that the
 * backend is a new one; one row must come, that names a session.  kept: a
 * libcurl handle that is kept, and no database.
 *
 * Prints one line: calls that count, calls/s, p50 and p99 of the latency in us,
 * that of the first and of the fifth call, and all calls.  Those that count come
 * after the first ten, when connections and plans are made.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <libpq-fe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_UP			10
#define MOST_CALLS		200000
#define MOST_ANSWER		65536

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* Whatever the way to it, an answer is a session's. */
static void
check_answer(const char *answer)
{
	if (strstr(answer, "cs_test_") == NULL)
		fail("answer", answer);
}

/*
 * By a database
 */

static PGconn *connection;

static void
sql_begin(char **arguments)
{
	PGresult   *result;

	connection = PQconnectdb("");
	if (PQstatus(connection) != CONNECTION_OK)
		fail("connection", PQerrorMessage(connection));
	result = PQprepare(connection, "checkout", arguments[0], 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail(arguments[0], PQerrorMessage(connection));
	PQclear(result);
}

static void
sql_call(void)
{
	PGresult   *result = PQexecPrepared(connection, "checkout", 0, NULL, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		fail("checkout", PQerrorMessage(connection));
	check_answer(PQgetvalue(result, 0, 0));
	PQclear(result);
}

/*
 * By libcurl
 */

static CURL *easy;
static char answer[MOST_ANSWER];
static size_t answer_length;

static size_t
on_body(char *data, size_t size, size_t count, void *user)
{
	size_t		length = size * count;

	(void) user;
	if (length >= sizeof(answer) - answer_length)
		return 0;
	memcpy(answer + answer_length, data, length);
	answer_length += length;
	answer[answer_length] = '\0';
	return length;
}

/* The headers that the extension sends. */
static struct curl_slist *
make_headers(void)
{
	static const char *const lines[] = {
		"Authorization: Bearer sk_test_of_the_benchmark",
		"Stripe-Version: 2026-10-28.endive",
		"User-Agent: stripe_credit/benchmark (libcurl)",
		"Content-Type: application/x-www-form-urlencoded",
		"Idempotency-Key: stripe_credit_00112233445566778899aabbccddeeff",
		"Expect:"
	};
	struct curl_slist *headers = NULL;
	size_t		i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		headers = curl_slist_append(headers, lines[i]);
	return headers;
}

static void
kept_begin(char **arguments)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (easy = curl_easy_init()) == NULL)
		fail("libcurl", "out of memory");
	curl_easy_setopt(easy, CURLOPT_URL, arguments[0]);
	curl_easy_setopt(easy, CURLOPT_CAINFO, arguments[1]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, make_headers());
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, arguments[2]);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static void
kept_call(void)
{
	CURLcode	code;
	long		status = 0;

	answer_length = 0;
	code = curl_easy_perform(easy);
	if (code != CURLE_OK)
		fail("libcurl", curl_easy_strerror(code));
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		fail("status", "is not 200");
	check_answer(answer);
}

/*
 * The turn
 */

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
run(double seconds, void (*call) (void))
{
	static double latencies[MOST_CALLS];
	double		before = now_us();
	double		deadline = before + seconds * 1e6;
	double		counted_since = before;
	double	   *counted = latencies + WARM_UP;
	double		first;
	double		fifth;
	int			n = 0;

	while (n < MOST_CALLS && (n <= WARM_UP || before < deadline))
	{
		double		after;

		if (n == WARM_UP)
			counted_since = before;
		call();
		after = now_us();
		latencies[n++] = after - before;
		before = after;
	}
	first = latencies[0];
	fifth = latencies[4];
	qsort(counted, n - WARM_UP, sizeof(double), compare_doubles);
	printf("%d %.1f %.1f %.1f %.1f %.1f %d\n", n - WARM_UP, (n - WARM_UP) / ((before - counted_since) / 1e6),
		   counted[(n - WARM_UP) / 2], counted[(n - WARM_UP) * 99 / 100], first, fifth, n);
}

int
main(int argc, char **argv)
{
	double		seconds = argc > 1 ? atof(argv[1]) : 0;

	if (seconds > 0 && argc == 4 && strcmp(argv[2], "sql") == 0)
	{
		sql_begin(argv + 3);
		run(seconds, sql_call);
	}
	else if (seconds > 0 && argc == 6 && strcmp(argv[2], "kept") == 0)
	{
		kept_begin(argv + 3);
		run(seconds, kept_call);
	}
	else
	{
		fprintf(stderr, "usage: %s SECONDS sql STATEMENT | kept URL CA_FILE BODY\n", argv[0]);
		return 1;
	}
	return 0;
}
