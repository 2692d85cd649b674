/* SPDX-License-Identifier: Apache-2.0 */
#include "committing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calling.h"
#include "core.h"
#include "decoding.h"
#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/group_meta.h"
#include "envdriver/registry/instance.h"
#include "large_output.h"
#include "orphans.h"
#include "sealing.h"
#include "window.h"

enum {
	ALONE_AFTER = 3,	/* failed batches; then each entry alone */
	RETRY_LATER_MS = 30000,
	PARK_MS = 2000,
	PARK_SAY_MS = 30000,
	LOAD = 64,		/* records; a batch of so many is load, */
	BACKLOG = 256,		/* and of so many a backlog */
	LOAD_REST = 3,		/* times what the last commit took */
	BACKLOG_REST = 9,
	REST_MAX_MS = 200,
};

bool
committing_new(struct engine *eng)
{
	eng->committing = calloc(1, sizeof(*eng->committing));
	return eng->committing;
}

void
committing_free(struct engine *eng)
{
	free(eng->committing);
}

/* What has its answer waits for a commit only, and should have company: it
 * counts by its bytes. */
size_t
committing_unanswered(const struct engine *eng)
{
	const struct batch *b = eng->committing->batch;
	size_t answered = eng->lists.ready.n + (b ? b->n_items : 0);

	/* Some in the batch may have left their partition. */
	return answered < eng->entries ? eng->entries - answered : 0;
}

/* --- sealing --- */

/* docs/engine.md section 6, "Sealing": one step on the loop thread. */
static void
seal_batch(struct engine *eng)
{
	struct committing *c = eng->committing;
	struct batch *b = sealing_new(eng, c->failures >= ALONE_AFTER ? 1 : eng->limits.batch);

	if (!b) {
		core_nomem(eng);
		return;
	}
	if (b->offsets->cnt == 0) {
		sealing_free(b);
		return;
	}
	b->owner = eng;
	for (size_t i = 0; i < b->n_items; i++) {
		struct entry *e = b->items[i].tag;

		entry_list_remove(e);
		e->commit.in_batch = true;
		core_step(eng, e, ON_SEALED);
	}
	c->batch = b;
	c->pieces_went = false;
	c->sealed_at = clock_mono_ms();
	c->sealed_n = b->n_items;
	publisher_submit(eng->publisher, b);
}

static bool
any_offsets_due(const struct engine *eng)
{
	struct partition *p = NULL;

	while ((p = partitions_next(&eng->partitions, p)))
		if (p->open && p->dirty)
			return true;
	return false;
}

static bool
may_seal(const struct engine *eng)
{
	const struct committing *c = eng->committing;

	return eng->publisher && eng->consumer && c->publisher_ready && !eng->exit_code &&
	       !c->batch && !c->need_assign && publisher_idle(eng->publisher) &&
	       consumer_group_meta(eng->consumer);
}

/* How long a batch gathers, from the last seal on. A transaction costs the
 * broker milliseconds, however few records it holds; so under load they take
 * a quarter of the time at most, in a backlog a tenth, and hold what comes in
 * the rest of it. */
static int64_t
gathering_ms(const struct engine *eng)
{
	const struct committing *c = eng->committing;
	int64_t ms = eng->limits.commit_interval;
	int64_t rest = c->commit_took * (c->sealed_n >= BACKLOG ? BACKLOG_REST : LOAD_REST);

	if (!ms || c->sealed_n < LOAD || eng->lists.ready.n >= eng->limits.batch)
		return ms;
	if (rest > REST_MAX_MS)
		rest = REST_MAX_MS;
	return c->commit_took + rest > ms ? c->commit_took + rest : ms;
}

void
committing_turn(struct engine *eng)
{
	const struct committing *c = eng->committing;
	int64_t now, at;

	if ((!eng->lists.ready.n && !any_offsets_due(eng)) || !may_seal(eng) || eng->revoking)
		return;
	now = clock_mono_ms();
	at = c->retry_at;
	/* When nothing else is coming there is nothing to wait for. */
	if (committing_unanswered(eng) && at < c->sealed_at + gathering_ms(eng))
		at = c->sealed_at + gathering_ms(eng);
	if (now < at)
		core_soon(eng, at - now);
	else
		seal_batch(eng);
}

bool
committing_last(struct engine *eng)
{
	if (!eng->lists.ready.n || !may_seal(eng))
		return false;
	seal_batch(eng);
	return true;
}

/* --- the verdict --- */

/* A second refusal: this entry waits, and holds up no other. */
static void
retry_later(struct engine *eng, struct entry *e)
{
	e->commit.not_before = clock_mono_ms() + RETRY_LATER_MS;
	core_soon(eng, RETRY_LATER_MS);
	log_error("the broker refuses the final event of partition %d offset %lld, trying again in "
		  "%d s",
		  (int)e->source.partition, (long long)e->source.offset, RETRY_LATER_MS / 1000);
}

/* The broker refused it, as too large or for a rule of its own. The lease that
 * the new event does not name is an orphan from here on: a hand-over would
 * write the new answer over the old one, and its lease with it. */
static void
rebuild_event(struct engine *eng, struct entry *e, enum publish_trouble trouble)
{
	struct outcome o = OUTCOME_INIT;

	orphans_add_of(eng, e);
	if (e->commit.refused++ > 1) {
		retry_later(eng, e);
	} else if (!e->cmd || e->first.topic) {
		decoding_rebuild_letter(eng, e);
	} else if (trouble == PUBLISH_ITEM_TOO_LARGE && e->commit.refused == 1) {
		outcome_fail(&o, CODE_RESULT_TOO_LARGE,
			     "Result of %zu bytes exceeds the limit of the broker.",
			     e->events.packed.len);
		calling_fail(eng, e, &o);
	} else {
		outcome_fail(&o, CODE_INTERNAL, "The broker refused the result.");
		calling_fail(eng, e, &o);
	}
	outcome_release(&o);
}

static void
back_off_commits(struct committing *c)
{
	static const struct backoff backoff = { .min_ms = 50, .max_ms = 5000 };

	c->failures++;
	c->retry_at = clock_mono_ms() + backoff_ms(&backoff, (unsigned)c->failures);
}

static void
refuse_metadata(struct engine *eng, const struct batch *b)
{
	for (int i = 0; i < b->offsets->cnt; i++) {
		struct partition *p =
			partitions_find(&eng->partitions, b->offsets->elems[i].partition);

		if (p)
			window_refused(p->window);
	}
}

static void
park_topic(struct engine *eng, enum topic topic)
{
	struct committing *c = eng->committing;
	int64_t now = clock_mono_ms();

	if (topic >= TOPIC_COUNT)
		return;
	if (c->park_said[topic] <= now) {
		log_warn("%s; its results wait", eng->why.commit);
		c->park_said[topic] = now + PARK_SAY_MS;
	}
	c->parked_until[topic] = now + PARK_MS;
	core_soon(eng, PARK_MS);
}

static bool
any_parked(const struct engine *eng)
{
	int64_t now = clock_mono_ms();

	for (int t = 0; t < TOPIC_COUNT; t++)
		if (eng->committing->parked_until[t] > now)
			return true;
	return false;
}

/* For /readyz: what fails now and then is no reason, what goes on is. */
static void
say_trouble(struct engine *eng, enum publish_trouble trouble, enum topic topic)
{
	char *why = eng->why.commit;
	size_t size = sizeof(eng->why.commit);

	if (trouble == PUBLISH_FINE && any_parked(eng))
		return;		/* of another topic */
	if (trouble == PUBLISH_FINE)
		why[0] = '\0';
	else if (trouble == PUBLISH_AGAIN && eng->committing->failures >= ALONE_AFTER)
		snprintf(why, size, "results cannot be committed to Kafka, trying again");
	else if (trouble == PUBLISH_TOPIC_PARKED && topic < TOPIC_COUNT)
		snprintf(why, size,
			 "topic '%s' does not exist (`envdriver topics create` makes it) or may "
			 "not be written (ACL Write and Describe on it)", eng->topics[topic]);
	else if (trouble == PUBLISH_GROUP_DENIED)
		snprintf(why, size,
			 "not permitted to commit offsets (ACL Read on group '%s' and on topic "
			 "'%s')",
			 config_str(eng->config, "kafka.group.id"), eng->topics[TOPIC_COMMANDS]);
}

static void
act_on_trouble(struct engine *eng, const struct batch *b, enum publish_trouble trouble, size_t item,
	       enum topic topic)
{
	switch (trouble) {
	case PUBLISH_FINE:
		eng->committing->failures = 0;
		break;
	case PUBLISH_ITEM_TOO_LARGE:
	case PUBLISH_ITEM_REFUSED:
		if (item < b->n_items)
			rebuild_event(eng, b->items[item].tag, trouble);
		break;
	case PUBLISH_TOPIC_PARKED:
		park_topic(eng, topic);
		break;
	case PUBLISH_GENERATION:
		/* Of an assignment that is over, it says nothing about today's. */
		eng->committing->need_assign = b->group == consumer_group_meta(eng->consumer);
		break;
	case PUBLISH_METADATA_TOO_LARGE:
		refuse_metadata(eng, b);
		back_off_commits(eng->committing);
		break;
	case PUBLISH_INSTANCE_FENCED:
		break;		/* the engine ends (startup.c, on_verdict) */
	case PUBLISH_GROUP_DENIED:
	case PUBLISH_AGAIN:
		back_off_commits(eng->committing);
		break;
	}
}

/* Certain: the position is recorded. Not: the partition still wants it. */
static void
record_offsets(struct engine *eng, const struct batch *b, bool certain)
{
	for (int i = 0; i < b->offsets->cnt; i++) {
		const rd_kafka_topic_partition_t *tp = &b->offsets->elems[i];
		struct partition *p = partitions_find(&eng->partitions, tp->partition);

		if (certain)
			instance_position(eng->instance, eng->topics[TOPIC_COMMANDS], tp->partition,
					  (int64_t)(intptr_t)tp->opaque);
		else if (p)
			p->dirty = true;
	}
}

void
committing_verdict(struct engine *eng, struct batch *b, enum publish_trouble trouble, size_t item,
		   enum topic topic)
{
	eng->committing->batch = NULL;
	eng->committing->commit_took = clock_mono_ms() - eng->committing->sealed_at;
	if (trouble != PUBLISH_FINE)
		metrics_add(METRIC_TRANSACTION_ABORTS, 1);
	say_trouble(eng, trouble, topic);
	/* Before the entries: they may be rebuilt, or be gone after it. */
	act_on_trouble(eng, b, trouble, item, topic);
	for (size_t i = 0; i < b->n_items; i++) {
		struct entry *e = b->items[i].tag;

		e->commit.in_batch = false;
		e->claim.in_doubt = b->in_doubt;
		if (b->ahead)
			large_output_verdict(eng, e, b->items[i].done);
		else
			core_step(eng, e, b->items[i].done ? ON_COMMITTED : ON_ABORTED);
	}
	record_offsets(eng, b, trouble == PUBLISH_FINE && !b->in_doubt);
	sealing_free(b);
	core_again(eng);
}
