/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  The SQLSTATEs of our own, errors that several rooms raise, and keeping
 *	  what callers passed out of the log.
 *
 * PTxyz is answered with HTTP status xyz by PostgREST, which copies the
 * primary message into the status line: the message of such an error must be a
 * fixed string, and what varies goes into the detail.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ERRORS_H
#define ERRORS_H

#define ERRCODE_SC_BAD_REQUEST			MAKE_SQLSTATE('P', 'T', '4', '0', '0')
#define ERRCODE_SC_NOT_ENOUGH			MAKE_SQLSTATE('P', 'T', '4', '0', '2')
#define ERRCODE_SC_NOT_FOUND			MAKE_SQLSTATE('P', 'T', '4', '0', '4')
#define ERRCODE_SC_CONFLICT				MAKE_SQLSTATE('P', 'T', '4', '0', '9')
#define ERRCODE_SC_STRIPE_REFUSED		MAKE_SQLSTATE('P', 'T', '5', '0', '2')
#define ERRCODE_SC_PAYLOAD_TOO_LARGE	MAKE_SQLSTATE('P', 'T', '4', '1', '3')

/*
 * Between begin and end, the log shows neither the statement that the client
 * sent nor the context of a message: they may hold a secret or a payload as a
 * literal.  An error ends it too.
 */
extern void hide_statement_begin(ErrorContextCallback *callback);
extern void hide_statement_end(ErrorContextCallback *callback);

/*
 * From now on pg_stat_activity shows something else than this statement, which
 * would stand there until the session's next.
 */
extern void hide_activity(void);

/* A sum is no bigint. */
extern void report_out_of_range(void);

/* The cryptographic library failed: there is no verdict. */
extern void report_crypto_failure(void);

#endif							/* ERRORS_H */
