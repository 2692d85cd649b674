/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the metadata of an offset commit, and as what happens to a
 * window: the first byte is the length of the metadata, the rest are steps.
 * What is committed can be read back, and whoever reads it takes what was not
 * done, and nothing of what was. */
#include "engine/window.h"
#include "envdriver/kafka/offset_metadata.h"
#include "fuzz.h"

enum { SPAN_MAX = 2000, STEPS_MAX = 600 };

/* What a window should know, offset by offset from `base`. */
struct model {
	int64_t base, next;
	enum { UNSEEN, PENDING, DONE } at[SPAN_MAX];
};

/* Of any bytes: what is read is written to the very same text. */
static void
see_metadata(struct span text, int64_t committed)
{
	int64_t offsets[OFFSET_METADATA_BYTES], end = -1;
	int n = offset_metadata_read(text, committed, &end, offsets, OFFSET_METADATA_BYTES);
	struct buf again = BUF_INIT;
	struct offset_metadata t;

	if (n < 0)
		return;
	MUST(end >= committed && (n == 0) == (end == committed));
	offset_metadata_begin(&t, OFFSET_METADATA_MAX, committed, end);
	for (int i = 0; i < n; i++) {
		MUST(i ? offsets[i] > offsets[i - 1] : offsets[0] == committed);
		MUST(offsets[i] < end);
		offset_metadata_add(&t, offsets[i]);
	}
	MUST(!t.full);
	offset_metadata_write(&t, &again);
	MUST(span_eq(buf_span(&again), text));
	buf_release(&again);
}

/* The next instance starts at what was committed: it takes each offset that
 * was pending and no other one. */
static void
see_successor(const struct model *m, int64_t offset, struct span metadata)
{
	bool foreign = true;
	struct window *w = window_new(offset, 0, metadata, &foreign);
	size_t gone, pending = 0;

	MUST(w && !foreign && window_fetch_from(w) == offset);
	for (int64_t o = m->base; o < offset; o++)
		MUST(m->at[o - m->base] != PENDING);
	for (int64_t o = offset; o < m->next; o++) {
		bool open = m->at[o - m->base] == PENDING;
		enum window_verdict v;

		/* Compaction may have taken what was never delivered. */
		if (m->at[o - m->base] == UNSEEN)
			continue;
		v = window_deliver(w, o, &gone);
		MUST(v == (open ? WINDOW_TAKE : WINDOW_DROP) && gone == 0);
		pending += open;
	}
	MUST(window_pending(w) == pending && !window_replaying(w));
	window_free(w);
}

/* Some of what is pending is done, as far as its commit has room for it. */
static void
seal(struct window *w, struct model *m, uint8_t choice)
{
	int64_t offsets[SPAN_MAX], offset = -1, end;
	struct buf text = BUF_INIT;
	size_t n = 0, took;

	for (int64_t o = m->base; o < m->next; o++)
		if (m->at[o - m->base] == PENDING && (choice == 255 || (o * 7 + choice) % 3 == 0))
			offsets[n++] = o;
	took = window_seal(w, offsets, n, &offset, &text);
	MUST(took <= n && text.len <= OFFSET_METADATA_MAX);
	if (n && !took) {
		MUST(offset == -1 && text.len == 0);
		goto out;
	}
	for (size_t i = 0; i < took; i++) {
		window_done(w, offsets[i]);
		m->at[offsets[i] - m->base] = DONE;
	}
	MUST(offset == window_committed(w));
	MUST(offset_metadata_read(buf_span(&text), offset, &end, NULL, 0) >= 0);
	MUST(end == window_end(w));
	see_successor(m, offset, buf_span(&text));
out:
	buf_release(&text);
}

static void
deliver(struct window *w, struct model *m, uint8_t skip)
{
	int64_t o = m->next + skip;
	size_t gone;

	if (o >= m->base + SPAN_MAX)
		return;
	MUST(window_deliver(w, o, &gone) == WINDOW_TAKE && gone == 0);
	MUST(window_deliver(w, o, &gone) == WINDOW_DROP);
	m->at[o - m->base] = PENDING;
	m->next = o + 1;
}

static void
run(const uint8_t *steps, size_t n)
{
	struct model m = { .base = n ? (int64_t)steps[0] << 24 : 0 };
	bool foreign = false;
	struct window *w;
	size_t pending = 0;

	m.next = m.base;
	w = window_new(m.base, 0, SPAN_NULL, &foreign);
	MUST(w && foreign);
	for (size_t i = 1; i < n && i < STEPS_MAX; i++) {
		uint8_t arg = steps[i] >> 2;

		switch (steps[i] & 3) {
		case 0:
			deliver(w, &m, 0);
			break;
		case 1:
			for (int k = 0; k <= arg; k++)
				deliver(w, &m, arg & 7);
			break;
		case 2:
			seal(w, &m, arg == 63 ? 255 : arg);
			break;
		default:
			if (arg == 0)
				window_refused(w);
			break;
		}
	}
	for (int64_t o = m.base; o < m.next; o++)
		pending += m.at[o - m.base] == PENDING;
	MUST(window_pending(w) == pending);
	window_free(w);
}

/* A window on metadata of anybody: its offsets, then everything else. */
static void
adopt(struct span text, int64_t committed)
{
	bool foreign = false;
	struct window *w = window_new(committed, 0, text, &foreign);
	int n = offset_metadata_read(text, committed, NULL, NULL, 0);
	int64_t end;
	size_t gone;

	MUST(w && foreign == (n < 0));
	MUST(window_pending(w) == (n > 0 ? (size_t)n : 0) && window_fetch_from(w) == committed);
	end = window_end(w);
	if (end < INT64_MAX) {
		MUST(window_deliver(w, end, &gone) == WINDOW_TAKE);
		MUST(gone == (n > 0 ? (size_t)n : 0) && window_pending(w) == 1);
		window_done(w, end);
		MUST(window_committed(w) == end + 1);
	}
	window_free(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size ? data[0] : 0;
	struct span text;

	if (size == 0)
		return 0;
	len = len < size - 1 ? len : size - 1;
	text = (struct span){ (const char *)data + 1, len };
	see_metadata(text, 42);
	see_metadata(text, INT64_MAX - 2);
	adopt(text, 42);
	adopt(text, INT64_MAX - 2);
	run(data + 1 + len, size - 1 - len);
	return 0;
}
