/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_reader: reads a plugin's messages from a pipe, line by line
 * (docs/protocol.md section 3).
 *
 * Owns the pipe, the bytes of the begun line, and a long line that a thread
 * parses. Knows nothing of calls or ids.
 */
#ifndef ENVDRIVER_RPC_MESSAGE_READER_H
#define ENVDRIVER_RPC_MESSAGE_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/rpc/rpc.h"

struct err;
struct mask;
struct message_reader;

/* Called from the loop. All may close the reader. */
struct message_reader_events {
	/* Both are borrowed for the call. `answer` is what a response says;
	 * its method is not known here. */
	void (*on_message)(void *arg, const struct rpc_message *m, struct rpc_answer *answer);
	/* A line was too long. */
	void (*on_ignored)(void *arg, const char *why);
	/* Nothing more will be read. Not after message_reader_finish. */
	void (*on_end)(void *arg);
	void *arg;
};

/* Takes the descriptor, also when it fails. What is read is masked with what `mask`
 * (NULL: nothing) has at that time; it outlives the reader. NULL: see reterr. */
struct message_reader *message_reader_new(uv_loop_t *loop, int take_fd, size_t line_max,
					  const struct mask *mask,
					  const struct message_reader_events *ev,
					  struct err *reterr);
/* How often something was read: messages that give the same number were in
 * the pipe together. */
uint64_t message_reader_reads(const struct message_reader *r);
/* Bytes of a line that has begun and not ended. */
size_t message_reader_partial(const struct message_reader *r);
/* A thread parses a long line; nothing is read meanwhile. */
bool message_reader_parsing(const struct message_reader *r);
/* Nothing more will be read. */
bool message_reader_ended(const struct message_reader *r);
/* Reads no more; an unterminated last line counts as a line. */
void message_reader_finish(struct message_reader *r);
/* No callback comes any more. The memory is given back when the loop has
 * turned. Accepts NULL. */
void message_reader_close(struct message_reader *r);

#endif
