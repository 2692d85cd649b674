/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: the plugins in Redis as they are now, for the command line: read
 * once, in the order of their installation, with the workers that run them.
 *
 * Owns what it read. Knows nothing of how a command resolves its plugin.
 */
#ifndef ENVDRIVER_CLIENT_CATALOG_H
#define ENVDRIVER_CLIENT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct cli_redis;
struct err;

enum { CATALOG_STATES = 7 };

struct catalog_plugin {
	char *id, *key, *status, *package;	/* "" when missing */
	char *text;				/* the manifest's bytes */
	size_t order;
	struct jtext manifest;			/* MISSING when malformed */
	size_t running;				/* workers with status "running" */
	char *workers;				/* their instances, " " between */
	unsigned states[CATALOG_STATES];	/* of its workers, all instances */
	char *worker;				/* "running", "running 2, backoff 1", "none", … */
	char *isolation;			/* layers around a running one; "" */
	char *reason;				/* why it does not run, by instance; "" */
	bool by_key;				/* plugin-key:<key> leads here */
};

struct catalog {
	struct catalog_plugin *plugins;
	size_t n;
};

/* Blocks. The errors of cli_redis, or ERR_NOMEM: then there is nothing to
 * release. */
int catalog_read(struct cli_redis *redis, struct catalog *ret, struct err *reterr);
void catalog_release(struct catalog *c);

/* By id, else by key; NULL and ERR_NOTFOUND when there is none. */
const struct catalog_plugin *catalog_find(const struct catalog *c, const char *id_or_key,
					  struct err *reterr);
/* The plugin's declaration of that driver, borrowed from it; kind MISSING when
 * there is none. `provider`: only if its kind is sandbox_provider. */
struct jtext catalog_driver(const struct catalog_plugin *p, struct span driver_key,
			    bool provider);

/* The instances (instance:<id> records), each with its consumer group. */
struct catalog_instance {
	char *id, *group;
};
int catalog_instances(struct cli_redis *redis, struct catalog_instance **ret, size_t *ret_n,
		      struct err *reterr);
void catalog_instances_free(struct catalog_instance *list, size_t n);

#endif
