/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor_rig.h"

#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"

#define CAPABILITIES "\"capabilities\":[\"plugin.state.read\",\"plugin.state.write\"," \
	"\"activity.log.write\"]"

struct supervisor_rig sup;

/* What the supervisor tells */

static void
on_registry(void *arg)
{
	(void)arg;
	supervisor_sync(sup.supervisor);
}

static void
on_change(void *arg, const char *plugin_id)
{
	(void)arg;
	(void)plugin_id;
	sup.changes++;
}

static void
on_plugin_event(void *arg, const struct plugin_event *n)
{
	(void)arg;
	buf_addf(&sup.events, "%.*s %s", SPAN_FMT(n->plugin_id), n->type);
	if (n->exit_code >= 0)
		buf_addf(&sup.events, " code=%d", n->exit_code);
	if (n->signal)
		buf_addf(&sup.events, " signal=%s", n->signal);
	if (n->will_restart >= 0)
		buf_addf(&sup.events, " restart=%d", n->will_restart);
	if (n->message.ptr)
		buf_addf(&sup.events, " %.*s", SPAN_FMT(n->message));
	if (n->command_id.len)
		buf_addf(&sup.events, " command=%.*s", SPAN_FMT(n->command_id));
	buf_addch(&sup.events, '\n');
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

void
sup_call(struct test_call *t, const char *plugin, const char *method, int64_t timeout)
{
	struct plugin_request r = {
		.plugin_id = plugin, .method = method, .params = SPAN_LIT("{}"),
		.company_id = SPAN_LIT("co-1"), .invocation_id = "i-1", .timeout_ms = timeout,
		.command_id = SPAN_LIT("c-1"),
	};
	struct plugin_call_events ev = { on_answer, NULL, t->keep_late ? on_late : NULL, t };

	buf_reset(&t->answers);
	t->n = 0;
	t->call = supervisor_call(sup.supervisor, &r, &ev);
	assert_non_null(t->call);
}

bool
sup_is_answered(void *arg)
{
	return ((struct test_call *)arg)->n > 0;
}

void
sup_expect_answer(struct test_call *t, const char *wanted)
{
	rig_until(&sup.redis, sup_is_answered, t, SUP_PATIENCE_MS);
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

void
sup_make_package(const char *id, const char *steps)
{
	char path[PATH_MAX + 64], self[PATH_MAX] = "", text[PATH_MAX + 4096];

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(path, sizeof(path), "%s/%s", sup.dirs, id);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/run", sup.dirs, id);
	snprintf(text, sizeof(text), "#!/bin/sh\nexec %s fake \"$@\"\n", self);
	write_file(path, text, 0755);
	snprintf(path, sizeof(path), "%s/%s/plugin.json", sup.dirs, id);
	snprintf(text, sizeof(text), "{\"manifest\":{},\"command\":[\"./run\",%s]}", steps);
	write_file(path, text, 0644);
}

void
sup_add_plugin(const char *id, const char *steps)
{
	sup_make_package(id, steps);
	rig_ask(&sup.redis, "HSET envdriver:plugin:%s pluginKey acme.%s status ready manifest %s "
		"package %s/%s config %s", id, id, "{" CAPABILITIES "}", sup.dirs, id,
		"{\"co-1\":{\"a\":1}}");
	rig_ask(&sup.redis, "ZADD envdriver:plugins 1 %s", id);
}

static struct {
	const char *id;
	enum worker_status status;
} awaited;

static bool
has_status(void *arg)
{
	(void)arg;
	return supervisor_status(sup.supervisor, awaited.id) == awaited.status;
}

void
sup_await(const char *id, enum worker_status status)
{
	awaited.id = id;
	awaited.status = status;
	rig_until(&sup.redis, has_status, NULL, SUP_PATIENCE_MS);
}

const char *
sup_record(const char *id, const char *field)
{
	return rig_ask(&sup.redis, "HGET envdriver:worker:%s:us %s", id, field);
}

static const char *record_id, *record_field, *record_value;

static bool
has_record(void *arg)
{
	(void)arg;
	return strcmp(sup_record(record_id, record_field), record_value) == 0;
}

void
sup_await_record(const char *id, const char *field, const char *value)
{
	record_id = id;
	record_field = field;
	record_value = value;
	rig_until(&sup.redis, has_record, NULL, SUP_PATIENCE_MS);
}

void
sup_expect_events(const char *id, const char *wanted)
{
	struct buf got = BUF_INIT;
	char *save = NULL, *text = sup.events.data ? sup.events.data : (char *)"";

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, id, strlen(id)) == 0 && line[strlen(id)] == ' ')
			buf_addf(&got, "%s\n", line + strlen(id) + 1);
	buf_reset(&sup.events);
	assert_string_equal(got.data ? got.data : "", wanted);
	buf_release(&got);
}

/* All of it */

static void
on_redis_up(void *arg)
{
	(void)arg;
	supervisor_republish(sup.supervisor);
}

int
sup_set_up(void **state)
{
	struct supervisor_events ev = { on_change, on_plugin_event, NULL };
	struct redis_listener listener = { .on_up = on_redis_up };
	struct err err;

	(void)state;
	rig_open(&sup.redis);
	snprintf(sup.dirs, sizeof(sup.dirs), "%s/plugins", sup.redis.folder);
	mkdir(sup.dirs, 0755);
	rig_set(&sup.redis, "plugin.dirs", sup.dirs);
	/* Packages are scripts that run this very program, which lies elsewhere. */
	rig_set(&sup.redis, "plugin.isolation", "none");
	rig_set(&sup.redis, "plugin.max.in.flight", "2");
	rig_set(&sup.redis, "heartbeat.interval", "500ms");
	sup.registry = registry_new(sup.redis.redis, on_registry, NULL, &err);
	assert_non_null(sup.registry);
	redis_listen(sup.redis.redis, &listener);
	sup.supervisor = supervisor_new(&sup.redis.loop, sup.redis.config, sup.registry,
		sup.redis.redis, "us", "inc-1",
		&ev, &err);
	assert_non_null(sup.supervisor);
	rig_start(&sup.redis);
	return 0;
}

int
sup_tear_down(void **state)
{
	(void)state;
	rig_stop(&sup.redis);
	supervisor_free(sup.supervisor);
	registry_free(sup.registry);
	rig_close(&sup.redis);
	buf_release(&sup.events);
	return 0;
}
