/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoints: the workers that somebody else runs: records `worker:<pluginId>:<any>` in
 * Redis with an `endpoint` (docs/decisions.md D19), mirrored by client tracking.
 *
 * Owns the mirror. Knows nothing of sockets. Called on the loop's thread; nothing
 * blocks.
 */
#ifndef ENVDRIVER_REGISTRY_ENDPOINTS_H
#define ENVDRIVER_REGISTRY_ENDPOINTS_H

#include <stdbool.h>

struct endpoints;
struct err;
struct redis;

struct endpoint {
	const char *address;	/* "unix:/path" */
	const char *run;	/* another one: its worker was started anew */
	bool ours;		/* its record has the name that ours would have */
};

/* `on_change` comes from the loop. All but `on_change` is borrowed; before redis_start.
 * `instance_id` is our own. */
struct endpoints *endpoints_new(struct redis *redis, const char *instance_id,
				void (*on_change)(void *arg), void *arg, struct err *reterr);
/* Accepts NULL. After redis_close. */
void endpoints_free(struct endpoints *e);
/* All records have been looked at once. */
bool endpoints_known(const struct endpoints *e);
/* There is one at all. */
bool endpoints_any(const struct endpoints *e);
/* The i-th of the plugin, the one of our own name first, then by name; false past the
 * last. Those that say that they do not run are left out. Borrowed until the loop
 * turns. */
bool endpoints_at(const struct endpoints *e, const char *plugin_id, unsigned i,
		  struct endpoint *ret);

#endif
