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

/* Of several packs of one price the one that gives least, by any order. */
static Statement read_pack_of_price = {
	"SELECT pack_id FROM stripe_credit.pack WHERE price_id = $1 ORDER BY credits, pack_id LIMIT 1",
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
find_pack_id(Statement *stmt, const char *id)
{
	Arguments	args = {0};

	add_text(&args, id);
	return statement_execute(stmt, &args) == 0 ? NULL : result_text(0, 1);
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
price_terms(const Terms *terms, Pricing *pricing, Pack *pack)
{
	const char *linked;

	memset(pack, 0, sizeof(Pack));
	pricing->pack_id = terms->pack_id;
	pricing->rank = terms->rank;
	if (terms->unit_credits > 0)
		return credits_by_metadata(terms, pack, &pricing->credits);
	if (terms->pack_id)
		return credits_by_pack(terms, terms->pack_id, pack, &pricing->credits);

	if (terms->payment_link &&
		(linked = find_pack_id(&read_payment_link, terms->payment_link)) != NULL)
	{
		pricing->pack_id = linked;
		pricing->rank = RANK_LINK;
		return credits_by_pack(terms, linked, pack, &pricing->credits);
	}
	pricing->rank = RANK_RATE;
	return credits_by_rate(terms, &pricing->credits);
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
	Pricing    *pricing = &reading->facts.pricing;
	const Terms *terms = &reading->terms;

	if (terms->pack_id == NULL && terms->unit_credits == 0)
		return;
	pricing->rank = terms->rank;
	pricing->credits = terms->unit_credits;
	pricing->pack_id = terms->pack_id;
	pricing->terms = terms_text(terms);
}

static void
complete_credits(EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	Pack		pack;
	const char *why = price_terms(&reading->terms, &facts->pricing, &pack);

	if (why == NULL && pack.expires_after && facts->paid && facts->paid_at == FACTS_NO_TIME)
		why = "created";
	if (why)
	{
		facts->pricing.rank = RANK_NONE;
		if (reading->reason == NULL)
			reading->reason = why;
		return;
	}
	facts->pricing.terms = terms_text(&reading->terms);
	facts->pricing.priority = pack.priority;
	facts->pricing.expires_after = pack.expires_after;
}

/*
 * Lines of invoices
 */

/* A line's pricing, unless it has a better one. */
static void
price_line(FactsLine *line, FactsRank rank, int64 unit_credits, const char *pack_id,
		   const Pack *pack)
{
	Pricing		pricing = {
		.rank = rank,
		.pack_id = pack_id,
		.priority = pack->priority,
		.expires_after = pack->expires_after
	};

	if (line->pricing.rank <= rank ||
		!facts_multiply(unit_credits, line->quantity, &pricing.credits))
		return;
	pricing.terms = psprintf("line credits=" INT64_FORMAT " quantity=" INT64_FORMAT
							 " unit_amount=" INT64_FORMAT " currency=%s price=%s pack=%s",
							 rank == RANK_PRICE ? 0 : unit_credits, line->quantity,
							 line->unit_amount, line->currency,
							 line->price_id ? line->price_id : "", pack_id ? pack_id : "");
	line->pricing = pricing;
}

static void
price_line_by_price(FactsLine *line)
{
	const char *pack_id = line->price_id ? find_pack_id(&read_pack_of_price, line->price_id) : NULL;
	Pack		pack;

	if (pack_id && find_pack(pack_id, &pack))
		price_line(line, RANK_PRICE, pack.credits, pack_id, &pack);
}

/*
 * By metadata, if a unit of the line is what was sold: as the metadata say, or
 * else the pack.  A person need not say what was sold.
 */
static void
price_line_by_terms(FactsLine *line, const Terms *terms)
{
	Pack		pack;
	bool		has_pack = terms->pack_id && find_pack(terms->pack_id, &pack);
	int64		unit_amount = terms->unit_amount;
	const char *currency = terms->currency;

	if (!has_pack)
		memset(&pack, 0, sizeof(Pack));
	if (unit_amount == FACTS_NO_AMOUNT)
	{
		unit_amount = pack.unit_amount;
		currency = pack.currency;
	}
	if (terms->unit_credits == 0 && !has_pack)
		return;
	if (terms->rank != RANK_PERSON &&
		(currency == NULL || unit_amount <= 0 || line->unit_amount != unit_amount ||
		 strcmp(line->currency, currency) != 0))
		return;
	price_line(line, terms->rank, terms->unit_credits > 0 ? terms->unit_credits : pack.credits,
			   terms->pack_id, &pack);
}

/* Credits that expire at a time that nobody knows are none that can be granted. */
static void
price_lines(Facts *facts, const Terms *terms)
{
	int			i;

	for (i = 0; i < facts->n_lines; i++)
	{
		FactsLine  *line = &facts->lines[i];

		if (terms)
			price_line_by_terms(line, terms);
		else
			price_line_by_price(line);
		if (line->pricing.expires_after && facts->paid_at == FACTS_NO_TIME)
			line->pricing.rank = RANK_NONE;
	}
}

void
catalogue_price_lines(Facts *invoice, const Facts *subscription)
{
	const Pricing *pricing = &subscription->pricing;
	Terms		terms = {
		.rank = pricing->rank,
		.pack_id = pricing->pack_id,
		.unit_credits = pricing->credits,
		.currency = subscription->currency,
		.unit_amount = subscription->amount
	};

	if (pricing->rank != RANK_NONE)
		price_lines(invoice, &terms);
}

/* Terms that can't be used say nothing, but a line's price may. */
static void
complete_invoice(EventReading *reading)
{
	price_lines(&reading->facts, NULL);
	if (reading->reason == NULL || strcmp(reading->reason, "account") == 0)
		price_lines(&reading->facts, &reading->terms);
}

void
catalogue_price(EventReading *reading)
{
	if (reading->nature != FACTS_PAID && reading->nature != FACTS_UNPAID &&
		reading->nature != FACTS_SUBSCRIPTION && reading->nature != FACTS_INVOICE)
		return;
	complete_account(reading);
	if (reading->nature == FACTS_INVOICE)
	{
		complete_invoice(reading);
		return;
	}

	/* with any reason but this one, the terms are no good */
	if (reading->reason && strcmp(reading->reason, "account") != 0)
		return;
	if (reading->nature == FACTS_SUBSCRIPTION)
		complete_subscription(reading);
	else
		complete_credits(reading);
}
