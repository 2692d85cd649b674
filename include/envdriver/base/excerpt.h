/* SPDX-License-Identifier: Apache-2.0 */
/*
 * excerpt: a text from outside as one bounded line, for records and reasons.
 *
 * Owns nothing. Pure.
 */
#ifndef ENVDRIVER_BASE_EXCERPT_H
#define ENVDRIVER_BASE_EXCERPT_H

#include "envdriver/base/buf.h"

/*
 * Writes `text` into `ret`, which has `size` bytes (32 at least), NUL-terminated
 * and well-formed: a run of blanks, line ends and hidden characters (utf8_is_hidden)
 * becomes one blank, none at either end; ill-formed bytes become U+FFFD. Of one
 * that is too long the beginning and the end are kept, with "…" between: the
 * cause stands first in some languages' traces and last in others'.
 */
void excerpt_line(char *ret, size_t size, struct span text);

#endif
