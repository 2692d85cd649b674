/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: cuts the bytes of a plugin's pipe into lines.
 *
 * Owns the bytes of the line not yet complete, never more than the longest
 * line allowed. Knows nothing of JSON, of pipes or of time. What is not UTF-8
 * becomes U+FFFD before a line is handed over, as Node's decoder has it.
 */
#ifndef ENVDRIVER_RPC_FRAME_H
#define ENVDRIVER_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"

struct err;
struct frame;

enum frame_kind {
	FRAME_MESSAGES,	/* blank lines are skipped, one that is too long is dropped */
	FRAME_TEXT,	/* blank lines count, one that is too long is cut into several */
};

/* Called while bytes are fed. They must not free the frame. */
struct frame_events {
	/* A line without its end ('\n', '\r\n' or a bare '\r'). `line` is
	 * borrowed for the call. */
	void (*on_line)(void *arg, struct span line, bool repaired);
	/* FRAME_MESSAGES: a line passed the limit (or memory ran out); all of
	 * it is thrown away. Once a line. May be NULL. */
	void (*on_dropped)(void *arg);
	void *arg;
};

struct frame *frame_new(enum frame_kind kind, size_t max_line, const struct frame_events *ev,
			struct err *reterr);
/* Returns how many bytes were taken: all, unless a line's memory was. */
size_t frame_feed(struct frame *f, const char *data, size_t len);
/* From on_line: the caller owns (and frees) the memory that the line begins
 * in, and frame_feed returns behind the line. NULL when the line was not
 * copied: it is as long as one read at most. */
char *frame_take(struct frame *f);
/* End of the stream: what stands there without a line end is a line too. */
void frame_end(struct frame *f);
/* A line has begun and not ended, */
bool frame_partial(const struct frame *f);
/* and so many bytes of it are held; the limit when it is dropped. */
size_t frame_held(const struct frame *f);
/* Accepts NULL. */
void frame_free(struct frame *f);

#endif
