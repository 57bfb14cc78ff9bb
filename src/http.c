/*-------------------------------------------------------------------------
 *
 * http.c
 *	  One HTTP request and its answer: brings the module that makes them.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "http.h"

void
http_perform(const HttpRequest *request, HttpResponse *response)
{
	static HttpPerform perform = NULL;

	if (perform == NULL)
		perform = (HttpPerform) load_external_function(HTTP_MODULE, HTTP_FUNCTION, true, NULL);
	perform(request, response);
}
