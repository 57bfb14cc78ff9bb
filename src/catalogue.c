/*-------------------------------------------------------------------------
 *
 * catalogue.c
 *	  What is it worth?  Packs, payment links and rates.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "catalogue.h"
#include "ledger.h"
#include "statement.h"

/* What of a pack matters to a purchase. */
typedef struct Pack
{
	int64		credits;
	int64		unit_amount;	/* 0: has none */
	char	   *currency;
	char	   *priority;
	char	   *expires_after;
} Pack;

static Statement read_pack = {
	"SELECT credits, unit_amount, currency, priority::text, expires_after::text "
	"FROM stripe_credit.pack WHERE pack_id = $1",
	1, {TEXTOID}
};

static Statement read_payment_link = {
	"SELECT pack_id FROM stripe_credit.payment_link WHERE payment_link = $1",
	1, {TEXTOID}
};

static Statement read_rate = {
	"SELECT credits, per_amount FROM stripe_credit.rate WHERE currency = $1",
	1, {TEXTOID}
};

static bool
find_pack(const char *pack_id, Pack *pack)
{
	Arguments	args = {0};

	memset(pack, 0, sizeof(Pack));
	if (!is_key(pack_id, strlen(pack_id)))
		return false;
	add_text(&args, pack_id);
	if (statement_execute(&read_pack, &args) == 0)
		return false;
	pack->credits = result_int64(0, 1, 0);
	pack->unit_amount = result_int64(0, 2, 0);
	pack->currency = result_text(0, 3);
	pack->priority = result_text(0, 4);
	pack->expires_after = result_text(0, 5);
	return true;
}

static const char *
find_payment_link(const char *payment_link)
{
	Arguments	args = {0};

	add_text(&args, payment_link);
	return statement_execute(&read_payment_link, &args) == 0 ? NULL : result_text(0, 1);
}

/* What a reading's terms are worth; returns why not, or NULL. */
static const char *
credits_by_pack(const Terms *terms, const char *pack_id, Pack *pack, int64 *credits)
{
	int64		units;

	if (!find_pack(pack_id, pack))
		return "pack";
	if (pack->currency == NULL || strcmp(pack->currency, terms->currency) != 0)
		return "currency";
	if (!facts_units(terms->subtotal, pack->unit_amount, &units))
		return "amount";
	if (terms->quantity != 0 && terms->quantity != units)
		return "quantity";
	return facts_multiply(pack->credits, units, credits) ? NULL : "credits";
}

static const char *
credits_by_rate(const Terms *terms, int64 *credits)
{
	Arguments	args = {0};

	add_text(&args, terms->currency);
	if (statement_execute(&read_rate, &args) == 0)
		return "rate";
	return facts_rate(terms->net, result_int64(0, 1, 0), result_int64(0, 2, 0), credits) ?
		NULL : "credits";
}

/* Metadata with credits in it need no catalogue; a pack tells when they expire. */
static const char *
credits_by_metadata(const Terms *terms, Pack *pack, int64 *credits)
{
	if (terms->pack_id)
		(void) find_pack(terms->pack_id, pack);
	return facts_multiply(terms->unit_credits, Max(terms->quantity, 1), credits) ?
		NULL : "credits";
}

static const char *
price_terms(const Terms *terms, Facts *facts, Pack *pack)
{
	const char *linked;

	memset(pack, 0, sizeof(Pack));
	facts->pack_id = terms->pack_id;
	facts->credits_rank = terms->rank;
	if (terms->unit_credits > 0)
		return credits_by_metadata(terms, pack, &facts->credits);
	if (terms->pack_id)
		return credits_by_pack(terms, terms->pack_id, pack, &facts->credits);

	if (terms->payment_link && (linked = find_payment_link(terms->payment_link)) != NULL)
	{
		facts->pack_id = linked;
		facts->credits_rank = RANK_LINK;
		return credits_by_pack(terms, linked, pack, &facts->credits);
	}
	facts->credits_rank = RANK_RATE;
	return credits_by_rate(terms, &facts->credits);
}

/* All that went into the credits but the catalogue, for merge_credits(). */
static char *
terms_text(const Terms *terms)
{
	return psprintf("%s credits=" INT64_FORMAT " quantity=" INT64_FORMAT
					" subtotal=" INT64_FORMAT " net=" INT64_FORMAT " currency=%s link=%s pack=%s",
					terms->rank == RANK_INTENT ? "intent" : "session", terms->unit_credits,
					terms->quantity, terms->subtotal, terms->net,
					terms->currency ? terms->currency : "",
					terms->payment_link ? terms->payment_link : "",
					terms->pack_id ? terms->pack_id : "");
}

/*
 * Stripe's e-mails are lower-cased, in ASCII only, which is the same in every
 * database; and every name of an account must be valid.
 */
static void
complete_account(EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (facts->account_rank == RANK_NONE)
		return;
	if (account_source_is_email(reading->account_source))
		facts->account_id = str_tolower(facts->account_id, strlen(facts->account_id),
										C_COLLATION_OID);
	if (!is_key(facts->account_id, strlen(facts->account_id)))
	{
		facts->account_rank = RANK_NONE;
		if (reading->reason == NULL)
			reading->reason = "account";
	}
}

/* A subscription's session says what a unit is; there is nothing to multiply. */
static void
complete_subscription(EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	const Terms *terms = &reading->terms;

	if (terms->pack_id == NULL && terms->unit_credits == 0)
		return;
	facts->credits_rank = terms->rank;
	facts->credits = terms->unit_credits;
	facts->pack_id = terms->pack_id;
	facts->terms = terms_text(terms);
}

static void
complete_credits(EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	Pack		pack;
	const char *why = price_terms(&reading->terms, facts, &pack);

	if (why == NULL && pack.expires_after && facts->paid && facts->paid_at == FACTS_NO_TIME)
		why = "created";
	if (why)
	{
		facts->credits_rank = RANK_NONE;
		if (reading->reason == NULL)
			reading->reason = why;
		return;
	}
	facts->terms = terms_text(&reading->terms);
	facts->priority = pack.priority;
	facts->expires_after = pack.expires_after;
}

void
catalogue_price(EventReading *reading)
{
	if (reading->nature != FACTS_PAID && reading->nature != FACTS_UNPAID &&
		reading->nature != FACTS_SUBSCRIPTION)
		return;
	complete_account(reading);

	/* with any reason but this one, the terms are no good */
	if (reading->reason && strcmp(reading->reason, "account") != 0)
		return;
	if (reading->nature == FACTS_SUBSCRIPTION)
		complete_subscription(reading);
	else
		complete_credits(reading);
}
