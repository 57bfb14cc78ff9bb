/*-------------------------------------------------------------------------
 *
 * fuzz_event.c
 *	  libFuzzer target for src/event.c and src/json.c: whatever the body, no
 *	  step outside its memory or the buffer's, no event that breaks what
 *	  event.h says, and the same event again from its facts.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "must.h"

#define STRING(member)		{'s', offsetof(Event, member)}
#define INTEGER(member)		{'i', offsetof(Event, member)}
#define BOOLEAN(member)		{'b', offsetof(Event, member)}
#define CONTAINER(member)	{'c', offsetof(Event, member)}

/* A body or the facts of an event, in memory of just its size. */
typedef struct Parsed
{
	char	   *body;
	char	   *buffer;
	size_t		length;
	EventVerdict verdict;
	Event		event;
} Parsed;

/* Facts being written. */
typedef struct Text
{
	char	   *octets;
	size_t		length;
	size_t		room;
} Text;

static const struct
{
	char		shape;
	size_t		offset;
}			members[] = {
	STRING(id), STRING(object), STRING(type), STRING(account),
	INTEGER(created), BOOLEAN(livemode), CONTAINER(data),
	CONTAINER(data_object), STRING(object_id), STRING(mode),
	STRING(payment_status), STRING(status), STRING(payment_intent),
	STRING(subscription), STRING(customer), STRING(client_reference_id),
	STRING(customer_email), STRING(payment_link), STRING(currency),
	INTEGER(amount), INTEGER(amount_subtotal), INTEGER(amount_total),
	CONTAINER(customer_details), STRING(customer_details_email),
	CONTAINER(total_details), INTEGER(amount_tax), INTEGER(amount_shipping),
	CONTAINER(currency_conversion), STRING(source_currency),
	INTEGER(source_subtotal), INTEGER(source_total), CONTAINER(metadata),
	STRING(meta_install), STRING(meta_account), STRING(meta_pack),
	STRING(meta_credits), STRING(meta_quantity), STRING(meta_unit_amount),
	STRING(meta_currency),
};

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
allocate(size_t size)
{
	void	   *memory = malloc(size);

	MUST(memory != NULL);
	return memory;
}

static void
parse(Parsed *parsed, const void *octets, size_t length)
{
	parsed->body = allocate(length);
	parsed->buffer = allocate(length + 1);
	parsed->length = length;
	if (length > 0)
		memcpy(parsed->body, octets, length);
	memset(&parsed->event, 0x5A, sizeof(Event));
	parsed->verdict = event_parse(parsed->body, length, parsed->buffer,
								  &parsed->event);
}

static void
forget(Parsed *parsed)
{
	free(parsed->body);
	free(parsed->buffer);
}

/* A checker that shares nothing with the scanner's: decode, then compare. */
static bool
is_utf8(const char *text, size_t length)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t		at = 0;

	while (at < length)
	{
		unsigned char first = (unsigned char) text[at];
		int			size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 :
			first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
		uint32_t	code = size == 1 ? first : first & (0xFFu >> (size + 1));
		int			i;

		if (size == 0 || length - at < (size_t) size)
			return false;
		for (i = 1; i < size; i++)
		{
			if (((unsigned char) text[at + i] & 0xC0) != 0x80)
				return false;
			code = code << 6 | ((unsigned char) text[at + i] & 0x3F);
		}
		if (code < least[size] || code > 0x10FFFF || code >> 11 == 0x1B)
			return false;
		at += (size_t) size;
	}
	return true;
}

static void
check_string(const Parsed *parsed, const EventString *string)
{
	if (string->state != FIELD_OK)
	{
		MUST(string->value == NULL && string->length == 0);
		return;
	}
	MUST(string->value >= parsed->buffer);
	MUST(string->value + string->length <= parsed->buffer + parsed->length);
	MUST(string->value[string->length] == '\0');
	MUST(strlen(string->value) == string->length);
	MUST(is_utf8(string->value, string->length));
}

static void
check_member(const Parsed *parsed, char shape, const void *member)
{
	EventFieldState state = *(const EventFieldState *) member;

	MUST(state >= FIELD_ABSENT && state <= FIELD_OK);
	if (shape == 's')
		check_string(parsed, member);
	else if (shape == 'i')
		MUST(state == FIELD_OK || ((const EventInteger *) member)->value == 0);
	else if (shape == 'b')
		MUST(state == FIELD_OK || !((const EventBoolean *) member)->value);
}

static void
check_id(const EventString *id)
{
	static const char letters[] = "0123456789_abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	MUST(id->state == FIELD_OK);
	MUST(id->length > 4 && id->length <= 254);
	MUST(strncmp(id->value, "evt_", 4) == 0);
	MUST(strspn(id->value + 4, letters) == id->length - 4);
}

static void
check_event(const Parsed *parsed)
{
	const Event *event = &parsed->event;
	size_t		i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		check_member(parsed, members[i].shape,
					 (const char *) event + members[i].offset);
	check_id(&event->id);
	MUST(strcmp(event->object.value, "event") == 0);
	MUST(event->kind == (event->type.state != FIELD_OK ? EVENT_KIND_OTHER :
						 event_kind(event->type.value, event->type.length)));
}

static void
check_same(const void *a, const void *b, char shape)
{
	const EventString *string_a = a;
	const EventString *string_b = b;

	MUST(*(const EventFieldState *) a == *(const EventFieldState *) b);
	if (shape == 's')
	{
		MUST(string_a->length == string_b->length);
		MUST(string_a->length == 0 ||
			 memcmp(string_a->value, string_b->value, string_a->length) == 0);
	}
	else if (shape == 'i')
		MUST(((const EventInteger *) a)->value ==
			 ((const EventInteger *) b)->value);
	else if (shape == 'b')
		MUST(((const EventBoolean *) a)->value ==
			 ((const EventBoolean *) b)->value);
}

static void
append_text(void *target, const char *data, size_t length)
{
	Text	   *text = target;

	MUST(text->length + length <= text->room);
	memcpy(text->octets + text->length, data, length);
	text->length += length;
}

/*
 * Facts are no longer than the body they are from, but for what BAD and escapes
 * become: an octet of the body turns into six at most.
 */
static void
check_facts(const Parsed *parsed)
{
	Parsed		again;
	Text		text;
	size_t		i;

	text.room = 6 * parsed->length + 64;
	text.octets = allocate(text.room);
	text.length = 0;
	event_write_facts(&parsed->event, append_text, &text);
	parse(&again, text.octets, text.length);
	MUST(again.verdict == EVENT_OK);
	MUST(again.event.kind == parsed->event.kind);
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		check_same((const char *) &parsed->event + members[i].offset,
				   (const char *) &again.event + members[i].offset,
				   members[i].shape);
	forget(&again);
	free(text.octets);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Parsed		parsed;

	parse(&parsed, data, size);
	MUST(parsed.verdict >= EVENT_OK && parsed.verdict <= EVENT_NUL_CHARACTER);
	MUST(event_verdict_detail(parsed.verdict) != NULL);
	if (parsed.verdict == EVENT_OK)
	{
		check_event(&parsed);
		check_facts(&parsed);
	}
	else
		MUST(parsed.event.id.state == FIELD_ABSENT);
	forget(&parsed);
	return 0;
}
