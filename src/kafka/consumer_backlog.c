/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_backlog.h"

#include <stdlib.h>

enum {
	SPARE_MAX = 1024,
	STALE_MS = 5000,
	RECORD_BYTES = 512,	/* of a record without key and value */
};

struct consumer_backlog_record {
	rd_kafka_message_t *m;
	uint64_t at_ms;
	STAILQ_ENTRY(consumer_backlog_record) link;
};

static size_t
bytes_of(const rd_kafka_message_t *m)
{
	return m->len + m->key_len + RECORD_BYTES;
}

void
consumer_backlog_init(struct consumer_backlog *b, size_t limit)
{
	*b = (struct consumer_backlog){ .limit = limit };
	STAILQ_INIT(&b->spare);
}

void
consumer_backlog_release(struct consumer_backlog *b)
{
	struct consumer_backlog_record *r;

	while ((r = STAILQ_FIRST(&b->spare))) {
		STAILQ_REMOVE_HEAD(&b->spare, link);
		free(r);
	}
	b->n_spare = 0;
}

bool
consumer_backlog_reserve(struct consumer_backlog *b)
{
	struct consumer_backlog_record *r;

	if (b->n_spare)
		return true;
	r = calloc(1, sizeof(*r));
	if (!r)
		return false;
	STAILQ_INSERT_HEAD(&b->spare, r, link);
	b->n_spare = 1;
	return true;
}

bool
consumer_backlog_full(const struct consumer_backlog *b)
{
	return b->bytes >= b->limit;
}

bool
consumer_backlog_heavy(const struct consumer_backlog *b)
{
	return b->bytes >= b->limit / 2;
}

void
consumer_backlog_put(struct consumer_backlog *b, struct consumer_backlog_queue *q,
		     rd_kafka_message_t *take_m, uint64_t now_ms)
{
	struct consumer_backlog_record *r = STAILQ_FIRST(&b->spare);

	STAILQ_REMOVE_HEAD(&b->spare, link);
	b->n_spare--;
	r->m = take_m;
	r->at_ms = now_ms;
	STAILQ_INSERT_TAIL(q, r, link);
	b->n++;
	b->bytes += bytes_of(take_m);
}

rd_kafka_message_t *
consumer_backlog_take(struct consumer_backlog *b, struct consumer_backlog_queue *q)
{
	struct consumer_backlog_record *r = STAILQ_FIRST(q);
	rd_kafka_message_t *m;

	if (!r)
		return NULL;
	m = r->m;
	STAILQ_REMOVE_HEAD(q, link);
	b->n--;
	b->bytes -= bytes_of(m);
	if (b->n_spare >= SPARE_MAX) {
		free(r);
	} else {
		STAILQ_INSERT_HEAD(&b->spare, r, link);
		b->n_spare++;
	}
	return m;
}

void
consumer_backlog_clear(struct consumer_backlog *b, struct consumer_backlog_queue *q)
{
	rd_kafka_message_t *m;

	while ((m = consumer_backlog_take(b, q)))
		rd_kafka_message_destroy(m);
}

bool
consumer_backlog_stale(const struct consumer_backlog_queue *q, uint64_t now_ms)
{
	const struct consumer_backlog_record *r = STAILQ_FIRST(q);

	return r && now_ms - r->at_ms >= STALE_MS;
}
