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
#include "large_output.h"

#include <stdlib.h>

#include "claiming.h"
#include "committing.h"
#include "core.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"

/* What the answer in Redis may weigh: its pieces go to Kafka. */
enum { HANDED_BYTES = 1 << 20 };

static bool
set_is_due(const struct engine *eng, const struct entry *e, int64_t now)
{
	return e->events.before && !e->commit.in_batch && e->commit.not_before <= now &&
	       eng->committing->parked_until[TOPIC_EXECUTION_LOGS] <= now;
}

static struct entry *
next_due(const struct engine *eng)
{
	int64_t now = clock_mono_ms();
	struct entry *e;

	for (e = entry_list_first(&eng->lists.large); e; e = entry_list_next(e))
		if (set_is_due(eng, e, now))
			return e;
	for (e = entry_list_first(&eng->lists.handing); e; e = entry_list_next(e))
		if (set_is_due(eng, e, now))
			return e;
	return NULL;
}

static void
submit_set(struct engine *eng, struct entry *e)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b)
		b->items = calloc(1, sizeof(*b->items));
	if (b && b->items)
		b->offsets = rd_kafka_topic_partition_list_new(1);
	if (!b || !b->items || !b->offsets) {
		free(b ? b->items : NULL);
		free(b);
		core_nomem(eng);
		return;
	}
	b->items[b->n_items++] = (struct publish_item){
		.events = events_first(&e->events),
		.partition = e->source.partition,
		.offset = e->source.offset,
		.tag = e,
	};
	b->ahead = true;
	b->owner = eng;
	e->commit.in_batch = true;
	eng->committing->batch = b;
	publisher_submit(eng->publisher, b);
}

/* Needs no partition: an answer that is handed over has none any more. */
void
large_output_turn(struct engine *eng)
{
	struct committing *c = eng->committing;
	int64_t now = clock_mono_ms();
	struct entry *e;

	/* From STOPPING on the publisher takes no more. */
	if (c->batch || eng->revoking || eng->exit_code || eng->stage >= STAGE_STOPPING ||
	    !eng->publisher || !c->publisher_ready || !publisher_idle(eng->publisher) ||
	    !(e = next_due(eng)))
		return;
	if (now < c->retry_at) {
		core_soon(eng, c->retry_at - now);
		return;
	}
	c->pieces_went = true;
	submit_set(eng, e);
}

void
large_output_verdict(struct engine *eng, struct entry *e, bool done)
{
	if (e->state == ENTRY_GONE) {
		core_close_entry(eng, e);
		return;
	}
	if (done) {
		crash_at("pieces");
		events_free_first(&e->events);
		core_count_bytes(eng, e);
	}
	if (e->state == ENTRY_HANDING) {
		large_output_hand_over(eng, e);
	} else if (!e->events.before) {
		entry_list_remove(e);
		core_publish(eng, e);
	}
}

/* A set that the publisher still borrows is not cut: its verdict calls
 * again. */
void
large_output_hand_over(struct engine *eng, struct entry *e)
{
	bool large = e->events.before || e->events.packed.len > HANDED_BYTES;

	if (e->claim.recording || (large && e->commit.in_batch))
		return;
	if (large && !events_cut_to_last(&e->events)) {
		core_nomem(eng);
		return;
	}
	if (e->events.before)
		core_again(eng);
	else
		claiming_record(eng, e);
}
