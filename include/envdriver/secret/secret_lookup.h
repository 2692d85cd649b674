/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_lookup: looks secrets up on a thread of its own, so that a file system
 * that hangs holds up neither the loop nor libuv's pool. Each look-up asks the
 * sources anew.
 *
 * Owns the thread, the look-ups that were not answered yet, and the values until
 * they were handed over. Knows nothing of references and plugins.
 */
#ifndef ENVDRIVER_SECRET_SECRET_LOOKUP_H
#define ENVDRIVER_SECRET_SECRET_LOOKUP_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "envdriver/secret/secret_source.h"

struct err;
struct secret_lookup;
struct secret_lookups;

/* How long a look-up may take, and how many may wait. */
enum { SECRET_LOOKUP_MS = 5000, SECRET_LOOKUPS_MAX = 4096 };

/* How it ended; borrowed for the call, the values are wiped behind it. */
struct secret_found {
	int ret;			/* 0, or as secret_source_read; ERR_TIMEOUT */
	const struct span *values;	/* of each id, in their order */
	size_t failed;			/* which one could not be had */
	const struct err *err;		/* why; retriable says whether it may be there later */
};

/* Copies the paths of `source`, but not its environment. The thread is started
 * with the first look-up. NULL: see reterr. */
struct secret_lookups *secret_lookups_new(uv_loop_t *loop, const struct secret_source *source,
					  struct err *reterr);
/* Nothing is called back any more. A thread that hangs is left behind. The memory
 * is given back when the loop has turned. Accepts NULL. */
void secret_lookups_free(struct secret_lookups *all);

/* Looks `n` ids of the company up. `fn` comes once, from the loop, never before
 * this returns, and after `limit_ms` at the latest. NULL: see reterr. */
struct secret_lookup *secret_lookup_start(struct secret_lookups *all, struct span company,
					  const struct span *ids, size_t n, int64_t limit_ms,
					  void (*fn)(void *arg, const struct secret_found *found),
					  void *arg, struct err *reterr);
/* `fn` does not come any more. Not to be called once it came, nor after
 * secret_lookups_free. */
void secret_lookup_cancel(struct secret_lookup *l);

#endif
