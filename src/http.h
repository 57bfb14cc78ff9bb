/*-------------------------------------------------------------------------
 *
 * http.h
 *	  One HTTP request and its answer.  Knows nothing of Stripe.
 *
 * A request waits on the process's latch, so it can be cancelled at any moment,
 * and it ends by its deadline whatever the other side does.  Certificates are
 * always verified; no redirect is followed; no proxy and no .netrc is looked at.
 *
 * libcurl, and the thirty libraries behind it, live in a module of their own,
 * which is loaded by the first request of a backend: whoever only spends and takes
 * webhooks never maps them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef HTTP_H
#define HTTP_H

#define HTTP_WANTED			2	/* headers of an answer that can be asked for */
#define HTTP_HEADER_MAX		256

typedef struct HttpRequest
{
	const char *method;
	const char *url;			/* https, or http where the caller allows it */
	bool		plain;			/* http is allowed */
	const char *const *headers; /* "Name: value", up to a NULL */
	const char *body;			/* NULL: none */
	size_t		body_length;
	const char *ca_file;		/* empty: the system's */
	int			connect_timeout;	/* ms */
	int			timeout;		/* ms, for all of it */
	size_t		max_body;		/* octets of an answer */
	const char *wanted[HTTP_WANTED];	/* names of headers of the answer */
} HttpRequest;

typedef enum HttpFailure
{
	HTTP_ANSWERED,
	HTTP_UNREACHABLE,			/* no connection, or it broke: may be tried again */
	HTTP_TIMED_OUT,
	HTTP_UNTRUSTED,				/* its certificate is not valid */
	HTTP_UNUSABLE,				/* it answered, but too much, or no HTTP */
	HTTP_NO_MEMORY
} HttpFailure;

typedef struct HttpResponse
{
	HttpFailure failure;
	const char *why;			/* a fixed text, of a failure */
	int			status;
	int64		date;			/* the other side's clock, in seconds since
								 * 1970; -1: not said */
	char	   *body;			/* palloc'd, NUL-terminated */
	size_t		length;
	char		values[HTTP_WANTED][HTTP_HEADER_MAX];	/* empty: not there */
} HttpResponse;

/* What the module is called by. */
#define HTTP_MODULE			"$libdir/stripe_credit_curl"
#define HTTP_FUNCTION		"stripe_credit_curl_perform"

typedef void (*HttpPerform) (const HttpRequest *request, HttpResponse *response);

extern void http_perform(const HttpRequest *request, HttpResponse *response);

#endif							/* HTTP_H */
