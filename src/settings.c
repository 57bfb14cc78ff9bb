/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings table, cached per backend, and the GUCs.
 *
 * A statement trigger on each table sends a relcache invalidation for it, so
 * that every backend hears of a change once it has committed.  The cache is
 * filled under the newest snapshot, not the transaction's: an old snapshot
 * would put back what the invalidation, which comes only once, has thrown out.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "settings.h"
#include "statement.h"
#include "text.h"

PG_FUNCTION_INFO_V1(stripe_credit_settings_changed);

/* GUC variables: what concerns the machine, set by a superuser */
static char *api_base = NULL;
static char *ca_file = NULL;
static char *api_version = NULL;
static int	connect_timeout = 10000;
static int	timeout = 30000;
static int	max_retries = 2;

/* The cache: valid while both counts are the same. */
static MemoryContext settings_context = NULL;
static Settings *settings = NULL;
static uint64 settings_read_at = 0;
static uint64 generation = 1;

static Oid	settings_relid = InvalidOid;
static Oid	webhook_secret_relid = InvalidOid;

static Statement read_settings = {
	"SELECT mode = 'live', "
	"(extract(epoch FROM signature_tolerance) * 1000000)::bigint, "
	"account_from, on_overdraw = 'clamp', keep_payload, max_payload::bigint, "
	"create_accounts, connected_accounts, install_id::text "
	"FROM stripe_credit.settings",
	0
};

uint64
settings_generation(void)
{
	return generation;
}

/* Until the tables are known, any relation might be one of them. */
static void
forget_settings(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || !OidIsValid(settings_relid) ||
		relid == settings_relid || relid == webhook_secret_relid)
		generation++;
}

Datum
stripe_credit_settings_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"settings_changed")));

	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* The elements of a text[] without NULLs. */
static char **
text_array_elements(Datum array, int *n)
{
	Datum	   *values;
	char	  **elements;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, NULL, n);
	elements = palloc(sizeof(char *) * Max(*n, 1));
	for (i = 0; i < *n; i++)
		elements[i] = TextDatumGetCString(values[i]);
	return elements;
}

static AccountSource
account_source_by_name(const char *name)
{
	int			source;

	for (source = 0; source < ACCOUNT_SOURCES; source++)
		if (strcmp(account_source_name((AccountSource) source), name) == 0)
			return (AccountSource) source;
	elog(ERROR, "unrecognized account source");
}

static KeepPayload
keep_payload_by_name(const char *name)
{
	if (strcmp(name, "all") == 0)
		return KEEP_ALL;
	return strcmp(name, "none") == 0 ? KEEP_NONE : KEEP_UNAPPLIED;
}

static void
policy_from_row(FactsPolicy *policy)
{
	bool		isnull;
	char	  **names = text_array_elements(result_datum(0, 3, &isnull), &policy->n_account_from);
	AccountSource *account_from = palloc(sizeof(AccountSource) * policy->n_account_from);
	int			i;

	for (i = 0; i < policy->n_account_from; i++)
		account_from[i] = account_source_by_name(names[i]);
	policy->account_from = account_from;
	policy->live = result_bool(0, 1);
	policy->connected_accounts = text_array_elements(result_datum(0, 8, &isnull),
													 &policy->n_connected_accounts);
	policy->install_id = result_text(0, 9);
}

/* Make the result's only row a Settings in the current context. */
static Settings *
settings_from_row(void)
{
	Settings   *s = palloc0(sizeof(Settings));

	policy_from_row(&s->policy);
	s->signature_tolerance = result_int64(0, 2, 0);
	s->clamp = result_bool(0, 4);
	s->keep_payload = keep_payload_by_name(result_text(0, 5));
	s->max_payload = (int) result_int64(0, 6, 0);
	s->create_accounts = result_bool(0, 7);
	return s;
}

/* Read the row into a context of its own, and let it take the old one's place. */
static void
settings_read(void)
{
	MemoryContext context;
	MemoryContext old;
	Settings   *fresh;

	SPI_connect();
	if (statement_execute_snapshot(&read_settings, NULL, GetLatestSnapshot()) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stripe_credit.settings has no row"),
				 errhint("Run INSERT INTO stripe_credit.settings DEFAULT VALUES.")));

	context = AllocSetContextCreate(CurrentMemoryContext, "stripe_credit settings",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	fresh = settings_from_row();
	MemoryContextSwitchTo(old);

	/* nothing below can fail; callers further up may still hold the old one */
	MemoryContextSetParent(context, TopMemoryContext);
	if (settings_context)
		MemoryContextSetParent(settings_context, TopTransactionContext);
	settings_context = context;
	settings = fresh;
	SPI_finish();
}

static void
find_tables(void)
{
	Oid			schema = get_namespace_oid("stripe_credit", false);

	settings_relid = get_relname_relid("settings", schema);
	webhook_secret_relid = get_relname_relid("webhook_secret", schema);
}

const Settings *
settings_get(void)
{
	AcceptInvalidationMessages();

	/* The count comes first: what changes while reading is read next time. */
	if (settings == NULL || settings_read_at != generation)
	{
		uint64		reading = generation;

		find_tables();
		settings_read();
		settings_read_at = reading;
	}
	return settings;
}

ApiSettings
settings_api(void)
{
	ApiSettings api = {
		.base = api_base,
		.ca_file = ca_file,
		.version = api_version,
		.connect_timeout = connect_timeout,
		.timeout = timeout,
		.max_retries = max_retries
	};

	return api;
}

/* http://127.0.0.1, perhaps with a port, perhaps with a path; nothing that hides a host. */
static bool
is_loopback_url(const char *url)
{
	const char *rest = after_prefix(url, "http://127.0.0.1");

	if (rest == NULL)
		return false;
	if (*rest == ':')
		rest += 1 + strspn(rest + 1, "0123456789");
	return *rest == '\0' || *rest == '/';
}

/* https, or plain http to this machine for tests. */
static bool
check_api_base(char **newval, void **extra, GucSource source)
{
	const char *url = *newval;
	const char *host = after_prefix(url, "https://");
	const char *p;

	for (p = url; *p; p++)
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			break;
	if (*p == '\0' && ((host && *host) || is_loopback_url(url)))
		return true;

	GUC_check_errdetail("It must be an https URL, or one of http://127.0.0.1.");
	return false;
}

static void
define_milliseconds(const char *name, const char *description, int *variable)
{
	DefineCustomIntVariable(name, description, NULL, variable, *variable,
							1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

void
settings_init(void)
{
	DefineCustomStringVariable("stripe_credit.api_base",
							   "Sets the URL of Stripe's API.", NULL,
							   &api_base, "https://api.stripe.com",
							   PGC_SUSET, 0, check_api_base, NULL, NULL);
	DefineCustomStringVariable("stripe_credit.ca_file",
							   "Sets the file of certificate authorities that vouch for Stripe's API.",
							   "Empty means the system's.",
							   &ca_file, "",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("stripe_credit.api_version",
							   "Sets the version of Stripe's API that requests ask for.", NULL,
							   &api_version, "2026-10-28.endive",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	define_milliseconds("stripe_credit.connect_timeout",
						"Sets how long connecting to Stripe's API may take.",
						&connect_timeout);
	define_milliseconds("stripe_credit.timeout",
						"Sets how long a request to Stripe's API may take, with its retries.",
						&timeout);
	DefineCustomIntVariable("stripe_credit.max_retries",
							"Sets how often a request to Stripe's API is tried again.", NULL,
							&max_retries, 2,
							0, 10, PGC_SUSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("stripe_credit");

	CacheRegisterRelcacheCallback(forget_settings, (Datum) 0);
}
