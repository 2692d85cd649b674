/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cell: a text in so many columns of a terminal: how wide it is, where it may
 * be cut, and where a line of it ends.
 *
 * Owns nothing. Knows nothing of tables.
 */
#ifndef ENVDRIVER_CLI_CELL_H
#define ENVDRIVER_CLI_CELL_H

#include "envdriver/base/buf.h"

/* In columns: wide characters count as two, those that combine as none. */
size_t cell_width(struct span text);

/* Each appends `text` in at most `width` columns (at least 1); "…" stands for
 * what was left out. */
void cell_cut_end(struct buf *out, struct span text, size_t width);	/* "0b9c1f7e…" */
void cell_cut_start(struct buf *out, struct span text, size_t width);	/* "…results" */
void cell_cut_words(struct buf *out, struct span text, size_t width);	/* "is not…" */
/* A time of RFC 3339 as "11-23 05:17:57", or whole if that fits. */
void cell_cut_time(struct buf *out, struct span text, size_t width);
enum { CELL_TIME_SHORT = 14 };

/* The length of the first line: as many words as fit, or a part of one that
 * does not. The spaces behind it belong to no line. */
size_t cell_line(struct span text, size_t width);

#endif
