/* SPDX-License-Identifier: Apache-2.0 */
/*
 * time_limit: how long the plugin call of a command may take, and what says so
 * (docs/operations.md, "Time limits").
 *
 * Owns the keys of the configuration. Knows nothing of clocks and calls.
 */
#ifndef ENVDRIVER_COMMAND_TIME_LIMIT_H
#define ENVDRIVER_COMMAND_TIME_LIMIT_H

#include <stdint.h>

#include "envdriver/base/buf.h"

struct command;
struct config;
struct err;
struct registry_driver;

struct time_limit {
	int64_t ms;		/* of the call; 0: no call is made */
	int64_t set_ms;		/* as it is set: without the time for the way, and uncut */
	const char *name;	/* what sets it: "config.timeoutMs", "plugin.call.timeout" */
	const char *where;	/* and where: "the command", "FILE:LINE" */
};

/* The keys plugin.call.timeout and plugin.call.timeout.<pluginKey>, .<Operation>,
 * .<pluginKey>.<Operation>. */
struct time_limit_keys;
/* ERR_CONFIG: a key names an operation that is none. */
struct time_limit_keys *time_limit_keys_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void time_limit_keys_free(struct time_limit_keys *keys);

/* `plugin_key` may be "", and `driver` NULL when it is not known. The texts are
 * static, or borrowed from `keys`. */
struct time_limit time_limit_of(const struct time_limit_keys *keys, const struct command *c,
				const char *plugin_key, const struct registry_driver *driver);
/* Appends it as the members of a JSON object that tell of it, without braces. */
void time_limit_add_json(const struct time_limit *limit, struct buf *out);

#endif
