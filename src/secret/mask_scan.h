/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mask_scan: where a text shows what a matcher looks for, also when it is
 * written with escapes.
 *
 * Owns nothing but the list that it fills. A text is read in several ways, a
 * pass each: as it is, with its JSON escapes undone once and twice, with percent
 * encoding undone, and without its line breaks. A pass that would read what
 * another one has read is left out, so plain text is read once. Knows nothing of
 * what becomes of the spots.
 */
#ifndef ENVDRIVER_SECRET_MASK_SCAN_H
#define ENVDRIVER_SECRET_MASK_SCAN_H

#include "envdriver/base/buf.h"
#include "envdriver/secret/mask.h"
#include "matcher.h"

/* Bytes `from` to `to` of the text. */
struct mask_spot {
	size_t from, to;
};

enum mask_text_kind {
	MASK_PLAIN,
	MASK_JSON_STRING,	/* what is between the quotes of a JSON string */
};

struct mask_scan {
	const struct matcher *matcher;
	enum mask_text_kind kind;
	size_t shortest;	/* patterns of fewer bytes do not count; 0: all do */
	struct span text;
	/* Where each pass begins; afterwards, where it has to go on when more of the
	 * text comes: what is before cannot be part of a further spot. */
	size_t starts[MASK_PASSES];
	struct buf spots;	/* of struct mask_spot, sorted, none touches another */
};

/* Adds to `spots`. False when out of memory. */
bool mask_scan_run(struct mask_scan *s);

#endif
