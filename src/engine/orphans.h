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
/* Accepts that orphans_new failed or was not called. */
void orphans_free(struct engine *eng);

/* What destroying a lease of this command needs, as JSON. Secrets stay
 * references: the config is the command's own. */
void orphans_call_json(const struct entry *e, struct buf *out);

/* A lease and where it came from; all borrowed for the call. */
struct orphan_lease {
	struct span lease_id, command_id, plugin_id, plugin_key;
	const char *token;		/* of the attempt that brought it */
	const struct buf *call;		/* orphans_call_json */
};
/* Writes it to the list in Redis, and says so. */
void orphans_add(struct engine *eng, const struct orphan_lease *lease);
/* The lease that the entry holds, if any, has no owner: it is added, and the
 * entry no longer holds it. */
void orphans_add_of(struct engine *eng, struct entry *e);

/* Looks for one to destroy. */
void orphans_tick(struct engine *eng);

#endif
