/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * librdkafka's simple consumer: partitions are read without a group, which
 * needs no permission on a group and disturbs no worker. With an end, each
 * partition has a head, and the oldest head is next; without, all partitions
 * feed one queue.
 */
#include "envdriver/client/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/client/kafka.h"
#include "envdriver/kafka/offsets.h"

enum { LOOK_MS = 10000, OFFSETS_MS = 20000, HEAD_MS = 200, AWAY_MS = 30000,
       AGAIN_US = 100000 };

struct part {
	enum topic topic;
	rd_kafka_topic_t *rkt;		/* borrowed from the reader */
	int32_t partition;
	int64_t next, end;
	struct reader_range range;
	bool started, done;		/* done: `end` was reached */
	rd_kafka_message_t *head;
};

struct reader {
	const struct config *config;
	struct kafka *kafka;
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *topics[TOPIC_COUNT];
	int32_t counts[TOPIC_COUNT];
	struct part *parts;
	size_t n_parts, last;		/* `last`: where the last record came from */
	size_t behind;			/* not done; unbounded mode */
	bool bounded;
	rd_kafka_queue_t *queue;	/* unbounded mode */
	rd_kafka_message_t *current;
};

struct reader *
reader_new(const struct config *config, struct err *reterr)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r) {
		err_nomem(reterr);
		return NULL;
	}
	r->config = config;
	r->kafka = kafka_new(config, KAFKA_READER, NULL, NULL, reterr);
	if (!r->kafka) {
		free(r);
		return NULL;
	}
	return r;
}

void
reader_free(struct reader *r)
{
	if (!r)
		return;
	if (r->current)
		rd_kafka_message_destroy(r->current);
	for (size_t i = 0; i < r->n_parts; i++) {
		if (r->parts[i].head)
			rd_kafka_message_destroy(r->parts[i].head);
		if (r->parts[i].started)
			rd_kafka_consume_stop(r->parts[i].rkt, r->parts[i].partition);
	}
	if (r->queue)
		rd_kafka_queue_destroy(r->queue);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (r->topics[t])
			rd_kafka_topic_destroy(r->topics[t]);
	if (r->md)
		rd_kafka_metadata_destroy(r->md);
	kafka_free(r->kafka);
	free(r->parts);
	free(r);
}

static int
add_part(struct reader *r, enum topic topic, int32_t partition, struct err *reterr)
{
	struct part *grown = realloc(r->parts, (r->n_parts + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(reterr);
	r->parts = grown;
	grown[r->n_parts++] = (struct part){
		.topic = topic,
		.rkt = r->topics[topic],
		.partition = partition,
	};
	return 0;
}

int
reader_add(struct reader *r, enum topic topic, int32_t partition, struct err *reterr)
{
	const struct rd_kafka_metadata_topic *found = NULL;
	char name[KAFKA_TOPIC_MAX];
	int ret = 0;

	kafka_topic(r->config, topic, name);
	if (!r->md)
		ret = kafka_metadata(r->kafka, LOOK_MS, &r->md, reterr);
	if (ret == 0)
		ret = kafka_find_topic(r->kafka, r->md, name, &found, reterr);
	if (ret < 0)
		return ret;
	if (partition >= found->partition_cnt)
		return err_set(reterr, ERR_INVALID,
			       "topic '%s' has no partition %d, only %d partitions", name,
			       partition, found->partition_cnt);
	r->counts[topic] = found->partition_cnt;
	r->topics[topic] = rd_kafka_topic_new(kafka_client(r->kafka), name, /* conf= */ NULL);
	if (!r->topics[topic])
		return kafka_error(r->kafka, rd_kafka_last_error(), "read", reterr);
	if (partition >= 0)
		return add_part(r, topic, partition, reterr);
	for (int32_t p = 0; p < found->partition_cnt && ret == 0; p++)
		ret = add_part(r, topic, p, reterr);
	return ret;
}

int32_t
reader_partitions(const struct reader *r, enum topic topic)
{
	return r->counts[topic];
}

static rd_kafka_resp_err_t
ask_offsets(struct reader *r, int64_t ask, int timeout_ms, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)r->n_parts);
	rd_kafka_resp_err_t rc;

	for (size_t i = 0; i < r->n_parts; i++)
		rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(r->parts[i].rkt),
						  r->parts[i].partition)->offset = ask;
	rc = rd_kafka_offsets_for_times(kafka_client(r->kafka), list, timeout_ms);
	for (size_t i = 0; i < r->n_parts && !rc; i++) {
		rc = list->elems[i].err;
		ret[i] = list->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return rc;
}

/* The offset of a place in each partition, with one request per broker. For a
 * read_committed client the end is the last stable offset. Leaders are not
 * known yet right after a topic was created or a broker came back. */
static int
offsets_at(struct reader *r, const struct reader_place *place, int64_t *ret, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + OFFSETS_MS;
	int64_t ask = place->at == READER_BEGINNING ? RD_KAFKA_OFFSET_BEGINNING
		      : place->at == READER_END	    ? RD_KAFKA_OFFSET_END
						    : place->value;
	rd_kafka_resp_err_t rc;

	for (;;) {
		int64_t left = deadline - clock_mono_ms();

		rc = ask_offsets(r, ask, left > 0 ? (int)left : 1, ret);
		if (rc != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
		    rc != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE &&
		    rc != RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE &&
		    rc != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
		    rc != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
			break;
		if (left <= 0)
			break;
		usleep(AGAIN_US);
	}
	return rc ? kafka_error(r->kafka, rc, "look up offsets", reterr) : 0;
}

/* Where `place` is; a time past the last record is the end. */
static int
resolve_place(struct reader *r, const struct reader_place *place, const int64_t *ends, int64_t *ret,
	      struct err *reterr)
{
	int rc;

	if (place->at == READER_OFFSET) {
		for (size_t i = 0; i < r->n_parts; i++)
			ret[i] = place->value;
		return 0;
	}
	rc = offsets_at(r, place, ret, reterr);
	for (size_t i = 0; i < r->n_parts && rc == 0; i++)
		if (ret[i] < 0)
			ret[i] = ends[i];
	return rc;
}

bool
reader_range(const struct reader *r, enum topic topic, int32_t partition,
	     struct reader_range *ret)
{
	for (size_t i = 0; i < r->n_parts; i++) {
		if (r->parts[i].topic != topic || r->parts[i].partition != partition)
			continue;
		*ret = r->parts[i].range;
		return true;
	}
	return false;
}

int
reader_log(struct reader *r, enum topic topic, int32_t partition, int64_t *ret_start,
	   int64_t *ret_end, struct err *reterr)
{
	char name[KAFKA_TOPIC_MAX];
	rd_kafka_resp_err_t rc = offsets_edges(kafka_client(r->kafka),
					       kafka_topic(r->config, topic, name), partition,
					       OFFSETS_MS, ret_start, ret_end);

	return rc ? kafka_error(r->kafka, rc, "look up offsets", reterr) : 0;
}

bool
reader_caught_up(const struct reader *r)
{
	return r->behind == 0;
}

static int
start_part(struct reader *r, struct part *p, struct err *reterr)
{
	int rc = r->queue ? rd_kafka_consume_start_queue(p->rkt, p->partition, p->next, r->queue)
			  : rd_kafka_consume_start(p->rkt, p->partition, p->next);

	if (rc < 0)
		return kafka_error(r->kafka, rd_kafka_last_error(), "read", reterr);
	p->started = true;
	return 0;
}

int
reader_open(struct reader *r, const struct reader_place *from, const struct reader_place *to,
	    struct err *reterr)
{
	static const struct reader_place end = { READER_END, 0 }, low = { READER_BEGINNING, 0 };
	int64_t *ends = calloc(r->n_parts + 1, sizeof(*ends));
	int64_t *at = calloc(r->n_parts + 1, sizeof(*at));
	int64_t *lows = calloc(r->n_parts + 1, sizeof(*lows));
	int ret = ends && at && lows ? 0 : err_nomem(reterr);

	r->bounded = to != NULL;
	if (ret < 0 || (ret = offsets_at(r, &end, ends, reterr)) < 0 ||
	    (ret = offsets_at(r, &low, lows, reterr)) < 0 ||
	    (ret = resolve_place(r, from, ends, at, reterr)) < 0)
		goto out;
	for (size_t i = 0; i < r->n_parts; i++)
		r->parts[i].next = at[i] < lows[i] ? lows[i] : at[i];
	if (to) {
		ret = resolve_place(r, to, ends, at, reterr);
		if (ret < 0)
			goto out;
	} else {
		memcpy(at, ends, r->n_parts * sizeof(*at));
		r->queue = rd_kafka_queue_new(kafka_client(r->kafka));
	}
	for (size_t i = 0; i < r->n_parts && ret == 0; i++) {
		struct part *p = &r->parts[i];

		p->end = at[i] < ends[i] ? at[i] : ends[i];
		p->range = (struct reader_range){ lows[i], p->next, p->end, ends[i] };
		p->done = p->next >= p->end;
		r->behind += !p->done;
		if (!p->done || !r->bounded)
			ret = start_part(r, p, reterr);
	}
out:
	free(ends);
	free(at);
	free(lows);
	return ret;
}

static void
fill_record(struct reader *r, const struct part *p, rd_kafka_message_t *m,
	    struct reader_record *ret)
{
	rd_kafka_timestamp_type_t type;

	if (r->current)
		rd_kafka_message_destroy(r->current);
	r->current = m;
	*ret = (struct reader_record){
		.topic = p->topic,
		.topic_name = rd_kafka_topic_name(m->rkt),
		.partition = m->partition,
		.offset = m->offset,
		.timestamp = rd_kafka_message_timestamp(m, &type),
		.key = { m->key, m->key_len },
		.value = { m->payload, m->len },
		.message = m,
	};
}

/* Fetches the partition's next message as its head, or finds its end. */
static int
fetch_head(struct reader *r, struct part *p, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + AWAY_MS;
	rd_kafka_message_t *m;
	int ret;

	while (!p->head && !p->done) {
		rd_kafka_poll(kafka_client(r->kafka), 0);
		m = rd_kafka_consume(p->rkt, p->partition, HEAD_MS);
		if (!m && clock_mono_ms() > deadline)
			return kafka_error(r->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "read", reterr);
		if (!m)
			continue;
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			p->done = m->offset >= p->end;
		} else if (m->err) {
			ret = kafka_error(r->kafka, m->err, "read", reterr);
			rd_kafka_message_destroy(m);
			return ret;
		} else if (m->offset < p->end) {
			p->head = m;
			return 0;
		} else {
			p->done = true;
		}
		rd_kafka_message_destroy(m);
	}
	return 0;
}

static int64_t
head_time(const struct part *p)
{
	rd_kafka_timestamp_type_t type;

	return rd_kafka_message_timestamp(p->head, &type);
}

static int
next_bounded(struct reader *r, struct reader_record *ret, struct err *reterr)
{
	struct part *oldest = NULL;
	rd_kafka_message_t *m;

	for (size_t i = 0; i < r->n_parts; i++) {
		struct part *p = &r->parts[i];
		int rc = fetch_head(r, p, reterr);

		if (rc < 0)
			return rc;
		if (p->head && (!oldest || head_time(p) < head_time(oldest)))
			oldest = p;
	}
	if (!oldest)
		return READER_DONE;
	m = oldest->head;
	oldest->head = NULL;
	if (m->offset + 1 >= oldest->end)
		oldest->done = true;
	fill_record(r, oldest, m, ret);
	return 1;
}

/* Looks at the last partition first, because records come in runs. */
static struct part *
part_of(struct reader *r, const rd_kafka_message_t *m)
{
	for (size_t k = 0; k < r->n_parts; k++) {
		size_t i = (r->last + k) % r->n_parts;

		if (r->parts[i].partition != m->partition ||
		    strcmp(rd_kafka_topic_name(r->parts[i].rkt), rd_kafka_topic_name(m->rkt)) != 0)
			continue;
		r->last = i;
		return &r->parts[i];
	}
	return NULL;
}

static void
reached(struct reader *r, struct part *p, int64_t next)
{
	if (p->done || next < p->end)
		return;
	p->done = true;
	r->behind--;
}

static int
next_unbounded(struct reader *r, int timeout_ms, struct reader_record *ret, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + timeout_ms, left;
	rd_kafka_message_t *m;
	struct part *p;
	int rc;

	for (;;) {
		rd_kafka_poll(kafka_client(r->kafka), 0);
		left = deadline - clock_mono_ms();
		m = rd_kafka_consume_queue(r->queue, left > 0 ? (int)left : 0);
		if (!m)
			return 0;
		p = m->rkt ? part_of(r, m) : NULL;
		if (!m->err && p) {
			reached(r, p, m->offset + 1);
			fill_record(r, p, m, ret);
			return 1;
		}
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && p)
			reached(r, p, m->offset);
		rc = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || !m->err
			     ? 0 : kafka_error(r->kafka, m->err, "read", reterr);
		rd_kafka_message_destroy(m);
		if (rc < 0 && rc != ERR_UNAVAILABLE)
			return rc;
	}
}

int
reader_next(struct reader *r, int timeout_ms, struct reader_record *ret, struct err *reterr)
{
	return r->bounded ? next_bounded(r, ret, reterr)
			  : next_unbounded(r, timeout_ms, ret, reterr);
}

struct span
reader_header(const struct reader_record *r, const char *name)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;

	if (rd_kafka_message_headers(r->message, &headers) ||
	    rd_kafka_header_get_last(headers, name, &value, &size))
		return SPAN_NULL;
	return (struct span){ value, size };
}
