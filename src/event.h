/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What happened?  One pass over a webhook's body, which must be one strict
 *	  JSON object in UTF-8, into a struct of the fields that we read.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc, so that it can be
 * tested and fuzzed alone.  It judges form only; what a field means is for
 * facts.c and payment.c to say.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_MAX_DEPTH		64	/* the outermost object is level 1 */

typedef enum EventVerdict
{
	EVENT_OK,
	EVENT_NOT_UTF8,				/* not valid UTF-8, or a byte order mark */
	EVENT_NOT_JSON,				/* violates the JSON grammar, or trailing garbage */
	EVENT_NOT_OBJECT,			/* JSON, but not an object */
	EVENT_TOO_DEEP,				/* nested deeper than EVENT_MAX_DEPTH */
	EVENT_NOT_EVENT,			/* no "object": "event" */
	EVENT_THIN,					/* "object": "v2.core.event" */
	EVENT_BAD_ID,				/* id is not evt_[A-Za-z0-9_]{1,250} */
	EVENT_DUPLICATE_FIELD,		/* a field that we read stands there twice */
	EVENT_NUL_CHARACTER			/* a field that we read holds \u0000, or half of a surrogate pair */
} EventVerdict;

/* What the type of an event means to us. */
typedef enum EventKind
{
	EVENT_KIND_OTHER,			/* nothing of data.object is read */
	EVENT_KIND_SESSION_COMPLETED,	/* checkout.session.completed */
	EVENT_KIND_SESSION_ASYNC_SUCCEEDED, /* checkout.session.async_payment_succeeded */
	EVENT_KIND_SESSION_ASYNC_FAILED,	/* checkout.session.async_payment_failed */
	EVENT_KIND_SESSION_EXPIRED, /* checkout.session.expired */
	EVENT_KIND_PAYMENT_SUCCEEDED,	/* payment_intent.succeeded */
	EVENT_KIND_CHARGE,			/* charge.succeeded, charge.updated */
	EVENT_KIND_CHARGE_REFUNDED, /* charge.refunded */
	EVENT_KIND_REFUND,			/* refund.created, refund.updated,
								 * charge.refund.updated */
	EVENT_KIND_REFUND_FAILED,	/* refund.failed */
	EVENT_KIND_DISPUTE,			/* charge.dispute.* but the next two */
	EVENT_KIND_FUNDS_WITHDRAWN, /* charge.dispute.funds_withdrawn */
	EVENT_KIND_FUNDS_REINSTATED,	/* charge.dispute.funds_reinstated */
	EVENT_KIND_INVOICE_PAID,	/* invoice.paid */
	EVENT_KIND_INVOICE_PAYMENT_PAID /* invoice_payment.paid */
} EventKind;

/*
 * How a field stood there.  BAD is a value of another type than the field's,
 * or a number that is no strict integer token (-?(0|[1-9][0-9]*)) or does not
 * fit int64.
 */
typedef enum EventFieldState
{
	FIELD_ABSENT,
	FIELD_NULL,
	FIELD_BAD,
	FIELD_OK
} EventFieldState;

typedef struct EventString
{
	EventFieldState state;
	size_t		length;
	const char *value;			/* decoded, NUL-terminated; NULL unless OK */
} EventString;

typedef struct EventInteger
{
	EventFieldState state;
	int64_t		value;			/* 0 unless OK */
} EventInteger;

typedef struct EventBoolean
{
	EventFieldState state;
	bool		value;			/* false unless OK */
} EventBoolean;

/* The keys of an object's metadata that begin with stripe_credit_. */
typedef struct EventMetadata
{
	EventFieldState state;
	EventString install;
	EventString account;
	EventString pack;
	EventString credits;
	EventString quantity;
	EventString unit_amount;
	EventString currency;
} EventMetadata;

/* An element of a dispute's balance_transactions. */
typedef struct EventTransaction
{
	EventFieldState state;
	EventString id;
	EventInteger amount;
} EventTransaction;

/* An element of an invoice's lines.data; before 2025-03-31 the first, then the second half. */
typedef struct EventLine
{
	EventFieldState state;
	EventString id;
	EventInteger amount;		/* before discounts */
	EventString currency;
	EventInteger quantity;
	EventMetadata metadata;

	EventString type;
	EventBoolean proration;
	EventString subscription;
	EventFieldState price;
	EventString price_id;		/* price.id */
	EventFieldState plan;
	EventString plan_id;		/* plan.id, before 2020 */

	EventFieldState parent;
	EventString parent_type;	/* parent.type */
	EventFieldState item_details;	/* parent.subscription_item_details */
	EventBoolean item_proration;	/* .proration */
	EventString item_subscription;	/* .subscription */
	EventFieldState invoice_item_details;	/* parent.invoice_item_details */
	EventBoolean invoice_item_proration;	/* .proration */
	EventFieldState pricing;
	EventFieldState price_details;	/* pricing.price_details */
	EventString pricing_price;	/* .price */
} EventLine;

#define EVENT_MAX_TRANSACTIONS	32
#define EVENT_MAX_LINES			100

/*
 * A container's state (data, metadata, ...) is OK for an object, NULL for null,
 * BAD for anything else, in which case every field inside it is BAD too.  An
 * array's is OK for an array; it is BAD, and its count 0, for anything else and
 * if it has more elements than there is room for.  Of an array the elements up
 * to its count are good, and nothing beyond is to be read.
 */
typedef struct Event
{
	EventKind	kind;

	/* the envelope */
	EventString id;
	EventString object;
	EventString type;
	EventString account;
	EventInteger created;
	EventBoolean livemode;
	EventFieldState data;
	EventFieldState data_object;

	/* data.object, whatever it is */
	EventString object_id;		/* "id" */
	EventString status;
	EventString currency;
	EventString customer;
	EventString payment_intent;
	EventString charge;			/* of a refund, a dispute, an invoice */
	EventString invoice;		/* of a charge, an invoice_payment */
	EventString subscription;	/* of a session, an invoice */
	EventInteger amount;
	EventInteger object_created;	/* "created" */
	EventMetadata metadata;

	/* a checkout.session */
	EventString mode;
	EventString payment_status;
	EventString client_reference_id;
	EventString customer_email;
	EventString payment_link;
	EventInteger amount_subtotal;
	EventInteger amount_total;
	EventFieldState customer_details;
	EventString customer_details_email; /* customer_details.email */
	EventFieldState total_details;
	EventInteger amount_tax;	/* total_details.amount_tax */
	EventInteger amount_shipping;	/* total_details.amount_shipping */
	EventFieldState currency_conversion;
	EventString source_currency;	/* currency_conversion.source_currency */
	EventInteger source_subtotal;	/* currency_conversion.amount_subtotal */
	EventInteger source_total;	/* currency_conversion.amount_total */

	/* a payment_intent */
	EventString latest_charge;

	/* a charge */
	EventBoolean paid;
	EventInteger amount_refunded;

	/* an invoice */
	EventString billing_reason;
	EventInteger amount_paid;
	EventFieldState parent;
	EventFieldState parent_details; /* parent.subscription_details */
	EventString parent_subscription;	/* parent.subscription_details.subscription */
	EventMetadata parent_metadata;	/* parent.subscription_details.metadata */
	EventFieldState subscription_details;
	EventMetadata subscription_metadata;	/* subscription_details.metadata */
	EventFieldState lines;
	EventBoolean lines_has_more;	/* lines.has_more */
	EventFieldState lines_data; /* lines.data, an array */

	/* an invoice_payment */
	EventFieldState payment;
	EventString payment_payment_intent; /* payment.payment_intent */
	EventString payment_charge; /* payment.charge */

	/* a dispute */
	EventFieldState balance_transactions;	/* an array */

	int			n_transactions;
	int			n_lines;
	EventTransaction transaction[EVENT_MAX_TRANSACTIONS];
	EventLine	line[EVENT_MAX_LINES];
} Event;

/*
 * Parse a body.  Decoded strings are written to buffer, which must have room
 * for length + 1 octets and must live as long as the event.  Duplicates and
 * \u0000 inside data.object count only if the kind is not OTHER.
 */
extern EventVerdict event_parse(const char *body, size_t length, char *buffer, Event *event);

/*
 * Write the fields that were read as a JSON text of Stripe's own shape, which
 * event_parse() reads back to the same event (a BAD field stays BAD).
 */
typedef void (*EventAppend) (void *target, const char *data, size_t length);
extern void event_write_facts(const Event *event, EventAppend append, void *target);

extern EventKind event_kind(const char *type, size_t length);
extern const char *event_verdict_detail(EventVerdict verdict);

#endif							/* EVENT_H */
