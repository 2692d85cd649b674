/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * librdkafka's simple consumer: partitions are read without a group, which
 * needs no permission on a group and disturbs no worker. With an end, each
 * partition has a head, and the oldest head is next; without, all partitions
 * feed one queue.
 *
 * The time of a record is its producer's, so that offsets are not in the order
 * of time. All records before the offset that Kafka names for a time are
 * earlier; behind it there may be both. A range that ends at a time is therefore
 * read to the end of the log, and what does not lie in it is left out.
 */
#include "envdriver/client/reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/client/kafka.h"
#include "envdriver/kafka/offsets.h"
#include "place_offsets.h"

enum { LOOK_MS = 10000, OFFSETS_MS = 20000, HEAD_MS = 200, AWAY_MS = 30000 };

struct part {
	enum topic topic;
	rd_kafka_topic_t *rkt;		/* borrowed from the reader */
	int32_t partition;
	int64_t next, end;
	int64_t near;			/* where the range would end if clocks agreed */
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
	int64_t from_ms, to_ms;		/* times of the range, [from, to) */
	reader_skip_fn *skip;
	void *skip_arg;
	struct reader_late late;
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

/* The partitions, in our order. */
static rd_kafka_topic_partition_list_t *
list_parts(const struct reader *r)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)r->n_parts);

	for (size_t i = 0; i < r->n_parts; i++)
		rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(r->parts[i].rkt),
						  r->parts[i].partition);
	return list;
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

void
reader_on_skip(struct reader *r, reader_skip_fn *skip, void *arg)
{
	r->skip = skip;
	r->skip_arg = arg;
}

const struct reader_late *
reader_late(const struct reader *r)
{
	return r->late.count ? &r->late : NULL;
}

/* Fixes what of the part is read, if it begins at `first` and ends at `near`. */
static void
bound_part(struct reader *r, struct part *p, const struct reader_range *log, int64_t near)
{
	p->next = log->first < log->start ? log->start : log->first;
	p->near = near < log->end ? near : log->end;
	p->end = r->to_ms < INT64_MAX ? log->end : p->near;
	p->range = (struct reader_range){ log->start, p->next, p->near, log->end };
	p->done = p->next >= p->end;
	r->behind += !p->done;
}

int
reader_open(struct reader *r, const struct reader_place *from, const struct reader_place *to,
	    struct err *reterr)
{
	static const struct reader_place end = { READER_END, 0 }, low = { READER_BEGINNING, 0 };
	rd_kafka_topic_partition_list_t *list = list_parts(r);
	int64_t *ends = calloc(r->n_parts + 1, sizeof(*ends));
	int64_t *firsts = calloc(r->n_parts + 1, sizeof(*firsts));
	int64_t *nears = calloc(r->n_parts + 1, sizeof(*nears));
	int64_t *lows = calloc(r->n_parts + 1, sizeof(*lows));
	int ret = ends && firsts && nears && lows ? 0 : err_nomem(reterr);

	r->bounded = to != NULL;
	r->from_ms = from->at == READER_TIME ? from->value : INT64_MIN;
	r->to_ms = to && to->at == READER_TIME ? to->value : INT64_MAX;
	if (ret < 0 || (ret = place_offsets(r->kafka, list, &end, NULL, ends, reterr)) < 0 ||
	    (ret = place_offsets(r->kafka, list, &low, NULL, lows, reterr)) < 0 ||
	    (ret = place_offsets(r->kafka, list, from, ends, firsts, reterr)) < 0 ||
	    (to && (ret = place_offsets(r->kafka, list, to, ends, nears, reterr)) < 0))
		goto out;
	if (!to)
		r->queue = rd_kafka_queue_new(kafka_client(r->kafka));
	for (size_t i = 0; i < r->n_parts && ret == 0; i++) {
		struct part *p = &r->parts[i];

		bound_part(r, p, &(struct reader_range){ lows[i], firsts[i], 0, ends[i] },
			   to ? nears[i] : ends[i]);
		if (!p->done || !r->bounded)
			ret = start_part(r, p, reterr);
	}
out:
	rd_kafka_topic_partition_list_destroy(list);
	free(ends);
	free(firsts);
	free(nears);
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

/* Whether the message lies in the range. What has no time is judged by its
 * offset. */
static bool
in_range(const struct reader *r, const struct part *p, const rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	int64_t time_ms = rd_kafka_message_timestamp(m, &type);

	if (time_ms < 0)
		return m->offset < p->near;
	return time_ms >= r->from_ms && time_ms < r->to_ms;
}

/* Takes a message before the end of the part: it becomes the head, or is
 * skipped. */
static int
take_message(struct reader *r, struct part *p, rd_kafka_message_t *m, struct err *reterr)
{
	int64_t offset = m->offset;

	if (in_range(r, p, m)) {
		p->head = m;
		return 0;
	}
	rd_kafka_message_destroy(m);
	p->done = offset + 1 >= p->end;
	return r->skip ? r->skip(r->skip_arg, p->topic, p->partition, offset, reterr) : 0;
}

/* Fetches the partition's next message as its head, or finds its end. */
static int
fetch_head(struct reader *r, struct part *p, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + AWAY_MS;
	rd_kafka_message_t *m;
	int ret = 0;

	while (!p->head && !p->done && ret == 0) {
		rd_kafka_poll(kafka_client(r->kafka), 0);
		m = rd_kafka_consume(p->rkt, p->partition, HEAD_MS);
		if (!m && clock_mono_ms() > deadline)
			return kafka_error(r->kafka, RD_KAFKA_RESP_ERR__TIMED_OUT, "read", reterr);
		if (!m)
			continue;
		deadline = clock_mono_ms() + AWAY_MS;
		if (!m->err && m->offset < p->end) {
			ret = take_message(r, p, m, reterr);
			continue;
		}
		if (!m->err)
			p->done = true;
		else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			p->done = m->offset >= p->end;
		else
			ret = kafka_error(r->kafka, m->err, "read", reterr);
		rd_kafka_message_destroy(m);
	}
	return ret;
}

static int64_t
head_time(const struct part *p)
{
	rd_kafka_timestamp_type_t type;

	return rd_kafka_message_timestamp(p->head, &type);
}

/* A record of the range that lies behind a later one. */
static void
note_late(struct reader *r, struct part *p, const struct reader_record *record)
{
	if (!r->late.count++) {
		r->late.topic_name = record->topic_name;
		r->late.partition = p->partition;
		r->late.offset = p->near;
	}
	p->range.last = record->offset + 1;
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
	if (m->offset >= oldest->near)
		note_late(r, oldest, ret);
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

/* Was there at reader_open and is older than the range, behind a newer record:
 * clocks of producers differ. What arrives later is shown whatever its time. */
static bool
is_too_early(const struct reader *r, const struct part *p, const rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	int64_t time_ms = rd_kafka_message_timestamp(m, &type);

	return time_ms >= 0 && time_ms < r->from_ms && m->offset < p->end;
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
		if (!m->err && p && is_too_early(r, p, m)) {
			reached(r, p, m->offset + 1);
			rd_kafka_message_destroy(m);
			continue;
		}
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
