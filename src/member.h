/*-------------------------------------------------------------------------
 *
 * member.h
 *	  Members of jsonb objects, by their names.
 *
 * What is not there, or of another type, is NULL or absent.  Results are copies,
 * but for objects and arrays, which point into the whole.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEMBER_H
#define MEMBER_H

#include "utils/jsonb.h"

extern char *member_text(JsonbContainer *object, const char *name);
/* Returns false if it is no integer that fits. */
extern bool member_int64(JsonbContainer *object, const char *name, int64 *value);
/* An object or array, or NULL. */
extern JsonbContainer *member_container(JsonbContainer *object, const char *name);

/* The outermost object, or NULL if it is none. */
extern JsonbContainer *jsonb_root_object(Jsonb *jsonb);

/* Add a member to an object that is being built; a text that is NULL adds none. */
extern void push_member(JsonbParseState **json, const char *name, JsonbValue *value);
extern void push_text(JsonbParseState **json, const char *name, const char *text);
extern void push_int64(JsonbParseState **json, const char *name, int64 number);

#endif							/* MEMBER_H */
