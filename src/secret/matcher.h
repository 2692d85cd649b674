/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matcher: finds many patterns in a text in one pass, with a cost that grows
 * with the text alone (Aho and Corasick, 1975).
 *
 * Owns the patterns, as a trie of 10 bytes a node: patterns are long and few, so
 * nearly each node has one child, which lies behind it. Once it is finished it
 * does not change and may be read from any thread. Knows nothing of what the
 * patterns mean.
 */
#ifndef ENVDRIVER_SECRET_MATCHER_H
#define ENVDRIVER_SECRET_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct matcher;

/* Of a pattern, in bytes; a power of two less one. */
enum { MATCHER_PATTERN_MAX = 255 };

/* Where the search stands: the longest end of what was read that some pattern
 * begins with. 0: none. */
typedef uint32_t matcher_state;

/* NULL when out of memory, also below. */
struct matcher *matcher_new(void);
/* A pattern of 2 to MATCHER_PATTERN_MAX bytes. After a failure the matcher may
 * only be freed. */
bool matcher_add(struct matcher *m, struct span pattern);
/* No more patterns. */
bool matcher_finish(struct matcher *m);
/* Accepts NULL. */
void matcher_free(struct matcher *m);

matcher_state matcher_step(const struct matcher *m, matcher_state state, unsigned char byte);
/* Bytes that the state stands for. */
size_t matcher_depth(const struct matcher *m, matcher_state state);
/* Of the longest pattern that ends here; 0: none. */
size_t matcher_longest(const struct matcher *m, matcher_state state);
/* In state 0: where a pattern may begin, or a byte of `stops` (of 256) is; at
 * least the last byte. */
const unsigned char *matcher_skip(const struct matcher *m, const unsigned char *p,
				  const unsigned char *end, const bool *stops);

#endif
