/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Secrets: where they come from, and whose webhooks are believed.
 *
 * A secret is a literal or a reference: file:/absolute/path, env:NAME or
 * vault:NAME.  A file and the vault can change without our hearing of it, so
 * they are read again at each use; literals and the environment are keyed once
 * and kept until the webhook_secret table changes.  No secret and no reference
 * ever reaches a message to a client.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef SECRET_H
#define SECRET_H

#include "signature.h"

/*
 * The keys of the webhook secrets that are valid now, for signature_verify().
 * They stay good until the next call, which must not come while the vault is
 * being read.  Raises 55000 if there is none.
 */
extern SignatureKey *const *webhook_keys(int *nkeys);

/* Raise 22023 unless it can be a secret, or a reference to one. */
extern void secret_check(const char *secret);

/*
 * The secret that a text stands for, palloc'd: to be overwritten when it was used.
 * NULL if it can't be had.
 */
extern char *secret_resolve(const char *text);

#endif							/* SECRET_H */
