/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/supervisor.h"

#include <stdlib.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/hash.h"
#include "envdriver/package/socket.h"
#include "envdriver/registry/endpoints.h"
#include "envdriver/registry/registry.h"
#include "envdriver/secret/secret_lookup.h"
#include "managed.h"
#include "plugin_calls.h"
#include "store.h"
#include "worker_record.h"

enum { HANDLES = 2 };

/* A plugin that it knows. */
struct member {
	UT_hash_handle hh;	/* by the plugin's id, which `managed` owns */
	struct managed *managed;
};

struct supervisor {
	struct managed_shared shared;
	struct store store;
	struct registry *registry;
	struct endpoints *endpoints;
	bool asked, synced;	/* to bring workers in line; and they were, once */
	struct supervisor_events ev;
	struct member *members;
	uv_timer_t heartbeat;
	uv_idle_t idle;
	unsigned open;		/* of the two, not yet closed */
	bool freed;
	bool told;		/* on_stopped was called, or there is none */
	void (*on_stopped)(void *arg);
	void *stopped_arg;
	struct plugin_calls_due due;
	struct plugin_calls_looking looking;
};

static struct managed *
find_managed(const struct supervisor *s, const char *plugin_id)
{
	struct member *found;

	HASH_FIND_STR(s->members, plugin_id, found);
	return found ? found->managed : NULL;
}

/* What waits for the loop */

/* When the last worker is gone: says so, once. Their records go, and what was
 * written last says that they stopped. */
static void
end_stop(struct supervisor *s)
{
	void (*fn)(void *arg) = s->on_stopped;

	if (!s->shared.stopping || s->told)
		return;
	for (struct member *m = s->members; m; m = m->hh.next)
		if (managed_process(m->managed))
			return;
	s->told = true;
	for (struct member *m = s->members; m; m = m->hh.next)
		if (!managed_external(m->managed) &&
		    (managed_status(m->managed) != WORKER_NONE || managed_refused(m->managed)))
			worker_record_remove(s->shared.process.redis, managed_id(m->managed),
					     s->shared.process.instance_id);
	if (fn)
		fn(s->stopped_arg);
}

static struct managed *
next_changed(const struct supervisor *s)
{
	for (struct member *m = s->members; m; m = m->hh.next)
		if (managed_take_change(m->managed))
			return m->managed;
	return NULL;
}

/* From the loop, so that nothing is called back out of a call of ours. */
static void
tell_changes(struct supervisor *s)
{
	struct managed *m;

	/* Each callback may change the members. */
	while ((m = next_changed(s)))
		s->ev.on_change(s->ev.arg, managed_id(m));
}

static void
on_supervisor_turn(uv_idle_t *idle)
{
	struct supervisor *s = idle->data;

	uv_idle_stop(idle);
	plugin_calls_due_deliver(&s->due);
	tell_changes(s);
	if (!s->freed)
		end_stop(s);
}

static void
wake(void *arg)
{
	struct supervisor *s = arg;

	uv_idle_start(&s->idle, on_supervisor_turn);
}

static void
on_managed_event(void *arg, const struct plugin_event *e)
{
	struct supervisor *s = arg;

	s->ev.on_plugin_event(s->ev.arg, e);
}

static void
on_endpoints_changed(void *arg)
{
	struct supervisor *s = arg;

	if (s->freed || !s->asked)
		return;
	supervisor_sync(s);
	wake(s);
}

static void
on_heartbeat(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	supervisor_republish(s);
	/* A socket may have come that was not there. */
	if (s->asked && endpoints_any(s->endpoints))
		supervisor_sync(s);
	for (struct member *m = s->members; m; m = m->hh.next)
		managed_tick(m->managed);
}

/* The registry */

static struct managed *
find_or_add(struct supervisor *s, const char *plugin_id)
{
	struct managed *found = find_managed(s, plugin_id);
	struct member *m;

	if (found)
		return found;
	m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->managed = managed_new(&s->shared, plugin_id);
	if (m->managed)
		HASH_ADD_KEYPTR(hh, s->members, managed_id(m->managed), strlen(plugin_id), m);
	if (m->hh.tbl)
		return m->managed;
	managed_free(m->managed);
	free(m);
	return NULL;
}

static void
remove_over(struct supervisor *s)
{
	struct member *m, *next;

	HASH_ITER(hh, s->members, m, next) {
		if (!managed_over(m->managed))
			continue;
		HASH_DEL(s->members, m);
		if (!managed_external(m->managed))
			worker_record_remove(s->shared.process.redis, managed_id(m->managed),
					     s->shared.process.instance_id);
		managed_free(m->managed);
		free(m);
	}
}

/* The worker that somebody else runs for it: the first whose socket is here, or any when
 * there is no package that could be run in its place. NULL: none. */
static const struct endpoint *
find_external(const struct supervisor *s, const struct registry_plugin *p, struct endpoint *ret)
{
	const char *dirs = config_str(s->shared.process.config, "plugin.dirs");

	for (unsigned i = 0; endpoints_at(s->endpoints, p->id, i, ret); i++)
		if (socket_check(ret->address, dirs, /* reterr= */ NULL) == 0)
			return ret;
	return !p->package && endpoints_at(s->endpoints, p->id, 0, ret) ? ret : NULL;
}

void
supervisor_sync(struct supervisor *s)
{
	const struct registry_plugin *p;
	struct endpoint external;
	struct managed *found;

	s->asked = true;
	/* A mirror that is not kept true says nothing about who is gone. */
	if (!registry_fresh(s->registry) || !endpoints_known(s->endpoints))
		return;
	s->synced = true;
	for (size_t i = 0; (p = registry_at(s->registry, i)); i++) {
		found = p->ready ? find_or_add(s, p->id) : find_managed(s, p->id);
		if (found)
			managed_update(found, p, find_external(s, p, &external));
	}
	for (struct member *m = s->members; m; m = m->hh.next)
		if (!registry_by_id(s->registry, span_of(managed_id(m->managed))))
			managed_update(m->managed, NULL, NULL);
	remove_over(s);
}

void
supervisor_republish(struct supervisor *s)
{
	for (struct member *m = s->members; m; m = m->hh.next)
		if (managed_status(m->managed) != WORKER_STOPPED || managed_refused(m->managed))
			managed_publish(m->managed);
}

/* Questions and wishes */

enum worker_status
supervisor_status(const struct supervisor *s, const char *plugin_id)
{
	const struct managed *m = find_managed(s, plugin_id);

	return m ? managed_status(m) : WORKER_NONE;
}

const char *
supervisor_reason(const struct supervisor *s, const char *plugin_id)
{
	const struct managed *m = find_managed(s, plugin_id);

	return m ? managed_reason(m) : "";
}

void
supervisor_add_why(const struct supervisor *s, const char *plugin_id, struct buf *out)
{
	const struct managed *m = find_managed(s, plugin_id);

	struct supervisor_view view;

	if (!m)
		return;
	managed_view(m, &view);
	supervisor_table_add_why(&view, out);
}

bool
supervisor_coming(const struct supervisor *s, const char *plugin_id)
{
	const struct managed *m = find_managed(s, plugin_id);

	return m && !s->shared.stopping && managed_coming(m);
}

bool
supervisor_left(const struct supervisor *s, const char *plugin_id)
{
	const struct managed *m = find_managed(s, plugin_id);

	return m && !s->shared.stopping && managed_left(m);
}

bool
supervisor_each(const struct supervisor *s, supervisor_view_fn *fn, void *arg)
{
	struct supervisor_view view;

	if (!s->synced)
		return false;
	for (const struct member *m = s->members; m; m = m->hh.next) {
		managed_view(m->managed, &view);
		if (!fn(arg, &view))
			return false;
	}
	return true;
}

bool
supervisor_supports(const struct supervisor *s, const char *plugin_id, const char *method)
{
	const struct managed *m = find_managed(s, plugin_id);

	return m && managed_supports(m, method);
}

bool
supervisor_startable(const struct supervisor *s, const char *plugin_id)
{
	struct managed *m = find_managed(s, plugin_id);

	return m && !s->shared.stopping && managed_startable(m);
}

void
supervisor_start(struct supervisor *s, const char *plugin_id)
{
	struct managed *m = find_managed(s, plugin_id);

	if (m && !s->shared.stopping)
		managed_start(m);
}

size_t
supervisor_count(const struct supervisor *s, enum worker_status st)
{
	size_t n = 0;

	for (const struct member *m = s->members; m; m = m->hh.next)
		n += managed_status(m->managed) == st;
	return n;
}

bool
supervisor_slot_take(struct supervisor *s, const char *plugin_id)
{
	struct managed *m = find_managed(s, plugin_id);

	return m && managed_slot_take(m);
}

void
supervisor_slot_give(struct supervisor *s, const char *plugin_id)
{
	struct managed *m = find_managed(s, plugin_id);

	if (m)
		managed_slot_give(m);
}

/* A call with all its parameters. */
static void
on_call_ready(void *arg, struct plugin_call *c, const char *plugin_id, struct span params)
{
	struct managed *m = find_managed(arg, plugin_id);

	if (m && managed_status(m) != WORKER_NONE)
		managed_call(m, c, params);
	else
		plugin_call_refuse_unknown(c, plugin_id);
}

struct plugin_call *
supervisor_call(struct supervisor *s, const struct plugin_request *r,
		const struct plugin_call_events *ev)
{
	struct plugin_call *c = plugin_call_new(r, ev, &s->due);

	if (!c)
		return NULL;
	if (r->secrets)
		call_lookup_start(c, &s->looking, r->params, r->secrets);
	else
		on_call_ready(s, c, r->plugin_id, r->params);
	return c;
}

/* Life */

void
supervisor_stop(struct supervisor *s, bool now, void (*on_stopped)(void *arg), void *arg)
{
	s->shared.stopping = true;
	s->told = false;
	s->on_stopped = on_stopped;
	s->stopped_arg = arg;
	for (struct member *m = s->members; m; m = m->hh.next)
		managed_stop(m->managed, now);
	wake(s);
}

static void
on_supervisor_closed(uv_handle_t *handle)
{
	struct supervisor *s = handle->data;

	if (--s->open > 0)
		return;
	endpoints_free(s->endpoints);
	free(s->shared.process.instance_id);
	free(s->shared.incarnation);
	free(s);
}

void
supervisor_free(struct supervisor *s)
{
	struct member *m, *next;

	if (!s)
		return;
	s->freed = true;
	call_lookup_release(&s->looking);
	plugin_calls_due_release(&s->due);
	HASH_ITER(hh, s->members, m, next) {
		HASH_DEL(s->members, m);
		managed_free(m->managed);
		free(m);
	}
	secret_lookups_free(s->looking.lookups);
	uv_close((uv_handle_t *)&s->heartbeat, on_supervisor_closed);
	uv_close((uv_handle_t *)&s->idle, on_supervisor_closed);
}

static void
set_shared(struct managed_shared *shared, uv_loop_t *loop, const struct config *config,
	   struct redis *redis)
{
	shared->process = (struct plugin_process_shared){
		.loop = loop, .config = config, .redis = redis,
		.limits = worker_limits_default,
		.log_info = config_bool(config, "plugin.log.info"),
		.push_ms = config_int(config, "plugin.call.timeout"),
		.drain_ms = config_int(config, "plugin.drain.timeout"),
		.state_value_max = (size_t)config_int(config, "plugin.state.value.max.bytes"),
	};
	shared->process.limits.start_ms = config_int(config, "plugin.start.timeout");
	shared->process.limits.line_max = (size_t)config_int(config, "plugin.line.max.bytes");
	shared->process.limits.log_max = (uint64_t)config_int(config, "plugin.log.max.bytes");
	shared->slots_max = (size_t)config_int(config, "plugin.max.in.flight");
	shared->return_ms = config_int(config, "plugin.start.wait");
	shared->rules.restart = config_bool(config, "plugin.restart");
}

static bool
open_secrets(struct supervisor *s, uv_loop_t *loop, const struct config *config,
	     struct err *reterr)
{
	const struct secret_source source = {
		.dir = config_str(config, "secrets.dir"),
		.credentials = getenv("CREDENTIALS_DIRECTORY"),
		.env = config_bool(config, "secrets.env") ? environ : NULL,
	};

	s->looking = (struct plugin_calls_looking){
		.lookups = secret_lookups_new(loop, &source, reterr),
		.ready = on_call_ready, .arg = s,
	};
	TAILQ_INIT(&s->looking.list);
	return (s->shared.process.secrets = s->looking.lookups) != NULL;
}

struct supervisor *
supervisor_new(uv_loop_t *loop, const struct config *config, struct registry *registry,
	       struct redis *redis, const char *instance_id, const char *incarnation,
	       const struct supervisor_events *events, struct err *reterr)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	uint64_t interval;

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	s->registry = registry;
	s->ev = *events;
	s->open = HANDLES;
	uv_timer_init(loop, &s->heartbeat);
	uv_idle_init(loop, &s->idle);
	s->heartbeat.data = s->idle.data = s;
	plugin_calls_due_init(&s->due, wake, s);
	set_shared(&s->shared, loop, config, redis);
	store_init(&s->store, redis, config_int(config, "plugin.state.max.keys"),
		   config_int(config, "plugin.state.max.bytes"));
	s->shared.process.store = &s->store;
	s->shared.wake = wake;
	s->shared.on_plugin_event = on_managed_event;
	s->shared.arg = s;
	s->shared.process.instance_id = strdup(instance_id);
	s->shared.incarnation = strdup(incarnation);
	if (s->shared.process.instance_id && s->shared.incarnation)
		s->endpoints = endpoints_new(redis, instance_id, on_endpoints_changed, s, reterr);
	else
		err_nomem(reterr);
	if (!open_secrets(s, loop, config, reterr) || !s->endpoints) {
		supervisor_free(s);
		return NULL;
	}
	interval = (uint64_t)config_int(config, "heartbeat.interval");
	uv_timer_start(&s->heartbeat, on_heartbeat, interval, interval);
	return s;
}
