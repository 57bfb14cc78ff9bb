/*-------------------------------------------------------------------------
 *
 * stripe.c
 *	  Stripe's API.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "errors.h"
#include "form.h"
#include "http.h"
#include "json.h"
#include "member.h"
#include "secret.h"
#include "settings.h"
#include "statement.h"
#include "stripe.h"
#include "subtransaction.h"
#include "text.h"

#define MAX_ANSWER			(16 * 1024 * 1024)	/* octets */
#define MAX_DEPTH			64
#define MAX_QUERY			(1024 * 1024)	/* octets behind a question mark */
#define FIRST_PAUSE			500 /* ms */
#define LONGEST_PAUSE		5000	/* ms */
#define MAX_QUOTED			500 /* octets of Stripe's message in ours */

/* The headers of an answer that are looked at */
enum
{
	REQUEST_ID,
	SHOULD_RETRY
};

static Statement read_api_key = {
	"SELECT secret FROM stripe_credit.api_key WHERE livemode = $1", 1, {BOOLOID}
};

/*
 * Keys
 */

static pg_noreturn void
report_no_key(bool live, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no API key for mode %s", live ? "live" : "test"),
			 detail ? errdetail("%s", detail) : 0,
			 errhint("Run stripe_credit.set_api_key() with a key of that mode, or a reference to it.")));
	pg_unreachable();
}

static char *
read_key_row(bool live)
{
	Arguments	args = {0};
	char	   *found;
	char	   *text = NULL;

	SPI_connect();
	add_bool(&args, live);
	if (statement_execute(&read_api_key, &args) > 0)
	{
		found = result_text(0, 1);
		text = SPI_palloc(strlen(found) + 1);
		strcpy(text, found);
		explicit_bzero(found, strlen(found));
		explicit_bzero(SPI_tuptable->vals[0]->t_data, SPI_tuptable->vals[0]->t_len);
	}
	SPI_finish();
	return text;
}

/* The key of the present mode: a reference may have another one behind it by now. */
static char *
current_key(void)
{
	bool		live = settings_get()->policy.live;
	char	   *text = read_key_row(live);
	char	   *key;
	bool		key_is_live;

	if (text == NULL)
		report_no_key(live, NULL);
	key = secret_resolve(text);
	explicit_bzero(text, strlen(text));
	if (key == NULL)
		report_no_key(live, "The reference can't be resolved.");
	if (!stripe_key_mode(key, &key_is_live) || key_is_live != live)
		report_no_key(live, "The key that is set is of another mode.");
	return key;
}

bool
stripe_key_mode(const char *key, bool *live)
{
	const char *rest = after_prefix(key, "sk_");

	if (rest == NULL && (rest = after_prefix(key, "rk_")) == NULL)
		return false;
	*live = after_prefix(rest, "live_") != NULL;
	return *live || after_prefix(rest, "test_") != NULL;
}

/*
 * Requests
 */

static const char *
form_detail(FormVerdict verdict)
{
	switch (verdict)
	{
		case FORM_TOO_DEEP:
			return "They are nested too deeply.";
		case FORM_NUL_CHARACTER:
			return "They hold a character that can't be sent.";
		case FORM_BAD_KEY:
			return "A key is empty, or holds a bracket or a control character.";
		case FORM_TOO_LONG:
			return "A name is too long.";
		default:
			return "They must be one JSON object.";
	}
}

static char *
encode_params(const char *params, bool query)
{
	StringInfoData form;
	FormVerdict verdict;
	size_t		length;

	if (params == NULL)
		return NULL;
	length = strlen(params);
	initStringInfo(&form);
	verdict = form_encode(params, length, palloc(length + 1), append_to_string, &form);
	if (verdict != FORM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameters can't be sent to Stripe"),
				 errdetail("%s", form_detail(verdict))));
	if (query && form.len > MAX_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameters can't be sent to Stripe"),
				 errdetail("They are too long for a URL.")));
	return form.data;
}

static char *
random_key(void)
{
	unsigned char octets[16];
	char		text[2 * sizeof(octets) + 1];

	if (!pg_strong_random(octets, sizeof(octets)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	hex_encode((const char *) octets, sizeof(octets), text);
	text[2 * sizeof(octets)] = '\0';
	return psprintf("stripe_credit_%s", text);
}

/* The first of them holds the key. */
static const char **
make_headers(const StripeRequest *request, const char *key, const char *version)
{
	const char **headers = palloc0(sizeof(char *) * 6);
	bool		post = strcmp(request->method, "POST") == 0;
	int			n = 0;

	headers[n++] = psprintf("Authorization: Bearer %s", key);
	headers[n++] = psprintf("Stripe-Version: %s", version);
	headers[n++] = "User-Agent: stripe_credit/" STRIPE_CREDIT_VERSION " (PostgreSQL " PG_VERSION ")";
	if (post)
	{
		headers[n++] = "Content-Type: application/x-www-form-urlencoded";
		headers[n++] = psprintf("Idempotency-Key: %s", request->idempotency_key ?
								request->idempotency_key : random_key());
	}
	return headers;
}

/*
 * Trying
 */

static bool
is_success(int status)
{
	return status >= 200 && status < 300;
}

/* What was done is done, whatever its headers say. */
static bool
may_be_tried_again(const HttpResponse *response)
{
	if (response->failure != HTTP_ANSWERED)
		return response->failure == HTTP_UNREACHABLE;
	if (is_success(response->status))
		return false;
	if (strcmp(response->values[SHOULD_RETRY], "true") == 0)
		return true;
	if (strcmp(response->values[SHOULD_RETRY], "false") == 0)
		return false;
	return response->status == 409 || response->status >= 500;
}

/* Half a second, and then ever longer, by chance shorter. */
static int
pause_before(int attempt)
{
	int64		longest = Min((int64) FIRST_PAUSE << Min(attempt, 10), LONGEST_PAUSE);
	double		share = 0.5 + 0.5 * pg_prng_double(&pg_global_prng_state);

	return (int) Max(FIRST_PAUSE, longest * share);
}

static int
milliseconds_until(TimestampTz deadline)
{
	return (int) TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
}

static void
pause_for(int ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	while ((ms = milliseconds_until(end)) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
try_request(HttpRequest *request, HttpResponse *response, const ApiSettings *api)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), api->timeout);
	int			attempt;

	for (attempt = 0;; attempt++)
	{
		int			pause;

		request->timeout = Max(milliseconds_until(deadline), 1);
		http_perform(request, response);
		if (attempt >= api->max_retries || !may_be_tried_again(response))
			return;
		pause = pause_before(attempt);
		if (pause >= milliseconds_until(deadline))
			return;
		pause_for(pause);
	}
}

static void
send_with_key(const StripeRequest *request, const char *form, const char *key,
			  HttpResponse *response)
{
	ApiSettings api = settings_api();
	bool		post = strcmp(request->method, "POST") == 0;
	const char **headers = make_headers(request, key, api.version);
	HttpRequest http = {
		.method = request->method,
		.url = post || form == NULL || form[0] == '\0' ? psprintf("%s%s", api.base, request->path) :
		psprintf("%s%s?%s", api.base, request->path, form),
		.plain = after_prefix(api.base, "http://") != NULL,
		.headers = headers,
		.body = post ? (form ? form : "") : NULL,
		.body_length = post && form ? strlen(form) : 0,
		.ca_file = api.ca_file,
		.connect_timeout = api.connect_timeout,
		.max_body = MAX_ANSWER,
		.wanted = {[REQUEST_ID] = "Request-Id",[SHOULD_RETRY] = "Stripe-Should-Retry"}
	};

	PG_TRY();
	{
		try_request(&http, response, &api);
	}
	PG_FINALLY();
	{
		explicit_bzero(unconstify(char *, headers[0]), strlen(headers[0]));
	}
	PG_END_TRY();
}

/*
 * Answers
 */

static pg_noreturn void
report_failure(const HttpResponse *response)
{
	if (response->failure == HTTP_NO_MEMORY)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("A request to Stripe could not be made.")));
	if (response->failure == HTTP_UNUSABLE)
		ereport(ERROR,
				(errcode(ERRCODE_SC_STRIPE_REFUSED),
				 errmsg("Stripe's answer can't be used"),
				 errdetail("%s.", response->why)));
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not reach Stripe"),
			 errdetail("%s.", response->why)));
	pg_unreachable();
}

typedef struct Parsing
{
	const char *text;
	Jsonb	   *jsonb;
} Parsing;

static void
do_parse(void *argument)
{
	Parsing    *parsing = argument;

	parsing->jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														CStringGetDatum(parsing->text)));
}

/* A NUL or half a surrogate pair, a number that is too great, or too much of it all. */
static bool
is_beyond_jsonb(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

/*
 * Returns false if jsonb can't hold it, which raises errors that quote it, and so
 * is found out in a subtransaction.  All other errors are not the answer's.
 */
static bool
parse_jsonb(Parsing *parsing)
{
	ErrorData  *error = try_in_subtransaction(do_parse, parsing);

	if (error == NULL)
		return true;
	if (!is_beyond_jsonb(error))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

/* Grammar, UTF-8 and depth are checked here. */
static Jsonb *
parse_answer(const HttpResponse *response)
{
	Parsing		parsing = {.text = response->body};
	JsonScan	scan;

	json_scan_begin(&scan, response->body, response->length, MAX_DEPTH);
	if (!json_scan_value(&scan) || !json_scan_end(&scan) ||
		strlen(response->body) != response->length || !parse_jsonb(&parsing))
		return NULL;
	return jsonb_root_object(parsing.jsonb) ? parsing.jsonb : NULL;
}

/* Whatever looks like a key is not repeated, not even the part that Stripe shows. */
static void
mask_keys(char *text)
{
	bool		live;
	char	   *p;

	for (p = text; *p; p++)
	{
		if (!stripe_key_mode(p, &live))
			continue;
		p += strlen("sk_test_") - 1;
		while (isalnum((unsigned char) p[1]) || p[1] == '_')
			*++p = '*';
	}
}

/* What Stripe says may be long, or hold what has no place in a line. */
static char *
quotable(const char *text)
{
	char	   *copy = pnstrdup(text, pg_mbcliplen(text, (int) strlen(text), MAX_QUOTED));
	char	   *p;

	for (p = copy; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			*p = ' ';
	mask_keys(copy);
	return copy;
}

static pg_noreturn void
report_unusable(const StripeAnswer *answer)
{
	ereport(ERROR,
			(errcode(ERRCODE_SC_STRIPE_REFUSED),
			 errmsg("Stripe's answer can't be used"),
			 errdetail("Status %d is not followed by one JSON object (request %s).", answer->status,
					   answer->request_id ? answer->request_id : "without id")));
	pg_unreachable();
}

void
stripe_send(const StripeRequest *request, StripeAnswer *answer)
{
	char	   *form = encode_params(request->params, strcmp(request->method, "POST") != 0);
	char	   *key = current_key();
	HttpResponse *response = palloc(sizeof(HttpResponse));

	PG_TRY();
	{
		send_with_key(request, form, key, response);
	}
	PG_FINALLY();
	{
		explicit_bzero(key, strlen(key));
	}
	PG_END_TRY();
	if (response->failure != HTTP_ANSWERED)
		report_failure(response);
	answer->status = response->status;
	answer->answered_at = response->date < 0 ? GetCurrentTimestamp() :
		time_t_to_timestamptz((pg_time_t) response->date);
	answer->request_id = response->values[REQUEST_ID][0] ?
		quotable(response->values[REQUEST_ID]) : NULL;
	answer->body = parse_answer(response);
	if (answer->body == NULL)
		report_unusable(answer);
}

static void
append_field(StringInfo detail, JsonbContainer *error, const char *name)
{
	char	   *value = member_text(error, name);

	if (value)
		appendStringInfo(detail, "%s%s: %s", detail->len > 0 ? ", " : "", name, quotable(value));
}

/* Its message on a key that it doesn't take quotes a part of that. */
void
stripe_check(const StripeAnswer *answer)
{
	JsonbContainer *error = member_container(jsonb_root_object(answer->body), "error");
	StringInfoData detail;

	if (is_success(answer->status))
		return;
	initStringInfo(&detail);
	append_field(&detail, error, "type");
	append_field(&detail, error, "code");
	append_field(&detail, error, "decline_code");
	append_field(&detail, error, "param");
	if (answer->status != 401)
		append_field(&detail, error, "message");
	appendStringInfo(&detail, "%sstatus: %d", detail.len > 0 ? ", " : "", answer->status);
	if (answer->request_id)
		appendStringInfo(&detail, ", request: %s", answer->request_id);
	ereport(ERROR,
			(errcode(ERRCODE_SC_STRIPE_REFUSED),
			 errmsg("Stripe refused the request"),
			 errdetail("%s", detail.data)));
}

Jsonb *
stripe_call(const StripeRequest *request)
{
	StripeAnswer answer;

	stripe_send(request, &answer);
	stripe_check(&answer);
	return answer.body;
}
