/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "engine/resolver.h"
#include "envdriver/command/command.h"
#include "envdriver/command/outcome.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"

/* The registry and the supervisor of a row: the resolver's own calls of them
 * end here, not in the library. */
static struct {
	bool stale;
	struct registry_plugin plugins[3];
	enum worker_status status[3];
	bool startable[3], coming[3], comes[3], left[3];
	char started[4];	/* "13": the first and the third */
} now;

bool
registry_fresh(const struct registry *r)
{
	(void)r;
	return !now.stale;
}

const struct registry_plugin *
registry_at(const struct registry *r, size_t i)
{
	(void)r;
	return i < COUNT(now.plugins) && now.plugins[i].id ? &now.plugins[i] : NULL;
}

const struct registry_plugin *
registry_by_id(const struct registry *r, struct span id)
{
	const struct registry_plugin *p;

	for (size_t i = 0; (p = registry_at(r, i)); i++)
		if (span_is(id, p->id))
			return p;
	return NULL;
}

const struct registry_plugin *
registry_by_key(const struct registry *r, struct span key)
{
	const struct registry_plugin *p;

	for (size_t i = 0; (p = registry_at(r, i)); i++)
		if (span_is(key, p->key))
			return p;
	return NULL;
}

/* Plugins are p1, p2, p3; -1 of another one. */
static int
index_of(const char *plugin_id)
{
	int i = plugin_id[1] - '1';

	return i >= 0 && i < 3 ? i : -1;
}

enum worker_status
supervisor_status(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return index_of(plugin_id) < 0 ? WORKER_NONE : now.status[index_of(plugin_id)];
}

bool
supervisor_startable(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return index_of(plugin_id) >= 0 && now.startable[index_of(plugin_id)];
}

bool
supervisor_coming(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return index_of(plugin_id) >= 0 && now.coming[index_of(plugin_id)];
}

bool
supervisor_left(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return index_of(plugin_id) >= 0 && now.left[index_of(plugin_id)];
}

/* Of p2, as one that has nothing to say: none. */
const char *
supervisor_reason(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return index_of(plugin_id) == 1 ? "" : "it is why";
}

void
supervisor_add_why(const struct supervisor *s, const char *plugin_id, struct buf *out)
{
	(void)s;
	buf_addf(out, "{\"of\":\"%s\"}", plugin_id);
}

void
supervisor_start(struct supervisor *s, const char *plugin_id)
{
	(void)s;
	strncat(now.started, plugin_id + 1, 1);
	now.coming[index_of(plugin_id)] = now.comes[index_of(plugin_id)];
}

const char *
supervisor_status_name(enum worker_status s)
{
	return s == WORKER_CRASHED ? "crashed" : "?";
}

static const struct registry_driver drivers[] = {
	{ .driver_key = "vm" },
	{ .driver_key = "box", .sandbox_provider = true },
};

/* Plugins p1 to p3 have the keys k1 to k3, and both drivers. Of each: one
 * letter for its record ('r' ready, 'n' not, 'l' not any more, '-' none), one for its worker
 * ('R' running, 'S' starting, 'A' starting after failures, 'C' crashed, '-' none)
 * and '+' when it can be started, '!' when it can and that is put off. */
static const struct row {
	const char *name;
	const char *plugins[3];
	const char *key, *driver, *provider, *pinned;	/* of the command */
	bool may_not_start, stale;
	enum resolution want;
	const char *found;		/* plugin id */
	enum outcome_code code;		/* of a failure */
	const char *says;
	const char *started;
	const char *why;		/* of whose worker it tells */
} rows[] = {
	{ "a stale registry says nothing", { "rR" }, "k1", "vm", .stale = true,
	  .want = RESOLUTION_STALE },

	{ "by key, its worker runs", { "rR" }, "k1", "vm", .want = RESOLUTION_FOUND,
	  .found = "p1" },
	{ "by key, unknown", { "rR" }, "k2", "vm", .want = RESOLUTION_FAILED,
	  .code = CODE_DRIVER_NOT_READY, .says = "\"k2:vm\" is not ready." },
	{ "by key, not ready", { "nR" }, "k1", "vm", .want = RESOLUTION_FAILED,
	  .code = CODE_DRIVER_NOT_READY, .says = "is not ready." },
	{ "by key, not ready any more: it may come back", { "lR" }, "k1", "vm",
	  .want = RESOLUTION_DOWN, .code = CODE_DRIVER_NOT_READY, .says = "is not ready." },
	{ "by key, not ready any more, and the wait is over", { "lR" }, "k1", "vm",
	  .may_not_start = true, .want = RESOLUTION_FAILED, .code = CODE_DRIVER_NOT_READY },
	{ "by key, another driver", { "rR" }, "k1", "zz", .want = RESOLUTION_FAILED,
	  .code = CODE_DRIVER_NOT_DECLARED, .says = "does not declare environment driver \"zz\"" },
	{ "by key, down: it is started", { "r-+" }, "k1", "vm", .want = RESOLUTION_STARTING,
	  .started = "1" },
	{ "by key, starting: it is waited for", { "rS" }, "k1", "vm",
	  .want = RESOLUTION_STARTING, .code = CODE_NO_RUNNING_WORKER,
	  .says = "has no running worker.", .why = "p1" },
	{ "by key, starting, whatever the other wait says", { "rS" }, "k1", "vm",
	  .may_not_start = true, .want = RESOLUTION_STARTING },
	{ "by key, starting after failures", { "rA+" }, "k1", "vm", .want = RESOLUTION_DOWN,
	  .started = "1" },
	{ "by key, starting after failures, and the wait is over", { "rA+" }, "k1", "vm",
	  .may_not_start = true, .want = RESOLUTION_FAILED, .code = CODE_NO_RUNNING_WORKER,
	  .says = "has no running worker.", .why = "p1" },
	{ "by key, down, and its start is put off", { "r-!" }, "k1", "vm", .want = RESOLUTION_DOWN,
	  .started = "1", .code = CODE_NO_RUNNING_WORKER, .why = "p1" },
	{ "by key, down and not startable", { "rC" }, "k1", "vm", .want = RESOLUTION_FAILED,
	  .code = CODE_NO_RUNNING_WORKER, .says = "has no running worker.", .why = "p1" },

	{ "by provider, the first that runs", { "r-+", "rR", "rR" }, .provider = "box",
	  .want = RESOLUTION_FOUND, .found = "p2" },
	{ "by provider, a plain driver is none", { "rR" }, .provider = "vm",
	  .want = RESOLUTION_FAILED, .code = CODE_PROVIDER_NOT_AVAILABLE,
	  .says = "\"vm\" is not installed" },
	{ "by provider, none runs: all are started", { "r-+", "n-+", "r-+" }, .provider = "box",
	  .want = RESOLUTION_STARTING, .started = "13" },
	{ "by provider, one comes, the others' starts are put off", { "r-!", "rS", "r-!" },
	  .provider = "box", .want = RESOLUTION_STARTING, .started = "13",
	  .code = CODE_PROVIDER_NOT_AVAILABLE, .why = "p1" },
	{ "by provider, the first that has a reason says it", { "n-", "rC", "rC" },
	  .provider = "box", .want = RESOLUTION_FAILED, .code = CODE_PROVIDER_NOT_AVAILABLE,
	  .why = "p3" },
	{ "by provider, none runs, and the wait is over", { "r-+" }, .provider = "box",
	  .may_not_start = true, .want = RESOLUTION_FAILED, .code = CODE_PROVIDER_NOT_AVAILABLE,
	  .says = "its plugin worker is not running" },
	{ "by provider, not ready though it runs", { "nR" }, .provider = "box",
	  .want = RESOLUTION_FAILED, .code = CODE_PROVIDER_NOT_AVAILABLE },

	{ "by provider, not ready any more: it may come back", { "n-", "l-" }, .provider = "box",
	  .want = RESOLUTION_DOWN, .code = CODE_PROVIDER_NOT_AVAILABLE },
	{ "by provider, another one serves meanwhile", { "l-", "rR" }, .provider = "box",
	  .want = RESOLUTION_FOUND, .found = "p2" },
	{ "by provider, not ready any more, and the wait is over", { "l-" }, .provider = "box",
	  .may_not_start = true, .want = RESOLUTION_FAILED, .code = CODE_PROVIDER_NOT_AVAILABLE },

	{ "pinned, not ready any more", { "l-+" }, "k1", "vm", .pinned = "p1",
	  .want = RESOLUTION_DOWN, .code = CODE_NO_RUNNING_WORKER },
	{ "pinned, only its worker counts", { "nR" }, "k2", "zz", .pinned = "p1",
	  .want = RESOLUTION_FOUND, .found = "p1" },
	{ "pinned, a starting worker is called", { "rS" }, "k1", "vm", .pinned = "p1",
	  .want = RESOLUTION_FOUND, .found = "p1" },
	{ "pinned, down: it is started", { "r-+" }, "k1", "vm", .pinned = "p1",
	  .want = RESOLUTION_STARTING, .started = "1" },
	{ "pinned, unknown", { "rR" }, "k1", "vm", .pinned = "p9", .want = RESOLUTION_FAILED,
	  .code = CODE_NO_RUNNING_WORKER, .says = "No worker registered for plugin \"p9\"" },
	{ "pinned, crashed", { "rC" }, "k1", "vm", .pinned = "p1", .want = RESOLUTION_FAILED,
	  .code = CODE_NO_RUNNING_WORKER, .says = "worker for \"p1\" is crashed", .why = "p1" },
};

static void
set_up(const struct row *row)
{
	static const char *const ids[] = { "p1", "p2", "p3" }, *const keys[] = { "k1", "k2", "k3" };

	memset(&now, 0, sizeof(now));
	now.stale = row->stale;
	for (size_t i = 0; i < 3 && row->plugins[i]; i++) {
		const char *p = row->plugins[i];

		now.plugins[i] = (struct registry_plugin){
			.id = ids[i],
			.key = keys[i],
			.ready = p[0] == 'r',
			.drivers = drivers,
			.n_drivers = COUNT(drivers),
		};
		now.status[i] = p[1] == 'R' ? WORKER_RUNNING :
				p[1] == 'S' || p[1] == 'A' ? WORKER_STARTING :
				p[1] == 'C' ? WORKER_CRASHED :
					      WORKER_NONE;
		now.left[i] = p[0] == 'l';
		now.startable[i] = p[1] && p[2];
		now.coming[i] = p[1] == 'S';
		now.comes[i] = p[1] != 'A' && p[2] == '+';
	}
}

static void
run_row(const struct row *row)
{
	struct command c = {
		.target = row->provider ? COMMAND_TARGET_PROVIDER : COMMAND_TARGET_DRIVER,
		.plugin_key = span_of(row->key),
		.driver_key = span_of(row->provider ? row->provider : row->driver),
		.pinned_id = span_of(row->pinned),
		.op = operation_by_id(OPERATION_EXECUTE),
	};
	struct outcome o = OUTCOME_INIT;
	struct resolved r = { 0 };

	set_up(row);
	CHECK(row->name,
	      resolver_resolve(NULL, NULL, &c, !row->may_not_start, &r, &o) == row->want);
	if (row->found)
		CHECK_TEXT(row->name, r.plugin_id, row->found);
	if (row->code)
		CHECK(row->name, o.code == row->code);
	if (row->why)
		CHECK_HAS(row->name, o.why.data, row->why);
	if (row->says)
		CHECK_HAS(row->name, o.message.data, row->says);
	CHECK_TEXT(row->name, now.started, row->started ? row->started : "");
	outcome_release(&o);
}

static void
a_plugin_is_found_or_it_is_said_why_not(void **state)
{
	const struct row *row;

	(void)state;
	EACH (row, rows)
		run_row(row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plugin_is_found_or_it_is_said_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
