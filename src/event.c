/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What happened?  One pass over a webhook's body, which must be one strict
 *	  JSON object in UTF-8, into a struct of the fields that we read.
 *
 * The whole body is checked, also where nothing is read: grammar, UTF-8 and
 * depth.  Which fields are read stands in the tables below, one per container;
 * the parser and the writer both walk them and know no field by name.
 *
 * Nothing is allocated.  A string of n octets between its quotes takes n + 2
 * octets of the body and, since no escape is shorter than what it stands for,
 * at most n + 1 of the buffer with its NUL; each is kept at most once.  So what
 * is written never overtakes what is read, and the buffer suffices.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "event.h"

#include <string.h>

#include "json.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

#define EVENT_ID_PREFIX		"evt_"
#define EVENT_ID_MAX_REST	250

typedef enum FieldType
{
	TYPE_STRING,
	TYPE_INTEGER,
	TYPE_BOOLEAN,
	TYPE_CONTAINER
} FieldType;

typedef struct FieldTable FieldTable;

/* Every member of Event that a field names begins with its EventFieldState. */
typedef struct Field
{
	const char *name;
	size_t		length;
	FieldType	type;
	size_t		offset;			/* in Event */
	const FieldTable *inside;	/* of a container */
} Field;

struct FieldTable
{
	bool		envelope;		/* read whatever the event's type is */
	size_t		count;
	const Field *fields;
};

#define NAMED(name)					name, sizeof(name) - 1
#define STRING(name, member) \
	{NAMED(name), TYPE_STRING, offsetof(Event, member), NULL}
#define INTEGER(name, member) \
	{NAMED(name), TYPE_INTEGER, offsetof(Event, member), NULL}
#define BOOLEAN(name, member) \
	{NAMED(name), TYPE_BOOLEAN, offsetof(Event, member), NULL}
#define CONTAINER(name, member, table) \
	{NAMED(name), TYPE_CONTAINER, offsetof(Event, member), table}

static const Field customer_details_fields[] = {
	STRING("email", customer_details_email),
};
static const FieldTable customer_details_table = {
	false, lengthof(customer_details_fields), customer_details_fields
};

static const Field total_details_fields[] = {
	INTEGER("amount_tax", amount_tax),
	INTEGER("amount_shipping", amount_shipping),
};
static const FieldTable total_details_table = {
	false, lengthof(total_details_fields), total_details_fields
};

static const Field currency_conversion_fields[] = {
	STRING("source_currency", source_currency),
	INTEGER("amount_subtotal", source_subtotal),
	INTEGER("amount_total", source_total),
};
static const FieldTable currency_conversion_table = {
	false, lengthof(currency_conversion_fields), currency_conversion_fields
};

static const Field metadata_fields[] = {
	STRING("stripe_credit_install", meta_install),
	STRING("stripe_credit_account", meta_account),
	STRING("stripe_credit_pack", meta_pack),
	STRING("stripe_credit_credits", meta_credits),
	STRING("stripe_credit_quantity", meta_quantity),
	STRING("stripe_credit_unit_amount", meta_unit_amount),
	STRING("stripe_credit_currency", meta_currency),
};
static const FieldTable metadata_table = {
	false, lengthof(metadata_fields), metadata_fields
};

static const Field object_fields[] = {
	STRING("id", object_id),
	STRING("mode", mode),
	STRING("payment_status", payment_status),
	STRING("status", status),
	STRING("payment_intent", payment_intent),
	STRING("subscription", subscription),
	STRING("customer", customer),
	STRING("client_reference_id", client_reference_id),
	STRING("customer_email", customer_email),
	STRING("payment_link", payment_link),
	STRING("currency", currency),
	INTEGER("amount", amount),
	INTEGER("amount_subtotal", amount_subtotal),
	INTEGER("amount_total", amount_total),
	CONTAINER("customer_details", customer_details, &customer_details_table),
	CONTAINER("total_details", total_details, &total_details_table),
	CONTAINER("currency_conversion", currency_conversion,
			  &currency_conversion_table),
	CONTAINER("metadata", metadata, &metadata_table),
};
static const FieldTable object_table = {
	false, lengthof(object_fields), object_fields
};

static const Field data_fields[] = {
	CONTAINER("object", data_object, &object_table),
};
static const FieldTable data_table = {
	true, lengthof(data_fields), data_fields
};

static const Field root_fields[] = {
	STRING("id", id),
	STRING("object", object),
	STRING("type", type),
	STRING("account", account),
	INTEGER("created", created),
	BOOLEAN("livemode", livemode),
	CONTAINER("data", data, &data_table),
};
static const FieldTable root_table = {
	true, lengthof(root_fields), root_fields
};

/* The types of events that mean something to us. */
typedef struct KindName
{
	const char *name;
	size_t		length;
	EventKind	kind;
} KindName;

static const KindName kind_names[] = {
	{NAMED("checkout.session.completed"), EVENT_KIND_SESSION_COMPLETED},
	{NAMED("checkout.session.async_payment_succeeded"),
	EVENT_KIND_SESSION_ASYNC_SUCCEEDED},
	{NAMED("checkout.session.async_payment_failed"),
	EVENT_KIND_SESSION_ASYNC_FAILED},
	{NAMED("checkout.session.expired"), EVENT_KIND_SESSION_EXPIRED},
	{NAMED("payment_intent.succeeded"), EVENT_KIND_PAYMENT_SUCCEEDED},
	{NAMED("charge.succeeded"), EVENT_KIND_KEPT},
	{NAMED("charge.updated"), EVENT_KIND_KEPT},
	{NAMED("charge.refunded"), EVENT_KIND_KEPT},
	{NAMED("charge.refund.updated"), EVENT_KIND_KEPT},
	{NAMED("refund.created"), EVENT_KIND_KEPT},
	{NAMED("refund.updated"), EVENT_KIND_KEPT},
	{NAMED("refund.failed"), EVENT_KIND_KEPT},
	{NAMED("invoice.paid"), EVENT_KIND_KEPT},
	{NAMED("invoice_payment.paid"), EVENT_KIND_KEPT},
};

#define DISPUTE_PREFIX	"charge.dispute."

/* The state of one pass. */
typedef struct EventScan
{
	JsonScan	json;
	char	   *out;			/* the next free octet of the buffer */
	EventVerdict envelope;		/* the first thing wrong with its fields */
	EventVerdict inside;		/* the same, of data.object */
	Event	   *event;
} EventScan;

static bool parse_object(EventScan *scan, const FieldTable *table);
static void write_object(const Event *event, const FieldTable *table,
						 EventAppend append, void *target);


/*
 * Fields
 */

static inline EventFieldState *
field_state(Event *event, const Field *field)
{
	return (EventFieldState *) ((char *) event + field->offset);
}

static inline const void *
field_of(const Event *event, const Field *field)
{
	return (const char *) event + field->offset;
}

/* Note what is wrong with a field; the pass goes on, and the end decides. */
static void
note(EventScan *scan, const FieldTable *table, EventVerdict finding)
{
	EventVerdict *first = table->envelope ? &scan->envelope : &scan->inside;

	if (*first == EVENT_OK)
		*first = finding;
}

static const Field *
find_field(const FieldTable *table, const char *name, size_t length)
{
	size_t		i;

	for (i = 0; i < table->count; i++)
	{
		const Field *field = &table->fields[i];

		if (field->length == length && field->name[0] == name[0] &&
			memcmp(field->name, name, length) == 0)
			return field;
	}
	return NULL;
}

/*
 * The field that a key names, if it is one that we read.  A key with escapes
 * is decoded behind the strings kept so far, and forgotten.
 */
static inline const Field *
field_of_key(EventScan *scan, const FieldTable *table, const JsonString *key)
{
	const char *name = key->start;
	size_t		length = key->length;

	if (key->escaped)
	{
		if (!json_decode_string(key, scan->out, &length))
			return NULL;
		name = scan->out;
	}
	return find_field(table, name, length);
}

/* All fields inside a container that is no object are as bad as itself. */
static void
spoil_fields(Event *event, const FieldTable *table)
{
	size_t		i;

	for (i = 0; i < table->count; i++)
	{
		const Field *field = &table->fields[i];

		*field_state(event, field) = FIELD_BAD;
		if (field->type == TYPE_CONTAINER)
			spoil_fields(event, field->inside);
	}
}

/*
 * The integer that a JSON number is; false if it is written otherwise, -0, or
 * does not fit.  The value grows downwards, where there is room for one more.
 */
static bool
integer_of(const char *at, const char *end, int64_t *value)
{
	bool		negative = (*at == '-');
	int64_t		sum = 0;

	if (negative)
		at++;
	if (negative && *at == '0')
		return false;
	for (; at < end; at++)
	{
		int			digit = *at - '0';

		if (*at < '0' || *at > '9' || sum < (INT64_MIN + digit) / 10)
			return false;
		sum = sum * 10 - digit;
	}
	if (!negative && sum == INT64_MIN)
		return false;
	*value = negative ? sum : -sum;
	return true;
}


/*
 * Values
 */

static bool
parse_string_field(EventScan *scan, const FieldTable *table, const Field *field)
{
	EventFieldState *state = field_state(scan->event, field);
	EventString *string;
	JsonString	token;
	size_t		length;

	*state = FIELD_BAD;
	if (!json_scan_string(&scan->json, &token))
		return false;
	if (!json_decode_string(&token, scan->out, &length))
		note(scan, table, EVENT_NUL_CHARACTER);
	else if (field->type == TYPE_STRING)
	{
		string = (EventString *) state;
		string->state = FIELD_OK;
		string->length = length;
		string->value = scan->out;
		scan->out[length] = '\0';
		scan->out += length + 1;
	}
	return true;
}

static bool
parse_number_field(EventScan *scan, const Field *field)
{
	EventFieldState *state = field_state(scan->event, field);
	EventInteger *integer;
	const char *start = scan->json.at;
	int64_t		value;

	*state = FIELD_BAD;
	if (!json_scan_number(&scan->json))
		return false;
	if (field->type == TYPE_INTEGER && integer_of(start, scan->json.at, &value))
	{
		integer = (EventInteger *) state;
		integer->state = FIELD_OK;
		integer->value = value;
	}
	return true;
}

/* At a t, f or n. */
static bool
parse_literal_field(EventScan *scan, const Field *field)
{
	EventFieldState *state = field_state(scan->event, field);
	int			letter = json_scan_peek(&scan->json);

	if (!json_scan_value(&scan->json))
		return false;
	if (letter == 'n')
		*state = FIELD_NULL;
	else if (field->type == TYPE_BOOLEAN)
	{
		*state = FIELD_OK;
		((EventBoolean *) state)->value = (letter == 't');
	}
	else
		*state = FIELD_BAD;
	return true;
}

/* The value of a field that we read. */
static bool
parse_field(EventScan *scan, const FieldTable *table, const Field *field)
{
	EventFieldState *state = field_state(scan->event, field);
	bool		parsed;

	if (*state != FIELD_ABSENT)
		note(scan, table, EVENT_DUPLICATE_FIELD);
	switch (json_scan_peek(&scan->json))
	{
		case '"':
			parsed = parse_string_field(scan, table, field);
			break;
		case '{':
			if (field->type == TYPE_CONTAINER)
			{
				*state = FIELD_OK;
				return parse_object(scan, field->inside);
			}
			/* FALLTHROUGH */
		case '[':
			*state = FIELD_BAD;
			parsed = json_scan_value(&scan->json);
			break;
		case 't':
		case 'f':
		case 'n':
			parsed = parse_literal_field(scan, field);
			break;
		default:
			parsed = parse_number_field(scan, field);
			break;
	}
	if (parsed && *state == FIELD_BAD && field->type == TYPE_CONTAINER)
		spoil_fields(scan->event, field->inside);
	return parsed;
}

/* An object, of which the fields in 'table' are read. */
static bool
parse_object(EventScan *scan, const FieldTable *table)
{
	const Field *field;
	JsonString	key;
	bool		more;

	if (!json_scan_open(&scan->json, '}', &more))
		return false;
	while (more)
	{
		if (!json_scan_key(&scan->json, &key))
			return false;
		field = field_of_key(scan, table, &key);
		if (!(field == NULL ? json_scan_value(&scan->json) :
			  parse_field(scan, table, field)) ||
			!json_scan_next(&scan->json, '}', &more))
			return false;
	}
	return true;
}


/*
 * The event as a whole
 */

static bool
string_is(const EventString *string, const char *value, size_t length)
{
	return string->state == FIELD_OK && string->length == length &&
		memcmp(string->value, value, length) == 0;
}

static bool
is_event_id(const EventString *id)
{
	const size_t prefix = sizeof(EVENT_ID_PREFIX) - 1;
	size_t		i;

	if (id->state != FIELD_OK || id->length <= prefix ||
		id->length > prefix + EVENT_ID_MAX_REST ||
		memcmp(id->value, EVENT_ID_PREFIX, prefix) != 0)
		return false;
	for (i = prefix; i < id->length; i++)
	{
		char		octet = id->value[i];

		if (!(octet >= '0' && octet <= '9') && octet != '_' &&
			!(octet >= 'a' && octet <= 'z') && !(octet >= 'A' && octet <= 'Z'))
			return false;
	}
	return true;
}

static bool
reads_object(EventKind kind)
{
	return kind != EVENT_KIND_OTHER && kind != EVENT_KIND_KEPT;
}

/* After a complete pass over an object. */
static EventVerdict
judge(EventScan *scan)
{
	Event	   *event = scan->event;

	if (scan->envelope != EVENT_OK)
		return scan->envelope;
	if (string_is(&event->object, NAMED("v2.core.event")))
		return EVENT_THIN;
	if (!string_is(&event->object, NAMED("event")))
		return EVENT_NOT_EVENT;
	if (!is_event_id(&event->id))
		return EVENT_BAD_ID;
	if (event->type.state == FIELD_OK)
		event->kind = event_kind(event->type.value, event->type.length);
	return reads_object(event->kind) ? scan->inside : EVENT_OK;
}

/*
 * What was found in data.object before we knew that it isn't read: a field may
 * have stood there twice, so nobody must see it.  The members of Event from
 * object_id on must be just those of data.object.
 */
static void
forget_object(Event *event)
{
	const size_t start = offsetof(Event, object_id);

	memset((char *) event + start, 0, sizeof(Event) - start);
}

static EventVerdict
verdict_of_fault(JsonFault fault)
{
	switch (fault)
	{
		case JSON_FAULT_UTF8:
			return EVENT_NOT_UTF8;
		case JSON_FAULT_DEPTH:
			return EVENT_TOO_DEEP;
		default:
			return EVENT_NOT_JSON;
	}
}

static EventVerdict
parse_body(EventScan *scan)
{
	bool		is_object = (json_scan_peek(&scan->json) == '{');

	if (!(is_object ? parse_object(scan, &root_table) :
		  json_scan_value(&scan->json)) ||
		!json_scan_end(&scan->json))
		return verdict_of_fault(scan->json.fault);
	if (!is_object)
		return EVENT_NOT_OBJECT;
	return judge(scan);
}

/*
 * Unless the verdict is EVENT_OK the event comes back empty.  If its kind says
 * that data.object isn't read, then all of its fields are ABSENT.
 */
EventVerdict
event_parse(const char *body, size_t length, char *buffer, Event *event)
{
	EventScan	scan;
	EventVerdict verdict;

	memset(event, 0, sizeof(Event));
	json_scan_begin(&scan.json, body, length, EVENT_MAX_DEPTH);
	scan.out = buffer;
	scan.envelope = EVENT_OK;
	scan.inside = EVENT_OK;
	scan.event = event;
	verdict = parse_body(&scan);
	if (verdict != EVENT_OK)
		memset(event, 0, sizeof(Event));
	else if (!reads_object(event->kind))
		forget_object(event);
	return verdict;
}

EventKind
event_kind(const char *type, size_t length)
{
	const size_t prefix = sizeof(DISPUTE_PREFIX) - 1;
	size_t		i;

	for (i = 0; i < lengthof(kind_names); i++)
	{
		if (kind_names[i].length == length &&
			memcmp(kind_names[i].name, type, length) == 0)
			return kind_names[i].kind;
	}
	if (length >= prefix && memcmp(type, DISPUTE_PREFIX, prefix) == 0)
		return EVENT_KIND_KEPT;
	return EVENT_KIND_OTHER;
}

/* Says nothing of what the body holds. */
const char *
event_verdict_detail(EventVerdict verdict)
{
	switch (verdict)
	{
		case EVENT_OK:
			return "The payload is an event.";
		case EVENT_NOT_UTF8:
			return "The payload is not valid UTF-8, or begins with a byte order mark.";
		case EVENT_NOT_JSON:
			return "The payload is not valid JSON.";
		case EVENT_NOT_OBJECT:
			return "The payload is not a JSON object.";
		case EVENT_TOO_DEEP:
			return "The payload is nested too deeply.";
		case EVENT_NOT_EVENT:
			return "The payload is not an event: its \"object\" is not \"event\".";
		case EVENT_THIN:
			return "The payload is a thin event, which does not hold the object it is about.";
		case EVENT_BAD_ID:
			return "The payload has no valid event id.";
		case EVENT_DUPLICATE_FIELD:
			return "The payload holds a field twice.";
		case EVENT_NUL_CHARACTER:
			return "The payload holds \\u0000 or half of a surrogate pair in a field.";
	}
	return "The payload cannot be used.";
}


/*
 * Facts
 */

static void
write_text(EventAppend append, void *target, const char *text)
{
	append(target, text, strlen(text));
}

/* An octet that can't stand for itself in a string. */
static void
write_escape(EventAppend append, void *target, unsigned char octet)
{
	static const char digits[] = "0123456789abcdef";
	char		escape[] = "\\u0000";

	if (octet == '"' || octet == '\\')
	{
		escape[1] = (char) octet;
		append(target, escape, 2);
		return;
	}
	escape[4] = digits[octet >> 4];
	escape[5] = digits[octet & 0x0F];
	append(target, escape, 6);
}

static void
write_string(const EventString *string, EventAppend append, void *target)
{
	const char *run = string->value;
	const char *end = run + string->length;
	const char *at;

	append(target, "\"", 1);
	for (at = run; at < end; at++)
	{
		unsigned char octet = (unsigned char) *at;

		if (octet >= 0x20 && octet != '"' && octet != '\\')
			continue;
		append(target, run, (size_t) (at - run));
		write_escape(append, target, octet);
		run = at + 1;
	}
	append(target, run, (size_t) (end - run));
	append(target, "\"", 1);
}

/* The digits are made from the last one on, as those of an unsigned number. */
static void
write_integer(int64_t value, EventAppend append, void *target)
{
	char		digits[20];		/* -9223372036854775808 */
	size_t		at = sizeof(digits);
	uint64_t	rest = value < 0 ? -(uint64_t) value : (uint64_t) value;

	do
	{
		digits[--at] = (char) ('0' + rest % 10);
		rest /= 10;
	} while (rest != 0);
	if (value < 0)
		digits[--at] = '-';
	append(target, digits + at, sizeof(digits) - at);
}

/* A BAD field becomes a value that is BAD for its type again. */
static void
write_field(const Event *event, const Field *field, EventAppend append,
			void *target)
{
	const void *value = field_of(event, field);
	EventFieldState state = *(const EventFieldState *) value;

	if (state == FIELD_NULL)
		write_text(append, target, "null");
	else if (state == FIELD_BAD)
		write_text(append, target, field->type == TYPE_BOOLEAN ? "0" : "false");
	else if (field->type == TYPE_STRING)
		write_string(value, append, target);
	else if (field->type == TYPE_INTEGER)
		write_integer(((const EventInteger *) value)->value, append, target);
	else if (field->type == TYPE_BOOLEAN)
		write_text(append, target,
				   ((const EventBoolean *) value)->value ? "true" : "false");
	else
		write_object(event, field->inside, append, target);
}

static void
write_object(const Event *event, const FieldTable *table, EventAppend append,
			 void *target)
{
	const char *before = "{\"";
	size_t		i;

	for (i = 0; i < table->count; i++)
	{
		const Field *field = &table->fields[i];

		if (*(const EventFieldState *) field_of(event, field) == FIELD_ABSENT)
			continue;
		write_text(append, target, before);
		append(target, field->name, field->length);
		append(target, "\":", 2);
		write_field(event, field, append, target);
		before = ",\"";
	}
	write_text(append, target, before[0] == '{' ? "{}" : "}");
}

void
event_write_facts(const Event *event, EventAppend append, void *target)
{
	write_object(event, &root_table, append, target);
}
