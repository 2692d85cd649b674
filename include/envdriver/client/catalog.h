/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: the plugins of Redis as they are now, for the command line: read
 * once, in install order, with the workers that run them.
 *
 * Owns what it read.
 */
#ifndef ENVDRIVER_CLIENT_CATALOG_H
#define ENVDRIVER_CLIENT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct cli_redis;
struct err;

struct catalog_plugin {
	char *id, *key, *status, *package;	/* "" when missing */
	char *text;				/* the manifest's bytes */
	size_t order;
	struct jtext manifest;			/* MISSING when malformed */
	size_t running;				/* workers with status "running" */
	char *workers;				/* their instances, " " between */
	bool by_key;				/* plugin-key:<key> leads here */
};

struct catalog {
	struct catalog_plugin *plugins;
	size_t n;
};

/* ERR_UNAVAILABLE and its like from cli_redis. */
int catalog_read(struct cli_redis *redis, struct catalog *ret, struct err *reterr);
void catalog_release(struct catalog *c);

/* By id, else by key; NULL when there is none. */
const struct catalog_plugin *catalog_find(const struct catalog *c, const char *id_or_key);
/* Its declaration of that driver; kind MISSING when there is none. `provider`:
 * only one whose kind is exactly sandbox_provider. */
struct jtext catalog_driver(const struct catalog_plugin *p, struct span driver_key,
			    bool provider);

/* Instances (instance:<id> records) with the group they are in. */
struct catalog_instance {
	char *id, *group;
};
int catalog_instances(struct cli_redis *redis, struct catalog_instance **ret, size_t *ret_n,
		      struct err *reterr);
void catalog_instances_free(struct catalog_instance *list, size_t n);

#endif
