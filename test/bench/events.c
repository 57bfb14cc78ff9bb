/*-------------------------------------------------------------------------
 *
 * events.c
 *	  What test/bench/webhook sends: Stripe's events.
 *
 *	  events CLIENTS SECONDS SQL
 *
 * SQL takes an event's id, body and signature as $1 to $3.  The events are made
 * and signed before the clock starts.  Every answer is looked at: a row must say
 * "applied".
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "sample.h"

#define MOST_PER_SECOND	40000	/* of all clients together */

struct Load
{
	PGconn	   *connection;
	Sample	   *samples;
	long		nsamples;
	long		sent;
};

const char	load_usage[] = "SQL";
const int	load_arguments = 1;

Load *
load_make(const Sender *sender, char **arguments)
{
	uint64_t	random_state = random_seed();
	Load	   *load = malloc(sizeof(Load));
	long		i;

	if (load == NULL)
		fail("malloc", "out of memory");
	load->connection = sender->connection;
	load->sent = 0;
	load->nsamples = WARM_UP + (long) (sender->seconds * MOST_PER_SECOND / sender->nclients);
	load->samples = malloc(load->nsamples * sizeof(Sample));
	if (load->samples == NULL)
		fail("malloc", "out of memory");
	for (i = 0; i < load->nsamples; i++)
		sample_make(&load->samples[i], &random_state);
	prepare(load->connection, "event", arguments[0], 3);
	return load;
}

int
load_send(Load *load)
{
	const Sample *sample = &load->samples[load->sent];
	const char *values[3] = {sample->event_id, sample->body, sample->signature};
	PGresult   *result;

	if (load->sent == load->nsamples)
		return 0;
	load->sent++;
	result = execute(load->connection, "event", 3, values);
	if (PQntuples(result) > 0 && strstr(PQgetvalue(result, 0, 0), "\"status\": \"applied\"") == NULL)
		fail("answer", PQgetvalue(result, 0, 0));
	PQclear(result);
	return 1;
}
