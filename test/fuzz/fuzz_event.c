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

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

#define STRING(base, member)	{'s', offsetof(base, member)}
#define INTEGER(base, member)	{'i', offsetof(base, member)}
#define BOOLEAN(base, member)	{'b', offsetof(base, member)}
#define STATE(base, member)		{'c', offsetof(base, member)}
#define METADATA(base, member) \
	STATE(base, member), STRING(base, member.install), \
	STRING(base, member.account), STRING(base, member.pack), \
	STRING(base, member.credits), STRING(base, member.quantity), \
	STRING(base, member.unit_amount), STRING(base, member.currency)

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

typedef struct Member
{
	char		shape;
	size_t		offset;
} Member;

static const Member event_members[] = {
	STRING(Event, id), STRING(Event, object), STRING(Event, type),
	STRING(Event, account), INTEGER(Event, created), BOOLEAN(Event, livemode),
	STATE(Event, data), STATE(Event, data_object),
	STRING(Event, object_id), STRING(Event, status), STRING(Event, currency),
	STRING(Event, customer), STRING(Event, payment_intent),
	STRING(Event, charge), STRING(Event, invoice), STRING(Event, subscription),
	INTEGER(Event, amount), INTEGER(Event, object_created),
	METADATA(Event, metadata), STRING(Event, mode),
	STRING(Event, payment_status), STRING(Event, client_reference_id),
	STRING(Event, customer_email), STRING(Event, payment_link),
	INTEGER(Event, amount_subtotal), INTEGER(Event, amount_total),
	STATE(Event, customer_details), STRING(Event, customer_details_email),
	STATE(Event, total_details), INTEGER(Event, amount_tax),
	INTEGER(Event, amount_shipping), STATE(Event, currency_conversion),
	STRING(Event, source_currency), INTEGER(Event, source_subtotal),
	INTEGER(Event, source_total), STRING(Event, latest_charge),
	BOOLEAN(Event, paid), INTEGER(Event, amount_refunded),
	STRING(Event, billing_reason), INTEGER(Event, amount_paid),
	STATE(Event, parent), STATE(Event, parent_details),
	STRING(Event, parent_subscription), METADATA(Event, parent_metadata),
	STATE(Event, subscription_details), METADATA(Event, subscription_metadata),
	STATE(Event, lines), BOOLEAN(Event, lines_has_more),
	STATE(Event, lines_data), STATE(Event, payment),
	STRING(Event, payment_payment_intent), STRING(Event, payment_charge),
	STATE(Event, balance_transactions),
};

static const Member transaction_members[] = {
	STATE(EventTransaction, state), STRING(EventTransaction, id),
	INTEGER(EventTransaction, amount),
};

static const Member line_members[] = {
	STATE(EventLine, state), STRING(EventLine, id), INTEGER(EventLine, amount),
	STRING(EventLine, currency), INTEGER(EventLine, quantity),
	METADATA(EventLine, metadata), STRING(EventLine, type),
	BOOLEAN(EventLine, proration), STRING(EventLine, subscription),
	STATE(EventLine, price), STRING(EventLine, price_id),
	STATE(EventLine, plan), STRING(EventLine, plan_id),
	STATE(EventLine, parent), STRING(EventLine, parent_type),
	STATE(EventLine, item_details), BOOLEAN(EventLine, item_proration),
	STRING(EventLine, item_subscription),
	STATE(EventLine, invoice_item_details),
	BOOLEAN(EventLine, invoice_item_proration), STATE(EventLine, pricing),
	STATE(EventLine, price_details), STRING(EventLine, pricing_price),
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
check_members(const Parsed *parsed, const void *base, const Member *members,
			  size_t count)
{
	size_t		i;

	for (i = 0; i < count; i++)
		check_member(parsed, members[i].shape,
					 (const char *) base + members[i].offset);
}

/* An element is there, in one way or another, and no more than fit are. */
static void
check_arrays(const Parsed *parsed)
{
	const Event *event = &parsed->event;
	int			i;

	MUST(event->n_lines >= 0 && event->n_lines <= EVENT_MAX_LINES);
	MUST(event->n_lines == 0 || event->lines_data == FIELD_OK);
	for (i = 0; i < event->n_lines; i++)
	{
		MUST(event->line[i].state != FIELD_ABSENT);
		check_members(parsed, &event->line[i], line_members,
					  lengthof(line_members));
	}
	MUST(event->n_transactions >= 0 &&
		 event->n_transactions <= EVENT_MAX_TRANSACTIONS);
	MUST(event->n_transactions == 0 || event->balance_transactions == FIELD_OK);
	for (i = 0; i < event->n_transactions; i++)
	{
		MUST(event->transaction[i].state != FIELD_ABSENT);
		check_members(parsed, &event->transaction[i], transaction_members,
					  lengthof(transaction_members));
	}
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

	check_members(parsed, event, event_members, lengthof(event_members));
	check_arrays(parsed);
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
check_same_members(const void *a, const void *b, const Member *members,
				   size_t count)
{
	size_t		i;

	for (i = 0; i < count; i++)
		check_same((const char *) a + members[i].offset,
				   (const char *) b + members[i].offset, members[i].shape);
}

static void
check_same_event(const Event *a, const Event *b)
{
	int			i;

	MUST(a->kind == b->kind);
	check_same_members(a, b, event_members, lengthof(event_members));
	MUST(a->n_lines == b->n_lines);
	for (i = 0; i < a->n_lines; i++)
		check_same_members(&a->line[i], &b->line[i], line_members,
						   lengthof(line_members));
	MUST(a->n_transactions == b->n_transactions);
	for (i = 0; i < a->n_transactions; i++)
		check_same_members(&a->transaction[i], &b->transaction[i],
						   transaction_members, lengthof(transaction_members));
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

	text.room = 6 * parsed->length + 64;
	text.octets = allocate(text.room);
	text.length = 0;
	event_write_facts(&parsed->event, append_text, &text);
	parse(&again, text.octets, text.length);
	MUST(again.verdict == EVENT_OK);
	check_same_event(&parsed->event, &again.event);
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
		MUST(parsed.event.id.state == FIELD_ABSENT &&
			 parsed.event.n_lines == 0 && parsed.event.n_transactions == 0);
	forget(&parsed);
	return 0;
}
