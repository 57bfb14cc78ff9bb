/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  What is now true?  What an event says of a payment, how that merges with
 *	  what is known of it, and how many credits are due.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc and no clock.
 * Strings are borrowed from the event or from the caller.
 *
 * facts_merge() is commutative, associative and idempotent as long as the
 * catalogue stays what it is, so events may come in any order and any number.
 * That rests on this: a payment has at most one session; and under one
 * catalogue, equal terms have equal rank and credits.  If the catalogue changes, what was computed once stays: the same
 * terms are never computed again.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef FACTS_H
#define FACTS_H

#include "event.h"

#define FACTS_NO_TIME		INT64_MAX
#define FACTS_NO_AMOUNT		INT64_C(-1)

/* Who says so: the lower number is believed. */
typedef enum FactsRank
{
	RANK_PERSON = 1,			/* resolve() */
	RANK_SESSION = 2,			/* the session's metadata, or for an account
								 * whatever the session names */
	RANK_INTENT = 3,			/* our metadata on the payment intent */
	RANK_LINK = 4,				/* the payment link's pack */
	RANK_RATE = 5,				/* the rate of the currency */
	RANK_NONE = 9				/* nobody */
} FactsRank;

/* What an event is, as far as money is concerned. */
typedef enum FactsNature
{
	FACTS_IGNORED,				/* not ours to act on */
	FACTS_KEPT,					/* of a kind that is kept until it is acted on */
	FACTS_UNUSABLE,				/* ours, but it cannot be told which payment */
	FACTS_PAID,
	FACTS_UNPAID,				/* will be paid later, or not */
	FACTS_CLOSED,				/* will not be paid */
	FACTS_SUBSCRIPTION			/* says whose a subscription is */
} FactsNature;

typedef struct Facts
{
	const char *payment_id;
	bool		livemode;
	const char *connected_account;
	const char *session_id;
	const char *subscription_id;
	const char *customer_id;
	const char *payment_link;
	int64_t		amount;			/* minor units, or FACTS_NO_AMOUNT */
	const char *currency;		/* of the amount, if there is one */
	bool		paid;
	int64_t		paid_at;		/* seconds since 1970, or FACTS_NO_TIME */
	int64_t		failed_at;
	int64_t		expired_at;

	/* who */
	FactsRank	account_rank;
	const char *account_id;
	const char *account_from;	/* the field that named it */

	/* how much */
	FactsRank	credits_rank;
	int64_t		credits;
	const char *pack_id;
	const char *terms;			/* what the credits were computed from */
	const char *priority;		/* of the lot, as text; NULL: none */
	const char *expires_after;	/* of the lot, as text; NULL: never */
} Facts;

/* What an event says about how much, before the catalogue was asked. */
typedef struct Terms
{
	FactsRank	rank;			/* RANK_SESSION or RANK_INTENT */
	const char *pack_id;		/* NULL: not said */
	int64_t		unit_credits;	/* 0: not said */
	int64_t		quantity;		/* 0: not said */
	const char *payment_link;
	const char *currency;		/* the seller's currency */
	int64_t		subtotal;		/* before discounts, tax and shipping, in it */
	int64_t		net;			/* without tax and shipping, in it */
} Terms;

/* Where accounts may come from: the room's own view of the settings. */
typedef enum AccountSource
{
	ACCOUNT_FROM_METADATA,
	ACCOUNT_FROM_CLIENT_REFERENCE_ID,
	ACCOUNT_FROM_CUSTOMER_EMAIL,
	ACCOUNT_FROM_CUSTOMER_DETAILS_EMAIL,
	ACCOUNT_FROM_CUSTOMER,
	ACCOUNT_SOURCES				/* how many there are */
} AccountSource;

typedef struct FactsPolicy
{
	bool		live;
	const char *install_id;
	const AccountSource *account_from;
	int			n_account_from;
	char *const *connected_accounts;
	int			n_connected_accounts;
} FactsPolicy;

typedef struct EventReading
{
	FactsNature nature;
	const char *reason;			/* why it cannot be credited, or NULL */
	bool		wrong_mode;		/* live money while the mode is test */
	AccountSource account_source;
	Facts		facts;			/* the account is as it stands in the event */
	Terms		terms;			/* good if reason is NULL or "account" */
} EventReading;

extern void facts_init(Facts *facts);

/* When an event happened, in seconds since 1970, or FACTS_NO_TIME. */
extern int64_t facts_event_time(const Event *event);

/* Read an event under a policy. */
extern void facts_read(const Event *event, const FactsPolicy *policy, EventReading *reading);

/* Merge news into what is known; returns whether that changed. */
extern bool facts_merge(Facts *known, const Facts *news);

/* The credits that the ledger should hold for a payment. */
extern int64_t facts_due(const Facts *facts);

/* Whether it is known whose a payment is and how much it is worth. */
extern bool facts_known(const Facts *facts);

extern const char *account_source_name(AccountSource source);
extern bool account_source_is_email(AccountSource source);

/*
 * Arithmetic.  Each returns false if there is no such number: no whole number
 * of units, or beyond int64.
 */
extern bool facts_units(int64_t amount, int64_t unit_amount, int64_t *units);
extern bool facts_multiply(int64_t credits, int64_t quantity, int64_t *product);
extern bool facts_rate(int64_t net, int64_t credits, int64_t per_amount, int64_t *result);

#endif							/* FACTS_H */
