/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/avro/schema.h"
#include "envdriver/kafka/cluster.h"
#include "envdriver/kafka/best_effort.h"
#include "envdriver/kafka/offsets.h"
#include "envdriver/kafka/publisher.h"
#include "envdriver/host/plugin_event.h"
#include "envdriver/result/plugin_event_record.h"

enum { ITEMS_MAX = 2000 };

static struct {
	struct publisher *publisher;
	struct schemas *schemas;
	struct best_effort *best_effort;
	struct batch batch;
	struct publish_item items[ITEMS_MAX];
	struct events events[ITEMS_MAX];
} out;

/* --- publisher --- */

static void
batch_release(void)
{
	for (size_t i = 0; i < out.batch.n_items; i++)
		events_release(&out.events[i]);
	if (out.batch.offsets)
		rd_kafka_topic_partition_list_destroy(out.batch.offsets);
	group_meta_unref(out.batch.group);
	memset(&out.batch, 0, sizeof(out.batch));
}

static void
on_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item, enum topic topic)
{
	size_t done = 0;

	(void)arg;
	for (size_t i = 0; i < b->n_items; i++)
		done += b->items[i].done;
	tell("verdict", ",\"trouble\":%d,\"item\":%zu,\"topic\":%d,\"done\":%zu,\"of\":%zu",
	  trouble,
	     item, topic, done, b->n_items);
	batch_release();
}

static void
on_ready(void *arg, bool ready, const char *why)
{
	(void)arg;
	tell("ready", ",\"ready\":%d,\"why\":\"%s\"", ready, quoted(why, strlen(why)));
}

void
send_publisher(char *rest)
{
	static char name[] = "publisher";
	const struct publisher_events ev = { on_verdict, on_ready, on_fatal, name };
	struct err err = { 0 };

	out.publisher = publisher_new(me.loop, me.config, rest, (const char *const *)me.topics, &ev,
				     &err);
	if (!out.publisher)
		die("publisher", &err);
}

/* "partition:offset:topic:events:bytes" */
static void
add_item(const char *text)
{
	size_t i = out.batch.n_items++;
	int partition, n_events;
	long long offset;
	long bytes;
	char topic[64];
	struct event_header headers[] = { { SPAN_LIT("command-id"), SPAN_LIT("c") },
					  { SPAN_LIT("nothing"), SPAN_NULL } };

	if (sscanf(text, "%d:%lld:%63[^:]:%d:%ld", &partition, &offset, topic, &n_events,
	  &bytes) != 5)
		exit(64);
	out.events[i] = (struct events)EVENTS_INIT;
	out.items[i] = (struct publish_item){
		.events = &out.events[i], .partition = partition, .offset = offset };
	for (int k = 0; k < n_events; k++) {
		char head[64];
		int n = snprintf(head, sizeof(head), "%d/%lld/%d;", partition, offset, k);
		struct buf value = BUF_INIT;

		buf_add(&value, head, (size_t)n);
		while ((long)value.len < bytes)
			buf_addch(&value, (char)('a' + random() % 26));
		if (!events_add(&out.events[i], topic_find(span_of(topic)), SPAN_LIT("key"),
			headers,
		  2,
				buf_span(&value)))
			exit(3);
		buf_release(&value);
	}
}

/* "partition=offset=metadata" */
static void
add_offset(const char *text)
{
	rd_kafka_topic_partition_t *tp;
	char *end;
	long partition = strtol(text, &end, 10);
	long long offset = strtoll(end + 1, &end, 10);

	tp = rd_kafka_topic_partition_list_add(out.batch.offsets, me.topics[TOPIC_COMMANDS],
					       (int32_t)partition);
	tp->offset = offset;
	if (*end == '=') {
		tp->metadata = strdup(end + 1);
		tp->metadata_size = strlen(end + 1);
	}
}

/* Items and offsets in any order; "stale" keeps the group metadata of the
 * batch before. */
void
send_batch(char *rest)
{
	static struct group_meta *last;
	struct group_meta *now = me.consumer ? consumer_group_meta(me.consumer) : NULL;
	char *save = NULL;

	out.batch = (struct batch){ .items = out.items,
				   .offsets = rd_kafka_topic_partition_list_new(4) };
	for (char *p = strtok_r(rest, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		if (strcmp(p, "stale") == 0)
			now = last;
		else if (strchr(p, ':'))
			add_item(p);
		else
			add_offset(p);
	}
	if (out.batch.offsets->cnt && !now) {
		tell("no meta", "%s", "");
		batch_release();
		return;
	}
	out.batch.group = group_meta_ref(now);
	group_meta_ref(now);
	group_meta_unref(last);
	last = now;
	publisher_submit(out.publisher, &out.batch);
}

static void
on_publisher_closed(void *arg)
{
	(void)arg;
	tell("publisher closed", "%s", "");
	publisher_free(out.publisher);
	out.publisher = NULL;
}

void
send_close(char *rest)
{
	publisher_close(out.publisher, atoll(rest), on_publisher_closed, NULL);
}

/* --- cluster, best effort --- */

static void
on_facts(void *arg, const struct cluster_facts *f)
{
	(void)arg;
	printf("{\"what\":\"facts\",\"reached\":%d,\"exit\":%d,\"cluster\":\"%s\","
		"\"missing\":\"%s\","
	       "\"retention\":%" PRId64 ",\"compacted\":%d,\"text\":\"%s\"}\n",
	       f->reached, f->exit_code, f->cluster_id, f->missing, f->retention_ms, f->compacted,
	       quoted(f->err.text, strlen(f->err.text)));
	fflush(stdout);
}

void
send_look(char *rest)
{
	struct err err = { 0 };

	if (!cluster_look(me.loop, me.config, atoi(rest), on_facts, NULL, &err))
		die("look", &err);
}

static bool
need_best_effort(void)
{
	struct err err = { 0 };

	if (!out.schemas)
		out.schemas = schemas_new(&err);
	if (out.schemas && !out.best_effort)
		out.best_effort = best_effort_new(me.config, (const char *const *)me.topics, &err);
	if (!out.best_effort)
		die("best_effort", &err);
	return true;
}

void
send_plugin_event(char *rest)
{
	const struct plugin_event p = {
		.type = "WORKER_CRASHED",
		.plugin_id = span_of(rest),
		.plugin_key = SPAN_LIT("acme.plugin"),
		.pid = 42,
		.exit_code = -1,
		.signal = "SIGSEGV",
		.will_restart = 1,
		.next_restart_at = 1795411077000,
		.consecutive_crashes = 1,
		.total_crashes = 2,
	};
	struct events e = EVENTS_INIT;

	need_best_effort();
	if (plugin_event_record_build(out.schemas, "w1", &p, &e) < 0)
		exit(3);
	best_effort_send(out.best_effort, &e);
	events_release(&e);
}

/* "count bytes" of LIVE pieces */
void
send_flood(char *rest)
{
	char *end;
	long n = strtol(rest, &end, 10), bytes = strtol(end, NULL, 10);
	struct events e = EVENTS_INIT;
	char *value = calloc(1, (size_t)bytes);
	int64_t began = clock_mono_ms();

	need_best_effort();
	if (!value || !events_add(&e, TOPIC_EXECUTION_LOGS, SPAN_LIT("c"), NULL, 0,
				  (struct span){ value, (size_t)bytes }))
		exit(3);
	for (long i = 0; i < n; i++)
		best_effort_send(out.best_effort, &e);
	best_effort_poll(out.best_effort);
	tell("flooded", ",\"took\":%" PRId64, clock_mono_ms() - began);
	events_release(&e);
	free(value);
}

/* --- offsets --- */

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

/* Reads without joining the group; blocks the loop. */
void
send_committed(char *rest)
{
	const struct offsets_watch watch = { never, NULL, NULL };
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	struct err err = { 0 };
	struct offsets *o = offsets_new(me.config, &err);

	rd_kafka_topic_partition_list_add(list, me.topics[TOPIC_COMMANDS], atoi(rest));
	if (!o || offsets_read(o, list, &watch, &err) < 0)
		die("offsets", &err);
	tell("committed", ",\"offset\":%" PRId64 ",\"metadata\":\"%s\"", list->elems[0].offset,
	     quoted(list->elems[0].metadata, list->elems[0].metadata_size));
	rd_kafka_topic_partition_list_destroy(list);
	offsets_unref(o);
}

/* --- the end --- */

void
send_release(void)
{
	best_effort_free(out.best_effort, 2000);
	publisher_free(out.publisher);
	schemas_free(out.schemas);
	out.best_effort = NULL;
	out.publisher = NULL;
	out.schemas = NULL;
}
