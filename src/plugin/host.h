/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: answers what plugins ask of the host while they work (docs/decisions.md D20,
 * docs/protocol.md sections 8 and 9): config, state, activity, events, streams, logs.
 *
 * Owns the rules: which method needs which capability, and that nothing a
 * plugin asks reaches another company's data. One per worker process. Knows
 * nothing of Redis: the world is reached through struct host_ops.
 */
#ifndef ENVDRIVER_PLUGIN_HOST_H
#define ENVDRIVER_PLUGIN_HOST_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/plugin/rpc.h"
#include "scope.h"

struct err;
struct host;
struct plugin_event;

/* Of one worker: requests for state that Redis has not answered, and open
 * stream channels. What goes beyond is refused. */
enum { HOST_STATE_MAX = 256, HOST_STREAM_MAX = 256 };

/* Whose host it is; borrowed for the host's life, but for the two texts,
 * which are read at each request and may be replaced in between. */
struct host_plugin {
	const char *id;		/* registry id */
	const char *key;
	struct jtext manifest;
	struct jtext config;	/* companyId -> object; MISSING: none */
};

enum host_state_op { HOST_STATE_GET, HOST_STATE_SET, HOST_STATE_DELETE };

/* How a state request ended; `value`: of a get, ptr NULL when there is none. */
typedef void host_state_fn(void *token, bool ok, struct span value);

struct host_ops {
	/* A line to the plugin. */
	void (*write)(void *arg, struct span line);
	/* What the plugin logs. `meta` is MISSING when there is none. */
	void (*log)(void *arg, enum log_level level, struct span message, struct jtext meta);
	void (*event)(void *arg, const struct plugin_event *n);
	/* `field` and `value` are borrowed for the call. Returns negative when
	 * it could not be asked; else `done` is called once, not before this
	 * returns. */
	int (*state)(void *arg, enum host_state_op op, struct span company, struct span field,
		     struct span value, host_state_fn *done, void *token);
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
/* Answers that are still awaited are dropped when they come. Accepts NULL. */
void host_free(struct host *h);

/* The stored config of a company; MISSING when there is none. */
struct jtext host_config(const struct host_plugin *plugin, struct span company);

#endif
