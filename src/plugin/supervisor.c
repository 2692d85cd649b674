/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/supervisor.h"

#include <stdlib.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "worker_record.h"
#include "envdriver/registry/registry.h"
#include "supervisor_impl.h"

enum { HANDLES = 2 };

static struct managed *
find(const struct supervisor *s, const char *plugin_id)
{
	struct managed *h = s->handles;

	while (h && strcmp(h->id, plugin_id) != 0)
		h = h->next;
	return h;
}

/* What waits for the loop */

/* When the last worker is gone: says so, once. Their records go, and what was
 * written last says that they stopped. */
static void
end_stop(struct supervisor *s)
{
	void (*fn)(void *arg) = s->on_stopped;

	if (!s->stopping || s->told)
		return;
	for (struct managed *h = s->handles; h; h = h->next)
		if (h->worker || h->spawn_after)
			return;
	s->told = true;
	for (struct managed *h = s->handles; h; h = h->next)
		if (h->row.status != WORKER_NONE)
			worker_record_remove(s->redis, h->id, s->instance_id);
	if (fn)
		fn(s->stopped_arg);
}

static struct managed *
next_changed(const struct supervisor *s)
{
	struct managed *h = s->handles;

	while (h && !h->change_due)
		h = h->next;
	return h;
}

/* From the loop, so that nobody is called back out of his own call. */
static void
tell_changes(struct supervisor *s)
{
	struct managed *h;

	/* Whoever is told may change the list. */
	while ((h = next_changed(s))) {
		h->change_due = false;
		s->ev.on_change(s->ev.arg, h->id);
	}
}

static void
on_idle(uv_idle_t *idle)
{
	struct supervisor *s = idle->data;

	uv_idle_stop(idle);
	supervisor_call_deliver_due(s);
	tell_changes(s);
	if (!s->freed)
		end_stop(s);
}

void
supervisor_wake(struct supervisor *s)
{
	uv_idle_start(&s->idle, on_idle);
}

static void
on_beat(uv_timer_t *timer)
{
	supervisor_republish(timer->data);
}

/* The registry */

static struct managed *
find_or_add(struct supervisor *s, const char *plugin_id)
{
	struct managed *h = find(s, plugin_id);

	if (h)
		return h;
	h = managed_new(s, plugin_id);
	if (h) {
		h->next = s->handles;
		s->handles = h;
	}
	return h;
}

static void
remove_over(struct supervisor *s)
{
	struct managed **at = &s->handles, *h;

	while ((h = *at)) {
		if (managed_over(h)) {
			*at = h->next;
			worker_record_remove(s->redis, h->id, s->instance_id);
			managed_free(h);
		} else {
			at = &h->next;
		}
	}
}

void
supervisor_sync(struct supervisor *s)
{
	const struct registry_plugin *p;
	struct managed *h;

	/* A mirror that is not kept true says nothing about who is gone. */
	if (!registry_fresh(s->registry))
		return;
	for (size_t i = 0; (p = registry_at(s->registry, i)); i++) {
		h = p->ready ? find_or_add(s, p->id) : find(s, p->id);
		if (h)
			managed_update(h, p);
	}
	for (h = s->handles; h; h = h->next)
		if (!registry_by_id(s->registry, span_of(h->id)))
			managed_update(h, NULL);
	remove_over(s);
}

void
supervisor_republish(struct supervisor *s)
{
	for (struct managed *h = s->handles; h; h = h->next)
		if (h->row.status != WORKER_STOPPED)
			managed_beat(h);
}

/* Questions and wishes */

enum worker_status
supervisor_status(const struct supervisor *s, const char *plugin_id)
{
	const struct managed *h = find(s, plugin_id);

	return h ? h->row.status : WORKER_NONE;
}

bool
supervisor_supports(const struct supervisor *s, const char *plugin_id, const char *method)
{
	const struct managed *h = find(s, plugin_id);
	struct jtext_iter it;
	struct jtext one;
	struct span key;

	if (!h || h->row.status != WORKER_RUNNING)
		return false;
	jtext_iter_init(&it, worker_methods(h->worker));
	while (jtext_iter_next(&it, &key, &one))
		if (jtext_is(one, method))
			return true;
	return false;
}

bool
supervisor_startable(const struct supervisor *s, const char *plugin_id)
{
	struct managed *h = find(s, plugin_id);

	if (!h || s->stopping)
		return false;
	managed_look_again(h);
	return supervisor_table_startable(&h->row);
}

void
supervisor_start(struct supervisor *s, const char *plugin_id)
{
	struct managed *h = find(s, plugin_id);

	if (h && !s->stopping)
		handle_event(h, SUPERVISOR_DEMAND);
}

size_t
supervisor_count(const struct supervisor *s, enum worker_status st)
{
	size_t n = 0;

	for (const struct managed *h = s->handles; h; h = h->next)
		n += h->row.status == st;
	return n;
}

/* Slots */

bool
supervisor_slot_take(struct supervisor *s, const char *plugin_id)
{
	struct managed *h = find(s, plugin_id);

	if (!h || h->row.status == WORKER_NONE)
		return false;
	if (h->slots >= s->max_slots) {
		h->slot_refused = true;
		return false;
	}
	h->slots++;
	return true;
}

void
supervisor_slot_give(struct supervisor *s, const char *plugin_id)
{
	struct managed *h = find(s, plugin_id);

	if (!h || h->slots == 0)
		return;
	h->slots--;
	managed_slots_changed(h);
}

/* Life */

void
supervisor_stop(struct supervisor *s, bool now, void (*on_stopped)(void *arg), void *arg)
{
	s->stopping = true;
	s->told = false;
	s->on_stopped = on_stopped;
	s->stopped_arg = arg;
	for (struct managed *h = s->handles; h; h = h->next) {
		if (h->row.wanted)
			handle_event(h, SUPERVISOR_UNWANTED);
		if (now)
			handle_event(h, SUPERVISOR_NOW);
	}
	supervisor_wake(s);
}

static void
on_closed(uv_handle_t *handle)
{
	struct supervisor *s = handle->data;

	if (--s->open > 0)
		return;
	free(s->instance_id);
	free(s->incarnation);
	free(s);
}

void
supervisor_free(struct supervisor *s)
{
	struct managed *h;

	if (!s)
		return;
	s->freed = true;
	supervisor_call_drop(&s->due);
	while ((h = s->handles)) {
		s->handles = h->next;
		managed_free(h);
	}
	uv_close((uv_handle_t *)&s->beat, on_closed);
	uv_close((uv_handle_t *)&s->idle, on_closed);
}

static void
set_limits(struct supervisor *s)
{
	s->limits = worker_limits_default;
	s->limits.start_ms = config_int(s->config, "plugin.start.timeout");
	s->limits.line_max = (size_t)config_int(s->config, "plugin.line.max.bytes");
	s->limits.log_max = (uint64_t)config_int(s->config, "plugin.log.max.bytes");
	s->call_ms = config_int(s->config, "plugin.call.timeout");
	s->max_slots = (size_t)config_int(s->config, "plugin.max.in.flight");
	s->rules.restart = config_bool(s->config, "plugin.restart");
}

struct supervisor *
supervisor_new(uv_loop_t *loop, const struct config *config, struct registry *registry,
	       struct redis *redis, const char *instance_id, const char *incarnation,
	       const struct supervisor_events *events, struct err *reterr)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	uint64_t beat;

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	s->loop = loop;
	s->config = config;
	s->registry = registry;
	s->redis = redis;
	s->ev = *events;
	s->instance_id = strdup(instance_id);
	s->incarnation = strdup(incarnation);
	s->open = HANDLES;
	uv_timer_init(loop, &s->beat);
	uv_idle_init(loop, &s->idle);
	s->beat.data = s->idle.data = s;
	if (!s->instance_id || !s->incarnation) {
		err_nomem(reterr);
		supervisor_free(s);
		return NULL;
	}
	set_limits(s);
	beat = (uint64_t)config_int(config, "heartbeat.interval");
	uv_timer_start(&s->beat, on_beat, beat, beat);
	return s;
}
