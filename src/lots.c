/*-------------------------------------------------------------------------
 *
 * lots.c
 *	  The lots of an open account: in memory, in order, and back in their rows.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "lots.h"

/* How many lots are read at once when one was not enough, to begin with */
#define FEW_LOTS			16

#define SELECT_LOT \
	"SELECT lot_id, payment_id, priority, expires_at, granted, remaining, expired, " \
	"written_off, reversed_expired, first_lot FROM stripe_credit.lot WHERE account_id = $1 "

static Statement read_lot = {SELECT_LOT "AND lot_id = $2", 2, {TEXTOID, INT8OID}};

static Statement lots_of_payment = {
	SELECT_LOT "AND payment_id = $2 ORDER BY lot_id", 2, {TEXTOID, TEXTOID}
};

static Statement lots_in_order = {
	SELECT_LOT "AND remaining > 0 "
	"ORDER BY priority, expires_at, payment_id IS NOT NULL, lot_id LIMIT $2",
	2, {TEXTOID, INT8OID}
};

static Statement expired_lots = {
	SELECT_LOT "AND remaining > 0 AND expires_at < 'infinity' AND expires_at <= $2 "
	"ORDER BY expires_at, lot_id LIMIT $3",
	3, {TEXTOID, TIMESTAMPTZOID, INT8OID}
};

/* $3: the head lot, of which nothing may be left though its row says so */
static Statement first_expiry = {
	"SELECT expires_at FROM stripe_credit.lot "
	"WHERE account_id = $1 AND remaining > 0 AND expires_at < 'infinity' AND expires_at > $2 "
	"AND lot_id <> $3 ORDER BY expires_at LIMIT 1",
	3, {TEXTOID, TIMESTAMPTZOID, INT8OID}
};

static Statement insert_lot = {
	"INSERT INTO stripe_credit.lot (account_id, lot_id, payment_id, priority, expires_at, "
	"granted, remaining, first_lot) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	8, {TEXTOID, INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID}
};

static Statement write_lot = {
	"UPDATE stripe_credit.lot SET expires_at = $3, granted = $4, remaining = $5, expired = $6, "
	"written_off = $7, reversed_expired = $8 WHERE account_id = $1 AND lot_id = $2",
	8, {TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}
};

/*
 * Lots in memory
 */

static Lot *
find_lot(const Account *account, int64 lot_id)
{
	ListCell   *cell;

	foreach(cell, account->lots)
	{
		Lot		   *lot = lfirst(cell);

		if (lot->lot_id == lot_id)
			return lot;
	}
	return NULL;
}

/* What a row says, of a lot that was not looked at before. */
static Lot *
lot_from_row(Account *account, uint64 row)
{
	Lot		   *lot = palloc0(sizeof(Lot));
	bool		isnull;

	lot->lot_id = result_int64(row, 1, 0);
	lot->payment_id = result_text(row, 2);
	lot->priority = DatumGetInt32(result_datum(row, 3, &isnull));
	lot->has_priority = !isnull;
	lot->expires_at = result_time(row, 4);
	lot->granted = result_int64(row, 5, 0);
	lot->row_remaining = result_int64(row, 6, 0);
	lot->remaining = lot->lot_id == account->head_lot ?
		account->head_remaining : lot->row_remaining;
	lot->expired = result_int64(row, 7, 0);
	lot->written_off = result_int64(row, 8, 0);
	lot->reversed_expired = result_int64(row, 9, 0);
	lot->first_lot = result_int64(row, 10, 0);
	account->lots = lappend(account->lots, lot);
	return lot;
}

/* The lots of a query's rows; what is in memory already is newer than its row. */
static List *
lots_from_rows(Account *account, uint64 n)
{
	List	   *lots = NIL;
	uint64		row;

	for (row = 0; row < n; row++)
	{
		Lot		   *lot = find_lot(account, result_int64(row, 1, 0));

		lots = lappend(lots, lot ? lot : lot_from_row(account, row));
	}
	SPI_freetuptable(SPI_tuptable);
	return lots;
}

Lot *
account_lot(Account *account, int64 lot_id)
{
	Lot		   *lot = find_lot(account, lot_id);
	Arguments	args = {0};

	if (lot)
		return lot;
	add_text(&args, account->account_id);
	add_int64(&args, lot_id, false);
	if (account_query(account, &read_lot, &args) != 1)
		elog(ERROR, "lot vanished");
	return linitial(lots_from_rows(account, 1));
}

List *
account_lots_of_payment(Account *account, const char *payment_id)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_text(&args, payment_id);
	return lots_from_rows(account, account_query(account, &lots_of_payment, &args));
}

static void
write_lot_row(const Account *account, Lot *lot)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_int64(&args, lot->lot_id, false);
	add_datum(&args, TimestampTzGetDatum(lot->expires_at), false);
	add_int64(&args, lot->granted, false);
	add_int64(&args, lot->remaining, false);
	add_int64(&args, lot->expired, false);
	add_int64(&args, lot->written_off, false);
	add_int64(&args, lot->reversed_expired, false);
	statement_execute(&write_lot, &args);
	lot->row_remaining = lot->remaining;
	lot->changed = false;
}

void
lots_write(const Account *account, const Lot *head)
{
	ListCell   *cell;

	foreach(cell, account->lots)
	{
		Lot		   *lot = lfirst(cell);
		bool		stale = lot == head ?
		lot->row_remaining == 0 : lot->row_remaining != lot->remaining;

		CHECK_FOR_INTERRUPTS();
		if (lot->changed || stale)
			write_lot_row(account, lot);
	}
}

/* From here on the rows say all that is true of the lots, the head's too. */
static void
unload_lots(Account *account)
{
	if (account->head_lot != 0)
		(void) account_lot(account, account->head_lot);
	lots_write(account, NULL);
	account->lots = NIL;
	account->head_lot = 0;
	account->head_remaining = 0;
	account->head_unknown = true;
}

/*
 * The spending order
 */

static bool
lot_precedes(const Lot *a, const Lot *b)
{
	if (a->has_priority != b->has_priority)
		return a->has_priority;
	if (a->has_priority && a->priority != b->priority)
		return a->priority < b->priority;
	if (a->expires_at != b->expires_at)
		return a->expires_at < b->expires_at;
	if ((a->payment_id == NULL) != (b->payment_id == NULL))
		return a->payment_id == NULL;
	return a->lot_id < b->lot_id;
}

/* Lots are unloaded: the next so many in order. */
static List *
load_lots_in_order(Account *account, int64 most)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_int64(&args, most, false);
	return lots_from_rows(account, account_query(account, &lots_in_order, &args));
}

/* The first of the lots in memory that have credits left. */
static Lot *
first_in_memory(const Account *account)
{
	Lot		   *first = NULL;
	ListCell   *cell;

	foreach(cell, account->lots)
	{
		Lot		   *lot = lfirst(cell);

		if (lot->remaining > 0 && (first == NULL || lot_precedes(lot, first)))
			first = lot;
	}
	return first;
}

Lot *
lots_first(Account *account)
{
	Lot		   *head = account->head_lot ? account_lot(account, account->head_lot) : NULL;
	Lot		   *first;

	if (head && head->remaining > 0 && !account->head_unknown)
		first = first_in_memory(account);
	else
	{
		List	   *lots;

		unload_lots(account);
		lots = load_lots_in_order(account, 1);
		first = lots == NIL ? NULL : linitial(lots);
	}
	account->head_lot = first ? first->lot_id : 0;
	account->head_unknown = false;
	return first;
}

static int64
take_from_lot(Lot *lot, int64 credits, Taken *taken)
{
	int64		part = Min(credits, lot->remaining);

	lot->remaining -= part;
	taken_add(taken, lot->lot_id, part);
	return part;
}

int64
account_take(Account *account, int64 credits, Taken *taken)
{
	Lot		   *lot = credits > 0 ? lots_first(account) : NULL;
	int64		most = FEW_LOTS;

	if (lot)
		credits -= take_from_lot(lot, credits, taken);
	while (lot && credits > 0)
	{
		List	   *lots;
		ListCell   *cell;

		/* ever more at once, since those that were emptied are in the way */
		unload_lots(account);
		lots = load_lots_in_order(account, most);
		most *= 4;
		lot = NULL;
		foreach(cell, lots)
		{
			lot = lfirst(cell);
			credits -= take_from_lot(lot, credits, taken);
			if (credits == 0)
				break;
		}
		account->head_lot = lot ? lot->lot_id : 0;
		account->head_unknown = lot == NULL;
	}
	return credits;
}

/*
 * Coming and expiring
 */

void
account_insert_lot(const char *account_id, const Lot *lot)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, lot->lot_id, false);
	add_text(&args, lot->payment_id);
	add_datum(&args, Int32GetDatum(lot->priority), !lot->has_priority);
	add_datum(&args, TimestampTzGetDatum(lot->expires_at), false);
	add_int64(&args, lot->granted, false);
	add_int64(&args, lot->remaining, false);
	add_int64(&args, lot->first_lot, lot->first_lot == 0);
	statement_execute(&insert_lot, &args);
}

void
lots_add(Account *account, const Lot *terms)
{
	Lot		   *lot = palloc(sizeof(Lot));

	*lot = *terms;
	lot->lot_id = account->seq;
	lot->remaining = Max(Min(lot->granted, account_available(account)), 0);
	lot->row_remaining = lot->remaining;
	account->lots = lappend(account->lots, lot);
	account->next_expiry = Min(account->next_expiry, lot->expires_at);
	account_insert_lot(account->account_id, lot);
}

void
account_set_lot_expiry(Account *account, Lot *lot, TimestampTz expires_at)
{
	if (lot->expires_at == expires_at)
		return;
	lot->expires_at = expires_at;
	lot->changed = true;
	account->next_expiry = Min(account->next_expiry, expires_at);
	/* it has another place in the spending order, perhaps not as the head */
	account->head_unknown = true;
}

TimestampTz
account_next_expiry(Account *account)
{
	TimestampTz next = DT_NOEND;
	Arguments	args = {0};
	ListCell   *cell;
	Lot		   *head = account->head_lot ? find_lot(account, account->head_lot) : NULL;
	bool		head_empty = account->head_lot != 0 &&
	(head ? head->remaining : account->head_remaining) == 0;

	add_text(&args, account->account_id);
	add_datum(&args, TimestampTzGetDatum(account->now), false);
	add_int64(&args, head_empty ? account->head_lot : 0, false);
	if (account_query(account, &first_expiry, &args) > 0)
		next = result_time(0, 1);
	/* what has returned may not be in its row yet */
	foreach(cell, account->lots)
	{
		Lot		   *lot = lfirst(cell);

		if (lot->remaining > 0)
			next = Min(next, lot->expires_at);
	}
	return next;
}

List *
lots_expired(Account *account, int64 most)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_datum(&args, TimestampTzGetDatum(account->now), false);
	add_int64(&args, most, false);
	return lots_from_rows(account, account_query(account, &expired_lots, &args));
}
