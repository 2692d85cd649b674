/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

enum {
	ALONE_AFTER = 3,	/* failed batches; then each entry alone */
	SHELF_MS = 30000,
	PARK_SAY_MS = 30000,
	UNSEALED_MS = 10,
	CROWD = 64,		/* records; a batch of so many is load, */
	MASS = 256,		/* and of so many a backlog */
	CROWD_REST = 3,		/* times what the last commit took */
	MASS_REST = 9,
	REST_MAX_MS = 200,
};

void
committing_publish(struct engine *f, struct entry *e)
{
	entry_list_push(e->events.before ? &f->large : &f->ready, e);
	engine_again(f);
}

/* --- sealing --- */

static bool
topic_parked(const struct engine *f, const struct entry *e, int64_t now)
{
	size_t cursor = 0;
	struct event ev;

	while (events_next(&e->events, &cursor, &ev))
		if (f->parked_until[ev.topic] > now)
			return true;
	return false;
}

static int
by_place(const void *a, const void *b)
{
	const struct publish_item *x = a, *y = b;

	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* READY entries that may go now, in the order they became ready. */
static size_t
gather(struct engine *f, struct publish_item *items, size_t max)
{
	int64_t now = clock_mono_ms();
	size_t n = 0, bytes = 0;

	for (struct entry *e = f->ready.head; e && n < max; e = e->queue.next) {
		size_t len = e->events.packed.len;

		if (!e->part || e->not_before > now || topic_parked(f, e, now))
			continue;
		if (n > 0 && bytes + len > ENGINE_BATCH_BYTES)
			break;
		bytes += len;
		items[n++] = (struct publish_item){
			.events = &e->events,
			.partition = e->partition,
			.offset = e->offset,
			.tag = e,
		};
	}
	return n;
}

static bool
add_offset(struct batch *b, const struct engine *f, int32_t partition, int64_t offset,
	   const struct buf *metadata, int64_t end)
{
	rd_kafka_topic_partition_t *tp;

	tp = rd_kafka_topic_partition_list_add(b->offsets, f->topics[TOPIC_COMMANDS], partition);
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
seal_run(struct engine *f, struct batch *b, const struct publish_item *run, size_t n, int32_t id)
{
	struct partition *p = engine_partition(f, id);
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
	    !add_offset(b, f, id, commit, &metadata, end))
		ret = -1;
out:
	free(offsets);
	buf_release(&metadata);
	return ret;
}

/* What must wait for its lower edge goes behind the others, which may be it. */
static void
put_back(struct engine *f, const struct publish_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		entry_list_remove(items[i].tag);
		entry_list_push(&f->ready, items[i].tag);
	}
	if (n)
		f->retry_at = clock_mono_ms() + UNSEALED_MS;
}

/* Items sorted by place; those that must wait for their lower edge are taken
 * out again. */
static bool
seal_offsets(struct engine *f, struct batch *b)
{
	size_t kept = 0, i = 0;

	while (i < b->n_items) {
		int32_t id = b->items[i].partition;
		size_t n = 0;
		long fit;

		while (i + n < b->n_items && b->items[i + n].partition == id)
			n++;
		fit = seal_run(f, b, b->items + i, n, id);
		if (fit < 0)
			return false;
		put_back(f, b->items + i + fit, n - (size_t)fit);
		memmove(b->items + kept, b->items + i, (size_t)fit * sizeof(*b->items));
		kept += (size_t)fit;
		i += n;
	}
	b->n_items = kept;
	for (size_t p = 0; p < f->n_parts; p++)
		if (f->parts[p] && f->parts[p]->open && f->parts[p]->dirty &&
		    seal_run(f, b, NULL, 0, (int32_t)p) < 0)
			return false;
	return true;
}

static void
batch_free(struct batch *b)
{
	if (!b)
		return;
	if (b->offsets)
		rd_kafka_topic_partition_list_destroy(b->offsets);
	group_meta_unref(b->group);
	free(b->items);
	free(b);
}

static struct batch *
batch_new(struct engine *f)
{
	size_t max = f->failures >= ALONE_AFTER ? 1 : f->limits.batch;
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	if (max > f->ready.n)
		max = f->ready.n;
	b->items = calloc(max ? max : 1, sizeof(*b->items));
	b->offsets = rd_kafka_topic_partition_list_new(8);
	if (!b->items || !b->offsets) {
		batch_free(b);
		return NULL;
	}
	b->n_items = gather(f, b->items, max);
	qsort(b->items, b->n_items, sizeof(*b->items), by_place);
	return b;
}

/* docs/engine.md section 6, "Sealing": one step on the loop thread. */
static void
seal(struct engine *f)
{
	struct batch *b = batch_new(f);

	if (!b || !seal_offsets(f, b)) {
		batch_free(b);
		engine_nomem(f);
		return;
	}
	if (b->offsets->cnt == 0) {
		batch_free(b);
		return;
	}
	b->group = group_meta_ref(consumer_group_meta(f->consumer));
	b->owner = f;
	for (size_t i = 0; i < b->n_items; i++) {
		struct entry *e = b->items[i].tag;

		entry_list_remove(e);
		e->in_batch = true;
		engine_step(f, e, ON_SEALED);
	}
	f->batch = b;
	f->pieces_went = false;
	f->sealed_at = clock_mono_ms();
	f->sealed_n = b->n_items;
	publisher_submit(f->publisher, b);
}

static bool
any_dirty(const struct engine *f)
{
	for (size_t i = 0; i < f->n_parts; i++)
		if (f->parts[i] && f->parts[i]->open && f->parts[i]->dirty)
			return true;
	return false;
}

bool
committing_possible(const struct engine *f)
{
	return f->publisher && f->consumer && f->publisher_ready && !f->exit_code && !f->batch &&
	       !f->need_assign && publisher_idle(f->publisher) && consumer_group_meta(f->consumer);
}

/* How long a batch gathers, from the last seal on. A transaction costs the
 * broker milliseconds, however few records it holds; so under load they take
 * a quarter of the time at most, in a backlog a tenth, and hold what comes in
 * the rest of it. */
static int64_t
interval(const struct engine *f)
{
	int64_t ms = f->limits.commit_interval;
	int64_t rest = f->commit_took * (f->sealed_n >= MASS ? MASS_REST : CROWD_REST);

	if (!ms || f->sealed_n < CROWD || f->ready.n >= f->limits.batch)
		return ms;
	if (rest > REST_MAX_MS)
		rest = REST_MAX_MS;
	return f->commit_took + rest > ms ? f->commit_took + rest : ms;
}

void
committing_turn(struct engine *f)
{
	int64_t now, at;

	if ((!f->ready.n && !any_dirty(f)) || !committing_possible(f) || f->revoking)
		return;
	now = clock_mono_ms();
	at = f->retry_at;
	/* When nothing else is coming there is nothing to wait for. */
	if (intake_unanswered(f) && at < f->sealed_at + interval(f))
		at = f->sealed_at + interval(f);
	if (now < at)
		engine_soon(f, at - now);
	else
		seal(f);
}

void
committing_last(struct engine *f)
{
	seal(f);
}

/* --- the verdict --- */

/* A second refusal: this entry waits, and holds up no other. */
static void
shelve(struct engine *f, struct entry *e)
{
	e->not_before = clock_mono_ms() + SHELF_MS;
	engine_soon(f, SHELF_MS);
	log_error("the broker refuses the final event of partition %d offset %lld, trying again in "
		  "%d s",
		  (int)e->partition, (long long)e->offset, SHELF_MS / 1000);
}

/* The broker refused it, as too large or for a rule of its own. The lease that
 * the new event does not name is an orphan from here on: a hand-over would
 * write the new answer over the old one, and its lease with it. */
static void
reshape(struct engine *f, struct entry *e, enum publish_trouble trouble)
{
	struct outcome o = OUTCOME_INIT;

	calling_orphan(f, e);
	if (e->reshaped++ > 1) {
		shelve(f, e);
	} else if (!e->cmd || e->is_letter) {
		intake_rebuild_letter(f, e);
	} else if (trouble == PUBLISH_ITEM_TOO_LARGE && e->reshaped == 1) {
		outcome_fail(&o, CODE_RESULT_TOO_LARGE,
			     "Result of %zu bytes exceeds the limit of the broker.",
			     e->events.packed.len);
		calling_fail(f, e, &o);
	} else {
		outcome_fail(&o, CODE_INTERNAL, "The broker refused the result.");
		calling_fail(f, e, &o);
	}
	outcome_release(&o);
}

static void
back_off(struct engine *f)
{
	static const struct backoff backoff = { .min_ms = 50, .max_ms = 5000 };

	f->failures++;
	f->retry_at = clock_mono_ms() + backoff_ms(&backoff, (unsigned)f->failures);
}

static void
refuse_metadata(struct engine *f, const struct batch *b)
{
	for (int i = 0; i < b->offsets->cnt; i++) {
		struct partition *p = engine_partition(f, b->offsets->elems[i].partition);

		if (p)
			window_refused(p->window);
	}
}

static void
park(struct engine *f, enum topic topic)
{
	int64_t now = clock_mono_ms();

	if (topic >= TOPIC_COUNT)
		return;
	if (f->park_said[topic] <= now) {
		log_warn("%s; its results wait", f->why_seal);
		f->park_said[topic] = now + PARK_SAY_MS;
	}
	f->parked_until[topic] = now + ENGINE_PARK_MS;
	engine_soon(f, ENGINE_PARK_MS);
}

static bool
any_parked(const struct engine *f)
{
	int64_t now = clock_mono_ms();

	for (int t = 0; t < TOPIC_COUNT; t++)
		if (f->parked_until[t] > now)
			return true;
	return false;
}

/* For /readyz: what fails now and then is no reason, what goes on is. */
static void
say_trouble(struct engine *f, enum publish_trouble trouble, enum topic topic)
{
	char *why = f->why_seal;
	size_t size = sizeof(f->why_seal);

	if (trouble == PUBLISH_FINE && any_parked(f))
		return;		/* of another topic */
	if (trouble == PUBLISH_FINE)
		why[0] = '\0';
	else if (trouble == PUBLISH_AGAIN && f->failures >= ALONE_AFTER)
		snprintf(why, size, "results cannot be committed to Kafka, trying again");
	else if (trouble == PUBLISH_TOPIC_PARKED && topic < TOPIC_COUNT)
		snprintf(why, size,
			 "topic '%s' does not exist (`envdriver topics create` makes it) or may "
			 "not be written (ACL Write and Describe on it)", f->topics[topic]);
	else if (trouble == PUBLISH_GROUP_DENIED)
		snprintf(why, size,
			 "not permitted to commit offsets (ACL Read on group '%s' and on topic "
			 "'%s')",
			 config_str(f->config, "kafka.group.id"), f->topics[TOPIC_COMMANDS]);
}

static void
act_on(struct engine *f, const struct batch *b, enum publish_trouble trouble, size_t item,
       enum topic topic)
{
	switch (trouble) {
	case PUBLISH_FINE:
		f->failures = 0;
		break;
	case PUBLISH_ITEM_TOO_LARGE:
	case PUBLISH_ITEM_REFUSED:
		if (item < b->n_items)
			reshape(f, b->items[item].tag, trouble);
		break;
	case PUBLISH_TOPIC_PARKED:
		park(f, topic);
		break;
	case PUBLISH_GENERATION:
		/* Of an assignment that is over, it says nothing about today's. */
		f->need_assign = b->group == consumer_group_meta(f->consumer);
		break;
	case PUBLISH_METADATA_TOO_LARGE:
		refuse_metadata(f, b);
		back_off(f);
		break;
	case PUBLISH_INSTANCE_FENCED:
		engine_leave(f, 69, "another consumer uses our group.instance.id");
		break;
	case PUBLISH_GROUP_DENIED:
	case PUBLISH_AGAIN:
		back_off(f);
		break;
	}
}

/* Certain: the position is recorded. Not: the partition still wants it. */
static void
settle_offsets(struct engine *f, const struct batch *b, bool certain)
{
	for (int i = 0; i < b->offsets->cnt; i++) {
		const rd_kafka_topic_partition_t *tp = &b->offsets->elems[i];
		struct partition *p = engine_partition(f, tp->partition);

		if (certain)
			instance_position(f->instance, f->topics[TOPIC_COMMANDS], tp->partition,
					  (int64_t)(intptr_t)tp->opaque);
		else if (p)
			p->dirty = true;
	}
}

void
committing_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
		  enum topic topic)
{
	struct engine *f = arg;

	f->batch = NULL;
	f->commit_took = clock_mono_ms() - f->sealed_at;
	if (trouble != PUBLISH_FINE)
		metrics_add(METRIC_TRANSACTION_ABORTS, 1);
	say_trouble(f, trouble, topic);
	/* Before the entries: they may be rebuilt, or be gone after it. */
	act_on(f, b, trouble, item, topic);
	for (size_t i = 0; i < b->n_items; i++) {
		struct entry *e = b->items[i].tag;

		e->in_batch = false;
		e->in_doubt = b->in_doubt;
		if (b->ahead)
			large_output_verdict(f, e, b->items[i].done);
		else
			engine_step(f, e, b->items[i].done ? ON_COMMITTED : ON_ABORTED);
	}
	settle_offsets(f, b, trouble == PUBLISH_FINE && !b->in_doubt);
	batch_free(b);
	engine_again(f);
}
