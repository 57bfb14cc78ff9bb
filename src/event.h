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
	EVENT_KIND_KEPT				/* charges, refunds, disputes, invoices: see
								 * event_kind() */
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

/*
 * A container's state (data, metadata, ...) is OK for an object, NULL for null,
 * BAD for anything else, in which case every field inside it is BAD too.
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

	/* data.object, a checkout.session or a payment_intent */
	EventString object_id;		/* "id" */
	EventString mode;
	EventString payment_status;
	EventString status;
	EventString payment_intent;
	EventString subscription;
	EventString customer;
	EventString client_reference_id;
	EventString customer_email;
	EventString payment_link;
	EventString currency;
	EventInteger amount;
	EventInteger amount_subtotal;
	EventInteger amount_total;

	/* data.object.customer_details */
	EventFieldState customer_details;
	EventString customer_details_email; /* "email" */

	/* data.object.total_details */
	EventFieldState total_details;
	EventInteger amount_tax;
	EventInteger amount_shipping;

	/* data.object.currency_conversion */
	EventFieldState currency_conversion;
	EventString source_currency;
	EventInteger source_subtotal;	/* "amount_subtotal" */
	EventInteger source_total;	/* "amount_total" */

	/* data.object.metadata, the keys that begin with stripe_credit_ */
	EventFieldState metadata;
	EventString meta_install;
	EventString meta_account;
	EventString meta_pack;
	EventString meta_credits;
	EventString meta_quantity;
	EventString meta_unit_amount;
	EventString meta_currency;
} Event;

/*
 * Parse a body.  Decoded strings are written to buffer, which must have room
 * for length + 1 octets and must live as long as the event.  Duplicates and
 * \u0000 inside data.object count only if the kind says that it is read, that
 * is for neither OTHER nor KEPT.
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
