/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer: the shelf. librdkafka gives the records of all partitions in one
 * queue, a whole fetch of one partition after a whole fetch of the next. When
 * a partition is full, its records would hold up those behind them: they wait
 * here, in their order, until it has room.
 */
#include <stdlib.h>

#include "consumer_impl.h"

enum {
	SPARE_MAX = 1024,
	STALE_MS = 5000,
	RECORD_BYTES = 512,	/* of one that holds nothing */
};

struct shelved {
	rd_kafka_message_t *m;
	uint64_t at_ms;		/* uv_now */
	struct shelved *next;
};

static size_t
size_of(const rd_kafka_message_t *m)
{
	return m->len + m->key_len + RECORD_BYTES;
}

bool
consumer_shelf_spare(struct consumer *c)
{
	if (!c->shelf.spare) {
		c->shelf.spare = calloc(1, sizeof(*c->shelf.spare));
		c->shelf.n_spare = c->shelf.spare != NULL;
	}
	return c->shelf.spare;
}

/* Beyond the limit comes only what a queue still held of partitions that are
 * paused. */
bool
consumer_shelf_room(struct consumer *c)
{
	return !(c->shelf.bytes >= c->shelf.limit && c->jamming) && consumer_shelf_spare(c);
}

/* A record keeps the whole fetch alive that it came in, with the records of
 * others: not for long. */
bool
consumer_shelf_stale(const struct consumer *c, const struct consumer_part *p)
{
	return p->shelf && uv_now(c->loop) - p->shelf->at_ms >= STALE_MS;
}

bool
consumer_shelf_heavy(const struct consumer *c)
{
	return c->shelf.bytes >= c->shelf.limit / 2;
}

void
consumer_shelf_put(struct consumer *c, struct consumer_part *p, rd_kafka_message_t *take_m)
{
	struct shelved *s = c->shelf.spare;

	c->shelf.spare = s->next;
	c->shelf.n_spare--;
	*s = (struct shelved){ take_m, uv_now(c->loop), NULL };
	if (p->shelf_last)
		p->shelf_last->next = s;
	else
		p->shelf = s;
	p->shelf_last = s;
	c->shelf.n++;
	c->shelf.bytes += size_of(take_m);
}

static rd_kafka_message_t *
take(struct consumer *c, struct consumer_part *p)
{
	struct shelved *s = p->shelf;
	rd_kafka_message_t *m = s->m;

	p->shelf = s->next;
	if (!p->shelf)
		p->shelf_last = NULL;
	c->shelf.n--;
	c->shelf.bytes -= size_of(m);
	if (c->shelf.n_spare >= SPARE_MAX) {
		free(s);
	} else {
		s->next = c->shelf.spare;
		c->shelf.spare = s;
		c->shelf.n_spare++;
	}
	return m;
}

static bool
goes_on(const struct consumer *c, const struct consumer_part *p)
{
	return p->shelf && p->open && !p->pause_wanted && !c->pause_all;
}

bool
consumer_shelf_ready(const struct consumer *c)
{
	for (size_t i = 0; c->shelf.n && i < c->n_parts; i++)
		if (goes_on(c, &c->parts[i]))
			return true;
	return false;
}

/* One that was paused is read again when nothing of it lies here. */
static bool
emptied(const struct consumer_part *p)
{
	return p->jammed && !p->shelf && !p->pause_wanted;
}

/* A callback may move partitions, and close us. Each time another partition
 * is the first. */
int
consumer_shelf_deliver(struct consumer *c, int most,
		       void (*deliver)(struct consumer *c, rd_kafka_message_t *take_m))
{
	size_t first = c->shelf.n ? c->shelf.turn++ : 0;
	bool empty = false;
	int n = 0;

	for (size_t k = 0; c->shelf.n && k < c->n_parts; k++) {
		size_t i = (first + k) % c->n_parts;

		while (n < most && c->rk && goes_on(c, &c->parts[i])) {
			deliver(c, take(c, &c->parts[i]));
			n++;
		}
		empty |= c->rk && emptied(&c->parts[i]);
	}
	if (empty)
		consumer_align_pauses(c);
	return n;
}

void
consumer_shelf_clear(struct consumer *c, struct consumer_part *p)
{
	while (p->shelf)
		rd_kafka_message_destroy(take(c, p));
}

void
consumer_shelf_release(struct consumer *c)
{
	for (size_t i = 0; i < c->n_parts; i++)
		consumer_shelf_clear(c, &c->parts[i]);
	while (c->shelf.spare) {
		struct shelved *next = c->shelf.spare->next;

		free(c->shelf.spare);
		c->shelf.spare = next;
	}
	c->shelf.n_spare = 0;
}
