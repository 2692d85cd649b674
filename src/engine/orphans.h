/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orphans: leases without an owner are recorded in Redis and destroyed, by any
 * worker that runs their plugin (docs/engine.md section 7, "Orphans"; P4, no
 * lease is forgotten).
 *
 * Owns the lease that is being looked after, one at a time. Knows nothing of
 * how a lease lost its owner.
 */
#ifndef ENVDRIVER_ENGINE_ORPHANS_H
#define ENVDRIVER_ENGINE_ORPHANS_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct engine;
struct entry;

bool orphans_new(struct engine *eng);
/* Once, when there is a Redis, before it is started. */
void orphans_connect(struct engine *eng);
/* Accepts that orphans_new failed or was not called. */
void orphans_free(struct engine *eng);

/* A lease and where it came from; all borrowed for the call. */
struct orphan_lease {
	struct span id_json;		/* any JSON, as the plugin gave it */
	bool is_secret;			/* it shows a secret: nobody else is told of it */
	struct span command_id, plugin_id, plugin_key;
	const char *token;		/* of the attempt that brought it */
	const struct buf *call;		/* orphan_record_add_call */
};
/* Writes it to the list in Redis, and says so. One whose id is longer than
 * 64 KiB, or secret, is kept in no list: the plugin is asked to destroy it at once,
 * once. */
void orphans_add(struct engine *eng, const struct orphan_lease *lease);
/* The lease that the entry holds, if any, has no owner: it is added, and the
 * entry no longer holds it. */
void orphans_add_of(struct engine *eng, struct entry *e);
/* The same for a lease that the entry's call brought and that it does not hold,
 * as no command can name it; nothing when `id_json` is empty. */
void orphans_add_stray(struct engine *eng, struct entry *e, struct span id_json, bool is_secret);

/* Looks for one to destroy. */
void orphans_tick(struct engine *eng);

#endif
