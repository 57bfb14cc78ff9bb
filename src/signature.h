/*-------------------------------------------------------------------------
 *
 * signature.h
 *	  Is this webhook from Stripe?  The Stripe-Signature header against a
 *	  body, some keys and a time, and nothing else.
 *
 * This room is pure: no SPI, no GUC, no ereport, no palloc and no clock, so
 * that it can be tested and fuzzed alone.  Keys live outside of palloc because
 * they hold OpenSSL contexts; whoever makes one frees it.
 *
 * The header's grammar: split at ','; trim ASCII spaces; exactly one "t=" of
 * 0|[1-9][0-9]{0,10}; every "v1=" of exactly 64 lower-case hex digits is a
 * candidate; everything else is passed over.  A header over
 * SIGNATURE_MAX_HEADER octets is malformed.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_MAX_HEADER	16384
#define SIGNATURE_ANY_AGE		INT64_C(-1)

typedef enum SignatureVerdict
{
	SIGNATURE_VALID,
	SIGNATURE_MALFORMED,		/* no single good t, or no v1 of 64 hex digits */
	SIGNATURE_MISMATCH,			/* no key made any of the candidates */
	SIGNATURE_EXPIRED,			/* genuine, but older than the tolerance */
	SIGNATURE_FUTURE,			/* genuine, but newer than the tolerance */
	SIGNATURE_FAILED			/* the cryptographic library failed */
} SignatureVerdict;

/* An HMAC-SHA256 context keyed once and used for many bodies. */
typedef struct SignatureKey SignatureKey;

extern SignatureKey *signature_key_create(const void *secret, size_t length);
extern void signature_key_free(SignatureKey *key);

/*
 * now is in seconds since 1970, tolerance in microseconds; SIGNATURE_ANY_AGE
 * (or any negative value) leaves the age unchecked.  Every key and every
 * candidate is compared, in constant time, whatever the earlier ones said.
 * With nkeys 0 a well-formed header is a mismatch.
 */
extern SignatureVerdict signature_verify(const char *payload, size_t payload_length,
										 const char *header, size_t header_length,
										 SignatureKey *const *keys, int nkeys,
										 int64_t now, int64_t tolerance);

extern const char *signature_verdict_name(SignatureVerdict verdict);

#endif							/* SIGNATURE_H */
