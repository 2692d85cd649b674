/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_parts.h"

#include <stdlib.h>

#include "envdriver/base/log.h"

enum { PARTITIONS_MAX = 1000000 };

void
consumer_parts_init(struct consumer_parts *ps, const char *topic, bool cooperative,
		    size_t backlog_limit)
{
	*ps = (struct consumer_parts){ .topic = topic, .cooperative = cooperative };
	consumer_backlog_init(&ps->backlog, backlog_limit);
}

void
consumer_parts_stop(struct consumer_parts *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		consumer_backlog_clear(&ps->backlog, &ps->at[i]->backlog);
	ps->rk = NULL;
	ps->records = NULL;
}

void
consumer_parts_release(struct consumer_parts *ps)
{
	consumer_parts_stop(ps);
	consumer_backlog_release(&ps->backlog);
	for (size_t i = 0; i < ps->n; i++)
		free(ps->at[i]);
	free(ps->at);
	ps->at = NULL;
	ps->n = 0;
}

struct consumer_part *
consumer_parts_find(struct consumer_parts *ps, int32_t number)
{
	if (number < 0 || (size_t)number >= ps->n)
		return NULL;
	return ps->at[number];
}

bool
consumer_parts_make(struct consumer_parts *ps, int32_t number)
{
	struct consumer_part **at;

	if (number < 0 || number >= PARTITIONS_MAX)
		return false;
	if ((size_t)number < ps->n)
		return true;
	at = realloc(ps->at, ((size_t)number + 1) * sizeof(*at));
	if (!at)
		return false;
	ps->at = at;
	for (; ps->n <= (size_t)number; ps->n++) {
		struct consumer_part *p = calloc(1, sizeof(*p));

		if (!p)
			return false;
		p->number = (int32_t)ps->n;
		STAILQ_INIT(&p->backlog);
		at[ps->n] = p;
	}
	return true;
}

/* --- pauses --- */

bool
consumer_parts_room(struct consumer_parts *ps)
{
	return !(consumer_backlog_full(&ps->backlog) && ps->any_full) &&
	       consumer_backlog_reserve(&ps->backlog);
}

void
consumer_parts_align_pauses(struct consumer_parts *ps)
{
	rd_kafka_topic_partition_list_t *pause, *resume;

	if (!ps->rk)
		return;
	ps->any_full = false;
	pause = rd_kafka_topic_partition_list_new(8);
	resume = rd_kafka_topic_partition_list_new(8);
	for (size_t i = 0; i < ps->n; i++) {
		struct consumer_part *p = ps->at[i];
		bool want;

		p->stopped &= p->full || !STAILQ_EMPTY(&p->backlog);
		want = p->held || p->stopped;
		ps->any_full |= p->assigned && p->full && !want;
		/* Never resume what is not paused: before 2.4 librdkafka then
		 * goes back to an old position (librdkafka #4637). */
		if (p->assigned && want != p->paused)
			rd_kafka_topic_partition_list_add(want ? pause : resume, ps->topic,
							  p->number);
		if (p->assigned)
			p->paused = want;
	}
	if (pause->cnt)
		(void)rd_kafka_pause_partitions(ps->rk, pause);
	if (resume->cnt)
		(void)rd_kafka_resume_partitions(ps->rk, resume);
	rd_kafka_topic_partition_list_destroy(pause);
	rd_kafka_topic_partition_list_destroy(resume);
}

/* --- librdkafka's assignment --- */

static void
log_refused(const char *what, rd_kafka_error_t *take_error)
{
	if (take_error)
		log_warn("kafka: %s was refused: %s", what, rd_kafka_error_string(take_error));
	rd_kafka_error_destroy(take_error);
}

static rd_kafka_error_t *
error_of_code(rd_kafka_resp_err_t code)
{
	return code ? rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)) : NULL;
}

/* Its records go into the queue of all partitions, not into the group's. */
static void
redirect_one(struct consumer_parts *ps, int32_t number)
{
	rd_kafka_queue_t *q = rd_kafka_queue_get_partition(ps->rk, ps->topic, number);

	if (!q)
		return;		/* they come by the group's */
	rd_kafka_queue_forward(q, ps->records);
	rd_kafka_queue_destroy(q);
}

void
consumer_parts_redirect(struct consumer_parts *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->at[i]->assigned)
			redirect_one(ps, ps->at[i]->number);
}

void
consumer_parts_assign(struct consumer_parts *ps, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		redirect_one(ps, list->elems[i].partition);
	log_refused("the assignment", ps->cooperative
					      ? rd_kafka_incremental_assign(ps->rk, list)
					      : error_of_code(rd_kafka_assign(ps->rk, list)));
	for (int i = 0; i < list->cnt; i++)
		ps->at[list->elems[i].partition]->assigned = true;
}

void
consumer_parts_unassign(struct consumer_parts *ps, const rd_kafka_topic_partition_list_t *list)
{
	log_refused("giving partitions up",
		    ps->cooperative ? rd_kafka_incremental_unassign(ps->rk, list)
				    : error_of_code(rd_kafka_assign(ps->rk, NULL)));
}

static bool
is_listed(const rd_kafka_topic_partition_list_t *list, int32_t number)
{
	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].partition == number)
			return true;
	return false;
}

/* librdkafka keeps our pauses over an assignment (F6): left as they are, the
 * next one would not be read, or begin where this one was paused. So they are
 * lifted now. */
void
consumer_parts_reset(struct consumer_parts *ps, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(8);

	for (size_t i = 0; i < ps->n; i++) {
		struct consumer_part *p = ps->at[i];

		if (ps->cooperative && !is_listed(list, p->number))
			continue;
		if (p->paused)
			rd_kafka_topic_partition_list_add(paused, ps->topic, p->number);
		consumer_backlog_clear(&ps->backlog, &p->backlog);
		*p = (struct consumer_part){ .number = p->number };
		STAILQ_INIT(&p->backlog);
	}
	if (paused->cnt)
		(void)rd_kafka_resume_partitions(ps->rk, paused);
	rd_kafka_topic_partition_list_destroy(paused);
}

void
consumer_parts_restart(struct consumer_parts *ps, int32_t number)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	/* A seek is refused where fetching has stopped. An eager assignment is
	 * made as a whole: the other partitions go on where they are. */
	for (size_t i = 0; i < ps->n; i++) {
		struct consumer_part *p = ps->at[i];

		if (!p->assigned || (ps->cooperative && p->number != number))
			continue;
		consumer_backlog_clear(&ps->backlog, &p->backlog);
		rd_kafka_topic_partition_list_add(list, ps->topic, p->number)->offset =
			p->held ? RD_KAFKA_OFFSET_END : p->next;
	}
	consumer_parts_align_pauses(ps);	/* one that was stopped no longer is */
	if (ps->cooperative)
		consumer_parts_unassign(ps, list);
	consumer_parts_assign(ps, list);
	rd_kafka_topic_partition_list_destroy(list);
}
