/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_rig: a supervisor on a registry and a real Redis, its calls, its
 * events, and plugins in a folder: this program plays them, as
 * tests/fake/fake_plugin.c says. Included by supervisor_check.c alone.
 */
#ifndef TESTS_INTEGRATION_SUPERVISOR_RIG_H
#define TESTS_INTEGRATION_SUPERVISOR_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"
#include "redis_rig.h"

/* This program is its own plugin. */
#define FAKE_PLUGIN_EMBEDDED
#include "../fake/fake_plugin.c"

enum { PATIENCE_MS = 20000, CALLS = 4 };

#define CAPABILITIES "\"capabilities\":[\"plugin.state.read\",\"plugin.state.write\"," \
	"\"activity.log.write\"]"
#define ECHOES "\"init\",\"echo\""
#define V "{\\\"jsonrpc\\\":\\\"2.0\\\""

struct test_call {
	struct plugin_call *call;
	struct buf answers;
	int n;
	bool keep_late;
};

static struct rig rig;
static struct registry *registry;
static struct supervisor *supervisor;
static struct buf events;
static int changes;
static char dirs[PATH_MAX];

/* What the supervisor tells */

static void
on_registry(void *arg)
{
	(void)arg;
	supervisor_sync(supervisor);
}

static void
on_change(void *arg, const char *plugin_id)
{
	(void)arg;
	(void)plugin_id;
	changes++;
}

static void
on_plugin_event(void *arg, const struct plugin_event *n)
{
	(void)arg;
	buf_addf(&events, "%.*s %s", SPAN_FMT(n->plugin_id), n->type);
	if (n->exit_code >= 0)
		buf_addf(&events, " code=%d", n->exit_code);
	if (n->signal)
		buf_addf(&events, " signal=%s", n->signal);
	if (n->will_restart >= 0)
		buf_addf(&events, " restart=%d", n->will_restart);
	if (n->message.ptr)
		buf_addf(&events, " %.*s", SPAN_FMT(n->message));
	if (n->command_id.len)
		buf_addf(&events, " command=%.*s", SPAN_FMT(n->command_id));
	buf_addch(&events, '\n');
}

/* Calls */

static void
on_answer(void *arg, const struct rpc_answer *a)
{
	static const char *const ends[] = { "result", "error", "bad", "timeout", "died", "unsent" };
	struct test_call *t = arg;

	assert_non_null(t->call);	/* never before supervisor_call returned */
	buf_addf(&t->answers, "%s %.*s%s;", ends[a->end], SPAN_FMT(a->result.raw),
		 a->text ? a->text : "");
	t->n++;
	if (a->end == RPC_TIMED_OUT && t->keep_late)
		return;
	plugin_call_free(t->call);
	t->call = NULL;
}

static void
on_late(void *arg, const struct rpc_answer *a)
{
	struct test_call *t = arg;

	buf_adds(&t->answers, "late ");
	t->keep_late = false;
	on_answer(t, a);
}

static void
call(struct test_call *t, const char *plugin, const char *method, int64_t timeout)
{
	struct plugin_request r = {
		.plugin_id = plugin, .method = method, .params = SPAN_LIT("{}"),
		.company_id = SPAN_LIT("co-1"), .invocation_id = "i-1", .timeout_ms = timeout,
		.command_id = SPAN_LIT("c-1"),
	};
	struct plugin_call_events ev = { on_answer, NULL, t->keep_late ? on_late : NULL, t };

	buf_reset(&t->answers);
	t->n = 0;
	t->call = supervisor_call(supervisor, &r, &ev);
	assert_non_null(t->call);
}

static bool
is_answered(void *arg)
{
	return ((struct test_call *)arg)->n > 0;
}

static void
expect_answer(struct test_call *t, const char *wanted)
{
	rig_until(&rig, is_answered, t, PATIENCE_MS);
	assert_string_equal(t->answers.data, wanted);
	buf_release(&t->answers);
}

/* Plugins: a folder with a script, and a record in the registry */

static void
write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void
make_package(const char *id, const char *steps)
{
	char path[PATH_MAX + 64], self[PATH_MAX] = "", text[PATH_MAX + 4096];

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(path, sizeof(path), "%s/%s", dirs, id);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/run", dirs, id);
	snprintf(text, sizeof(text), "#!/bin/sh\nexec %s fake \"$@\"\n", self);
	write_file(path, text, 0755);
	snprintf(path, sizeof(path), "%s/%s/plugin.json", dirs, id);
	snprintf(text, sizeof(text), "{\"manifest\":{},\"command\":[\"./run\",%s]}", steps);
	write_file(path, text, 0644);
}

static void
add_plugin(const char *id, const char *steps)
{
	make_package(id, steps);
	rig_ask(&rig, "HSET envdriver:plugin:%s pluginKey acme.%s status ready manifest %s "
		"package %s/%s config %s", id, id, "{" CAPABILITIES "}", dirs, id,
		"{\"co-1\":{\"a\":1}}");
	rig_ask(&rig, "ZADD envdriver:plugins 1 %s", id);
}

static struct {
	const char *id;
	enum worker_status status;
} awaited;

static bool
has_status(void *arg)
{
	(void)arg;
	return supervisor_status(supervisor, awaited.id) == awaited.status;
}

static void
await(const char *id, enum worker_status status)
{
	awaited.id = id;
	awaited.status = status;
	rig_until(&rig, has_status, NULL, PATIENCE_MS);
}

static const char *
record(const char *id, const char *field)
{
	return rig_ask(&rig, "HGET envdriver:worker:%s:us %s", id, field);
}

static const char *record_id, *record_field, *record_value;

static bool
has_record(void *arg)
{
	(void)arg;
	return strcmp(record(record_id, record_field), record_value) == 0;
}

static void
await_record(const char *id, const char *field, const char *value)
{
	record_id = id;
	record_field = field;
	record_value = value;
	rig_until(&rig, has_record, NULL, PATIENCE_MS);
}

static void
expect_events(const char *id, const char *wanted)
{
	struct buf got = BUF_INIT;
	char *save = NULL, *text = events.data ? events.data : (char *)"";

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, id, strlen(id)) == 0 && line[strlen(id)] == ' ')
			buf_addf(&got, "%s\n", line + strlen(id) + 1);
	buf_reset(&events);
	assert_string_equal(got.data ? got.data : "", wanted);
	buf_release(&got);
}

#endif
