/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed: a managed worker: one plugin's worker over its restarts. It is
 * started, called, given its configs, stopped and started again as the table
 * (supervisor_table.h) has it.
 *
 * Owns the worker processes, the copy of its registry record, its calls and its
 * record in Redis. Knows nothing of other plugins.
 */
#ifndef ENVDRIVER_PLUGIN_MANAGED_H
#define ENVDRIVER_PLUGIN_MANAGED_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "plugin_process.h"
#include "supervisor_table.h"

struct endpoint;
struct managed;
struct plugin_call;
struct plugin_event;
struct registry_plugin;

/* What all managed workers of a supervisor share. Borrowed for their lives. */
struct managed_shared {
	struct plugin_process_shared process;
	char *incarnation;
	struct supervisor_rules rules;
	size_t slots_max;	/* plugin.max.in.flight */
	int64_t return_ms;	/* plugin.start.wait, for one that is not ready any more */
	bool stopping;		/* nothing is started any more */
	/* Something changed: managed_take_change, managed_process. */
	void (*wake)(void *arg);
	void (*on_plugin_event)(void *arg, const struct plugin_event *e);
	void *arg;
};

/* Nothing is started yet. NULL when out of memory. */
struct managed *managed_new(const struct managed_shared *shared, const char *id);
/* The plugin's. */
const char *managed_id(const struct managed *m);
enum worker_status managed_status(const struct managed *m);
/* The plugin is ready, and its package cannot be run on this host. */
bool managed_refused(const struct managed *m);
/* As supervisor_reason, _coming and _left have it, and one view of
 * supervisor_each. */
const char *managed_reason(const struct managed *m);
bool managed_coming(const struct managed *m);
bool managed_left(const struct managed *m);
void managed_view(const struct managed *m, struct supervisor_view *ret);

/* Takes over what the registry says now, and does what follows from it; NULL:
 * the plugin is not there any more. `external` as plugin_record_update has it. */
void managed_update(struct managed *m, const struct registry_plugin *p,
		    const struct endpoint *external);
/* Nothing is left that would keep it: not listed, no process, no call. */
bool managed_over(const struct managed *m);
/* Writes its record in Redis, when there is something to show. That of a worker that
 * somebody else runs is theirs. */
void managed_publish(struct managed *m);
/* Somebody else runs its worker. */
bool managed_external(const struct managed *m);

/* The live worker's supportedMethods contain `method`. */
bool managed_supports(const struct managed *m, const char *method);
/* It can be started, or is. Looks again for a package that was not there. */
bool managed_startable(struct managed *m);
/* Starts it now, as supervisor_start has it. */
void managed_start(struct managed *m);
/* A free place among its calls. */
bool managed_slot_take(struct managed *m);
void managed_slot_give(struct managed *m);
/* Sends the new call `c`, holds it for the hand-shake or refuses it. */
void managed_call(struct managed *m, struct plugin_call *c, struct span params);

/* True once after each change of its status or its free slots. */
bool managed_take_change(struct managed *m);
/* A process runs, or is about to be started. */
bool managed_process(const struct managed *m);
/* Stops it when it has no call; with `now`, at once. */
void managed_stop(struct managed *m, bool now);
/* To be called every few seconds. */
void managed_tick(struct managed *m);
/* Kills what runs; nothing is called back any more. The memory is given back
 * when the loop has turned. */
void managed_free(struct managed *m);

#endif
