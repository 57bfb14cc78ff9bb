/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  The books: what is posted to accounts for payments, and what keys were
 *	  used for.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "hold.h"
#include "ledger.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(stripe_credit_is_key);
PG_FUNCTION_INFO_V1(stripe_credit_account_is_sound);

/*
 * A purchase whose lot comes last in the spending order, so that it can only be
 * the head where there is none.  While there is nothing to be entered first.
 */
static Statement purchase_at_end = {
	"UPDATE stripe_credit.account SET balance = balance + $2, seq = seq + 1, "
	"floor = least(0, balance + $2 - held), "
	"head_remaining = CASE WHEN head_lot IS NULL "
	"THEN greatest(0, least($2, balance + $2 - held)) ELSE head_remaining END, "
	"head_lot = CASE WHEN head_lot IS NULL AND balance + $2 > held "
	"THEN seq + 1 ELSE head_lot END "
	"WHERE account_id = $1 AND balance <= 9223372036854775807 - $2 "
	"AND next_expiry > clock_timestamp() "
	"AND (hold_expiry IS NULL OR hold_expiry > clock_timestamp()) "
	"RETURNING seq, balance, balance - held",
	2, {TEXTOID, INT8OID}
};

/* An account that was not there a moment ago, unless somebody else makes it */
static Statement purchase_as_first = {
	"INSERT INTO stripe_credit.account (account_id, balance, seq, head_lot, head_remaining, "
	"next_expiry) VALUES ($1, $2, 1, 1, $2, $3) ON CONFLICT (account_id) DO NOTHING "
	"RETURNING seq, balance, balance - held",
	3, {TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static Statement insert_purchase = {
	"INSERT INTO stripe_credit.ledger (account_id, seq, kind, credits, balance, payment_id, lot_id) "
	"VALUES ($1, $2, 'purchase', $3, $4, $5, $2)",
	5, {TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID}
};

static Statement find_account = {
	"SELECT FROM stripe_credit.account WHERE account_id = $1", 1, {TEXTOID}
};

static Statement find_entry = {
	"SELECT seq, kind, credits, lot_id, lots, taken FROM stripe_credit.ledger "
	"WHERE account_id = $1 AND idempotency_key = $2 AND reverses = $3",
	3, {TEXTOID, TEXTOID, INT8OID}
};

/*
 * 1 to 200 bytes, no control characters (C0, DEL or C1), no space at either
 * end.  The text is valid UTF-8.
 */
bool
is_key(const char *key, size_t length)
{
	size_t		i;

	if (length == 0 || length > KEY_MAX_LENGTH || key[0] == ' ' || key[length - 1] == ' ')
		return false;
	for (i = 0; i < length; i++)
	{
		unsigned char c = key[i];

		if (c < ' ' || c == 0x7f)
			return false;
		if (c == 0xc2 && i + 1 < length && (unsigned char) key[i + 1] < 0xa0)
			return false;
	}
	return true;
}

Datum
stripe_credit_is_key(PG_FUNCTION_ARGS)
{
	text	   *key = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_key(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
}

/* The CHECK of the account table: the second guard against spending too much. */
Datum
stripe_credit_account_is_sound(PG_FUNCTION_ARGS)
{
	text	   *account_id = PG_GETARG_TEXT_PP(0);
	int64		balance = PG_GETARG_INT64(1);
	int64		held = PG_GETARG_INT64(2);
	int64		floor = PG_GETARG_INT64(3);
	int64		available;

	PG_RETURN_BOOL(floor <= 0 && !pg_sub_s64_overflow(balance, held, &available) &&
				   available >= floor &&
				   is_key(VARDATA_ANY(account_id), VARSIZE_ANY_EXHDR(account_id)));
}

TimestampTz
time_after(TimestampTz time, const Interval *interval)
{
	return (TimestampTz) DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval,
															   TimestampGetDatum(time),
															   IntervalPGetDatum(interval)));
}

void
ledger_balance(const char *account_id, AccountBalance *balance)
{
	Account		account;

	balance->balance = 0;
	balance->held = 0;
	balance->next_expiry = DT_NOEND;
	if (!account_read(&account, account_id))
		return;
	balance->balance = account.balance;
	balance->held = account.held;
	if (!TIMESTAMP_IS_NOEND(account.next_expiry))
		balance->next_expiry = account_next_expiry(&account);
	account_finish_reading(&account);
}

/*
 * Purchases
 */

static Lot
purchased_lot(const char *payment_id, const PurchasedLot *terms)
{
	Lot			lot = {
		.payment_id = payment_id,
		.has_priority = terms->has_priority,
		.priority = terms->priority,
		.expires_at = terms->expires_at,
		.granted = terms->credits
	};

	return lot;
}

/* The rows beside the account's own, which has just been changed. */
static void
insert_purchase_rows(const char *account_id, const char *payment_id, const PurchasedLot *terms)
{
	int64		balance = result_int64(0, 2, 0);
	int64		available = result_int64(0, 3, 0);
	Lot			lot = purchased_lot(payment_id, terms);
	Arguments	args = {0};

	lot.lot_id = result_int64(0, 1, 0);
	lot.remaining = Max(Min(terms->credits, available), 0);
	SPI_freetuptable(SPI_tuptable);
	add_text(&args, account_id);
	add_int64(&args, lot.lot_id, false);
	add_int64(&args, terms->credits, false);
	add_int64(&args, balance, false);
	add_text(&args, payment_id);
	statement_execute(&insert_purchase, &args);
	account_insert_lot(account_id, &lot);
}

static bool
update_for_purchase(const char *account_id, const PurchasedLot *terms)
{
	Arguments	args = {0};

	if (terms->has_priority || !TIMESTAMP_IS_NOEND(terms->expires_at))
		return false;
	add_text(&args, account_id);
	add_int64(&args, terms->credits, false);
	return statement_execute(&purchase_at_end, &args) == 1;
}

static bool
create_for_purchase(const char *account_id, const PurchasedLot *terms)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	add_int64(&args, terms->credits, false);
	add_datum(&args, TimestampTzGetDatum(terms->expires_at), false);
	return statement_execute(&purchase_as_first, &args) == 1;
}

/*
 * One lot, which is nearly always all there is.  The account is nearly always
 * there too, and then an update is all it takes.
 */
static bool
purchase_quickly(const char *account_id, const char *payment_id, const PurchasedLot *terms,
				 bool create)
{
	if (!(create ? create_for_purchase(account_id, terms) :
		  update_for_purchase(account_id, terms)))
		return false;
	insert_purchase_rows(account_id, payment_id, terms);
	return true;
}

static bool
has_room(const Account *account, const PurchasedLot *lots, int n)
{
	int64		total = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (pg_add_s64_overflow(total, lots[i].credits, &total))
			return false;
	return account_has_room(account, total);
}

/* Into an open account, unless the balance would be out of range. */
static bool
purchase(Account *account, const char *payment_id, const PurchasedLot *lots, int n)
{
	int64		first_lot = 0;
	int			i;

	if (!has_room(account, lots, n))
		return false;
	for (i = 0; i < n; i++)
	{
		Entry		entry = {
			.kind = "purchase",
			.credits = lots[i].credits,
			.payment_id = payment_id
		};
		Lot			lot = purchased_lot(payment_id, &lots[i]);

		lot.first_lot = first_lot;
		account_post_lot(account, &entry, &lot);
		if (i == 0)
			first_lot = account->seq;
	}
	return true;
}

bool
ledger_purchase(const char *account_id, const char *payment_id, const PurchasedLot *lots,
				int n, bool create)
{
	Account		account;
	bool		done;

	account_queue(account_id);
	if (n == 1 && purchase_quickly(account_id, payment_id, lots, false))
		return true;
	if (!account_open(&account, account_id, OPEN_KNOWN))
	{
		if (!create)
			return false;
		if (n == 1 && purchase_quickly(account_id, payment_id, lots, true))
			return true;
		(void) account_open(&account, account_id, OPEN_OR_CREATE);
	}
	done = purchase(&account, payment_id, lots, n);
	account_close(&account);
	return done;
}

bool
ledger_knows(const char *account_id, bool create)
{
	Arguments	args = {0};

	add_text(&args, account_id);
	return create || statement_execute(&find_account, &args) > 0;
}

/*
 * Reversals
 */

/*
 * What reversals of a payment have taken from lots that could still be spent,
 * its own and others, is kept with the first of its lots.
 */
static Statement read_reversed = {
	"SELECT reversed_lots, reversed_credits FROM stripe_credit.lot "
	"WHERE account_id = $1 AND lot_id = $2 AND reversed_lots IS NOT NULL",
	2, {TEXTOID, INT8OID}
};

static Statement write_reversed = {
	"UPDATE stripe_credit.lot SET reversed_lots = $3, reversed_credits = $4 "
	"WHERE account_id = $1 AND lot_id = $2",
	4, {TEXTOID, INT8OID, INT8ARRAYOID, INT8ARRAYOID}
};

/* Returns whether there is any. */
static bool
load_reversed(const Account *account, int64 lot_id, Taken *reversed)
{
	Arguments	args = {0};
	bool		isnull;

	memset(reversed, 0, sizeof(Taken));
	add_text(&args, account->account_id);
	add_int64(&args, lot_id, false);
	if (statement_execute(&read_reversed, &args) > 0)
		taken_add_arrays(reversed, result_datum(0, 1, &isnull), result_datum(0, 2, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return reversed->count > 0;
}

static void
save_reversed(const Account *account, int64 lot_id, const Taken *reversed)
{
	bool		none = reversed->count == 0;
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_int64(&args, lot_id, false);
	add_datum(&args, none ? (Datum) 0 : taken_lots(reversed), none);
	add_datum(&args, none ? (Datum) 0 : taken_credits(reversed), none);
	statement_execute(&write_reversed, &args);
}

static void
add_reversed(const Account *account, int64 lot_id, const Taken *taken)
{
	Taken		reversed;
	int			i;

	if (taken->count == 0)
		return;
	(void) load_reversed(account, lot_id, &reversed);
	for (i = 0; i < taken->count; i++)
		taken_add(&reversed, taken->lots[i], taken->credits[i]);
	save_reversed(account, lot_id, &reversed);
}

static void
post(Account *account, const char *kind, int64 credits, const char *payment_id, int64 lot_id,
	 const Taken *taken)
{
	Entry		entry = {
		.kind = kind,
		.credits = credits,
		.payment_id = payment_id,
		.lot_id = lot_id,
		.taken = taken
	};

	if (credits != 0)
		account_post(account, &entry);
}

/*
 * Take credits out of a payment's own lots: those that can still be spent, and
 * then those that have expired.  Returns how many were not there, because they
 * were spent or are held.
 */
static int64
take_from_own_lots(List *lots, int64 credits, int64 *expired, Taken *taken)
{
	ListCell   *cell;

	*expired = 0;
	foreach(cell, lots)
	{
		Lot		   *lot = lfirst(cell);
		int64		live = Min(credits, lot->remaining);
		int64		dead = Min(credits - live, lot->expired);

		if (live > 0)
			taken_add(taken, lot->lot_id, live);
		lot->granted -= live + dead;
		lot->remaining -= live;
		lot->expired -= dead;
		lot->reversed_expired += dead;
		lot->changed = true;
		credits -= live + dead;
		*expired += dead;
	}
	return credits;
}

/* What of a shortfall is written off rather than taken elsewhere or owed. */
static int64
to_write_off(int64 missing, Overdraw overdraw, int64 available)
{
	if (overdraw == OVERDRAW_OWN_LOT)
		return missing;
	if (overdraw == OVERDRAW_DEBT)
		return 0;
	return missing - Max(Min(missing, available), 0);
}

void
ledger_reverse(const char *account_id, const char *payment_id, int64 credits,
			   Overdraw overdraw)
{
	Account		account;
	List	   *lots;
	Taken		taken = {0};
	Lot		   *first;
	int64		first_id;
	int64		expired;
	int64		missing;
	int64		write_off;

	if (!account_open(&account, account_id, OPEN_KNOWN))
		elog(ERROR, "account vanished");
	lots = account_lots_of_payment(&account, payment_id);
	if (lots == NIL)
		elog(ERROR, "payment has no lot");
	first = linitial(lots);
	first_id = first->lot_id;
	missing = take_from_own_lots(lots, credits, &expired, &taken);
	write_off = to_write_off(missing, overdraw, account_available(&account) -
							 (credits - expired - missing));
	first->written_off += write_off;
	account.may_owe = overdraw == OVERDRAW_DEBT;
	(void) account_take(&account, missing - write_off, &taken);
	post(&account, "reversal", -(credits - expired), payment_id, 0, &taken);
	post(&account, "write_off", write_off, payment_id, 0, NULL);
	account_close(&account);
	add_reversed(&account, first_id, &taken);
}

/* The part of what is given back that one of several things takes. */
static int64
part_of(int64 *left, int64 limit)
{
	int64		part = Max(Min(*left, limit), 0);

	*left -= part;
	return part;
}

/* One of a payment's own lots, or NULL. */
static Lot *
own_lot(List *own_lots, int64 lot_id)
{
	ListCell   *cell;

	foreach(cell, own_lots)
		if (((Lot *) lfirst(cell))->lot_id == lot_id)
			return lfirst(cell);
	return NULL;
}

/* How many credits reversals have taken from other lots than the payment's own. */
static int64
total_of_others(const Taken *reversed, List *own_lots)
{
	int64		total = 0;
	int			i;

	for (i = 0; i < reversed->count; i++)
		if (own_lot(own_lots, reversed->lots[i]) == NULL)
			total += reversed->credits[i];
	return total;
}

/* Returns how many credits were written off of the lots, and are good again. */
static int64
make_lots_good(List *lots, int64 *left)
{
	int64		total = 0;
	ListCell   *cell;

	foreach(cell, lots)
	{
		Lot		   *lot = lfirst(cell);
		int64		good = part_of(left, lot->written_off);

		lot->written_off -= good;
		lot->changed = true;
		total += good;
	}
	return total;
}

/* Returns how many credits were taken back of the lots' expired ones. */
static int64
return_expired(List *lots, int64 *left)
{
	int64		total = 0;
	ListCell   *cell;

	foreach(cell, lots)
	{
		Lot		   *lot = lfirst(cell);
		int64		dead = part_of(left, lot->reversed_expired);

		lot->reversed_expired -= dead;
		lot->expired += dead;
		lot->granted += dead;
		total += dead;
	}
	return total;
}

/*
 * Of what was taken from lots, the last so many credits: from the payment's own
 * or from others.  Returns how many there were.
 */
static int64
take_last(Taken *reversed, List *own_lots, bool own, int64 credits, Taken *last)
{
	int64		left = credits;
	int			i;

	for (i = reversed->count - 1; i >= 0 && left > 0; i--)
	{
		Lot		   *lot = own_lot(own_lots, reversed->lots[i]);
		int64		part = Min(left, reversed->credits[i]);

		if ((lot != NULL) != own || part == 0)
			continue;
		taken_add(last, reversed->lots[i], part);
		reversed->credits[i] -= part;
		left -= part;
		if (lot)
			lot->granted += part;
	}
	return credits - left;
}

/* Return the last credits that were taken, to where they were. */
static void
return_last(Account *account, List *own_lots, bool own, Taken *reversed, int64 *left)
{
	Taken		last = {0};

	*left -= take_last(reversed, own_lots, own, *left, &last);
	account_give_back(account, &last);
}

static void
save_what_is_left(const Account *account, int64 lot_id, const Taken *reversed)
{
	Taken		left = {0};
	int			i;

	for (i = 0; i < reversed->count; i++)
		if (reversed->credits[i] > 0)
			taken_add(&left, reversed->lots[i], reversed->credits[i]);
	save_reversed(account, lot_id, &left);
}

/*
 * What is left in the end was a debt once, and has been paid by other credits
 * since.
 */
static void
give_back(Account *account, List *lots, const char *payment_id, const char *kind, int64 credits)
{
	Lot		   *first = linitial(lots);
	Taken		reversed;
	bool		any = load_reversed(account, first->lot_id, &reversed);
	int64		left = credits;
	int64		written_off = make_lots_good(lots, &left);
	int64		others;
	int64		expired;

	(void) part_of(&left, -account_available(account));
	others = Min(left, total_of_others(&reversed, lots));
	left -= others;
	expired = return_expired(lots, &left);
	post(account, kind, credits - expired, payment_id, first->lot_id, NULL);
	post(account, "write_off", -written_off, payment_id, 0, NULL);
	return_last(account, lots, false, &reversed, &others);
	return_last(account, lots, true, &reversed, &left);
	first->granted += left;
	first->changed = true;
	account_return_to_lot(account, first, left);
	if (any)
		save_what_is_left(account, first->lot_id, &reversed);
}

bool
ledger_give_back(const char *account_id, const char *payment_id, const char *kind,
				 int64 credits)
{
	Account		account;
	List	   *lots;
	bool		done;

	if (!account_open(&account, account_id, OPEN_KNOWN))
		return false;
	lots = account_lots_of_payment(&account, payment_id);
	done = lots != NIL && account_has_room(&account, credits);
	if (done)
		give_back(&account, lots, payment_id, kind, credits);
	account_close(&account);
	return done;
}

int64
ledger_void(const char *account_id, const char *payment_id)
{
	Account		account;
	ListCell   *cell;
	int64		before;

	if (!account_open(&account, account_id, OPEN_KNOWN))
		return 0;
	before = account.balance;
	foreach(cell, account_lots_of_payment(&account, payment_id))
	{
		Lot		   *lot = lfirst(cell);

		if (lot->expires_at > account.now)
			account_set_lot_expiry(&account, lot, account.now);
		account_return_to_lot(&account, lot, 0);
	}
	account_close(&account);
	return before - account.balance;
}

void
ledger_set_expiry(const char *account_id, const char *payment_id, const PurchasedLot *lots,
				  int n)
{
	Account		account;
	List	   *brought;
	ListCell   *cell;

	if (!account_open(&account, account_id, OPEN_KNOWN))
		return;
	brought = account_lots_of_payment(&account, payment_id);
	foreach(cell, brought)
	{
		int			i = foreach_current_index(cell);

		if (n == 1 || n == list_length(brought))
			account_set_lot_expiry(&account, lfirst(cell), lots[Min(i, n - 1)].expires_at);
	}
	account_close(&account);
}

/*
 * Keys
 */

/* What a spend or capture took, as find_entry's row has it. */
static void
taken_from_row(Taken *taken, int64 credits)
{
	int64		lot_id = result_int64(0, 4, 0);
	bool		isnull;
	Datum		lots = result_datum(0, 5, &isnull);

	if (!isnull)
		taken_add_arrays(taken, lots, result_datum(0, 6, &isnull));
	else if (lot_id != 0 && credits < 0)
		taken_add(taken, lot_id, -credits);
}

static bool
find(const Account *account, const char *key, int64 reverses, KeyUse *use)
{
	Arguments	args = {0};

	add_text(&args, account->account_id);
	add_text(&args, key);
	add_int64(&args, reverses, false);
	if (statement_execute(&find_entry, &args) == 0)
		return false;
	memset(use, 0, sizeof(KeyUse));
	use->seq = result_int64(0, 1, 0);
	use->kind = result_text(0, 2);
	use->credits = result_int64(0, 3, 0);
	taken_from_row(&use->taken, use->credits);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

bool
ledger_find_key(const Account *account, const char *key, KeyUse *use)
{
	Hold		hold;

	if (find(account, key, 0, use))
		return true;
	if (!account->has_holds || !hold_find(account, key, &hold))
		return false;
	memset(use, 0, sizeof(KeyUse));
	use->kind = "hold";
	use->credits = hold.credits;
	return true;
}

int64
ledger_find_reversal(const Account *account, const char *key, int64 seq)
{
	KeyUse		reversal;

	return find(account, key, seq, &reversal) ? reversal.seq : 0;
}
