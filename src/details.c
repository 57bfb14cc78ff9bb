/*-------------------------------------------------------------------------
 *
 * details.c
 *	  The parts of a payment as jsonb.
 *
 * What the members of each list are stands in the tables below; the reader and
 * the writer both walk them and know no member by name.
 *
 * Portions Copyright (c) 2026, stripe_credit contributors
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/jsonb.h"

#include "details.h"
#include "member.h"

typedef enum MemberType
{
	MEMBER_TEXT,
	MEMBER_NUMBER,
	MEMBER_OPTIONAL,			/* a number that is -1 where there is none */
	MEMBER_RANK,
	MEMBER_FINALITY,
	MEMBER_STATUS,
	MEMBER_FUNDS
} MemberType;

typedef struct Member
{
	const char *name;
	MemberType	type;
	size_t		offset;			/* in a part */
} Member;

typedef struct ListTable
{
	const char *name;
	size_t		list;			/* offset in Facts */
	size_t		count;			/* offset in Facts */
	size_t		size;			/* of a part */
	int			n_members;
	const Member *members;
} ListTable;

#define MEMBER(part, name, type, member) {name, type, offsetof(part, member)}
#define LIST(name, list, part, members) \
	{name, offsetof(Facts, list), offsetof(Facts, n_##list), sizeof(part), \
	lengthof(members), members}

static const Member charge_members[] = {
	MEMBER(FactsCharge, "id", MEMBER_TEXT, id),
	MEMBER(FactsCharge, "amount", MEMBER_OPTIONAL, amount),
	MEMBER(FactsCharge, "currency", MEMBER_TEXT, currency),
	MEMBER(FactsCharge, "refunded", MEMBER_NUMBER, refunded),
	MEMBER(FactsCharge, "refunded_at", MEMBER_OPTIONAL, refunded_at),
};

static const Member refund_members[] = {
	MEMBER(FactsRefund, "id", MEMBER_TEXT, id),
	MEMBER(FactsRefund, "charge", MEMBER_TEXT, charge_id),
	MEMBER(FactsRefund, "status", MEMBER_FINALITY, finality),
	MEMBER(FactsRefund, "amount", MEMBER_NUMBER, amount),
	MEMBER(FactsRefund, "currency", MEMBER_TEXT, currency),
	MEMBER(FactsRefund, "created", MEMBER_NUMBER, created),
	MEMBER(FactsRefund, "at", MEMBER_NUMBER, at),
};

static const Member dispute_members[] = {
	MEMBER(FactsDispute, "id", MEMBER_TEXT, id),
	MEMBER(FactsDispute, "status", MEMBER_STATUS, status),
	MEMBER(FactsDispute, "amount", MEMBER_NUMBER, amount),
	MEMBER(FactsDispute, "currency", MEMBER_TEXT, currency),
	MEMBER(FactsDispute, "at", MEMBER_NUMBER, at),
	MEMBER(FactsDispute, "funds", MEMBER_FUNDS, funds),
	MEMBER(FactsDispute, "funds_at", MEMBER_OPTIONAL, funds_at),
};

static const Member transaction_members[] = {
	MEMBER(FactsTransaction, "id", MEMBER_TEXT, id),
	MEMBER(FactsTransaction, "dispute", MEMBER_TEXT, dispute_id),
	MEMBER(FactsTransaction, "amount", MEMBER_NUMBER, amount),
};

static const Member line_members[] = {
	MEMBER(FactsLine, "id", MEMBER_TEXT, id),
	MEMBER(FactsLine, "price", MEMBER_TEXT, price_id),
	MEMBER(FactsLine, "unit_amount", MEMBER_OPTIONAL, unit_amount),
	MEMBER(FactsLine, "currency", MEMBER_TEXT, currency),
	MEMBER(FactsLine, "quantity", MEMBER_NUMBER, quantity),
	MEMBER(FactsLine, "credits_rank", MEMBER_RANK, pricing.rank),
	MEMBER(FactsLine, "credits", MEMBER_NUMBER, pricing.credits),
	MEMBER(FactsLine, "pack", MEMBER_TEXT, pricing.pack_id),
	MEMBER(FactsLine, "terms", MEMBER_TEXT, pricing.terms),
	MEMBER(FactsLine, "priority", MEMBER_TEXT, pricing.priority),
	MEMBER(FactsLine, "expires_after", MEMBER_TEXT, pricing.expires_after),
};

static const ListTable lists[] = {
	LIST("charges", charges, FactsCharge, charge_members),
	LIST("refunds", refunds, FactsRefund, refund_members),
	LIST("disputes", disputes, FactsDispute, dispute_members),
	LIST("transactions", transactions, FactsTransaction, transaction_members),
	LIST("lines", lines, FactsLine, line_members),
};

#define N_LISTS ((int) lengthof(lists))

static const char *const finality_names[] = {"open", "succeeded", "failed"};
static const char *const funds_names[] = {NULL, "withdrawn", "reinstated"};

/*
 * Lists
 */

static inline void **
list_of(const Facts *facts, const ListTable *table)
{
	return (void **) ((char *) facts + table->list);
}

static inline int *
count_of(const Facts *facts, const ListTable *table)
{
	return (int *) ((char *) facts + table->count);
}

/* The same list elsewhere, with room for so many more. */
static void
move_list(Facts *facts, const ListTable *table, int more)
{
	void	  **list = list_of(facts, table);
	int			n = *count_of(facts, table);
	char	   *moved = palloc(table->size * (n + more));

	if (n > 0)
		memcpy(moved, *list, table->size * n);
	*list = moved;
}

bool
details_merge(Facts *known, const Facts *news)
{
	int			i;

	for (i = 0; i < N_LISTS; i++)
	{
		int			more = *count_of(news, &lists[i]);

		if (more > 0)
			move_list(known, &lists[i], more);
	}
	return facts_merge(known, news);
}

/*
 * Writing
 */

static void
write_member(JsonbParseState **json, const Member *member, const void *part)
{
	const void *at = (const char *) part + member->offset;

	switch (member->type)
	{
		case MEMBER_TEXT:
			push_text(json, member->name, *(const char *const *) at);
			break;
		case MEMBER_NUMBER:
			push_int64(json, member->name, *(const int64_t *) at);
			break;
		case MEMBER_OPTIONAL:
			if (*(const int64_t *) at != -1)
				push_int64(json, member->name, *(const int64_t *) at);
			break;
		case MEMBER_RANK:
			if (*(const FactsRank *) at != RANK_NONE)
				push_int64(json, member->name, *(const FactsRank *) at);
			break;
		case MEMBER_FINALITY:
			push_text(json, member->name, finality_names[*(const Finality *) at]);
			break;
		case MEMBER_STATUS:
			push_text(json, member->name, dispute_status_name(*(const DisputeStatus *) at));
			break;
		case MEMBER_FUNDS:
			push_text(json, member->name, funds_names[*(const DisputeFunds *) at]);
			break;
	}
}

static void
write_list(JsonbParseState **json, const ListTable *table, const char *parts, int n)
{
	JsonbValue	key = {.type = jbvString};
	int			i;
	int			j;

	key.val.string.val = unconstify(char *, table->name);
	key.val.string.len = (int) strlen(table->name);
	pushJsonbValue(json, WJB_KEY, &key);
	pushJsonbValue(json, WJB_BEGIN_ARRAY, NULL);
	for (i = 0; i < n; i++)
	{
		pushJsonbValue(json, WJB_BEGIN_OBJECT, NULL);
		for (j = 0; j < table->n_members; j++)
			write_member(json, &table->members[j], parts + table->size * i);
		pushJsonbValue(json, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(json, WJB_END_ARRAY, NULL);
}

bool
details_write(const Facts *facts, Datum *jsonb)
{
	JsonbParseState *json = NULL;
	int			total = 0;
	int			i;

	for (i = 0; i < N_LISTS; i++)
		total += *count_of(facts, &lists[i]);
	if (total == 0)
		return false;
	pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < N_LISTS; i++)
	{
		int			n = *count_of(facts, &lists[i]);

		if (n > 0)
			write_list(&json, &lists[i], *list_of(facts, &lists[i]), n);
	}
	*jsonb = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&json, WJB_END_OBJECT, NULL)));
	return true;
}

/*
 * Reading
 */

static int64
number_of(JsonbContainer *object, const char *name, int64 if_absent)
{
	int64		number;

	return member_int64(object, name, &number) ? number : if_absent;
}

static int
index_of(const char *name, const char *const *names, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		if (name && names[i] && strcmp(name, names[i]) == 0)
			return i;
	return 0;
}

static void
read_member(const Member *member, JsonbContainer *object, void *part)
{
	const char *name = member->name;
	void	   *at = (char *) part + member->offset;
	char	   *text;

	switch (member->type)
	{
		case MEMBER_TEXT:
			*(const char **) at = member_text(object, name);
			break;
		case MEMBER_NUMBER:
			*(int64_t *) at = number_of(object, name, 0);
			break;
		case MEMBER_OPTIONAL:
			*(int64_t *) at = number_of(object, name, -1);
			break;
		case MEMBER_RANK:
			*(FactsRank *) at = (FactsRank) number_of(object, name, RANK_NONE);
			break;
		case MEMBER_FINALITY:
			*(Finality *) at = (Finality) index_of(member_text(object, name), finality_names,
												   lengthof(finality_names));
			break;
		case MEMBER_STATUS:
			text = member_text(object, name);
			*(DisputeStatus *) at = text ? dispute_status_from_name(text) : DISPUTE_UNKNOWN;
			break;
		case MEMBER_FUNDS:
			*(DisputeFunds *) at = (DisputeFunds) index_of(member_text(object, name), funds_names,
														   lengthof(funds_names));
			break;
	}
}

static void
read_list(Facts *facts, const ListTable *table, JsonbContainer *array)
{
	int			n = JsonContainerSize(array);
	char	   *parts = palloc0(table->size * Max(n, 1));
	int			i;
	int			j;

	for (i = 0; i < n; i++)
	{
		JsonbValue *object = getIthJsonbValueFromContainer(array, i);

		if (object->type != jbvBinary)
			elog(ERROR, "details of a payment are damaged");
		for (j = 0; j < table->n_members; j++)
			read_member(&table->members[j], object->val.binary.data, parts + table->size * i);
	}
	*list_of(facts, table) = parts;
	*count_of(facts, table) = n;
}

void
details_read(Facts *facts, Datum jsonb)
{
	JsonbContainer *details = jsonb_root_object(DatumGetJsonbP(jsonb));
	int			i;

	for (i = 0; i < N_LISTS; i++)
	{
		JsonbContainer *list = member_container(details, lists[i].name);

		if (list)
			read_list(facts, &lists[i], list);
	}
}
