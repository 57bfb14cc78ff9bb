/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Secrets: where they come from, and whose webhooks are believed.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "secret.h"
#include "settings.h"
#include "statement.h"
#include "subtransaction.h"
#include "text.h"

PG_FUNCTION_INFO_V1(stripe_credit_add_webhook_secret);
PG_FUNCTION_INFO_V1(stripe_credit_remove_webhook_secret);

#define SECRET_MAX_LENGTH	1000

typedef struct WebhookSecret
{
	int64		id;
	char	   *secret;			/* literal or reference */
	TimestampTz valid_until;
	SignatureKey *key;			/* NULL until resolved, or if it can't be */
	bool		resolved;
	bool		complained;		/* the log has been told that it can't be */
} WebhookSecret;

/* The cache: valid while it was read at the present generation. */
static MemoryContext secrets_context = NULL;
static WebhookSecret *secrets = NULL;
static int	n_secrets = 0;
static SignatureKey **keys = NULL;	/* room for n_secrets */
static uint64 secrets_read_at = 0;

/* While code of the vault's owner runs, which could call us again. */
static bool reading_vault = false;

static Statement read_secrets = {
	"SELECT id::bigint, secret, valid_until "
	"FROM stripe_credit.webhook_secret ORDER BY id",
	0
};

static Statement insert_secret = {
	"INSERT INTO stripe_credit.webhook_secret (secret, valid_until) "
	"VALUES ($1, $2) RETURNING id",
	2, {TEXTOID, TIMESTAMPTZOID}
};

/* A prepared plan, whose parameter no setting can print. */
static Statement read_vault_secret = {
	"SELECT decrypted_secret::text FROM vault.decrypted_secrets WHERE name = $1 LIMIT 1",
	1, {TEXTOID}
};

static Statement delete_secret = {
	"DELETE FROM stripe_credit.webhook_secret WHERE id = $1",
	1, {INT4OID}
};

static bool
secret_is_clean(const char *secret)
{
	const unsigned char *p;

	for (p = (const unsigned char *) secret; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return false;
	return p != (const unsigned char *) secret;
}

/*
 * A secret from a file is its text without the white space at its end.  The
 * file must be a regular one: a pipe could make the backend wait forever.
 */
static char *
read_secret_file(const char *path)
{
	char		buffer[SECRET_MAX_LENGTH + 2];
	struct stat st;
	ssize_t		length = -1;
	char	   *secret = NULL;
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		length = read(fd, buffer, sizeof(buffer) - 1);
	CloseTransientFile(fd);

	while (length > 0 && isspace((unsigned char) buffer[length - 1]))
		length--;
	if (length > 0 && length <= SECRET_MAX_LENGTH)
		secret = pnstrdup(buffer, length);
	explicit_bzero(buffer, sizeof(buffer));
	return secret;
}

/*
 * The owner of vault.decrypted_secrets, if there is such a view, which is
 * locked, so that it is still his when it is read.
 */
static Oid
vault_view_owner(void)
{
	Oid			view = RangeVarGetRelid(makeRangeVar("vault", "decrypted_secrets", -1),
										AccessShareLock, true);
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(view))
		return InvalidOid;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Look a name up in the vault; the result is in the caller's memory. */
static char *
query_vault(const char *name)
{
	Arguments	args = {0};
	char	   *found = NULL;
	char	   *secret = NULL;

	SPI_connect();
	add_text(&args, name);
	if (statement_execute(&read_vault_secret, &args) == 1)
		found = result_text(0, 1);
	if (found)
	{
		secret = SPI_palloc(strlen(found) + 1);
		strcpy(secret, found);
		explicit_bzero(found, strlen(found));
	}
	SPI_finish();
	return secret;
}

/*
 * Functions inside the vault's view would run with the rights of whoever reads
 * it, and that is the owner of this extension, a superuser: so it is read as
 * its own owner, who can do nothing there that he couldn't do anyway.
 */
static char *
read_vault_as_owner(const char *name)
{
	Oid			owner = vault_view_owner();
	Oid			save_user;
	int			save_context;
	char	   *secret;

	if (!OidIsValid(owner))
		return NULL;
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(owner, save_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	reading_vault = true;
	secret = query_vault(name);
	reading_vault = false;
	SetUserIdAndSecContext(save_user, save_context);
	return secret;
}

typedef struct VaultReading
{
	const char *name;
	char	   *secret;
} VaultReading;

static void
do_read_vault(void *argument)
{
	VaultReading *reading = argument;

	reading->secret = read_vault_as_owner(reading->name);
}

/*
 * Read Supabase's Vault, in a subtransaction, whose end puts the user back: what
 * its view raises may hold the secret, so it counts as not resolved.
 */
static char *
read_vault(const char *name)
{
	VaultReading reading = {.name = name};
	ErrorData  *error = try_in_subtransaction(do_read_vault, &reading);

	if (error == NULL)
		return reading.secret;

	/* an error is no news for the caller, unless he asked for it */
	reading_vault = false;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	ereport(LOG_SERVER_ONLY,
			(errmsg("could not read the vault"),
			 errdetail_log("The SQLSTATE is %s.", unpack_sql_state(error->sqlerrcode))));
	FreeErrorData(error);
	return NULL;
}

char *
secret_resolve(const char *text)
{
	const char *rest;
	char	   *secret;

	if ((rest = after_prefix(text, "file:")) != NULL)
		secret = read_secret_file(rest);
	else if ((rest = after_prefix(text, "env:")) != NULL)
		secret = getenv(rest) ? pstrdup(getenv(rest)) : NULL;
	else if ((rest = after_prefix(text, "vault:")) != NULL)
		secret = read_vault(rest);
	else
		secret = pstrdup(text);

	if (secret && !secret_is_clean(secret))
	{
		explicit_bzero(secret, strlen(secret));
		return NULL;
	}
	return secret;
}

/* Files and the vault change without our hearing of it. */
static bool
changes_unseen(const char *text)
{
	return after_prefix(text, "file:") || after_prefix(text, "vault:");
}

static void
resolve_webhook_secret(WebhookSecret *s)
{
	char	   *secret = secret_resolve(s->secret);

	signature_key_free(s->key);
	s->key = NULL;
	if (secret)
	{
		s->key = signature_key_create(secret, strlen(secret));
		explicit_bzero(secret, strlen(secret));
		if (s->key == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("could not prepare a webhook secret")));
	}
	else if (!s->complained)
	{
		s->complained = true;
		ereport(LOG_SERVER_ONLY,
				(errmsg("could not resolve webhook secret %lld", (long long) s->id),
				 errhidestmt(true)));
	}
	s->resolved = !changes_unseen(s->secret);
}

/* When the context goes, so do the OpenSSL contexts, which palloc knows nothing of. */
static void
free_keys(void *arg)
{
	int			i;

	for (i = 0; i < n_secrets; i++)
		signature_key_free(secrets[i].key);
	n_secrets = 0;
}

static void
copy_secrets(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	WebhookSecret *fresh = palloc0(sizeof(WebhookSecret) * Max(SPI_processed, 1));
	SignatureKey **fresh_keys = palloc0(sizeof(SignatureKey *) * Max(SPI_processed, 1));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	uint64		row;

	for (row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		fresh[row].id = result_int64(row, 1, 0);
		fresh[row].secret = result_text(row, 2);
		fresh[row].valid_until = DatumGetTimestampTz(result_datum(row, 3, &isnull));
	}
	MemoryContextSwitchTo(old);

	/* nothing below can fail */
	if (secrets_context)
		MemoryContextDelete(secrets_context);
	callback->func = free_keys;
	MemoryContextRegisterResetCallback(context, callback);
	MemoryContextSetParent(context, TopMemoryContext);
	secrets_context = context;
	secrets = fresh;
	keys = fresh_keys;
	n_secrets = (int) SPI_processed;
}

static void
read_webhook_secrets(void)
{
	SPI_connect();
	statement_execute_snapshot(&read_secrets, NULL, GetLatestSnapshot());
	copy_secrets(AllocSetContextCreate(CurrentMemoryContext, "stripe_credit secrets",
									   ALLOCSET_SMALL_SIZES));
	SPI_finish();
}

SignatureKey *const *
webhook_keys(int *nkeys)
{
	TimestampTz now = GetCurrentTimestamp();
	int			n = 0;
	int			i;

	/* the keys and the secrets are in use further up */
	if (reading_vault)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("webhook secrets are being read")));

	/* the count comes first: what changes while reading is read next time */
	if (secrets_context == NULL || secrets_read_at != settings_generation())
	{
		uint64		reading = settings_generation();

		read_webhook_secrets();
		secrets_read_at = reading;
	}

	for (i = 0; i < n_secrets; i++)
	{
		if (secrets[i].valid_until <= now)
			continue;
		if (!secrets[i].resolved)
			resolve_webhook_secret(&secrets[i]);
		if (secrets[i].key)
			keys[n++] = secrets[i].key;
	}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no webhook secret is valid"),
				 errhint("Run stripe_credit.add_webhook_secret() with the endpoint's signing secret, or a reference to it; if there is one, see the server log.")));
	*nkeys = n;
	return keys;
}

void
secret_check(const char *secret)
{
	const char *rest;

	if (!secret_is_clean(secret) || strlen(secret) > SECRET_MAX_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret is not valid"),
				 errdetail("It must be 1 to %d bytes without white space.", SECRET_MAX_LENGTH)));
	if (((rest = after_prefix(secret, "file:")) && rest[0] != '/') ||
		((rest = after_prefix(secret, "env:")) && rest[0] == '\0') ||
		((rest = after_prefix(secret, "vault:")) && rest[0] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret reference is not valid"),
				 errhint("Use file:/absolute/path, env:NAME or vault:NAME.")));
}

Datum
stripe_credit_add_webhook_secret(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide;
	Arguments	args = {0};
	bool		isnull;
	int32		id;

	hide_statement_begin(&hide);
	hide_activity();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be null", PG_ARGISNULL(0) ? "secret" : "valid_until")));
	secret_check(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	SPI_connect();
	add_datum(&args, PG_GETARG_DATUM(0), false);
	add_datum(&args, PG_GETARG_DATUM(1), false);
	statement_execute(&insert_secret, &args);
	id = DatumGetInt32(result_datum(0, 1, &isnull));
	SPI_finish();
	hide_statement_end(&hide);
	PG_RETURN_INT32(id);
}

Datum
stripe_credit_remove_webhook_secret(PG_FUNCTION_ARGS)
{
	Arguments	args = {0};

	SPI_connect();
	add_datum(&args, PG_GETARG_DATUM(0), PG_ARGISNULL(0));
	if (statement_execute(&delete_secret, &args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SC_NOT_FOUND),
				 errmsg("unknown webhook secret")));
	SPI_finish();
	PG_RETURN_VOID();
}
