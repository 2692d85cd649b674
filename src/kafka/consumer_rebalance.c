/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * librdkafka's rebalance events are served one after another. An assign is
 * read (committed offsets, on a helper), offered to our owner, and ends with
 * consumer_open; a revoke is told and ends with consumer_let_go. librdkafka
 * waits for its answer to each, heartbeats go on meanwhile (F7).
 *
 * What comes while an assign is under way overtakes it: its read is given
 * up, and if our owner was told already, a revoke of what it was told comes
 * first. That happens when the session ran out between the event and our
 * answer: librdkafka then joins anew without revoking (seen in the source of
 * 2.0.2, rd_kafka_cgrp_revoke_all_rejoin).
 */
#include <assert.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "consumer_impl.h"

static void next_event(struct consumer *c);

/* --- librdkafka's assignment --- */

static void
log_refused(const char *what, rd_kafka_error_t *take_error)
{
	if (take_error)
		log_warn("kafka: %s refused: %s", what, rd_kafka_error_string(take_error));
	rd_kafka_error_destroy(take_error);
}

static rd_kafka_error_t *
error_of(rd_kafka_resp_err_t code)
{
	return code ? rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)) : NULL;
}

/* Its records have a queue of their own. */
static void
redirect(struct consumer *c, int32_t partition)
{
	rd_kafka_queue_t *q = rd_kafka_queue_get_partition(c->rk, c->topic, partition);

	if (!q)
		return;		/* they come by the group's */
	rd_kafka_queue_forward(q, c->records);
	rd_kafka_queue_destroy(q);
}

/* Where an assignment is replaced by another, the partition is stopped later,
 * on librdkafka's thread, which takes the redirection away and does not set
 * the group's queue in its place (rd_kafka_toppar_fetch_stop and
 * rd_kafka_toppar_op_fetch_start, 2.0.2 and 2.15): nothing would come any
 * more. Made again once a second; what waits goes along. */
void
consumer_move_redirect(struct consumer *c)
{
	for (size_t i = 0; i < c->n_parts; i++)
		if (c->parts[i].assigned)
			redirect(c, (int32_t)i);
}

static void
assign(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		redirect(c, list->elems[i].partition);
	log_refused("the assignment", c->cooperative ? rd_kafka_incremental_assign(c->rk, list)
						     : error_of(rd_kafka_assign(c->rk, list)));
	for (int i = 0; i < list->cnt; i++)
		c->parts[list->elems[i].partition].assigned = true;
}

static void
unassign(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	log_refused("giving partitions up",
		    c->cooperative ? rd_kafka_incremental_unassign(c->rk, list)
				   : error_of(rd_kafka_assign(c->rk, NULL)));
}

static bool
in_list(const rd_kafka_topic_partition_list_t *list, size_t partition)
{
	for (int i = 0; i < list->cnt; i++)
		if ((size_t)list->elems[i].partition == partition)
			return true;
	return false;
}

/* Forgets partitions; eager, all of them. librdkafka keeps our pauses over an
 * assignment (F6): left as they are, the next one would not be read, or
 * begin where this one was paused. So they go now. */
static void
drop_parts(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(8);

	for (size_t i = 0; i < c->n_parts; i++) {
		if (c->cooperative && !in_list(list, i))
			continue;
		if (c->parts[i].paused)
			rd_kafka_topic_partition_list_add(paused, c->topic, (int32_t)i);
		consumer_shelf_clear(c, &c->parts[i]);
		c->parts[i] = (struct consumer_part){ 0 };
	}
	if (paused->cnt)
		(void)rd_kafka_resume_partitions(c->rk, paused);
	rd_kafka_topic_partition_list_destroy(paused);
}

/* --- revoke --- */

static void
close_parts(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		struct consumer_part *p = &c->parts[list->elems[i].partition];

		p->open = false;
		consumer_shelf_clear(c, p);
	}
}

/* Tells the owner of those partitions that it knows of. False when it knows
 * of none: then there is nothing to wait for. */
static bool
tell_revoke(struct consumer *c, bool lost)
{
	const rd_kafka_topic_partition_list_t *list = c->moving;
	int32_t *told = calloc((size_t)list->cnt + 1, sizeof(*told));
	size_t n = 0;

	for (int i = 0; told && i < list->cnt; i++)
		if (c->parts[list->elems[i].partition].told)
			told[n++] = list->elems[i].partition;
	if (!told)
		log_error("out of memory in a rebalance, partitions are given up untold");
	if (n > 0) {
		c->step = CONSUMER_REVOKING;
		c->ev.on_revoke(c->ev.arg, told, n, lost);
	}
	free(told);
	return n > 0;
}

static void
finish_revoke(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = c->moving;

	group_meta_unref(c->meta);
	c->meta = NULL;
	c->moving = NULL;
	c->step = CONSUMER_QUIET;
	if (!c->moving_stays)
		unassign(c, list);
	drop_parts(c, list);
	rd_kafka_topic_partition_list_destroy(list);
	consumer_align_pauses(c);	/* none of them holds up others any more */
}

static void
serve_revoke(struct consumer *c, rd_kafka_topic_partition_list_t *take_list, bool lost)
{
	c->moving = take_list;
	close_parts(c, c->moving);
	if (!tell_revoke(c, lost))
		finish_revoke(c);
}

void
consumer_let_go(struct consumer *c)
{
	if (c->step != CONSUMER_REVOKING)
		return;
	finish_revoke(c);
	next_event(c);
}

/* --- assign --- */

/* Everything that the owner still believes to have; NULL when nothing. */
static rd_kafka_topic_partition_list_t *
told_parts(const struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	for (size_t i = 0; i < c->n_parts; i++)
		if (c->parts[i].told)
			rd_kafka_topic_partition_list_add(list, c->topic, (int32_t)i);
	if (list->cnt > 0)
		return list;
	rd_kafka_topic_partition_list_destroy(list);
	return NULL;
}

static void
offer(struct consumer *c, const rd_kafka_topic_partition_list_t *list, const int64_t *starts,
      const int64_t *ends)
{
	struct assigned *parts = calloc((size_t)list->cnt + 1, sizeof(*parts));

	if (!parts) {
		log_error("out of memory in a rebalance, the partitions are held");
		consumer_move_hold(c);
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
		c->parts[tp->partition].told = true;
	}
	c->step = CONSUMER_OFFERED;
	c->ev.on_assign(c->ev.arg, parts, (size_t)list->cnt);
	free(parts);
}

void
consumer_move_read(struct consumer *c, rd_kafka_topic_partition_list_t *take_list,
		   const int64_t *starts, const int64_t *ends)
{
	assert(c->step == CONSUMER_READING);
	offer(c, take_list, starts, ends);
	rd_kafka_topic_partition_list_destroy(take_list);
}

static void
serve_assign(struct consumer *c, rd_kafka_topic_partition_list_t *take_list)
{
	c->moving = take_list;
	if (c->moving->cnt == 0) {	/* F8, or more members than partitions */
		offer(c, c->moving, NULL, NULL);
		return;
	}
	c->step = CONSUMER_READING;
	c->reading_since_ms = clock_mono_ms();
	(void)consumer_read_start(c, c->moving);	/* the tick tries again */
}

/* The list of `moving` with offsets; what is not in `parts` is held: it
 * begins at the end, paused. */
static void
set_offsets(struct consumer *c, const struct open_at *parts, size_t n)
{
	rd_kafka_topic_partition_list_t *list = c->moving;

	for (int i = 0; i < list->cnt; i++) {
		struct consumer_part *p = &c->parts[list->elems[i].partition];

		list->elems[i].offset = RD_KAFKA_OFFSET_END;
		consumer_shelf_clear(c, p);
		*p = (struct consumer_part){ .told = p->told, .held = true };
		for (size_t k = 0; k < n; k++) {
			if (parts[k].partition != list->elems[i].partition)
				continue;
			list->elems[i].offset = p->next = parts[k].offset;
			p->held = false;
		}
	}
}

static void
finish_assign(struct consumer *c, const struct open_at *parts, size_t n)
{
	set_offsets(c, parts, n);
	assign(c, c->moving);
	for (int i = 0; i < c->moving->cnt; i++) {
		struct consumer_part *p = &c->parts[c->moving->elems[i].partition];

		p->open = !p->held;
	}
	rd_kafka_topic_partition_list_destroy(c->moving);
	c->moving = NULL;
	c->step = CONSUMER_QUIET;
	consumer_align_pauses(c);
}

void
consumer_open(struct consumer *c, const struct open_at *parts, size_t n)
{
	if (c->step != CONSUMER_OFFERED)
		return;
	c->pause_all = false;
	finish_assign(c, parts, n);
	group_meta_unref(c->meta);
	c->meta = group_meta_new(rd_kafka_consumer_group_metadata(c->rk));
	consumer_state_assigned(c);
	next_event(c);
}

void
consumer_move_hold(struct consumer *c)
{
	if (c->step != CONSUMER_READING && c->step != CONSUMER_OFFERED)
		return;
	consumer_read_cancel(c);
	finish_assign(c, NULL, 0);
}

/* --- a partition that librdkafka stopped reading --- */

void
consumer_move_restart(struct consumer *c, int32_t partition)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	/* A seek is refused where fetching has stopped. Eager, an assignment
	 * is made as a whole: the others go on where they are. */
	for (size_t i = 0; i < c->n_parts; i++) {
		struct consumer_part *p = &c->parts[i];

		if (!p->assigned || (c->cooperative && (int32_t)i != partition))
			continue;
		consumer_shelf_clear(c, p);
		rd_kafka_topic_partition_list_add(list, c->topic, (int32_t)i)->offset =
			p->held ? RD_KAFKA_OFFSET_END : p->next;
	}
	consumer_align_pauses(c);	/* one that was jammed is not any more */
	if (c->cooperative)
		unassign(c, list);
	assign(c, list);
	rd_kafka_topic_partition_list_destroy(list);
}

bool
consumer_unhold(struct consumer *c, const struct open_at *parts, size_t n)
{
	if (c->step != CONSUMER_QUIET || c->leaving)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct consumer_part *p = consumer_part(c, parts[i].partition);

		if (p && p->assigned)
			p->held = false;
	}
	/* Resumed where it stood, and closed still: resumed later it would go
	 * back there. */
	consumer_align_pauses(c);
	for (size_t i = 0; i < n; i++) {
		struct consumer_part *p = consumer_part(c, parts[i].partition);

		if (!p || !p->assigned)
			continue;
		p->next = parts[i].offset;
		p->open = true;
		if (c->cooperative || i + 1 == n)
			consumer_move_restart(c, parts[i].partition);
	}
	return true;
}

/* --- events in order --- */

static struct consumer_event *
pop(struct consumer *c)
{
	struct consumer_event *e = c->events;

	if (e)
		c->events = e->next;
	return e;
}

/* An assign under way is overtaken by the event behind it. */
static void
overtake(struct consumer *c)
{
	/* Cooperative: what is revoked is revoked by name, so that librdkafka
	 * must have it. */
	if (c->cooperative) {
		consumer_move_hold(c);
		return;
	}
	consumer_read_cancel(c);
	rd_kafka_topic_partition_list_destroy(c->moving);
	c->moving = NULL;
	c->step = CONSUMER_QUIET;
}

static void
next_event(struct consumer *c)
{
	while (c->events && c->step != CONSUMER_REVOKING) {
		rd_kafka_topic_partition_list_t *told;
		struct consumer_event *e;

		/* Cooperative: more partitions come when these are open. */
		if (c->step != CONSUMER_QUIET && c->cooperative && c->events->assign)
			return;
		if (c->step != CONSUMER_QUIET)
			overtake(c);
		/* Eager: an assign is the whole assignment; what the owner still
		 * has was lost without a word. */
		told = c->events->assign && !c->cooperative ? told_parts(c) : NULL;
		c->moving_stays = told != NULL;
		if (told) {
			serve_revoke(c, told, /* lost= */ true);
			continue;
		}
		e = pop(c);
		if (e->assign)
			serve_assign(c, e->parts);
		else
			serve_revoke(c, e->parts, rd_kafka_assignment_lost(c->rk));
		free(e);
	}
}

/* Only partitions of our topic that we can hold; the others stay with
 * librdkafka, which is told so by the answer. */
static rd_kafka_topic_partition_list_t *
ours(struct consumer *c, const rd_kafka_topic_partition_list_t *parts)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(parts->cnt + 1);

	for (int i = 0; i < parts->cnt; i++) {
		if (consumer_part_make(c, parts->elems[i].partition))
			rd_kafka_topic_partition_list_add(list, c->topic,
							  parts->elems[i].partition);
		else
			log_error("partition %d of '%s' is left unread: out of memory",
				  (int)parts->elems[i].partition, c->topic);
	}
	return list;
}

void
consumer_move_event(struct consumer *c, bool is_assign,
		    const rd_kafka_topic_partition_list_t *parts)
{
	struct consumer_event *e = calloc(1, sizeof(*e)), **last = &c->events;

	if (!e) {
		/* Unanswered it would hold the whole group up. */
		log_error("out of memory in a rebalance, the assignment is dropped");
		(void)rd_kafka_assign(c->rk, NULL);
		return;
	}
	e->assign = is_assign;
	e->parts = ours(c, parts);
	while (*last)
		last = &(*last)->next;
	*last = e;
	next_event(c);
}

void
consumer_move_give_up(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *told;

	if (c->step != CONSUMER_QUIET || c->events)
		return;
	told = told_parts(c);
	if (!told)
		return;
	log_warn("kafka: the group does not answer, partitions are given up as lost");
	c->moving_stays = false;
	serve_revoke(c, told, /* lost= */ true);
}

void
consumer_move_release(struct consumer *c)
{
	struct consumer_event *e;

	while ((e = pop(c))) {
		rd_kafka_topic_partition_list_destroy(e->parts);
		free(e);
	}
	if (c->moving)
		rd_kafka_topic_partition_list_destroy(c->moving);
	c->moving = NULL;
	c->step = CONSUMER_QUIET;
	group_meta_unref(c->meta);
	c->meta = NULL;
}
