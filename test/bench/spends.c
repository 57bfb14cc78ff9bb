/*-------------------------------------------------------------------------
 *
 * spends.c
 *	  What test/bench/spend sends: spends of one credit.
 *
 *	  spends CLIENTS SECONDS FIRST ACCOUNTS KEYS SQL...
 *
 * The accounts are ACCOUNTS that are numbered from FIRST on.  Each client takes
 * any of them each time; if there are as many as clients, each has its own.
 *
 * Each SQL takes the account and the idempotency key as $1 and $2, and is a
 * transaction of its own; several are one operation.  If KEYS is not 1, $2 is an
 * array of so many, and each of them is an operation.  Every answer is looked
 * at: if there are rows, one for each key, and none whose last column says that
 * the key was known.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

#define ACCOUNT_ROOM	48
#define KEY_LENGTH		36
#define MOST_STATEMENTS	2

struct Load
{
	PGconn	   *connection;
	uint64_t	random_state;
	unsigned int first;
	unsigned int accounts;
	int			nkeys;
	int			nstatements;
	char	   *keys;
};

const char	load_usage[] = "FIRST ACCOUNTS KEYS SQL...";
const int	load_arguments = 4;

static const char *const names[MOST_STATEMENTS] = {"first", "second"};

Load *
load_make(const Sender *sender, char **arguments)
{
	Load	   *load = calloc(1, sizeof(Load));

	if (load == NULL)
		fail("calloc", "out of memory");
	load->connection = sender->connection;
	load->random_state = random_seed();
	load->first = atoi(arguments[0]);
	load->accounts = atoi(arguments[1]);
	if (load->accounts == (unsigned int) sender->nclients)
	{
		load->first += sender->number;
		load->accounts = 1;
	}
	load->nkeys = atoi(arguments[2]);
	if (load->accounts < 1 || load->nkeys < 1)
		fail("ACCOUNTS and KEYS", "must be at least 1");
	load->keys = malloc(load->nkeys * (KEY_LENGTH + 1) + 2);
	if (load->keys == NULL)
		fail("malloc", "out of memory");
	for (arguments += 3; *arguments != NULL && load->nstatements < MOST_STATEMENTS; arguments++)
		prepare(load->connection, names[load->nstatements++], *arguments, 2);
	return load;
}

/* A UUID of random digits, as clients make them. */
static char *
put_key(char *out, uint64_t *random_state)
{
	static const char pattern[KEY_LENGTH + 1] = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
	uint64_t	bits = 0;
	int			digits = 0;
	int			i;

	for (i = 0; i < KEY_LENGTH; i++)
	{
		if (pattern[i] != 'x')
		{
			out[i] = pattern[i];
			continue;
		}
		if (digits++ % 16 == 0)
			bits = random_next(random_state);
		out[i] = "0123456789abcdef"[bits & 15];
		bits >>= 4;
	}
	return out + KEY_LENGTH;
}

/* One key, or an array of them. */
static void
make_keys(Load *load)
{
	char	   *out = load->keys;
	int			i;

	for (i = 0; i < load->nkeys; i++)
	{
		if (load->nkeys > 1)
			*out++ = i == 0 ? '{' : ',';
		out = put_key(out, &load->random_state);
	}
	if (load->nkeys > 1)
		*out++ = '}';
	*out = '\0';
}

static void
check_answer(const Load *load, const PGresult *result)
{
	int			i;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		return;
	if (PQntuples(result) != load->nkeys)
		fail("answer", "has not a row for each spend");
	for (i = 0; i < load->nkeys; i++)
		if (strcmp(PQgetvalue(result, i, PQnfields(result) - 1), "t") == 0)
			fail("answer", "says that a new key was known");
}

int
load_send(Load *load)
{
	char		account[ACCOUNT_ROOM];
	const char *values[2] = {account, load->keys};
	int			i;

	snprintf(account, sizeof(account), "00000000-0000-4000-8000-%012u",
			 load->first + (unsigned int) (random_next(&load->random_state) % load->accounts));
	make_keys(load);
	for (i = 0; i < load->nstatements; i++)
	{
		PGresult   *result = execute(load->connection, names[i], 2, values);

		check_answer(load, result);
		PQclear(result);
	}
	return load->nkeys;
}
