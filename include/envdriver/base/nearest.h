/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nearest: the known word nearest to a wrong one, for error texts.
 *
 * Owns nothing. Knows nothing of what the words name.
 */
#ifndef ENVDRIVER_BASE_NEAREST_H
#define ENVDRIVER_BASE_NEAREST_H

#include <stddef.h>

enum { NEAREST_LEN_MAX = 64 };

/* Gives the i-th candidate, NULL past the last one. */
typedef const char *nearest_at_fn(const void *arg, size_t i);

/* Edits (a letter added, left out, changed, or two swapped) between two
 * words; words longer than NEAREST_LEN_MAX count as far apart. */
size_t nearest_distance(const char *a, const char *b);

/* The candidate nearest to `word`; NULL when none is near enough to be what
 * was meant (a third of its letters, at least one). */
const char *nearest_word(const char *word, nearest_at_fn *at, const void *arg);
/* The same, whatever the case of letters; a candidate that begins with `word`
 * (of three letters or more) is near, too. */
const char *nearest_begun(const char *word, nearest_at_fn *at, const void *arg);

#endif
