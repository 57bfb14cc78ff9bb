/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Events as Stripe sends them, made up and signed.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_ACCOUNTS		10000	/* 00000000-0000-4000-8000-000000000000 and so on */
#define SAMPLE_ROOM			4096
#define SAMPLE_SECRET		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

typedef struct Sample
{
	char		event_id[32];
	char		signature[192];
	size_t		length;
	char		body[SAMPLE_ROOM];
} Sample;

/* A paid checkout.session.completed; no two of them share an id. */
extern void sample_make(Sample *sample, uint64_t *random_state);

/* Sign any body, as Stripe would at this moment. */
extern void sample_sign(const char *body, size_t length, char *signature, size_t room);

#endif							/* SAMPLE_H */
