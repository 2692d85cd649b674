/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stderr_pipe: reads a worker's stderr: its lines as they come, and the end of
 * it for the text of a death.
 *
 * Owns the pipe, the begun line and the tail. A position counts the bytes
 * written to stderr so far. Knows nothing of calls or companies.
 */
#ifndef ENVDRIVER_RPC_STDERR_PIPE_H
#define ENVDRIVER_RPC_STDERR_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct err;
struct mask;
struct stderr_pipe;

struct stderr_pipe_events {
	/* Borrowed for the call. */
	void (*on_line)(void *arg, struct span line);
	/* Every writer has closed it. Not after stderr_pipe_finish. */
	void (*on_end)(void *arg);
	void *arg;
};

/* Takes the descriptor, also when it fails. What is read is masked with what `mask`
 * (NULL: nothing) has at that time; it outlives the pipe. NULL: see reterr. */
struct stderr_pipe *stderr_pipe_new(uv_loop_t *loop, int take_fd, const struct mask *mask,
				    const struct stderr_pipe_events *ev, struct err *reterr);
/* Takes what the pipe holds now, before the loop comes to it. Does not block.
 * `moment` is a number that the caller gives to what belongs together: the pipe
 * is looked at once for each. 0: it is looked at in any case. */
void stderr_pipe_drain(struct stderr_pipe *p, uint64_t moment);
/* The position now; a begun line belongs to what was before. */
uint64_t stderr_pipe_position(const struct stderr_pipe *p);
/* As stderr_tail_excerpt. */
struct span stderr_pipe_excerpt(const struct stderr_pipe *p, uint64_t from);
/* Nothing more will be read. */
bool stderr_pipe_ended(const struct stderr_pipe *p);
/* Drains it and reads no more; an unterminated last line counts as a line. */
void stderr_pipe_finish(struct stderr_pipe *p);
/* No callback comes any more. The memory is given back when the loop has
 * turned. Accepts NULL. */
void stderr_pipe_close(struct stderr_pipe *p);

#endif
