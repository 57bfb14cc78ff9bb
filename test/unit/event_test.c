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
#define KEPT(inside)		TYPED("charge.refunded", inside)

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

typedef enum Shape
{
	SHAPE_STRING,
	SHAPE_INTEGER,
	SHAPE_BOOLEAN,
	SHAPE_CONTAINER
} Shape;

typedef struct Row
{
	const char *before;			/* the body up to the container's members */
	const char *after;
	const char *name;
	const char *escaped;		/* the same name, spelled otherwise */
	Shape		shape;
	size_t		offset;
} Row;

#define AFTER_ROOT		"}"
#define ROOT_REST		"{\"id\":\"evt_1\",\"object\":\"event\","
#define BEFORE_DATA \
	"{\"id\":\"evt_1\",\"object\":\"event\"," \
	"\"type\":\"checkout.session.completed\",\"data\":{"
#define AFTER_DATA		"}}"
#define BEFORE_OBJECT	BEFORE_DATA "\"object\":{"
#define AFTER_OBJECT	"}}}"

#define ROOT(name, escaped, shape, member) \
	{ROOT_REST, AFTER_ROOT, name, escaped, SHAPE_##shape, \
		offsetof(Event, member)}
#define DATA(name, escaped, shape, member) \
	{BEFORE_DATA, AFTER_DATA, name, escaped, SHAPE_##shape, \
		offsetof(Event, member)}
#define OBJECT(name, escaped, shape, member) \
	{BEFORE_OBJECT, AFTER_OBJECT, name, escaped, SHAPE_##shape, \
		offsetof(Event, member)}
#define NESTED(container, name, escaped, shape, member) \
	{BEFORE_OBJECT "\"" container "\":{", "}" AFTER_OBJECT, name, escaped, \
		SHAPE_##shape, offsetof(Event, member)}

/* Every field but the envelope's id and object, which decide the verdict. */
static const Row rows[] = {
	ROOT("type", "\\u0074ype", STRING, type),
	ROOT("account", "\\u0061ccount", STRING, account),
	ROOT("created", "create\\u0064", INTEGER, created),
	ROOT("livemode", "live\\u006dode", BOOLEAN, livemode),
	ROOT("data", "d\\u0061ta", CONTAINER, data),
	DATA("object", "\\u006Fbject", CONTAINER, data_object),
	OBJECT("id", "\\u0069d", STRING, object_id),
	OBJECT("mode", "mod\\u0065", STRING, mode),
	OBJECT("payment_status", "payment\\u005fstatus", STRING, payment_status),
	OBJECT("status", "st\\u0061tus", STRING, status),
	OBJECT("payment_intent", "payment\\u005Fintent", STRING, payment_intent),
	OBJECT("subscription", "\\u0073ubscription", STRING, subscription),
	OBJECT("customer", "custome\\u0072", STRING, customer),
	OBJECT("client_reference_id", "client_reference_i\\u0064", STRING,
		   client_reference_id),
	OBJECT("customer_email", "customer_emai\\u006c", STRING, customer_email),
	OBJECT("payment_link", "payment_lin\\u006b", STRING, payment_link),
	OBJECT("currency", "currenc\\u0079", STRING, currency),
	OBJECT("amount", "\\u0061mount", INTEGER, amount),
	OBJECT("amount_subtotal", "amount_subtota\\u006C", INTEGER,
		   amount_subtotal),
	OBJECT("amount_total", "amount_tota\\u006c", INTEGER, amount_total),
	OBJECT("customer_details", "customer_detail\\u0073", CONTAINER,
		   customer_details),
	OBJECT("total_details", "total\\u005fdetails", CONTAINER, total_details),
	OBJECT("currency_conversion", "currency\\u005fconversion", CONTAINER,
		   currency_conversion),
	OBJECT("metadata", "\\u006d\\u0065tadata", CONTAINER, metadata),
	NESTED("customer_details", "email", "\\u0065mail", STRING,
		   customer_details_email),
	NESTED("total_details", "amount_tax", "amount_ta\\u0078", INTEGER,
		   amount_tax),
	NESTED("total_details", "amount_shipping", "amount_shippin\\u0067",
		   INTEGER, amount_shipping),
	NESTED("currency_conversion", "source_currency", "source\\u005fcurrency",
		   STRING, source_currency),
	NESTED("currency_conversion", "amount_subtotal", "\\u0061mount_subtotal",
		   INTEGER, source_subtotal),
	NESTED("currency_conversion", "amount_total", "\\u0061mount_total",
		   INTEGER, source_total),
	NESTED("metadata", "stripe_credit_install", "stripe\\u005fcredit_install",
		   STRING, meta_install),
	NESTED("metadata", "stripe_credit_account", "stripe_credit_accoun\\u0074",
		   STRING, meta_account),
	NESTED("metadata", "stripe_credit_pack", "stripe_credit_\\u0070ack",
		   STRING, meta_pack),
	NESTED("metadata", "stripe_credit_credits", "\\u0073tripe_credit_credits",
		   STRING, meta_credits),
	NESTED("metadata", "stripe_credit_quantity", "stripe_credit_quantit\\u0079",
		   STRING, meta_quantity),
	NESTED("metadata", "stripe_credit_unit_amount",
		   "stripe_credit_unit_amoun\\u0074", STRING, meta_unit_amount),
	NESTED("metadata", "stripe_credit_currency", "stripe_credit_currenc\\u0079",
		   STRING, meta_currency),
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

static const void *
member_of(const Event *of, const Row *row)
{
	return (const char *) of + row->offset;
}

static EventFieldState
state_of(const Event *of, const Row *row)
{
	return *(const EventFieldState *) member_of(of, row);
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
same_member(const Event *a, const Event *b, const Row *row)
{
	switch (row->shape)
	{
		case SHAPE_STRING:
			return same_string(member_of(a, row), member_of(b, row));
		case SHAPE_INTEGER:
			return same_integer(member_of(a, row), member_of(b, row));
		case SHAPE_BOOLEAN:
			return same_boolean(member_of(a, row), member_of(b, row));
		default:
			return state_of(a, row) == state_of(b, row);
	}
}

static bool
same_event(const Event *a, const Event *b)
{
	size_t		i;

	if (a->kind != b->kind || !same_string(&a->id, &b->id) ||
		!same_string(&a->object, &b->object))
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
	static char joined[4096];

	snprintf(joined, sizeof(joined), "%s%s%s%s%s", a, b, c, d, e);
	return joined;
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
	ok(event.metadata == FIELD_OK, "metadata");
	IS(meta_install, "i");
	IS(meta_account, "a");
	IS(meta_pack, "p");
	IS(meta_credits, "100");
	IS(meta_quantity, "2");
	IS(meta_unit_amount, "500");
	IS(meta_currency, "eur");
}

static bool
is_empty(const Event *of)
{
	static const Event empty;

	return memcmp(of, &empty, sizeof(Event)) == 0;
}

/* The last octet of 'good' is a newline, which may be missing. */
static void
test_truncation(void)
{
	size_t		length;
	int			wrong = 0;

	for (length = 0; length < sizeof(good) - 2; length++)
	{
		EventVerdict verdict = parse_octets(good, length);

		/* Half a character is both no UTF-8 and no JSON. */
		if (verdict != EVENT_NOT_JSON && verdict != EVENT_NOT_UTF8)
			wrong++;
		else if (!is_empty(&event))
			wrong++;
	}
	ok(wrong == 0, "cut short at any octet: %d wrong", wrong);
	verdict_is(good, sizeof(good) - 2, EVENT_OK, "cut short by its newline");
}

/* For valgrind and ASan, and for the way back from the facts. */
static void
test_every_octet(void)
{
	char		text[] = SESSION("\"id\":\"\\u0041\",\"amount\":-10");
	int			accepted = 0;
	int			octet;
	size_t		i;

	for (i = 0; i < sizeof(text) - 1; i++)
	{
		char		kept = text[i];

		for (octet = 0; octet < 256; octet++)
		{
			text[i] = (char) octet;
			if (parse_octets(text, sizeof(text) - 1) == EVENT_OK)
				accepted++;
		}
		text[i] = kept;
	}
	ok(accepted > 0, "every octet in every place: %d accepted", accepted);
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

/* Every field as null, as an array, as a fraction, and not at all. */
static void
test_null_and_bad(void)
{
	static const char *const bad[] = {"[]", "[1]", "1.5", "1e3", "-0"};
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
	is(SESSION("\"id\":1,\"created\":1,\"created\":2,\"x\":1,\"x\":2"),
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
	is(KEPT("\"amount\":1,\"amount\":2,\"metadata\":{},\"metadata\":{}"),
	   EVENT_OK);
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
	is(KEPT("\"mode\":\"\\u0000\",\"id\":\"\\ud800\""), EVENT_OK);
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

/* In data 'count' rows from the 'first' on are bad, and no others. */
static void
spoils(const char *text, size_t first, size_t count)
{
	size_t		i;
	int			wrong = 0;

	for (i = 0; i < lengthof(rows); i++)
	{
		bool		inside = (i >= first && i < first + count);

		if (rows[i].offset >= offsetof(Event, data) &&
			(state_of(&event, &rows[i]) == FIELD_BAD) != inside)
			wrong++;
	}
	ok(wrong == 0, "spoils its fields only, %d wrong: %s", wrong, text);
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
	size_t		i;

	for (i = 0; i < lengthof(values); i++)
	{
		const char *text;

		text = join(ROOT_REST "\"type\":\"payment_intent.succeeded\",\"data\":",
					values[i], "}", "", "");
		is(text, EVENT_OK);
		spoils(text, data, lengthof(rows) - data);
		text = join(BEFORE_DATA "\"object\":", values[i], AFTER_DATA, "", "");
		is(text, EVENT_OK);
		spoils(text, data + 1, lengthof(rows) - data - 1);
		ok(event.data == FIELD_OK, "data");
	}
}

static void
test_bad_nested(void)
{
	static const size_t members[] = {
		offsetof(Event, customer_details), offsetof(Event, total_details),
		offsetof(Event, currency_conversion), offsetof(Event, metadata),
	};
	static const size_t firsts[] = {
		offsetof(Event, customer_details_email), offsetof(Event, amount_tax),
		offsetof(Event, source_currency), offsetof(Event, meta_install),
	};
	static const size_t counts[] = {1, 2, 3, 7};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(members); i++)
	{
		const Row  *row = &rows[row_of(members[i])];
		const char *text = with_field(row, row->name, "\"x\"", "");
		EventFieldState state;
		int			wrong = 0;

		is(text, EVENT_OK);
		state = state_of(&event, row);
		for (j = 0; j < lengthof(rows); j++)
		{
			size_t		first = row_of(firsts[i]);
			bool		inside = (j >= first && j < first + counts[i]);

			if (&rows[j] != row &&
				(state_of(&event, &rows[j]) == FIELD_BAD) != inside)
				wrong++;
		}
		ok(state == FIELD_BAD && wrong == 0, "%s spoils its fields only",
		   row->name);
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
				rows[j].shape != SHAPE_CONTAINER &&
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
	ok(event.metadata == FIELD_NULL, "metadata null");
}

/* What is found before the type is known is forgotten if it isn't read. */
static void
test_unread_object(void)
{
	static const char *const types[] = {
		"customer.created", "charge.refunded", "charge.dispute.created", "",
	};
	size_t		i;
	size_t		j;

	for (i = 0; i < lengthof(types); i++)
	{
		static char text[sizeof(good) + 64];
		const char *type = strstr(good, "checkout.session.completed");
		int			found = 0;

		snprintf(text, sizeof(text), "%.*s%s%s", (int) (type - good), good,
				 types[i], type + strlen("checkout.session.completed"));
		ok(parse(text) == EVENT_OK, "type \"%s\"", types[i]);
		ok(event.data == FIELD_OK && event.data_object == FIELD_OK &&
		   event.livemode.value && event.id.length > 0, "has an envelope");
		for (j = 0; j < lengthof(rows); j++)
		{
			if (rows[j].offset > offsetof(Event, data_object) &&
				state_of(&event, &rows[j]) != FIELD_ABSENT)
				found++;
		}
		ok(found == 0, "has no other fields");
	}
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
		{"charge.succeeded", EVENT_KIND_KEPT},
		{"charge.updated", EVENT_KIND_KEPT},
		{"charge.refunded", EVENT_KIND_KEPT},
		{"charge.refund.updated", EVENT_KIND_KEPT},
		{"refund.created", EVENT_KIND_KEPT},
		{"refund.updated", EVENT_KIND_KEPT},
		{"refund.failed", EVENT_KIND_KEPT},
		{"invoice.paid", EVENT_KIND_KEPT},
		{"invoice_payment.paid", EVENT_KIND_KEPT},
		{"charge.dispute.created", EVENT_KIND_KEPT},
		{"charge.dispute.funds_withdrawn", EVENT_KIND_KEPT},
		{"charge.dispute.", EVENT_KIND_KEPT},
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
					   "{\"object\":{\"mode\":false,"
					   "\"amount\":-9223372036854775808,\"metadata\":"
					   "{\"stripe_credit_pack\":\"\\u001f\x7F\\u000a\\\"\\\\/"
					   "\xC3\xA9\"}}}"));
	facts_are(SESSION("\"metadata\":\"\",\"total_details\":null"),
			  ENVELOPE(",\"type\":\"checkout.session.completed\",\"data\":"
					   "{\"object\":{\"total_details\":null,"
					   "\"metadata\":false}}"));
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
	test_duplicates();
	test_more_duplicates();
	test_nul_in_fields();
	test_nul_elsewhere();
	test_order();
	test_integers();
	test_escapes();
	test_bad_containers();
	test_bad_nested();
	test_no_containers();
	test_unread_object();
	test_kinds();
	test_facts();
	test_space();
	test_details();
	free(body);
	free(buffer);
	return done();
}
