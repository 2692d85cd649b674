/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_fill: replaces the references to secrets in the parameters of one call,
 * just before it is sent (docs/decisions.md D21, secrets).
 *
 * Owns the parameters while their values are looked up, and the mask of the
 * values. Knows nothing of workers.
 */
#ifndef ENVDRIVER_SECRET_SECRET_FILL_H
#define ENVDRIVER_SECRET_SECRET_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct mask;
struct secret_lookup;
struct secret_lookups;
struct secret_refs;

/* How it ended. */
struct secret_fill_end {
	struct span params;	/* with the values: borrowed for the call, then wiped */
	const char *failure;	/* NULL: they are there; else a text for the command */
	bool retryable;
};

struct secret_fill {
	struct secret_lookup *lookup;	/* NULL: none is under way */
	struct secret_refs *refs;
	struct buf params;
	struct mask *mask;		/* of the values that were found; NULL: none */
	void (*fn)(void *arg, const struct secret_fill_end *end);
	void *arg;
};

/* Looks the references of `params` up for the company. `fn` comes once, never
 * before this returns. False when out of memory, or when no look-up can be
 * started: then *ret_failure has the text. `limit_ms`: of the call. */
bool secret_fill_start(struct secret_fill *s, struct secret_lookups *lookups,
			struct span company, struct span params, struct secret_refs *refs,
			int64_t limit_ms, void (*fn)(void *arg, const struct secret_fill_end *end),
			void *arg, struct buf *ret_failure);
/* `fn` does not come any more; the mask is given back. May be called again. */
void secret_fill_release(struct secret_fill *s);

#endif
