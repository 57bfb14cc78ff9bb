/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What happened?  One pass over a webhook's body, which must be one strict
 *	  JSON object in UTF-8, into a struct of the fields that we read.
 *
 * The whole body is checked, also where nothing is read: grammar, UTF-8 and
 * depth.  Which fields are read stands in the tables below, one per container
 * and one per array's elements; the parser and the writer both walk them and
 * know no field by name.
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
	TYPE_CONTAINER,
	TYPE_ARRAY
} FieldType;

typedef struct FieldTable FieldTable;
typedef struct Array Array;

/*
 * A field is read into a member of a struct: of Event, of EventMetadata, or of
 * an array's element.  Where that struct begins is the field's base; the table
 * that a field stands in doesn't know it, because it may be used in several
 * places.  Every such member begins with its EventFieldState.
 */
typedef struct Field
{
	const char *name;
	size_t		length;			/* at most MAX_NAME */
	FieldType	type;
	size_t		offset;			/* from the base */
	const FieldTable *inside;	/* of a container */
	size_t		inside_base;	/* of the fields inside, from the base */
	const Array *array;			/* of an array */
} Field;

struct FieldTable
{
	bool		envelope;		/* read whatever the event's type is */
	size_t		count;
	const Field *fields;
};

/* Where the elements of an array are, all offsets from its field's base. */
struct Array
{
	Field		element;		/* a container, whose base is itself */
	size_t		size;			/* of an element */
	int			room;			/* for so many */
	size_t		start;
	size_t		count;			/* an int */
};

#define MAX_NAME	31

#define NAMED(name)					name, sizeof(name) - 1
#define SCALAR(name, type, base, member) \
	{NAMED(name), type, offsetof(base, member), NULL, 0, NULL}
#define STRING(name, base, member)	SCALAR(name, TYPE_STRING, base, member)
#define INTEGER(name, base, member) SCALAR(name, TYPE_INTEGER, base, member)
#define BOOLEAN(name, base, member) SCALAR(name, TYPE_BOOLEAN, base, member)
#define CONTAINER(name, base, member, table) \
	{NAMED(name), TYPE_CONTAINER, offsetof(base, member), table, 0, NULL}
#define METADATA(base, member) \
	{NAMED("metadata"), TYPE_CONTAINER, offsetof(base, member), \
		&metadata_table, offsetof(base, member), NULL}
#define ARRAY(name, base, member, array) \
	{NAMED(name), TYPE_ARRAY, offsetof(base, member), NULL, 0, array}
#define ELEMENT(table) \
	{NULL, 0, TYPE_CONTAINER, 0, table, 0, NULL}

static const Field metadata_fields[] = {
	STRING("stripe_credit_install", EventMetadata, install),
	STRING("stripe_credit_account", EventMetadata, account),
	STRING("stripe_credit_pack", EventMetadata, pack),
	STRING("stripe_credit_credits", EventMetadata, credits),
	STRING("stripe_credit_quantity", EventMetadata, quantity),
	STRING("stripe_credit_unit_amount", EventMetadata, unit_amount),
	STRING("stripe_credit_currency", EventMetadata, currency),
};
static const FieldTable metadata_table = {
	false, lengthof(metadata_fields), metadata_fields
};

/* A checkout.session */

static const Field customer_details_fields[] = {
	STRING("email", Event, customer_details_email),
};
static const FieldTable customer_details_table = {
	false, lengthof(customer_details_fields), customer_details_fields
};

static const Field total_details_fields[] = {
	INTEGER("amount_tax", Event, amount_tax),
	INTEGER("amount_shipping", Event, amount_shipping),
};
static const FieldTable total_details_table = {
	false, lengthof(total_details_fields), total_details_fields
};

static const Field currency_conversion_fields[] = {
	STRING("source_currency", Event, source_currency),
	INTEGER("amount_subtotal", Event, source_subtotal),
	INTEGER("amount_total", Event, source_total),
};
static const FieldTable currency_conversion_table = {
	false, lengthof(currency_conversion_fields), currency_conversion_fields
};

/* An invoice's lines */

static const Field price_fields[] = {
	STRING("id", EventLine, price_id),
};
static const FieldTable price_table = {
	false, lengthof(price_fields), price_fields
};

static const Field plan_fields[] = {
	STRING("id", EventLine, plan_id),
};
static const FieldTable plan_table = {
	false, lengthof(plan_fields), plan_fields
};

static const Field item_details_fields[] = {
	BOOLEAN("proration", EventLine, item_proration),
	STRING("subscription", EventLine, item_subscription),
};
static const FieldTable item_details_table = {
	false, lengthof(item_details_fields), item_details_fields
};

static const Field invoice_item_details_fields[] = {
	BOOLEAN("proration", EventLine, invoice_item_proration),
};
static const FieldTable invoice_item_details_table = {
	false, lengthof(invoice_item_details_fields), invoice_item_details_fields
};

static const Field line_parent_fields[] = {
	STRING("type", EventLine, parent_type),
	CONTAINER("subscription_item_details", EventLine, item_details,
			  &item_details_table),
	CONTAINER("invoice_item_details", EventLine, invoice_item_details,
			  &invoice_item_details_table),
};
static const FieldTable line_parent_table = {
	false, lengthof(line_parent_fields), line_parent_fields
};

static const Field price_details_fields[] = {
	STRING("price", EventLine, pricing_price),
};
static const FieldTable price_details_table = {
	false, lengthof(price_details_fields), price_details_fields
};

static const Field pricing_fields[] = {
	CONTAINER("price_details", EventLine, price_details, &price_details_table),
};
static const FieldTable pricing_table = {
	false, lengthof(pricing_fields), pricing_fields
};

static const Field line_fields[] = {
	STRING("id", EventLine, id),
	INTEGER("amount", EventLine, amount),
	STRING("currency", EventLine, currency),
	INTEGER("quantity", EventLine, quantity),
	METADATA(EventLine, metadata),
	STRING("type", EventLine, type),
	BOOLEAN("proration", EventLine, proration),
	STRING("subscription", EventLine, subscription),
	CONTAINER("price", EventLine, price, &price_table),
	CONTAINER("plan", EventLine, plan, &plan_table),
	CONTAINER("parent", EventLine, parent, &line_parent_table),
	CONTAINER("pricing", EventLine, pricing, &pricing_table),
};
static const FieldTable line_table = {
	false, lengthof(line_fields), line_fields
};
static const Array line_array = {
	ELEMENT(&line_table), sizeof(EventLine), EVENT_MAX_LINES,
	offsetof(Event, line), offsetof(Event, n_lines)
};

static const Field lines_fields[] = {
	BOOLEAN("has_more", Event, lines_has_more),
	ARRAY("data", Event, lines_data, &line_array),
};
static const FieldTable lines_table = {
	false, lengthof(lines_fields), lines_fields
};

/* The rest of an invoice */

static const Field parent_details_fields[] = {
	STRING("subscription", Event, parent_subscription),
	METADATA(Event, parent_metadata),
};
static const FieldTable parent_details_table = {
	false, lengthof(parent_details_fields), parent_details_fields
};

static const Field parent_fields[] = {
	CONTAINER("subscription_details", Event, parent_details,
			  &parent_details_table),
};
static const FieldTable parent_table = {
	false, lengthof(parent_fields), parent_fields
};

static const Field subscription_details_fields[] = {
	METADATA(Event, subscription_metadata),
};
static const FieldTable subscription_details_table = {
	false, lengthof(subscription_details_fields), subscription_details_fields
};

/* An invoice_payment */

static const Field payment_fields[] = {
	STRING("payment_intent", Event, payment_payment_intent),
	STRING("charge", Event, payment_charge),
};
static const FieldTable payment_table = {
	false, lengthof(payment_fields), payment_fields
};

/* A dispute's balance_transactions */

static const Field transaction_fields[] = {
	STRING("id", EventTransaction, id),
	INTEGER("amount", EventTransaction, amount),
};
static const FieldTable transaction_table = {
	false, lengthof(transaction_fields), transaction_fields
};
static const Array transaction_array = {
	ELEMENT(&transaction_table), sizeof(EventTransaction),
	EVENT_MAX_TRANSACTIONS, offsetof(Event, transaction),
	offsetof(Event, n_transactions)
};

/* data.object, whatever it is */
static const Field object_fields[] = {
	STRING("id", Event, object_id),
	STRING("status", Event, status),
	STRING("currency", Event, currency),
	STRING("customer", Event, customer),
	STRING("payment_intent", Event, payment_intent),
	STRING("charge", Event, charge),
	STRING("invoice", Event, invoice),
	STRING("subscription", Event, subscription),
	INTEGER("amount", Event, amount),
	INTEGER("created", Event, object_created),
	METADATA(Event, metadata),
	STRING("mode", Event, mode),
	STRING("payment_status", Event, payment_status),
	STRING("client_reference_id", Event, client_reference_id),
	STRING("customer_email", Event, customer_email),
	STRING("payment_link", Event, payment_link),
	INTEGER("amount_subtotal", Event, amount_subtotal),
	INTEGER("amount_total", Event, amount_total),
	CONTAINER("customer_details", Event, customer_details,
			  &customer_details_table),
	CONTAINER("total_details", Event, total_details, &total_details_table),
	CONTAINER("currency_conversion", Event, currency_conversion,
			  &currency_conversion_table),
	STRING("latest_charge", Event, latest_charge),
	BOOLEAN("paid", Event, paid),
	INTEGER("amount_refunded", Event, amount_refunded),
	STRING("billing_reason", Event, billing_reason),
	INTEGER("amount_paid", Event, amount_paid),
	CONTAINER("parent", Event, parent, &parent_table),
	CONTAINER("subscription_details", Event, subscription_details,
			  &subscription_details_table),
	CONTAINER("lines", Event, lines, &lines_table),
	CONTAINER("payment", Event, payment, &payment_table),
	ARRAY("balance_transactions", Event, balance_transactions,
		  &transaction_array),
};
static const FieldTable object_table = {
	false, lengthof(object_fields), object_fields
};

/* The envelope */

static const Field data_fields[] = {
	CONTAINER("object", Event, data_object, &object_table),
};
static const FieldTable data_table = {
	true, lengthof(data_fields), data_fields
};

static const Field root_fields[] = {
	STRING("id", Event, id),
	STRING("object", Event, object),
	STRING("type", Event, type),
	STRING("account", Event, account),
	INTEGER("created", Event, created),
	BOOLEAN("livemode", Event, livemode),
	CONTAINER("data", Event, data, &data_table),
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
	{NAMED("charge.succeeded"), EVENT_KIND_CHARGE},
	{NAMED("charge.updated"), EVENT_KIND_CHARGE},
	{NAMED("charge.refunded"), EVENT_KIND_CHARGE_REFUNDED},
	{NAMED("refund.created"), EVENT_KIND_REFUND},
	{NAMED("refund.updated"), EVENT_KIND_REFUND},
	{NAMED("charge.refund.updated"), EVENT_KIND_REFUND},
	{NAMED("refund.failed"), EVENT_KIND_REFUND_FAILED},
	{NAMED("charge.dispute.funds_withdrawn"), EVENT_KIND_FUNDS_WITHDRAWN},
	{NAMED("charge.dispute.funds_reinstated"), EVENT_KIND_FUNDS_REINSTATED},
	{NAMED("invoice.paid"), EVENT_KIND_INVOICE_PAID},
	{NAMED("invoice_payment.paid"), EVENT_KIND_INVOICE_PAYMENT_PAID},
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

/*
 * Which names a table may hold: the lengths that occur, by the first letter's
 * last bits.  Small, because it is filled anew for every object.
 */
typedef struct NameSieve
{
	uint32_t	lengths[8];
} NameSieve;

static bool parse_field(EventScan *scan, const FieldTable *table,
						const Field *field, char *base);
static void write_field(const char *base, const Field *field,
						EventAppend append, void *target);


/*
 * Fields
 */

static inline EventFieldState *
field_state(char *base, const Field *field)
{
	return (EventFieldState *) (base + field->offset);
}

/* Note what is wrong with a field; the pass goes on, and the end decides. */
static void
note(EventScan *scan, const FieldTable *table, EventVerdict finding)
{
	EventVerdict *first = table->envelope ? &scan->envelope : &scan->inside;

	if (*first == EVENT_OK)
		*first = finding;
}

static inline uint32_t *
lengths_like(NameSieve *sieve, const char *name)
{
	return &sieve->lengths[name[0] & 7];
}

static void
fill_sieve(NameSieve *sieve, const FieldTable *table)
{
	const Field *end = table->fields + table->count;
	const Field *field;

	memset(sieve, 0, sizeof(NameSieve));
	for (field = table->fields; field < end; field++)
		*lengths_like(sieve, field->name) |= UINT32_C(1) << field->length;
}

/* Of an empty key the octet looked at is its closing quote. */
static inline bool
passes_sieve(NameSieve *sieve, const char *name, size_t length)
{
	return length <= MAX_NAME && (*lengths_like(sieve, name) >> length & 1) != 0;
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
 * The field that a key names, if it is one that we read; most are not, and
 * fall through the sieve.  A key with escapes is decoded behind the strings
 * kept so far, and forgotten.
 */
static inline const Field *
field_of_key(EventScan *scan, const FieldTable *table, NameSieve *sieve,
			 const JsonString *key)
{
	const char *name = key->start;
	size_t		length = key->length;

	if (key->escaped)
	{
		if (!json_decode_string(key, scan->out, &length))
			return NULL;
		name = scan->out;
	}
	return passes_sieve(sieve, name, length) ?
		find_field(table, name, length) : NULL;
}

/* Nothing is inside a field that is bad: its fields are bad, its array empty. */
static void
spoil_inside(const Field *field, char *base)
{
	const FieldTable *table = field->inside;
	size_t		i;

	if (field->type == TYPE_ARRAY)
		*(int *) (base + field->array->count) = 0;
	if (field->type != TYPE_CONTAINER)
		return;
	base += field->inside_base;
	for (i = 0; i < table->count; i++)
	{
		*field_state(base, &table->fields[i]) = FIELD_BAD;
		spoil_inside(&table->fields[i], base);
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
parse_string_field(EventScan *scan, const FieldTable *table,
				   const Field *field, EventFieldState *state)
{
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
parse_number_field(EventScan *scan, const Field *field, EventFieldState *state)
{
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
parse_literal_field(EventScan *scan, const Field *field, EventFieldState *state)
{
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

/* An object, of which the fields in 'table' are read. */
static bool
parse_object(EventScan *scan, const FieldTable *table, char *base)
{
	NameSieve	sieve;
	const Field *field;
	JsonString	key;
	bool		more;

	if (!json_scan_open(&scan->json, '}', &more))
		return false;
	fill_sieve(&sieve, table);
	while (more)
	{
		if (!json_scan_key(&scan->json, &key))
			return false;
		field = field_of_key(scan, table, &sieve, &key);
		if (!(field == NULL ? json_scan_value(&scan->json) :
			  parse_field(scan, table, field, base)) ||
			!json_scan_next(&scan->json, '}', &more))
			return false;
	}
	return true;
}

/*
 * An element is parsed like a field of its own, which has not stood there yet.
 * Of an array that is too long what has been read is dropped.
 */
static bool
parse_array(EventScan *scan, const Array *array, EventFieldState *state,
			char *base)
{
	const Field *field = &array->element;
	char	   *element = base + array->start;
	int		   *count = (int *) (base + array->count);
	bool		more;

	*state = FIELD_OK;
	*count = 0;
	if (!json_scan_open(&scan->json, ']', &more))
		return false;
	for (; more && *count < array->room; (*count)++)
	{
		memset(element, 0, array->size);
		if (!parse_field(scan, field->inside, field, element) ||
			!json_scan_next(&scan->json, ']', &more))
			return false;
		element += array->size;
	}
	while (more)
	{
		*state = FIELD_BAD;
		if (!json_scan_value(&scan->json) ||
			!json_scan_next(&scan->json, ']', &more))
			return false;
	}
	return true;
}

/* At a brace or bracket. */
static bool
parse_nested_field(EventScan *scan, const Field *field, EventFieldState *state,
				   char *base)
{
	bool		is_object = (json_scan_peek(&scan->json) == '{');

	if (field->type == TYPE_CONTAINER && is_object)
	{
		*state = FIELD_OK;
		return parse_object(scan, field->inside, base + field->inside_base);
	}
	if (field->type == TYPE_ARRAY && !is_object)
		return parse_array(scan, field->array, state, base);
	*state = FIELD_BAD;
	return json_scan_value(&scan->json);
}

/* The value of a field that we read. */
static bool
parse_field(EventScan *scan, const FieldTable *table, const Field *field,
			char *base)
{
	EventFieldState *state = field_state(base, field);
	bool		parsed;

	if (*state != FIELD_ABSENT)
		note(scan, table, EVENT_DUPLICATE_FIELD);
	switch (json_scan_peek(&scan->json))
	{
		case '"':
			parsed = parse_string_field(scan, table, field, state);
			break;
		case '{':
		case '[':
			parsed = parse_nested_field(scan, field, state, base);
			break;
		case 't':
		case 'f':
		case 'n':
			parsed = parse_literal_field(scan, field, state);
			break;
		default:
			parsed = parse_number_field(scan, field, state);
			break;
	}
	if (*state == FIELD_BAD)
		spoil_inside(field, base);
	return parsed;
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
	return event->kind != EVENT_KIND_OTHER ? scan->inside : EVENT_OK;
}

/*
 * Empty an event from a member on.  Its arrays become empty by their counts;
 * their elements are too many to be touched for every event.
 */
static void
forget_from(Event *event, size_t start)
{
	memset((char *) event + start, 0, offsetof(Event, transaction) - start);
}

/*
 * What was found in data.object before we knew that it isn't read: a field may
 * have stood there twice, so nobody must see it.  The members of Event from
 * object_id on must be just those of data.object.
 */
static void
forget_object(Event *event)
{
	forget_from(event, offsetof(Event, object_id));
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

	if (!(is_object ? parse_object(scan, &root_table, (char *) scan->event) :
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

	forget_from(event, 0);
	json_scan_begin(&scan.json, body, length, EVENT_MAX_DEPTH);
	scan.out = buffer;
	scan.envelope = EVENT_OK;
	scan.inside = EVENT_OK;
	scan.event = event;
	verdict = parse_body(&scan);
	if (verdict != EVENT_OK)
		forget_from(event, 0);
	else if (event->kind == EVENT_KIND_OTHER)
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
		return EVENT_KIND_DISPUTE;
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

static void
write_object(const char *base, const FieldTable *table, EventAppend append,
			 void *target)
{
	const char *before = "{\"";
	size_t		i;

	for (i = 0; i < table->count; i++)
	{
		const Field *field = &table->fields[i];

		if (*(const EventFieldState *) (base + field->offset) == FIELD_ABSENT)
			continue;
		write_text(append, target, before);
		append(target, field->name, field->length);
		append(target, "\":", 2);
		write_field(base, field, append, target);
		before = ",\"";
	}
	write_text(append, target, before[0] == '{' ? "{}" : "}");
}

static void
write_array(const char *base, const Array *array, EventAppend append,
			void *target)
{
	const char *element = base + array->start;
	int			count = *(const int *) (base + array->count);
	int			i;

	append(target, "[", 1);
	for (i = 0; i < count; i++)
	{
		if (i > 0)
			append(target, ",", 1);
		write_field(element, &array->element, append, target);
		element += array->size;
	}
	append(target, "]", 1);
}

/* A BAD field becomes a value that is BAD for its type again. */
static void
write_field(const char *base, const Field *field, EventAppend append,
			void *target)
{
	const void *value = base + field->offset;
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
	else if (field->type == TYPE_ARRAY)
		write_array(base, field->array, append, target);
	else
		write_object(base + field->inside_base, field->inside, append, target);
}

void
event_write_facts(const Event *event, EventAppend append, void *target)
{
	write_object((const char *) event, &root_table, append, target);
}
