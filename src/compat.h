/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Every test of PG_VERSION_NUM and LIBCURL_VERSION_NUM that there is.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef COMPAT_H
#define COMPAT_H

#if PG_VERSION_NUM < 150000
#error "stripe_credit needs PostgreSQL 15 or later"
#endif

/* Since 16 postgres.h doesn't bring VARDATA_ANY() and the like. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Since 18 it stands before the declaration, where older compilers take it too. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* Since 18 a module can tell its name and version. */
#if PG_VERSION_NUM >= 180000
#define STRIPE_CREDIT_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "stripe_credit", .version = STRIPE_CREDIT_VERSION)
#else
#define STRIPE_CREDIT_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* Since 7.87 a transfer that is given up does not wait for its resolver. */
#ifdef LIBCURL_VERSION_NUM
#if LIBCURL_VERSION_NUM < 0x075700
#error "stripe_credit needs libcurl 7.87 or later"
#endif
#if LIBCURL_VERSION_NUM < 0x080600
#define CURLE_TOO_LARGE_BODY	CURLE_FILESIZE_EXCEEDED
#else
#define CURLE_TOO_LARGE_BODY	CURLE_TOO_LARGE
#endif

/* Since 8.7 an easy handle keeps the buffer of what it has sent, and in that the key, to its end. */
#define CURL_KEEPS_WHAT_IT_SENT		(LIBCURL_VERSION_NUM >= 0x080700)

/* Since 8.20 its resolver's threads are the multi handle's, whose end would wait for them. */
static inline bool
set_multi_quick_exit(CURLM *multi)
{
#if LIBCURL_VERSION_NUM >= 0x081400
	return curl_multi_setopt(multi, CURLMOPT_QUICK_EXIT, 1L) == CURLM_OK;
#else
	return true;
#endif
}

/* Since 17 a wait event can have a name of its own. */
static inline uint32
http_wait_event(void)
{
#if PG_VERSION_NUM >= 170000
	static uint32 event = 0;

	if (event == 0)
		event = WaitEventExtensionNew("StripeCreditHttp");
	return event;
#else
	return PG_WAIT_EXTENSION;
#endif
}
#endif

#endif							/* COMPAT_H */
