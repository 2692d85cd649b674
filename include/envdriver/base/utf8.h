/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: is it UTF-8, and where is it not.
 *
 * Owns nothing. Well-formed is what Unicode's table 3-7 lists: no overlong
 * forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef ENVDRIVER_BASE_UTF8_H
#define ENVDRIVER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

enum { UTF8_MAX = 4 };

/* The bytes (1 to 4) of the character at `p`, which is before `end`. When it
 * is ill-formed: minus the length of its maximal subpart, so that a decoder
 * that replaces it by one U+FFFD and goes on behind it does what browsers and
 * Node do. */
int utf8_step(const char *p, const char *end);

/* Where the first ill-formed sequence starts; `end` when there is none. */
const char *utf8_find_bad(const char *p, const char *end);

/* Writes the character `rune` (a scalar value) and returns its length. */
size_t utf8_put(char out[UTF8_MAX], unsigned rune);

#endif
