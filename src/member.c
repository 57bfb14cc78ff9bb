/*-------------------------------------------------------------------------
 *
 * member.c
 *	  Members of jsonb objects, by their names.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "member.h"

static JsonbValue *
find_member(JsonbContainer *object, const char *name, JsonbValue *buffer)
{
	if (object == NULL || !JsonContainerIsObject(object))
		return NULL;
	return getKeyJsonValueFromContainer(object, name, (int) strlen(name), buffer);
}

char *
member_text(JsonbContainer *object, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = find_member(object, name, &buffer);

	return value && value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

bool
member_int64(JsonbContainer *object, const char *name, int64 *number)
{
	JsonbValue	buffer;
	JsonbValue *value = find_member(object, name, &buffer);
	char	   *text;
	char	   *end;

	if (value == NULL || value->type != jbvNumeric)
		return false;
	text = numeric_normalize(value->val.numeric);
	errno = 0;
	*number = strtoi64(text, &end, 10);
	return errno == 0 && *end == '\0';
}

JsonbContainer *
member_container(JsonbContainer *object, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *value = find_member(object, name, &buffer);

	return value && value->type == jbvBinary ? value->val.binary.data : NULL;
}

JsonbContainer *
jsonb_root_object(Jsonb *jsonb)
{
	return JB_ROOT_IS_OBJECT(jsonb) ? &jsonb->root : NULL;
}

void
push_member(JsonbParseState **json, const char *name, JsonbValue *value)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	pushJsonbValue(json, WJB_KEY, &key);
	pushJsonbValue(json, WJB_VALUE, value);
}

void
push_text(JsonbParseState **json, const char *name, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	if (text == NULL)
		return;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = (int) strlen(text);
	push_member(json, name, &value);
}

void
push_int64(JsonbParseState **json, const char *name, int64 number)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(number);
	push_member(json, name, &value);
}
