/*-------------------------------------------------------------------------
 *
 * mutation.h
 *	  What the SQL functions that change an account have in common: the rules
 *	  of their keys, their errors and their answer.
 *
 * A key belongs to one operation of an account.  The same operation with the
 * same credits again is a duplicate, which changes nothing; anything else is
 * PT409.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef MUTATION_H
#define MUTATION_H

#include "compat.h"
#include "ledger.h"

/* The answer: (seq, balance, held, available, duplicate) */
typedef struct Mutation
{
	int64		seq;			/* 0: nothing entered the ledger */
	int64		balance;
	int64		held;
	bool		duplicate;
} Mutation;

#define MUTATION_COLUMNS	5

extern void mutation_values(const Mutation *mutation, Datum *values, bool *nulls);

/* As a function's result; to be called outside of SPI. */
extern Datum mutation_result(const Mutation *mutation);

/* Close an account, and say what has become of it. */
extern Mutation mutation_close(Account *account, int64 seq, bool duplicate);

/*
 * Whether a key was used before, for the same: the seq of what it was used for
 * then is in *seq.  Raises PT409 if it was used for something else.
 */
extern bool mutation_is_duplicate(const Account *account, const char *key, const char *kind,
								  int64 credits, int64 *seq);

/*
 * What an update of an account's row that took credits from its head lot
 * returned.
 */
typedef struct HeadTaken
{
	int64		balance;
	int64		held;
	int64		seq;
	int64		head_lot;
	bool		has_holds;
	bool		late;			/* something has expired that is to be entered first */
	bool		has_low_balance;
	int64		low_balance;
} HeadTaken;

#define IF_HEAD_HAS_CREDITS \
	"WHERE account_id = $1 AND head_remaining >= $2 " \
	"RETURNING balance, held, seq, head_lot, next_expiry, hold_expiry, low_balance"

/* Whether it is late is judged by the clock, now that the row is locked. */
extern void head_taken_from_row(HeadTaken *head);
extern void head_taken_notify(const char *account_id, const HeadTaken *head, int64 credits);

/* PT402 and PT404 */
pg_noreturn extern void report_not_enough(int64 available, int64 credits);

pg_noreturn extern void report_unknown(const char *what);

#endif							/* MUTATION_H */
