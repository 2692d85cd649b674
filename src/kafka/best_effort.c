/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/best_effort.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "envdriver/base/clock.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/avro/schema.h"
#include "envdriver/kafka/client.h"
#include "produce.h"
#include "envdriver/plugin/plugin_event.h"

enum { LOG_EVERY_MS = 60000 };

struct best_effort {
	rd_kafka_t *rk;
	rd_kafka_topic_t *rkt[TOPIC_COUNT];	/* of the two topics that notices go to */
	const char *instance_id;
	const struct schema *schema;
	avro_value_t value;		/* one PluginEvent after the other */
	bool has_value;
	struct events events;		/* of one PluginEvent */
	struct buf framed;
	const struct config *config;
	unsigned failed;		/* deliveries in a row */
	int64_t dropped;		/* since it was last said */
	int64_t said_ms;
};

/* --- sending --- */

static void
count(struct best_effort *n, enum topic topic, bool sent)
{
	if (topic == TOPIC_EXECUTION_LOGS)
		metrics_add(sent ? METRIC_LOG_CHUNKS : METRIC_LOG_CHUNKS_DROPPED, 1);
	n->dropped += !sent;
}

static void
on_delivery(void *arg, const rd_kafka_message_t *m)
{
	struct best_effort *n = arg;

	n->failed = m->err ? n->failed + 1 : 0;
	count(n, (enum topic)(uintptr_t)m->_private, m->err == RD_KAFKA_RESP_ERR_NO_ERROR);
	client_bootstrap(n->config, n->rk, n->failed);
}

/* Never waits: a full queue drops the record. */
static void
publish(struct best_effort *n, const struct event *ev)
{
	void *tag = (void *)(uintptr_t)ev->topic;

	if (!n->rkt[ev->topic] ||
	    produce_record(n->rk, n->rkt[ev->topic], ev, tag) != RD_KAFKA_RESP_ERR_NO_ERROR)
		count(n, ev->topic, false);
}

void
best_effort_send(struct best_effort *n, const struct events *events)
{
	struct event ev;

	for (size_t at = 0; events_next(events, &at, &ev);)
		publish(n, &ev);
}

void
best_effort_dropped(struct best_effort *n, enum topic topic)
{
	count(n, topic, false);
}

/* --- plugin events --- */

static bool
set_when(avro_value_t *v, const char *field, int64_t value, int64_t none)
{
	return value == none || avro_field_set_int(v, field, value);
}

static bool
fill(struct best_effort *n, const struct plugin_event *p)
{
	avro_value_t *v = &n->value;
	char id[37];
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, id);
	return avro_field_clear(v) && avro_field_set_text(v, "eventId", id) &&
	       avro_field_set_text(v, "type", p->type) &&
	       avro_field_set_int(v, "occurredAt", clock_wall_ms()) &&
	       avro_field_set_span(v, "pluginId", p->plugin_id) &&
	       avro_field_set_span(v, "pluginKey", p->plugin_key) &&
	       avro_field_set_text(v, "instanceId", n->instance_id) &&
	       set_when(v, "pid", p->pid, 0) && set_when(v, "exitCode", p->exit_code, -1) &&
	       avro_field_set_span(v, "signal", span_of(p->signal)) &&
	       (p->will_restart < 0 || avro_field_set_bool(v, "willRestart", p->will_restart)) &&
	       set_when(v, "nextRestartAt", p->next_restart_at, 0) &&
	       set_when(v, "consecutiveCrashes", p->consecutive_crashes, -1) &&
	       set_when(v, "totalCrashes", p->total_crashes, -1) &&
	       avro_field_set_span(v, "message", p->message) &&
	       avro_field_set_span(v, "companyId", p->company_id) &&
	       avro_field_set_span(v, "commandId", p->command_id) &&
	       avro_field_set_span(v, "name", p->name) &&
	       (!p->details.ptr || avro_field_set_span(v, "details", p->details));
}

static size_t
add_header(struct event_header *to, const char *name, struct span value)
{
	if (!value.ptr)
		return 0;
	*to = (struct event_header){ span_of(name), value };
	return 1;
}

void
best_effort_plugin(struct best_effort *n, const struct plugin_event *p)
{
	struct event_header headers[3];
	size_t n_headers = 0;
	struct err err = { 0 };

	n_headers += add_header(headers + n_headers, "command-id", p->command_id);
	n_headers += add_header(headers + n_headers, "company-id", p->company_id);
	n_headers += add_header(headers + n_headers, "schema", span_of(schema_name(n->schema)));
	events_reset(&n->events);
	buf_reset(&n->framed);
	if (fill(n, p) && schema_write(n->schema, &n->value, &n->framed, &err) == 0 &&
	    !n->framed.failed &&
	    events_add(&n->events, TOPIC_PLUGIN_EVENTS, p->plugin_id, headers, n_headers,
		       buf_span(&n->framed)))
		best_effort_send(n, &n->events);
	else
		best_effort_dropped(n, TOPIC_PLUGIN_EVENTS);
}

/* --- life --- */

static bool
open_topics(struct best_effort *n, const char *const *topics, struct err *reterr)
{
	static const enum topic ours[] = { TOPIC_EXECUTION_LOGS, TOPIC_PLUGIN_EVENTS };

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		n->rkt[ours[i]] = rd_kafka_topic_new(n->rk, topics[ours[i]], NULL);
		if (n->rkt[ours[i]])
			continue;
		err_set(reterr, ERR_CONFIG, "topic '%s': %s", topics[ours[i]],
			rd_kafka_err2str(rd_kafka_last_error()));
		return false;
	}
	return true;
}

struct best_effort *
best_effort_new(const struct config *config, const struct schemas *schemas, const char *instance_id,
	    const char *const *topics, struct err *reterr)
{
	struct best_effort *n = calloc(1, sizeof(*n));
	const struct client_hooks hooks = { .on_delivery = on_delivery, .arg = n };

	if (!n) {
		err_nomem(reterr);
		return NULL;
	}
	n->instance_id = instance_id;
	n->config = config;
	n->said_ms = clock_mono_ms() - LOG_EVERY_MS;
	n->schema = schemas_find(schemas, topic_record(TOPIC_PLUGIN_EVENTS));
	n->has_value = schema_value_new(n->schema, &n->value, reterr) == 0;
	if (n->has_value)
		n->rk = client_open(config, CLIENT_CONF_BEST_EFFORT, NULL, &hooks, reterr);
	if (n->rk && open_topics(n, topics, reterr))
		return n;
	best_effort_free(n, 0);
	return NULL;
}

void
best_effort_poll(struct best_effort *n)
{
	int64_t now = clock_mono_ms();

	(void)rd_kafka_poll(n->rk, 0);
	if (n->dropped == 0 || now - n->said_ms < LOG_EVERY_MS)
		return;
	log_warn("%lld live pieces and plugin events were dropped: the broker takes them too "
		 "slowly, or not at all",
		 (long long)n->dropped);
	n->dropped = 0;
	n->said_ms = now;
}

void
best_effort_free(struct best_effort *n, int timeout_ms)
{
	if (!n)
		return;
	if (n->rk)
		(void)rd_kafka_flush(n->rk, timeout_ms);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (n->rkt[t])
			rd_kafka_topic_destroy(n->rkt[t]);
	client_close(n->rk);
	if (n->has_value)
		avro_value_decref(&n->value);
	events_release(&n->events);
	buf_release(&n->framed);
	free(n);
}
