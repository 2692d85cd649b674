/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/log.h"
#include "envdriver/kafka/offsets.h"
#include "consumer_impl.h"

enum { LOG_MS = 5000, REACH_MS = 1000 };

/* One blocking errand on the thread pool. */
struct consumer_helper {
	uv_work_t work;
	struct consumer *c;		/* NULL: nobody waits for it any more; the loop's */
	struct consumer_helper *next;	/* in `running` */
	struct consumer_helper **back;
	struct offsets *offsets;
	atomic_bool stop;
	atomic_int waits;		/* rd_kafka_resp_err_t */
	void (*after)(struct consumer_helper *h);

	rd_kafka_topic_partition_list_t *list;
	char *topic;
	int64_t *starts, *ends;
	bool ok;
};

static void
helper_free(struct consumer_helper *h)
{
	if (h->list)
		rd_kafka_topic_partition_list_destroy(h->list);
	offsets_unref(h->offsets);
	free(h->topic);
	free(h->starts);
	free(h->ends);
	free(h);
}

static struct consumer_helper *
helper_new(struct consumer *c, int n)
{
	struct consumer_helper *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->offsets = offsets_ref(c->offsets);
	h->c = c;
	h->work.data = h;
	h->topic = strdup(c->topic);
	h->starts = malloc(((size_t)n + 1) * sizeof(*h->starts));
	h->ends = malloc(((size_t)n + 1) * sizeof(*h->ends));
	h->list = rd_kafka_topic_partition_list_new(n + 1);
	for (int i = 0; h->starts && h->ends && i < n; i++)
		h->starts[i] = h->ends[i] = -1;
	if (h->topic && h->starts && h->ends)
		return h;
	helper_free(h);
	return NULL;
}

static void
unlink_helper(struct consumer_helper *h)
{
	if (!h->c)
		return;
	*h->back = h->next;
	if (h->next)
		h->next->back = h->back;
	h->c = NULL;
}

static void
after_work(uv_work_t *work, int status)
{
	struct consumer_helper *h = work->data;

	(void)status;
	if (h->c)
		h->after(h);
	unlink_helper(h);
	helper_free(h);
}

static bool
helper_start(struct consumer_helper *h, void (*fn)(uv_work_t *work),
	     void (*after)(struct consumer_helper *h))
{
	struct consumer *c = h->c;

	h->after = after;
	if (uv_queue_work(c->loop, &h->work, fn, after_work) != 0) {
		h->c = NULL;
		helper_free(h);
		return false;
	}
	h->next = c->helpers;
	h->back = &c->helpers;
	if (h->next)
		h->next->back = &h->next;
	c->helpers = h;
	return true;
}

/* --- committed offsets and where the log begins and ends --- */

static bool
stopped(void *arg)
{
	struct consumer_helper *h = arg;

	return atomic_load(&h->stop);
}

static void
on_wait(void *arg, rd_kafka_resp_err_t why)
{
	struct consumer_helper *h = arg;

	atomic_store(&h->waits, (int)why);
}

static void
read_logs(struct consumer_helper *h)
{
	int64_t until = clock_mono_ms() + LOG_MS;

	/* Best effort: what cannot be read in time stays -1. */
	for (int i = 0; i < h->list->cnt && !stopped(h); i++) {
		int64_t left = until - clock_mono_ms();

		if (left <= 0)
			break;
		(void)offsets_log(h->offsets, h->topic, h->list->elems[i].partition, (int)left,
				  &h->starts[i], &h->ends[i]);
	}
}

static void
read_work(uv_work_t *work)
{
	struct consumer_helper *h = work->data;
	const struct offsets_watch watch = { stopped, on_wait, h };

	h->ok = offsets_read(h->offsets, h->list, &watch, /* reterr= */ NULL) == 0;
	if (h->ok)
		read_logs(h);
}

static void
read_after(struct consumer_helper *h)
{
	struct consumer *c = h->c;
	rd_kafka_topic_partition_list_t *list = h->list;

	if (c->reading != h)
		return;
	c->reading = NULL;
	h->list = NULL;
	if (h->ok) {
		consumer_move_read(c, list, h->starts, h->ends);
		return;
	}
	rd_kafka_topic_partition_list_destroy(list);
	/* Stopped it was not, or `reading` would be another: out of memory. */
	log_error("out of memory while reading committed offsets, reading them again");
	(void)consumer_read_start(c, c->moving);
}

bool
consumer_read_start(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	struct consumer_helper *h = helper_new(c, list->cnt);

	if (!h)
		return false;
	for (int i = 0; i < list->cnt; i++)
		rd_kafka_topic_partition_list_add(h->list, list->elems[i].topic,
						  list->elems[i].partition);
	if (!helper_start(h, read_work, read_after))
		return false;
	c->reading = h;
	c->reading_since_ms = clock_mono_ms();
	return true;
}

void
consumer_read_cancel(struct consumer *c)
{
	if (c->reading)
		atomic_store(&c->reading->stop, true);
	c->reading = NULL;
}

rd_kafka_resp_err_t
consumer_read_waits(const struct consumer *c)
{
	return c->reading ? (rd_kafka_resp_err_t)atomic_load(&c->reading->waits)
			  : RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* --- one partition's log, after a gap --- */

static void
log_work(uv_work_t *work)
{
	struct consumer_helper *h = work->data;

	h->ok = offsets_log(h->offsets, h->topic, h->list->elems[0].partition, LOG_MS, h->starts,
			    h->ends);
}

static void
log_after(struct consumer_helper *h)
{
	consumer_state_log(h->c, h->list->elems[0].partition, h->ok, h->starts[0], h->ends[0]);
}

void
consumer_read_log(struct consumer *c, int32_t partition)
{
	struct consumer_helper *h = helper_new(c, 1);
	bool started = false;

	if (h) {
		rd_kafka_topic_partition_list_add(h->list, c->topic, partition);
		started = helper_start(h, log_work, log_after);
	}
	if (!started)
		consumer_state_log(c, partition, false, -1, -1);
}

/* --- is a broker there again? --- */

static void
reach_work(uv_work_t *work)
{
	struct consumer_helper *h = work->data;

	h->ok = offsets_reach(h->offsets, REACH_MS);
}

static void
reach_after(struct consumer_helper *h)
{
	h->c->reaching = false;
	consumer_state_reached(h->c, h->ok);
}

void
consumer_read_reach(struct consumer *c)
{
	struct consumer_helper *h = c->reaching ? NULL : helper_new(c, 0);

	if (h)
		c->reaching = helper_start(h, reach_work, reach_after);
}

/* Nobody waits for any of them any more. */
void
consumer_read_release(struct consumer *c)
{
	c->reading = NULL;
	while (c->helpers) {
		atomic_store(&c->helpers->stop, true);
		unlink_helper(c->helpers);
	}
}
