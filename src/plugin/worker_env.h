/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_env: the environment variables and the limits of a worker, made from
 * nothing (docs/operations.md, "What envdriver gives a worker at start").
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_PLUGIN_WORKER_ENV_H
#define ENVDRIVER_PLUGIN_WORKER_ENV_H

#include <stddef.h>

#include "envdriver/rpc/spawn.h"

struct config;
struct err;

enum { WORKER_ENV_LIMITS = 4 };

/* Whose it is. */
struct worker_env_of {
	const char *plugin_id;
	const char *plugin_key;		/* NULL: see worker_env_new */
	const char *tmp, *data;		/* folders of its own; NULL: none */
};

/*
 * "NAME=value" strings, ended by NULL, in one block that the caller frees.
 * `plugin_key`: as the package itself says, so that no other one is given what is
 * meant for it; NULL: it says nothing.
 * Variables named by plugin.env and plugin.env.<pluginKey> are taken from
 * `own`; one that is empty or missing there is left out. They win over the
 * fixed ones, but for PAPERCLIP_PLUGIN_ID and the folders.
 */
char **worker_env_new(const struct config *config, const struct worker_env_of *of,
		      char *const own[], struct err *reterr);
/* The value of `name`; NULL when there is none. */
const char *worker_env_get(char *const env[], const char *name);

/* plugin.limit.*: returns how many are set. Without a limit of processes by the configuration,
 * some more than the user has now and the plugin may have (0: none). */
size_t worker_env_limits(const struct config *config, size_t processes_max,
			 struct spawn_limit ret[WORKER_ENV_LIMITS]);

#endif
