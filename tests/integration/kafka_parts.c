/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_parts: consumer, publisher, broker and notice alone, moved by lines
 * on stdin, telling what happens as lines of JSON on stdout. For
 * test_kafka_parts.py, which says what should happen.
 *
 *	kafka_parts key=value…		settings as in a configuration file
 *
 * Lines: see `verbs` at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/schema.h"
#include "envdriver/pipeline/broker.h"
#include "envdriver/pipeline/consumer.h"
#include "envdriver/pipeline/group_meta.h"
#include "envdriver/pipeline/notice.h"
#include "envdriver/pipeline/offsets.h"
#include "envdriver/pipeline/publisher.h"
#include "envdriver/plugin/supervisor.h"

enum { ITEMS_MAX = 2000, PARTS_MAX = 64 };

static struct {
	uv_loop_t *loop;
	struct config *config;
	char *topics[TOPIC_COUNT];
	uv_poll_t in;
	struct buf line;
	struct consumer *consumer;
	struct publisher *publisher;
	struct schemas *schemas;
	struct notices *notices;
	bool automatic;
	struct batch batch;
	struct publish_item items[ITEMS_MAX];
	struct events events[ITEMS_MAX];
	struct open_at at[PARTS_MAX];
	size_t n_at;
} me;

/* --- telling --- */

static void
tell(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
tell(const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("{\"what\":\"%s\",\"ms\":%" PRId64, what, clock_mono_ms());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("}\n");
	fflush(stdout);
}

/* As a JSON string, without its quotes; one at a time. */
static const char *
quoted(const char *text, size_t len)
{
	static struct buf out;

	buf_reset(&out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == '"' || c == '\\' || c > 0x7e)
			buf_addf(&out, "\\u%04x", c);
		else
			buf_addch(&out, (char)c);
	}
	return out.data ? out.data : "";
}

static const char *
q(const char *text)
{
	return quoted(text ? text : "", text ? strlen(text) : 0);
}

static void
die(const char *what, const struct err *err)
{
	fprintf(stderr, "kafka_parts: %s: %s\n", what, err->text);
	exit(2);
}

/* --- consumer --- */

static void
on_message(void *arg, rd_kafka_message_t *m)
{
	(void)arg;
	tell("message", ",\"partition\":%d,\"offset\":%" PRId64, (int)m->partition, m->offset);
	rd_kafka_message_destroy(m);
}

static void
on_assign(void *arg, const struct assigned *parts, size_t n)
{
	(void)arg;
	me.n_at = 0;
	tell("assign", ",\"n\":%zu", n);
	for (size_t i = 0; i < n; i++) {
		const struct assigned *a = &parts[i];
		int64_t from = a->committed >= 0 ? a->committed : a->log_start > 0 ? a->log_start : 0;

		tell("assigned",
		     ",\"partition\":%d,\"committed\":%" PRId64 ",\"metadata\":\"%s\",\"start\":%" PRId64
		     ",\"end\":%" PRId64,
		     (int)a->partition, a->committed, quoted(a->metadata.ptr, a->metadata.len),
		     a->log_start, a->log_end);
		if (me.n_at < PARTS_MAX)
			me.at[me.n_at++] = (struct open_at){ a->partition, from };
	}
	if (me.automatic)
		consumer_open(me.consumer, me.at, me.n_at);
}

static void
on_revoke(void *arg, const int32_t *partitions, size_t n, bool lost)
{
	(void)arg;
	for (size_t i = 0; i < n; i++)
		tell("revoked", ",\"partition\":%d", (int)partitions[i]);
	tell("revoke", ",\"n\":%zu,\"lost\":%d", n, lost);
	if (me.automatic)
		consumer_let_go(me.consumer);
}

static void
on_gap(void *arg, int32_t partition, int64_t log_start, bool beyond)
{
	(void)arg;
	tell("gap", ",\"partition\":%d,\"start\":%" PRId64 ",\"beyond\":%d", (int)partition,
	  log_start,
	     beyond);
}

static void
on_state(void *arg, const char *why)
{
	(void)arg;
	tell("state", ",\"why\":\"%s\"", q(why));
}

static void
on_fatal(void *arg, int exit_code, const char *text)
{
	tell("fatal", ",\"from\":\"%s\",\"code\":%d,\"text\":\"%s\"", (const char *)arg, exit_code,
	     q(text));
}

static void
do_consumer(char *rest)
{
	static char name[] = "consumer";
	const struct consumer_events ev = { on_message, on_assign, on_revoke, on_gap,
					    on_state,	on_fatal,  name };
	struct err err = { 0 };

	me.automatic = strcmp(rest, "auto") == 0;
	me.consumer = consumer_new(me.loop, me.config, me.topics[TOPIC_COMMANDS], &ev, &err);
	if (!me.consumer || consumer_start(me.consumer, &err) < 0)
		die("consumer", &err);
}

static void
do_open(char *rest)
{
	char *save = NULL;

	me.n_at = 0;
	for (char *p = strtok_r(rest, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		char *colon = strchr(p, ':');

		me.at[me.n_at++] = (struct open_at){ atoi(p), atoll(colon + 1) };
	}
	consumer_open(me.consumer, me.at, me.n_at);
}

static void
do_auto(char *rest)
{
	me.automatic = rest[0] == '1';
}

static void
do_let_go(char *rest)
{
	(void)rest;
	consumer_let_go(me.consumer);
}

static void
do_pause(char *rest)
{
	char *end;
	long partition = strtol(rest, &end, 10);

	consumer_pause(me.consumer, (int32_t)partition, atoi(end));
}

static void
do_pause_all(char *rest)
{
	consumer_pause_all(me.consumer, atoi(rest));
}

static void
do_leave(char *rest)
{
	(void)rest;
	consumer_leave(me.consumer);
}

static void
do_meta(char *rest)
{
	(void)rest;
	tell("meta", ",\"usable\":%d", consumer_group_meta(me.consumer) != NULL);
}

static void
on_consumer_closed(void *arg)
{
	(void)arg;
	tell("consumer closed", "%s", "");
	consumer_free(me.consumer);
	me.consumer = NULL;
}

static void
do_close_consumer(char *rest)
{
	consumer_close(me.consumer, atoll(rest), on_consumer_closed, NULL);
}

/* --- publisher --- */

static void
batch_release(void)
{
	for (size_t i = 0; i < me.batch.n_items; i++)
		events_release(&me.events[i]);
	if (me.batch.offsets)
		rd_kafka_topic_partition_list_destroy(me.batch.offsets);
	group_meta_unref(me.batch.group);
	memset(&me.batch, 0, sizeof(me.batch));
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
	tell("ready", ",\"ready\":%d,\"why\":\"%s\"", ready, q(why));
}

static void
do_publisher(char *rest)
{
	static char name[] = "publisher";
	const struct publisher_events ev = { on_verdict, on_ready, on_fatal, name };
	struct err err = { 0 };

	me.publisher = publisher_new(me.loop, me.config, rest, (const char *const *)me.topics, &ev,
				     &err);
	if (!me.publisher)
		die("publisher", &err);
}

/* "partition:offset:topic:events:bytes" */
static void
add_item(const char *text)
{
	size_t i = me.batch.n_items++;
	int partition, n_events;
	long long offset;
	long bytes;
	char topic[64];
	struct event_header headers[] = { { SPAN_LIT("command-id"), SPAN_LIT("c") },
					  { SPAN_LIT("nothing"), SPAN_NULL } };

	if (sscanf(text, "%d:%lld:%63[^:]:%d:%ld", &partition, &offset, topic, &n_events,
	  &bytes) != 5)
		exit(64);
	me.events[i] = (struct events)EVENTS_INIT;
	me.items[i] = (struct publish_item){
		.events = &me.events[i], .partition = partition, .offset = offset };
	for (int k = 0; k < n_events; k++) {
		char head[64];
		int n = snprintf(head, sizeof(head), "%d/%lld/%d;", partition, offset, k);
		struct buf value = BUF_INIT;

		buf_add(&value, head, (size_t)n);
		while ((long)value.len < bytes)
			buf_addch(&value, (char)('a' + random() % 26));
		if (!events_add(&me.events[i], topic_find(span_of(topic)), SPAN_LIT("key"), headers,
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

	tp = rd_kafka_topic_partition_list_add(me.batch.offsets, me.topics[TOPIC_COMMANDS],
					       (int32_t)partition);
	tp->offset = offset;
	if (*end == '=') {
		tp->metadata = strdup(end + 1);
		tp->metadata_size = strlen(end + 1);
	}
}

/* Items and offsets in any order; "stale" keeps the group metadata of the
 * batch before. */
static void
do_batch(char *rest)
{
	static struct group_meta *last;
	struct group_meta *now = me.consumer ? consumer_group_meta(me.consumer) : NULL;
	char *save = NULL;

	me.batch = (struct batch){ .items = me.items,
				   .offsets = rd_kafka_topic_partition_list_new(4) };
	for (char *p = strtok_r(rest, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		if (strcmp(p, "stale") == 0)
			now = last;
		else if (strchr(p, ':'))
			add_item(p);
		else
			add_offset(p);
	}
	if (me.batch.offsets->cnt && !now) {
		tell("no meta", "%s", "");
		batch_release();
		return;
	}
	me.batch.group = group_meta_ref(now);
	group_meta_ref(now);
	group_meta_unref(last);
	last = now;
	publisher_submit(me.publisher, &me.batch);
}

static void
on_publisher_closed(void *arg)
{
	(void)arg;
	tell("publisher closed", "%s", "");
	publisher_free(me.publisher);
	me.publisher = NULL;
}

static void
do_close_publisher(char *rest)
{
	publisher_close(me.publisher, atoll(rest), on_publisher_closed, NULL);
}

/* --- broker, notice --- */

static void
on_facts(void *arg, const struct broker_facts *f)
{
	(void)arg;
	printf("{\"what\":\"facts\",\"reached\":%d,\"exit\":%d,\"cluster\":\"%s\",\"missing\":\"%s\","
	       "\"retention\":%" PRId64 ",\"compacted\":%d,\"text\":\"%s\"}\n",
	       f->reached, f->exit_code, f->cluster_id, f->missing, f->retention_ms, f->compacted,
	       q(f->err.text));
	fflush(stdout);
}

static void
do_look(char *rest)
{
	struct err err = { 0 };

	if (broker_look(me.loop, me.config, atoi(rest), on_facts, NULL, &err) < 0)
		die("look", &err);
}

static bool
need_notices(void)
{
	struct err err = { 0 };

	if (!me.schemas)
		me.schemas = schemas_new(&err);
	if (me.schemas && !me.notices)
		me.notices = notices_new(me.config, me.schemas, "w1",
		  (const char *const *)me.topics,
					 &err);
	if (!me.notices)
		die("notices", &err);
	return true;
}

static void
do_notice(char *rest)
{
	const struct plugin_notice p = {
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

	need_notices();
	notices_plugin(me.notices, &p);
}

/* "count bytes" of LIVE pieces */
static void
do_flood(char *rest)
{
	char *end;
	long n = strtol(rest, &end, 10), bytes = strtol(end, NULL, 10);
	struct events e = EVENTS_INIT;
	char *value = calloc(1, (size_t)bytes);
	int64_t began = clock_mono_ms();

	need_notices();
	if (!value || !events_add(&e, TOPIC_EXECUTION_LOGS, SPAN_LIT("c"), NULL, 0,
				  (struct span){ value, (size_t)bytes }))
		exit(3);
	for (long i = 0; i < n; i++)
		notices_send(me.notices, &e);
	notices_poll(me.notices);
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
static void
do_committed(char *rest)
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

/* --- lines --- */

static void
do_sleep(char *rest)
{
	usleep((useconds_t)atoi(rest) * 1000);
}

static void
do_quit(char *rest)
{
	(void)rest;
	notices_free(me.notices, 2000);
	me.notices = NULL;
	consumer_free(me.consumer);
	publisher_free(me.publisher);
	me.consumer = NULL;
	me.publisher = NULL;
	(void)uv_poll_stop(&me.in);
	uv_close((uv_handle_t *)&me.in, NULL);
}

static const struct {
	const char *verb;
	void (*fn)(char *rest);
} verbs[] = {
	{ "consumer", do_consumer },	/* [auto]: make and subscribe */
	{ "auto", do_auto },		/* 0|1: answer assign and revoke at once */
	{ "open", do_open },		/* partition:offset…; the others are held */
	{ "letgo", do_let_go },
	{ "pause", do_pause },		/* partition 0|1 */
	{ "pauseall", do_pause_all },	/* 0|1 */
	{ "meta", do_meta },
	{ "leave", do_leave },
	{ "close-consumer", do_close_consumer },	/* ms */
	{ "publisher", do_publisher },	/* transactional id */
	{ "batch", do_batch },		/* partition:offset:topic:events:bytes… and
					 * partition=offset[=metadata]… and [stale] */
	{ "close-publisher", do_close_publisher },	/* ms */
	{ "committed", do_committed },	/* partition */
	{ "look", do_look },		/* ms */
	{ "notice", do_notice },	/* plugin id */
	{ "flood", do_flood },		/* count bytes */
	{ "sleep", do_sleep },		/* ms, the loop stands still */
	{ "quit", do_quit },
};

static void
on_line(char *line)
{
	size_t n = strcspn(line, " ");
	char *rest = line[n] ? line + n + 1 : line + n;

	line[n] = '\0';
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(verbs[i].verb, line) == 0) {
			verbs[i].fn(rest);
			return;
		}
	}
	fprintf(stderr, "kafka_parts: unknown verb '%s'\n", line);
	exit(64);
}

static void
on_input(uv_poll_t *h, int status, int events)
{
	char bytes[4096], *end;
	ssize_t n = read(0, bytes, sizeof(bytes));

	(void)h;
	(void)status;
	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		do_quit(NULL);
		return;
	}
	buf_add(&me.line, bytes, (size_t)n);
	while ((end = memchr(me.line.data, '\n', me.line.len))) {
		*end = '\0';
		on_line(me.line.data);
		buf_consume(&me.line, (size_t)(end - me.line.data) + 1);
	}
}

int
main(int argc, char **argv)
{
	struct err err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	me.loop = uv_default_loop();
	me.config = config_new(&err);
	for (int i = 1; i < argc; i++)
		if (config_set_pair(me.config, argv[i], "-X", &err) < 0)
			die(argv[i], &err);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (asprintf(&me.topics[t], "%s%s", config_str(me.config, "topic.prefix"),
			     topic_name((enum topic)t)) < 0)
			return 3;
	fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
	uv_poll_init(me.loop, &me.in, 0);
	uv_poll_start(&me.in, UV_READABLE, on_input);
	uv_run(me.loop, UV_RUN_DEFAULT);
	uv_loop_close(me.loop);
	/* What was discarded goes on threads of its own. */
	(void)rd_kafka_wait_destroyed(5000);
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(me.topics[t]);
	schemas_free(me.schemas);
	config_free(me.config);
	buf_release(&me.line);
	return 0;
}
