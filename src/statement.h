/*-------------------------------------------------------------------------
 *
 * statement.h
 *	  SQL statements that are planned once per backend.
 *
 * Every statement is plain, names its tables with their schema, and is written
 * down as a static Statement in the room that runs it.  The caller is between
 * SPI_connect() and SPI_finish().
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef STATEMENT_H
#define STATEMENT_H

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/snapshot.h"

#define STATEMENT_MAX_ARGS	28

typedef struct Statement
{
	const char *sql;
	int			nargs;
	Oid			types[STATEMENT_MAX_ARGS];
	SPIPlanPtr	plan;
} Statement;

/*
 * The arguments of one execution.  A NULL pointer or an absent number is SQL
 * NULL; the count that was added must be the statement's.
 */
typedef struct Arguments
{
	int			count;
	Datum		values[STATEMENT_MAX_ARGS];
	char		nulls[STATEMENT_MAX_ARGS];
} Arguments;

extern void add_datum(Arguments *args, Datum value, bool isnull);
extern void add_text(Arguments *args, const char *value);
extern void add_text_length(Arguments *args, const char *value, size_t length);
extern void add_int64(Arguments *args, int64 value, bool isnull);
/* A time in seconds since 1970, as timestamptz. */
extern void add_seconds(Arguments *args, int64 seconds, bool isnull);
extern void add_bool(Arguments *args, bool value);

/* Run it; returns the number of rows, which are in SPI_tuptable if it has any. */
extern uint64 statement_execute(Statement *stmt, const Arguments *args);
extern uint64 statement_execute_snapshot(Statement *stmt, const Arguments *args,
										 Snapshot snapshot);

/* A column (from 1) of a row (from 0) of the last statement's result. */
extern Datum result_datum(uint64 row, int column, bool *isnull);
extern char *result_text(uint64 row, int column);
extern int64 result_int64(uint64 row, int column, int64 if_null);
extern int64 result_seconds(uint64 row, int column, int64 if_null);
extern bool result_bool(uint64 row, int column);
/* Not NULL. */
extern TimestampTz result_time(uint64 row, int column);

#endif							/* STATEMENT_H */
