/*-------------------------------------------------------------------------
 *
 * webhook.h
 *	  What Stripe sent, for those who come back to it.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEBHOOK_H
#define WEBHOOK_H

#include "payment.h"
#include "settings.h"

/*
 * Try an event that waits again, as replay() does.  Returns false if it is gone
 * or somebody else has it locked.  The caller is between SPI_connect() and
 * SPI_finish().
 */
extern bool webhook_retry(const char *event_id, const Settings *settings, EventStatus *status);

#endif							/* WEBHOOK_H */
