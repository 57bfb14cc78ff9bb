/*-------------------------------------------------------------------------
 *
 * fuzz_signature.c
 *	  libFuzzer target for src/signature.c.
 *
 * The input is a header, a line feed and a payload.  The keys and the time
 * are fixed, so that the corpus can hold headers that verify; headers that
 * must verify are also made here, for whatever payload comes.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "signature.h"
#include "must.h"

#define SECRET		"whsec_fuzz"
#define NOW			INT64_C(1700000000)
#define NOW_TEXT	"1700000000"
#define TOLERANCE	INT64_C(300000000)
#define DIGITS		64

static const char good_start[] = "t=" NOW_TEXT ",v1=";

#define GOOD_LENGTH	(sizeof(good_start) - 1 + DIGITS)

static SignatureKey *keys[3];	/* the right one twice, then another */

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	keys[0] = signature_key_create(SECRET, strlen(SECRET));
	keys[1] = signature_key_create(SECRET, strlen(SECRET));
	keys[2] = signature_key_create("", 0);
	MUST(keys[0] != NULL && keys[1] != NULL && keys[2] != NULL);
	return 0;
}

/* A copy that ends where its memory ends, so that a read past it is seen. */
static char *
exact_copy(const void *data, size_t length)
{
	char	   *copy = malloc(length);

	MUST(copy != NULL || length == 0);
	if (length > 0)
		memcpy(copy, data, length);
	return copy;
}

/* What the header of a payload signed now has to be, without EVP_MAC */
static void
sign(const char *payload, size_t length, char *header)
{
	char	   *message = malloc(strlen(NOW_TEXT ".") + length);
	unsigned char mac[EVP_MAX_MD_SIZE];
	char		digits[DIGITS + 1];
	int			i;

	MUST(message != NULL);
	memcpy(message, NOW_TEXT ".", strlen(NOW_TEXT "."));
	if (length > 0)
		memcpy(message + strlen(NOW_TEXT "."), payload, length);
	MUST(HMAC(EVP_sha256(), SECRET, (int) strlen(SECRET),
			  (unsigned char *) message, strlen(NOW_TEXT ".") + length,
			  mac, NULL) != NULL);
	for (i = 0; i < DIGITS / 2; i++)
		snprintf(digits + 2 * i, 3, "%02x", mac[i]);
	memcpy(header, good_start, sizeof(good_start) - 1);
	memcpy(header + sizeof(good_start) - 1, digits, DIGITS);
	free(message);
}

/* Does any part begin with "t=", blanks aside?  Written apart on purpose. */
static bool
has_time(const char *header, size_t length)
{
	bool		at_start = true;
	size_t		i;

	for (i = 0; i < length; i++)
	{
		if (at_start && header[i] == 't' && i + 1 < length &&
			header[i + 1] == '=')
			return true;
		if (header[i] == ',')
			at_start = true;
		else if (header[i] != ' ')
			at_start = false;
	}
	return false;
}

static SignatureVerdict
verify(const char *payload, size_t payload_length, const char *header,
	   size_t header_length, int first_key, int nkeys, int64_t tolerance)
{
	SignatureVerdict verdict;

	verdict = signature_verify(payload, payload_length, header, header_length,
							   keys + first_key, nkeys, NOW, tolerance);
	MUST(verdict >= SIGNATURE_VALID && verdict < SIGNATURE_FAILED);
	return verdict;
}

/* Whatever the header says, these hold between one verdict and another. */
static void
check_given(const char *payload, size_t payload_length, const char *header,
			size_t header_length)
{
	SignatureVerdict verdict = verify(payload, payload_length, header,
									  header_length, 0, 1, TOLERANCE);
	SignatureVerdict ageless = verify(payload, payload_length, header,
									  header_length, 0, 1, SIGNATURE_ANY_AGE);
	SignatureVerdict keyless = verify(payload, payload_length, header,
									  header_length, 0, 0, TOLERANCE);

	MUST(verdict == verify(payload, payload_length, header, header_length,
						   0, 2, TOLERANCE));
	if (verdict == SIGNATURE_MALFORMED || verdict == SIGNATURE_MISMATCH)
		MUST(ageless == verdict);
	else
		MUST(ageless == SIGNATURE_VALID);
	MUST(keyless == (verdict == SIGNATURE_MALFORMED ?
					 SIGNATURE_MALFORMED : SIGNATURE_MISMATCH));

	/* The order of the keys does not matter either. */
	MUST(ageless != SIGNATURE_VALID ||
		 verify(payload, payload_length, header, header_length,
				1, 2, TOLERANCE) == verdict);
}

/* A good header verifies, and with one bit of the payload turned it doesn't */
static void
check_signed(char *payload, size_t length, const char *good)
{
	size_t		bit;

	MUST(verify(payload, length, good, GOOD_LENGTH, 0, 1,
				TOLERANCE) == SIGNATURE_VALID);
	MUST(verify(payload, length, good, GOOD_LENGTH, 2, 1,
				TOLERANCE) == SIGNATURE_MISMATCH);
	if (length == 0)
		return;

	/* any bit will do, as long as the input alone decides which */
	bit = (size_t) good[GOOD_LENGTH - 1] * 2654435761u +
		(size_t) good[GOOD_LENGTH - 2] * 40503u;
	bit %= length * 8;
	payload[bit / 8] ^= (char) (1 << bit % 8);
	MUST(verify(payload, length, good, GOOD_LENGTH, 0, 2,
				TOLERANCE) == SIGNATURE_MISMATCH);
	payload[bit / 8] ^= (char) (1 << bit % 8);
}

/* A good header behind any other that has no time of its own verifies. */
static void
check_appended(const char *payload, size_t payload_length, const char *header,
			   size_t header_length, const char *good)
{
	size_t		length = header_length + 1 + GOOD_LENGTH;
	char	   *both = malloc(length);
	bool		acceptable = !has_time(header, header_length) &&
		length <= SIGNATURE_MAX_HEADER;

	MUST(both != NULL);
	if (header_length > 0)
		memcpy(both, header, header_length);
	both[header_length] = ',';
	memcpy(both + header_length + 1, good, GOOD_LENGTH);
	MUST(verify(payload, payload_length, both, length, 0, 1, TOLERANCE) ==
		 (acceptable ? SIGNATURE_VALID : SIGNATURE_MALFORMED));
	free(both);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t		header_length = newline == NULL ? size : newline - data;
	size_t		length = newline == NULL ? 0 : size - header_length - 1;
	char	   *header = exact_copy(data, header_length);
	char	   *payload = exact_copy(newline == NULL ? NULL : newline + 1,
									 length);
	char		good[GOOD_LENGTH];

	sign(payload, length, good);
	check_given(payload, length, header, header_length);
	check_signed(payload, length, good);
	check_appended(payload, length, header, header_length, good);
	free(header);
	free(payload);
	return 0;
}
