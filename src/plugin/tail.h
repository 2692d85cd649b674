/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail: the end of what a worker wrote to stderr, for the text of its death.
 *
 * Owns the last lines, and counts all bytes there ever were, so that a place
 * in them can be named. Knows nothing of companies. Used by: worker. May use:
 * buf, rpc (trim), utf8.
 */
#ifndef ENVDRIVER_PLUGIN_TAIL_H
#define ENVDRIVER_PLUGIN_TAIL_H

#include <stdint.h>

#include "envdriver/base/buf.h"

/* Of an excerpt, in UTF-16 units, as the original counts. */
enum { TAIL_EXCERPT_MAX = 8000 };

struct tail {
	struct buf kept;
	uint64_t end;		/* all bytes so far; kept are the last ones */
};

/* `line` is UTF-8. Nothing is kept when memory runs out. */
void tail_add(struct tail *t, struct span line);
/* Where the next line will stand. */
uint64_t tail_end(const struct tail *t);
/* Of the whole lines that stand at `from` and later: the last
 * TAIL_EXCERPT_MAX characters, trimmed; borrowed until the next tail_add. */
struct span tail_excerpt(const struct tail *t, uint64_t from);
void tail_release(struct tail *t);

#endif
