/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/avro/schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "prescan.h"
#include "schema_fields.h"
#include "schema_text.h"

static const uint8_t frame_mark[] = { 0xc3, 0x01 };

enum framing { FRAME_FINGERPRINT, FRAME_NO_ID_YET, FRAME_ID };

struct schema {
	unsigned refs;
	enum framing framing;		/* of what is written */
	uint32_t id;
	char *text;
	size_t text_len;
	uint8_t fingerprint[SCHEMA_FINGERPRINT_LEN];
	avro_schema_t avro;
	avro_value_iface_t *iface;
	struct prescan *prescan;
	struct schema_fields *fields;
};

struct schemas {
	struct schema **list;
	size_t count;
	schema_lookup_fn *lookup;
	void *lookup_arg;
};

/*
 * Debian's avro-c keeps its error text in one buffer for all threads: two
 * that fail at once may mix it. It is text for people only, and after a
 * pre-scan and with a buffer of the right size nothing fails but allocation.
 */
static int
avro_failed(struct err *reterr, enum err_code code, const char *what)
{
	return err_set(reterr, code, "%s: %.200s", what, avro_strerror());
}

static int
parse(struct schema *s, struct err *reterr)
{
	struct buf canonical = BUF_INIT;
	struct span text = { s->text, s->text_len };
	int ret;

	/* What jansson and avro-c would take without a limit. */
	ret = text.len > SCHEMA_TEXT_MAX
		      ? err_set(reterr, ERR_LIMIT, "%zu bytes, at most %d are taken", text.len,
				SCHEMA_TEXT_MAX)
		      : jtext_check(text, JTEXT_DEPTH_MAX, /* ret= */ NULL, reterr);
	if (ret < 0) {
		err_prefix(reterr, "schema");
		goto out;
	}
	ret = schema_canonical(text, &canonical, reterr);
	if (ret < 0)
		goto out;
	schema_crc64(buf_span(&canonical), s->fingerprint);
	if (avro_schema_from_json_length(s->text, s->text_len, &s->avro) != 0) {
		s->avro = NULL;
		ret = avro_failed(reterr, ERR_INVALID, "schema");
		goto out;
	}
	if (!is_avro_record(s->avro)) {
		ret = err_set(reterr, ERR_INVALID, "schema: expected a record, got %s",
			      avro_schema_type_name(s->avro));
		goto out;
	}
	/* Before avro-c makes a class of it: this refuses recursive ones. */
	s->prescan = prescan_new(s->avro, reterr);
	if (!s->prescan) {
		ret = ERR_LIMIT;
		goto out;
	}
	s->fields = schema_fields_new((struct span){ s->text, s->text_len }, reterr);
	if (!s->fields) {
		ret = ERR_INVALID;
		goto out;
	}
	s->iface = avro_generic_class_from_schema(s->avro);
	if (!s->iface)
		ret = avro_failed(reterr, ERR_INVALID, "schema");
out:
	buf_release(&canonical);
	return ret;
}

struct schema *
schema_new(struct span text, struct err *reterr)
{
	struct schema *s = buf_realloc(NULL, sizeof(*s));
	struct buf copy = BUF_INIT;

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	*s = (struct schema){ .refs = 1 };
	buf_addspan(&copy, text);
	s->text = buf_take(&copy, &s->text_len);
	if (!s->text)
		err_nomem(reterr);
	else if (parse(s, reterr) == 0)
		return s;
	schema_free(s);
	return NULL;
}

void
schema_free(struct schema *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (s->iface)
		avro_value_iface_decref(s->iface);
	prescan_free(s->prescan);
	schema_fields_free(s->fields);
	if (s->avro)
		avro_schema_decref(s->avro);
	free(s->text);
	free(s);
}

/* Counting its users changes nothing that they see. */
const struct schema *
schema_ref(const struct schema *s)
{
	__atomic_add_fetch(&((struct schema *)s)->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
schema_unref(const struct schema *s)
{
	schema_free((struct schema *)s);
}

static int
load_all(struct schemas *all, struct err *reterr)
{
	size_t count = 0;

	while (schema_texts[count].name)
		count++;
	all->list = buf_realloc(NULL, (count + 1) * sizeof(struct schema *));
	if (!all->list)
		return err_nomem(reterr);
	for (; all->count < count; all->count++) {
		const struct schema_text *text = &schema_texts[all->count];
		struct schema *s = schema_new((struct span){ text->text, text->len }, reterr);

		if (!s) {
			err_prefix(reterr, "%s", text->name);
			return ERR_BUG;
		}
		all->list[all->count] = s;
		if (strcmp(schema_name(s), text->name) != 0) {
			all->count++;
			return err_set(reterr, ERR_BUG, "'%s.avsc' holds the record '%s'",
				       text->name, schema_name(s));
		}
	}
	return 0;
}

struct schemas *
schemas_new(struct err *reterr)
{
	struct schemas *all = buf_realloc(NULL, sizeof(*all));

	if (!all) {
		err_nomem(reterr);
		return NULL;
	}
	*all = (struct schemas){ 0 };
	if (load_all(all, reterr) < 0) {
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
		if (memcmp(all->list[i]->fingerprint, fingerprint, SCHEMA_FINGERPRINT_LEN) == 0)
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
		all->list[i]->framing = FRAME_NO_ID_YET;
}

void
schemas_set_id(struct schemas *all, const char *name, uint32_t id)
{
	for (size_t i = 0; i < all->count; i++) {
		if (strcmp(schema_name(all->list[i]), name) != 0)
			continue;
		all->list[i]->id = id;
		all->list[i]->framing = FRAME_ID;
	}
}

avro_schema_t
schema_avro(const struct schema *s)
{
	return s->avro;
}

const char *
schema_name(const struct schema *s)
{
	return avro_schema_name(s->avro);
}

struct span
schema_text(const struct schema *s)
{
	return (struct span){ s->text, s->text_len };
}

const uint8_t *
schema_fingerprint(const struct schema *s)
{
	return s->fingerprint;
}

const struct schema_field *
schema_field(const struct schema *s, const char *record, size_t index)
{
	return schema_fields_get(s->fields, record, index);
}

int
schema_value_new(const struct schema *s, avro_value_t *ret_value, struct err *reterr)
{
	/* The class is shared and counts its users with atomics. */
	if (avro_generic_value_new(s->iface, ret_value) != 0)
		return avro_failed(reterr, ERR_NOMEM, schema_name(s));
	return 0;
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

static int
unframe_id(const struct schemas *all, struct span framed, const struct schema **ret,
	   struct err *reterr)
{
	const uint8_t *p = (const uint8_t *)framed.ptr;
	uint32_t id;

	if (framed.len < SCHEMA_ID_FRAME_LEN)
		return err_set(reterr, ERR_INVALID, "the value ends inside its schema id");
	id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	if (!all->lookup)
		return err_set(reterr, ERR_INVALID,
			       "the value is framed for a schema registry (schema id %u), and "
			       "schema.registry.url is not set",
			       id);
	return all->lookup(all->lookup_arg, id, ret, reterr);
}

int
schema_unframe(const struct schemas *all, struct span framed, const struct schema **ret_writer,
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
	*ret_writer = writer;
	*ret_datum = (struct span){ framed.ptr + frame, framed.len - frame };
	return 0;
}

int
schema_read(const struct schema *s, struct span datum, avro_value_t *value, struct err *reterr)
{
	avro_reader_t reader;
	int ret;

	ret = prescan_check(s->prescan, datum, reterr);
	if (ret < 0)
		return ret;
	reader = avro_reader_memory(datum.len ? datum.ptr : "", (int64_t)datum.len);
	if (!reader)
		return err_nomem(reterr);
	if (avro_value_read(reader, value) != 0)
		ret = avro_failed(reterr, ERR_NOMEM, schema_name(s));
	avro_reader_free(reader);
	return ret;
}

void
schema_add_id_frame(struct buf *out, uint32_t id)
{
	const uint8_t frame[SCHEMA_ID_FRAME_LEN] = { 0, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
						     (uint8_t)(id >> 8), (uint8_t)id };

	buf_add(out, frame, sizeof(frame));
}

static void
add_frame(const struct schema *s, struct buf *out)
{
	if (s->framing == FRAME_ID) {
		schema_add_id_frame(out, s->id);
		return;
	}
	buf_add(out, frame_mark, sizeof(frame_mark));
	buf_add(out, s->fingerprint, SCHEMA_FINGERPRINT_LEN);
}

int
schema_write(const struct schema *s, avro_value_t *value, struct buf *out, struct err *reterr)
{
	avro_writer_t writer = NULL;
	size_t from = out->len, size;
	int ret = 0;

	if (s->framing == FRAME_NO_ID_YET)
		return err_set(reterr, ERR_UNAVAILABLE, "%s has no id of the schema registry yet",
			       schema_name(s));
	if (avro_value_sizeof(value, &size) != 0)
		return avro_failed(reterr, ERR_BUG, schema_name(s));
	if (!buf_reserve(out, SCHEMA_FRAME_LEN + size))
		return err_nomem(reterr);
	add_frame(s, out);
	writer = avro_writer_memory(out->data + out->len, (int64_t)size);
	if (!writer) {
		ret = err_nomem(reterr);
	} else if (avro_value_write(writer, value) != 0) {
		ret = avro_failed(reterr, ERR_BUG, schema_name(s));
	} else {
		out->len += size;
		out->data[out->len] = '\0';
	}
	if (ret < 0) {
		out->len = from;
		out->data[from] = '\0';
	}
	if (writer)
		avro_writer_free(writer);
	return ret;
}
