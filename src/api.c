/*-------------------------------------------------------------------------
 *
 * api.c
 *	  SQL entries for Stripe's API as it is: the key, and any request.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "secret.h"
#include "statement.h"
#include "stripe.h"

PG_FUNCTION_INFO_V1(stripe_credit_set_api_key);
PG_FUNCTION_INFO_V1(stripe_credit_request);
PG_FUNCTION_INFO_V1(stripe_credit_fetch);

#define MAX_PATH_LENGTH		1000
#define MAX_KEY_LENGTH		255

static Statement write_api_key = {
	"INSERT INTO stripe_credit.api_key (livemode, secret) VALUES ($1, $2) "
	"ON CONFLICT (livemode) DO UPDATE SET secret = excluded.secret, created_at = now()",
	2, {BOOLOID, TEXTOID}
};

/* The mode of the key that a text stands for now. */
static bool
mode_of_key(const char *text)
{
	char	   *key = secret_resolve(text);
	bool		live;
	bool		valid;

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret reference can't be resolved")));
	valid = stripe_key_mode(key, &live);
	explicit_bzero(key, strlen(key));
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret is not an API key"),
				 errdetail("It must begin with sk_test_, sk_live_, rk_test_ or rk_live_.")));
	return live;
}

Datum
stripe_credit_set_api_key(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide;
	Arguments	args = {0};
	char	   *secret;

	hide_statement_begin(&hide);
	hide_activity();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret must not be null")));
	secret = text_to_cstring(PG_GETARG_TEXT_PP(0));
	secret_check(secret);
	add_bool(&args, mode_of_key(secret));
	add_text(&args, secret);
	SPI_connect();
	statement_execute(&write_api_key, &args);
	SPI_finish();
	hide_statement_end(&hide);
	PG_RETURN_VOID();
}

static char *
method_argument(FunctionCallInfo fcinfo)
{
	char	   *method = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (method == NULL || (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0 &&
						   strcmp(method, "DELETE") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("method must be GET, POST or DELETE")));
	return method;
}

/* What can't leave the API: no other host, no query, no way up. */
static bool
is_path(const char *path)
{
	const char *p;

	if ((strncmp(path, "/v1/", 4) != 0 && strncmp(path, "/v2/", 4) != 0) ||
		strlen(path) > MAX_PATH_LENGTH || strstr(path, "..") || strstr(path, "//"))
		return false;
	for (p = path; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  strchr("/_-.", *p)))
			return false;
	return true;
}

static char *
path_argument(FunctionCallInfo fcinfo)
{
	char	   *path = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (path == NULL || !is_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path must be one of Stripe's API"),
				 errdetail("It begins with /v1/ or /v2/, and holds letters, digits, '/', '_', '-' and '.'."),
				 errhint("Pass what would stand behind a question mark in params.")));
	return path;
}

/* It becomes a header. */
static char *
key_argument(FunctionCallInfo fcinfo)
{
	char	   *key = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	const char *p;

	if (key == NULL)
		return NULL;
	for (p = key; *p > ' ' && *p < 0x7f; p++)
		;
	if (*p || p == key || p - key > MAX_KEY_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency_key is not valid"),
				 errdetail("Stripe takes 1 to %d printable ASCII characters without a space.",
						   MAX_KEY_LENGTH)));
	return key;
}

static StripeRequest
request_arguments(FunctionCallInfo fcinfo)
{
	Jsonb	   *params = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	StripeRequest request = {
		.method = method_argument(fcinfo),
		.path = path_argument(fcinfo),
		.params = params ? JsonbToCString(NULL, &params->root, VARSIZE(params)) : NULL,
		.idempotency_key = key_argument(fcinfo)
	};

	/* what Stripe has done could not be entered afterwards */
	if (strcmp(request.method, "GET") != 0)
		PreventCommandIfReadOnly("a change at Stripe");
	return request;
}

Datum
stripe_credit_request(PG_FUNCTION_ARGS)
{
	StripeRequest request = request_arguments(fcinfo);

	PG_RETURN_JSONB_P(stripe_call(&request));
}

/*
 * The same for our own functions: what Stripe doesn't have is NULL, and they learn
 * when it answered.
 */
Datum
stripe_credit_fetch(PG_FUNCTION_ARGS)
{
	StripeRequest request = request_arguments(fcinfo);
	StripeAnswer answer;
	TupleDesc	row_type;
	Datum		values[2];
	bool		nulls[2] = {false};

	stripe_send(&request, &answer);
	nulls[0] = answer.status == 404;
	if (!nulls[0])
		stripe_check(&answer);
	values[0] = nulls[0] ? (Datum) 0 : JsonbPGetDatum(answer.body);
	values[1] = TimestampTzGetDatum(answer.answered_at);
	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls));
}
