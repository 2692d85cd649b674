/* SPDX-License-Identifier: Apache-2.0 */
#include "sealing.h"

#include <stdlib.h>
#include <string.h>

#include "committing.h"
#include "core.h"
#include "window.h"
#include "envdriver/base/clock.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/group_meta.h"

enum { UNSEALED_MS = 10 };

static bool
topic_parked(const struct engine *eng, const struct entry *e, int64_t now)
{
	size_t cursor = 0;
	struct event ev;

	while (events_next(&e->events, &cursor, &ev))
		if (eng->committing->parked_until[ev.topic] > now)
			return true;
	return false;
}

static int
by_offset(const void *a, const void *b)
{
	const struct publish_item *x = a, *y = b;

	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* READY entries that may go now, in the order they became ready. */
static size_t
gather_ready(struct engine *eng, struct publish_item *items, size_t max)
{
	int64_t now = clock_mono_ms();
	size_t n = 0, bytes = 0;

	for (struct entry *e = entry_list_first(&eng->lists.ready); e && n < max;
	     e = entry_list_next(e)) {
		size_t len = e->events.packed.len;

		if (!e->part || e->commit.not_before > now || topic_parked(eng, e, now))
			continue;
		if (n > 0 && bytes + len > ENGINE_BATCH_BYTES)
			break;
		bytes += len;
		items[n++] = (struct publish_item){
			.events = &e->events,
			.partition = e->source.partition,
			.offset = e->source.offset,
			.tag = e,
		};
	}
	return n;
}

static bool
batch_add_offset(struct batch *b, const struct engine *eng, int32_t partition, int64_t offset,
		 const struct buf *metadata, int64_t end)
{
	rd_kafka_topic_partition_t *tp;

	tp = rd_kafka_topic_partition_list_add(b->offsets, eng->topics[TOPIC_COMMANDS], partition);
	tp->offset = offset;
	tp->opaque = (void *)(intptr_t)end;	/* for `positions`, once it is certain */
	tp->metadata = malloc(metadata->len + 1);
	if (!tp->metadata)
		return false;
	memcpy(tp->metadata, metadata->data ? metadata->data : "", metadata->len + 1);
	tp->metadata_size = metadata->len;
	return true;
}

/* One partition's run of items: its offset and metadata, as if they were
 * done. Returns how many of them may go, negative when out of memory. */
static long
seal_partition(struct engine *eng, struct batch *b, const struct publish_item *run, size_t n,
	       int32_t id)
{
	struct partition *p = partitions_find(&eng->partitions, id);
	struct buf metadata = BUF_INIT;
	int64_t *offsets = calloc(n ? n : 1, sizeof(*offsets));
	int64_t commit = 0, end;
	long ret = -1;
	size_t fit;

	if (!offsets)
		goto out;
	for (size_t i = 0; i < n; i++)
		offsets[i] = run[i].offset;
	fit = window_seal(p->window, offsets, n, &commit, &metadata);
	ret = (long)fit;
	end = window_end(p->window);
	if (fit && offsets[fit - 1] >= end)
		end = offsets[fit - 1] + 1;
	if (!fit && (n || !metadata.len))
		goto out;
	p->dirty = false;
	if (metadata.failed || !buf_reserve(&metadata, 0) ||
	    !batch_add_offset(b, eng, id, commit, &metadata, end))
		ret = -1;
out:
	free(offsets);
	buf_release(&metadata);
	return ret;
}

/* What must wait for its lower edge goes behind the others, which may be it. */
static void
put_back_ready(struct engine *eng, const struct publish_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		entry_list_remove(items[i].tag);
		entry_list_push(&eng->lists.ready, items[i].tag);
	}
	if (n)
		eng->committing->retry_at = clock_mono_ms() + UNSEALED_MS;
}

/* Items sorted by place; those that must wait for their lower edge are taken
 * out again. */
static bool
seal_offsets(struct engine *eng, struct batch *b)
{
	struct partition *p = NULL;
	size_t kept = 0, i = 0;

	while (i < b->n_items) {
		int32_t id = b->items[i].partition;
		size_t n = 0;
		long fit;

		while (i + n < b->n_items && b->items[i + n].partition == id)
			n++;
		fit = seal_partition(eng, b, b->items + i, n, id);
		if (fit < 0)
			return false;
		put_back_ready(eng, b->items + i + fit, n - (size_t)fit);
		memmove(b->items + kept, b->items + i, (size_t)fit * sizeof(*b->items));
		kept += (size_t)fit;
		i += n;
	}
	b->n_items = kept;
	while ((p = partitions_next(&eng->partitions, p)))
		if (p->open && p->dirty && seal_partition(eng, b, NULL, 0, p->id) < 0)
			return false;
	return true;
}

void
sealing_free(struct batch *b)
{
	if (!b)
		return;
	if (b->offsets)
		rd_kafka_topic_partition_list_destroy(b->offsets);
	group_meta_unref(b->group);
	free(b->items);
	free(b);
}

struct batch *
sealing_new(struct engine *eng, size_t max)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	if (max > eng->lists.ready.n)
		max = eng->lists.ready.n;
	b->items = calloc(max ? max : 1, sizeof(*b->items));
	b->offsets = rd_kafka_topic_partition_list_new(8);
	if (!b->items || !b->offsets) {
		sealing_free(b);
		return NULL;
	}
	b->n_items = gather_ready(eng, b->items, max);
	qsort(b->items, b->n_items, sizeof(*b->items), by_offset);
	if (!seal_offsets(eng, b)) {
		sealing_free(b);
		return NULL;
	}
	b->group = group_meta_ref(consumer_group_meta(eng->consumer));
	return b;
}
