/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window_text: the metadata of an offset commit, written and read.
 *
 * Owns nothing; the form is in window.h. Private to window and its tests. May
 * use: buf.
 */
#ifndef ENVDRIVER_KAFKA_OFFSET_METADATA_H
#define ENVDRIVER_KAFKA_OFFSET_METADATA_H

#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/engine/window.h"

enum {
	/* Bytes that OFFSET_METADATA_MAX characters of base64 hold; each
	 * offset takes one at least. */
	OFFSET_METADATA_BYTES = OFFSET_METADATA_MAX / 4 * 3,
};

/* Bytes before base64. Once `full`, nothing is added any more. */
struct window_text {
	size_t len, max;
	bool full;
	int64_t last;
	unsigned char bytes[OFFSET_METADATA_BYTES];
};

/* `max_chars` is at most OFFSET_METADATA_MAX. */
void offset_metadata_begin(struct window_text *t, size_t max_chars, int64_t committed, int64_t end);
/* Ascending, the first one is the committed offset. */
void offset_metadata_add(struct window_text *t, int64_t offset);
/* Appends base64; only when not full. */
void offset_metadata_write(const struct window_text *t, struct buf *out);

#endif
