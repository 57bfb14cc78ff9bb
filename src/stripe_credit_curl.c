/*-------------------------------------------------------------------------
 *
 * stripe_credit_curl.c
 *	  A module of its own: HTTP by libcurl, for http.c.
 *
 * One multi handle per backend, made by the first request and kept, since
 * connections that are kept save the next request a TLS handshake.  So is the easy
 * handle, unless it would keep the key.  A backend that exits leaves both to the
 * kernel.
 *
 * Rules: nothing that could longjmp runs inside a callback, so what comes in is
 * kept in malloc'd memory, which is reused or freed by the next request; an easy
 * handle that was interrupted is taken out of the multi handle before anything
 * else happens.  libcurl may start threads, to resolve names: they inherit the
 * signal mask, so all signals are blocked while it could, and PostgreSQL's
 * handlers run in no thread but the backend's.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "http.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void stripe_credit_curl_perform(const HttpRequest *request,
												   HttpResponse *response);

#define MAX_SOCKETS			8
#define MAX_HEADERS			(256 * 1024)	/* octets of all of an answer's */
#define LONGEST_NAP			200 /* ms */
#define SHORT_NAP			20		/* ms, while there are several sockets */
#define KEEP_BUFFER			(64 * 1024)

/* What libcurl wants to be told of. */
typedef struct Watch
{
	curl_socket_t fd;
	int			what;			/* CURL_POLL_... */
} Watch;

/* The one transfer that there can be. */
typedef struct Transfer
{
	CURLM	   *multi;
	CURL	   *easy;
	struct curl_slist *headers;
	bool		attached;		/* easy is in multi */
	bool		broken;			/* memory ran out within libcurl */
	bool		requested;		/* there was a connection */

	Watch		watches[MAX_SOCKETS];
	int			n_watches;
	bool		overflow;		/* more sockets than that */
	TimestampTz wake_at;		/* libcurl's timer; DT_NOEND: none */

	const HttpRequest *request;
	HttpResponse *response;
	size_t		header_octets;
	char		date[HTTP_HEADER_MAX];
	bool		too_large;
	bool		no_memory;
	char	   *body;			/* malloc'd */
	size_t		length;
	size_t		room;
} Transfer;

static Transfer transfer;

#define SET(option, value) (curl_easy_setopt(transfer.easy, option, value) == CURLE_OK)

/*
 * Callbacks: they only note
 */

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user)
{
	int			i = 0;

	while (i < transfer.n_watches && transfer.watches[i].fd != fd)
		i++;
	if (what == CURL_POLL_REMOVE)
	{
		if (i < transfer.n_watches)
			transfer.watches[i] = transfer.watches[--transfer.n_watches];
		return 0;
	}
	if (i == MAX_SOCKETS)
	{
		transfer.overflow = true;
		return 0;
	}
	transfer.watches[i].fd = fd;
	transfer.watches[i].what = what;
	transfer.n_watches = Max(transfer.n_watches, i + 1);
	return 0;
}

static int
on_timer(CURLM *multi, long ms, void *user)
{
	/* in the very millisecond it could find that its time has not come, and forget it */
	transfer.wake_at = ms < 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms == 0 ? 0 : ms + 1);
	return 0;
}

/*
 * From 8.17 on libcurl lets OpenSSL go on whatever the certificate, and asks then
 * what came of its verification: nothing against it, if it was never made for want
 * of memory.
 */
static CURLcode
on_tls_context(CURL *easy, void *context, void *user)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return CURLE_OK;
}

/* There is a connection, perhaps one that was kept. */
static int
on_request(void *user, char *ip, char *local_ip, int port, int local_port)
{
	transfer.requested = true;
	return CURL_PREREQFUNC_OK;
}

static bool
make_room(size_t needed)
{
	size_t		room = Max(transfer.room, 16 * 1024);
	char	   *larger;

	while (room < needed)
		room *= 2;
	if (room == transfer.room)
		return true;
	larger = realloc(transfer.body, room);
	if (larger == NULL)
		return false;
	transfer.body = larger;
	transfer.room = room;
	return true;
}

static size_t
on_body(char *data, size_t size, size_t count, void *user)
{
	size_t		length = size * count;

	if (length > transfer.request->max_body - transfer.length)
	{
		transfer.too_large = true;
		return 0;
	}
	if (!make_room(transfer.length + length + 1))
	{
		transfer.no_memory = true;
		return 0;
	}
	memcpy(transfer.body + transfer.length, data, length);
	transfer.length += length;
	return length;
}

/* The value of a header line, if it has that name, cut to what there is room for. */
static void
note_header(const char *line, size_t length, const char *name, char *value)
{
	size_t		at = strlen(name);
	size_t		n = 0;

	if (length <= at || line[at] != ':' || pg_strncasecmp(line, name, at) != 0)
		return;
	for (at++; at < length && line[at] == ' '; at++)
		;
	for (; at < length && line[at] >= ' ' && line[at] < 0x7f && n < HTTP_HEADER_MAX - 1; at++)
		value[n++] = line[at];
	value[n] = '\0';
}

static size_t
on_header(char *line, size_t size, size_t count, void *user)
{
	size_t		length = size * count;
	int			i;

	transfer.header_octets += length;
	if (transfer.header_octets > MAX_HEADERS)
	{
		transfer.too_large = true;
		return 0;
	}
	note_header(line, length, "Date", transfer.date);
	for (i = 0; i < HTTP_WANTED; i++)
		if (transfer.request->wanted[i])
			note_header(line, length, transfer.request->wanted[i], transfer.response->values[i]);
	return length;
}

/*
 * Handles
 */

/* What libcurl frees may have held the key. */
static void
wipe_and_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
wipe_and_realloc(void *p, size_t size)
{
	size_t		old = p ? malloc_usable_size(p) : 0;
	void	   *fresh = malloc(size);

	if (fresh == NULL)
		return NULL;
	if (p)
		memcpy(fresh, p, Min(old, size));
	wipe_and_free(p);
	return fresh;
}

/* libcurl is not told of a failure half way: what there is, stays. */
static bool
make_handles(void)
{
	static bool initialized = false;

	if (!initialized)
	{
		/* nobody who can write the server's environment is to read what we say */
		(void) unsetenv("SSLKEYLOGFILE");
		if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_and_free, wipe_and_realloc,
								 strdup, calloc) != CURLE_OK)
			return false;
		initialized = true;
	}
	if (transfer.multi == NULL && (transfer.multi = curl_multi_init()) == NULL)
		return false;
	if (transfer.easy == NULL && (transfer.easy = curl_easy_init()) == NULL)
		return false;
	return curl_multi_setopt(transfer.multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
		curl_multi_setopt(transfer.multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
		curl_multi_setopt(transfer.multi, CURLMOPT_MAXCONNECTS, 2L) == CURLM_OK &&
		set_multi_quick_exit(transfer.multi);
}

/* They hold the key. */
static void
free_headers(void)
{
	struct curl_slist *header;

	for (header = transfer.headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer.headers);
	transfer.headers = NULL;
}

/* Does not wait for a name that nobody finds. */
static void
end_easy_handle(void)
{
	(void) SET(CURLOPT_QUICK_EXIT, 1L);
	curl_easy_cleanup(transfer.easy);
	transfer.easy = NULL;
}

/* libcurl may have left handles half done in which memory ran out, so they are not used again. */
static void
give_handles_up(void)
{
	end_easy_handle();
	if (transfer.multi)
		(void) curl_multi_cleanup(transfer.multi);
	transfer.multi = NULL;
	transfer.broken = false;
}

/* After a request, however it ended; a connection that was in use is not kept then. */
static void
detach(void)
{
	if (transfer.attached)
		(void) curl_multi_remove_handle(transfer.multi, transfer.easy);
	transfer.attached = false;
	if (transfer.broken)
		give_handles_up();
	if (CURL_KEEPS_WHAT_IT_SENT)
		end_easy_handle();
	else if (transfer.easy)
		curl_easy_reset(transfer.easy);
	free_headers();
	transfer.n_watches = 0;
	if (transfer.room > KEEP_BUFFER)
	{
		free(transfer.body);
		transfer.body = NULL;
		transfer.room = 0;
	}
}

static bool
add_header(const char *header)
{
	struct curl_slist *longer = curl_slist_append(transfer.headers, header);

	if (longer == NULL)
		return false;
	transfer.headers = longer;
	return true;
}

/* "Expect:" because a body that waits to be asked for is a round trip lost. */
static bool
add_headers(const HttpRequest *request)
{
	int			i;

	for (i = 0; request->headers[i]; i++)
		if (!add_header(request->headers[i]))
			return false;
	return add_header("Expect:");
}

/* With another TLS library the context would be another thing, if there is one. */
static bool
set_tls_context(void)
{
	const char *library = curl_version_info(CURLVERSION_NOW)->ssl_version;

	return library == NULL || strncmp(library, "OpenSSL/", 8) != 0 ||
		SET(CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
}

/* Whom we talk to, and whom we don't. */
static bool
set_trust(const HttpRequest *request)
{
	return SET(CURLOPT_PROTOCOLS_STR, request->plain ? "http,https" : "https") &&
		SET(CURLOPT_FOLLOWLOCATION, 0L) &&
		SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
		SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
		set_tls_context() &&
		SET(CURLOPT_PROXY, "") &&
		SET(CURLOPT_NOPROXY, "*") &&
		SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) &&
		(request->ca_file[0] == '\0' || SET(CURLOPT_CAINFO, request->ca_file));
}

static bool
set_limits(const HttpRequest *request)
{
	return SET(CURLOPT_NOSIGNAL, 1L) &&
		SET(CURLOPT_QUICK_EXIT, 1L) &&
		SET(CURLOPT_NOPROGRESS, 1L) &&
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Min(request->connect_timeout, request->timeout)) &&
		SET(CURLOPT_TIMEOUT_MS, (long) request->timeout);
}

static bool
set_request(const HttpRequest *request)
{
	/* an HTTP/2 connection outlives a request that got no answer, and would be used again */
	return SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) &&
		SET(CURLOPT_URL, request->url) &&
		SET(CURLOPT_HTTPHEADER, transfer.headers) &&
		(request->body == NULL ||
		 (SET(CURLOPT_POST, 1L) &&
		  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_length) &&
		  SET(CURLOPT_POSTFIELDS, request->body))) &&
		SET(CURLOPT_CUSTOMREQUEST, request->method) &&
		SET(CURLOPT_PREREQFUNCTION, on_request) &&
		SET(CURLOPT_WRITEFUNCTION, on_body) &&
		SET(CURLOPT_HEADERFUNCTION, on_header);
}

static bool
attach(const HttpRequest *request, HttpResponse *response)
{
	transfer.request = request;
	transfer.response = response;
	transfer.length = 0;
	transfer.header_octets = 0;
	transfer.date[0] = '\0';
	transfer.too_large = false;
	transfer.no_memory = false;
	transfer.overflow = false;
	transfer.requested = false;
	transfer.wake_at = DT_NOEND;
	if (!make_handles() || !add_headers(request) || !set_trust(request) ||
		!set_limits(request) || !set_request(request))
		return false;
	transfer.attached = curl_multi_add_handle(transfer.multi, transfer.easy) == CURLM_OK;
	return transfer.attached;
}

/*
 * Waiting
 */

/* libcurl may start a thread in here, which inherits the mask. */
static void
act(curl_socket_t fd, int what, int *running)
{
	sigset_t	all;
	sigset_t	old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (curl_multi_socket_action(transfer.multi, fd, what, running) == CURLM_OUT_OF_MEMORY)
		transfer.broken = true;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static long
nap(void)
{
	long		most = transfer.n_watches > 1 || transfer.overflow ? SHORT_NAP : LONGEST_NAP;

	if (TIMESTAMP_IS_NOEND(transfer.wake_at))
		return most;
	return Min(most, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), transfer.wake_at));
}

/* The event that a socket is waited for by; with several, time alone wakes us. */
static int
events_of(const Watch *watch)
{
	int			events = 0;

	if (watch->what == CURL_POLL_IN || watch->what == CURL_POLL_INOUT)
		events |= WL_SOCKET_READABLE;
	if (watch->what == CURL_POLL_OUT || watch->what == CURL_POLL_INOUT)
		events |= WL_SOCKET_WRITEABLE;
	return events;
}

/* Until something may have happened, or the backend is wanted elsewhere. */
static void
wait_for_something(void)
{
	const Watch *watch = &transfer.watches[0];
	int			events = transfer.n_watches == 1 ? events_of(watch) : 0;
	int			wake = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	long		ms = nap();

	if (events)
		(void) WaitLatchOrSocket(MyLatch, wake | events, watch->fd, ms, http_wait_event());
	else
		(void) WaitLatch(MyLatch, wake, ms, http_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* libcurl looks itself at what has happened to each of its sockets. */
static void
act_on_sockets(int *running)
{
	curl_socket_t fds[MAX_SOCKETS];
	int			n = transfer.n_watches;
	int			i;

	for (i = 0; i < n; i++)
		fds[i] = transfer.watches[i].fd;
	for (i = 0; i < n; i++)
		act(fds[i], 0, running);
	if (n == 0 || TIMESTAMP_IS_NOEND(transfer.wake_at) || nap() == 0 || transfer.overflow)
		act(CURL_SOCKET_TIMEOUT, 0, running);
}

/* Returns how it ended. */
static CURLcode
run(void)
{
	int			running = 0;
	int			left;
	CURLMsg    *message;

	act(CURL_SOCKET_TIMEOUT, 0, &running);
	while (running > 0 && !transfer.broken)
	{
		wait_for_something();
		act_on_sockets(&running);
	}
	if (transfer.broken)
		return CURLE_OUT_OF_MEMORY;
	while ((message = curl_multi_info_read(transfer.multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE && message->easy_handle == transfer.easy)
			return message->data.result;
	return CURLE_OUT_OF_MEMORY;
}

/*
 * Answers
 */

static HttpFailure
failure_of(CURLcode code)
{
	switch (code)
	{
		case CURLE_OK:
			return HTTP_ANSWERED;
		case CURLE_OPERATION_TIMEDOUT:
			return HTTP_TIMED_OUT;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
			return HTTP_UNTRUSTED;
		case CURLE_OUT_OF_MEMORY:
			return HTTP_NO_MEMORY;
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_TOO_LARGE_BODY:
		case CURLE_BAD_CONTENT_ENCODING:
			return HTTP_UNUSABLE;
		default:
			return HTTP_UNREACHABLE;
	}
}

static void
read_answer(CURLcode code, HttpResponse *response)
{
	long		status = 0;

	response->failure = transfer.no_memory ? HTTP_NO_MEMORY : failure_of(code);
	response->why = curl_easy_strerror(code);
	transfer.broken |= response->failure == HTTP_NO_MEMORY;
	/* libcurl says so too of a header that is longer than it takes */
	if (transfer.too_large || (code == CURLE_OUT_OF_MEMORY && transfer.requested))
	{
		response->failure = HTTP_UNUSABLE;
		response->why = "The answer is too large";
	}
	if (response->failure != HTTP_ANSWERED)
		return;
	(void) curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	response->status = (int) status;
	response->date = (int64) curl_getdate(transfer.date, NULL);
	response->body = palloc(transfer.length + 1);
	if (transfer.length > 0)
		memcpy(response->body, transfer.body, transfer.length);
	response->body[transfer.length] = '\0';
	response->length = transfer.length;
}

void
stripe_credit_curl_perform(const HttpRequest *request, HttpResponse *response)
{
	memset(response, 0, sizeof(HttpResponse));
	response->failure = HTTP_NO_MEMORY;
	response->why = curl_easy_strerror(CURLE_OUT_OF_MEMORY);
	PG_TRY();
	{
		if (attach(request, response))
			read_answer(run(), response);
		else
			transfer.broken = true;
	}
	PG_FINALLY();
	{
		detach();
	}
	PG_END_TRY();
}
