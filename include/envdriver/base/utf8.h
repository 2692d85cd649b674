/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: whether bytes are well-formed UTF-8, and where not.
 *
 * Owns nothing. Well-formed means what Unicode's table 3-7 lists: no overlong
 * forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef ENVDRIVER_BASE_UTF8_H
#define ENVDRIVER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

enum { UTF8_MAX = 4 };

/* U+FFFD, which stands for what is ill-formed. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* The bytes (1 to 4) of the character at `p`, which is before `end`. When it
 * is ill-formed: minus the length of its maximal subpart, so that a decoder
 * that replaces it by one U+FFFD and goes on behind it does what browsers and
 * Node do. */
int utf8_step(const char *p, const char *end);

/* Where the first ill-formed sequence starts; `end` when there is none. */
const char *utf8_find_bad(const char *p, const char *end);

/* The length of the longest run of whole characters of `p` that has no more than
 * `max` bytes; `len` when all of it fits. */
size_t utf8_cut(const char *p, size_t len, size_t max);

/* How many of the bytes `raw` became the first `text_len` bytes of their text, where
 * each ill-formed sequence is one U+FFFD. */
size_t utf8_raw_len(const char *raw, size_t len, size_t text_len);

/* Takes a character of which the end is missing off the end of `text`. */
void utf8_trim(char *text);

/* The scalar value of the character of `len` bytes at `p`. */
unsigned utf8_get(const char *p, int len);

/* Whether the character of `len` bytes at `p` is a control character (C0, DEL,
 * C1), breaks a line (U+2028, U+2029), or changes the direction of text: such
 * can make a text look different from what it is, and drive a terminal. */
bool utf8_is_hidden(const char *p, int len);

/* Writes the character `rune` (a scalar value) and returns its length. */
size_t utf8_put(char out[UTF8_MAX], unsigned rune);

#endif
