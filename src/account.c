/*-------------------------------------------------------------------------
 *
 * account.c
 *	  One account, open: its row locked, and what is touched of its lots in
 *	  memory.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "account.h"
#include "errors.h"
#include "lots.h"

/* Advisory locks of this class are ours; SQL functions take those of 1 and 2. */
#define QUEUE_LOCK_CLASS	0x5343

#define LOW_BALANCE_CHANNEL	"stripe_credit_low_balance"

/* In how many lines a transaction may stand */
#define MOST_PLACES			50

#define SELECT_ACCOUNT \
	"SELECT balance, held, seq, head_lot, head_remaining, next_expiry, hold_expiry, " \
	"low_balance FROM stripe_credit.account WHERE account_id = $1"

static Statement read_account = {SELECT_ACCOUNT, 1, {TEXTOID}};

static Statement lock_account = {SELECT_ACCOUNT " FOR NO KEY UPDATE", 1, {TEXTOID}};

static Statement lock_account_unless_locked = {
	SELECT_ACCOUNT " FOR NO KEY UPDATE SKIP LOCKED", 1, {TEXTOID}
};

static Statement create_account = {
	"INSERT INTO stripe_credit.account (account_id) VALUES ($1) "
	"ON CONFLICT (account_id) DO NOTHING",
	1, {TEXTOID}
};

/*
 * The row is locked: that it is as it was is a second guard.  The floor sinks
 * only where a debt may be made, so that the table's CHECK refuses one elsewhere.
 */
static Statement write_account = {
	"UPDATE stripe_credit.account SET balance = $2, held = $3, "
	"floor = least(0, CASE WHEN $12 THEN $2 - $3 ELSE greatest(floor, $2 - $3) END), "
	"seq = $4, head_lot = $5, head_remaining = $6, next_expiry = $7, hold_expiry = $8 "
	"WHERE account_id = $1 AND balance = $9 AND held = $10 AND seq = $11",
	12, {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	INT8OID, INT8OID, INT8OID, BOOLOID}
};

static Statement insert_entry = {
	"INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, "
	"idempotency_key, payment_id, lot_id, lots, taken, reverses, metadata) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
	12, {TEXTOID, INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID, INT8OID,
	INT8ARRAYOID, INT8ARRAYOID, INT8OID, JSONBOID}
};

static Statement holds_expired = {
	"SELECT idempotency_key, credits, expires_at, lots, taken FROM stripe_credit.hold "
	"WHERE account_id = $1 AND state = 'open' AND expires_at <= $2 "
	"ORDER BY expires_at, idempotency_key LIMIT $3",
	3, {TEXTOID, TIMESTAMPTZOID, INT8OID}
};

static Statement expire_hold = {
	"UPDATE stripe_credit.hold SET state = 'expired', closed_at = expires_at "
	"WHERE account_id = $1 AND idempotency_key = $2",
	2, {TEXTOID, TEXTOID}
};

static Statement first_hold_expiry = {
	"SELECT expires_at FROM stripe_credit.hold "
	"WHERE account_id = $1 AND state = 'open' AND expires_at > $2 ORDER BY expires_at LIMIT 1",
	2, {TEXTOID, TIMESTAMPTZOID}
};

uint64
account_query(const Account *account, Statement *stmt, const Arguments *args)
{
	return statement_execute_snapshot(stmt, args, account->snapshot);
}

static bool
is_reading(const Account *account)
{
	return account->snapshot != InvalidSnapshot;
}

/*
 * Entries
 */

int64
account_available(const Account *account)
{
	return account->balance - account->held;
}

bool
account_has_room(const Account *account, int64 credits)
{
	int64		balance;

	return !pg_add_s64_overflow(account->balance, credits, &balance);
}

/* The floor is what is available, so that must be a number too. */
static void
add_to_balance(Account *account, int64 credits)
{
	int64		available;

	if (pg_add_s64_overflow(account->balance, credits, &account->balance) ||
		pg_sub_s64_overflow(account->balance, account->held, &available))
		report_out_of_range();
}

static void
insert_entry_row(const Account *account, const Entry *entry)
{
	const Taken *taken = entry->taken;
	bool		several = taken && taken->count > 1;
	int64		lot_id = taken && taken->count == 1 ? taken->lots[0] : entry->lot_id;
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_int64(&args, account->seq, false);
	add_text(&args, entry->kind);
	add_int64(&args, entry->credits, false);
	add_int64(&args, account->balance, false);
	add_text(&args, entry->idempotency_key);
	add_text(&args, entry->payment_id);
	add_int64(&args, lot_id, lot_id == 0);
	add_datum(&args, several ? taken_lots(taken) : (Datum) 0, !several);
	add_datum(&args, several ? taken_credits(taken) : (Datum) 0, !several);
	add_int64(&args, entry->reverses, false);
	add_datum(&args, entry->metadata, !entry->has_metadata);
	statement_execute(&insert_entry, &args);
}

void
account_post(Account *account, const Entry *entry)
{
	add_to_balance(account, entry->credits);
	account->seq++;
	if (!is_reading(account))
		insert_entry_row(account, entry);
}

void
account_post_lot(Account *account, Entry *entry, Lot *lot)
{
	entry->lot_id = account->seq + 1;
	lot->granted = entry->credits;
	account_post(account, entry);
	lots_add(account, lot);
}

static void
post_of_lot(Account *account, const char *kind, int64 credits, const Lot *lot)
{
	Entry		entry = {
		.kind = kind,
		.credits = credits,
		.payment_id = lot->payment_id,
		.lot_id = lot->lot_id
	};

	account_post(account, &entry);
}

/*
 * Credits come, return and expire
 */

static void
expire_lot(Account *account, Lot *lot)
{
	int64		credits = lot->remaining;

	if (credits == 0)
		return;
	lot->remaining = 0;
	lot->expired += credits;
	lot->changed = true;
	post_of_lot(account, "expiry", -credits, lot);
}

static void
make_good(Account *account, Lot *lot, int64 credits)
{
	if (credits == 0)
		return;
	lot->written_off -= credits;
	lot->changed = true;
	post_of_lot(account, "write_off", -credits, lot);
}

void
account_return_to_lot(Account *account, Lot *lot, int64 credits)
{
	lot->remaining += credits;
	if (lot->expires_at <= account->now)
		expire_lot(account, lot);
	else
		account->next_expiry = Min(account->next_expiry, lot->expires_at);
}

void
account_give_back(Account *account, const Taken *taken)
{
	int64		debt = taken_total(taken) - account_available(account);
	int			i;

	for (i = 0; i < taken->count; i++)
	{
		Lot		   *lot = account_lot(account, taken->lots[i]);
		Lot		   *first = lot->first_lot ? account_lot(account, lot->first_lot) : lot;
		int64		credits = taken->credits[i];
		int64		good = Min(credits, first->written_off);
		int64		owed;

		CHECK_FOR_INTERRUPTS();
		make_good(account, first, good);
		credits -= good;
		owed = Max(Min(credits, debt), 0);
		debt -= owed;
		account_return_to_lot(account, lot, credits - owed);
	}
}

/*
 * What has expired is entered
 */

static void
expire_hold_row(const Account *account, const char *key)
{
	Arguments	args = {0};

	if (is_reading(account))
		return;
	add_text(&args, account->account_id);
	add_text(&args, key);
	statement_execute(&expire_hold, &args);
}

static void
find_hold_expiry(Account *account)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_datum(&args, TimestampTzGetDatum(account->now), false);
	account->hold_expiry = account_query(account, &first_hold_expiry, &args) == 0 ?
		DT_NOEND : result_time(0, 1);
}

/* A hold that has expired, as holds_expired has it */
typedef struct ExpiredHold
{
	char	   *idempotency_key;
	int64		credits;
	Taken		taken;
} ExpiredHold;

static ExpiredHold *
read_expired_holds(Account *account, int64 most, uint64 *n)
{
	Arguments	args = {0};
	ExpiredHold *holds;
	uint64		row;
	bool		isnull;

	add_text(&args, account->account_id);
	add_datum(&args, TimestampTzGetDatum(account->now), false);
	add_int64(&args, most, false);
	*n = account_query(account, &holds_expired, &args);
	holds = palloc0(sizeof(ExpiredHold) * Max(*n, 1));
	for (row = 0; row < *n; row++)
	{
		holds[row].idempotency_key = result_text(row, 1);
		holds[row].credits = result_int64(row, 2, 0);
		account->hold_expiry = result_time(row, 3);
		taken_add_arrays(&holds[row].taken, result_datum(row, 4, &isnull),
						 result_datum(row, 5, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return holds;
}

/* Returns how many; if there may be more, hold_expiry stays at the last. */
static int64
enter_expired_holds(Account *account, int64 most)
{
	uint64		n;
	ExpiredHold *holds = read_expired_holds(account, most, &n);
	uint64		i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		account->held -= holds[i].credits;
		expire_hold_row(account, holds[i].idempotency_key);
		account_give_back(account, &holds[i].taken);
	}
	if ((int64) n < most)
		find_hold_expiry(account);
	return (int64) n;
}

/* Returns how many; if there may be more, next_expiry stays at the last. */
static int64
enter_expired_lots(Account *account, int64 most)
{
	List	   *lots = lots_expired(account, most);
	ListCell   *cell;

	foreach(cell, lots)
	{
		Lot		   *lot = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		expire_lot(account, lot);
		account->next_expiry = lot->expires_at;
	}
	if (list_length(lots) < most)
		account->next_expiry = account_next_expiry(account);
	return list_length(lots);
}

static int64
enter_expired(Account *account, int64 most)
{
	int64		entered = 0;

	if (account->hold_expiry <= account->now)
		entered += enter_expired_holds(account, most);
	if (account->next_expiry <= account->now)
		entered += enter_expired_lots(account, most);
	return entered;
}

/*
 * Opening and closing
 */

static int	places = 0;

static void
forget_places(XactEvent event, void *arg)
{
	places = 0;
}

/*
 * The lock table is of a fixed size, so a transaction that changes very many
 * accounts does without after the first of them; and it never comes back to one
 * that it changed without.
 */
static bool
take_place(const char *account_id, bool dont_wait)
{
	static bool registered = false;
	uint64		hash;
	LOCKTAG		tag;
	LockAcquireResult result;

	if (!registered)
	{
		RegisterXactCallback(forget_places, NULL);
		registered = true;
	}
	if (places >= MOST_PLACES)
		return true;
	hash = DatumGetUInt64(hash_any_extended((const unsigned char *) account_id,
											(int) strlen(account_id), 0));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash,
						 QUEUE_LOCK_CLASS);
	result = LockAcquire(&tag, ExclusiveLock, false, dont_wait);
	if (result == LOCKACQUIRE_OK)
		places++;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

void
account_queue(const char *account_id)
{
	(void) take_place(account_id, false);
}

static void
account_from_row(Account *account)
{
	bool		isnull;

	account->balance = account->row_balance = result_int64(0, 1, 0);
	account->held = account->row_held = result_int64(0, 2, 0);
	account->seq = account->row_seq = result_int64(0, 3, 0);
	account->head_lot = result_int64(0, 4, 0);
	account->head_remaining = result_int64(0, 5, 0);
	account->next_expiry = account->row_next_expiry = result_time(0, 6);
	account->hold_expiry = DatumGetTimestampTz(result_datum(0, 7, &isnull));
	account->has_holds = !isnull;
	if (isnull)
		account->hold_expiry = DT_NOEND;
	account->row_hold_expiry = account->hold_expiry;
	account->low_balance = DatumGetInt64(result_datum(0, 8, &isnull));
	account->has_low_balance = !isnull;
	SPI_freetuptable(SPI_tuptable);
}

static Statement *
opening_statement(AccountOpening opening)
{
	return opening == OPEN_UNLESS_LOCKED ? &lock_account_unless_locked : &lock_account;
}

static bool
lock_row(Account *account, AccountOpening opening)
{
	Statement  *stmt = opening_statement(opening);
	Arguments	args = {0};

	add_text(&args, account->account_id);
	if (statement_execute(stmt, &args) > 0)
		return true;
	if (opening != OPEN_OR_CREATE)
		return false;
	statement_execute(&create_account, &args);
	if (statement_execute(stmt, &args) == 0)
		elog(ERROR, "account vanished while it was locked");
	return true;
}

bool
account_open_some(Account *account, const char *account_id, AccountOpening opening,
				  int64 most, int64 *entered)
{
	memset(account, 0, sizeof(Account));
	account->account_id = account_id;
	*entered = 0;
	if (!take_place(account_id, opening == OPEN_UNLESS_LOCKED) || !lock_row(account, opening))
		return false;
	account_from_row(account);
	account->now = GetCurrentTimestamp();
	*entered = enter_expired(account, most);
	return true;
}

bool
account_open(Account *account, const char *account_id, AccountOpening opening)
{
	int64		entered;

	return account_open_some(account, account_id, opening, PG_INT64_MAX, &entered);
}

bool
account_read(Account *account, const char *account_id)
{
	Arguments	args = {0};

	memset(account, 0, sizeof(Account));
	account->account_id = account_id;
	account->snapshot = RegisterSnapshot(GetTransactionSnapshot());
	add_text(&args, account_id);
	if (account_query(account, &read_account, &args) == 0)
	{
		account_finish_reading(account);
		return false;
	}
	account_from_row(account);
	account->now = GetCurrentTimestamp();
	(void) enter_expired(account, PG_INT64_MAX);
	return true;
}

void
account_finish_reading(Account *account)
{
	UnregisterSnapshot(account->snapshot);
	account->snapshot = InvalidSnapshot;
}

static void
write_account_row(const Account *account)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_int64(&args, account->balance, false);
	add_int64(&args, account->held, false);
	add_int64(&args, account->seq, false);
	add_int64(&args, account->head_lot, account->head_lot == 0);
	add_int64(&args, account->head_remaining, false);
	add_datum(&args, TimestampTzGetDatum(account->next_expiry), false);
	add_datum(&args, TimestampTzGetDatum(account->hold_expiry), !account->has_holds);
	add_int64(&args, account->row_balance, false);
	add_int64(&args, account->row_held, false);
	add_int64(&args, account->row_seq, false);
	add_bool(&args, account->may_owe);
	if (statement_execute(&write_account, &args) != 1)
		elog(ERROR, "account changed while it was locked");
}

static bool
is_as_its_row(const Account *account)
{
	return account->lots == NIL && !account->head_unknown &&
		account->balance == account->row_balance && account->held == account->row_held &&
		account->seq == account->row_seq &&
		account->next_expiry == account->row_next_expiry &&
		account->hold_expiry == account->row_hold_expiry;
}

void
account_close(Account *account)
{
	if (is_as_its_row(account))
		return;
	if (account->lots != NIL || account->head_unknown)
	{
		Lot		   *head = lots_first(account);

		lots_write(account, head);
		account->head_remaining = head ? head->remaining : 0;
	}
	write_account_row(account);
	if (account->has_low_balance)
		account_notify(account->account_id, account->row_balance - account->row_held,
					   account_available(account), account->low_balance);
}

void
account_notify(const char *account_id, int64 available_before, int64 available_after,
			   int64 low_balance)
{
	if (available_before >= low_balance && available_after < low_balance)
		Async_Notify(LOW_BALANCE_CHANNEL, account_id);
}
