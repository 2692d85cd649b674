/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window: which offsets of one partition are done, and what to commit
 * (docs/engine.md section 5).
 *
 * Owns the offsets not done. A pure value: knows nothing of Kafka, commands
 * or time.
 * The metadata committed with an offset is kafka/offset_metadata.h's.
 */
#ifndef ENVDRIVER_ENGINE_WINDOW_H
#define ENVDRIVER_ENGINE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/offset_metadata.h"

struct window;

enum {
	WINDOW_ROOM_MIN = 128,		/* characters; window_refused goes no lower */
};

/*
 * At assignment: `committed` is the committed offset (-1: none, then it
 * starts at `start`, 0 for the beginning), `metadata` what was committed with
 * it (ptr NULL or empty: none). *ret_foreign tells whether an offset is
 * committed without metadata of ours: something else committed (warn once).
 * NULL when out of memory.
 */
struct window *window_new(int64_t committed, int64_t start, struct span metadata,
			  bool *ret_foreign);
/* Accepts NULL. */
void window_free(struct window *w);

/* The first offset to fetch. */
int64_t window_fetch_from(const struct window *w);

enum window_verdict { WINDOW_TAKE, WINDOW_DROP, WINDOW_NOMEM };
/*
 * A delivered offset. Every `old` offset below it is gone from the log:
 * *ret_gone says how many. TAKE makes an entry, not done. NOMEM changes
 * nothing.
 */
enum window_verdict window_deliver(struct window *w, int64_t offset, size_t *ret_gone);
/* The log starts at `offset`: `old` ones below are gone, which is how many. */
size_t window_log_start(struct window *w, int64_t offset);

/* Its commit is certain. Asserts that it is an entry, not done. */
void window_done(struct window *w, int64_t offset);

/* Entries and old offsets that are not done. */
size_t window_pending(const struct window *w);
/* Offsets of the metadata are still to be delivered: a delivery moves one and
 * raises nothing, so pausing now would never end. */
bool window_replaying(const struct window *w);
/*
 * Pause: with one more offset, the list of all that is pending might not fit
 * the room for metadata any more. As long as it fits, so does every list of
 * fewer, and window_seal never has to leave any out. It takes 1,000 offsets
 * that lie up to 2,097,151 apart, 3,050 that lie up to 127 apart. Never while
 * window_replaying. `paused`: it was full, and is until the list needs less
 * than three quarters of the room.
 */
bool window_full(const struct window *w, bool paused);
/* One past the highest offset that is done. */
int64_t window_end(const struct window *w);
/* Lower edge: the offset to commit now. */
int64_t window_committed(const struct window *w);

/*
 * What to commit as if `offsets` (n entries, ascending) were done too; the
 * window stays as it is. Sets *ret_offset and appends the metadata.
 *
 * Returns how many of `offsets`, counted from the lowest, this holds for. It
 * is n but for one case: the list with all of them done would be longer than
 * the room for metadata. Then the longest beginning is taken for which it
 * fits, or which only shortens the list that is committed; the others wait
 * for the lower edge to move. 0 with n > 0: none may be published now, and
 * *ret_offset and `metadata` are left alone. n = 0 gives what stands.
 */
size_t window_seal(const struct window *w, const int64_t *offsets, size_t n, int64_t *ret_offset,
		   struct buf *metadata);

/* The broker refused the size of what window_seal made (its
 * offset.metadata.max.bytes is below OFFSET_METADATA_MAX): halves the room for
 * metadata. */
void window_refused(struct window *w);

#endif
