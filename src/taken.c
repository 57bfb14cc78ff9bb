/*-------------------------------------------------------------------------
 *
 * taken.c
 *	  Credits that were taken from lots, in the order in which they were.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "taken.h"

void
taken_add(Taken *taken, int64 lot_id, int64 credits)
{
	if (taken->room == 0)
	{
		taken->room = 4;
		taken->lots = palloc(sizeof(int64) * taken->room);
		taken->credits = palloc(sizeof(int64) * taken->room);
	}
	else if (taken->count == taken->room)
	{
		taken->room *= 2;
		taken->lots = repalloc(taken->lots, sizeof(int64) * taken->room);
		taken->credits = repalloc(taken->credits, sizeof(int64) * taken->room);
	}
	taken->lots[taken->count] = lot_id;
	taken->credits[taken->count] = credits;
	taken->count++;
}

int64
taken_total(const Taken *taken)
{
	int64		total = 0;
	int			i;

	for (i = 0; i < taken->count; i++)
		total += taken->credits[i];
	return total;
}

void
taken_split(const Taken *taken, int64 credits, Taken *first, Taken *rest)
{
	int			i;

	for (i = 0; i < taken->count; i++)
	{
		int64		part = Min(credits, taken->credits[i]);

		if (part > 0)
			taken_add(first, taken->lots[i], part);
		if (part < taken->credits[i])
			taken_add(rest, taken->lots[i], taken->credits[i] - part);
		credits -= part;
	}
}

static Datum
bigint_array(const int64 *values, int count)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(count, 1));
	int			i;

	for (i = 0; i < count; i++)
		datums[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(datums, count, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
taken_lots(const Taken *taken)
{
	return bigint_array(taken->lots, taken->count);
}

Datum
taken_credits(const Taken *taken)
{
	return bigint_array(taken->credits, taken->count);
}

static Datum *
bigint_elements(Datum array, int *count)
{
	Datum	   *elements;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, count);
	return elements;
}

void
taken_add_arrays(Taken *taken, Datum lots, Datum credits)
{
	int			nlots;
	int			ncredits;
	Datum	   *lot_ids = bigint_elements(lots, &nlots);
	Datum	   *parts = bigint_elements(credits, &ncredits);
	int			i;

	if (nlots != ncredits)
		elog(ERROR, "lots and credits taken from them do not match");
	for (i = 0; i < nlots; i++)
		taken_add(taken, DatumGetInt64(lot_ids[i]), DatumGetInt64(parts[i]));
}
