/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  What an event says of a payment, and how that merges with what is known.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "facts.h"

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

void
facts_init(Facts *facts)
{
	memset(facts, 0, sizeof(Facts));
	facts->amount = FACTS_NO_AMOUNT;
	facts->paid_at = FACTS_NO_TIME;
	facts->failed_at = FACTS_NO_TIME;
	facts->expired_at = FACTS_NO_TIME;
	facts->account_rank = RANK_NONE;
	facts->credits_rank = RANK_NONE;
}

/*
 * Arithmetic
 */

bool
facts_units(int64_t amount, int64_t unit_amount, int64_t *units)
{
	if (amount <= 0 || unit_amount <= 0 || amount % unit_amount != 0)
		return false;
	*units = amount / unit_amount;
	return true;
}

bool
facts_multiply(int64_t credits, int64_t quantity, int64_t *product)
{
	return !__builtin_mul_overflow(credits, quantity, product);
}

/* floor(net * credits / per_amount); nothing here is negative */
bool
facts_rate(int64_t net, int64_t credits, int64_t per_amount, int64_t *result)
{
	__int128	quotient;

	if (net < 0 || credits < 0 || per_amount <= 0)
		return false;
	quotient = (__int128) net * credits / per_amount;
	if (quotient > INT64_MAX)
		return false;
	*result = (int64_t) quotient;
	return true;
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
 * Reading an event
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

/* An id of Stripe's: a short lower-case prefix, '_', letters, digits and '_'. */
static bool
is_object_id(const EventString *id, const char *prefix)
{
	size_t		length = strlen(prefix);
	size_t		i;

	if (id->state != FIELD_OK || strncmp(id->value, prefix, length) != 0 ||
		id->length == length || id->length > 255)
		return false;
	for (i = length; i < id->length; i++)
	{
		char		c = id->value[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return true;
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
			return &event->meta_account;
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

	if (event->meta_install.state == FIELD_OK && names_account(event, ACCOUNT_FROM_METADATA))
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
read_metadata(const Event *event, FactsRank rank, EventReading *reading)
{
	Terms	   *terms = &reading->terms;

	terms->rank = rank;
	if (event->meta_install.state == FIELD_BAD)
		refuse(reading, "install");
	if (!is_absent(event->meta_pack.state) &&
		(terms->pack_id = string_or_null(&event->meta_pack)) == NULL)
		refuse(reading, "pack");
	if (!is_absent(event->meta_credits.state) &&
		!count_from_string(&event->meta_credits, &terms->unit_credits))
		refuse(reading, "credits");
	if (!is_absent(event->meta_quantity.state) &&
		!count_from_string(&event->meta_quantity, &terms->quantity))
		refuse(reading, "quantity");
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

/* The session's payment: its payment intent, or itself if it has none. */
static bool
read_session_ids(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (!is_object_id(&event->object_id, "cs_") ||
		!(is_absent(event->payment_intent.state) || is_object_id(&event->payment_intent, "pi_")))
		return false;
	facts->session_id = event->object_id.value;
	facts->payment_id = event->payment_intent.state == FIELD_OK ?
		event->payment_intent.value : event->object_id.value;
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
		reading->nature = FACTS_UNUSABLE;
		refuse(reading, "id");
		return;
	}
	read_payment_status(event, reading);
	if (reading->nature == FACTS_CLOSED)
		return;
	read_session_amounts(event, reading);
	read_metadata(event, RANK_SESSION, reading);
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
	int64_t		unit_amount;

	if (event->kind == EVENT_KIND_SESSION_ASYNC_FAILED ||
		event->kind == EVENT_KIND_SESSION_EXPIRED)
		return;
	if (!is_object_id(&event->object_id, "cs_") || !is_object_id(&event->subscription, "sub_"))
	{
		reading->nature = FACTS_UNUSABLE;
		refuse(reading, "id");
		return;
	}
	reading->nature = FACTS_SUBSCRIPTION;
	facts->payment_id = event->subscription.value;
	facts->session_id = event->object_id.value;
	facts->subscription_id = event->subscription.value;
	facts->customer_id = string_or_null(&event->customer);
	read_metadata(event, RANK_SESSION, reading);
	found = choose_account_source(event, policy, &source);
	read_account(event, RANK_SESSION, found, source, reading);
	if (count_from_string(&event->meta_unit_amount, &unit_amount) &&
		is_currency(&event->meta_currency))
	{
		facts->amount = unit_amount;
		facts->currency = event->meta_currency.value;
	}
}

static void
read_session(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	if (event->data_object != FIELD_OK)
	{
		reading->nature = FACTS_UNUSABLE;
		refuse(reading, "id");
	}
	else if (is_absent(event->mode.state) || equals(&event->mode, "payment"))
		read_payment_session(event, policy, reading);
	else if (equals(&event->mode, "subscription"))
		read_subscription_session(event, policy, reading);
	else if (!equals(&event->mode, "setup"))
	{
		reading->nature = FACTS_UNUSABLE;
		refuse(reading, "session mode");
	}
}

static bool
has_our_metadata(const Event *event)
{
	return !is_absent(event->meta_install.state) || !is_absent(event->meta_account.state) ||
		!is_absent(event->meta_pack.state) || !is_absent(event->meta_credits.state);
}

/* A payment intent counts by our own metadata only. */
static void
read_intent(const Event *event, EventReading *reading)
{
	Facts	   *facts = &reading->facts;

	if (!has_our_metadata(event))
		return;
	if (!is_object_id(&event->object_id, "pi_"))
	{
		reading->nature = FACTS_UNUSABLE;
		refuse(reading, "id");
		return;
	}
	reading->nature = FACTS_PAID;
	facts->payment_id = event->object_id.value;
	facts->customer_id = string_or_null(&event->customer);
	if (!is_absent(event->status.state) && !equals(&event->status, "succeeded"))
		refuse(reading, "status");
	else
	{
		facts->paid = true;
		facts->paid_at = facts_event_time(event);
	}
	if (!is_amount(&event->amount))
		refuse(reading, "amount");
	else if (!is_currency(&event->currency))
		refuse(reading, "currency");
	else
	{
		facts->amount = event->amount.value;
		facts->currency = event->currency.value;
		reading->terms.currency = facts->currency;
		reading->terms.subtotal = facts->amount;
		reading->terms.net = facts->amount;
	}
	read_metadata(event, RANK_INTENT, reading);
	if (reading->terms.pack_id == NULL && reading->terms.unit_credits == 0)
		refuse(reading, "credits");
	read_account(event, RANK_INTENT, names_account(event, ACCOUNT_FROM_METADATA),
				 ACCOUNT_FROM_METADATA, reading);
}

/* Whether the event belongs to somebody else: another account, install or mode. */
static bool
is_foreign(const Event *event, const FactsPolicy *policy)
{
	int			i;

	if (event->meta_install.state == FIELD_OK &&
		strcasecmp(event->meta_install.value, policy->install_id) != 0)
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

void
facts_read(const Event *event, const FactsPolicy *policy, EventReading *reading)
{
	memset(reading, 0, sizeof(EventReading));
	facts_init(&reading->facts);
	reading->nature = FACTS_IGNORED;
	reading->terms.subtotal = FACTS_NO_AMOUNT;
	if (event->kind == EVENT_KIND_OTHER || is_foreign(event, policy))
		return;
	if (event->kind == EVENT_KIND_KEPT)
	{
		reading->nature = FACTS_KEPT;
		return;
	}

	reading->facts.livemode = event->livemode.value;
	reading->facts.connected_account = string_or_null(&event->account);
	if (event->kind == EVENT_KIND_PAYMENT_SUCCEEDED)
		read_intent(event, reading);
	else
		read_session(event, policy, reading);
	if (reading->nature == FACTS_IGNORED)
		return;

	if (event->livemode.state != FIELD_OK)
	{
		/* whose money it is cannot be told: nothing of it may be merged */
		reading->nature = FACTS_UNUSABLE;
		reading->reason = "livemode";
	}
	else
		reading->wrong_mode = event->livemode.value && !policy->live;
}

/*
 * Merging
 */

/* Which of two strings stays: the only one, or the smaller. */
static bool
merge_string(const char **known, const char *news)
{
	if (news == NULL || (*known != NULL && strcmp(*known, news) <= 0))
		return false;
	*known = news;
	return true;
}

static bool
merge_least(int64_t *known, int64_t news)
{
	if (news >= *known)
		return false;
	*known = news;
	return true;
}

/* An amount and its currency belong together: the smaller amount's. */
static bool
merge_amount(Facts *known, const Facts *news)
{
	if (news->amount == FACTS_NO_AMOUNT)
		return false;
	if (known->amount != FACTS_NO_AMOUNT &&
		(news->amount > known->amount ||
		 (news->amount == known->amount && strcmp(news->currency, known->currency) >= 0)))
		return false;
	known->amount = news->amount;
	known->currency = news->currency;
	return true;
}

/* The account that the better rank names; within a rank the smallest. */
static bool
merge_account(Facts *known, const Facts *news)
{
	int			order;

	if (news->account_rank == RANK_NONE || news->account_rank > known->account_rank)
		return false;
	if (news->account_rank == known->account_rank)
	{
		order = strcmp(news->account_id, known->account_id);
		if (order > 0 ||
			(order == 0 && strcmp(news->account_from, known->account_from) >= 0))
			return false;
	}
	known->account_rank = news->account_rank;
	known->account_id = news->account_id;
	known->account_from = news->account_from;
	return true;
}

/*
 * The credits that the better rank gives; within a rank the fewest.  If the
 * same terms were computed before, perhaps from another catalogue, that stands.
 */
static bool
merge_credits(Facts *known, const Facts *news)
{
	int			order;

	if (news->credits_rank == RANK_NONE)
		return false;
	order = known->credits_rank == RANK_NONE ? -1 : strcmp(news->terms, known->terms);
	if (order == 0 || news->credits_rank > known->credits_rank)
		return false;
	if (news->credits_rank == known->credits_rank &&
		(news->credits > known->credits || (news->credits == known->credits && order > 0)))
		return false;
	known->credits_rank = news->credits_rank;
	known->credits = news->credits;
	known->pack_id = news->pack_id;
	known->terms = news->terms;
	known->priority = news->priority;
	known->expires_after = news->expires_after;
	return true;
}

bool
facts_merge(Facts *known, const Facts *news)
{
	bool		changed = false;

	/* one of the payment's names, and so never changed for another */
	if (known->session_id == NULL && news->session_id != NULL)
	{
		known->session_id = news->session_id;
		changed = true;
	}
	changed |= merge_string(&known->connected_account, news->connected_account);
	changed |= merge_string(&known->subscription_id, news->subscription_id);
	changed |= merge_string(&known->customer_id, news->customer_id);
	changed |= merge_string(&known->payment_link, news->payment_link);
	changed |= merge_amount(known, news);
	changed |= merge_least(&known->paid_at, news->paid_at);
	changed |= merge_least(&known->failed_at, news->failed_at);
	changed |= merge_least(&known->expired_at, news->expired_at);
	if (news->paid && !known->paid)
		changed = known->paid = true;
	changed |= merge_account(known, news);
	changed |= merge_credits(known, news);
	return changed;
}

int64_t
facts_due(const Facts *facts)
{
	return facts->paid && facts->credits_rank != RANK_NONE ? facts->credits : 0;
}

bool
facts_known(const Facts *facts)
{
	return facts->account_rank != RANK_NONE && facts->credits_rank != RANK_NONE;
}
