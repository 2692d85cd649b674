/* SPDX-License-Identifier: Apache-2.0 */
/* schemas: all of ours, and whose schema a framed value was written with. */
#include "envdriver/avro/schema.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "schema_text.h"

static const uint8_t frame_mark[] = { 0xc3, 0x01 };

struct schemas {
	struct schema **list;
	size_t count;
	schema_lookup_fn *lookup;
	void *lookup_arg;
};

static int
parse_texts(struct schemas *all, const struct schema_text *text, struct err *reterr)
{
	for (; text->name; text++) {
		struct schema *s = schema_new((struct span){ text->text, text->len }, reterr);

		if (!s) {
			err_prefix(reterr, "%s", text->name);
			return ERR_BUG;
		}
		all->list[all->count++] = s;
		if (strcmp(schema_name(s), text->name) != 0)
			return err_set(reterr, ERR_BUG, "'%s.avsc' holds the record '%s'",
				       text->name, schema_name(s));
	}
	return 0;
}

/* Today's come first, so that they are found by name. */
static int
parse_ours(struct schemas *all, struct err *reterr)
{
	const struct schema_text *const tables[] = { schema_texts, schema_old_texts };
	size_t count = 0;
	int ret = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct schema_text *text = tables[t]; text->name; text++)
			count++;
	all->list = malloc((count + 1) * sizeof(struct schema *));
	if (!all->list)
		return err_nomem(reterr);
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables) && ret == 0; t++)
		ret = parse_texts(all, tables[t], reterr);
	return ret;
}

struct schemas *
schemas_new(struct err *reterr)
{
	struct schemas *all = malloc(sizeof(*all));

	if (!all) {
		err_nomem(reterr);
		return NULL;
	}
	*all = (struct schemas){ 0 };
	if (parse_ours(all, reterr) < 0) {
		schemas_free(all);
		return NULL;
	}
	return all;
}

void
schemas_free(struct schemas *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->count; i++)
		schema_free(all->list[i]);
	free(all->list);
	free(all);
}

const struct schema *
schemas_find(const struct schemas *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(schema_name(all->list[i]), name) == 0)
			return all->list[i];
	return NULL;
}

const struct schema *
schemas_by_fingerprint(const struct schemas *all, const uint8_t fingerprint[SCHEMA_FINGERPRINT_LEN])
{
	for (size_t i = 0; i < all->count; i++)
		if (memcmp(schema_fingerprint(all->list[i]), fingerprint, SCHEMA_FINGERPRINT_LEN) ==
		    0)
			return all->list[i];
	return NULL;
}

void
schemas_set_lookup(struct schemas *all, schema_lookup_fn *fn, void *arg)
{
	all->lookup = fn;
	all->lookup_arg = arg;
}

void
schemas_want_ids(struct schemas *all)
{
	for (size_t i = 0; i < all->count; i++)
		schema_want_id(all->list[i]);
}

void
schemas_set_id(struct schemas *all, const char *name, uint32_t id)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(schema_name(all->list[i]), name) == 0) {
			schema_set_id(all->list[i], id);	/* today's, which is written */
			return;
		}
}

static int
unframe_print(const struct schemas *all, struct span framed, const struct schema **ret,
	      struct err *reterr)
{
	const uint8_t *print = (const uint8_t *)framed.ptr + sizeof(frame_mark);

	if (framed.len < sizeof(frame_mark) ||
	    memcmp(framed.ptr, frame_mark, sizeof(frame_mark)) != 0)
		return err_set(reterr, ERR_INVALID, "the value does not start with c3 01");
	if (framed.len < SCHEMA_FRAME_LEN)
		return err_set(reterr, ERR_INVALID, "the value ends inside its schema fingerprint");
	*ret = schemas_by_fingerprint(all, print);
	if (!*ret)
		return err_set(reterr, ERR_INVALID,
			       "unknown schema fingerprint %02x%02x%02x%02x%02x%02x%02x%02x",
			       print[0], print[1], print[2], print[3], print[4], print[5],
			       print[6], print[7]);
	return 0;
}

static const struct schema *
find_id(const struct schemas *all, uint32_t id)
{
	for (size_t i = 0; i < all->count; i++)
		if (schema_has_id(all->list[i], id))
			return all->list[i];
	return NULL;
}

static int
unframe_id(const struct schemas *all, struct span framed, const struct schema **ret,
	   struct err *reterr)
{
	const uint8_t *p = (const uint8_t *)framed.ptr;
	uint32_t id;

	if (framed.len < SCHEMA_ID_FRAME_LEN)
		return err_set(reterr, ERR_INVALID, "the value ends inside its schema id");
	id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	*ret = find_id(all, id);	/* ours need no look-up */
	if (*ret)
		return 0;
	if (!all->lookup)
		return err_set(reterr, ERR_INVALID,
			       "the value is framed for a schema registry (schema id %u), and "
			       "schema.registry.url is not set",
			       id);
	return all->lookup(all->lookup_arg, id, ret, reterr);
}

/* A union at the top is written as the number of its branch and that one. */
static int
unframe_branch(const struct schema **writer, struct span *datum, struct err *reterr)
{
	const struct schema *branch;
	uint8_t first = datum->len ? (uint8_t)datum->ptr[0] : 0xff;

	if (!schema_branch(*writer, 0))
		return 0;
	/* Odd: negative. High: more than one byte. */
	if (first & 0x81)
		return err_set(reterr, ERR_INVALID, "no such branch in the union at the top");
	branch = schema_branch(*writer, first / 2);
	if (!branch)
		return err_set(reterr, ERR_INVALID, "no branch %d in the union at the top",
			       first / 2);
	if (!is_avro_record(schema_avro(branch)))
		return err_set(reterr, ERR_INVALID, "expected a record, got %s",
			       schema_name(branch));
	*writer = branch;
	datum->ptr++;
	datum->len--;
	return 0;
}

int
schemas_unframe(const struct schemas *all, struct span framed, const struct schema **ret_writer,
	       struct span *ret_datum, struct err *reterr)
{
	const struct schema *writer = NULL;
	size_t frame = SCHEMA_FRAME_LEN;
	int ret;

	if (framed.len == 0)
		return err_set(reterr, ERR_INVALID, "the value is empty");
	if (framed.ptr[0] == 0) {
		frame = SCHEMA_ID_FRAME_LEN;
		ret = unframe_id(all, framed, &writer, reterr);
	} else {
		ret = unframe_print(all, framed, &writer, reterr);
	}
	if (ret < 0)
		return ret;
	*ret_datum = (struct span){ framed.ptr + frame, framed.len - frame };
	ret = unframe_branch(&writer, ret_datum, reterr);
	if (ret == 0)
		*ret_writer = writer;
	return ret;
}
