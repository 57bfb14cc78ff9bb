/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  What an event says of a payment.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "reading.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *const account_source_names[ACCOUNT_SOURCES] = {
	"metadata",
	"client_reference_id",
	"customer_email",
	"customer_details_email",
	"customer"
};

const char *
account_source_name(AccountSource source)
{
	return account_source_names[source];
}

bool
account_source_is_email(AccountSource source)
{
	return source == ACCOUNT_FROM_CUSTOMER_EMAIL ||
		source == ACCOUNT_FROM_CUSTOMER_DETAILS_EMAIL;
}

/* A number > 0 as metadata hold it: digits and nothing else. */
static bool
count_from_string(const EventString *string, int64_t *count)
{
	size_t		i;

	*count = 0;
	if (string->state != FIELD_OK || string->length == 0 || string->value[0] == '0')
		return false;
	for (i = 0; i < string->length; i++)
	{
		char		c = string->value[i];

		if (c < '0' || c > '9' ||
			__builtin_mul_overflow(*count, (int64_t) 10, count) ||
			__builtin_add_overflow(*count, (int64_t) (c - '0'), count))
			return false;
	}
	return true;
}

/*
 * Fields
 */

static const char *
string_or_null(const EventString *string)
{
	return string->state == FIELD_OK && string->length > 0 ? string->value : NULL;
}

static bool
is_absent(EventFieldState state)
{
	return state == FIELD_ABSENT || state == FIELD_NULL;
}

static bool
equals(const EventString *string, const char *value)
{
	return string->state == FIELD_OK && strcmp(string->value, value) == 0;
}

/* An id of Stripe's: letters, digits and '_'. */
static bool
is_id(const EventString *id)
{
	size_t		i;

	if (id->state != FIELD_OK || id->length == 0 || id->length > 255)
		return false;
	for (i = 0; i < id->length; i++)
	{
		char		c = id->value[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
}

/* One that begins with a prefix, and goes on. */
static bool
is_object_id(const EventString *id, const char *prefix)
{
	size_t		length = strlen(prefix);

	return is_id(id) && strncmp(id->value, prefix, length) == 0 && id->length > length;
}

static bool
is_charge_id(const EventString *id)
{
	return is_object_id(id, "ch_") || is_object_id(id, "py_");
}

static bool
is_currency(const EventString *currency)
{
	int			i;

	if (currency->state != FIELD_OK || currency->length != 3)
		return false;
	for (i = 0; i < 3; i++)
		if (currency->value[i] < 'a' || currency->value[i] > 'z')
			return false;
	return true;
}

static bool
is_amount(const EventInteger *amount)
{
	return amount->state == FIELD_OK && amount->value >= 0;
}

/* The first reason stands. */
static void
refuse(EventReading *reading, const char *reason)
{
	if (reading->reason == NULL)
		reading->reason = reason;
}

static const EventString *
account_field(const Event *event, AccountSource source)
{
	switch (source)
	{
		case ACCOUNT_FROM_CLIENT_REFERENCE_ID:
			return &event->client_reference_id;
		case ACCOUNT_FROM_CUSTOMER_EMAIL:
			return &event->customer_email;
		case ACCOUNT_FROM_CUSTOMER_DETAILS_EMAIL:
			return &event->customer_details_email;
		case ACCOUNT_FROM_CUSTOMER:
			return &event->customer;
		default:
			return &event->metadata.account;
	}
}

/* An empty string names nobody; a value of another type names somebody unknown. */
static bool
names_account(const Event *event, AccountSource source)
{
	const EventString *field = account_field(event, source);

	return field->state == FIELD_BAD || (field->state == FIELD_OK && field->length > 0);
}

/*
 * The first source that is there decides, even if it cannot be used: to go on
 * to the next would credit somebody else.  What create_checkout() wrote goes
 * before everything.
 */
static bool
choose_account_source(const Event *event, const FactsPolicy *policy, AccountSource *source)
{
	int			i;

	if (event->metadata.install.state == FIELD_OK && names_account(event, ACCOUNT_FROM_METADATA))
	{
		*source = ACCOUNT_FROM_METADATA;
		return true;
	}
	for (i = 0; i < policy->n_account_from; i++)
	{
		*source = policy->account_from[i];
		if (names_account(event, *source))
			return true;
	}
	return false;
}

/*
 * Read last, so that "account" as the reason says that all else is in order:
 * the terms of such a reading are good.
 */
static void
read_account(const Event *event, FactsRank rank, bool found, AccountSource source,
			 EventReading *reading)
{
	const char *account_id = found ? string_or_null(account_field(event, source)) : NULL;

	if (account_id == NULL)
	{
		refuse(reading, "account");
		return;
	}
	reading->account_source = source;
	reading->facts.account_rank = rank;
	reading->facts.account_id = account_id;
	reading->facts.account_from = account_source_name(source);
}

/* Our metadata on how much. */
static void
read_metadata(const EventMetadata *metadata, FactsRank rank, EventReading *reading)
{
	Terms	   *terms = &reading->terms;

	terms->rank = rank;
	if (metadata->install.state == FIELD_BAD)
		refuse(reading, "install");
	if (!is_absent(metadata->pack.state) &&
		(terms->pack_id = string_or_null(&metadata->pack)) == NULL)
		refuse(reading, "pack");
	if (!is_absent(metadata->credits.state) &&
		!count_from_string(&metadata->credits, &terms->unit_credits))
		refuse(reading, "credits");
	if (!is_absent(metadata->quantity.state) &&
		!count_from_string(&metadata->quantity, &terms->quantity))
		refuse(reading, "quantity");
}

/* What a unit of a subscription was sold for. */
static void
read_unit(const EventMetadata *metadata, Terms *terms)
{
	terms->unit_amount = FACTS_NO_AMOUNT;
	if (is_currency(&metadata->currency) &&
		count_from_string(&metadata->unit_amount, &terms->unit_amount))
		terms->currency = metadata->currency.value;
	else
		terms->unit_amount = FACTS_NO_AMOUNT;
}

/* A field of total_details; older sessions have none, which is nothing. */
static bool
read_detail(const EventInteger *detail, int64_t *value)
{
	*value = 0;
	if (is_absent(detail->state))
		return true;
	*value = detail->value;
	return is_amount(detail);
}

/*
 * A session from before 2025-03-31 may carry the seller's own currency in
 * currency_conversion; it has no tax and shipping in it, so these are taken
 * off in proportion.
 */
static void
read_conversion(const Event *event, int64_t net, EventReading *reading)
{
	Terms	   *terms = &reading->terms;

	if (event->currency_conversion != FIELD_OK)
	{
		if (event->currency_conversion == FIELD_BAD)
			refuse(reading, "currency_conversion");
		return;
	}
	if (!is_currency(&event->source_currency) || !is_amount(&event->source_total) ||
		!(is_amount(&event->source_subtotal) || is_absent(event->source_subtotal.state)))
	{
		refuse(reading, "currency_conversion");
		return;
	}
	terms->currency = event->source_currency.value;
	terms->subtotal = is_amount(&event->source_subtotal) ?
		event->source_subtotal.value : FACTS_NO_AMOUNT;
	if (event->amount_total.value == 0)
		terms->net = 0;
	else if (!facts_rate(net, event->source_total.value, event->amount_total.value, &terms->net))
		refuse(reading, "amount");
}

static void
read_session_amounts(const Event *event, EventReading *reading)
{
	Terms	   *terms = &reading->terms;
	int64_t		tax;
	int64_t		shipping;
	int64_t		net;

	if (!is_amount(&event->amount_total) ||
		!(is_amount(&event->amount_subtotal) || is_absent(event->amount_subtotal.state)) ||
		!read_detail(&event->amount_tax, &tax) ||
		!read_detail(&event->amount_shipping, &shipping) ||
		__builtin_sub_overflow(event->amount_total.value, tax, &net) ||
		__builtin_sub_overflow(net, shipping, &net) || net < 0)
	{
		refuse(reading, "amount");
		return;
	}
	if (!is_currency(&event->currency))
	{
		refuse(reading, "currency");
		return;
	}
	reading->facts.amount = event->amount_total.value;
	reading->facts.currency = event->currency.value;
	terms->currency = event->currency.value;
	terms->subtotal = is_amount(&event->amount_subtotal) ?
		event->amount_subtotal.value : FACTS_NO_AMOUNT;
	terms->net = net;
	read_conversion(event, net, reading);
}

/*
 * One of the names that an event has for its payment, if it is there.  The last
 * that is added is the greatest, by which the payment is known.
 */
static bool
add_name(EventReading *reading, const EventString *id, bool valid)
{
	if (is_absent(id->state))
		return true;
	if (!valid)
		return false;
	reading->names[reading->n_names++] = id->value;
	reading->facts.payment_id = id->value;
	return true;
}

static bool
add_charge_name(EventReading *reading, const EventString *id)
{
	return add_name(reading, id, is_charge_id(id));
}

static bool
add_intent_name(EventReading *reading, const EventString *id)
{
	return add_name(reading, id, is_object_id(id, "pi_"));
}

static bool
add_invoice_name(EventReading *reading, const EventString *id)
{
	return add_name(reading, id, is_object_id(id, "in_"));
}

/* It is ours, but what it is about cannot be told. */
static void
give_up(EventReading *reading, const char *reason)
{
	reading->nature = FACTS_UNUSABLE;
	reading->facts.payment_id = NULL;
	refuse(reading, reason);
}

/* The session's payment: its payment intent, or itself if it has none. */
static bool
read_session_ids(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (!is_object_id(&event->object_id, "cs_") ||
		!add_name(reading, &event->object_id, true) ||
		!add_intent_name(reading, &event->payment_intent))
		return false;
	facts->session_id = event->object_id.value;
	facts->customer_id = string_or_null(&event->customer);
	facts->payment_link = string_or_null(&event->payment_link);
	reading->terms.payment_link = facts->payment_link;
	return true;
}

/* Times beyond the year 9999 are no times. */
int64_t
facts_event_time(const Event *event)
{
	return is_amount(&event->created) && event->created.value < INT64_C(253402300800) ?
		event->created.value : FACTS_NO_TIME;
}

/* What is closed is closed, even if nobody knows since when. */
static int64_t
closing_time(const Event *event)
{
	int64_t		seconds = facts_event_time(event);

	return seconds == FACTS_NO_TIME ? 0 : seconds;
}

/* What the session says of whether it is paid. */
static void
read_payment_status(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (event->kind == EVENT_KIND_SESSION_ASYNC_FAILED)
	{
		reading->nature = FACTS_CLOSED;
		facts->failed_at = closing_time(event);
	}
	else if (event->kind == EVENT_KIND_SESSION_EXPIRED)
	{
		reading->nature = FACTS_CLOSED;
		facts->expired_at = closing_time(event);
	}
	else if (equals(&event->payment_status, "paid") ||
			 equals(&event->payment_status, "no_payment_required"))
	{
		reading->nature = FACTS_PAID;
		facts->paid = true;
		facts->paid_at = facts_event_time(event);
	}
	else if (equals(&event->payment_status, "unpaid"))
		reading->nature = FACTS_UNPAID;
	else
	{
		/* a status that we don't know is no ground to credit on */
		reading->nature = FACTS_PAID;
		refuse(reading, "payment_status");
	}
}

static void
read_payment_session(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	AccountSource source = ACCOUNT_FROM_METADATA;
	bool		found;

	if (!read_session_ids(event, reading))
	{
		give_up(reading, "id");
		return;
	}
	read_payment_status(event, reading);
	if (reading->nature == FACTS_CLOSED)
		return;
	read_session_amounts(event, reading);
	read_metadata(&event->metadata, RANK_SESSION, reading);
	found = choose_account_source(event, policy, &source);
	read_account(event, RANK_SESSION, found, source, reading);
}

/* Whose a subscription is, and what was sold; its invoices bring the money. */
static void
read_subscription_session(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	AccountSource source = ACCOUNT_FROM_METADATA;
	bool		found;

	if (event->kind == EVENT_KIND_SESSION_ASYNC_FAILED ||
		event->kind == EVENT_KIND_SESSION_EXPIRED)
		return;
	if (!is_object_id(&event->object_id, "cs_") || !is_object_id(&event->subscription, "sub_"))
	{
		give_up(reading, "id");
		return;
	}
	reading->nature = FACTS_SUBSCRIPTION;
	(void) add_name(reading, &event->subscription, true);
	facts->session_id = event->object_id.value;
	facts->subscription_id = event->subscription.value;
	facts->customer_id = string_or_null(&event->customer);
	facts->payment_link = string_or_null(&event->payment_link);
	read_metadata(&event->metadata, RANK_SESSION, reading);
	read_unit(&event->metadata, &reading->terms);
	found = choose_account_source(event, policy, &source);
	read_account(event, RANK_SESSION, found, source, reading);
	facts->amount = reading->terms.unit_amount;
	facts->currency = reading->terms.currency;
}

static void
read_session(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	if (is_absent(event->mode.state) || equals(&event->mode, "payment"))
		read_payment_session(event, policy, reading);
	else if (equals(&event->mode, "subscription"))
		read_subscription_session(event, policy, reading);
	else if (!equals(&event->mode, "setup"))
		give_up(reading, "session mode");
}

static bool
is_ours(const EventMetadata *metadata)
{
	return !is_absent(metadata->install.state) || !is_absent(metadata->account.state) ||
		!is_absent(metadata->pack.state) || !is_absent(metadata->credits.state);
}

static bool
read_amount(const EventInteger *amount, const EventString *currency, EventReading *reading)
{
	if (!is_amount(amount))
		refuse(reading, "amount");
	else if (!is_currency(currency))
		refuse(reading, "currency");
	else
		return true;
	return false;
}

/* A payment intent counts by our own metadata only. */
static void
read_intent(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (!is_ours(&event->metadata))
		return;
	if (!add_charge_name(reading, &event->latest_charge) ||
		!is_object_id(&event->object_id, "pi_") || !add_intent_name(reading, &event->object_id))
	{
		give_up(reading, "id");
		return;
	}
	reading->nature = FACTS_PAID;
	facts->customer_id = string_or_null(&event->customer);
	if (!is_absent(event->status.state) && !equals(&event->status, "succeeded"))
		refuse(reading, "status");
	else
	{
		facts->paid = true;
		facts->paid_at = facts_event_time(event);
	}
	if (read_amount(&event->amount, &event->currency, reading))
	{
		facts->amount = event->amount.value;
		facts->currency = event->currency.value;
		reading->terms.currency = facts->currency;
		reading->terms.subtotal = facts->amount;
		reading->terms.net = facts->amount;
	}
	read_metadata(&event->metadata, RANK_INTENT, reading);
	if (reading->terms.pack_id == NULL && reading->terms.unit_credits == 0)
		refuse(reading, "credits");
	read_account(event, RANK_INTENT, names_account(event, ACCOUNT_FROM_METADATA),
				 ACCOUNT_FROM_METADATA, reading);
}

/* When an event happened, for putting it in order; unknown is earliest. */
static int64_t
order_time(const Event *event)
{
	int64_t		seconds = facts_event_time(event);

	return seconds == FACTS_NO_TIME ? 0 : seconds;
}

/* When the object was made, which is not after what happened to it. */
static int64_t
object_time(const Event *event)
{
	return is_amount(&event->object_created) ? event->object_created.value : order_time(event);
}

/*
 * Charges, refunds and disputes
 */

static bool
is_paid_charge(const Event *event)
{
	if (event->paid.state == FIELD_OK)
		return event->paid.value;
	return is_absent(event->status.state) || equals(&event->status, "succeeded");
}

/*
 * A charge, which links its names.  Only a charge.refunded says what went back,
 * so that the figure is the same whichever others an endpoint is sent.
 */
static void
read_charge(const Event *event, EventReading *reading)
{
	bool		refunded = event->kind == EVENT_KIND_CHARGE_REFUNDED;
	FactsCharge *charge = &reading->charge;

	reading->nature = refunded ? FACTS_REVERSAL : FACTS_LINK;
	if (!is_charge_id(&event->object_id) || !add_charge_name(reading, &event->object_id) ||
		!add_intent_name(reading, &event->payment_intent) ||
		!add_invoice_name(reading, &event->invoice))
		give_up(reading, "id");
	else if (!read_amount(&event->amount, &event->currency, reading) ||
			 (refunded && !is_amount(&event->amount_refunded)))
		give_up(reading, "amount");
	else
	{
		charge->id = event->object_id.value;
		charge->amount = is_paid_charge(event) || refunded ? event->amount.value : FACTS_NO_AMOUNT;
		charge->currency = event->currency.value;
		charge->refunded_at = refunded ? order_time(event) : -1;
		charge->refunded = refunded ? event->amount_refunded.value : 0;
		reading->facts.charges = charge;
		reading->facts.n_charges = 1;
	}
}

/* Of a refund or a dispute: false if it is of no payment, or can't be used. */
static bool
read_reversal(const Event *event, EventReading *reading)
{
	if (is_absent(event->charge.state) && is_absent(event->payment_intent.state))
		return false;
	reading->nature = FACTS_REVERSAL;
	if (!add_charge_name(reading, &event->charge) ||
		!add_intent_name(reading, &event->payment_intent))
		give_up(reading, "id");
	else if (!read_amount(&event->amount, &event->currency, reading))
		give_up(reading, "amount");
	return reading->nature == FACTS_REVERSAL;
}

/* Refunds had no status once, and were what they seemed. */
static Finality
finality_of(const Event *event)
{
	if (event->status.state != FIELD_OK && event->kind == EVENT_KIND_REFUND_FAILED)
		return REFUND_FAILED;
	if (is_absent(event->status.state))
		return REFUND_SUCCEEDED;
	if (equals(&event->status, "failed") || equals(&event->status, "canceled"))
		return REFUND_FAILED;
	return equals(&event->status, "succeeded") ? REFUND_SUCCEEDED : REFUND_OPEN;
}

static void
read_refund(const Event *event, EventReading *reading)
{
	FactsRefund *refund = &reading->refund;

	if (!read_reversal(event, reading))
		return;
	if (!is_id(&event->object_id))
	{
		give_up(reading, "id");
		return;
	}
	refund->id = event->object_id.value;
	refund->charge_id = string_or_null(&event->charge);
	refund->finality = finality_of(event);
	refund->at = order_time(event);
	refund->amount = event->amount.value;
	refund->currency = event->currency.value;
	refund->created = object_time(event);
	reading->facts.refunds = refund;
	reading->facts.n_refunds = 1;
}

/* If one of them can't be used, or stands there twice, the rest don't tell the sum. */
static void
read_transactions(const Event *event, EventReading *reading)
{
	int			i;

	for (i = 0; i < event->n_transactions; i++)
	{
		const EventTransaction *from = &event->transaction[i];
		FactsTransaction *to = &reading->transactions[i];

		if (!is_id(&from->id) || from->amount.state != FIELD_OK)
			return;
		to->id = from->id.value;
		to->dispute_id = reading->dispute.id;
		to->amount = from->amount.value;
	}
	if (!facts_sort(reading->transactions, event->n_transactions, sizeof(FactsTransaction)))
		return;
	reading->facts.transactions = reading->transactions;
	reading->facts.n_transactions = event->n_transactions;
}

static DisputeFunds
funds_of(const Event *event)
{
	if (event->kind == EVENT_KIND_FUNDS_WITHDRAWN)
		return FUNDS_WITHDRAWN;
	return event->kind == EVENT_KIND_FUNDS_REINSTATED ? FUNDS_REINSTATED : FUNDS_UNKNOWN;
}

/* Disputes had no id once: then the charge's names it. */
static void
read_dispute(const Event *event, EventReading *reading)
{
	FactsDispute *dispute = &reading->dispute;
	const EventString *id = is_absent(event->object_id.state) ? &event->charge : &event->object_id;

	if (!read_reversal(event, reading))
		return;
	if (!is_id(id))
	{
		give_up(reading, "id");
		return;
	}
	dispute->id = id->value;
	dispute->at = order_time(event);
	dispute->status = event->status.state == FIELD_OK ?
		dispute_status_from_name(event->status.value) : DISPUTE_UNKNOWN;
	dispute->amount = event->amount.value;
	dispute->currency = event->currency.value;
	dispute->funds = funds_of(event);
	dispute->funds_at = dispute->funds == FUNDS_UNKNOWN ? -1 : order_time(event);
	reading->facts.disputes = dispute;
	reading->facts.n_disputes = 1;
	read_transactions(event, reading);
}

/*
 * Invoices
 */

/*
 * What the subscription's metadata were when the invoice was made: with the
 * subscription itself, or before 2023 with each of its lines.
 */
static const EventMetadata *
invoice_metadata(const Event *event)
{
	int			i;

	if (is_ours(&event->parent_metadata))
		return &event->parent_metadata;
	if (is_ours(&event->subscription_metadata))
		return &event->subscription_metadata;
	for (i = 0; i < event->n_lines; i++)
		if (is_ours(&event->line[i].metadata))
			return &event->line[i].metadata;
	return &event->parent_metadata;
}

static bool
is_true(const EventBoolean *boolean)
{
	return boolean->state == FIELD_OK && boolean->value;
}

static bool
is_proration(const EventLine *line)
{
	return is_true(&line->proration) || is_true(&line->item_proration) ||
		is_true(&line->invoice_item_proration);
}

static bool
is_subscription_line(const EventLine *line)
{
	if (line->parent == FIELD_OK)
		return equals(&line->parent_type, "subscription_item_details");
	return equals(&line->type, "subscription");
}

static const EventString *
subscription_of(const Event *event)
{
	int			i;

	if (!is_absent(event->parent_subscription.state))
		return &event->parent_subscription;
	if (!is_absent(event->subscription.state))
		return &event->subscription;
	for (i = 0; i < event->n_lines; i++)
	{
		const EventLine *line = &event->line[i];

		if (is_subscription_line(line))
			return is_absent(line->item_subscription.state) ?
				&line->subscription : &line->item_subscription;
	}
	return &event->subscription;
}

static const char *
price_of(const EventLine *line)
{
	if (is_id(&line->pricing_price))
		return line->pricing_price.value;
	if (is_id(&line->price_id))
		return line->price_id.value;
	return is_id(&line->plan_id) ? line->plan_id.value : NULL;
}

/* A line that grants; false if it can't be used. */
static bool
read_line(const EventLine *from, FactsLine *to)
{
	memset(to, 0, sizeof(FactsLine));
	if (!is_id(&from->id) || !is_amount(&from->amount) || !is_currency(&from->currency) ||
		from->quantity.state == FIELD_BAD)
		return false;
	to->id = from->id.value;
	to->price_id = price_of(from);
	to->currency = from->currency.value;
	to->quantity = from->quantity.state == FIELD_OK && from->quantity.value > 0 ?
		from->quantity.value : 1;
	if (from->amount.value % to->quantity == 0)
		to->unit_amount = from->amount.value / to->quantity;
	else
		to->unit_amount = FACTS_NO_AMOUNT;
	to->pricing.rank = RANK_NONE;
	return true;
}

/*
 * A line grants if it is a subscription's, no proration, and came to more than
 * nothing before discounts.
 */
static bool
grants(const EventLine *line)
{
	return is_subscription_line(line) && !is_proration(line) &&
		!(line->amount.state == FIELD_OK && line->amount.value <= 0);
}

/* Returns why they can't be used, or NULL. */
static const char *
read_lines(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	bool		prorated = false;
	int			i;

	facts->lines = reading->lines;
	if (event->lines_data != FIELD_OK || is_true(&event->lines_has_more))
		return "lines";
	for (i = 0; i < event->n_lines; i++)
	{
		if (is_proration(&event->line[i]))
			prorated = true;
		else if (grants(&event->line[i]) &&
				 !read_line(&event->line[i], &facts->lines[facts->n_lines++]))
			return "amount";
	}
	/* each line is known by its id, or none of them is */
	if (!facts_sort(facts->lines, facts->n_lines, sizeof(FactsLine)))
		return "lines";
	return facts->n_lines == 0 && prorated && facts->amount > 0 ? "proration" : NULL;
}

/* An invoice without a line that grants is worth nothing, and known to be. */
static void
price_no_lines(Facts *facts)
{
	facts->pricing.rank = RANK_LINES;
	facts->pricing.terms = "lines";
}

static void
read_invoice_lines(const Event *event, EventReading *reading)
{
	const char *why = read_lines(event, reading);

	if (why)
	{
		reading->facts.n_lines = 0;
		refuse(reading, why);
	}
	else if (reading->facts.n_lines == 0)
		price_no_lines(&reading->facts);
}

static bool
read_invoice_names(const Event *event, const EventString *subscription, EventReading *reading)
{
	return is_object_id(subscription, "sub_") && is_object_id(&event->object_id, "in_") &&
		add_charge_name(reading, &event->charge) &&
		add_intent_name(reading, &event->payment_intent) &&
		add_invoice_name(reading, &event->object_id);
}

/* Our metadata on an invoice need not say who: the subscription's session may. */
static void
read_invoice_account(const EventMetadata *metadata, Facts *facts)
{
	if ((facts->account_id = string_or_null(&metadata->account)) == NULL)
		return;
	facts->account_rank = RANK_INTENT;
	facts->account_from = account_source_name(ACCOUNT_FROM_METADATA);
}

static void
read_invoice(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;
	const EventString *subscription = subscription_of(event);
	const EventMetadata *metadata = invoice_metadata(event);

	if (equals(&event->billing_reason, "manual") || is_absent(subscription->state))
		return;
	reading->nature = FACTS_INVOICE;
	if (!read_invoice_names(event, subscription, reading))
	{
		give_up(reading, "id");
		return;
	}
	facts->subscription_id = subscription->value;
	facts->customer_id = string_or_null(&event->customer);
	facts->paid = true;
	facts->paid_at = facts_event_time(event);
	read_metadata(metadata, RANK_INTENT, reading);
	read_unit(metadata, &reading->terms);
	read_invoice_account(metadata, facts);
	if (read_amount(&event->amount_paid, &event->currency, reading))
	{
		facts->amount = event->amount_paid.value;
		facts->currency = event->currency.value;
		read_invoice_lines(event, reading);
	}
}

static void
read_invoice_payment(const Event *event, EventReading *reading)
{
	if (is_absent(event->payment_charge.state) && is_absent(event->payment_payment_intent.state))
		return;
	reading->nature = FACTS_LINK;
	if (!add_charge_name(reading, &event->payment_charge) ||
		!add_intent_name(reading, &event->payment_payment_intent) ||
		!is_object_id(&event->invoice, "in_") || !add_invoice_name(reading, &event->invoice))
		give_up(reading, "id");
}

/*
 * All kinds
 */

static bool
is_of_other_install(const EventMetadata *metadata, const FactsPolicy *policy)
{
	return metadata->install.state == FIELD_OK &&
		strcasecmp(metadata->install.value, policy->install_id) != 0;
}

/* Wherever metadata may stand: an invoice has them in several places. */
static bool
names_other_install(const Event *event, const FactsPolicy *policy)
{
	int			i;

	for (i = 0; i < event->n_lines; i++)
		if (is_of_other_install(&event->line[i].metadata, policy))
			return true;
	return is_of_other_install(&event->metadata, policy) ||
		is_of_other_install(&event->parent_metadata, policy) ||
		is_of_other_install(&event->subscription_metadata, policy);
}

/* Whether the event belongs to somebody else: another account, install or mode. */
static bool
is_foreign(const Event *event, const FactsPolicy *policy)
{
	int			i;

	if (names_other_install(event, policy))
		return true;
	if (event->livemode.state == FIELD_OK && !event->livemode.value && policy->live)
		return true;
	if (is_absent(event->account.state))
		return false;
	for (i = 0; i < policy->n_connected_accounts; i++)
		if (equals(&event->account, policy->connected_accounts[i]))
			return false;
	return true;
}

static void
read_object(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	if (event->data_object != FIELD_OK && event->kind != EVENT_KIND_PAYMENT_SUCCEEDED)
	{
		give_up(reading, "id");
		return;
	}
	switch (event->kind)
	{
		case EVENT_KIND_PAYMENT_SUCCEEDED:
			read_intent(event, reading);
			break;
		case EVENT_KIND_CHARGE:
		case EVENT_KIND_CHARGE_REFUNDED:
			read_charge(event, reading);
			break;
		case EVENT_KIND_REFUND:
		case EVENT_KIND_REFUND_FAILED:
			read_refund(event, reading);
			break;
		case EVENT_KIND_DISPUTE:
		case EVENT_KIND_FUNDS_WITHDRAWN:
		case EVENT_KIND_FUNDS_REINSTATED:
			read_dispute(event, reading);
			break;
		case EVENT_KIND_INVOICE_PAID:
			read_invoice(event, reading);
			break;
		case EVENT_KIND_INVOICE_PAYMENT_PAID:
			read_invoice_payment(event, reading);
			break;
		default:
			read_session(event, policy, reading);
			break;
	}
}

void
facts_read(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	/* the lists say themselves how much of them is good */
	memset(reading, 0, offsetof(EventReading, charge));
	facts_init(&reading->facts);
	reading->nature = FACTS_IGNORED;
	reading->terms.subtotal = FACTS_NO_AMOUNT;
	reading->terms.unit_amount = FACTS_NO_AMOUNT;
	if (event->kind == EVENT_KIND_OTHER || is_foreign(event, policy))
		return;

	reading->facts.livemode = event->livemode.value;
	reading->facts.connected_account = string_or_null(&event->account);
	read_object(event, policy, reading);
	if (reading->nature == FACTS_IGNORED)
		return;

	/* whose money it is cannot be told: nothing of it may be merged */
	if (event->livemode.state != FIELD_OK)
	{
		reading->nature = FACTS_UNUSABLE;
		reading->reason = "livemode";
	}
	else
		reading->wrong_mode = event->livemode.value && !policy->live;
}
