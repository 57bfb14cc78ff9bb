/*-------------------------------------------------------------------------
 *
 * stripe.h
 *	  Stripe's API: who asks, how often it is tried, and what its errors mean.
 *
 * A request is tried again as Stripe's own clients do, within one deadline; a POST
 * always has an idempotency key, so that it takes effect once.  Nothing that a
 * rollback should undo happens in here, and no account may be locked while Stripe
 * is asked.
 *
 * The key is in no message.  The caller is not inside SPI.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef STRIPE_H
#define STRIPE_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

typedef struct StripeRequest
{
	const char *method;			/* GET, POST or DELETE */
	const char *path;			/* "/v1/..." */
	const char *params;			/* a JSON object, or NULL */
	const char *idempotency_key;	/* of a POST; NULL: one of its own */
} StripeRequest;

typedef struct StripeAnswer
{
	int			status;
	TimestampTz answered_at;	/* by Stripe's clock; ours if it didn't say */
	Jsonb	   *body;			/* an object */
	char	   *request_id;		/* or NULL */
} StripeAnswer;

/*
 * Ask Stripe.  Raises 55000 without a key for the mode, 08006 if there is no
 * answer, PT502 if it can't be used, and 22023 for parameters that can't be sent.
 */
extern void stripe_send(const StripeRequest *request, StripeAnswer *answer);

/* Raise PT502 if Stripe has refused. */
extern void stripe_check(const StripeAnswer *answer);

/* Both. */
extern Jsonb *stripe_call(const StripeRequest *request);

/* Whether it is an API key, and of which mode. */
extern bool stripe_key_mode(const char *key, bool *live);

#endif							/* STRIPE_H */
