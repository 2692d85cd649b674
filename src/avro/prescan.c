/* SPDX-License-Identifier: Apache-2.0 */
#include "prescan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "avro_path.h"
#include "envdriver/base/err.h"
#include "envdriver/base/utf8.h"
#include "prescan_shape.h"

enum { STEPS_FREE = 100000, STEPS_PER_BYTE = 8, VARINT_MAX = 10 };

struct run {
	const struct prescan *p;
	const uint8_t *at, *end;
	uint64_t steps_left;
	unsigned empty_left;
	struct err *reterr;
};

__attribute__((format(printf, 4, 5))) static int
fail(struct run *r, const struct avro_path *path, enum err_code code, const char *fmt, ...)
{
	char where[200], text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(r->reterr, code, "%s%s", avro_path_text(path, where, sizeof(where)), text);
}

static size_t
left(const struct run *r)
{
	return (size_t)(r->end - r->at);
}

static int
read_long(struct run *r, const struct avro_path *path, int64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		uint8_t b;

		if (r->at == r->end)
			return fail(r, path, ERR_INVALID, "the datum ends inside a number");
		b = *r->at++;
		if (i == VARINT_MAX - 1 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80) {
			*ret = (int64_t)(v >> 1 ^ -(v & 1));
			return 0;
		}
	}
	return fail(r, path, ERR_INVALID, "a number of more than 64 bits");
}

static int
skip(struct run *r, const struct avro_path *path, const char *what, int64_t len)
{
	if (len < 0 || (uint64_t)len > left(r))
		return fail(r, path, ERR_INVALID, "%s of %" PRId64 " bytes, %zu are left", what,
			    len, left(r));
	r->at += len;
	return 0;
}

static int
check_utf8_string(struct run *r, const struct avro_path *path)
{
	const char *from, *bad;
	int64_t len;
	int ret;

	ret = read_long(r, path, &len);
	if (ret < 0)
		return ret;
	from = (const char *)r->at;
	ret = skip(r, path, "string", len);
	if (ret < 0)
		return ret;
	bad = utf8_find_bad(from, from + len);
	if (bad != from + len)
		return fail(r, path, ERR_INVALID, "invalid UTF-8 at byte %zu of the string",
			    (size_t)(bad - from));
	return 0;
}

static int check_node(struct run *r, const struct avro_path *path, uint32_t index);

static int
check_union(struct run *r, const struct avro_path *path, const struct node *n)
{
	const struct edge *edge;
	struct avro_path branch = { .up = path };
	int64_t index;
	int ret;

	ret = read_long(r, path, &index);
	if (ret < 0)
		return ret;
	if (index < 0 || index >= n->kid_count)
		return fail(r, path, ERR_INVALID, "union branch %" PRId64 " of %u", index,
			    n->kid_count);
	edge = &r->p->edges[n->kids + index];
	branch.name = edge->name;
	return check_node(r, n->several ? &branch : path, edge->node);
}

/* The items of one block, `count` of them. */
static int
check_items(struct run *r, const struct avro_path *path, const struct node *n, int64_t count,
	    uint64_t first)
{
	bool map = is_avro_map(n->schema);
	uint32_t node = r->p->edges[n->kids].node;
	uint64_t min_bytes = r->p->nodes[node].min_bytes + map;
	struct avro_path item = { .up = path, .item = first };
	int ret;

	if (min_bytes > 0 && (uint64_t)count > left(r) / min_bytes)
		return fail(r, path, ERR_INVALID, "%" PRId64 " items, %zu bytes are left", count,
			    left(r));
	if (min_bytes == 0) {
		if (count > r->empty_left)
			return fail(r, path, ERR_LIMIT, "more than %d items of no bytes",
				    PRESCAN_EMPTY_MAX);
		r->empty_left -= (unsigned)count;
	}
	for (; count > 0; count--, item.item++) {
		if (map) {
			ret = check_utf8_string(r, &item);
			if (ret < 0)
				return ret;
		}
		ret = check_node(r, &item, node);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int
check_blocks(struct run *r, const struct avro_path *path, const struct node *n)
{
	uint64_t items = 0;
	int64_t count, size;
	const uint8_t *from;
	int ret;

	for (;;) {
		ret = read_long(r, path, &count);
		if (ret < 0 || count == 0)
			return ret;
		size = -1;
		if (count < 0) {
			ret = read_long(r, path, &size);
			if (ret < 0)
				return ret;
			if (count == INT64_MIN || size < 0 || (uint64_t)size > left(r))
				return fail(r, path, ERR_INVALID,
					    "block of %" PRId64 " bytes, %zu are left", size,
					    left(r));
			count = -count;
		}
		from = r->at;
		ret = check_items(r, path, n, count, items);
		if (ret < 0)
			return ret;
		if (size >= 0 && r->at - from != size)
			return fail(r, path, ERR_INVALID,
				    "block of %" PRId64 " bytes holds %td", size, r->at - from);
		items += (uint64_t)count;
	}
}

static int
check_record(struct run *r, const struct avro_path *path, const struct node *n)
{
	for (uint32_t i = 0; i < n->kid_count; i++) {
		const struct edge *edge = &r->p->edges[n->kids + i];
		struct avro_path field = { .up = path, .name = edge->name };
		int ret = check_node(r, &field, edge->node);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int
check_boolean(struct run *r, const struct avro_path *path)
{
	if (r->at == r->end)
		return fail(r, path, ERR_INVALID, "boolean of 1 bytes, 0 are left");
	if (*r->at > 1)
		return fail(r, path, ERR_INVALID, "boolean of byte 0x%02x", *r->at);
	r->at++;
	return 0;
}

/* int, long, enum and the length of bytes. */
static int
check_number(struct run *r, const struct avro_path *path, const struct node *n)
{
	int64_t v;
	int ret = read_long(r, path, &v);

	if (ret < 0)
		return ret;
	switch (avro_typeof(n->schema)) {
	case AVRO_INT32:
		if (v < INT32_MIN || v > INT32_MAX)
			return fail(r, path, ERR_INVALID, "int of more than 32 bits");
		return 0;
	case AVRO_ENUM:
		if (v < 0 || (uint64_t)v >= n->size)
			return fail(r, path, ERR_INVALID, "symbol %" PRId64 " of %" PRIu64, v,
				    n->size);
		return 0;
	case AVRO_BYTES:
		return skip(r, path, "bytes", v);
	default:
		return 0;
	}
}

static int
check_node(struct run *r, const struct avro_path *path, uint32_t index)
{
	const struct node *n = &r->p->nodes[index];

	if (r->steps_left-- == 0)
		return fail(r, path, ERR_LIMIT, "too many values for so few bytes");
	switch (avro_typeof(n->schema)) {
	case AVRO_NULL:
		return 0;
	case AVRO_BOOLEAN:
		return check_boolean(r, path);
	case AVRO_STRING:
		return check_utf8_string(r, path);
	case AVRO_FLOAT:
		return skip(r, path, "float", sizeof(float));
	case AVRO_DOUBLE:
		return skip(r, path, "double", sizeof(double));
	case AVRO_FIXED:
		return skip(r, path, "fixed", (int64_t)n->size);
	case AVRO_RECORD:
		return check_record(r, path, n);
	case AVRO_UNION:
		return check_union(r, path, n);
	case AVRO_ARRAY:
	case AVRO_MAP:
		return check_blocks(r, path, n);
	default:
		return check_number(r, path, n);
	}
}

int
prescan_check(const struct prescan *p, struct span datum, struct err *reterr)
{
	/* An empty datum may have no address, and a walk needs one. */
	const uint8_t *from = (const uint8_t *)(datum.len ? datum.ptr : "");
	struct run r = {
		.p = p, .at = from, .end = from + datum.len, .reterr = reterr,
		.steps_left = STEPS_FREE + (uint64_t)STEPS_PER_BYTE * datum.len,
		.empty_left = PRESCAN_EMPTY_MAX,
	};
	int ret = check_node(&r, NULL, 0);

	if (ret < 0)
		return ret;
	if (r.at != r.end)
		return fail(&r, NULL, ERR_INVALID, "%zu bytes are left over", left(&r));
	return 0;
}
