/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  One round of one contestant of test/bench/webhook.
 *
 *	  driver CLIENTS SECONDS SQL
 *
 * SQL is prepared and takes an event's id, body and signature as $1 to $3.
 * Each client is a thread with a connection of its own, which sends one event
 * after the other, made and signed before the clock starts.  Every answer is
 * looked at: a row must say "applied".
 *
 * Prints one line: events, events/s, p50 and p99 of the latency in us, CPU of
 * the backends in us per event, WAL in bytes per event.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "sample.h"

#define WARM_UP			100		/* events of each client before the clock starts */
#define MOST_PER_SECOND	40000	/* for which events are made */
#define TEXT_OID		25

typedef struct Client
{
	pthread_t	thread;
	PGconn	   *connection;
	Sample	   *samples;
	long		nsamples;
	long		done;
	float	   *latencies;		/* us */
} Client;

static pthread_barrier_t warmed_up;
static pthread_barrier_t start;
static double seconds;

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

static PGconn *
connect_to_server(void)
{
	PGconn	   *connection = PQconnectdb("");

	if (PQstatus(connection) != CONNECTION_OK)
		fail("connection", PQerrorMessage(connection));
	return connection;
}

static void
prepare(PGconn *connection, const char *sql)
{
	const Oid	types[3] = {TEXT_OID, TEXT_OID, TEXT_OID};
	PGresult   *result = PQprepare(connection, "event", sql, 3, types);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("prepare", PQerrorMessage(connection));
	PQclear(result);
}

static void
send_event(PGconn *connection, const Sample *sample)
{
	const char *values[3] = {sample->event_id, sample->body, sample->signature};
	PGresult   *result = PQexecPrepared(connection, "event", 3, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK)
	{
		if (strstr(PQgetvalue(result, 0, 0), "\"status\": \"applied\"") == NULL)
			fail("answer", PQgetvalue(result, 0, 0));
	}
	else if (status != PGRES_COMMAND_OK)
		fail("event", PQerrorMessage(connection));
	PQclear(result);
}

static void *
run_client(void *argument)
{
	Client	   *client = argument;
	double		deadline;
	double		before;
	double		after;
	long		i;

	for (i = 0; i < WARM_UP; i++)
		send_event(client->connection, &client->samples[i]);
	pthread_barrier_wait(&warmed_up);
	pthread_barrier_wait(&start);

	before = now_us();
	deadline = before + seconds * 1e6;
	for (; i < client->nsamples && before < deadline; i++)
	{
		send_event(client->connection, &client->samples[i]);
		after = now_us();
		client->latencies[client->done++] = (float) (after - before);
		before = after;
	}
	return NULL;
}

static void
make_client(Client *client, int nclients, const char *sql)
{
	uint64_t	random_state = sample_seed();
	long		i;

	client->nsamples = WARM_UP + (long) (seconds * MOST_PER_SECOND / nclients);
	client->samples = malloc(client->nsamples * sizeof(Sample));
	client->latencies = malloc(client->nsamples * sizeof(float));
	if (client->samples == NULL || client->latencies == NULL)
		fail("malloc", "out of memory");
	for (i = 0; i < client->nsamples; i++)
		sample_make(&client->samples[i], &random_state);
	client->done = 0;
	client->connection = connect_to_server();
	prepare(client->connection, sql);
}

/* What the backends of the clients have used, in us. */
static double
backend_cpu(const Client *clients, int nclients)
{
	double		sum = 0;
	int			i;

	for (i = 0; i < nclients; i++)
	{
		char		path[64];
		FILE	   *file;
		double		ns;

		snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(clients[i].connection));
		file = fopen(path, "r");
		if (file == NULL || fscanf(file, "%lf", &ns) != 1)
			fail(path, "cannot be read");
		fclose(file);
		sum += ns / 1e3;
	}
	return sum;
}

static double
wal_position(PGconn *connection)
{
	PGresult   *result = PQexec(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'");
	double		position;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail("WAL position", PQerrorMessage(connection));
	position = strtod(PQgetvalue(result, 0, 0), NULL);
	PQclear(result);
	return position;
}

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/* All latencies in ascending order; returns how many there are. */
static long
collect_latencies(const Client *clients, int nclients, float **latencies)
{
	long		n = 0;
	int			i;

	for (i = 0; i < nclients; i++)
		n += clients[i].done;
	*latencies = malloc((n + 1) * sizeof(float));
	if (n == 0 || *latencies == NULL)
		fail("round", "no events");
	n = 0;
	for (i = 0; i < nclients; i++)
	{
		memcpy(*latencies + n, clients[i].latencies, clients[i].done * sizeof(float));
		n += clients[i].done;
	}
	qsort(*latencies, n, sizeof(float), compare_floats);
	return n;
}

int
main(int argc, char **argv)
{
	int			nclients = argc == 4 ? atoi(argv[1]) : 0;
	Client	   *clients;
	PGconn	   *monitor;
	float	   *latencies;
	double		cpu;
	double		wal;
	double		elapsed;
	long		n;
	int			i;

	if (nclients < 1 || (seconds = atof(argv[2])) <= 0)
		fail("usage", "driver CLIENTS SECONDS SQL");
	clients = calloc(nclients, sizeof(Client));
	if (clients == NULL)
		fail("calloc", "out of memory");
	monitor = connect_to_server();
	pthread_barrier_init(&warmed_up, NULL, nclients + 1);
	pthread_barrier_init(&start, NULL, nclients + 1);
	for (i = 0; i < nclients; i++)
		make_client(&clients[i], nclients, argv[3]);
	for (i = 0; i < nclients; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			fail("pthread_create", "failed");

	pthread_barrier_wait(&warmed_up);
	wal = wal_position(monitor);
	cpu = backend_cpu(clients, nclients);
	elapsed = now_us();
	pthread_barrier_wait(&start);
	for (i = 0; i < nclients; i++)
		pthread_join(clients[i].thread, NULL);
	elapsed = now_us() - elapsed;
	cpu = backend_cpu(clients, nclients) - cpu;
	wal = wal_position(monitor) - wal;

	n = collect_latencies(clients, nclients, &latencies);
	printf("%ld %.1f %.1f %.1f %.2f %.1f\n", n, n / (elapsed / 1e6),
		   latencies[n / 2], latencies[n * 99 / 100], cpu / n, wal / n);
	return 0;
}
