/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  What does an event say?  Which payment it is about, by which names, and
 *	  what of it is a fact.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc and no clock.
 * Strings are borrowed from the event.  What the owner sells is not known here:
 * catalogue.c completes a reading.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef READING_H
#define READING_H

#include "event.h"
#include "facts.h"

#define READING_MAX_NAMES	3	/* of the payment, in one event */

/* What an event is, as far as money is concerned. */
typedef enum FactsNature
{
	FACTS_IGNORED,				/* not ours to act on */
	FACTS_UNUSABLE,				/* ours, but it cannot be told which payment */
	FACTS_PAID,
	FACTS_UNPAID,				/* will be paid later, or not */
	FACTS_CLOSED,				/* will not be paid */
	FACTS_SUBSCRIPTION,			/* says whose a subscription is */
	FACTS_INVOICE,				/* a subscription's, paid */
	FACTS_REVERSAL,				/* a refund or a dispute, or the end of one */
	FACTS_LINK					/* says which ids are one payment's */
} FactsNature;

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
	int64_t		unit_amount;	/* of a subscription: what a unit was sold
								 * for, in it; FACTS_NO_AMOUNT: not said */
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

	/*
	 * The payment's names in the event, in the order of facts_compare_names();
	 * a subscription has but one.
	 */
	int			n_names;
	const char *names[READING_MAX_NAMES];

	/* what the lists of facts point to */
	FactsCharge charge;
	FactsRefund refund;
	FactsDispute dispute;
	FactsTransaction transactions[EVENT_MAX_TRANSACTIONS];
	FactsLine	lines[EVENT_MAX_LINES];
} EventReading;

/* When an event happened, in seconds since 1970, or FACTS_NO_TIME. */
extern int64_t facts_event_time(const Event *event);

/* Read an event under a policy. */
extern void facts_read(const Event *event, const FactsPolicy *policy, EventReading *reading);

extern const char *account_source_name(AccountSource source);
extern bool account_source_is_email(AccountSource source);

#endif							/* READING_H */
