/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orphan_record: what the list of orphans holds of a lease, in words
 * (docs/schemas.md, `orphans`).
 *
 * Owns nothing. Knows nothing of Redis and of what becomes of the lease.
 */
#ifndef ENVDRIVER_ENGINE_ORPHAN_RECORD_H
#define ENVDRIVER_ENGINE_ORPHAN_RECORD_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct entry;
struct registry_plugin;
struct secret_refs;
struct secret_spots_cache;

/* Appends what destroying a lease of this command needs, as JSON. Secrets stay
 * references: the config is the command's own. */
void orphan_record_add_call(struct buf *out, const struct entry *e);
/* Appends the params of the call that destroys the lease `id`, or cancels its set-up
 * session, from what orphan_record_add_call wrote; `p` (NULL: unknown) has the schema
 * of its config. Its references are added to *refs, to be looked up anew. False:
 * memory is short, or its config cannot be sent, which was logged. */
bool orphan_record_add_params(struct buf *out, struct jtext call, struct jtext id, bool session,
			      struct secret_spots_cache *cache, const struct registry_plugin *p,
			      struct secret_refs **refs);
/* Appends a lease's id, of any kind, as text; cut when no command can name it
 * for its length. */
void orphan_record_add_name(struct buf *out, struct jtext id);

#endif
