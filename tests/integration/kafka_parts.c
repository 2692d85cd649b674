/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_parts: consumer, publisher, cluster and best_effort alone, moved by lines
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
#include "kafka_parts.h"

enum { PARTS_MAX = 64 };

struct parts me;

static struct {
	uv_poll_t poll;
	struct buf line;
	bool automatic;
	struct open_at at[PARTS_MAX];
	size_t n_at;
} in;

/* --- telling --- */

void
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
const char *
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

void
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
	in.n_at = 0;
	tell("assign", ",\"n\":%zu", n);
	for (size_t i = 0; i < n; i++) {
		const struct assigned *a = &parts[i];
		int64_t from = a->committed >= 0 ? a->committed : a->log_start > 0 ?
			a->log_start : 0;

		tell("assigned",
		     ",\"partition\":%d,\"committed\":%" PRId64 ",\"metadata\":\"%s\","
		     "\"start\":%" PRId64
		     ",\"end\":%" PRId64,
		     (int)a->partition, a->committed, quoted(a->metadata.ptr, a->metadata.len),
		     a->log_start, a->log_end);
		if (in.n_at < PARTS_MAX)
			in.at[in.n_at++] = (struct open_at){ a->partition, from };
	}
	if (in.automatic)
		consumer_open(me.consumer, in.at, in.n_at);
}

static void
on_revoke(void *arg, const int32_t *partitions, size_t n, bool lost)
{
	(void)arg;
	for (size_t i = 0; i < n; i++)
		tell("revoked", ",\"partition\":%d", (int)partitions[i]);
	tell("revoke", ",\"n\":%zu,\"lost\":%d", n, lost);
	if (in.automatic)
		consumer_unassign(me.consumer);
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

void
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

	in.automatic = strcmp(rest, "auto") == 0;
	me.consumer = consumer_new(me.loop, me.config, me.topics[TOPIC_COMMANDS], &ev, &err);
	if (!me.consumer || consumer_start(me.consumer, &err) < 0)
		die("consumer", &err);
}

static void
do_open(char *rest)
{
	char *save = NULL;

	in.n_at = 0;
	for (char *p = strtok_r(rest, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		char *colon = strchr(p, ':');

		in.at[in.n_at++] = (struct open_at){ atoi(p), atoll(colon + 1) };
	}
	consumer_open(me.consumer, in.at, in.n_at);
}

static void
do_auto(char *rest)
{
	in.automatic = rest[0] == '1';
}

static void
do_unassign(char *rest)
{
	(void)rest;
	consumer_unassign(me.consumer);
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
do_backlog(char *rest)
{
	consumer_limit_backlog(me.consumer, (size_t)atoll(rest));
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

/* --- lines --- */

static void
do_version(char *rest)
{
	(void)rest;
	tell("version", ",\"number\":%d", rd_kafka_version());
}

static void
do_sleep(char *rest)
{
	usleep((useconds_t)atoi(rest) * 1000);
}

static void
do_quit(char *rest)
{
	(void)rest;
	consumer_free(me.consumer);
	me.consumer = NULL;
	send_release();
	(void)uv_poll_stop(&in.poll);
	uv_close((uv_handle_t *)&in.poll, NULL);
}

static const struct {
	const char *verb;
	void (*fn)(char *rest);
} verbs[] = {
	{ "consumer", do_consumer },	/* [auto]: make and subscribe */
	{ "auto", do_auto },		/* 0|1: answer assign and revoke at once */
	{ "open", do_open },		/* partition:offset…; the others are held */
	{ "unassign", do_unassign },
	{ "pause", do_pause },		/* partition 0|1 */
	{ "pauseall", do_pause_all },	/* 0|1 */
	{ "backlog", do_backlog },		/* bytes */
	{ "meta", do_meta },
	{ "leave", do_leave },
	{ "close-consumer", do_close_consumer },	/* ms */
	{ "publisher", send_publisher },	/* transactional id */
	{ "batch", send_batch },		/* partition:offset:topic:events:bytes… and
					 * partition=offset[=metadata]… and [stale] */
	{ "close-publisher", send_close },	/* ms */
	{ "committed", send_committed },	/* partition */
	{ "look", send_look },		/* ms */
	{ "plugin-event", send_plugin_event },	/* plugin id */
	{ "flood", send_flood },		/* count bytes */
	{ "sleep", do_sleep },		/* ms, the loop stands still */
	{ "version", do_version },	/* of librdkafka */
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
	buf_add(&in.line, bytes, (size_t)n);
	while ((end = memchr(in.line.data, '\n', in.line.len))) {
		*end = '\0';
		on_line(in.line.data);
		buf_consume(&in.line, (size_t)(end - in.line.data) + 1);
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
	uv_poll_init(me.loop, &in.poll, 0);
	uv_poll_start(&in.poll, UV_READABLE, on_input);
	uv_run(me.loop, UV_RUN_DEFAULT);
	uv_loop_close(me.loop);
	/* What was discarded goes on threads of its own. */
	(void)rd_kafka_wait_destroyed(5000);
	for (int t = 0; t < TOPIC_COUNT; t++)
		free(me.topics[t]);
	config_free(me.config);
	buf_release(&in.line);
	return 0;
}
