/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_process: one run of a plugin: its worker process, the host side that
 * answers what it asks, and the configs that are pushed to it.
 *
 * Owns all three. Reports what the plugin writes. Knows nothing of restarts.
 */
#ifndef ENVDRIVER_PLUGIN_PLUGIN_PROCESS_H
#define ENVDRIVER_PLUGIN_PLUGIN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "worker.h"

struct config;
struct mask;
struct plugin_calls;
struct plugin_process;
struct plugin_record;
struct redis;
struct secret_lookups;
struct store;
struct worker_report;

/* What all processes share. Borrowed for their lives. */
struct plugin_process_shared {
	uv_loop_t *loop;
	const struct config *config;
	struct redis *redis;
	char *instance_id;
	struct worker_limits limits;
	bool log_info;		/* plugin.log.info */
	int64_t push_ms;	/* the time limit of a config */
	int64_t drain_ms;	/* what an older one has for its last calls */
	struct store *store;
	size_t state_value_max;
	struct secret_lookups *secrets;
};

struct plugin_process_events {
	/* The hand-shake is done: it can be called. */
	void (*on_up)(void *arg, struct plugin_process *p);
	/* It is gone; its calls end now. Once. */
	void (*on_dead)(void *arg, struct plugin_process *p, const struct worker_end *end);
	/* They have ended. Once, last; only this one may free it. */
	void (*on_over)(void *arg, struct plugin_process *p);
	/* The last of its calls has been answered. */
	void (*on_idle)(void *arg, struct plugin_process *p);
	void *arg;
};

/* Starts the package that the record names; it keeps the manifest that it was started
 * with. The record and the report are borrowed for its life; `next_id` is counted up
 * and outlives it. `given`, which is shared, grows with the secrets that it is given.
 * NULL: nothing runs. Reads the package; blocks as long as that takes. */
struct plugin_process *plugin_process_new(const struct plugin_process_shared *shared,
					  const struct plugin_record *record,
					  struct worker_report *report, uint64_t *next_id,
					  struct mask *given,
					  const struct plugin_process_events *ev,
					  struct err *reterr);
/* To call it and to stop it. */
struct worker *plugin_process_worker(struct plugin_process *p);
/* Those that were sent to it. */
struct plugin_calls *plugin_process_calls(struct plugin_process *p);
int64_t plugin_process_started_at(const struct plugin_process *p);	/* wall ms */
/* Another one takes the calls from now on; it may take until then (mono ms) to end. */
void plugin_process_retire(struct plugin_process *p, int64_t until);
bool plugin_process_overdue(const struct plugin_process *p, int64_t now);
/* The record has changed: what it lent is taken anew. */
void plugin_process_refresh(struct plugin_process *p);
/* Its supportedMethods contain `method`. */
bool plugin_process_supports(const struct plugin_process *p, const char *method);
/* The layers around it: "limits,landlock:7,seccomp". */
const char *plugin_process_isolation(const struct plugin_process *p);
/* on_dead was called. */
bool plugin_process_dead(const struct plugin_process *p);
/* Pushes configs (companyId -> object); a worker that is still being told of
 * others gets all that the record has. */
void plugin_process_push(struct plugin_process *p, struct jtext configs);
/* Kills what runs; nothing is called back any more. Accepts NULL. */
void plugin_process_free(struct plugin_process *p);

#endif
