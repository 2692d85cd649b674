/* SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <stdlib.h>
#include <string.h>

#include "committing.h"
#include "core.h"
#include "decoding.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/redis/redis.h"
#include "unread.h"
#include "window.h"

/* --- a message becomes an entry --- */

/* Room for everything is reserved first, so that `raw` does not move. */
static struct span
keep_bytes(struct buf *raw, const void *data, size_t len)
{
	struct span s = { raw->data + raw->len, len };

	if (!data)
		return SPAN_NULL;
	buf_add(raw, data, len);
	return s;
}

static size_t
headers_size(const rd_kafka_headers_t *h, size_t n)
{
	const char *name;
	const void *value;
	size_t len, total = 0;

	for (size_t i = 0; i < n; i++)
		if (!rd_kafka_header_get_all(h, i, &name, &value, &len))
			total += strlen(name) + len;
	return total;
}

static bool
keep_headers(struct entry *e, const rd_kafka_headers_t *h, size_t n)
{
	const char *name;
	const void *value;
	size_t len;

	if (n == 0)
		return true;
	e->headers = calloc(n, sizeof(*e->headers));
	if (!e->headers)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (rd_kafka_header_get_all(h, i, &name, &value, &len))
			break;
		e->headers[i].name = keep_bytes(&e->raw, name, strlen(name));
		e->headers[i].value = keep_bytes(&e->raw, value, len);
		e->source.n_headers++;
	}
	e->source.headers = e->headers;
	return true;
}

/* Copies what a dead letter would need: the message pins the whole fetch
 * that it came in, and a command may wait for minutes. */
static bool
keep_source(struct engine *eng, struct entry *e, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *h = NULL;
	size_t n = 0;

	if (!rd_kafka_message_headers(m, &h) && h)
		n = rd_kafka_header_cnt(h);
	if (!buf_reserve(&e->raw, m->key_len + m->len + headers_size(h, n)))
		return false;
	e->source.topic = eng->topics[TOPIC_COMMANDS];
	e->source.partition = m->partition;
	e->source.offset = m->offset;
	e->source.timestamp = rd_kafka_message_timestamp(m, NULL);
	e->source.key = keep_bytes(&e->raw, m->key, m->key_len);
	e->source.value = keep_bytes(&e->raw, m->payload, m->len);
	return keep_headers(e, h, n);
}

static bool
wanted(struct engine *eng, struct partition *p, const rd_kafka_message_t *m)
{
	size_t gone = 0;
	enum window_verdict v;

	if (!p || !p->open)
		return false;
	v = window_deliver(p->window, m->offset, &gone);
	if (v == WINDOW_NOMEM)
		core_nomem(eng);
	if (gone) {
		metrics_add(METRIC_RECORDS_GONE, (int64_t)gone);
		log_warn("%zu unfinished commands before offset %lld of partition %d are gone "
			 "from the log",
			 gone, (long long)m->offset, (int)p->id);
		p->dirty = true;
	}
	return v == WINDOW_TAKE;
}

void
intake_message(void *arg, rd_kafka_message_t *m)
{
	struct engine *eng = arg;
	struct partition *p = partitions_find(&eng->partitions, m->partition);
	struct entry *e = NULL;

	crash_at("polled");
	if (eng->exiting || !wanted(eng, p, m))
		goto out;
	e = entry_new();
	if (!e || !keep_source(eng, e, m)) {
		entry_free(e);
		core_nomem(eng);
		goto out;
	}
	e->engine = eng;
	e->received_at = clock_wall_ms();
	partition_add(p, e);
	eng->entries++;
	metrics_add(METRIC_COMMANDS_READ, 1);
	if (p->unread.n || !decoding_read(eng, e))
		unread_wait(eng, e);
	core_count_bytes(eng, e);
	if (p->unread.n || committing_unanswered(eng) >= eng->limits.in_flight ||
	    eng->bytes >= eng->limits.bytes ||
	    window_pending(p->window) >= window_limit(p->window))
		intake_pressure(eng);
out:
	rd_kafka_message_destroy(m);
}

/* --- back-pressure, docs/decisions.md D9 --- */

static bool
over_limit(size_t now, size_t limit, bool paused)
{
	/* Hysteresis: resumed below three quarters, which of 1 to 3 is the limit itself. */
	return now >= (paused ? limit - limit / 4 : limit);
}

/* Deliveries do not end a replay's pause, answers of the registry do end this. */
static bool
unread_full(const struct engine *eng, const struct partition *p)
{
	size_t room = unread_room(eng);

	return p->unread.n > 0 && p->unread.n >= (p->paused ? (room + 1) / 2 : room);
}

static bool
window_full(const struct partition *p)
{
	size_t limit = p->paused ? window_resume(p->window) : window_limit(p->window);

	return !window_replaying(p->window) && window_pending(p->window) >= limit;
}

static void
press_all(struct engine *eng)
{
	bool pause =
		!redis_up(eng->redis) || eng->stage > STAGE_RUNNING ||
		over_limit(committing_unanswered(eng), eng->limits.in_flight, eng->paused_all) ||
		over_limit(eng->bytes, eng->limits.bytes, eng->paused_all);

	if (pause != eng->paused_all)
		consumer_pause_all(eng->consumer, pause);
	eng->paused_all = pause;
}

void
intake_pressure(struct engine *eng)
{
	struct partition *p = NULL;
	size_t paused = 0;

	if (!eng->consumer)
		return;
	press_all(eng);
	while ((p = partitions_next(&eng->partitions, p))) {
		bool pause;

		if (!p->open)
			continue;
		pause = unread_full(eng, p) || window_full(p);
		if (pause != p->paused)
			consumer_pause(eng->consumer, p->id, pause);
		p->paused = pause;
		paused += pause || eng->paused_all;
	}
	metrics_set(METRIC_PARTITIONS_PAUSED, (int64_t)paused);
}
