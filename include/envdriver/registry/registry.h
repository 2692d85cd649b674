/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the plugins of Redis, mirrored in memory and kept true by client
 * tracking (docs/decisions.md D12): a look-up costs no round trip.
 *
 * Owns the mirror. Nothing is answered from a mirror that is not being kept
 * true: registry_fresh says whether it is. A malformed record makes that
 * plugin not ready, with one warning that names the key.
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
};

/* Borrowed until the loop turns. */
struct registry_plugin {
	const char *id;
	const char *key;		/* pluginKey */
	const char *status;		/* "ready", ...; "" when the record is malformed */
	bool ready;
	double order;
	struct jtext manifest;		/* MISSING when malformed */
	const char *package;		/* NULL when absent */
	struct jtext config;		/* companyId -> object; MISSING when absent */
	const struct registry_driver *drivers;
	size_t n_drivers;
};

/* `on_change` whenever a record changed or freshness returned. */
struct registry *registry_new(struct redis *redis, void (*on_change)(void *arg), void *arg,
			      struct err *reterr);
void registry_free(struct registry *r);
bool registry_fresh(const struct registry *r);

/* NULL when there is none. By key follows plugin-key:<key>, as the original's getByKey. */
const struct registry_plugin *registry_by_id(const struct registry *r, struct span id);
const struct registry_plugin *registry_by_key(const struct registry *r, struct span key);
/* In install order: i from 0 until NULL. */
const struct registry_plugin *registry_at(const struct registry *r, size_t i);
/* The plugin's driver of that key, any kind; NULL when not declared. */
const struct registry_driver *registry_driver(const struct registry_plugin *p,
					      struct span driver_key);

#endif
