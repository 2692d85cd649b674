/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stderr_tail: the end of what a worker wrote to stderr, for the text of its
 * death.
 *
 * Owns the last lines, and counts all bytes so far: a position in stderr is
 * such a count. Knows nothing of companies.
 */
#ifndef ENVDRIVER_RPC_STDERR_TAIL_H
#define ENVDRIVER_RPC_STDERR_TAIL_H

#include <stdint.h>

#include "envdriver/base/buf.h"

/* Of an excerpt, in UTF-16 units, as the original counts. */
enum { STDERR_TAIL_EXCERPT_MAX = 8000 };

struct stderr_tail {
	struct buf kept;
	uint64_t end;		/* all bytes so far; kept are the last ones */
};

/* `line` is UTF-8. Nothing is kept when memory runs out. */
void stderr_tail_add(struct stderr_tail *t, struct span line);
/* The position of the next line. */
uint64_t stderr_tail_end(const struct stderr_tail *t);
/* Of the whole lines that stand at `from` and later: the last
 * STDERR_TAIL_EXCERPT_MAX characters, trimmed. Borrowed until the next
 * stderr_tail_add. */
struct span stderr_tail_excerpt(const struct stderr_tail *t, uint64_t from);
void stderr_tail_release(struct stderr_tail *t);

#endif
