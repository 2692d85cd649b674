/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_push.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/isolation/cgroup.h"
#include "envdriver/isolation/namespaces.h"
#include "envdriver/isolation/scratch.h"
#include "envdriver/host/host.h"
#include "envdriver/base/config.h"
#include "envdriver/package/package.h"
#include "envdriver/package/socket.h"
#include "plugin_calls.h"
#include "plugin_jail.h"
#include "plugin_record.h"
#include "store.h"
#include "worker_env.h"
#include "worker_report.h"

struct plugin_process {
	const struct plugin_process_shared *shared;
	const struct plugin_record *record;
	struct worker_report *report;
	struct mask *given;		/* borrowed for the start */
	struct plugin_process_events ev;
	struct worker *worker;
	struct host *host;
	struct host_plugin plugin;	/* as the record was when it was started */
	struct buf manifest;
	struct plugin_calls *calls;
	struct config_push push;
	struct plugin_jail jail;
	int64_t started_at;	/* wall ms */
	int64_t retire_at;	/* mono ms; 0: it is called, or starting */
	bool dead;
};

/* What the worker says */

static void
on_process_up(void *arg)
{
	struct plugin_process *p = arg;

	p->ev.on_up(p->ev.arg, p);
}

static void
on_process_request(void *arg, const struct rpc_message *m)
{
	struct plugin_process *p = arg;

	host_request(p->host, m);
}

static void
on_process_notification(void *arg, const struct rpc_message *m)
{
	struct plugin_process *p = arg;

	host_notification(p->host, m);
}

static void
on_process_stderr(void *arg, struct span line)
{
	struct plugin_process *p = arg;

	worker_report_stderr(p->report, line);
}

static void
on_process_bad_line(void *arg, const char *why, struct span line)
{
	struct plugin_process *p = arg;

	worker_report_ignored(p->report, why, line);
}

static void
on_process_dead(void *arg, const struct worker_end *end)
{
	struct plugin_process *p = arg;

	p->dead = true;
	config_push_end(&p->push);
	host_end(p->host);
	p->ev.on_dead(p->ev.arg, p, end);
}

static void
on_process_over(void *arg)
{
	struct plugin_process *p = arg;

	p->ev.on_over(p->ev.arg, p);
}

static void
on_process_idle(void *arg)
{
	struct plugin_process *p = arg;

	p->ev.on_idle(p->ev.arg, p);
}

/* What the host side does */

static void
on_host_write(void *arg, struct span line)
{
	struct plugin_process *p = arg;

	if (!p->dead)
		worker_write(p->worker, line);
}

static void
on_host_log(void *arg, enum log_level level, struct span company, struct span message,
	    struct jtext meta)
{
	struct plugin_process *p = arg;

	/* Many log each line of a command's output. */
	if (level == LOG_LEVEL_INFO && !p->shared->log_info)
		level = LOG_LEVEL_DEBUG;
	worker_report_message(p->report, level, company, message, meta);
}

static void
on_host_event(void *arg, const struct plugin_event *e)
{
	struct plugin_process *p = arg;

	worker_report_event(p->report, e);
}

static void
on_host_metric(void *arg, struct span labels, double value)
{
	struct plugin_process *p = arg;

	worker_report_metric(p->report, labels, value);
}

static int
on_host_state(void *arg, enum host_state_op op, struct span company, struct span field,
	      struct span value, host_state_fn *done, void *token)
{
	struct plugin_process *p = arg;

	return store_ask(p->shared->store, p->plugin.id, op, company, field, value, done,
			 token);
}

static void
on_config_answer(void *arg, struct span company, const struct rpc_answer *answer)
{
	struct plugin_process *p = arg;

	worker_report_config(p->report, company, answer);
}

/* Starting and ending */

static struct worker *
new_worker(struct plugin_process *p, struct worker_spec *spec, uint64_t *next_id,
	   struct err *reterr)
{
	const struct worker_events ev = {
		.on_up = on_process_up, .on_request = on_process_request,
		.on_notification = on_process_notification, .on_stderr = on_process_stderr,
		.on_bad = on_process_bad_line, .on_dead = on_process_dead,
		.on_end = on_process_over, .arg = p,
	};

	spec->instance_id = p->shared->instance_id;
	spec->given = p->given;
	spec->manifest = buf_span(&p->manifest);
	return worker_new(p->shared->loop, spec, next_id, &ev, reterr);
}

static struct worker *
new_child(struct plugin_process *p, const struct package *package, char **env,
	  uint64_t *next_id, struct err *reterr)
{
	struct spawn_limit limits[WORKER_ENV_LIMITS];
	size_t n_limits = worker_env_limits(p->shared->config, p->jail.processes_max, limits);
	const struct namespaces *spaces = p->jail.namespaces;
	struct worker_spec spec = {
		.dir = package->dir, .argv = spaces ? namespaces_argv(spaces) : package->argv,
		.env = env, .limits = p->shared->limits,
		.rlimits = limits, .n_rlimits = n_limits, .jail = p->jail.jail,
		.processes_max = p->jail.processes_max, .cgroup = p->jail.cgroup,
		.pass_fds = spaces ? namespaces_fds(spaces) : NULL,
		.n_pass_fds = spaces ? NAMESPACES_FDS : 0,
	};

	return new_worker(p, &spec, next_id, reterr);
}

/* One that somebody else runs, and goes on running when we leave. */
static struct worker *
new_peer(struct plugin_process *p, uint64_t *next_id, struct err *reterr)
{
	struct worker_spec spec = { .limits = p->shared->limits, .is_peer = true };
	int fd = socket_connect(p->record->endpoint, config_str(p->shared->config, "plugin.dirs"),
				&spec.peer_pid, reterr);

	if (fd < 0)
		return NULL;
	spec.limits.shutdown_ms = 0;
	spec.limits.linger_ms = 1;
	spec.take_peer_fd = fd;
	snprintf(p->jail.layers, sizeof(p->jail.layers), "external");
	return new_worker(p, &spec, next_id, reterr);
}

static int
on_host_learn(void *arg, const struct mask *values, struct err *reterr)
{
	struct plugin_process *p = arg;

	return p->dead ? err_set(reterr, ERR_CLOSED, "the plugin's process is gone") :
			 worker_learn(p->worker, values, reterr);
}

static struct host *
new_host(struct plugin_process *p, struct err *reterr)
{
	const struct host_ops ops = {
		.write = on_host_write, .log = on_host_log, .event = on_host_event,
		.metric = on_host_metric, .state = on_host_state,
		.state_value_max = p->shared->state_value_max, .secrets = p->shared->secrets,
		.learn = on_host_learn, .arg = p,
	};

	return host_new(&p->plugin, worker_scope(p->worker), &ops, reterr);
}

/* What plugin.env has for a key is not for whatever package the registry puts
 * under it. */
static const char *
own_key(const struct plugin_record *record)
{
	const char *key = record->plugin.key;

	return record->package && package_has_key(record->package, key) ? key : NULL;
}

static char **
new_env(const struct plugin_jail_of *of, const struct plugin_jail *jail, struct err *reterr)
{
	const struct worker_env_of env_of = { of->plugin_id, of->plugin_key, jail->tmp,
					      jail->data };

	return worker_env_new(of->config, &env_of, environ, reterr);
}

static struct worker *
start_child(struct plugin_process *p, uint64_t *next_id, struct err *reterr)
{
	const struct plugin_record *record = p->record;
	const struct config *config = p->shared->config;
	const struct plugin_jail_of of = { config, record->plugin.id, own_key(record) };
	struct package package = { NULL, NULL };
	struct worker *w = NULL;
	char **env = NULL;

	if (plugin_jail_make_folders(&p->jail, &of, reterr) < 0)
		return NULL;
	env = new_env(&of, &p->jail, reterr);
	if (env && plugin_record_open(record, config, env, &package, reterr) == 0 &&
	    plugin_jail_close(&p->jail, &of, &package, env, reterr) == 0)
		w = new_child(p, &package, env, next_id, reterr);
	package_release(&package);
	free(env);
	return w;
}

struct plugin_process *
plugin_process_new(const struct plugin_process_shared *shared, const struct plugin_record *record,
		   struct worker_report *report, uint64_t *next_id, struct mask *given,
		   const struct plugin_process_events *ev, struct err *reterr)
{
	struct plugin_process *p = calloc(1, sizeof(*p));

	if (!p) {
		err_nomem(reterr);
		return NULL;
	}
	*p = (struct plugin_process){
		.shared = shared, .record = record, .report = report, .ev = *ev,
		.push = { .timeout_ms = shared->push_ms, .on_answer = on_config_answer, .arg = p },
		.given = given, .plugin = record->plugin, .started_at = clock_wall_ms(),
	};
	buf_addspan(&p->manifest, record->plugin.manifest.raw);
	p->plugin.manifest.raw = buf_span(&p->manifest);
	p->calls = plugin_calls_new(shared->loop, record->plugin.id, on_process_idle, p);
	if (p->manifest.failed || !p->calls)
		err_nomem(reterr);
	else
		p->worker = record->endpoint ? new_peer(p, next_id, reterr) :
					       start_child(p, next_id, reterr);
	p->host = p->worker ? new_host(p, reterr) : NULL;
	if (p->host)
		return p;
	plugin_process_free(p);
	return NULL;
}

struct worker *
plugin_process_worker(struct plugin_process *p)
{
	return p->worker;
}

struct plugin_calls *
plugin_process_calls(struct plugin_process *p)
{
	return p->calls;
}

int64_t
plugin_process_started_at(const struct plugin_process *p)
{
	return p->started_at;
}

void
plugin_process_retire(struct plugin_process *p, int64_t until)
{
	p->retire_at = until;
}

bool
plugin_process_overdue(const struct plugin_process *p, int64_t now)
{
	return p->retire_at && now >= p->retire_at;
}

void
plugin_process_refresh(struct plugin_process *p)
{
	p->plugin.key = p->record->plugin.key;
	p->plugin.config = p->record->plugin.config;
}

bool
plugin_process_supports(const struct plugin_process *p, const char *method)
{
	struct jtext_iter it;
	struct jtext one;
	struct span key;

	jtext_iter_init(&it, worker_methods(p->worker));
	while (jtext_iter_next(&it, &key, &one))
		if (jtext_is(one, method))
			return true;
	return false;
}

bool
plugin_process_dead(const struct plugin_process *p)
{
	return p->dead;
}

void
plugin_process_push(struct plugin_process *p, struct jtext configs)
{
	config_push_begin(&p->push, p->worker, p->push.busy ? p->record->plugin.config : configs);
}

const char *
plugin_process_isolation(const struct plugin_process *p)
{
	return p->jail.layers;
}

/* It may hold more than the loop has time for. */
struct leftover {
	uv_work_t work;
	char *tmp, *cgroup;	/* each may be NULL */
};

static void
remove_leftover(uv_work_t *work)
{
	struct leftover *l = CONTAINER_OF(work, struct leftover, work);

	if (l->cgroup)
		cgroup_end(l->cgroup);
	if (l->tmp)
		scratch_remove(l->tmp);
}

static void
on_leftover_removed(uv_work_t *work, int status)
{
	struct leftover *l = CONTAINER_OF(work, struct leftover, work);

	(void)status;
	free(l->cgroup);
	free(l->tmp);
	free(l);
}

static void
release_jail(struct plugin_process *p)
{
	struct leftover *l = calloc(1, sizeof(*l));
	char *tmp, *cgroup;

	plugin_jail_release(&p->jail, &tmp, &cgroup);
	if (l && (tmp || cgroup)) {
		l->tmp = tmp;
		l->cgroup = cgroup;
		if (uv_queue_work(p->shared->loop, &l->work, remove_leftover,
				  on_leftover_removed) == 0)
			return;
	}
	/* What stays is removed at the end of this process. */
	free(tmp);
	free(cgroup);
	free(l);
}

void
plugin_process_free(struct plugin_process *p)
{
	if (!p)
		return;
	worker_free(p->worker);
	host_free(p->host);
	config_push_release(&p->push);
	release_jail(p);
	plugin_calls_free(p->calls);
	buf_release(&p->manifest);
	free(p);
}
