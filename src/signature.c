/*-------------------------------------------------------------------------
 *
 * signature.c
 *	  Is this webhook from Stripe?  See signature.h for the contract.
 *
 * The header is read before anything is computed, because it is public and
 * most rubbish ends there; only what is compared with a MAC has to take the
 * same time whatever it holds.  A MAC is turned into hex digits rather than
 * the candidates into octets: candidates are taken in lower case only, so the
 * two comparisons are the same, and no copy of the candidates is needed.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "signature.h"

#define MAC_OCTETS			32
#define MAC_DIGITS			(2 * MAC_OCTETS)
#define MAX_TIME_DIGITS		11

/* "v1=", the digits and a comma: no header holds more candidates than this */
#define MAX_CANDIDATES \
	((SIGNATURE_MAX_HEADER + 1) / (MAC_DIGITS + sizeof("v1=,") - 1))

struct SignatureKey
{
	EVP_MAC_CTX *context;
};

typedef struct ParsedHeader
{
	int64_t		time;
	char		prefix[MAX_TIME_DIGITS + 1];	/* "<t>.", as it was signed */
	size_t		prefix_length;	/* 0 until a "t=" was read */
	int			ncandidates;
	const char *candidates[MAX_CANDIDATES]; /* each of MAC_DIGITS, in place */
} ParsedHeader;

/*
 * The algorithm, looked up at the first key and kept for the life of the
 * process: a look-up costs about as much as the HMAC of 1 kB.
 */
static EVP_MAC *hmac = NULL;

static EVP_MAC_CTX *
create_context(const void *secret, size_t length)
{
	char		digest[] = "SHA256";
	OSSL_PARAM	params[2];
	EVP_MAC_CTX *context = NULL;

	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
												 digest, 0);
	params[1] = OSSL_PARAM_construct_end();

	if (hmac == NULL)
		hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac != NULL)
		context = EVP_MAC_CTX_new(hmac);
	if (context != NULL && EVP_MAC_init(context, secret, length, params))
		return context;

	EVP_MAC_CTX_free(context);
	ERR_clear_error();
	return NULL;
}

SignatureKey *
signature_key_create(const void *secret, size_t length)
{
	SignatureKey *key = malloc(sizeof(SignatureKey));

	if (key == NULL)
		return NULL;

	/* To OpenSSL no pointer means no key, which is not the empty key. */
	key->context = create_context(length == 0 ? "" : secret, length);
	if (key->context == NULL)
	{
		free(key);
		return NULL;
	}
	return key;
}

void
signature_key_free(SignatureKey *key)
{
	if (key == NULL)
		return;
	EVP_MAC_CTX_free(key->context);
	free(key);
}

static bool
starts_with(const char *text, size_t length, const char *start)
{
	size_t		start_length = strlen(start);

	return length >= start_length && memcmp(text, start, start_length) == 0;
}

static bool
read_time(const char *text, size_t length, ParsedHeader *parsed)
{
	size_t		i;

	if (length == 0 || length > MAX_TIME_DIGITS)
		return false;
	if (text[0] == '0' && length > 1)
		return false;

	for (i = 0; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		parsed->time = parsed->time * 10 + (text[i] - '0');
	}

	memcpy(parsed->prefix, text, length);
	parsed->prefix[length] = '.';
	parsed->prefix_length = length + 1;
	return true;
}

static bool
is_candidate(const char *text, size_t length)
{
	size_t		i;

	if (length != MAC_DIGITS)
		return false;
	for (i = 0; i < length; i++)
	{
		bool		digit = text[i] >= '0' && text[i] <= '9';

		if (!digit && (text[i] < 'a' || text[i] > 'f'))
			return false;
	}
	return true;
}

/* False if this part makes the whole header malformed. */
static bool
read_part(const char *part, size_t length, ParsedHeader *parsed)
{
	if (starts_with(part, length, "t="))
		return parsed->prefix_length == 0 &&
			read_time(part + 2, length - 2, parsed);

	if (starts_with(part, length, "v1=") &&
		is_candidate(part + 3, length - 3))
		parsed->candidates[parsed->ncandidates++] = part + 3;
	return true;
}

static bool
read_trimmed_part(const char *start, const char *end, ParsedHeader *parsed)
{
	while (start < end && *start == ' ')
		start++;
	while (start < end && end[-1] == ' ')
		end--;
	return read_part(start, end - start, parsed);
}

/* False if the header is malformed. */
static bool
read_header(const char *header, size_t length, ParsedHeader *parsed)
{
	const char *part = header;
	const char *end;
	const char *comma;

	parsed->time = 0;
	parsed->prefix_length = 0;
	parsed->ncandidates = 0;

	/* Also keeps a null pointer away from memchr. */
	if (length == 0 || length > SIGNATURE_MAX_HEADER)
		return false;

	end = header + length;
	while ((comma = memchr(part, ',', end - part)) != NULL)
	{
		if (!read_trimmed_part(part, comma, parsed))
			return false;
		part = comma + 1;
	}
	return read_trimmed_part(part, end, parsed) &&
		parsed->prefix_length > 0 && parsed->ncandidates > 0;
}

/* Without a branch or a table, since the octets are not public. */
static void
encode_hex(const unsigned char *octets, char *digits)
{
	int			i;

	for (i = 0; i < MAC_DIGITS; i++)
	{
		int			shift = i % 2 == 0 ? 4 : 0;
		unsigned int nibble = (octets[i / 2] >> shift) & 0x0f;

		/* 9 - nibble wraps around for a to f, which sets all high bits. */
		unsigned int letter = ((9 - nibble) >> 8) & ('a' - '0' - 10);

		digits[i] = (char) ('0' + nibble + letter);
	}
}

/* False if OpenSSL failed; the key can still be used for the next body. */
static bool
compute_mac(const SignatureKey *key, const ParsedHeader *parsed,
			const char *payload, size_t payload_length, char *digits)
{
	unsigned char octets[MAC_OCTETS];
	size_t		length = 0;

	/* No key here means the one it has: starts over from its saved pads. */
	if (!EVP_MAC_init(key->context, NULL, 0, NULL) ||
		!EVP_MAC_update(key->context, (const unsigned char *) parsed->prefix,
						parsed->prefix_length) ||
		!EVP_MAC_update(key->context, (const unsigned char *) payload,
						payload_length) ||
		!EVP_MAC_final(key->context, octets, &length, sizeof(octets)) ||
		length != sizeof(octets))
	{
		ERR_clear_error();
		return false;
	}
	encode_hex(octets, digits);
	return true;
}

/* How many candidates are this MAC; looks at all of each of them. */
static int
count_matches(const ParsedHeader *parsed, const char *digits)
{
	int			matches = 0;
	int			i;

	for (i = 0; i < parsed->ncandidates; i++)
		matches += CRYPTO_memcmp(parsed->candidates[i], digits,
								 MAC_DIGITS) == 0;
	return matches;
}

static SignatureVerdict
judge_age(int64_t signed_at, int64_t now, int64_t tolerance)
{
	int64_t		limit = tolerance / INT64_C(1000000);

	/*
	 * An age is in whole seconds, so dividing the tolerance loses nothing and
	 * spares a product that could overflow.  Neither can these sums: a time
	 * has at most 11 digits, and the limit at most 13.
	 */
	if (tolerance < 0)
		return SIGNATURE_VALID;
	if (now > signed_at + limit)
		return SIGNATURE_EXPIRED;
	if (now < signed_at - limit)
		return SIGNATURE_FUTURE;
	return SIGNATURE_VALID;
}

SignatureVerdict
signature_verify(const char *payload, size_t payload_length,
				 const char *header, size_t header_length,
				 SignatureKey *const *keys, int nkeys,
				 int64_t now, int64_t tolerance)
{
	ParsedHeader parsed;
	char		digits[MAC_DIGITS];
	int			matches = 0;
	int			i;

	if (!read_header(header, header_length, &parsed))
		return SIGNATURE_MALFORMED;

	for (i = 0; i < nkeys; i++)
	{
		if (!compute_mac(keys[i], &parsed, payload, payload_length, digits))
			return SIGNATURE_FAILED;
		matches += count_matches(&parsed, digits);
	}
	if (matches == 0)
		return SIGNATURE_MISMATCH;
	return judge_age(parsed.time, now, tolerance);
}

const char *
signature_verdict_name(SignatureVerdict verdict)
{
	switch (verdict)
	{
		case SIGNATURE_VALID:
			return "valid";
		case SIGNATURE_MALFORMED:
			return "malformed";
		case SIGNATURE_MISMATCH:
			return "mismatch";
		case SIGNATURE_EXPIRED:
			return "expired";
		case SIGNATURE_FUTURE:
			return "future";
		case SIGNATURE_FAILED:
			break;
	}
	return "failed";
}
