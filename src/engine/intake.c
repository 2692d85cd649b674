/* SPDX-License-Identifier: Apache-2.0 */
#include "intake.h"

#include <stdlib.h>
#include <string.h>

#include "committing.h"
#include "core.h"
#include "decoding.h"
#include "dispatch.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/redis/redis.h"
#include "scheduler.h"
#include "share.h"
#include "unread.h"
#include "window.h"

enum {
	SAY_AGAIN_MS = 60000,
	KEY_MAX = 128,			/* bytes of a key in the log */
};

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

/* What counts against max.in.flight: claimed or called, or about to be. What
 * waits does not, or the commands behind one key would stop all others. */
static size_t
worked_on(const struct engine *eng)
{
	size_t unanswered = committing_unanswered(eng);

	return eng->lists.runnable.n +
	       (unanswered > eng->idle.n ? unanswered - eng->idle.n : 0);
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
	if (p->unread.n || worked_on(eng) >= eng->limits.in_flight ||
	    eng->bytes >= eng->limits.bytes || window_full(p->window, false) ||
	    share_full(p->idle.bytes, eng->idle.bytes, eng->limits.bytes, false))
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

static void
press_all(struct engine *eng)
{
	bool pause =
		!redis_up(eng->redis) || eng->stage > STAGE_RUNNING ||
		over_limit(worked_on(eng), eng->limits.in_flight, eng->paused_all) ||
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
		pause = unread_full(eng, p) || window_full(p->window, p->paused) ||
			share_full(p->idle.bytes, eng->idle.bytes, eng->limits.bytes, p->paused);
		if (pause != p->paused)
			consumer_pause(eng->consumer, p->id, pause);
		p->paused = pause;
		paused += pause || eng->paused_all;
	}
	metrics_set(METRIC_PARTITIONS_PAUSED, (int64_t)paused);
}

/* --- what is said of it --- */

/* What most of its commands wait for. */
struct crowd {
	const char *what;
	struct span key;		/* ptr NULL: none */
	const char *plugin_id;		/* NULL: none */
	size_t n;
};

static struct crowd
largest_crowd(const struct engine *eng, const struct partition *p)
{
	struct crowd c = { .what = "many commands" };
	size_t slots;
	const char *plugin_id = dispatch_longest(eng, &slots);

	c.key = scheduler_longest(p->scheduler, &c.n);
	if (p->unread.n)
		c.what = "a schema";
	else if (c.n && c.n >= slots)
		c.what = "an ordering key";
	else if (slots)
		c = (struct crowd){ "a plugin", SPAN_NULL, plugin_id, slots };
	return c;
}

const char *
intake_paused_for(const struct engine *eng, const struct partition *p)
{
	return p->paused ? largest_crowd(eng, p).what : NULL;
}

static void
say_paused(const struct engine *eng, const struct partition *p)
{
	struct crowd c = largest_crowd(eng, p);
	struct span key = c.key;

	if (p->unread.n)
		return;		/* unread.c says so */
	if (key.len > KEY_MAX)
		key.len = KEY_MAX;
	if (c.plugin_id)
		log_warn("partition %d is paused: %zu commands wait for plugin '%s'; the other "
			 "partitions go on",
			 (int)p->id, c.n, c.plugin_id);
	else if (key.ptr)
		log_warn("partition %d is paused: %zu commands wait behind ordering key '%.*s'; "
			 "the other partitions go on",
			 (int)p->id, c.n, SPAN_FMT(key));
}

void
intake_tick(struct engine *eng)
{
	struct partition *p = NULL;
	int64_t now = clock_mono_ms();

	while ((p = partitions_next(&eng->partitions, p))) {
		if (!p->open || !p->paused || eng->paused_all)
			continue;
		if (p->said_paused && now - p->said_paused < SAY_AGAIN_MS)
			continue;
		p->said_paused = now;
		say_paused(eng, p);
	}
}
