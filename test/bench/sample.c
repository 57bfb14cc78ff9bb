/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Events as Stripe sends them, made up and signed.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "random.h"

/* Pretty-printed, with all that a session of a card payment carries. */
static const char template[] =
"{\n"
"  \"id\": \"%s\",\n"
"  \"object\": \"event\",\n"
"  \"api_version\": \"2026-10-28.endive\",\n"
"  \"created\": %lld,\n"
"  \"data\": {\n"
"    \"object\": {\n"
"      \"id\": \"%s\",\n"
"      \"object\": \"checkout.session\",\n"
"      \"adaptive_pricing\": {\n"
"        \"enabled\": true\n"
"      },\n"
"      \"after_expiration\": null,\n"
"      \"allow_promotion_codes\": null,\n"
"      \"amount_subtotal\": 1000,\n"
"      \"amount_total\": 1000,\n"
"      \"automatic_tax\": {\n"
"        \"enabled\": false,\n"
"        \"liability\": null,\n"
"        \"provider\": null,\n"
"        \"status\": null\n"
"      },\n"
"      \"billing_address_collection\": null,\n"
"      \"cancel_url\": \"https://shop.example.com/credits\",\n"
"      \"client_reference_id\": null,\n"
"      \"client_secret\": null,\n"
"      \"collected_information\": null,\n"
"      \"consent\": null,\n"
"      \"consent_collection\": null,\n"
"      \"created\": %lld,\n"
"      \"currency\": \"usd\",\n"
"      \"currency_conversion\": null,\n"
"      \"custom_fields\": [],\n"
"      \"custom_text\": {\n"
"        \"after_submit\": null,\n"
"        \"shipping_address\": null,\n"
"        \"submit\": null,\n"
"        \"terms_of_service_acceptance\": null\n"
"      },\n"
"      \"customer\": \"%s\",\n"
"      \"customer_creation\": \"always\",\n"
"      \"customer_details\": {\n"
"        \"address\": {\n"
"          \"city\": null,\n"
"          \"country\": \"DE\",\n"
"          \"line1\": null,\n"
"          \"line2\": null,\n"
"          \"postal_code\": null,\n"
"          \"state\": null\n"
"        },\n"
"        \"email\": \"buyer@example.com\",\n"
"        \"name\": \"J\\u00f6rg Example\",\n"
"        \"phone\": null,\n"
"        \"tax_exempt\": \"none\",\n"
"        \"tax_ids\": []\n"
"      },\n"
"      \"customer_email\": null,\n"
"      \"discounts\": [],\n"
"      \"expires_at\": %lld,\n"
"      \"invoice\": null,\n"
"      \"invoice_creation\": {\n"
"        \"enabled\": false,\n"
"        \"invoice_data\": {\n"
"          \"account_tax_ids\": null,\n"
"          \"custom_fields\": null,\n"
"          \"description\": null,\n"
"          \"footer\": null,\n"
"          \"issuer\": null,\n"
"          \"metadata\": {},\n"
"          \"rendering_options\": null\n"
"        }\n"
"      },\n"
"      \"livemode\": false,\n"
"      \"locale\": null,\n"
"      \"metadata\": {\n"
"        \"stripe_credit_account\": \"%s\",\n"
"        \"stripe_credit_pack\": \"starter\"\n"
"      },\n"
"      \"mode\": \"payment\",\n"
"      \"payment_intent\": \"%s\",\n"
"      \"payment_link\": null,\n"
"      \"payment_method_collection\": \"if_required\",\n"
"      \"payment_method_configuration_details\": null,\n"
"      \"payment_method_options\": {\n"
"        \"card\": {\n"
"          \"request_three_d_secure\": \"automatic\"\n"
"        }\n"
"      },\n"
"      \"payment_method_types\": [\n"
"        \"card\"\n"
"      ],\n"
"      \"payment_status\": \"paid\",\n"
"      \"phone_number_collection\": {\n"
"        \"enabled\": false\n"
"      },\n"
"      \"recovered_from\": null,\n"
"      \"saved_payment_method_options\": null,\n"
"      \"setup_intent\": null,\n"
"      \"shipping_address_collection\": null,\n"
"      \"shipping_cost\": null,\n"
"      \"shipping_options\": [],\n"
"      \"status\": \"complete\",\n"
"      \"submit_type\": null,\n"
"      \"subscription\": null,\n"
"      \"success_url\": \"https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}\",\n"
"      \"total_details\": {\n"
"        \"amount_discount\": 0,\n"
"        \"amount_shipping\": 0,\n"
"        \"amount_tax\": 0\n"
"      },\n"
"      \"ui_mode\": \"hosted\",\n"
"      \"url\": null\n"
"    }\n"
"  },\n"
"  \"livemode\": false,\n"
"  \"pending_webhooks\": 1,\n"
"  \"request\": {\n"
"    \"id\": null,\n"
"    \"idempotency_key\": null\n"
"  },\n"
"  \"type\": \"checkout.session.completed\"\n"
"}";

static void
fail(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

/*
 * A prefix, the time in six digits that sort like it, and random digits: so
 * Stripe's ids are made, and so they go to the right edge of an index.
 */
static void
make_id(char *out, const char *prefix, time_t now, int digits, uint64_t *random_state)
{
	static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t		length = strlen(prefix);
	int			i;

	memcpy(out, prefix, length);
	for (i = 5; i >= 0; i--, now /= 62)
		out[length + i] = base62[now % 62];
	for (i = 0; i < digits; i++)
		out[length + 6 + i] = base62[random_next(random_state) % 62];
	out[length + 6 + digits] = '\0';
}

void
sample_sign(const char *body, size_t length, char *signature, size_t room)
{
	static const char other[] = "6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39";
	unsigned char mac[32];
	char	   *text = malloc(length + 32);
	int			time_digits;
	int			at;
	int			i;

	if (text == NULL)
		fail("malloc");
	time_digits = sprintf(text, "%lld", (long long) time(NULL));
	text[time_digits] = '.';
	memcpy(text + time_digits + 1, body, length);
	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL,
				  SAMPLE_SECRET, sizeof(SAMPLE_SECRET) - 1,
				  (unsigned char *) text, time_digits + 1 + length,
				  mac, sizeof(mac), NULL) == NULL)
		fail("HMAC");

	at = snprintf(signature, room, "t=%.*s,v1=", time_digits, text);
	for (i = 0; i < 32; i++)
		at += snprintf(signature + at, room - at, "%02x", mac[i]);
	snprintf(signature + at, room - at, ",v0=%s", other);
	free(text);
}

void
sample_make(Sample *sample, uint64_t *random_state)
{
	time_t		now = time(NULL);
	char		session_id[80];
	char		payment_id[32];
	char		customer_id[32];
	char		account_id[40];

	make_id(sample->event_id, "evt_1", now, 17, random_state);
	make_id(session_id, "cs_test_a1", now, 50, random_state);
	make_id(payment_id, "pi_3", now, 17, random_state);
	make_id(customer_id, "cus_", now, 8, random_state);
	snprintf(account_id, sizeof(account_id), "00000000-0000-4000-8000-%012u",
			 (unsigned int) (random_next(random_state) % SAMPLE_ACCOUNTS));
	sample->length = snprintf(sample->body, SAMPLE_ROOM, template, sample->event_id,
							  (long long) now, session_id, (long long) now - 60, customer_id,
							  (long long) now + 86400, account_id, payment_id);
	if (sample->length >= SAMPLE_ROOM)
		fail("snprintf");
	sample_sign(sample->body, sample->length, sample->signature, sizeof(sample->signature));
}
