/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/best_effort.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/client.h"
#include "produce.h"

enum { LOG_EVERY_MS = 60000 };

struct best_effort {
	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt[TOPIC_COUNT];	/* of the two topics that it sends to */
	const char *const *topics;	/* borrowed */
	const struct config *config;
	bool dead;			/* it had a fatal error: another takes its place */
	unsigned failed;		/* deliveries in a row */
	int64_t dropped;		/* since it was last logged */
	int64_t logged_ms;
};

/* --- sending --- */

static void
count(struct best_effort *b, enum topic topic, bool sent)
{
	if (topic == TOPIC_EXECUTION_LOGS)
		metrics_add(sent ? METRIC_LOG_CHUNKS : METRIC_LOG_CHUNKS_DROPPED, 1);
	b->dropped += !sent;
}

static void
on_best_effort_delivery(void *arg, const rd_kafka_message_t *m)
{
	struct best_effort *b = arg;

	b->failed = m->err ? b->failed + 1 : 0;
	count(b, (enum topic)(uintptr_t)m->_private, m->err == RD_KAFKA_RESP_ERR_NO_ERROR);
	client_bootstrap(b->config, b->rk, b->failed);
}

/* Never waits: a full queue drops the record. */
static void
send_event(struct best_effort *b, const struct event *ev)
{
	void *tag = (void *)(uintptr_t)ev->topic;

	if (!b->rkt[ev->topic] ||
	    produce_record(b->rk, b->rkt[ev->topic], ev, tag) != RD_KAFKA_RESP_ERR_NO_ERROR)
		count(b, ev->topic, false);
}

void
best_effort_send(struct best_effort *b, const struct events *events)
{
	struct event ev;

	for (size_t at = 0; events_next(events, &at, &ev);)
		send_event(b, &ev);
}

void
best_effort_dropped(struct best_effort *b, enum topic topic)
{
	count(b, topic, false);
}

/* --- life --- */

/* Nothing of ours depends on it: it is not made again here, inside its poll. */
static void
on_best_effort_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct best_effort *b = arg;

	if (!fatal || b->dead)
		return;
	b->dead = true;
	log_error("kafka: the producer of live output and plugin events had a fatal error (%s: "
		  "%s); another one takes its place", rd_kafka_err2name(code), reason);
}

static bool
open_lossy_topics(struct best_effort *b, struct err *reterr)
{
	static const enum topic ours[] = { TOPIC_EXECUTION_LOGS, TOPIC_PLUGIN_EVENTS };

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		b->rkt[ours[i]] = rd_kafka_topic_new(b->rk, b->topics[ours[i]], NULL);
		if (b->rkt[ours[i]])
			continue;
		err_set(reterr, ERR_CONFIG, "topic '%s': %s", b->topics[ours[i]],
			rd_kafka_err2str(rd_kafka_last_error()));
		return false;
	}
	return true;
}

static bool
open_lossy(struct best_effort *b, struct err *reterr)
{
	const struct client_hooks hooks = {
		.on_error = on_best_effort_error, .on_delivery = on_best_effort_delivery, .arg = b,
	};

	b->rk = client_open(b->config, CLIENT_CONF_BEST_EFFORT, NULL, &hooks, reterr);
	return b->rk && open_lossy_topics(b, reterr);
}

static void
close_lossy(struct best_effort *b)
{
	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (b->rkt[t])
			rd_kafka_topic_destroy(b->rkt[t]);
		b->rkt[t] = NULL;
	}
	client_close(b->rk);
	b->rk = NULL;
}

/* What the dead one held is dropped, and counted. When no other can be made, the
 * next poll tries again. */
static void
replace_lossy(struct best_effort *b)
{
	struct err err = { 0 };

	if (b->rk) {
		(void)rd_kafka_purge(b->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		(void)rd_kafka_poll(b->rk, 0);
	}
	close_lossy(b);
	b->dead = !open_lossy(b, &err);
	if (b->dead)
		log_debug("kafka: no producer of live output and plugin events: %s", err.text);
}

struct best_effort *
best_effort_new(const struct config *config, const char *const *topics, struct err *reterr)
{
	struct best_effort *b = calloc(1, sizeof(*b));

	if (!b) {
		err_nomem(reterr);
		return NULL;
	}
	b->config = config;
	b->topics = topics;
	b->logged_ms = clock_mono_ms() - LOG_EVERY_MS;
	if (open_lossy(b, reterr))
		return b;
	best_effort_free(b, 0);
	return NULL;
}

void
best_effort_poll(struct best_effort *b)
{
	int64_t now = clock_mono_ms();

	if (b->rk)
		(void)rd_kafka_poll(b->rk, 0);
	if (b->dead)
		replace_lossy(b);
	if (b->dropped == 0 || now - b->logged_ms < LOG_EVERY_MS)
		return;
	log_warn("dropped %lld live-output and plugin-event records: the broker is slow or "
		 "unreachable",
		 (long long)b->dropped);
	b->dropped = 0;
	b->logged_ms = now;
}

void
best_effort_free(struct best_effort *b, int timeout_ms)
{
	if (!b)
		return;
	if (b->rk)
		(void)rd_kafka_flush(b->rk, timeout_ms);
	close_lossy(b);
	free(b);
}
