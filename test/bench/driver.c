/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  One turn of one contestant.
 *
 *	  PROGRAM CLIENTS SECONDS ARGUMENT...
 *
 * Each client is a thread with a connection of its own, which sends one thing
 * after the other.
 *
 * Prints one line: operations, operations/s, p50 and p99 of the latency in us,
 * CPU of the backends in us per operation, WAL in bytes per operation, and the
 * operations with those that came before the clock was started.  The latency is
 * that of what was sent at once, which may be several operations.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "driver.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Each client warms up: until the server's plans are made at least, and not for
 * so long that many who wait for each other's locks never come to an end.
 */
#define WARM_UP_LEAST	6
#define WARM_UP_US		5e5

#define MOST_PER_SECOND	20000	/* one client, waiting for each answer */
#define MOST_PARAMETERS	8
#define TEXT_OID		25

typedef struct Client
{
	pthread_t	thread;
	Sender		sender;
	Load	   *load;
	long		warmed_up;		/* operations before the clock */
	long		done;			/* operations */
	long		nlatencies;
	long		room;
	float	   *latencies;		/* us */
} Client;

/* Used since the cluster or its backends were started, in us and bytes. */
typedef struct Usage
{
	double		elapsed;
	double		cpu;
	double		wal;
} Usage;

static pthread_barrier_t warmed_up;
static pthread_barrier_t start;

void
fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void *
allocate(size_t size)
{
	void	   *memory = calloc(1, size);

	if (memory == NULL)
		fail("calloc", "out of memory");
	return memory;
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/*
 * The server
 */

static PGconn *
connect_to_server(void)
{
	PGconn	   *connection = PQconnectdb("");

	if (PQstatus(connection) != CONNECTION_OK)
		fail("connection", PQerrorMessage(connection));
	return connection;
}

void
prepare(PGconn *connection, const char *name, const char *sql, int nparameters)
{
	Oid			types[MOST_PARAMETERS];
	PGresult   *result;
	int			i;

	for (i = 0; i < nparameters; i++)
		types[i] = TEXT_OID;
	result = PQprepare(connection, name, sql, nparameters, types);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail(sql, PQerrorMessage(connection));
	PQclear(result);
}

PGresult *
execute(PGconn *connection, const char *name, int nparameters, const char *const *values)
{
	PGresult   *result = PQexecPrepared(connection, name, nparameters, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		fail(name, PQerrorMessage(connection));
	return result;
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

		snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(clients[i].sender.connection));
		file = fopen(path, "r");
		if (file == NULL || fscanf(file, "%lf", &ns) != 1)
			fail(path, "cannot be read");
		fclose(file);
		sum += ns / 1e3;
	}
	return sum;
}

static Usage
usage_now(PGconn *monitor, const Client *clients, int nclients)
{
	Usage		usage;

	usage.wal = wal_position(monitor);
	usage.cpu = backend_cpu(clients, nclients);
	usage.elapsed = now_us();
	return usage;
}

/*
 * The clients
 */

static void
warm_up(Client *client)
{
	double		end = now_us() + WARM_UP_US;
	int			i;

	for (i = 0; i < WARM_UP && (i < WARM_UP_LEAST || now_us() < end); i++)
		client->warmed_up += load_send(client->load);
}

static void *
run_client(void *argument)
{
	Client	   *client = argument;
	double		deadline;
	double		before;
	double		after;
	int			operations;

	warm_up(client);
	pthread_barrier_wait(&warmed_up);
	pthread_barrier_wait(&start);

	before = now_us();
	deadline = before + client->sender.seconds * 1e6;
	while (client->nlatencies < client->room && before < deadline)
	{
		operations = load_send(client->load);
		if (operations == 0)
			break;
		client->done += operations;
		after = now_us();
		client->latencies[client->nlatencies++] = (float) (after - before);
		before = after;
	}
	return NULL;
}

static Client *
make_clients(int nclients, double seconds, char **arguments)
{
	Client	   *clients = allocate(nclients * sizeof(Client));
	int			i;

	for (i = 0; i < nclients; i++)
	{
		Client	   *client = &clients[i];

		client->sender = (Sender) {i, nclients, seconds, connect_to_server()};
		client->load = load_make(&client->sender, arguments);
		client->room = (long) (seconds * MOST_PER_SECOND) + 1;
		client->latencies = allocate(client->room * sizeof(float));
	}
	return clients;
}

/* Returns what was used while they ran against the clock. */
static Usage
run_clients(Client *clients, int nclients, PGconn *monitor)
{
	Usage		before;
	Usage		after;
	int			i;

	pthread_barrier_init(&warmed_up, NULL, nclients + 1);
	pthread_barrier_init(&start, NULL, nclients + 1);
	for (i = 0; i < nclients; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			fail("pthread_create", "failed");

	pthread_barrier_wait(&warmed_up);
	before = usage_now(monitor, clients, nclients);
	pthread_barrier_wait(&start);
	for (i = 0; i < nclients; i++)
		pthread_join(clients[i].thread, NULL);
	after = usage_now(monitor, clients, nclients);
	return (Usage) {after.elapsed - before.elapsed, after.cpu - before.cpu, after.wal - before.wal};
}

/*
 * The figures
 */

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
		n += clients[i].nlatencies;
	if (n == 0)
		fail("turn", "nothing was sent");
	*latencies = allocate(n * sizeof(float));
	n = 0;
	for (i = 0; i < nclients; i++)
	{
		memcpy(*latencies + n, clients[i].latencies, clients[i].nlatencies * sizeof(float));
		n += clients[i].nlatencies;
	}
	qsort(*latencies, n, sizeof(float), compare_floats);
	return n;
}

static void
print_figures(const Client *clients, int nclients, const Usage *used)
{
	float	   *latencies;
	long		n = collect_latencies(clients, nclients, &latencies);
	long		done = 0;
	long		sent = 0;
	int			i;

	for (i = 0; i < nclients; i++)
	{
		done += clients[i].done;
		sent += clients[i].warmed_up + clients[i].done;
	}
	printf("%ld %.1f %.1f %.1f %.2f %.1f %ld\n", done, done / (used->elapsed / 1e6),
		   latencies[n / 2], latencies[n * 99 / 100], used->cpu / done, used->wal / done, sent);
}

int
main(int argc, char **argv)
{
	int			nclients = argc >= 3 + load_arguments ? atoi(argv[1]) : 0;
	double		seconds = nclients > 0 ? atof(argv[2]) : 0;
	Client	   *clients;
	Usage		used;

	if (nclients < 1 || seconds <= 0)
	{
		fprintf(stderr, "usage: %s CLIENTS SECONDS %s\n", argv[0], load_usage);
		return 1;
	}
	clients = make_clients(nclients, seconds, argv + 3);
	used = run_clients(clients, nclients, connect_to_server());
	print_figures(clients, nclients, &used);
	return 0;
}
