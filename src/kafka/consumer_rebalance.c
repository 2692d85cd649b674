/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * librdkafka's rebalance events are served one after another. An assign is
 * read (committed offsets, in a job), offered to our owner, and ends with
 * consumer_open; a revoke is told and ends with consumer_unassign. librdkafka
 * waits for the answer to each; heartbeats go on meanwhile (F7).
 *
 * An event that comes while an assign is under way overtakes it: its read is
 * stopped, and if our owner was told already, a revoke of what it was told
 * comes first. That happens when the session ran out between the event and
 * our answer: librdkafka then joins anew without revoking (source of 2.0.2,
 * rd_kafka_cgrp_revoke_all_rejoin).
 */
#include "consumer_rebalance.h"

#include <assert.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/group_meta.h"

enum { SLOW_READ_MS = 2000 };

/* One rebalance event of librdkafka. */
struct consumer_rebalance_event {
	STAILQ_ENTRY(consumer_rebalance_event) link;
	bool assign;
	rd_kafka_topic_partition_list_t *parts;
};

static void serve_events(struct consumer_rebalance *r);

void
consumer_rebalance_init(struct consumer_rebalance *r, struct consumer_parts *parts,
			struct consumer_jobs *jobs, struct consumer_state *state,
			const struct consumer_events *ev)
{
	*r = (struct consumer_rebalance){
		.parts = parts, .jobs = jobs, .state = state, .ev = ev,
	};
	STAILQ_INIT(&r->events);
}

/* --- revoke --- */

static void
close_parts(struct consumer_rebalance *r, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct consumer_part *p = r->parts->at[list->elems[i].partition];

		p->open = false;
		consumer_backlog_clear(&r->parts->backlog, &p->backlog);
	}
}

/* Tells the owner of those partitions that it knows of. False when it knows
 * of none: then there is nothing to wait for. */
static bool
tell_revoke(struct consumer_rebalance *r, bool lost)
{
	const rd_kafka_topic_partition_list_t *list = r->moving;
	int32_t *told = calloc((size_t)list->cnt + 1, sizeof(*told));
	size_t n = 0;

	for (int i = 0; told && i < list->cnt; i++)
		if (r->parts->at[list->elems[i].partition]->told)
			told[n++] = list->elems[i].partition;
	if (!told)
		log_error("out of memory in a rebalance; giving up partitions without notice");
	if (n > 0) {
		r->step = CONSUMER_REBALANCE_REVOKING;
		r->ev->on_revoke(r->ev->arg, told, n, lost);
	}
	free(told);
	return n > 0;
}

static void
finish_revoke(struct consumer_rebalance *r)
{
	rd_kafka_topic_partition_list_t *list = r->moving;

	group_meta_unref(r->meta);
	r->meta = NULL;
	r->moving = NULL;
	r->step = CONSUMER_REBALANCE_NONE;
	if (!r->moving_stays)
		consumer_parts_unassign(r->parts, list);
	consumer_parts_reset(r->parts, list);
	rd_kafka_topic_partition_list_destroy(list);
	consumer_parts_align_pauses(r->parts);	/* none of them holds up others now */
}

static void
serve_revoke(struct consumer_rebalance *r, rd_kafka_topic_partition_list_t *take_list, bool lost)
{
	r->moving = take_list;
	close_parts(r, r->moving);
	if (!tell_revoke(r, lost))
		finish_revoke(r);
}

void
consumer_rebalance_unassign(struct consumer_rebalance *r)
{
	if (r->step != CONSUMER_REBALANCE_REVOKING)
		return;
	finish_revoke(r);
	serve_events(r);
}

/* --- assign --- */

/* All partitions that the owner believes to have; NULL when there are none. */
static rd_kafka_topic_partition_list_t *
told_parts(const struct consumer_rebalance *r)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	for (size_t i = 0; i < r->parts->n; i++)
		if (r->parts->at[i]->told)
			rd_kafka_topic_partition_list_add(list, r->parts->topic, (int32_t)i);
	if (list->cnt > 0)
		return list;
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

static void
offer_parts(struct consumer_rebalance *r, const rd_kafka_topic_partition_list_t *list,
	    const int64_t *starts, const int64_t *ends)
{
	struct assigned *parts = calloc((size_t)list->cnt + 1, sizeof(*parts));

	if (!parts) {
		log_error("out of memory in a rebalance; holding the partitions");
		consumer_rebalance_hold(r);
		return;
	}
	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *tp = &list->elems[i];

		parts[i] = (struct assigned){
			.partition = tp->partition,
			.committed = tp->offset >= 0 ? tp->offset : -1,
			.metadata = { tp->metadata_size ? tp->metadata : NULL, tp->metadata_size },
			.log_start = starts ? starts[i] : -1,
			.log_end = ends ? ends[i] : -1,
		};
		r->parts->at[tp->partition]->told = true;
	}
	r->step = CONSUMER_REBALANCE_OFFERED;
	r->ev->on_assign(r->ev->arg, parts, (size_t)list->cnt);
	free(parts);
}

void
consumer_rebalance_offsets(struct consumer_rebalance *r,
			   rd_kafka_topic_partition_list_t *take_list, const int64_t *starts,
			   const int64_t *ends)
{
	assert(r->step == CONSUMER_REBALANCE_READING);
	if (!take_list) {
		log_error("out of memory while reading committed offsets; reading them again");
		(void)consumer_jobs_read_offsets(r->jobs, r->moving);
		return;
	}
	offer_parts(r, take_list, starts, ends);
	rd_kafka_topic_partition_list_destroy(take_list);
}

static void
serve_assign(struct consumer_rebalance *r, rd_kafka_topic_partition_list_t *take_list)
{
	r->moving = take_list;
	if (r->moving->cnt == 0) {	/* nothing new (F8), or nothing for us */
		offer_parts(r, r->moving, NULL, NULL);
		return;
	}
	r->step = CONSUMER_REBALANCE_READING;
	r->reading_since_ms = clock_mono_ms();
	(void)consumer_jobs_read_offsets(r->jobs, r->moving);	/* the tick tries again */
}

/* Sets the offsets of `moving`; what is not in `parts` is held: it begins at
 * the end, paused. */
static void
set_offsets(struct consumer_rebalance *r, const struct open_at *parts, size_t n)
{
	rd_kafka_topic_partition_list_t *list = r->moving;

	for (int i = 0; i < list->cnt; i++) {
		struct consumer_part *p = r->parts->at[list->elems[i].partition];

		list->elems[i].offset = RD_KAFKA_OFFSET_END;
		consumer_backlog_clear(&r->parts->backlog, &p->backlog);
		*p = (struct consumer_part){ .number = p->number, .told = p->told, .held = true };
		STAILQ_INIT(&p->backlog);
		for (size_t k = 0; k < n; k++) {
			if (parts[k].partition != list->elems[i].partition)
				continue;
			list->elems[i].offset = p->next = parts[k].offset;
			p->held = false;
		}
	}
}

static void
finish_assign(struct consumer_rebalance *r, const struct open_at *parts, size_t n)
{
	set_offsets(r, parts, n);
	consumer_parts_assign(r->parts, r->moving);
	for (int i = 0; i < r->moving->cnt; i++) {
		struct consumer_part *p = r->parts->at[r->moving->elems[i].partition];

		p->open = !p->held;
	}
	rd_kafka_topic_partition_list_destroy(r->moving);
	r->moving = NULL;
	r->step = CONSUMER_REBALANCE_NONE;
	consumer_parts_align_pauses(r->parts);
}

void
consumer_rebalance_open(struct consumer_rebalance *r, const struct open_at *parts, size_t n)
{
	if (r->step != CONSUMER_REBALANCE_OFFERED)
		return;
	finish_assign(r, parts, n);
	group_meta_unref(r->meta);
	r->meta = group_meta_new(rd_kafka_consumer_group_metadata(r->parts->rk));
	consumer_state_assigned(r->state);
	serve_events(r);
}

void
consumer_rebalance_hold(struct consumer_rebalance *r)
{
	if (r->step != CONSUMER_REBALANCE_READING && r->step != CONSUMER_REBALANCE_OFFERED)
		return;
	consumer_jobs_stop_reading(r->jobs);
	finish_assign(r, NULL, 0);
}

/* --- held partitions --- */

bool
consumer_rebalance_unhold(struct consumer_rebalance *r, const struct open_at *parts, size_t n)
{
	if (r->step != CONSUMER_REBALANCE_NONE)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct consumer_part *p = consumer_parts_find(r->parts, parts[i].partition);

		if (p && p->assigned)
			p->held = false;
	}
	/* Resumed where they stood, while still closed: resumed later they would
	 * go back there. */
	consumer_parts_align_pauses(r->parts);
	for (size_t i = 0; i < n; i++) {
		struct consumer_part *p = consumer_parts_find(r->parts, parts[i].partition);

		if (!p || !p->assigned)
			continue;
		p->next = parts[i].offset;
		p->open = true;
		if (r->parts->cooperative || i + 1 == n)
			consumer_parts_restart(r->parts, parts[i].partition);
	}
	return true;
}

/* --- events in order --- */

/* The event behind an assign that is under way takes its place. */
static void
overtake(struct consumer_rebalance *r)
{
	/* Cooperative: partitions are revoked by name, so librdkafka must have
	 * them. */
	if (r->parts->cooperative) {
		consumer_rebalance_hold(r);
		return;
	}
	consumer_jobs_stop_reading(r->jobs);
	rd_kafka_topic_partition_list_destroy(r->moving);
	r->moving = NULL;
	r->step = CONSUMER_REBALANCE_NONE;
}

static void
serve_events(struct consumer_rebalance *r)
{
	struct consumer_rebalance_event *e;

	while ((e = STAILQ_FIRST(&r->events)) && r->step != CONSUMER_REBALANCE_REVOKING) {
		rd_kafka_topic_partition_list_t *told;

		/* Cooperative: more partitions come when these are open. */
		if (r->step != CONSUMER_REBALANCE_NONE && r->parts->cooperative && e->assign)
			return;
		if (r->step != CONSUMER_REBALANCE_NONE)
			overtake(r);
		/* Eager: an assign is the whole assignment; what the owner still
		 * has was lost without an event. */
		told = e->assign && !r->parts->cooperative ? told_parts(r) : NULL;
		r->moving_stays = told != NULL;
		if (told) {
			serve_revoke(r, told, /* lost= */ true);
			continue;
		}
		STAILQ_REMOVE_HEAD(&r->events, link);
		if (e->assign)
			serve_assign(r, e->parts);
		else
			serve_revoke(r, e->parts, rd_kafka_assignment_lost(r->parts->rk));
		free(e);
	}
}

/* The partitions that there is memory for; librdkafka is told of the others
 * by our answer, which lacks them. */
static rd_kafka_topic_partition_list_t *
our_parts(struct consumer_rebalance *r, const rd_kafka_topic_partition_list_t *parts)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(parts->cnt + 1);

	for (int i = 0; i < parts->cnt; i++) {
		if (consumer_parts_make(r->parts, parts->elems[i].partition))
			rd_kafka_topic_partition_list_add(list, r->parts->topic,
							  parts->elems[i].partition);
		else
			log_error("out of memory; partition %d of '%s' is not read",
				  (int)parts->elems[i].partition, r->parts->topic);
	}
	return list;
}

void
consumer_rebalance_event(struct consumer_rebalance *r, bool is_assign,
			 const rd_kafka_topic_partition_list_t *parts)
{
	struct consumer_rebalance_event *e = calloc(1, sizeof(*e));

	if (!e) {
		/* Without an answer the whole group would wait. */
		log_error("out of memory in a rebalance; giving up the assignment");
		(void)rd_kafka_assign(r->parts->rk, NULL);
		return;
	}
	e->assign = is_assign;
	e->parts = our_parts(r, parts);
	STAILQ_INSERT_TAIL(&r->events, e, link);
	serve_events(r);
}

void
consumer_rebalance_lose(struct consumer_rebalance *r)
{
	rd_kafka_topic_partition_list_t *told;

	if (r->step != CONSUMER_REBALANCE_NONE || !STAILQ_EMPTY(&r->events))
		return;
	told = told_parts(r);
	if (!told)
		return;
	log_warn("kafka: the group does not answer; giving up the partitions as lost");
	r->moving_stays = false;
	serve_revoke(r, told, /* lost= */ true);
}

void
consumer_rebalance_release(struct consumer_rebalance *r)
{
	struct consumer_rebalance_event *e;

	while ((e = STAILQ_FIRST(&r->events))) {
		STAILQ_REMOVE_HEAD(&r->events, link);
		rd_kafka_topic_partition_list_destroy(e->parts);
		free(e);
	}
	if (r->moving)
		rd_kafka_topic_partition_list_destroy(r->moving);
	r->moving = NULL;
	r->step = CONSUMER_REBALANCE_NONE;
	group_meta_unref(r->meta);
	r->meta = NULL;
}

/* --- once a second --- */

void
consumer_rebalance_tick(struct consumer_rebalance *r)
{
	rd_kafka_resp_err_t why = consumer_jobs_wait_reason(r->jobs);

	if (r->step != CONSUMER_REBALANCE_READING)
		return;
	if (!r->jobs->reading)	/* could not be started */
		(void)consumer_jobs_read_offsets(r->jobs, r->moving);
	if (clock_mono_ms() - r->reading_since_ms >= SLOW_READ_MS)
		consumer_state_slow(r->state, why);
}
