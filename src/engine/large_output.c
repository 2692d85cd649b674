/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * FINAL pieces of output that are too much for the result's transaction, or
 * for Redis when the answer is handed over, are committed before it in
 * transactions of their own, without offsets, a set each (docs/engine.md section 6,
 * "Large output"). The entry is READY or HANDING meanwhile; a set is dropped
 * when its commit is certain and published again when it is not.
 */
#include "engine_impl.h"

#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"

/* What the answer in Redis may weigh: its pieces go to Kafka. */
enum { HANDED_BYTES = 1 << 20 };

static bool
is_due(const struct engine *f, const struct entry *e, int64_t now)
{
	return e->events.before && !e->in_batch && e->not_before <= now &&
	       f->parked_until[TOPIC_EXECUTION_LOGS] <= now;
}

static struct entry *
next_due(const struct engine *f)
{
	int64_t now = clock_mono_ms();
	struct entry *e;

	for (e = f->large.head; e; e = e->queue.next)
		if (is_due(f, e, now))
			return e;
	for (e = f->handing.head; e; e = e->queue.next)
		if (is_due(f, e, now))
			return e;
	return NULL;
}

static void
submit(struct engine *f, struct entry *e)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b)
		b->items = calloc(1, sizeof(*b->items));
	if (b && b->items)
		b->offsets = rd_kafka_topic_partition_list_new(1);
	if (!b || !b->items || !b->offsets) {
		free(b ? b->items : NULL);
		free(b);
		engine_nomem(f);
		return;
	}
	b->items[b->n_items++] = (struct publish_item){
		.events = events_first(&e->events),
		.partition = e->partition,
		.offset = e->offset,
		.tag = e,
	};
	b->ahead = true;
	b->owner = f;
	e->in_batch = true;
	f->batch = b;
	publisher_submit(f->publisher, b);
}

/* Needs no partition: an answer that is handed over has none any more. */
void
large_output_turn(struct engine *f)
{
	int64_t now = clock_mono_ms();
	struct entry *e;

	/* From STOPPING on the publisher takes no more. */
	if (f->batch || f->revoking || f->exit_code || f->stage >= STAGE_STOPPING ||
	    !f->publisher || !f->publisher_ready || !publisher_idle(f->publisher) ||
	    !(e = next_due(f)))
		return;
	if (now < f->retry_at) {
		engine_soon(f, f->retry_at - now);
		return;
	}
	f->pieces_went = true;
	submit(f, e);
}

void
large_output_verdict(struct engine *f, struct entry *e, bool done)
{
	if (e->state == ENTRY_GONE) {
		engine_retire(f, e);
		return;
	}
	if (done) {
		crash_at("pieces");
		events_drop_first(&e->events);
		engine_count_bytes(f, e);
	}
	if (e->state == ENTRY_HANDING) {
		large_output_hand_over(f, e);
	} else if (!e->events.before) {
		entry_list_remove(e);
		committing_publish(f, e);
	}
}

/* A set that the publisher still borrows is not cut: its verdict calls
 * again. */
void
large_output_hand_over(struct engine *f, struct entry *e)
{
	bool large = e->events.before || e->events.packed.len > HANDED_BYTES;

	if (e->recording || (large && e->in_batch))
		return;
	if (large && !events_cut_to_last(&e->events)) {
		engine_nomem(f);
		return;
	}
	if (e->events.before)
		engine_again(f);
	else
		claiming_record(f, e);
}
