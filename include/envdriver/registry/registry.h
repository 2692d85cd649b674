/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the plugins in Redis, mirrored in memory, so that a look-up costs
 * no round trip. Client tracking of Redis keeps the mirror true
 * (docs/decisions.md D12 (look-ups from a mirror)).
 *
 * Owns the mirror. Ask registry_fresh first: while it says no, the mirror is
 * being read again, and its answers may be old. A malformed record makes its
 * plugin not ready and is logged once, with the key's name. Knows nothing of
 * processes and calls. All functions are called on the loop's thread; none
 * blocks.
 */
#ifndef ENVDRIVER_REGISTRY_REGISTRY_H
#define ENVDRIVER_REGISTRY_REGISTRY_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct config;
struct err;
struct redis;
struct registry;

struct registry_driver {
	const char *driver_key;
	bool sandbox_provider;		/* kind is exactly "sandbox_provider" */
	const char *display_name;	/* "" when missing */
	struct jtext entry;		/* the manifest's entry, as it stands */
	struct jtext config_schema;	/* MISSING when there is none */
	/* The schema's defaults of timeoutMs and bridgeRequestTimeoutMs; 0: none that
	 * counts as a time limit. */
	double timeout_ms, bridge_timeout_ms;
};

/* Borrowed until the loop turns. */
struct registry_plugin {
	const char *id;
	const char *key;		/* pluginKey */
	const char *status;		/* "ready", ...; "" when the record is malformed */
	bool ready;
	double order;
	struct jtext manifest;		/* MISSING when malformed */
	const char *package;		/* NULL when absent, as the next three */
	const char *digest;		/* of the package's files, as who wrote it saw them */
	const char *pin;		/* the only digest that may be run */
	const char *generation;		/* another one: what runs is to be started anew */
	struct jtext config;		/* companyId -> object; MISSING when absent */
	const struct registry_driver *drivers;
	size_t n_drivers;
};

/* `on_change` comes from the loop, when a record has changed and when the
 * mirror is fresh again. `redis` is borrowed; before redis_start. */
struct registry *registry_new(struct redis *redis, void (*on_change)(void *arg), void *arg,
			      struct err *reterr);
/* Accepts NULL. After redis_close. */
void registry_free(struct registry *r);
bool registry_fresh(const struct registry *r);

/* NULL when there is none. registry_by_key follows plugin-key:<key>, as the
 * original's getByKey. Borrowed until the loop turns. */
const struct registry_plugin *registry_by_id(const struct registry *r, struct span id);
const struct registry_plugin *registry_by_key(const struct registry *r, struct span key);
/* In order of installation: i from 0 until NULL. */
const struct registry_plugin *registry_at(const struct registry *r, size_t i);
/* The plugin's driver of that key, any kind; NULL when not declared. */
static inline const struct registry_driver *
registry_driver(const struct registry_plugin *p, struct span driver_key)
{
	for (size_t i = 0; i < p->n_drivers; i++)
		if (span_is(driver_key, p->drivers[i].driver_key))
			return &p->drivers[i];
	return NULL;
}

#endif
