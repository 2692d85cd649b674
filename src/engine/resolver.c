/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver.h"

#include <string.h>

#include "envdriver/command/command.h"
#include "envdriver/result/result.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"

static bool
running(const struct supervisor *s, const char *id)
{
	return supervisor_status(s, id) == WORKER_RUNNING;
}

/* The messages of failures are fixed to the letter; why a worker does not run is
 * told beside them. */

/* A worker that does not run: whether waiting may help. */
static enum resolution
look_for_start(struct supervisor *s, const char *id, bool may_start)
{
	if (!supervisor_coming(s, id)) {
		if (may_start && supervisor_left(s, id))
			return RESOLUTION_DOWN;
		if (!may_start || !supervisor_startable(s, id))
			return RESOLUTION_FAILED;
		supervisor_start(s, id);
	}
	return supervisor_coming(s, id) ? RESOLUTION_STARTING : RESOLUTION_DOWN;
}

static enum resolution
fail_key(const struct command *c, enum outcome_code code, const char *fmt_end,
	 struct outcome *ret_failure)
{
	outcome_fail(ret_failure, code, "Plugin environment driver \"%.*s:%.*s\" %s",
		     SPAN_FMT(c->plugin_key), SPAN_FMT(c->driver_key), fmt_end);
	return RESOLUTION_FAILED;
}

static enum resolution
by_key(const struct registry *registry, struct supervisor *supervisor, const struct command *c,
       bool may_start, struct resolved *ret, struct outcome *ret_failure)
{
	const struct registry_plugin *p = registry_by_key(registry, c->plugin_key);
	const struct registry_driver *d;
	enum resolution way;

	if (!p || !p->ready) {
		(void)fail_key(c, CODE_DRIVER_NOT_READY, "is not ready.", ret_failure);
		return p && may_start && supervisor_left(supervisor, p->id) ? RESOLUTION_DOWN :
									      RESOLUTION_FAILED;
	}
	d = registry_driver(p, c->driver_key);
	if (!d) {
		outcome_fail(ret_failure, CODE_DRIVER_NOT_DECLARED,
			     "Plugin \"%.*s\" does not declare environment driver \"%.*s\".",
			     SPAN_FMT(c->plugin_key), SPAN_FMT(c->driver_key));
		return RESOLUTION_FAILED;
	}
	if (!running(supervisor, p->id)) {
		way = look_for_start(supervisor, p->id, may_start);
		(void)fail_key(c, CODE_NO_RUNNING_WORKER, "has no running worker.", ret_failure);
		supervisor_add_why(supervisor, p->id, &ret_failure->why);
		return way;
	}
	*ret = (struct resolved){ p->id, p->key, d };
	return RESOLUTION_FOUND;
}

static bool
declares(const struct registry_plugin *p, struct span provider, const struct registry_driver **ret)
{
	for (size_t i = 0; i < p->n_drivers; i++) {
		*ret = &p->drivers[i];
		if ((*ret)->sandbox_provider && span_is(provider, (*ret)->driver_key))
			return true;
	}
	return false;
}

static enum resolution
by_provider(const struct registry *registry, struct supervisor *supervisor,
	    const struct command *c, bool may_start, struct resolved *ret,
	    struct outcome *ret_failure)
{
	const struct registry_plugin *p;
	const struct registry_driver *d;
	enum resolution way = RESOLUTION_FAILED, one;
	const char *down = NULL;

	for (size_t i = 0; (p = registry_at(registry, i)); i++) {
		if (p->ready && declares(p, c->driver_key, &d) && running(supervisor, p->id)) {
			*ret = (struct resolved){ p->id, p->key, d };
			return RESOLUTION_FOUND;
		}
	}
	/* None runs: all that could are started at once. */
	for (size_t i = 0; (p = registry_at(registry, i)); i++) {
		if (!declares(p, c->driver_key, &d))
			continue;
		if (!p->ready) {
			if (may_start && supervisor_left(supervisor, p->id))
				way = way == RESOLUTION_FAILED ? RESOLUTION_DOWN : way;
			continue;
		}
		one = look_for_start(supervisor, p->id, may_start);
		if (way == RESOLUTION_FAILED || one == RESOLUTION_STARTING)
			way = one;
		if (!down || !*supervisor_reason(supervisor, down))
			down = p->id;
	}
	outcome_fail(ret_failure, CODE_PROVIDER_NOT_AVAILABLE,
		     "Sandbox provider \"%.*s\" is not installed or its plugin worker is not "
		     "running.",
		     SPAN_FMT(c->driver_key));
	if (down)
		supervisor_add_why(supervisor, down, &ret_failure->why);
	return way;
}

/* No readiness or declaration check: only its worker counts. */
static enum resolution
pinned(const struct registry *registry, struct supervisor *supervisor, const struct command *c,
       bool may_start, struct resolved *ret, struct outcome *ret_failure)
{
	const struct registry_plugin *p = registry_by_id(registry, c->pinned_id);
	const char *id = p ? p->id : c->pinned_id.ptr;	/* NUL-terminated */
	enum worker_status st = supervisor_status(supervisor, id);
	enum resolution way;

	if (st != WORKER_RUNNING && st != WORKER_STARTING) {
		way = look_for_start(supervisor, id, may_start);
		if (st == WORKER_NONE)
			outcome_fail(ret_failure, CODE_NO_RUNNING_WORKER,
				     "No worker registered for plugin \"%s\"", id);
		else
			outcome_fail(ret_failure, CODE_NO_RUNNING_WORKER,
				     "Cannot call \"%s\" \xe2\x80\x94 worker for \"%s\" is %s",
				     c->op->rpc, id, supervisor_status_name(st));
		supervisor_add_why(supervisor, id, &ret_failure->why);
		return way;
	}
	*ret = (struct resolved){
		.plugin_id = id,
		.plugin_key = p && p->key ? p->key : "",
		.driver = p ? registry_driver(p, c->driver_key) : NULL,
	};
	return RESOLUTION_FOUND;
}

enum resolution
resolver_resolve(const struct registry *registry, struct supervisor *supervisor,
		 const struct command *c, bool may_start, struct resolved *ret,
		 struct outcome *ret_failure)
{
	if (!registry_fresh(registry))
		return RESOLUTION_STALE;
	if (c->pinned_id.ptr)
		return pinned(registry, supervisor, c, may_start, ret, ret_failure);
	if (c->target == COMMAND_TARGET_PROVIDER)
		return by_provider(registry, supervisor, c, may_start, ret, ret_failure);
	return by_key(registry, supervisor, c, may_start, ret, ret_failure);
}

const struct registry_driver *
resolver_driver(const struct registry *registry, const struct command *c)
{
	const struct registry_driver *d = NULL;
	const struct registry_plugin *p = NULL;

	if (c->pinned_id.ptr)
		p = registry_by_id(registry, c->pinned_id);
	else if (c->target == COMMAND_TARGET_DRIVER)
		p = registry_by_key(registry, c->plugin_key);
	if (p || c->pinned_id.ptr || c->target != COMMAND_TARGET_PROVIDER)
		return p ? registry_driver(p, c->driver_key) : NULL;
	for (size_t i = 0; !d && (p = registry_at(registry, i)); i++)
		d = registry_driver(p, c->driver_key);
	return d;
}
