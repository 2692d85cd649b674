/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: answers what a plugin asks of its host while it works (docs/protocol.md
 * sections 8 and 9, docs/decisions.md D20): config, state, activity, events,
 * streams, logs.
 *
 * Owns the rules: which method needs which capability, and that nothing a
 * plugin asks reaches another company's data. One for each worker process.
 * Knows nothing of Redis: the world is reached through struct host_ops.
 */
#ifndef ENVDRIVER_HOST_HOST_H
#define ENVDRIVER_HOST_HOST_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/host/host_state.h"
#include "envdriver/host/scope.h"

struct err;
struct host;
struct mask;
struct secret_lookups;
struct plugin_event;

/* Whose host it is; borrowed for the host's life, but for the two texts,
 * which are read at each request and may be replaced in between. */
struct host_plugin {
	const char *id;		/* registry id */
	const char *key;
	struct jtext manifest;
	struct jtext config;	/* companyId -> object; MISSING: none */
};

/* The stored config of a company; MISSING when there is none. */
struct jtext host_scope_config(const struct host_plugin *plugin, struct span company);

struct host_ops {
	/* A line to the plugin. */
	void (*write)(void *arg, struct span line);
	/* What the plugin logs, for which company (ptr NULL: none). `meta` is MISSING
	 * when there is none. */
	void (*log)(void *arg, enum log_level level, struct span company, struct span message,
		    struct jtext meta);
	void (*event)(void *arg, const struct plugin_event *e);
	/* A point of a series; the labels as Prometheus prints them. */
	void (*metric)(void *arg, struct span labels, double value);
	host_state_ask_fn *state;
	size_t state_value_max;		/* bytes */
	struct secret_lookups *secrets;	/* NULL: none resolves; outlives the host */
	/* The plugin is about to be told secrets; negative: it must not be. */
	int (*learn)(void *arg, const struct mask *values, struct err *reterr);
	void *arg;
};

struct host *host_new(const struct host_plugin *plugin, const struct scope *scope,
		      const struct host_ops *ops, struct err *reterr);
/* Answers through ops->write, mostly before it returns. */
void host_request(struct host *h, const struct rpc_message *m);
/* `log` and `streams.*`; others are ignored. */
void host_notification(struct host *h, const struct rpc_message *m);
/* The worker died: open streams are closed. */
void host_end(struct host *h);
/* What the store still answers is ignored. Accepts NULL. */
void host_free(struct host *h);

#endif
