/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/avro/schema_ids.h"

#include <stdlib.h>

#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

/* What a record of an unknown name may be. */
#define ANY_NAME "EnvironmentCommand"

struct known {
	uint32_t id;
	const struct schema *schema;	/* held; NULL: it is bad */
	char *why;			/* then */
	int64_t until_ms;		/* and until when */
	uint64_t used;			/* the larger, the later */
};

struct schema_ids {
	const struct schemas *ours;
	uint64_t uses;
	size_t count;
	struct known list[SCHEMA_IDS_MAX];
};

struct schema_ids *
schema_ids_new(const struct schemas *ours, struct err *reterr)
{
	struct schema_ids *ids = malloc(sizeof(*ids));

	if (!ids) {
		err_nomem(reterr);
		return NULL;
	}
	*ids = (struct schema_ids){ .ours = ours };
	return ids;
}

static void
forget(struct known *k)
{
	schema_unref(k->schema);
	free(k->why);
}

void
schema_ids_free(struct schema_ids *ids)
{
	if (!ids)
		return;
	for (size_t i = 0; i < ids->count; i++)
		forget(&ids->list[i]);
	free(ids);
}

static struct known *
find(struct schema_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->list[i].id == id)
			return &ids->list[i];
	return NULL;
}

int
schema_ids_find(struct schema_ids *ids, uint32_t id, int64_t now_ms, const struct schema **ret,
		struct err *reterr)
{
	struct known *k = find(ids, id);

	if (!k || (!k->schema && now_ms >= k->until_ms))
		return err_set(reterr, ERR_NOTFOUND, "schema id %u is not known yet", id);
	k->used = ++ids->uses;
	if (!k->schema)
		return err_set(reterr, ERR_INVALID, "schema id %u: %s", id, k->why);
	*ret = k->schema;
	return 0;
}

/* The place for an id: its own, a free one, or that of the least used. */
static struct known *
place(struct schema_ids *ids, uint32_t id)
{
	struct known *k = find(ids, id);

	if (!k && ids->count < SCHEMA_IDS_MAX) {
		k = &ids->list[ids->count++];
	} else if (!k) {
		k = &ids->list[0];
		for (size_t i = 1; i < ids->count; i++)
			if (ids->list[i].used < k->used)
				k = &ids->list[i];
		forget(k);
	} else {
		forget(k);
	}
	*k = (struct known){ .id = id, .used = ++ids->uses };
	return k;
}

int
schema_ids_refuse(struct schema_ids *ids, uint32_t id, int64_t until_ms, const char *why,
		  struct err *reterr)
{
	struct buf text = BUF_INIT;
	struct known *k;
	char *copy;

	buf_adds(&text, why);
	copy = buf_take(&text, NULL);
	if (!copy)
		return err_nomem(reterr);
	k = place(ids, id);
	k->why = copy;
	k->until_ms = until_ms;
	return 0;
}

/* Only Avro, and complete in itself. */
static int
check_answer(struct jtext answer, struct err *reterr)
{
	struct jtext type = jtext_get(answer, "schemaType");
	struct jtext references = jtext_get(answer, "references"), one;
	struct jtext_iter it;
	struct span key;

	if (answer.kind != JTEXT_OBJECT || jtext_get(answer, "schema").kind != JTEXT_STRING)
		return err_set(reterr, ERR_INVALID, "the registry's answer holds no \"schema\"");
	if (type.kind != JTEXT_MISSING && type.kind != JTEXT_NULL &&
	    (type.kind != JTEXT_STRING || !jtext_is(type, "AVRO")))
		return err_set(reterr, ERR_INVALID, "it is of another type than AVRO");
	if (references.kind != JTEXT_ARRAY)
		return 0;
	jtext_iter_init(&it, references);
	if (jtext_iter_next(&it, &key, &one))
		return err_set(reterr, ERR_INVALID, "it refers to other schemas; ours are whole");
	return 0;
}

struct schema *
schema_ids_parse(struct span body, struct err *reterr)
{
	struct buf text = BUF_INIT;
	struct schema *s = NULL;
	struct jtext answer;

	if (jtext_check(body, JTEXT_DEPTH_MAX, &answer, reterr) < 0) {
		err_prefix(reterr, "the registry's answer");
		return NULL;
	}
	if (check_answer(answer, reterr) < 0)
		return NULL;
	jtext_decode(jtext_get(answer, "schema"), &text, /* ret_replaced= */ NULL);
	if (text.failed)
		err_nomem(reterr);
	else
		s = schema_new(buf_span(&text), reterr);
	buf_release(&text);
	return s;
}

/* A record that has the name of ours must be readable as ours. One of another
 * name may be a command all the same: Kafka Connect, Flink and Spark name
 * records after tables. */
static int
find_reader(const struct schema_ids *ids, struct schema *s, struct err *reterr)
{
	const struct schema *named = schemas_find(ids->ours, schema_name(s));
	const struct schema *reader = named ? named : schemas_find(ids->ours, ANY_NAME);
	int ret;

	if (!reader || !is_avro_record(schema_avro(s)))
		return 0;
	ret = schema_resolve(reader, s, named ? reterr : NULL);
	if (ret >= 0)
		schema_set_reader(s, reader, ret > 0);
	else if (named)
		err_prefix(reterr, "cannot be read as our %s", schema_name(reader));
	return named && ret < 0 ? ret : 0;
}

/* One that is ours but for texts and defaults is ours. Takes `s`. */
static const struct schema *
recognise(const struct schema_ids *ids, struct schema *s, struct err *reterr)
{
	const struct schema *same = schemas_by_fingerprint(ids->ours, schema_fingerprint(s));
	struct schema *b;
	int ret = 0;

	if (same && schema_agrees(s, same)) {
		schema_free(s);
		return schema_ref(same);
	}
	if (!schema_branch(s, 0))
		ret = find_reader(ids, s, reterr);
	for (size_t i = 0; ret == 0 && (b = schema_branch(s, i)); i++)
		ret = find_reader(ids, b, reterr);
	if (ret == 0)
		return s;
	schema_free(s);
	return NULL;
}

int
schema_ids_take(struct schema_ids *ids, uint32_t id, struct span body, int64_t now_ms,
		struct err *reterr)
{
	struct err why = { 0 };
	struct schema *parsed = schema_ids_parse(body, &why);
	const struct schema *s = parsed ? recognise(ids, parsed, &why) : NULL;

	if (s) {
		place(ids, id)->schema = s;
		return 0;
	}
	if (why.code == ERR_NOMEM)
		return err_nomem(reterr);
	return schema_ids_refuse(ids, id, now_ms + SCHEMA_IDS_BAD_MS, why.text, reterr);
}
