/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  How this database sells credits (the settings table), and what concerns
 *	  the machine (GUCs).
 *
 * Each backend keeps what it read and drops it when another session changes
 * the tables: what settings_get() returns is as new as the call, and stays
 * readable until the transaction's end.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "reading.h"

typedef enum KeepPayload
{
	KEEP_UNAPPLIED,
	KEEP_ALL,
	KEEP_NONE
} KeepPayload;

typedef struct Settings
{
	FactsPolicy policy;			/* mode, install, accounts */
	int64		signature_tolerance;	/* microseconds */
	bool		clamp;			/* on_overdraw */
	KeepPayload keep_payload;
	int			max_payload;	/* octets */
	bool		create_accounts;
} Settings;

/* What concerns the machine: a superuser's GUCs. */
typedef struct ApiSettings
{
	const char *base;			/* URL without the path */
	const char *ca_file;
	const char *version;
	int			connect_timeout;	/* ms */
	int			timeout;		/* ms, with all retries */
	int			max_retries;
} ApiSettings;

extern void settings_init(void);
extern ApiSettings settings_api(void);
extern const Settings *settings_get(void);

/*
 * Counts the changes of the settings and webhook_secret tables that this
 * backend has heard of; what was read at another count is out of date.
 */
extern uint64 settings_generation(void);

#endif							/* SETTINGS_H */
