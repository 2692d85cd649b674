/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_record: what the registry says about one plugin, copied, and whether
 * its package can be run on this host.
 *
 * Owns the copies. Reads a few small files when the package is looked at;
 * blocks as long as these take. Knows nothing of workers.
 */
#ifndef ENVDRIVER_PLUGIN_PLUGIN_RECORD_H
#define ENVDRIVER_PLUGIN_PLUGIN_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/host/host.h"

struct config;
struct endpoint;
struct err;
struct package;
struct registry_plugin;

struct plugin_record {
	struct host_plugin plugin;	/* what the host side needs; its spans lie in here */
	bool listed;		/* it is in the registry, */
	bool ready;		/* and ready */
	bool runnable;		/* its package can be run here */
	unsigned program;	/* counts what it had a worker run */
	int64_t left_ms;	/* mono: when it was ready last; 0: it is, or never was */
	int64_t checked_ms;	/* when that was looked at */
	char *key, *package;
	char *digest, *pin, *generation;	/* NULL when absent */
	char *endpoint, *endpoint_run;	/* of a worker that somebody else runs; NULL: a child */
	struct buf manifest, config;
	char reason[400];	/* why it cannot be run here, as one line; "" when it can */
};

/* What an update changed. */
enum {
	PLUGIN_RECORD_PROGRAM = 1,	/* what runs is stale, or is to be started anew */
	PLUGIN_RECORD_CONFIG = 2,	/* the config of some company */
};

/* `id` is borrowed for the record's life. */
void plugin_record_init(struct plugin_record *r, const char *id);
/* Takes over what the registry says now; NULL: it is not there any more. `external` is
 * the worker that somebody else runs for it; NULL: none.
 * Returns what changed. Configs (companyId -> object) that are new or other
 * than before are put into `ret_configs` as one object, empty when none is. */
unsigned plugin_record_update(struct plugin_record *r, const struct registry_plugin *p,
			      const struct endpoint *external, struct buf *ret_configs);
/* Looks at the package. True when it cannot be run for a reason that was not
 * the last one. */
bool plugin_record_check(struct plugin_record *r, const struct config *config);
/* Opens the package for a worker with the environment `env`; the caller
 * releases it. Errors as package_open. */
int plugin_record_open(const struct plugin_record *r, const struct config *config,
		       char *const env[], struct package *ret, struct err *reterr);
void plugin_record_release(struct plugin_record *r);

#endif
