/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/avro/schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "prescan.h"
#include "schema_fields.h"
#include "schema_names.h"

enum { BRANCHES_MAX = 64 };	/* of a union at the top: its number is one byte */

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
	const struct schema *reader;	/* of ours, or NULL: it is read as it is */
	bool check_values;		/* some of them the reader cannot read */
	avro_schema_t whole;		/* of a branch: the union, which owns what it links to */
	struct schema **branches;	/* of a union at the top */
	size_t branch_count;
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

/* What a datum is read with: `s->text` and `s->avro` are there. */
static int
make_readers(struct schema *s, struct err *reterr)
{
	/* Before avro-c makes a class of it: this refuses recursive ones. */
	s->prescan = prescan_new(s->avro, reterr);
	if (!s->prescan)
		return ERR_LIMIT;
	s->fields = schema_fields_new((struct span){ s->text, s->text_len }, reterr);
	if (!s->fields)
		return ERR_INVALID;
	s->iface = avro_generic_class_from_schema(s->avro);
	return s->iface ? 0 : avro_failed(reterr, ERR_INVALID, "schema");
}

static struct schema *
new_with_text(struct span text, struct err *reterr)
{
	struct schema *s = malloc(sizeof(*s));
	struct buf copy = BUF_INIT;

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	*s = (struct schema){ .refs = 1 };
	buf_addspan(&copy, text);
	s->text = buf_take(&copy, &s->text_len);
	if (s->text)
		return s;
	err_nomem(reterr);
	free(s);
	return NULL;
}

/* A branch's named types may be declared in an earlier one, so each has the
 * text of the whole. */
static int
add_branch(struct schema *s, size_t i, struct err *reterr)
{
	struct schema *b = new_with_text((struct span){ s->text, s->text_len }, reterr);
	avro_schema_t avro = avro_schema_union_branch(s->avro, (int)i);

	if (!b)
		return ERR_NOMEM;
	s->branches[s->branch_count++] = b;
	if (is_avro_link(avro))
		avro = avro_schema_link_target(avro);
	b->avro = avro_schema_incref(avro);
	b->whole = avro_schema_incref(s->avro);
	return is_avro_record(avro) ? make_readers(b, reterr) : 0;
}

static int
add_branches(struct schema *s, struct err *reterr)
{
	size_t count = avro_schema_union_size(s->avro);
	bool record = false;
	int ret = 0;

	if (count > BRANCHES_MAX)
		return err_set(reterr, ERR_LIMIT, "schema: a union of %zu types, at most %d", count,
			       BRANCHES_MAX);
	s->branches = malloc((count + 1) * sizeof(struct schema *));
	if (!s->branches)
		return err_nomem(reterr);
	for (size_t i = 0; i < count && ret == 0; i++) {
		ret = add_branch(s, i, reterr);
		record |= ret == 0 && is_avro_record(s->branches[i]->avro);
	}
	if (ret == 0 && !record)
		ret = err_set(reterr, ERR_INVALID, "schema: expected a record, got a union "
						   "without one");
	return ret;
}

static int
parse_text(struct schema *s, struct err *reterr)
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
	ret = schema_names_mend(&s->text, &s->text_len, reterr);
	if (ret < 0)
		goto out;
	if (avro_schema_from_json_length(s->text, s->text_len, &s->avro) != 0) {
		s->avro = NULL;
		ret = avro_failed(reterr, ERR_INVALID, "schema");
		goto out;
	}
	if (is_avro_union(s->avro))
		ret = add_branches(s, reterr);
	else if (is_avro_record(s->avro))
		ret = make_readers(s, reterr);
	else
		ret = err_set(reterr, ERR_INVALID, "schema: expected a record, got %s",
			      avro_schema_type_name(s->avro));
out:
	buf_release(&canonical);
	return ret;
}

struct schema *
schema_new(struct span text, struct err *reterr)
{
	struct schema *s = new_with_text(text, reterr);

	if (s && parse_text(s, reterr) == 0)
		return s;
	schema_free(s);
	return NULL;
}

/* A branch may outlive its union: a caller may have a reference. */
void
schema_free(struct schema *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < s->branch_count; i++)
		schema_free(s->branches[i]);
	free(s->branches);
	if (s->iface)
		avro_value_iface_decref(s->iface);
	prescan_free(s->prescan);
	schema_fields_free(s->fields);
	if (s->avro)
		avro_schema_decref(s->avro);
	if (s->whole)
		avro_schema_decref(s->whole);
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

avro_schema_t
schema_avro(const struct schema *s)
{
	return s->avro;
}

const char *
schema_name(const struct schema *s)
{
	return is_avro_record(s->avro) ? avro_schema_name(s->avro)
				       : avro_schema_type_name(s->avro);
}

struct schema *
schema_branch(const struct schema *s, size_t i)
{
	return i < s->branch_count ? s->branches[i] : NULL;
}

void
schema_set_reader(struct schema *s, const struct schema *reader, bool some)
{
	s->reader = reader;
	s->check_values = some;
}

bool
schema_is(const struct schema *s, const char *name)
{
	return strcmp(schema_name(s->reader ? s->reader : s), name) == 0;
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

bool
schema_agrees(const struct schema *s, const struct schema *other)
{
	return schema_fields_agree(s->fields, other->fields);
}

int
schema_value_new(const struct schema *s, avro_value_t *ret_value, struct err *reterr)
{
	/* The class is shared and counts its users with atomics. */
	if (avro_generic_value_new(s->iface, ret_value) != 0)
		return avro_failed(reterr, ERR_NOMEM, schema_name(s));
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
	else if (s->check_values)
		ret = schema_resolve_value(s->reader, s, value, reterr);
	avro_reader_free(reader);
	return ret;
}

void
schema_want_id(struct schema *s)
{
	s->framing = FRAME_NO_ID_YET;
}

bool
schema_has_id(const struct schema *s, uint32_t id)
{
	return s->framing == FRAME_ID && s->id == id;
}

void
schema_set_id(struct schema *s, uint32_t id)
{
	s->id = id;
	s->framing = FRAME_ID;
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
