/*-------------------------------------------------------------------------
 *
 * event_test.c
 *	  Tests of src/event.c and src/json.c.
 *
 * Every body is parsed out of memory of just its size into a buffer of just
 * the size that is promised to suffice, so that valgrind and ASan see a step
 * beyond either; and every event goes through event_write_facts() and back.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "tap.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

/* Bodies, by what varies in them. */
#define ENVELOPE(members) \
	"{\"id\":\"evt_1\",\"object\":\"event\"" members "}"
#define TYPED(type, inside) \
	ENVELOPE(",\"data\":{\"object\":{" inside "}},\"type\":\"" type "\"")
#define SESSION(inside)		TYPED("checkout.session.completed", inside)
#define PAYMENT(inside)		TYPED("payment_intent.succeeded", inside)
#define OTHER(inside)		TYPED("customer.created", inside)
#define CHARGE(inside)		TYPED("charge.succeeded", inside)
#define DISPUTE(inside)		TYPED("charge.dispute.closed", inside)
#define INVOICE(inside)		TYPED("invoice.paid", inside)
#define LINES(inside)		INVOICE("\"lines\":{\"data\":" inside "}")
#define TRANSACTIONS(inside) \
	DISPUTE("\"balance_transactions\":" inside)

/* An unread value, and an unread string, in the envelope. */
#define VALUE(value)		ENVELOPE(",\"x\":" value)
#define TEXT(text)			VALUE("\"" text "\"")

#define MAX_FACTS	65536

static const char good[] =
"{\n"
"  \"id\": \"evt_1NG8Du2eZvKYlo2CUI79vXWy\",\n"
"  \"object\": \"event\",\n"
"  \"api_version\": \"2026-01-28.clover\",\n"
"  \"account\": \"acct_1\",\n"
"  \"created\": 1700000000,\n"
"  \"data\": {\n"
"    \"object\": {\n"
"      \"id\": \"cs_test_1\",\n"
"      \"object\": \"checkout.session\",\n"
"      \"amount\": 1,\n"
"      \"amount_subtotal\": 1000,\n"
"      \"amount_total\": 1200,\n"
"      \"client_reference_id\": "
"\"user \\ud83d\\ude00 \xC3\xA9 \xF0\x9F\x98\x80\",\n"
"      \"currency\": \"eur\",\n"
"      \"currency_conversion\": {\n"
"        \"amount_subtotal\": 900,\n"
"        \"amount_total\": 1080,\n"
"        \"fx_rate\": \"1.11\",\n"
"        \"source_currency\": \"usd\"\n"
"      },\n"
"      \"custom_fields\": [1, -2.5e+3, [ ], [{ }, null]],\n"
"      \"customer\": \"cus_1\",\n"
"      \"customer_details\": {\n"
"        \"address\": {\"city\": null},\n"
"        \"email\": \"a@example.com\"\n"
"      },\n"
"      \"customer_email\": \"b@example.com\",\n"
"      \"livemode\": false,\n"
"      \"metadata\": {\n"
"        \"stripe_credit_install\": \"i\",\n"
"        \"stripe_credit_account\": \"a\",\n"
"        \"stripe_credit_pack\": \"p\",\n"
"        \"stripe_credit_credits\": \"100\",\n"
"        \"stripe_credit_quantity\": \"2\",\n"
"        \"stripe_credit_unit_amount\": \"500\",\n"
"        \"stripe_credit_currency\": \"eur\",\n"
"        \"other\": \"x\"\n"
"      },\n"
"      \"mode\": \"payment\",\n"
"      \"payment_intent\": \"pi_1\",\n"
"      \"payment_link\": \"plink_1\",\n"
"      \"payment_status\": \"paid\",\n"
"      \"status\": \"complete\",\n"
"      \"subscription\": \"sub_1\",\n"
"      \"total_details\": {\n"
"        \"amount_discount\": 0,\n"
"        \"amount_shipping\": 50,\n"
"        \"amount_tax\": 150\n"
"      }\n"
"    },\n"
"    \"previous_attributes\": {\"status\": \"open\"}\n"
"  },\n"
"  \"livemode\": true,\n"
"  \"type\": \"checkout.session.completed\"\n"
"}\n";

/* Every value differs, so that no member can be taken for another. */
#define FULL_METADATA(x) \
	"\"metadata\":{" \
	"\"stripe_credit_install\":\"" x " install\"," \
	"\"stripe_credit_account\":\"" x " account\"," \
	"\"stripe_credit_pack\":\"" x " pack\"," \
	"\"stripe_credit_credits\":\"" x " credits\"," \
	"\"stripe_credit_quantity\":\"" x " quantity\"," \
	"\"stripe_credit_unit_amount\":\"" x " unit_amount\"," \
	"\"stripe_credit_currency\":\"" x " currency\"}"

#define FULL_LINE(x, number) \
	"{\"id\":\"" x " id\",\"amount\":" number "1," \
	"\"currency\":\"" x " currency\",\"quantity\":" number "2," \
	FULL_METADATA(x " m") ",\"type\":\"" x " type\",\"proration\":true," \
	"\"subscription\":\"" x " subscription\"," \
	"\"price\":{\"id\":\"" x " price id\",\"type\":\"recurring\"}," \
	"\"plan\":{\"id\":\"" x " plan id\"}," \
	"\"parent\":{\"type\":\"" x " parent type\"," \
	"\"subscription_item_details\":{\"proration\":true," \
	"\"subscription\":\"" x " item subscription\"}," \
	"\"invoice_item_details\":{\"proration\":true}}," \
	"\"pricing\":{\"type\":\"price_details\"," \
	"\"price_details\":{\"price\":\"" x " pricing price\"}}}"

/* Of no object, but every field of all of them. */
static const char full[] =
"\"id\":\"full id\",\"status\":\"full status\",\"currency\":\"full currency\","
"\"customer\":\"full customer\",\"payment_intent\":\"full intent\","
"\"charge\":\"full charge\",\"invoice\":\"full invoice\","
"\"subscription\":\"full subscription\",\"amount\":101,\"created\":102,"
FULL_METADATA("m") ",\"mode\":\"full mode\","
"\"payment_status\":\"full payment status\","
"\"client_reference_id\":\"full reference\","
"\"customer_email\":\"full email\",\"payment_link\":\"full link\","
"\"amount_subtotal\":103,\"amount_total\":104,"
"\"customer_details\":{\"email\":\"full details email\"},"
"\"total_details\":{\"amount_tax\":105,\"amount_shipping\":106},"
"\"currency_conversion\":{\"source_currency\":\"full source\","
"\"amount_subtotal\":107,\"amount_total\":108},"
"\"latest_charge\":\"full latest charge\",\"paid\":true,"
"\"amount_refunded\":109,\"billing_reason\":\"full reason\","
"\"amount_paid\":110,\"parent\":{\"type\":\"subscription_details\","
"\"subscription_details\":{\"subscription\":\"full parent subscription\","
FULL_METADATA("p") "}},\"subscription_details\":{" FULL_METADATA("s") "},"
"\"lines\":{\"has_more\":true,\"data\":["
FULL_LINE("l", "1") "," FULL_LINE("k", "2") "],\"total_count\":2},"
"\"payment\":{\"type\":\"charge\",\"charge\":\"full payment charge\","
"\"payment_intent\":\"full payment intent\"},\"balance_transactions\":["
"{\"id\":\"t id\",\"amount\":-31,\"fee\":15,\"type\":\"adjustment\"},"
"{\"id\":\"u id\",\"amount\":32}]";

typedef enum Shape
{
	SHAPE_STRING,
	SHAPE_INTEGER,
	SHAPE_BOOLEAN,
	SHAPE_CONTAINER,
	SHAPE_ARRAY
} Shape;

typedef struct Row
{
	const char *before;			/* the body up to the container's members */
	const char *after;
	const char *name;
	const char *escaped;		/* the same name, spelled otherwise */
	Shape		shape;
	size_t		offset;			/* of an array's element: of its first one */
	size_t		count;			/* where the array's count is, or 0 */
	size_t		size;			/* of the array's elements, or 0 */
} Row;

#define AFTER_ROOT		"}"
#define ROOT_REST		"{\"id\":\"evt_1\",\"object\":\"event\","
#define BEFORE_DATA \
	"{\"id\":\"evt_1\",\"object\":\"event\"," \
	"\"type\":\"checkout.session.completed\",\"data\":{"
#define AFTER_DATA		"}}"
#define BEFORE_OBJECT	BEFORE_DATA "\"object\":{"
#define AFTER_OBJECT	"}}}"

#define BEFORE_LINE		BEFORE_OBJECT "\"lines\":{\"data\":[{"
#define AFTER_LINE		"}]}" AFTER_OBJECT
#define BEFORE_TRANSACTION	BEFORE_OBJECT "\"balance_transactions\":[{"
#define AFTER_TRANSACTION	"}]" AFTER_OBJECT
#define BEFORE_PARENT	"\"parent\":{\"subscription_details\":{"

/* Where a member is. */
#define IN_EVENT(member) \
	offsetof(Event, member), 0, 0
#define IN_LINE(member) \
	offsetof(Event, line) + offsetof(EventLine, member), \
		offsetof(Event, n_lines), sizeof(EventLine)
#define IN_TRANSACTION(member) \
	offsetof(Event, transaction) + offsetof(EventTransaction, member), \
		offsetof(Event, n_transactions), sizeof(EventTransaction)

#define ROOT(name, escaped, shape, member) \
	{ROOT_REST, AFTER_ROOT, name, escaped, SHAPE_##shape, IN_EVENT(member)}
#define DATA(name, escaped, shape, member) \
	{BEFORE_DATA, AFTER_DATA, name, escaped, SHAPE_##shape, IN_EVENT(member)}
#define OBJECT(name, escaped, shape, member) \
	{BEFORE_OBJECT, AFTER_OBJECT, name, escaped, SHAPE_##shape, \
		IN_EVENT(member)}
#define NESTED(container, name, escaped, shape, member) \
	{BEFORE_OBJECT "\"" container "\":{", "}" AFTER_OBJECT, name, escaped, \
		SHAPE_##shape, IN_EVENT(member)}
#define PARENT(name, escaped, shape, member) \
	{BEFORE_OBJECT BEFORE_PARENT, "}}" AFTER_OBJECT, name, escaped, \
		SHAPE_##shape, IN_EVENT(member)}
#define TRANSACTION(name, escaped, shape, member) \
	{BEFORE_TRANSACTION, AFTER_TRANSACTION, name, escaped, SHAPE_##shape, \
		IN_TRANSACTION(member)}
#define LINE(name, escaped, shape, member) \
	{BEFORE_LINE, AFTER_LINE, name, escaped, SHAPE_##shape, IN_LINE(member)}
#define LINE_NESTED(open, close, name, escaped, shape, member) \
	{BEFORE_LINE open, close AFTER_LINE, name, escaped, SHAPE_##shape, \
		IN_LINE(member)}
#define METADATA_FIELD(before, after, name, escaped, place) \
	{before "\"metadata\":{", "}" after, name, escaped, SHAPE_STRING, place}
#define METADATA(before, after, in, member) \
	METADATA_FIELD(before, after, "stripe_credit_install", \
				   "stripe\\u005fcredit_install", in(member.install)), \
	METADATA_FIELD(before, after, "stripe_credit_account", \
				   "stripe_credit_accoun\\u0074", in(member.account)), \
	METADATA_FIELD(before, after, "stripe_credit_pack", \
				   "stripe_credit_\\u0070ack", in(member.pack)), \
	METADATA_FIELD(before, after, "stripe_credit_credits", \
				   "\\u0073tripe_credit_credits", in(member.credits)), \
	METADATA_FIELD(before, after, "stripe_credit_quantity", \
				   "stripe_credit_quantit\\u0079", in(member.quantity)), \
	METADATA_FIELD(before, after, "stripe_credit_unit_amount", \
				   "stripe_credit_unit_amoun\\u0074", in(member.unit_amount)), \
	METADATA_FIELD(before, after, "stripe_credit_currency", \
				   "stripe_credit_currenc\\u0079", in(member.currency))

/* Every field but the envelope's id and object, which decide the verdict. */
static const Row rows[] = {
	ROOT("type", "\\u0074ype", STRING, type),
	ROOT("account", "\\u0061ccount", STRING, account),
	ROOT("created", "create\\u0064", INTEGER, created),
	ROOT("livemode", "live\\u006dode", BOOLEAN, livemode),
	ROOT("data", "d\\u0061ta", CONTAINER, data),
	DATA("object", "\\u006Fbject", CONTAINER, data_object),

	OBJECT("id", "\\u0069d", STRING, object_id),
	OBJECT("status", "st\\u0061tus", STRING, status),
	OBJECT("currency", "currenc\\u0079", STRING, currency),
	OBJECT("customer", "custome\\u0072", STRING, customer),
	OBJECT("payment_intent", "payment\\u005Fintent", STRING, payment_intent),
	OBJECT("charge", "charg\\u0065", STRING, charge),
	OBJECT("invoice", "in\\u0076oice", STRING, invoice),
	OBJECT("subscription", "\\u0073ubscription", STRING, subscription),
	OBJECT("amount", "\\u0061mount", INTEGER, amount),
	OBJECT("created", "creat\\u0065d", INTEGER, object_created),
	OBJECT("metadata", "\\u006d\\u0065tadata", CONTAINER, metadata),
	METADATA(BEFORE_OBJECT, AFTER_OBJECT, IN_EVENT, metadata),

	OBJECT("mode", "mod\\u0065", STRING, mode),
	OBJECT("payment_status", "payment\\u005fstatus", STRING, payment_status),
	OBJECT("client_reference_id", "client_reference_i\\u0064", STRING,
		   client_reference_id),
	OBJECT("customer_email", "customer_emai\\u006c", STRING, customer_email),
	OBJECT("payment_link", "payment_lin\\u006b", STRING, payment_link),
	OBJECT("amount_subtotal", "amount_subtota\\u006C", INTEGER,
		   amount_subtotal),
	OBJECT("amount_total", "amount_tota\\u006c", INTEGER, amount_total),
	OBJECT("customer_details", "customer_detail\\u0073", CONTAINER,
		   customer_details),
	NESTED("customer_details", "email", "\\u0065mail", STRING,
		   customer_details_email),
	OBJECT("total_details", "total\\u005fdetails", CONTAINER, total_details),
	NESTED("total_details", "amount_tax", "amount_ta\\u0078", INTEGER,
		   amount_tax),
	NESTED("total_details", "amount_shipping", "amount_shippin\\u0067",
		   INTEGER, amount_shipping),
	OBJECT("currency_conversion", "currency\\u005fconversion", CONTAINER,
		   currency_conversion),
	NESTED("currency_conversion", "source_currency", "source\\u005fcurrency",
		   STRING, source_currency),
	NESTED("currency_conversion", "amount_subtotal", "\\u0061mount_subtotal",
		   INTEGER, source_subtotal),
	NESTED("currency_conversion", "amount_total", "\\u0061mount_total",
		   INTEGER, source_total),

	OBJECT("latest_charge", "latest\\u005fcharge", STRING, latest_charge),
	OBJECT("paid", "pa\\u0069d", BOOLEAN, paid),
	OBJECT("amount_refunded", "amount_refunde\\u0064", INTEGER,
		   amount_refunded),

	OBJECT("billing_reason", "\\u0062illing_reason", STRING, billing_reason),
	OBJECT("amount_paid", "amount\\u005fpaid", INTEGER, amount_paid),
	OBJECT("parent", "\\u0070arent", CONTAINER, parent),
	NESTED("parent", "subscription_details", "subscription\\u005fdetails",
		   CONTAINER, parent_details),
	PARENT("subscription", "subscriptio\\u006e", STRING, parent_subscription),
	PARENT("metadata", "metadat\\u0061", CONTAINER, parent_metadata),
	METADATA(BEFORE_OBJECT BEFORE_PARENT, "}}" AFTER_OBJECT, IN_EVENT,
			 parent_metadata),
	OBJECT("subscription_details", "\\u0073ubscription_details", CONTAINER,
		   subscription_details),
	NESTED("subscription_details", "metadata", "me\\u0074adata", CONTAINER,
		   subscription_metadata),
	METADATA(BEFORE_OBJECT "\"subscription_details\":{", "}" AFTER_OBJECT,
			 IN_EVENT, subscription_metadata),
	OBJECT("lines", "line\\u0073", CONTAINER, lines),
	NESTED("lines", "has_more", "has\\u005fmore", BOOLEAN, lines_has_more),
	NESTED("lines", "data", "dat\\u0061", ARRAY, lines_data),

	LINE("id", "\\u0069d", STRING, id),
	LINE("amount", "amoun\\u0074", INTEGER, amount),
	LINE("currency", "currenc\\u0079", STRING, currency),
	LINE("quantity", "\\u0071uantity", INTEGER, quantity),
	LINE("metadata", "meta\\u0064ata", CONTAINER, metadata),
	METADATA(BEFORE_LINE, AFTER_LINE, IN_LINE, metadata),
	LINE("type", "\\u0074ype", STRING, type),
	LINE("proration", "pro\\u0072ation", BOOLEAN, proration),
	LINE("subscription", "s\\u0075bscription", STRING, subscription),
	LINE("price", "pric\\u0065", CONTAINER, price),
	LINE_NESTED("\"price\":{", "}", "id", "i\\u0064", STRING, price_id),
	LINE("plan", "pla\\u006e", CONTAINER, plan),
	LINE_NESTED("\"plan\":{", "}", "id", "i\\u0064", STRING, plan_id),
	LINE("parent", "paren\\u0074", CONTAINER, parent),
	LINE_NESTED("\"parent\":{", "}", "type", "typ\\u0065", STRING,
				parent_type),
	LINE_NESTED("\"parent\":{", "}", "subscription_item_details",
				"subscription_item_detail\\u0073", CONTAINER, item_details),
	LINE_NESTED("\"parent\":{\"subscription_item_details\":{", "}}",
				"proration", "proratio\\u006e", BOOLEAN, item_proration),
	LINE_NESTED("\"parent\":{\"subscription_item_details\":{", "}}",
				"subscription", "subscriptio\\u006e", STRING,
				item_subscription),
	LINE_NESTED("\"parent\":{", "}", "invoice_item_details",
				"invoice_item_detail\\u0073", CONTAINER, invoice_item_details),
	LINE_NESTED("\"parent\":{\"invoice_item_details\":{", "}}", "proration",
				"proratio\\u006e", BOOLEAN, invoice_item_proration),
	LINE("pricing", "pricin\\u0067", CONTAINER, pricing),
	LINE_NESTED("\"pricing\":{", "}", "price_details", "price\\u005fdetails",
				CONTAINER, price_details),
	LINE_NESTED("\"pricing\":{\"price_details\":{", "}}", "price",
				"\\u0070rice", STRING, pricing_price),

	OBJECT("payment", "pa\\u0079ment", CONTAINER, payment),
	NESTED("payment", "payment_intent", "payment_inten\\u0074", STRING,
		   payment_payment_intent),
	NESTED("payment", "charge", "char\\u0067e", STRING, payment_charge),

	OBJECT("balance_transactions", "balance\\u005ftransactions", ARRAY,
		   balance_transactions),
	TRANSACTION("id", "\\u0069d", STRING, id),
	TRANSACTION("amount", "\\u0061mount", INTEGER, amount),
};

/* What the last parse() found. */
static Event event;
static char *body = NULL;
static char *buffer = NULL;

/* Facts being written. */
typedef struct Facts
{
	size_t		length;
	char		text[MAX_FACTS];
} Facts;

static Facts facts;


/*
 * Helpers
 */

static void *
copy_of(const void *octets, size_t length)
{
	void	   *copy = malloc(length > 0 ? length : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, octets, length);
	return copy;
}

static void
append_fact(void *target, const char *data, size_t length)
{
	Facts	   *written = target;

	if (written->length + length > MAX_FACTS)
		abort();
	memcpy(written->text + written->length, data, length);
	written->length += length;
}

static int
count_of(const Event *of, const Row *row)
{
	return *(const int *) ((const char *) of + row->count);
}

/* A row's member; of an array's element, in element 'i'. */
static const void *
member_of(const Event *of, const Row *row, int i)
{
	return (const char *) of + row->offset + row->size * (size_t) i;
}

/* An array's elements are looked at up to its count only: there are none. */
static EventFieldState
state_of(const Event *of, const Row *row)
{
	if (row->count > 0 && count_of(of, row) == 0)
		return FIELD_ABSENT;
	return *(const EventFieldState *) member_of(of, row, 0);
}

static bool
is_nested(const Row *row)
{
	return row->shape == SHAPE_CONTAINER || row->shape == SHAPE_ARRAY;
}

static bool
same_string(const EventString *a, const EventString *b)
{
	if (a->state != b->state || a->length != b->length)
		return false;
	if (a->state != FIELD_OK)
		return a->value == NULL && b->value == NULL && a->length == 0;
	return memcmp(a->value, b->value, a->length + 1) == 0;
}

static bool
same_integer(const EventInteger *a, const EventInteger *b)
{
	return a->state == b->state && a->value == b->value &&
		(a->state == FIELD_OK || a->value == 0);
}

static bool
same_boolean(const EventBoolean *a, const EventBoolean *b)
{
	return a->state == b->state && a->value == b->value &&
		(a->state == FIELD_OK || !a->value);
}

static bool
same_value(const void *a, const void *b, Shape shape)
{
	switch (shape)
	{
		case SHAPE_STRING:
			return same_string(a, b);
		case SHAPE_INTEGER:
			return same_integer(a, b);
		case SHAPE_BOOLEAN:
			return same_boolean(a, b);
		default:
			return *(const EventFieldState *) a == *(const EventFieldState *) b;
	}
}

static bool
same_member(const Event *a, const Event *b, const Row *row)
{
	const int	times = row->count > 0 ? count_of(a, row) : 1;
	int			i;

	for (i = 0; i < times; i++)
	{
		if (!same_value(member_of(a, row, i), member_of(b, row, i),
						row->shape))
			return false;
	}
	return true;
}

/* The arrays' counts, and the states of their elements. */
static bool
same_elements(const Event *a, const Event *b)
{
	int			i;

	if (a->n_lines != b->n_lines || a->n_transactions != b->n_transactions)
		return false;
	for (i = 0; i < a->n_lines; i++)
	{
		if (a->line[i].state != b->line[i].state)
			return false;
	}
	for (i = 0; i < a->n_transactions; i++)
	{
		if (a->transaction[i].state != b->transaction[i].state)
			return false;
	}
	return true;
}

static bool
same_event(const Event *a, const Event *b)
{
	size_t		i;

	if (a->kind != b->kind || !same_string(&a->id, &b->id) ||
		!same_string(&a->object, &b->object) || !same_elements(a, b))
		return false;
	for (i = 0; i < lengthof(rows); i++)
	{
		if (!same_member(a, b, &rows[i]))
		{
			printf("# %s differs\n", rows[i].name);
			return false;
		}
	}
	return true;
}

/* Whether the event comes back the same from its facts. */
static bool
comes_back(void)
{
	Event		again;
	char	   *text;
	char	   *space;
	bool		same;

	facts.length = 0;
	event_write_facts(&event, append_fact, &facts);
	append_fact(&facts, "", 1);
	facts.length--;
	text = copy_of(facts.text, facts.length);
	space = malloc(facts.length + 1);
	if (space == NULL)
		abort();
	same = event_parse(text, facts.length, space, &again) == EVENT_OK &&
		same_event(&event, &again);
	free(text);
	free(space);
	return same;
}

/* A body fit for a line of the report. */
static const char *
shown(const char *text)
{
	static char line[100];
	size_t		i;

	for (i = 0; text[i] != '\0' && i < sizeof(line) - 1; i++)
	{
		line[i] = text[i];
		if (text[i] < ' ' || text[i] > '~' || text[i] == '#')
			line[i] = '?';
	}
	line[i] = '\0';
	return line;
}

static EventVerdict
parse_octets(const char *octets, size_t length)
{
	EventVerdict verdict;

	free(body);
	free(buffer);
	body = copy_of(octets, length);
	buffer = malloc(length + 1);
	if (buffer == NULL)
		abort();
	memset(&event, 0x5A, sizeof(Event));
	verdict = event_parse(body, length, buffer, &event);
	if (verdict == EVENT_OK && !comes_back())
		ok(false, "comes back from its facts: %s", shown(facts.text));
	return verdict;
}

static EventVerdict
parse(const char *text)
{
	return parse_octets(text, strlen(text));
}

/* For what can't be printed. */
static void
verdict_is(const char *octets, size_t length, EventVerdict expected,
		   const char *name)
{
	EventVerdict verdict = parse_octets(octets, length);

	ok(verdict == expected, "%s: %d, expected %d", name, verdict, expected);
}

static void
is(const char *text, EventVerdict expected)
{
	verdict_is(text, strlen(text), expected, shown(text));
}

/* A body made of pieces; the caller must not keep it. */
static const char *
join(const char *a, const char *b, const char *c, const char *d, const char *e)
{
	static char joined[16384];

	snprintf(joined, sizeof(joined), "%s%s%s%s%s", a, b, c, d, e);
	return joined;
}

/* An event of any type that holds every field. */
static const char *
full_event(const char *type)
{
	return join("{\"id\":\"evt_1\",\"object\":\"event\",\"account\":\"acct_1\","
				"\"created\":1,\"livemode\":true,\"data\":{\"object\":{",
				full, "}},\"type\":\"", type, "\"}");
}

/* A body in which a row's field has a value, and what follows it. */
static const char *
with_field(const Row *row, const char *name, const char *value,
		   const char *rest)
{
	char		member[512];

	snprintf(member, sizeof(member), "\"%s\":%s%s", name, value, rest);
	return join(row->before, member, row->after, "", "");
}

static bool
string_is(const EventString *string, const char *value, size_t length)
{
	return string->state == FIELD_OK && string->length == length &&
		memcmp(string->value, value, length + 1) == 0;
}

#define IS(member, text) \
	ok(string_is(&event.member, text, sizeof(text) - 1), #member)
#define IS_INTEGER(member, number) \
	ok(event.member.state == FIELD_OK && event.member.value == (number), \
	   #member)
#define IS_TRUE(member) \
	ok(event.member.state == FIELD_OK && event.member.value, #member)
#define METADATA_IS(member, x) \
	do { \
		ok(event.member.state == FIELD_OK, #member); \
		IS(member.install, x " install"); \
		IS(member.account, x " account"); \
		IS(member.pack, x " pack"); \
		IS(member.credits, x " credits"); \
		IS(member.quantity, x " quantity"); \
		IS(member.unit_amount, x " unit_amount"); \
		IS(member.currency, x " currency"); \
	} while (0)


/*
 * Tests
 */

static void
test_good_event(void)
{
	ok(parse(good) == EVENT_OK, "a good event");
	ok(event.kind == EVENT_KIND_SESSION_COMPLETED, "kind");
	IS(id, "evt_1NG8Du2eZvKYlo2CUI79vXWy");
	IS(object, "event");
	IS(type, "checkout.session.completed");
	IS(account, "acct_1");
	IS_INTEGER(created, 1700000000);
	ok(event.livemode.state == FIELD_OK && event.livemode.value, "livemode");
	ok(event.data == FIELD_OK && event.data_object == FIELD_OK, "data.object");
}

static void
test_good_object(void)
{
	parse(good);
	IS(object_id, "cs_test_1");
	IS(mode, "payment");
	IS(payment_status, "paid");
	IS(status, "complete");
	IS(payment_intent, "pi_1");
	IS(subscription, "sub_1");
	IS(customer, "cus_1");
	IS(client_reference_id,
	   "user \xF0\x9F\x98\x80 \xC3\xA9 \xF0\x9F\x98\x80");
	IS(customer_email, "b@example.com");
	IS(payment_link, "plink_1");
	IS(currency, "eur");
	IS_INTEGER(amount, 1);
	IS_INTEGER(amount_subtotal, 1000);
	IS_INTEGER(amount_total, 1200);
}

static void
test_good_containers(void)
{
	parse(good);
	ok(event.customer_details == FIELD_OK, "customer_details");
	IS(customer_details_email, "a@example.com");
	ok(event.total_details == FIELD_OK, "total_details");
	IS_INTEGER(amount_tax, 150);
	IS_INTEGER(amount_shipping, 50);
	ok(event.currency_conversion == FIELD_OK, "currency_conversion");
	IS(source_currency, "usd");
	IS_INTEGER(source_subtotal, 900);
	IS_INTEGER(source_total, 1080);
	ok(event.metadata.state == FIELD_OK, "metadata");
	IS(metadata.install, "i");
	IS(metadata.account, "a");
	IS(metadata.pack, "p");
	IS(metadata.credits, "100");
	IS(metadata.quantity, "2");
	IS(metadata.unit_amount, "500");
	IS(metadata.currency, "eur");
}

static void
test_full_object(void)
{
	size_t		i;
	int			missing = 0;

	ok(parse(full_event("charge.updated")) == EVENT_OK, "a full event");
	for (i = 0; i < lengthof(rows); i++)
		missing += (state_of(&event, &rows[i]) != FIELD_OK);
	ok(missing == 0, "has every field: %d missing", missing);
	IS(object_id, "full id");
	IS(status, "full status");
	IS(currency, "full currency");
	IS(customer, "full customer");
	IS(payment_intent, "full intent");
	IS(charge, "full charge");
	IS(invoice, "full invoice");
	IS(subscription, "full subscription");
	IS_INTEGER(amount, 101);
	IS_INTEGER(object_created, 102);
	METADATA_IS(metadata, "m");
	IS(latest_charge, "full latest charge");
	IS_TRUE(paid);
	IS_INTEGER(amount_refunded, 109);
	IS(payment_payment_intent, "full payment intent");
	IS(payment_charge, "full payment charge");
}

static void
test_full_session(void)
{
	parse(full_event("checkout.session.expired"));
	IS(mode, "full mode");
	IS(payment_status, "full payment status");
	IS(client_reference_id, "full reference");
	IS(customer_email, "full email");
	IS(payment_link, "full link");
	IS_INTEGER(amount_subtotal, 103);
	IS_INTEGER(amount_total, 104);
	IS(customer_details_email, "full details email");
	IS_INTEGER(amount_tax, 105);
	IS_INTEGER(amount_shipping, 106);
	IS(source_currency, "full source");
	IS_INTEGER(source_subtotal, 107);
	IS_INTEGER(source_total, 108);
}

#define LINE_IS(i, x, number) \
	do { \
		ok(event.line[i].state == FIELD_OK, "line[%d]", i); \
		IS(line[i].id, x " id"); \
		IS_INTEGER(line[i].amount, number * 10 + 1); \
		IS(line[i].currency, x " currency"); \
		IS_INTEGER(line[i].quantity, number * 10 + 2); \
		METADATA_IS(line[i].metadata, x " m"); \
		IS(line[i].type, x " type"); \
		IS_TRUE(line[i].proration); \
		IS(line[i].subscription, x " subscription"); \
		IS(line[i].price_id, x " price id"); \
		IS(line[i].plan_id, x " plan id"); \
		IS(line[i].parent_type, x " parent type"); \
		IS_TRUE(line[i].item_proration); \
		IS(line[i].item_subscription, x " item subscription"); \
		IS_TRUE(line[i].invoice_item_proration); \
		IS(line[i].pricing_price, x " pricing price"); \
	} while (0)

static void
test_full_invoice(void)
{
	parse(full_event("invoice.paid"));
	IS(billing_reason, "full reason");
	IS_INTEGER(amount_paid, 110);
	IS(parent_subscription, "full parent subscription");
	METADATA_IS(parent_metadata, "p");
	METADATA_IS(subscription_metadata, "s");
	IS_TRUE(lines_has_more);
	ok(event.n_lines == 2, "n_lines");
	LINE_IS(0, "l", 1);
	LINE_IS(1, "k", 2);
}

static void
test_full_dispute(void)
{
	parse(full_event("charge.dispute.funds_withdrawn"));
	ok(event.n_transactions == 2, "n_transactions");
	ok(event.transaction[0].state == FIELD_OK, "transaction[0]");
	IS(transaction[0].id, "t id");
	IS_INTEGER(transaction[0].amount, -31);
	ok(event.transaction[1].state == FIELD_OK, "transaction[1]");
	IS(transaction[1].id, "u id");
	IS_INTEGER(transaction[1].amount, 32);
}

/* A boolean is false only if it stands there. */
static void
test_booleans(void)
{
	is(CHARGE("\"paid\":false"), EVENT_OK);
	ok(event.paid.state == FIELD_OK && !event.paid.value, "paid false");
	is(LINES("[{\"proration\":false}],\"has_more\":false"), EVENT_OK);
	ok(event.lines_has_more.state == FIELD_OK && !event.lines_has_more.value,
	   "has_more false");
	ok(event.line[0].proration.state == FIELD_OK &&
	   !event.line[0].proration.value, "proration false");
	is(LINES("[{\"proration\":0}],\"has_more\":\"true\""), EVENT_OK);
	ok(event.lines_has_more.state == FIELD_BAD && !event.lines_has_more.value,
	   "has_more bad");
	ok(event.line[0].proration.state == FIELD_BAD, "proration bad");
}

/* But for what the arrays hold beyond their counts. */
static bool
is_empty(const Event *of)
{
	static const Event empty;

	return memcmp(of, &empty, offsetof(Event, transaction)) == 0;
}

/* A body of 'most' octets, and less of it. */
static void
cut_short(const char *text, size_t most)
{
	size_t		length;
	int			wrong = 0;

	for (length = 0; length < most; length++)
	{
		EventVerdict verdict = parse_octets(text, length);

		/* Half a character is both no UTF-8 and no JSON. */
		if (verdict != EVENT_NOT_JSON && verdict != EVENT_NOT_UTF8)
			wrong++;
		else if (!is_empty(&event))
			wrong++;
	}
	ok(wrong == 0, "cut short at any octet: %d wrong", wrong);
}

/* The last octet of 'good' is a newline, which may be missing. */
static void
test_truncation(void)
{
	const char *text = full_event("invoice.paid");

	cut_short(text, strlen(text) - 1);
	cut_short(good, sizeof(good) - 2);
	verdict_is(good, sizeof(good) - 2, EVENT_OK, "cut short by its newline");
}

/* For valgrind and ASan, and for the way back from the facts. */
static void
every_octet(char *text, size_t start, size_t end)
{
	const size_t length = strlen(text);
	int			accepted = 0;
	int			octet;
	size_t		i;

	for (i = start; i < end; i++)
	{
		char		kept = text[i];

		for (octet = 0; octet < 256; octet++)
		{
			text[i] = (char) octet;
			if (parse_octets(text, length) == EVENT_OK)
				accepted++;
		}
		text[i] = kept;
	}
	ok(accepted > 0, "every octet in every place: %d accepted", accepted);
}

static void
test_every_octet(void)
{
	char		session[] = SESSION("\"id\":\"\\u0041\",\"amount\":-10");
	char		invoice[] = LINES("[{\"id\":\"\\u0041\"},null,1]");
	const size_t lines = (size_t) (strstr(invoice, "\"lines") - invoice);

	every_octet(session, 0, strlen(session));
	every_octet(invoice, lines, strlen(invoice));
}

static void
test_not_json(void)
{
	static const char *const texts[] = {
		"", " ", "\n", "{", "}", "[", "]", "[]]", "{}}", "\"", ",", ":", "x",
		"{}{}", "{},", "{} x", "{}\f", "[1,]", "[,1]", "[1 2]", "[1}", "{]",
		"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}",
		"{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1]", "{\"a\":1,2}",
		"{\"a\"::1}", "{\"a\":1,,\"b\":2}", "{null:1}", "{[]:1}",
		"nul", "nulL", "tru", "trux", "fals", "falsy", "NULL", "True", "nulll",
		"NaN", "Infinity", "-Infinity", "undefined",
		"01", "-", "-x", "-01", "00", "+1", ".5", "1.", "1.e1", "1e", "1e+",
		"1E-", "1ex", "0x10", "1_0", "--1", "1.2.3", "1e1.5", "1e1e1",
		"// c\n{}", "/**/{}", "{}//", "\v{}", "\xC2\xA0{}", "{\xC2\xA0}",
		"\"\\", "\"\\\"", "\"\\x\"", "\"\\u\"", "\"\\u1\"", "\"\\u12\"",
		"\"\\u123\"", "\"\\u123g\"", "\"\\u 123\"", "\"\\U0041\"", "\"\\'\"",
		"\"\\u00", "\"\\0\"", "\"\\a\"", "\"\\u004/\"", "\"\\u004:\"",
		"\"\\u004@\"", "\"\\u004G\"", "\"\\u004`\"", "\"\\\n\"",
		"\"a\tb\"", "\"a\nb\"", "\"\x01\"", "\"\x1F\"", "\"0123456789\x1F\"",
		"\"unended 0123456789", "{\"a\tb\":1}", "{\"a\":1}\x01",
		ENVELOPE("") "x", ENVELOPE("") ENVELOPE(""), ENVELOPE(","),
		ENVELOPE("") "\x01", VALUE("tru"), VALUE(""), VALUE("01"),
		SESSION("\"amount\":01"), SESSION("\"amount\":1."),
		SESSION("\"amount\":"), SESSION("\"amount\":-"),
		SESSION("\"mode\":\"\\q\""), SESSION("\"mode\":tru"),
		SESSION("\"mode\":[1"), SESSION("\"metadata\":{\"a\"}"),
		SESSION("\"metadata\":[,]"), SESSION("\"mode\":{1}"),
		SESSION("\"mode\""), SESSION(","), SESSION("\"a\":1,"),
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
		is(texts[i], EVENT_NOT_JSON);
	verdict_is("{\0}", 3, EVENT_NOT_JSON, "a NUL between tokens");
	verdict_is("{}\0", 3, EVENT_NOT_JSON, "a NUL at the end");
	verdict_is("\"a\0b\"", 5, EVENT_NOT_JSON, "a NUL in a string");
	verdict_is("{\"a\0\":1}", 8, EVENT_NOT_JSON, "a NUL in a key");
}

/* Strings are looked at by words, so each octet in each place of two words. */
static void
test_plain_octets(void)
{
	char		text[] = "[\"0123456789abcdefghijklmnopqrstuv\"]";
	int			wrong = 0;
	int			octet;
	size_t		i;

	for (i = 2; i < 18; i++)
	{
		const char	kept = text[i];

		for (octet = 0; octet < 0x80; octet++)
		{
			bool		plain = (octet >= 0x20 && octet != '"' && octet != '\\');
			EventVerdict verdict;

			text[i] = (char) octet;
			verdict = parse_octets(text, sizeof(text) - 1);
			if (octet == '\\' && strchr("bf", text[i + 1]) != NULL)
				plain = true;
			if (verdict != (plain ? EVENT_NOT_OBJECT : EVENT_NOT_JSON))
				wrong++;
		}
		text[i] = kept;
	}
	ok(wrong == 0, "each ASCII character in a string: %d wrong", wrong);
}

static void
test_not_object(void)
{
	static const char *const texts[] = {
		"null", "true", "false", "0", "-0", "1", "-1.5e-3", "1E+2", "10",
		"\"\"", "\"{}\"", "[]", "[ ]", "[{}]",
		" \t\r\n[1,2 , 3]\r\n\t ", "\"\\u0000\"",
		"\"\\ud800\"", "[" ENVELOPE("") "]", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\x7F\"",
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
		is(texts[i], EVENT_NOT_OBJECT);
}

static void
test_not_utf8(void)
{
	static const char *const texts[] = {
		"\xEF\xBB\xBF" ENVELOPE(""), "\xEF\xBB\xBF", "\xEF\xBB", "\xFF",
		"\xFE\xFF", " \xEF\xBB\xBF" ENVELOPE(""), ENVELOPE("") "\xFF",
		ENVELOPE("\xFF"), VALUE("\xFF"), VALUE("1\xC3"), VALUE("\x80"),
		TEXT("\x80"), TEXT("\xBF"), TEXT("a\x80"), TEXT("\xC0\x80"),
		TEXT("\xC0\xAF"), TEXT("\xC1\xBF"), TEXT("\xC2"), TEXT("\xC2x"),
		TEXT("\xC2\xC0"), TEXT("\xE0\x80\x80"), TEXT("\xE0\x9F\xBF"),
		TEXT("\xE1\x80"), TEXT("\xE1x\x80"), TEXT("\xE1\x80x"),
		TEXT("\xED\xA0\x80"), TEXT("\xED\xBF\xBF"),
		TEXT("\xED\xA0\xBD\xED\xB8\x80"), TEXT("\xF0\x80\x80\x80"),
		TEXT("\xF0\x8F\xBF\xBF"), TEXT("\xF1\x80\x80"),
		TEXT("\xF1\x80\x80x"), TEXT("\xF1\x80x\x80"), TEXT("\xF1x\x80\x80"),
		TEXT("\xF4\x90\x80\x80"), TEXT("\xF5\x80\x80\x80"),
		TEXT("\xF8\x88\x80\x80\x80"), TEXT("\xFC\x84\x80\x80\x80\x80"),
		TEXT("\xFE"), TEXT("\xFF"), TEXT("\xC3\xA9\xC3"),
		ENVELOPE(",\"\xC3\":1"), ENVELOPE(",\"\x80\":1"),
		SESSION("\"mode\":\"\xFF\""), SESSION("\"mo\xFF\":1"),
		SESSION("\"metadata\":{\"stripe_credit_pack\":\"\xC0\x80\"}"),
		OTHER("\"mode\":\"\xFF\""), "\"\xE2\x82",
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
		is(texts[i], EVENT_NOT_UTF8);
}

static void
test_utf8(void)
{
	is(TEXT("\x7F\xC2\x80\xDF\xBF"), EVENT_OK);
	is(TEXT("\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF"), EVENT_OK);
	is(TEXT("\xF0\x90\x80\x80\xF3\xBF\xBF\xBF\xF4\x8F\xBF\xBF"), EVENT_OK);
	is(TEXT("\xEF\xBB\xBF"), EVENT_OK);
	is(ENVELOPE(",\"\xE2\x82\xAC\":\"0123456\xE2\x82\xAC\""), EVENT_OK);
	parse(SESSION("\"mode\":\"\xE2\x82\xAC\xF4\x8F\xBF\xBF\""));
	IS(mode, "\xE2\x82\xAC\xF4\x8F\xBF\xBF");
}

/* Appends to a body, and returns where it ends. */
static char *
repeat(char *at, const char *text, int times)
{
	const size_t length = strlen(text);
	int			i;

	for (i = 0; i < times; i++)
	{
		memcpy(at, text, length);
		at += length;
	}
	return at;
}

/* A body in which 'open' and 'close' are repeated. */
static EventVerdict
parse_depth(const char *before, const char *open, const char *innermost,
			const char *close, const char *after, int times)
{
	size_t		most = strlen(before) + strlen(innermost) + strlen(after) +
		(strlen(open) + strlen(close)) * (size_t) times;
	char	   *text = malloc(most + 1);
	char	   *at = text;
	EventVerdict verdict;

	if (text == NULL)
		abort();
	at = repeat(at, before, 1);
	at = repeat(at, open, times);
	at = repeat(at, innermost, 1);
	at = repeat(at, close, times);
	at = repeat(at, after, 1);
	verdict = parse_octets(text, (size_t) (at - text));
	free(text);
	return verdict;
}

/* 64 levels, of which 'levels' are outside what is repeated. */
static void
depth_is(const char *before, const char *open, const char *innermost,
		 const char *close, const char *after, int levels)
{
	const int	left = EVENT_MAX_DEPTH - levels;
	EventVerdict verdict;

	verdict = parse_depth(before, open, innermost, close, after, left);
	ok(verdict == EVENT_OK || verdict == EVENT_NOT_OBJECT ||
	   verdict == EVENT_NOT_EVENT, "64 levels: %s%s%s", before, open, innermost);
	verdict = parse_depth(before, open, innermost, close, after, left + 1);
	ok(verdict == EVENT_TOO_DEEP, "65 levels: %s%s%s", before, open, innermost);
	verdict = parse_depth(before, open, innermost, close, after, 100000);
	ok(verdict == EVENT_TOO_DEEP, "100000 levels: %s%s%s", before, open,
	   innermost);
}

static void
test_depth(void)
{
	const char *const session = BEFORE_OBJECT "\"x\":";
	const char *const mode = BEFORE_OBJECT "\"mode\":";
	const char *const metadata = BEFORE_OBJECT "\"metadata\":{\"x\":";
	const char *const lines = BEFORE_OBJECT "\"lines\":{\"data\":";
	const char *const line = BEFORE_LINE "\"pricing\":";

	depth_is("", "[", "", "]", "", 0);
	depth_is("", "[", "1", "]", "", 0);
	depth_is("", "{\"a\":", "1", "}", "", 0);
	depth_is("", "{\"a\":", "{}", "}", "", 1);
	depth_is("", "[", "{}", "]", "", 1);
	depth_is("{\"x\":", "[", "", "]", "}", 1);
	depth_is(session, "[", "", "]", AFTER_OBJECT, 3);
	depth_is(session, "{\"id\":", "[]", "}", AFTER_OBJECT, 4);
	depth_is(mode, "[", "1", "]", AFTER_OBJECT, 3);
	depth_is(mode, "{\"mode\":", "1", "}", AFTER_OBJECT, 3);
	depth_is(metadata, "[", "", "]", "}" AFTER_OBJECT, 4);
	depth_is(lines, "[", "", "]", "}" AFTER_OBJECT, 4);
	depth_is(lines, "[", "{}", "]", "}" AFTER_OBJECT, 5);
	depth_is(line, "{\"price_details\":", "1", "}", AFTER_LINE, 6);
	ok(parse_depth("", "[{\"a\":", "1", "}]", "", 32) == EVENT_NOT_OBJECT,
	   "64 mixed levels");
	ok(parse_depth("", "[{\"a\":", "[]", "}]", "", 32) == EVENT_TOO_DEEP,
	   "65 mixed levels");
	ok(parse_depth(session, "[", "", "]", AFTER_OBJECT, 61) == EVENT_OK,
	   "64 levels are an event");
	ok(parse_depth("[", "[[]],{\"a\":[]},", "1", "", "]", 100) ==
	   EVENT_NOT_OBJECT, "closed levels do not add up");
}

static void
test_not_event(void)
{
	static const char *const texts[] = {
		"{}", "{ }", "{\"id\":\"evt_1\"}", "{\"object\":\"events\"}",
		"{\"object\":\"Event\"}", "{\"object\":\"\"}", "{\"object\":null}",
		"{\"object\":1}", "{\"object\":true}", "{\"object\":[\"event\"]}",
		"{\"object\":{\"object\":\"event\"}}", "{\"object\":\"event \"}",
		"{\"object\":\"evenT\"}", "{\"object\":\"v2.core.even\"}",
		"{\"x\":{\"object\":\"event\",\"id\":\"evt_1\"}}",
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
		is(texts[i], EVENT_NOT_EVENT);
	is("{\"object\":\"v2.core.event\"}", EVENT_THIN);
	is("{\"id\":\"evt_1\",\"object\":\"v2.core.event\",\"type\":\"v1.a\"}",
	   EVENT_THIN);
	is("{\"object\":\"\\u0065vent\",\"id\":\"evt_1\"}", EVENT_OK);
}

static void
test_bad_id(void)
{
	static const char *const values[] = {
		"\"\"", "\"evt_\"", "\"evt\"", "\"Evt_1\"", "\"EVT_1\"", "\"cs_1\"",
		"\"evt-1\"", "\"evt_-\"", "\"evt_ 1\"", "\"evt_1 \"", "\" evt_1\"",
		"\"evt_1\\n\"", "\"evt_\xC3\xA9\"", "\"evt_/\"", "\"evt_:\"",
		"\"evt_@\"", "\"evt_[\"", "\"evt_^\"", "\"evt_`\"", "\"evt_{\"",
		"\"evt_\x7F\"", "null", "1", "true", "[]", "{}", "[\"evt_1\"]",
	};
	size_t		i;

	is("{\"object\":\"event\"}", EVENT_BAD_ID);
	for (i = 0; i < lengthof(values); i++)
		is(join("{\"object\":\"event\",\"id\":", values[i], "}", "", ""),
		   EVENT_BAD_ID);
	is("{\"object\":\"event\",\"id\":\"evt_azAZ09_\"}", EVENT_OK);
	is("{\"object\":\"event\",\"id\":\"\\u0065vt_\\u0031\"}", EVENT_OK);
}

/* An id of evt_ and so many characters. */
static EventVerdict
parse_id(size_t rest)
{
	static char text[16384];
	size_t		start;

	strcpy(text, "{\"object\":\"event\",\"id\":\"evt_");
	start = strlen(text);
	memset(text + start, 'a', rest);
	strcpy(text + start + rest, "\"}");
	return parse(text);
}

static void
test_id_length(void)
{
	ok(parse_id(0) == EVENT_BAD_ID, "evt_ and nothing");
	ok(parse_id(1) == EVENT_OK, "evt_ and 1");
	ok(parse_id(250) == EVENT_OK && event.id.length == 254, "evt_ and 250");
	ok(parse_id(251) == EVENT_BAD_ID, "evt_ and 251");
	ok(parse_id(10000) == EVENT_BAD_ID, "evt_ and 10000");
}

static EventFieldState
expected_state(Shape shape, Shape of_value)
{
	return shape == of_value ? FIELD_OK : FIELD_BAD;
}

/* Every field with a value of every type. */
static void
test_types(void)
{
	static const struct
	{
		const char *text;
		Shape		shape;
	}			values[] = {
		{"\"\"", SHAPE_STRING}, {"\"12\"", SHAPE_STRING},
		{"0", SHAPE_INTEGER}, {"-1", SHAPE_INTEGER},
		{"true", SHAPE_BOOLEAN}, {"false", SHAPE_BOOLEAN},
		{"{}", SHAPE_CONTAINER}, {"{\"x\":[1]}", SHAPE_CONTAINER},
		{"[]", SHAPE_ARRAY}, {"[{}, 1]", SHAPE_ARRAY},
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		for (j = 0; j < lengthof(values); j++)
		{
			const char *text = with_field(&rows[i], rows[i].name,
										  values[j].text, "");

			ok(parse(text) == EVENT_OK && state_of(&event, &rows[i]) ==
			   expected_state(rows[i].shape, values[j].shape),
			   "%s", shown(text));
		}
	}
}

/* Every field as null, as a number that is no integer, and not at all. */
static void
test_null_and_bad(void)
{
	static const char *const bad[] = {"1.5", "1e3", "-0"};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		const Row  *row = &rows[i];

		for (j = 0; j < lengthof(bad); j++)
			ok(parse(with_field(row, row->name, bad[j], "")) == EVENT_OK &&
			   state_of(&event, row) == FIELD_BAD,
			   "%s as %s", row->name, bad[j]);
		ok(parse(with_field(row, row->name, "null", "")) == EVENT_OK &&
		   state_of(&event, row) == FIELD_NULL, "%s as null", row->name);
		ok(parse(with_field(row, row->escaped, "null", "")) == EVENT_OK &&
		   state_of(&event, row) == FIELD_NULL, "%s as null", row->escaped);
		ok(parse(with_field(row, "x", "null", "")) == EVENT_OK &&
		   state_of(&event, row) == FIELD_ABSENT, "%s absent", row->name);
	}
}

static bool
is_stranger(const Row *row, const char *name)
{
	return parse(with_field(row, name, "1", "")) == EVENT_OK &&
		state_of(&event, row) == FIELD_ABSENT;
}

/* Names that are almost those of fields. */
static void
test_strangers(void)
{
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		const Row  *row = &rows[i];
		const size_t length = strlen(row->name);
		char		name[64];
		int			wrong = 0;

		for (j = 0; j < length; j++)
		{
			strcpy(name, row->name);
			name[j] ^= 0x08;
			wrong += !is_stranger(row, name);
			name[j] ^= 0x28;
			wrong += !is_stranger(row, name);
		}
		snprintf(name, sizeof(name), "%.*s", (int) length - 1, row->name);
		wrong += !is_stranger(row, name);
		snprintf(name, sizeof(name), "%ss", row->name);
		wrong += !is_stranger(row, name);
		snprintf(name, sizeof(name), "%s%32s", row->name, "");
		wrong += !is_stranger(row, name);
		ok(wrong == 0, "keys like %s: %d wrong", row->name, wrong);
	}
	is(SESSION("\"\":1"), EVENT_OK);
}

/* Every field twice, in each way to write the second, whatever the first. */
static void
test_duplicates(void)
{
	static const char *const values[] = {"null", "\"a\"", "1", "{}", "[]"};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		for (j = 0; j < lengthof(values); j++)
		{
			const Row  *row = &rows[i];
			char		rest[128];

			snprintf(rest, sizeof(rest), ",\"x\":0,\"%s\":null", row->name);
			is(with_field(row, row->name, values[j], rest),
			   EVENT_DUPLICATE_FIELD);
			is(with_field(row, row->escaped, values[j], rest),
			   EVENT_DUPLICATE_FIELD);
			snprintf(rest, sizeof(rest), ",\"%s\":%s", row->escaped, values[j]);
			is(with_field(row, row->name, "null", rest),
			   EVENT_DUPLICATE_FIELD);
		}
	}
}

static void
test_more_duplicates(void)
{
	is(ENVELOPE(",\"id\":\"evt_1\""), EVENT_DUPLICATE_FIELD);
	is(ENVELOPE(",\"\\u0069d\":null"), EVENT_DUPLICATE_FIELD);
	is(ENVELOPE(",\"object\":\"event\""), EVENT_DUPLICATE_FIELD);
	is(ENVELOPE(",\"data\":null,\"d\\u0061ta\":{}"), EVENT_DUPLICATE_FIELD);
	is("{\"object\":\"x\",\"object\":\"event\"}", EVENT_DUPLICATE_FIELD);
	is("{\"object\":\"v2.core.event\",\"type\":\"a\",\"type\":\"b\"}",
	   EVENT_DUPLICATE_FIELD);
	is(PAYMENT("\"amount\":1,\"amount\":1"), EVENT_DUPLICATE_FIELD);
	is(SESSION("\"metadata\":{},\"metadata\":{}"), EVENT_DUPLICATE_FIELD);

	/* not of this container, or not read */
	is(SESSION("\"id\":1,\"account\":1,\"account\":2,\"x\":1,\"x\":2"),
	   EVENT_OK);
	is(SESSION("\"a\":{\"id\":1,\"id\":2},\"amount_tax\":1,\"amount_tax\":1"),
	   EVENT_OK);
	is(SESSION("\"metadata\":{\"a\":1,\"a\":2,\"id\":1,\"id\":1}"), EVENT_OK);
	is(SESSION("\"mode\":{\"mode\":1,\"mode\":2}"), EVENT_OK);
	is(ENVELOPE(",\"x\":1,\"x\":1,\"mode\":1,\"mode\":2"), EVENT_OK);
	is(ENVELOPE(",\"\\u0069\":1,\"id\\u0000\":1,\"\\ud800\":1,\"ID\":1,\"\":1"),
	   EVENT_OK);

	/* data.object is not read, the envelope is */
	is(OTHER("\"id\":1,\"id\":2"), EVENT_OK);
	is(OTHER("\"metadata\":{\"stripe_credit_pack\":1,"
			 "\"stripe_credit_pack\":1}"), EVENT_OK);
	is(OTHER("\"lines\":{\"data\":[{\"id\":1,\"id\":2}],\"data\":[]},"
			 "\"lines\":[],\"metadata\":{},\"metadata\":{}"), EVENT_OK);
	is(OTHER("},\"object\":{"), EVENT_DUPLICATE_FIELD);
	is(ENVELOPE(",\"data\":{\"object\":{\"id\":1,\"id\":2}}"), EVENT_OK);
	is(ENVELOPE(",\"data\":{\"object\":null,\"object\":null}"),
	   EVENT_DUPLICATE_FIELD);
	is(ENVELOPE(",\"data\":{\"object\":{\"id\":1,\"id\":2}},\"type\":null"),
	   EVENT_OK);
}

/* \u0000 and halves of pairs, in every string and in every other field too. */
static void
test_nul_in_fields(void)
{
	static const char *const values[] = {
		"\"\\u0000\"", "\"a\\u0000b\"", "\"\\ud800\"", "\"\\udbff x\"",
		"\"\\udc00\"", "\"\\uDFFF\"", "\"\\ud83d\\ud83d\\ude00\"",
		"\"\\ud83d\\ud83d\"", "\"\\ude00\\ude00\"",
		"\"\\ud83d\\n\"", "\"\\ud83d\\u0041\"", "\"\\ude00\\ud83d\"",
		"\"\\ud83d\\ue000\"", "\"\\ud83d\\\\u0041\"", "\"\\ud83d000000\"",
		"\"\\ud83d\\n00000\"",
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		for (j = 0; j < lengthof(values); j++)
			is(with_field(&rows[i], rows[i].name, values[j], ""),
			   EVENT_NUL_CHARACTER);
	}
	is("{\"object\":\"event\",\"id\":\"evt_1\\u0000\"}", EVENT_NUL_CHARACTER);
	is("{\"object\":\"v2.core.event\",\"id\":\"\\ud800\"}",
	   EVENT_NUL_CHARACTER);
	is("{\"object\":\"event\\u0000\",\"id\":\"evt_1\"}", EVENT_NUL_CHARACTER);
	is(PAYMENT("\"currency\":\"\\u0000\""), EVENT_NUL_CHARACTER);
}

static void
test_nul_elsewhere(void)
{
	is(TEXT("\\u0000"), EVENT_OK);
	is(TEXT("\\ud800"), EVENT_OK);
	is(SESSION("\"x\":\"\\u0000\",\"\\u0000\":1,\"mode\\u0000\":\"\\udc00\""),
	   EVENT_OK);
	is(SESSION("\"mode\":[\"\\u0000\",{\"mode\":\"\\u0000\"}]"), EVENT_OK);
	is(SESSION("\"mode\":\"\\\\u0000\""), EVENT_OK);
	IS(mode, "\\u0000");
	is(SESSION("\"metadata\":{\"x\":\"\\u0000\"}"), EVENT_OK);
	is(OTHER("\"mode\":\"\\u0000\",\"metadata\":\"\\ud800\""), EVENT_OK);
	is(OTHER("\"lines\":{\"data\":[\"\\u0000\",{\"id\":\"\\ud800\"}]}"),
	   EVENT_OK);
	is(ENVELOPE(",\"data\":\"\\u0000\""), EVENT_NUL_CHARACTER);
}

/* Which verdict comes first. */
static void
test_order(void)
{
	is("[\"\xFF\",x]", EVENT_NOT_UTF8);
	is("[x,\"\xFF\"]", EVENT_NOT_JSON);
	is("{\"object\":\"v2.core.event\"}x", EVENT_NOT_JSON);
	is(SESSION("\"id\":1,\"id\":\"\\u0000\",\"id\":x"), EVENT_NOT_JSON);
	is(SESSION("\"id\":1,\"id\":\"\\u0000\""), EVENT_DUPLICATE_FIELD);
	is(SESSION("\"id\":\"\\u0000\",\"id\":1"), EVENT_NUL_CHARACTER);
	is("{\"data\":{\"object\":{\"id\":1,\"id\":1}},\"object\":\"event\","
	   "\"type\":\"payment_intent.succeeded\",\"id\":1}", EVENT_BAD_ID);
	is("{\"data\":{\"object\":{\"id\":1,\"id\":1}},\"id\":\"evt_1\","
	   "\"type\":\"payment_intent.succeeded\"}", EVENT_NOT_EVENT);
	is("{\"data\":{\"object\":{\"id\":1,\"id\":1}},\"id\":\"evt_1\","
	   "\"type\":\"payment_intent.succeeded\",\"object\":\"v2.core.event\"}",
	   EVENT_THIN);
	is("{\"data\":{\"object\":{\"id\":1,\"id\":1}},\"account\":\"\\u0000\"}",
	   EVENT_NUL_CHARACTER);
	ok(is_empty(&event), "a refused event comes back empty");
}

static bool
integer_is(const char *text, EventFieldState state, int64_t value)
{
	return parse(join(BEFORE_OBJECT "\"amount_total\":", text, AFTER_OBJECT,
					  "", "")) == EVENT_OK &&
		event.amount_total.state == state && event.amount_total.value == value;
}

static void
test_integers(void)
{
	static const char *const bad[] = {
		"1e3", "1E3", "1e0", "10.5", "10.0", "0.0", "0e0", "-0", "-0.0", "-0e1",
		"9223372036854775808", "-9223372036854775809", "9223372036854775810",
		"18446744073709551616", "18446744073709551617",
		"92233720368547758070", "-92233720368547758080",
		"99999999999999999999999999999999999999", "1e400", "\"12\"", "\"\"",
		"true", "false", "[1]", "{\"amount\":1}",
	};
	size_t		i;

	for (i = 0; i < lengthof(bad); i++)
		ok(integer_is(bad[i], FIELD_BAD, 0), "amount %s is bad", bad[i]);
	ok(integer_is("null", FIELD_NULL, 0), "amount null");
	ok(integer_is("0", FIELD_OK, 0), "amount 0");
	ok(integer_is("7", FIELD_OK, 7), "amount 7");
	ok(integer_is("-1", FIELD_OK, -1), "amount -1");
	ok(integer_is("1234567890", FIELD_OK, 1234567890), "amount 1234567890");
	ok(integer_is("9223372036854775807", FIELD_OK, INT64_MAX), "amount 2^63-1");
	ok(integer_is("9223372036854775799", FIELD_OK,
				  INT64_C(9223372036854775799)), "amount 2^63-9");
	ok(integer_is("-9223372036854775808", FIELD_OK, INT64_MIN),
	   "amount -2^63");
	ok(integer_is("-9223372036854775807", FIELD_OK, -INT64_MAX),
	   "amount -2^63+1");
}

static void
test_escapes(void)
{
	is(SESSION("\"mode\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), EVENT_OK);
	IS(mode, "\"\\/\b\f\n\r\t");
	is(SESSION("\"mode\":\"x\\u0001\\u001f\\u007F\\u0080\\u07ff\""), EVENT_OK);
	IS(mode, "x\x01\x1F\x7F\xC2\x80\xDF\xBF");
	is(SESSION("\"mode\":\"\\u0800\\uD7FF\\ue000\\uFfFf\""), EVENT_OK);
	IS(mode, "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF");
	is(SESSION("\"mode\":\"\\ud800\\udc00\\uDBFF\\uDFFF\""), EVENT_OK);
	IS(mode, "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
	is(SESSION("\"mode\":\"\\ud83d\\ude00 and \\uD83D\\uDE00\""), EVENT_OK);
	IS(mode, "\xF0\x9F\x98\x80 and \xF0\x9F\x98\x80");
	is(SESSION("\"mode\":\"\\u0061\\u0041\\u00e9\\u20AC\\\\u0061\""), EVENT_OK);
	IS(mode, "aA\xC3\xA9\xE2\x82\xAC\\u0061");
	is(SESSION("\"mode\":\"\\ufeff\""), EVENT_OK);
	IS(mode, "\xEF\xBB\xBF");
}

/*
 * In data just the rows are bad that 'inside' says; of those in an array there
 * are none.
 */
static void
spoils(const char *text, const bool *inside)
{
	size_t		i;
	int			wrong = 0;

	for (i = 0; i < lengthof(rows); i++)
	{
		bool		bad = (inside[i] && rows[i].count == 0);

		if (rows[i].offset >= offsetof(Event, data) &&
			(state_of(&event, &rows[i]) == FIELD_BAD) != bad)
			wrong++;
	}
	ok(wrong == 0 && event.n_lines == 0 && event.n_transactions == 0,
	   "spoils its fields only, %d wrong: %s", wrong, text);
}

static size_t
row_of(size_t offset)
{
	size_t		i;

	for (i = 0; i < lengthof(rows) && rows[i].offset != offset; i++)
		;
	return i;
}

static void
test_bad_containers(void)
{
	static const char *const values[] = {"1", "\"a\"", "true", "[]", "[{}]"};
	const size_t data = row_of(offsetof(Event, data));
	bool		inside[lengthof(rows)];
	size_t		i;

	for (i = 0; i < lengthof(values); i++)
	{
		const char *text;

		memset(inside, false, sizeof(inside));
		memset(inside + data, true, sizeof(inside) - data);
		text = join(ROOT_REST "\"type\":\"payment_intent.succeeded\",\"data\":",
					values[i], "}", "", "");
		is(text, EVENT_OK);
		spoils(text, inside);
		inside[data] = false;
		text = join(BEFORE_DATA "\"object\":", values[i], AFTER_DATA, "", "");
		is(text, EVENT_OK);
		spoils(text, inside);
		ok(event.data == FIELD_OK, "data");
	}
}

/* Which rows are a container's or array's own, and it itself. */
static void
find_inside(size_t container, bool *inside)
{
	const Row  *row = &rows[container];
	char		before[512];
	size_t		i;

	snprintf(before, sizeof(before), "%s\"%s\":", row->before, row->name);
	for (i = 0; i < lengthof(rows); i++)
		inside[i] = i == container ||
			strncmp(rows[i].before, before, strlen(before)) == 0;
}

/* Every container and array of data.object that is something else. */
static void
test_bad_nested(void)
{
	bool		inside[lengthof(rows)];
	size_t		i;

	for (i = row_of(offsetof(Event, object_id)); i < lengthof(rows); i++)
	{
		const Row  *row = &rows[i];

		if (!is_nested(row) || row->count > 0)
			continue;
		find_inside(i, inside);
		is(with_field(row, row->name, "\"x\"", ""), EVENT_OK);
		spoils(row->name, inside);
		is(with_field(row, row->name, row->shape == SHAPE_ARRAY ? "{}" : "[]",
					  ""), EVENT_OK);
		spoils(row->name, inside);
	}
}

/* The same in a line, which stays. */
static void
test_bad_nested_in_line(void)
{
	bool		inside[lengthof(rows)];
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(rows); i++)
	{
		const Row  *row = &rows[i];
		int			wrong = 0;

		if (row->shape != SHAPE_CONTAINER || row->count == 0)
			continue;
		find_inside(i, inside);
		is(with_field(row, row->name, "1", ""), EVENT_OK);
		for (j = 0; j < lengthof(rows); j++)
			wrong += (state_of(&event, &rows[j]) == FIELD_BAD) != inside[j];
		ok(wrong == 0 && event.n_lines == 1 && event.line[0].state == FIELD_OK,
		   "%s of a line spoils its fields only", row->name);
	}
}

/* Containers that are null or missing leave their fields absent. */
static void
test_no_containers(void)
{
	static const char *const texts[] = {
		ENVELOPE(",\"type\":\"checkout.session.expired\""),
		ENVELOPE(",\"type\":\"checkout.session.expired\",\"data\":null"),
		ENVELOPE(",\"type\":\"checkout.session.expired\",\"data\":{}"),
		ENVELOPE(",\"type\":\"checkout.session.expired\","
				 "\"data\":{\"object\":null}"),
		SESSION(""),
		SESSION("\"metadata\":null"),
		SESSION("\"metadata\":{}"),
		INVOICE("\"lines\":null,\"parent\":{\"subscription_details\":null}"),
		INVOICE("\"lines\":{},\"parent\":{\"subscription_details\":{}}"),
		INVOICE("\"balance_transactions\":null,\"subscription_details\":{}"),
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(texts); i++)
	{
		int			found = 0;

		is(texts[i], EVENT_OK);
		for (j = 0; j < lengthof(rows); j++)
		{
			if (rows[j].offset > offsetof(Event, data_object) &&
				!is_nested(&rows[j]) &&
				state_of(&event, &rows[j]) != FIELD_ABSENT)
				found++;
		}
		ok(found == 0, "all fields absent");
	}
	parse(texts[1]);
	ok(event.data == FIELD_NULL && event.data_object == FIELD_ABSENT,
	   "data null");
	parse(texts[3]);
	ok(event.data_object == FIELD_NULL, "data.object null");
	parse(texts[5]);
	ok(event.metadata.state == FIELD_NULL, "metadata null");
}

/* What is found before the type is known is forgotten if it isn't read. */
static void
test_unread_object(void)
{
	static const char *const types[] = {
		"customer.created", "charge.failed", "charge.dispute", "",
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(types); i++)
	{
		int			found = 0;

		ok(parse(full_event(types[i])) == EVENT_OK, "type \"%s\"", types[i]);
		ok(event.data == FIELD_OK && event.data_object == FIELD_OK &&
		   event.livemode.value && event.id.length > 0 &&
		   event.account.length > 0, "has an envelope");
		for (j = 0; j < lengthof(rows); j++)
		{
			if (rows[j].offset > offsetof(Event, data_object) &&
				state_of(&event, &rows[j]) != FIELD_ABSENT)
				found++;
		}
		ok(found == 0 && event.n_lines == 0 && event.n_transactions == 0,
		   "has no other fields");
	}
}

/* The arrays of an event without any are not touched: they are large. */
static void
test_untouched(void)
{
	const char *octets = (const char *) event.transaction;
	size_t		i;
	int			touched = 0;

	parse(good);
	for (i = 0; i < sizeof(Event) - offsetof(Event, transaction); i++)
		touched += (octets[i] != 0x5A);
	ok(touched == 0, "%d octets of the arrays are touched", touched);
}


/*
 * Arrays
 */

/* Where so many elements stand in an array, and where they end up. */
typedef struct ArrayCase
{
	const char *before;
	const char *after;
	int			room;
	size_t		state;			/* both in Event */
	size_t		count;
} ArrayCase;

static const ArrayCase array_cases[] = {
	{BEFORE_OBJECT "\"lines\":{\"data\":", "}" AFTER_OBJECT, EVENT_MAX_LINES,
	offsetof(Event, lines_data), offsetof(Event, n_lines)},
	{BEFORE_OBJECT "\"balance_transactions\":", AFTER_OBJECT,
		EVENT_MAX_TRANSACTIONS, offsetof(Event, balance_transactions),
	offsetof(Event, n_transactions)},
};

static bool
array_is(const ArrayCase *of, EventFieldState state, int count)
{
	const char *base = (const char *) &event;

	return *(const EventFieldState *) (base + of->state) == state &&
		*(const int *) (base + of->count) == count;
}

/* An array of so many elements; the caller must not keep it. */
static const char *
array_of(const char *element, int times, const char *rest)
{
	static char array[8192];
	char	   *at = array;
	int			i;

	*at++ = '[';
	for (i = 0; i < times; i++)
		at += sprintf(at, "%s%s", i > 0 ? "," : "", element);
	sprintf(at, "%s]", rest);
	return array;
}

static void
test_array_counts(void)
{
	static const char *const elements[] = {
		"{}", "{\"id\":\"a\",\"amount\":1}", "null", "1", " [ ] ",
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(array_cases); i++)
	{
		const ArrayCase *of = &array_cases[i];
		const int	counts[] = {
			0, 1, 2, 17, of->room - 1, of->room, of->room + 1, of->room + 2,
			2 * of->room + 1,
		};

		for (j = 0; j < lengthof(counts) * lengthof(elements); j++)
		{
			const char *element = elements[j / lengthof(counts)];
			int			count = counts[j % lengthof(counts)];
			bool		fits = count <= of->room;

			ok(parse(join(of->before, array_of(element, count, ""), of->after,
						  "", "")) == EVENT_OK &&
			   array_is(of, fits ? FIELD_OK : FIELD_BAD, fits ? count : 0),
			   "%d elements %s where %d fit", count, element, of->room);
		}
	}
}

static void
test_no_arrays(void)
{
	static const char *const bad[] = {"1", "\"[]\"", "true", "{}", "1.5"};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(array_cases); i++)
	{
		const ArrayCase *of = &array_cases[i];

		for (j = 0; j < lengthof(bad); j++)
			ok(parse(join(of->before, bad[j], of->after, "", "")) == EVENT_OK &&
			   array_is(of, FIELD_BAD, 0), "%s for an array", bad[j]);
		ok(parse(join(of->before, "null", of->after, "", "")) == EVENT_OK &&
		   array_is(of, FIELD_NULL, 0), "null for an array");
	}
	ok(parse(INVOICE("\"lines\":{}")) == EVENT_OK &&
	   array_is(&array_cases[0], FIELD_ABSENT, 0), "no array");
}

/* What is too much is checked, too. */
static void
test_too_many(void)
{
	static const struct
	{
		const char *rest;
		EventVerdict verdict;
	}			rests[] = {
		{"", EVENT_OK},
		{",1", EVENT_OK},
		{",{\"id\":1,\"id\":\"\\u0000\"}", EVENT_OK},
		{",", EVENT_NOT_JSON},
		{",01", EVENT_NOT_JSON},
		{" 1", EVENT_NOT_JSON},
		{",\"\xFF\"", EVENT_NOT_UTF8},
		{"}", EVENT_NOT_JSON},
	};
	size_t		i;
	size_t		j;
	int			more;

	for (i = 0; i < lengthof(array_cases); i++)
	{
		const ArrayCase *of = &array_cases[i];

		for (j = 0; j < lengthof(rests); j++)
		{
			/* one too many already, or only with what is added */
			for (more = 0; more < 2; more++)
			{
				if (more == 0 && rests[j].verdict == EVENT_OK &&
					rests[j].rest[0] == '\0')
					continue;
				ok(parse(join(of->before,
							  array_of("{}", of->room + more, rests[j].rest),
							  of->after, "", "")) == rests[j].verdict &&
				   array_is(of, rests[j].verdict == EVENT_OK ? FIELD_BAD :
							FIELD_ABSENT, 0),
				   "too many, and %s", shown(rests[j].rest));
			}
		}
	}
}

/* Elements that are no objects, between some that are. */
static void
test_elements(void)
{
	static const EventFieldState states[] = {
		FIELD_OK, FIELD_NULL, FIELD_BAD, FIELD_BAD, FIELD_BAD, FIELD_BAD,
		FIELD_BAD, FIELD_OK, FIELD_OK,
	};
	const int	count = lengthof(states);
	size_t		i;
	int			j;
	int			wrong = 0;

	is(LINES("[{}, null,1,\"a\",true,[],[{\"id\":\"a\"}],"
			 "{\"id\":\"b\"},{\"amount\":7}]"), EVENT_OK);
	ok(event.n_lines == count && event.lines_data == FIELD_OK, "n_lines");
	for (j = 0; j < count; j++)
		ok(event.line[j].state == states[j], "state of line %d", j);
	for (i = 0; i < lengthof(rows); i++)
	{
		if (rows[i].count != offsetof(Event, n_lines))
			continue;
		for (j = 0; j < count - 2; j++)
			wrong += *(const EventFieldState *) member_of(&event, &rows[i], j) !=
				(states[j] == FIELD_BAD ? FIELD_BAD : FIELD_ABSENT);
	}
	ok(wrong == 0, "fields of a line that is no object: %d wrong", wrong);
	IS(line[7].id, "b");
	ok(event.line[7].amount.state == FIELD_ABSENT, "no amount");
	ok(event.line[8].id.state == FIELD_ABSENT, "no id");
	IS_INTEGER(line[8].amount, 7);

	is(TRANSACTIONS("[false,null,{\"amount\":-1}]"), EVENT_OK);
	ok(event.n_transactions == 3 && event.transaction[0].state == FIELD_BAD &&
	   event.transaction[0].id.state == FIELD_BAD &&
	   event.transaction[0].amount.state == FIELD_BAD &&
	   event.transaction[1].state == FIELD_NULL &&
	   event.transaction[1].id.state == FIELD_ABSENT, "transactions");
	IS_INTEGER(transaction[2].amount, -1);
}

/* The last of a full array, and each in its place. */
static void
test_full_arrays(void)
{
	char		text[8192] = "[";
	char	   *at = text + 1;
	int			wrong = 0;
	int			i;

	for (i = 0; i < EVENT_MAX_LINES; i++)
		at += sprintf(at, "%s{\"id\":\"il_%d\",\"amount\":%d,\"metadata\":"
					  "{\"stripe_credit_pack\":\"p%d\"}}",
					  i > 0 ? "," : "", i, i, i);
	strcpy(at, "]");
	ok(parse(join(array_cases[0].before, text, array_cases[0].after, "", "")) ==
	   EVENT_OK && event.n_lines == EVENT_MAX_LINES, "a full array");
	for (i = 0; i < event.n_lines; i++)
	{
		const EventLine *line = &event.line[i];

		wrong += line->amount.value != i || line->state != FIELD_OK ||
			atoi(line->id.value + 3) != i ||
			atoi(line->metadata.pack.value + 1) != i;
	}
	ok(wrong == 0, "each line in its place: %d wrong", wrong);
}

static void
test_duplicates_in_arrays(void)
{
	char		rest[8192];
	size_t		i;

	is(LINES("[{\"id\":1,\"id\":2}]"), EVENT_DUPLICATE_FIELD);
	is(LINES("[{},{\"amount\":1,\"amount\":1}]"), EVENT_DUPLICATE_FIELD);
	is(LINES("[{\"metadata\":{},\"metadata\":{}}]"), EVENT_DUPLICATE_FIELD);
	is(LINES("[{\"id\":1},{\"id\":2},{\"id\":3}]"), EVENT_OK);
	is(LINES("[{\"price\":{\"id\":1},\"plan\":{\"id\":1},\"id\":1}]"), EVENT_OK);
	is(LINES("[{\"x\":1,\"x\":1,\"status\":1,\"status\":1}]"), EVENT_OK);
	is(LINES("[1,[{\"id\":1,\"id\":2}]]"), EVENT_OK);
	is(LINES("[1],\"data\":[1]"), EVENT_DUPLICATE_FIELD);
	is(LINES("[],\"data\":null"), EVENT_DUPLICATE_FIELD);
	is(LINES("[]},\"lines\":{\"data\":[]"), EVENT_DUPLICATE_FIELD);
	is(TRANSACTIONS("[{\"amount\":1,\"amount\":1}]"), EVENT_DUPLICATE_FIELD);
	is(TRANSACTIONS("[],\"balance_transactions\":[]"), EVENT_DUPLICATE_FIELD);
	ok(is_empty(&event), "a refused event has no elements");

	/* full arrays again, where they are read and where they are not */
	for (i = 0; i < lengthof(array_cases); i++)
	{
		static const char *const names[] = {"data", "balance_transactions"};
		const ArrayCase *of = &array_cases[i];
		const char *array = array_of("{}", of->room, "");

		snprintf(rest, sizeof(rest), "%s,\"%s\":%s", array, names[i], array);
		ok(parse(join(of->before, rest, of->after, "", "")) ==
		   EVENT_DUPLICATE_FIELD, "a full array twice");
		ok(parse(join(ROOT_REST "\"data\":", strstr(of->before, "{\"object\":{"),
					  rest, of->after, "")) == EVENT_OK &&
		   array_is(of, FIELD_ABSENT, 0), "a full array twice, not read");
	}
}

static void
test_nul_in_arrays(void)
{
	is(LINES("[{\"id\":\"\\u0000\"}]"), EVENT_NUL_CHARACTER);
	is(LINES("[{},{\"metadata\":{\"stripe_credit_pack\":\"\\ud800\"}}]"),
	   EVENT_NUL_CHARACTER);
	is(LINES("[\"\\u0000\"]"), EVENT_NUL_CHARACTER);
	is(LINES("\"\\u0000\""), EVENT_NUL_CHARACTER);
	is(TRANSACTIONS("[{\"amount\":\"\\u0000\"}]"), EVENT_NUL_CHARACTER);
	is(LINES("[{\"x\":\"\\u0000\",\"period\":{\"id\":\"\\u0000\"}}]"), EVENT_OK);
	is(LINES("[[\"\\u0000\"]],\"x\":\"\\u0000\""), EVENT_OK);
}

static void
test_array_faults(void)
{
	static const char *const texts[] = {
		LINES("["), LINES("[}"), LINES("[,]"), LINES("[{},]"), LINES("[{} {}]"),
		LINES("[{\"id\"}]"), LINES("[{\"id\":}]"), LINES("[{\"id\":1]"),
		LINES("[{\"id\":1,}]"), LINES("[1.]"), LINES("[tru]"),
		LINES("[\"\\q\"]"), LINES("[{\"price\":{\"id\":01}}]"),
		TRANSACTIONS("[{\"amount\":-}]"), TRANSACTIONS("[{}"),
	};
	size_t		i;

	for (i = 0; i < lengthof(texts); i++)
	{
		is(texts[i], EVENT_NOT_JSON);
		ok(is_empty(&event), "comes back empty");
	}
}


/*
 * Kinds and facts
 */

/* What Stripe sends for an invoice's line, before and after 2025-03-31. */
static void
test_line_shapes(void)
{
	is(LINES("[{\"id\":\"il_1\",\"amount\":900,\"currency\":\"eur\","
			 "\"metadata\":{},\"period\":{\"end\":2,\"start\":1},"
			 "\"plan\":{\"id\":\"price_1\",\"amount\":900},"
			 "\"price\":{\"id\":\"price_1\",\"product\":\"prod_1\"},"
			 "\"proration\":false,\"quantity\":3,\"subscription\":\"sub_1\","
			 "\"type\":\"subscription\"}]"), EVENT_OK);
	IS(line[0].type, "subscription");
	IS(line[0].plan_id, "price_1");
	IS(line[0].price_id, "price_1");
	IS_INTEGER(line[0].quantity, 3);
	ok(event.line[0].parent == FIELD_ABSENT &&
	   event.line[0].pricing == FIELD_ABSENT, "nothing of the later shape");

	is(LINES("[{\"id\":\"il_1\",\"amount\":900,\"currency\":\"eur\","
			 "\"metadata\":{\"stripe_credit_credits\":\"5\"},"
			 "\"parent\":{\"invoice_item_details\":null,"
			 "\"subscription_item_details\":{\"invoice_item\":null,"
			 "\"proration\":false,\"subscription\":\"sub_1\"},"
			 "\"type\":\"subscription_item_details\"},"
			 "\"pricing\":{\"price_details\":{\"price\":\"price_1\","
			 "\"product\":\"prod_1\"},\"type\":\"price_details\"},"
			 "\"quantity\":3}]"), EVENT_OK);
	IS(line[0].metadata.credits, "5");
	IS(line[0].parent_type, "subscription_item_details");
	IS(line[0].item_subscription, "sub_1");
	IS(line[0].pricing_price, "price_1");
	ok(event.line[0].invoice_item_details == FIELD_NULL &&
	   event.line[0].invoice_item_proration.state == FIELD_ABSENT,
	   "no invoice item");
	ok(event.line[0].type.state == FIELD_ABSENT &&
	   event.line[0].price == FIELD_ABSENT, "nothing of the earlier shape");
}

static void
test_kinds(void)
{
	static const struct
	{
		const char *type;
		EventKind	kind;
	}			kinds[] = {
		{"checkout.session.completed", EVENT_KIND_SESSION_COMPLETED},
		{"checkout.session.async_payment_succeeded",
		EVENT_KIND_SESSION_ASYNC_SUCCEEDED},
		{"checkout.session.async_payment_failed",
		EVENT_KIND_SESSION_ASYNC_FAILED},
		{"checkout.session.expired", EVENT_KIND_SESSION_EXPIRED},
		{"payment_intent.succeeded", EVENT_KIND_PAYMENT_SUCCEEDED},
		{"charge.succeeded", EVENT_KIND_CHARGE},
		{"charge.updated", EVENT_KIND_CHARGE},
		{"charge.refunded", EVENT_KIND_CHARGE_REFUNDED},
		{"charge.refund.updated", EVENT_KIND_REFUND},
		{"refund.created", EVENT_KIND_REFUND},
		{"refund.updated", EVENT_KIND_REFUND},
		{"refund.failed", EVENT_KIND_REFUND_FAILED},
		{"invoice.paid", EVENT_KIND_INVOICE_PAID},
		{"invoice_payment.paid", EVENT_KIND_INVOICE_PAYMENT_PAID},
		{"charge.dispute.created", EVENT_KIND_DISPUTE},
		{"charge.dispute.updated", EVENT_KIND_DISPUTE},
		{"charge.dispute.closed", EVENT_KIND_DISPUTE},
		{"charge.dispute.funds_withdrawn", EVENT_KIND_FUNDS_WITHDRAWN},
		{"charge.dispute.funds_reinstated", EVENT_KIND_FUNDS_REINSTATED},
		{"charge.dispute.funds_withdrawn2", EVENT_KIND_DISPUTE},
		{"charge.dispute.", EVENT_KIND_DISPUTE},
		{"charge.dispute", EVENT_KIND_OTHER},
		{"xcharge.dispute.created", EVENT_KIND_OTHER},
		{"", EVENT_KIND_OTHER},
		{"Invoice.paid", EVENT_KIND_OTHER},
		{"invoice.paid ", EVENT_KIND_OTHER},
		{"invoice.pai", EVENT_KIND_OTHER},
		{"checkout.session.completed2", EVENT_KIND_OTHER},
		{"checkout.session.", EVENT_KIND_OTHER},
		{"payment_intent.created", EVENT_KIND_OTHER},
		{"charge.failed", EVENT_KIND_OTHER},
		{"refund.", EVENT_KIND_OTHER},
		{"invoice.payment_succeeded", EVENT_KIND_OTHER},
		{"v1.invoice.paid", EVENT_KIND_OTHER},
	};
	size_t		i;

	for (i = 0; i < lengthof(kinds); i++)
	{
		const char *type = kinds[i].type;

		ok(event_kind(type, strlen(type)) == kinds[i].kind, "\"%s\"", type);
		ok(parse(join(ROOT_REST "\"type\":\"", type, "\"}", "", "")) ==
		   EVENT_OK && event.kind == kinds[i].kind, "event of \"%s\"", type);
	}
	ok(parse(ENVELOPE("")) == EVENT_OK && event.kind == EVENT_KIND_OTHER &&
	   event.type.state == FIELD_ABSENT, "no type");
	ok(parse(ENVELOPE(",\"type\":1")) == EVENT_OK &&
	   event.kind == EVENT_KIND_OTHER, "bad type");
}

static void
facts_are(const char *text, const char *expected)
{
	ok(parse(text) == EVENT_OK && facts.length == strlen(expected) &&
	   memcmp(facts.text, expected, facts.length) == 0,
	   "facts: %s", shown(facts.text));
}

static void
test_facts(void)
{
	facts_are(ENVELOPE(""), "{\"id\":\"evt_1\",\"object\":\"event\"}");
	facts_are(ENVELOPE(",\"data\":[],\"livemode\":0,\"created\":1.0,\"x\":1"),
			  ENVELOPE(",\"created\":false,\"livemode\":0,\"data\":false"));
	facts_are(ENVELOPE(",\"data\":null,\"livemode\":false,\"created\":null"),
			  ENVELOPE(",\"created\":null,\"livemode\":false,\"data\":null"));
	facts_are(OTHER("\"id\":\"cus_1\""),
			  ENVELOPE(",\"type\":\"customer.created\","
					   "\"data\":{\"object\":{}}"));
	facts_are(SESSION("\"amount\":-9223372036854775808,\"metadata\":{\"x\":1,"
					  "\"stripe_credit_pack\":\"\\u001f\\u007f\\n\\\"\\\\\\/"
					  "\\u00e9\"}, \"mode\":7"),
			  ENVELOPE(",\"type\":\"checkout.session.completed\",\"data\":"
					   "{\"object\":{"
					   "\"amount\":-9223372036854775808,\"metadata\":"
					   "{\"stripe_credit_pack\":\"\\u001f\x7F\\u000a\\\"\\\\/"
					   "\xC3\xA9\"},\"mode\":false}}"));
	facts_are(SESSION("\"metadata\":\"\",\"total_details\":null"),
			  ENVELOPE(",\"type\":\"checkout.session.completed\",\"data\":"
					   "{\"object\":{\"metadata\":false,"
					   "\"total_details\":null}}"));
}

#define INVOICE_FACTS(inside) \
	ENVELOPE(",\"type\":\"invoice.paid\",\"data\":{\"object\":{" inside "}}")

/* Arrays, and metadata in all its places. */
static void
test_array_facts(void)
{
	facts_are(LINES("[ ]"), INVOICE_FACTS("\"lines\":{\"data\":[]}"));
	facts_are(LINES("null"), INVOICE_FACTS("\"lines\":{\"data\":null}"));
	facts_are(LINES("{}"), INVOICE_FACTS("\"lines\":{\"data\":false}"));
	facts_are(LINES("[{\"x\":1,\"amount\":2,\"id\":\"a\"},null,\"b\",{}]"),
			  INVOICE_FACTS("\"lines\":{\"data\":[{\"id\":\"a\",\"amount\":2},"
							"null,false,{}]}"));
	facts_are(join(array_cases[0].before,
				   array_of("1", EVENT_MAX_LINES + 1, ""),
				   array_cases[0].after, "", ""),
			  ENVELOPE(",\"type\":\"checkout.session.completed\",\"data\":"
					   "{\"object\":{\"lines\":{\"data\":false}}}"));
	facts_are(INVOICE("\"subscription_details\":{\"metadata\":{"
					  "\"stripe_credit_pack\":\"s\"}},\"parent\":{"
					  "\"subscription_details\":{\"metadata\":{"
					  "\"stripe_credit_pack\":\"p\"}}},\"metadata\":{"
					  "\"stripe_credit_pack\":\"m\"}"),
			  INVOICE_FACTS("\"metadata\":{\"stripe_credit_pack\":\"m\"},"
							"\"parent\":{\"subscription_details\":{\"metadata\":{"
							"\"stripe_credit_pack\":\"p\"}}},"
							"\"subscription_details\":{\"metadata\":{"
							"\"stripe_credit_pack\":\"s\"}}"));
	facts_are(TRANSACTIONS("[{\"id\":\"txn_1\",\"amount\":-5},{\"id\":1}]"),
			  ENVELOPE(",\"type\":\"charge.dispute.closed\",\"data\":"
					   "{\"object\":{\"balance_transactions\":["
					   "{\"id\":\"txn_1\",\"amount\":-5},{\"id\":false}]}}"));
}

/* White space of each kind and length, wherever it may stand. */
static void
test_space(void)
{
	is("\n\r\t {\n\r\t \"id\"\n\r\t :\n\r\t \"evt_1\"\n\r\t ,\n\r\t \"object\""
	   "\n\r\t :\n\r\t \"event\"\n\r\t }\n\r\t ", EVENT_OK);
	is("{          \"id\":\"evt_1\",\n                         \"object\""
	   ":               \"event\"         }                    ", EVENT_OK);
	is("        ", EVENT_NOT_JSON);
	is("                                 x", EVENT_NOT_JSON);
}

static bool
is_sentence(const char *text)
{
	size_t		length = strlen(text);

	return length > 10 && text[0] >= 'A' && text[0] <= 'Z' &&
		text[length - 1] == '.' && strchr(text, '\n') == NULL;
}

static void
test_details(void)
{
	int			a;
	int			b;

	for (a = EVENT_OK; a <= EVENT_NUL_CHARACTER; a++)
	{
		const char *detail = event_verdict_detail((EventVerdict) a);

		ok(is_sentence(detail), "detail %d: %s", a, detail);
		for (b = EVENT_OK; b < a; b++)
			ok(strcmp(detail, event_verdict_detail((EventVerdict) b)) != 0,
			   "details %d and %d differ", a, b);
	}
	ok(strcmp(event_verdict_detail(EVENT_NOT_JSON),
			  "The payload is not valid JSON.") == 0, "the detail's words");
	ok(is_sentence(event_verdict_detail((EventVerdict) 15)),
	   "a verdict out of range");
}

int
main(void)
{
	test_good_event();
	test_good_object();
	test_good_containers();
	test_full_object();
	test_full_session();
	test_full_invoice();
	test_full_dispute();
	test_booleans();
	test_truncation();
	test_every_octet();
	test_not_json();
	test_plain_octets();
	test_not_object();
	test_not_utf8();
	test_utf8();
	test_depth();
	test_not_event();
	test_bad_id();
	test_id_length();
	test_types();
	test_null_and_bad();
	test_strangers();
	test_duplicates();
	test_more_duplicates();
	test_nul_in_fields();
	test_nul_elsewhere();
	test_order();
	test_integers();
	test_escapes();
	test_bad_containers();
	test_bad_nested();
	test_bad_nested_in_line();
	test_no_containers();
	test_unread_object();
	test_untouched();
	test_array_counts();
	test_no_arrays();
	test_too_many();
	test_elements();
	test_full_arrays();
	test_duplicates_in_arrays();
	test_nul_in_arrays();
	test_array_faults();
	test_line_shapes();
	test_kinds();
	test_facts();
	test_array_facts();
	test_space();
	test_details();
	free(body);
	free(buffer);
	return done();
}
