/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window: which offsets of one partition are done, and what to commit
 * (ENGINE section 5).
 *
 * Owns the offsets not done. A pure value: knows nothing of Kafka, commands
 * or time. Used by: flow. May use: buf, err.
 */
#ifndef ENVDRIVER_PIPELINE_WINDOW_H
#define ENVDRIVER_PIPELINE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct err;
struct window;

enum {
	WINDOW_LIMIT = 1000,		/* not-done offsets; then pause */
	WINDOW_RESUME = 750,		/* go on below this */
	WINDOW_METADATA_MAX = 4096,
};

/*
 * At assignment: `committed` is the committed offset (-1: none, then it
 * starts at `start`, 0 for the beginning), `metadata` what was committed with it (ptr NULL or
 * empty: none). *ret_foreign is set when an offset is committed without
 * metadata of ours: something else committed (warn once). NULL when out of
 * memory.
 */
struct window *window_new(int64_t committed, int64_t start, struct span metadata,
			  bool *ret_foreign);
void window_free(struct window *w);

/* The first offset to fetch. */
int64_t window_fetch_from(const struct window *w);

enum window_verdict { WINDOW_TAKE, WINDOW_DROP, WINDOW_NOMEM };
/* A delivered offset. Every `old` offset below it is gone from the log:
 * *ret_gone says how many. TAKE makes an entry, not done. */
enum window_verdict window_deliver(struct window *w, int64_t offset, size_t *ret_gone);
/* The log starts at `offset`: `old` ones below are gone. */
size_t window_log_start(struct window *w, int64_t offset);

/* Its commit is certain. Asserts that it is an entry, not done. */
void window_done(struct window *w, int64_t offset);

/* Entries and old offsets that are not done. */
size_t window_pending(const struct window *w);
/* One past the highest offset that is done. */
int64_t window_end(const struct window *w);
/* Lower edge: the offset to commit now. */
int64_t window_committed(const struct window *w);

/*
 * What to commit as if the `n` offsets (ascending) were done too: nothing
 * changes in the window. Appends the metadata (base64, at most
 * WINDOW_METADATA_MAX). Returns the offset.
 */
int64_t window_seal(const struct window *w, const int64_t *offsets, size_t n, struct buf *metadata);

/* Reads metadata of ours, for audits and tests. Returns the number of
 * not-done offsets, negative when it is not ours. `ret_offsets` (may be
 * NULL) takes up to `max`. */
int window_metadata_read(struct span metadata, int64_t committed, int64_t *ret_end,
			 int64_t *ret_offsets, size_t max);

#endif
