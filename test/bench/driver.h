/*-------------------------------------------------------------------------
 *
 * driver.h
 *	  What one turn of a contestant is made of, whatever it sends.
 *
 * driver.c has the clients and the clock.  A program is made of it and of one
 * file that says what is sent: events.c or spends.c.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <libpq-fe.h>

#define WARM_UP			100		/* what a client sends at most before the clock starts */

/* Who sends: one of so many clients, over a connection of its own. */
typedef struct Sender
{
	int			number;			/* from 0 */
	int			nclients;
	double		seconds;		/* how long the turn is */
	PGconn	   *connection;
} Sender;

/*
 * What the driver does for those who send
 */

extern void fail(const char *what, const char *why) __attribute__((noreturn));

/* All parameters are text. */
extern void prepare(PGconn *connection, const char *name, const char *sql, int nparameters);

/* Fails unless it succeeds; the caller clears the result. */
extern PGresult *execute(PGconn *connection, const char *name, int nparameters, const char *const *values);

/*
 * What is sent
 */

typedef struct Load Load;

/* Its arguments, as they are said to somebody who gives less than the least. */
extern const char load_usage[];
extern const int load_arguments;

/* Prepare the statements, and what takes time; arguments end with NULL. */
extern Load *load_make(const Sender *sender, char **arguments);

/*
 * Send the next, and see that it did its work; returns how many operations it
 * was, or 0 if there are no more.
 */
extern int	load_send(Load *load);

#endif							/* DRIVER_H */
