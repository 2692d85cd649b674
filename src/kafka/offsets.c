/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/offsets.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/client.h"

enum { PAUSE_MS = 50, POLL_MS = 100 };

struct offsets {
	const struct config *config;
	rd_kafka_t *rk;
	atomic_uint tries;	/* since something was answered */
	atomic_int refs;
};

struct offsets *
offsets_new(const struct config *config, struct err *reterr)
{
	struct offsets *o = calloc(1, sizeof(*o));

	if (!o) {
		err_nomem(reterr);
		return NULL;
	}
	o->config = config;
	o->rk = client_open(config, CLIENT_CONF_OFFSETS, NULL, NULL, reterr);
	if (!o->rk) {
		free(o);
		return NULL;
	}
	atomic_init(&o->refs, 1);
	return o;
}

struct offsets *
offsets_ref(struct offsets *o)
{
	atomic_fetch_add(&o->refs, 1);
	return o;
}

void
offsets_unref(struct offsets *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	client_close(o->rk);
	free(o);
}

static void
count(struct offsets *o, bool answered)
{
	if (answered)
		atomic_store(&o->tries, 0);
	else
		client_bootstrap(o->config, o->rk, atomic_fetch_add(&o->tries, 1) + 1);
}

/* One try on a list of its own, so that an answer for some of the partitions
 * is not taken for all. */
static rd_kafka_resp_err_t
try_committed(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list,
	      rd_kafka_topic_partition_list_t **ret)
{
	rd_kafka_topic_partition_list_t *answer = rd_kafka_topic_partition_list_new(list->cnt);
	rd_kafka_resp_err_t code;

	for (int i = 0; i < list->cnt; i++)
		rd_kafka_topic_partition_list_add(answer, list->elems[i].topic,
						  list->elems[i].partition);
	code = rd_kafka_committed(rk, answer, OFFSETS_STEP_MS);
	for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < answer->cnt; i++)
		code = answer->elems[i].err;
	/* It may have been sorted on the way; ours must answer for the same. */
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && answer->cnt != list->cnt)
		code = RD_KAFKA_RESP_ERR__BAD_MSG;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		*ret = answer;
	else
		rd_kafka_topic_partition_list_destroy(answer);
	return code;
}

static int
copy_committed(rd_kafka_topic_partition_list_t *list, rd_kafka_topic_partition_list_t *answer)
{
	for (int i = 0; i < list->cnt; i++) {
		rd_kafka_topic_partition_t *to = &list->elems[i];
		const rd_kafka_topic_partition_t *from =
			rd_kafka_topic_partition_list_find(answer, to->topic,
							   to->partition);
		char *metadata = NULL;

		if (from && from->metadata_size) {
			metadata = malloc(from->metadata_size);
			if (!metadata)
				return ERR_NOMEM;
			memcpy(metadata, from->metadata, from->metadata_size);
		}
		free(to->metadata);
		to->metadata = metadata;
		to->metadata_size = metadata ? from->metadata_size : 0;
		to->offset = from && from->offset >= 0 ? from->offset : RD_KAFKA_OFFSET_INVALID;
	}
	return 0;
}

static void
pause_a_moment(void)
{
	const struct timespec t = { 0, PAUSE_MS * 1000000L };

	nanosleep(&t, NULL);
}

int
offsets_read(struct offsets *o, rd_kafka_topic_partition_list_t *list,
	     const struct offsets_watch *watch, struct err *reterr)
{
	rd_kafka_topic_partition_list_t *answer = NULL;
	rd_kafka_resp_err_t code;
	int ret;

	while (!watch->stop(watch->arg)) {
		/* Serves its events: a client that is never polled keeps them. */
		(void)rd_kafka_poll(o->rk, 0);
		code = try_committed(o->rk, list, &answer);
		count(o, code == RD_KAFKA_RESP_ERR_NO_ERROR);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			ret = copy_committed(list, answer);
			rd_kafka_topic_partition_list_destroy(answer);
			return ret < 0 ? err_nomem(reterr) : 0;
		}
		if (watch->on_wait)
			watch->on_wait(watch->arg, code);
		pause_a_moment();
	}
	return err_set(reterr, ERR_CLOSED, "reading the committed offsets was stopped");
}

static rd_kafka_resp_err_t
edge_of_log(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t which,
	    int timeout_ms, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *tp = rd_kafka_topic_partition_list_add(list, topic, partition);
	rd_kafka_resp_err_t code;

	tp->offset = which;
	code = rd_kafka_offsets_for_times(rk, list, timeout_ms);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = tp->err;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && tp->offset < 0)
		code = RD_KAFKA_RESP_ERR__BAD_MSG;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		*ret = tp->offset;
	rd_kafka_topic_partition_list_destroy(list);
	return code;
}

/* By rd_kafka_offsets_for_times: before 2.12 rd_kafka_query_watermark_offsets
 * has no time-out once it has asked (librdkafka #4460, #5201), and goes on
 * asking a leader that died until it comes back. */
rd_kafka_resp_err_t
offsets_edges(rd_kafka_t *rk, const char *topic, int32_t partition, int timeout_ms,
	      int64_t *ret_start, int64_t *ret_end)
{
	int64_t until = clock_mono_ms() + timeout_ms, left, start = -1;
	rd_kafka_resp_err_t code =
		edge_of_log(rk, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, &start);

	left = until - clock_mono_ms();
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = edge_of_log(rk, topic, partition, RD_KAFKA_OFFSET_END,
				   left > 0 ? (int)left : 1, ret_end);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		*ret_start = start;
	return code;
}

/* A client that reads nothing does not look for the next leader by itself
 * (librdkafka #4225 mended that in 2.3 for the other call only). */
static void
look_up_leaders(rd_kafka_t *rk, const char *topic, int timeout_ms)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	const struct rd_kafka_metadata *md = NULL;

	if (!rkt)
		return;
	(void)rd_kafka_metadata(rk, 0, rkt, &md, timeout_ms);
	if (md)
		rd_kafka_metadata_destroy(md);
	rd_kafka_topic_destroy(rkt);
}

static int
step_until(int64_t until)
{
	int64_t left = until - clock_mono_ms();

	return left < OFFSETS_STEP_MS ? (int)left : OFFSETS_STEP_MS;
}

bool
offsets_log(struct offsets *o, const char *topic, int32_t partition, int timeout_ms,
	    int64_t *ret_start, int64_t *ret_end)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	rd_kafka_resp_err_t code;
	int ms;

	while ((ms = step_until(until)) > 0) {
		code = offsets_edges(o->rk, topic, partition, ms, ret_start, ret_end);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			return true;
		/* A leader that is gone has many names (2.16: _DESTROY_BROKER,
		 * then _UNKNOWN_PARTITION); this is what no other can cure. */
		if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			break;
		ms = step_until(until);
		if (ms > 0)
			look_up_leaders(o->rk, topic, ms);
		pause_a_moment();
	}
	return false;
}

bool
offsets_reach(struct offsets *o, int timeout_ms)
{
	const struct rd_kafka_metadata *md = NULL;
	rd_kafka_resp_err_t code = rd_kafka_metadata(o->rk, 0, NULL, &md, timeout_ms);

	if (md)
		rd_kafka_metadata_destroy(md);
	count(o, code == RD_KAFKA_RESP_ERR_NO_ERROR);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* The first thing that comes: a record, the end of the log, or an error. */
static rd_kafka_resp_err_t
poll_first(rd_kafka_t *rk, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_message_t *m = NULL;

	while (!m && clock_mono_ms() < until)
		m = rd_kafka_consumer_poll(rk, POLL_MS);
	if (m)
		code = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ? RD_KAFKA_RESP_ERR_NO_ERROR :
								     m->err;
	if (m)
		rd_kafka_message_destroy(m);
	return code;
}

rd_kafka_resp_err_t
offsets_try(struct offsets *o, const char *topic, int32_t partition, int timeout_ms)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1), *got = NULL;
	rd_kafka_t *rk = client_open(o->config, CLIENT_CONF_OFFSETS, NULL, NULL, NULL);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FAIL;

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_END;
	if (rk)
		code = try_committed(rk, list, &got);
	if (got)
		rd_kafka_topic_partition_list_destroy(got);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = rd_kafka_assign(rk, list);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = poll_first(rk, timeout_ms);
	rd_kafka_topic_partition_list_destroy(list);
	client_close(rk);
	return code;
}
