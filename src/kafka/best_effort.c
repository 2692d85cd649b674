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
	const struct config *config;
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

static bool
open_lossy_topics(struct best_effort *b, const char *const *topics, struct err *reterr)
{
	static const enum topic ours[] = { TOPIC_EXECUTION_LOGS, TOPIC_PLUGIN_EVENTS };

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		b->rkt[ours[i]] = rd_kafka_topic_new(b->rk, topics[ours[i]], NULL);
		if (b->rkt[ours[i]])
			continue;
		err_set(reterr, ERR_CONFIG, "topic '%s': %s", topics[ours[i]],
			rd_kafka_err2str(rd_kafka_last_error()));
		return false;
	}
	return true;
}

struct best_effort *
best_effort_new(const struct config *config, const char *const *topics, struct err *reterr)
{
	struct best_effort *b = calloc(1, sizeof(*b));
	const struct client_hooks hooks = { .on_delivery = on_best_effort_delivery, .arg = b };

	if (!b) {
		err_nomem(reterr);
		return NULL;
	}
	b->config = config;
	b->logged_ms = clock_mono_ms() - LOG_EVERY_MS;
	b->rk = client_open(config, CLIENT_CONF_BEST_EFFORT, NULL, &hooks, reterr);
	if (b->rk && open_lossy_topics(b, topics, reterr))
		return b;
	best_effort_free(b, 0);
	return NULL;
}

void
best_effort_poll(struct best_effort *b)
{
	int64_t now = clock_mono_ms();

	(void)rd_kafka_poll(b->rk, 0);
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
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (b->rkt[t])
			rd_kafka_topic_destroy(b->rkt[t]);
	client_close(b->rk);
	free(b);
}
