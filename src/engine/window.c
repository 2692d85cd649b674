/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <assert.h>
#include <stdlib.h>

/*
 * DESIGN: a delivery removes every old offset up to its own, so all entries
 * lie below all old offsets: the not-done offsets are `entries`, then `old`,
 * both ascending. Entries grow at the end and mostly leave near the front;
 * removing one moves the shorter side.
 */

/* Ascending offsets in at[head .. head + len). */
struct offset_list {
	int64_t *at;
	size_t head, len, cap;
};

struct window {
	int64_t last;		/* highest offset delivered in this assignment */
	int64_t end;		/* everything below that is not listed is done */
	struct offset_list entries;	/* delivered, not done */
	struct offset_list old;	/* not done by the metadata, not delivered yet */
	size_t room;		/* characters of metadata */
	size_t steps;		/* bytes that list the entries, but for the first */
};

/* Index of the first that is not below `offset`. */
static size_t
offset_list_find(const struct offset_list *l, int64_t offset)
{
	size_t lo = 0, hi = l->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->at[l->head + mid] < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
offset_list_has(const struct offset_list *l, int64_t offset)
{
	size_t i = offset_list_find(l, offset);

	return i < l->len && l->at[l->head + i] == offset;
}

static bool
offset_list_reserve(struct offset_list *l)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	int64_t *at;

	if (l->head + l->len < l->cap)
		return true;
	if (l->head > l->cap / 2) {
		memmove(l->at, l->at + l->head, l->len * sizeof(*at));
		l->head = 0;
		return true;
	}
	at = realloc(l->at, cap * sizeof(*at));
	if (!at)
		return false;
	l->at = at;
	l->cap = cap;
	return true;
}

static void
offset_list_remove(struct offset_list *l, size_t i)
{
	int64_t *at = l->at + l->head;

	if (i < l->len / 2) {
		memmove(at + 1, at, i * sizeof(*at));
		l->head++;
	} else {
		memmove(at + i, at + i + 1, (l->len - i - 1) * sizeof(*at));
	}
	l->len--;
}

/* The bytes that list entry `i`; 0 for the first, and for none. */
static size_t
step_size(const struct offset_list *l, size_t i)
{
	const int64_t *at = l->at + l->head + i;

	return i > 0 && i < l->len ? offset_metadata_size(at[0] - at[-1]) : 0;
}

static void
offset_list_drop(struct offset_list *l, size_t n)
{
	l->head += n;
	l->len -= n;
}

static bool
old_read(struct window *w, struct span metadata, int64_t committed, bool *ret_foreign)
{
	int n = offset_metadata_read(metadata, committed, &w->end, NULL, 0);

	*ret_foreign = n < 0;
	if (n <= 0)
		return true;
	w->old.at = malloc((size_t)n * sizeof(*w->old.at));
	if (!w->old.at)
		return false;
	w->old.len = w->old.cap = (size_t)n;
	offset_metadata_read(metadata, committed, NULL, w->old.at, (size_t)n);
	return true;
}

struct window *
window_new(int64_t committed, int64_t start, struct span metadata, bool *ret_foreign)
{
	struct window *w = malloc(sizeof(*w));
	bool foreign = false;

	if (!w)
		return NULL;
	*w = (struct window){
		.last = -1,
		.end = committed < 0 ? start : committed,
		.room = OFFSET_METADATA_MAX,
	};
	if (committed >= 0 && !old_read(w, metadata, committed, &foreign)) {
		window_free(w);
		return NULL;
	}
	*ret_foreign = foreign;
	return w;
}

void
window_free(struct window *w)
{
	if (!w)
		return;
	free(w->entries.at);
	free(w->old.at);
	free(w);
}

int64_t
window_fetch_from(const struct window *w)
{
	return window_committed(w);
}

enum window_verdict
window_deliver(struct window *w, int64_t offset, size_t *ret_gone)
{
	struct offset_list *e = &w->entries;
	bool listed;

	*ret_gone = 0;
	if (offset <= w->last)
		return WINDOW_DROP;
	if (!offset_list_reserve(e))
		return WINDOW_NOMEM;
	*ret_gone = window_log_start(w, offset);
	listed = w->old.len && w->old.at[w->old.head] == offset;
	if (offset < w->end && !listed)
		return WINDOW_DROP;
	if (listed)
		offset_list_drop(&w->old, 1);
	e->at[e->head + e->len++] = offset;
	w->steps += step_size(e, e->len - 1);
	w->last = offset;
	return WINDOW_TAKE;
}

size_t
window_log_start(struct window *w, int64_t offset)
{
	size_t n = offset_list_find(&w->old, offset);

	offset_list_drop(&w->old, n);
	return n;
}

void
window_done(struct window *w, int64_t offset)
{
	size_t i = offset_list_find(&w->entries, offset);

	assert(i < w->entries.len && w->entries.at[w->entries.head + i] == offset);
	w->steps -= step_size(&w->entries, i) + step_size(&w->entries, i + 1);
	offset_list_remove(&w->entries, i);
	w->steps += step_size(&w->entries, i);
	if (offset >= w->end)
		w->end = offset + 1;
}

bool
window_replaying(const struct window *w)
{
	return w->old.len > 0;
}

size_t
window_pending(const struct window *w)
{
	return w->entries.len + w->old.len;
}

bool
window_full(const struct window *w, bool paused)
{
	size_t room = offset_metadata_room(w->room);

	/* Room for one more, however far away it is. */
	return !window_replaying(w) &&
	       w->steps + OFFSET_METADATA_STEP_MAX > (paused ? room / 4 * 3 : room);
}

int64_t
window_end(const struct window *w)
{
	return w->end;
}

/* Walks what is not done below `end` when `offsets` are done. */
struct walk {
	const struct window *w;
	const int64_t *offsets;
	size_t n, taken, entry, old;
	int64_t end;
};

static struct walk
walk_begin(const struct window *w, const int64_t *offsets, size_t n)
{
	struct walk k = { .w = w, .offsets = offsets, .n = n, .end = w->end };

	if (n && offsets[n - 1] >= k.end)
		k.end = offsets[n - 1] + 1;
	return k;
}

/* False when there is no more. */
static bool
walk_next(struct walk *k, int64_t *ret)
{
	const struct offset_list *e = &k->w->entries, *o = &k->w->old;

	while (k->entry < e->len) {
		*ret = e->at[e->head + k->entry++];
		if (k->taken == k->n || *ret != k->offsets[k->taken])
			return *ret < k->end;
		k->taken++;
	}
	if (k->old == o->len)
		return false;
	*ret = o->at[o->head + k->old++];
	return *ret < k->end;
}

/* The commit with offsets[0 .. n) done; false when it does not fit. */
static bool
encode(const struct window *w, const int64_t *offsets, size_t n, struct offset_metadata *t,
       int64_t *ret_offset)
{
	struct walk k = walk_begin(w, offsets, n);
	int64_t at, committed;
	bool more = walk_next(&k, &at);

	committed = more ? at : k.end;
	offset_metadata_begin(t, w->room, committed, k.end);
	for (; more && !t->full; more = walk_next(&k, &at))
		offset_metadata_add(t, at);
	*ret_offset = committed;
	return !t->full;
}

/*
 * How many of `offsets` may be published when all would not fit. Offsets
 * below `end` only shorten the list, those beyond it only lengthen it: behind
 * the former, halving finds the edge.
 */
static size_t
longest_fit(const struct window *w, const int64_t *offsets, size_t n, struct offset_metadata *t)
{
	size_t lo = 0, hi = n;
	int64_t ignored;

	while (lo < n && offsets[lo] < w->end)
		lo++;
	while (lo + 1 < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (encode(w, offsets, mid, t, &ignored))
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

int64_t
window_committed(const struct window *w)
{
	struct walk k = walk_begin(w, NULL, 0);
	int64_t at;

	return walk_next(&k, &at) ? at : w->end;
}

size_t
window_seal(const struct window *w, const int64_t *offsets, size_t n, int64_t *ret_offset,
	    struct buf *metadata)
{
	struct offset_metadata t;
	struct window wide = *w;
	size_t i, took = n;
	int64_t offset;

	for (i = 0; i < n; i++)
		assert((i == 0 || offsets[i - 1] < offsets[i]) &&
		       offset_list_has(&w->entries, offsets[i]));
	if (!encode(w, offsets, n, &t, &offset)) {
		took = longest_fit(w, offsets, n, &t);
		if (n && !took)
			return 0;
		/* A list that was committed longer than today's room may stay
		 * as long as it is. */
		wide.room = OFFSET_METADATA_MAX;
		if (!encode(&wide, offsets, took, &t, &offset))
			return 0;
	}
	*ret_offset = offset;
	offset_metadata_write(&t, metadata);
	return took;
}

void
window_refused(struct window *w)
{
	if (w->room / 2 >= WINDOW_ROOM_MIN)
		w->room /= 2;
}
