/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offset_metadata: the text that is committed with an offset, written and
 * read. It says which records above the committed offset are already done.
 *
 * Owns the format. Pure: knows nothing of windows or of Kafka's calls.
 *
 * The metadata lists the offsets below `end` that are not done; every other
 * offset below `end` is done. Its bytes, in base64 without padding:
 *
 *	0xE1		version
 *	varint		end - committed offset
 *	varint ...	the not-done offsets, ascending: the first one minus the
 *			committed offset (always 0), each other one minus the
 *			one before it
 *
 * Varints are little-endian groups of 7 bits, as short as can be. The list is
 * empty exactly when `end` is the committed offset.
 */
#ifndef ENVDRIVER_KAFKA_OFFSET_METADATA_H
#define ENVDRIVER_KAFKA_OFFSET_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum {
	OFFSET_METADATA_MAX = 4096,	/* characters; the broker's default limit */
	/* Bytes that so many characters of base64 hold. Each offset takes at
	 * least one, so no more offsets than this can be listed. */
	OFFSET_METADATA_BYTES = OFFSET_METADATA_MAX / 4 * 3,
	OFFSET_METADATA_STEP_MAX = 9,	/* bytes of one difference, at most */
};

/* Metadata being written: bytes before base64. Once `full`, nothing is added
 * any more. */
struct offset_metadata {
	size_t len, max;
	bool full;
	int64_t last;
	unsigned char bytes[OFFSET_METADATA_BYTES];
};

/* `max_chars` is at most OFFSET_METADATA_MAX. */
void offset_metadata_begin(struct offset_metadata *m, size_t max_chars, int64_t committed,
			   int64_t end);
/* The bytes for the differences between offsets, at least, in so many
 * characters. */
size_t offset_metadata_room(size_t max_chars);
/* The bytes of one difference, at most OFFSET_METADATA_STEP_MAX; that of two
 * in a row, added up, never needs more than both. */
size_t offset_metadata_size(int64_t difference);
/* Ascending; the first one is the committed offset. */
void offset_metadata_add(struct offset_metadata *m, int64_t offset);
/* Appends base64; only when not full. */
void offset_metadata_write(const struct offset_metadata *m, struct buf *out);

/*
 * Returns the number of not-done offsets, negative when `metadata` is not in
 * this format. `ret_end` and `ret_offsets` may be NULL; the latter takes the
 * first `max` offsets.
 */
int offset_metadata_read(struct span metadata, int64_t committed, int64_t *ret_end,
			 int64_t *ret_offsets, size_t max);

#endif
