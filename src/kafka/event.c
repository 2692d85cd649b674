/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/event.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

enum { VARINT_MAX = 10, END_OF_ARRAY = 0, NULL_BRANCH = 0, BYTES_BRANCH = 1 };

static const char version[] = { 'v', '1' };

static void
free_before(struct events *e)
{
	struct events *b;

	while ((b = e->before)) {
		e->before = b->before;
		buf_release(&b->packed);
		free(b);
	}
}

void
events_release(struct events *e)
{
	free_before(e);
	buf_release(&e->packed);
	e->count = 0;
}

void
events_reset(struct events *e)
{
	free_before(e);
	buf_reset(&e->packed);
	e->count = 0;
}

/* --- writing. Every item is an Avro block of its own, so that one more can
 * be appended without going back to a count. --- */

static void
pack_long(struct buf *b, int64_t value)
{
	uint64_t n = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

	for (; n > 0x7f; n >>= 7)
		buf_addch(b, (char)(n | 0x80));
	buf_addch(b, (char)n);
}

static void
pack_string(struct buf *b, struct span s)
{
	pack_long(b, (int64_t)s.len);
	buf_addspan(b, s);
}

static void
pack_nullable(struct buf *b, struct span s)
{
	pack_long(b, s.ptr ? BYTES_BRANCH : NULL_BRANCH);
	if (s.ptr)
		pack_string(b, s);
}

/* Takes the mark of the end away, or writes the version of an empty set. */
static void
reopen_set(struct events *e)
{
	if (e->packed.len == 0)
		buf_add(&e->packed, version, sizeof(version));
	else
		e->packed.data[--e->packed.len] = '\0';
}

static void
open_event(struct buf *b, enum topic topic, struct span key)
{
	pack_long(b, 1);
	pack_string(b, span_of(topic_name(topic)));
	pack_nullable(b, key);
}

static void
pack_header(struct buf *b, const struct event_header *h)
{
	pack_long(b, 1);
	pack_string(b, h->name);
	pack_nullable(b, h->value);
}

static size_t
room_for(struct span key, const struct event_header *headers, size_t n_headers, struct span value)
{
	size_t room = key.len + value.len + 64 + 5 * VARINT_MAX;

	for (size_t i = 0; i < n_headers; i++)
		room += headers[i].name.len + headers[i].value.len + 3 * VARINT_MAX;
	return room;
}

bool
events_add(struct events *e, enum topic topic, struct span key,
	   const struct event_header *headers, size_t n_headers, struct span value)
{
	struct buf *b = &e->packed;

	assert((unsigned)topic < TOPIC_COUNT);
	/* All the room at once: a set that cannot grow stays as it is. */
	if (!buf_reserve(b, room_for(key, headers, n_headers, value))) {
		b->failed = false;
		return false;
	}
	reopen_set(e);
	open_event(b, topic, key);
	for (size_t i = 0; i < n_headers; i++)
		pack_header(b, &headers[i]);
	pack_long(b, END_OF_ARRAY);
	pack_string(b, value);
	pack_long(b, END_OF_ARRAY);
	e->count++;
	return true;
}

/* --- reading. A walk trusts what this module wrote; a stored answer goes
 * through `reader`, which trusts nothing. --- */

struct reader {
	const char *p, *end;
	const char *wrong;	/* NULL: nothing */
};

static int64_t
unpack_long(struct reader *r)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
		unsigned char c = (unsigned char)*r->p++;

		if (shift == 63 && c > 1)
			break;
		n |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
	}
	r->wrong = r->p == r->end ? "it ends in a number" : "a number is too long";
	r->p = r->end;
	return 0;
}

static struct span
unpack_string(struct reader *r)
{
	int64_t len = unpack_long(r);
	struct span s = { r->p, 0 };

	if (r->wrong)
		return s;
	if (len < 0 || len > r->end - r->p) {
		r->wrong = "a length points past its end";
		return s;
	}
	s.len = (size_t)len;
	r->p += len;
	return s;
}

static struct span
unpack_nullable(struct reader *r)
{
	int64_t branch = unpack_long(r);

	if (branch == BYTES_BRANCH)
		return unpack_string(r);
	if (branch != NULL_BRANCH && !r->wrong)
		r->wrong = "a union has no such branch";
	return SPAN_NULL;
}

/* The number of items of an array's next block; 0 at its end. */
static int64_t
unpack_block(struct reader *r)
{
	int64_t count = unpack_long(r);

	if (count < 0 && !r->wrong) {	/* Avro: then the block's size follows */
		(void)unpack_long(r);
		count = count == INT64_MIN ? 0 : -count;
		if (count == 0 && !r->wrong)
			r->wrong = "a count is out of range";
	}
	return r->wrong ? 0 : count;
}

bool
event_header_next(const struct event *ev, size_t *cursor, struct event_header *ret)
{
	struct reader r;

	if (!ev->headers.ptr)	/* of no event */
		return false;
	r = (struct reader){ ev->headers.ptr + *cursor, ev->headers.ptr + ev->headers.len, NULL };
	if (unpack_block(&r) == 0)
		return false;
	ret->name = unpack_string(&r);
	ret->value = unpack_nullable(&r);
	assert(!r.wrong);
	*cursor = (size_t)(r.p - ev->headers.ptr);
	return true;
}

static struct span
skip_headers(struct reader *r)
{
	const char *start = r->p;

	while (unpack_block(r)) {
		(void)unpack_string(r);
		(void)unpack_nullable(r);
	}
	return (struct span){ start, (size_t)(r->p - start) };
}

bool
events_next(const struct events *e, size_t *cursor, struct event *ret)
{
	struct reader r;

	if (e->count == 0)
		return false;	/* there may be no bytes at all */
	r = (struct reader){ e->packed.data, e->packed.data + e->packed.len, NULL };
	r.p += *cursor ? *cursor : sizeof(version);
	if (unpack_block(&r) == 0)
		return false;
	ret->topic = topic_find(unpack_string(&r));
	ret->key = unpack_nullable(&r);
	ret->headers = skip_headers(&r);
	ret->value = unpack_string(&r);
	assert(!r.wrong && ret->topic < TOPIC_COUNT);
	*cursor = (size_t)(r.p - e->packed.data);
	return true;
}

bool
events_succeeded(const struct events *e)
{
	struct event_header h;
	struct event ev, last = { 0 };
	size_t cursor = 0;

	while (events_next(e, &cursor, &ev))
		last = ev;
	cursor = 0;
	while (event_header_next(&last, &cursor, &h))
		if (span_is(h.name, "status") && span_is(h.value, "SUCCEEDED"))
			return true;
	return false;
}

struct span
events_packed(const struct events *e)
{
	static const char none[] = { 'v', '1', END_OF_ARRAY };

	return e->count ? buf_span(&e->packed) : (struct span){ none, sizeof(none) };
}

/* --- several sets --- */

bool
events_cut(struct events *e)
{
	struct events *b;

	if (e->count == 0)
		return true;
	b = malloc(sizeof(*b));
	if (!b)
		return false;
	*b = *e;
	*e = (struct events){ .packed = BUF_INIT, .before = b };
	return true;
}

bool
events_cut_to_last(struct events *e)
{
	struct events all = *e, last = EVENTS_INIT;
	size_t cursor = 0, at = 0;
	struct event ev;

	if (e->count < 2)
		return true;
	for (size_t i = 0; i < all.count; i++) {
		at = cursor;
		if (!events_next(&all, &cursor, &ev))
			return false;
	}
	/* The block of the last event, and the mark of the end behind it. */
	buf_add(&last.packed, version, sizeof(version));
	buf_add(&last.packed, all.packed.data + at, all.packed.len - at);
	last.count = 1;
	last.before = malloc(sizeof(*last.before));
	if (last.packed.failed || !last.before) {
		free(last.before);
		buf_release(&last.packed);
		return false;
	}
	all.packed.data[at] = END_OF_ARRAY;
	all.packed.len = at + 1;
	all.count--;
	*last.before = all;
	*e = last;
	return true;
}

struct events *
events_first(struct events *e)
{
	while (e->before)
		e = e->before;
	return e;
}

void
events_free_first(struct events *e)
{
	assert(e->before);
	while (e->before->before)
		e = e->before;
	free_before(e);
}

size_t
events_memory(const struct events *e)
{
	size_t n = 0;

	for (; e; e = e->before)
		n += e->packed.cap;
	return n;
}

static void
copy_headers(struct reader *r, struct buf *b)
{
	for (int64_t n; (n = unpack_block(r));) {
		for (; n > 0 && !r->wrong; n--) {
			struct event_header h = { .name = unpack_string(r) };

			h.value = unpack_nullable(r);
			pack_header(b, &h);
		}
	}
	pack_long(b, END_OF_ARRAY);
}

/* Copied piece by piece: whatever blocks the writer chose, ours come out. */
static void
copy_event(struct reader *r, struct events *e)
{
	enum topic topic = topic_find(unpack_string(r));

	if (topic == TOPIC_COUNT && !r->wrong)
		r->wrong = "it names an unknown topic";
	if (r->wrong)
		return;
	reopen_set(e);
	open_event(&e->packed, topic, unpack_nullable(r));
	copy_headers(r, &e->packed);
	pack_string(&e->packed, unpack_string(r));
	pack_long(&e->packed, END_OF_ARRAY);
	e->count++;
}

int
events_unpack(struct events *e, struct span packed, struct err *reterr)
{
	struct reader r = { packed.ptr, packed.ptr + packed.len, NULL };

	events_reset(e);
	if (packed.len < sizeof(version) || memcmp(packed.ptr, version, sizeof(version)) != 0)
		return err_set(reterr, ERR_INVALID, "answer: it does not begin with v1");
	r.p += sizeof(version);
	for (int64_t n; (n = unpack_block(&r));)
		for (; n > 0 && !r.wrong && !e->packed.failed; n--)
			copy_event(&r, e);
	if (!r.wrong && r.p != r.end)
		r.wrong = "bytes follow its end";
	if (e->packed.failed || r.wrong) {
		bool nomem = e->packed.failed;

		events_reset(e);
		return nomem ? err_nomem(reterr)
			     : err_set(reterr, ERR_INVALID, "answer: %s", r.wrong);
	}
	return 0;
}
