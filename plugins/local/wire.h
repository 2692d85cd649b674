/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: lines in on standard input, lines out on standard output.
 *
 * A write never blocks: it is queued. Otherwise a host that is busy writing to
 * us, and we who are busy writing to it, would wait for each other for ever.
 *
 * Owns the two streams, the line not yet complete and the lines not yet
 * written. Knows nothing of JSON.
 */
#ifndef LOCAL_WIRE_H
#define LOCAL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct wire_events {
	/* One line without its line break, to be read and written in place
	 * until the callback returns; never empty. */
	void (*on_line)(void *arg, char *line, size_t len);
	void (*on_too_long)(void *arg);	/* a line was above 128 MiB, and dropped */
	void (*on_drain)(void *arg);	/* no longer congested */
	void (*on_end)(void *arg);	/* once: the host hung up, or we cannot go on */
};

struct wire {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tty_t tty;
	} in, out;
	const struct wire_events *events;
	void *arg;
	char *line;
	size_t line_len;
	size_t line_cap;
	bool skipping;		/* the rest of a line that was too long */
	bool congested;
	bool ended;
	bool closing;
	unsigned writes;	/* on their way */
	char chunk[65536];	/* what libuv reads into */
};

/* Starts reading. A libuv error code when fd 0 or 1 is something that cannot
 * be waited for, such as a plain file. `events` is borrowed for good. */
int wire_open(struct wire *w, uv_loop_t *loop, const struct wire_events *events, void *arg);

/* Queues `take_text` (malloc'ed, with a byte to spare after `len`, which becomes
 * the line break). NULL counts as out of memory: a line that cannot be sent
 * must not just be missing, so the wire ends, and the host starts us again. */
void wire_send(struct wire *w, char *take_text, size_t len);

/* The host reads more slowly than we write: what can stop producing should do
 * so until on_drain. */
bool wire_is_congested(const struct wire *w);

/* Reads no more; closes both streams once all that is queued is written.
 * wire_drop does not wait for that. */
void wire_close(struct wire *w);
void wire_drop(struct wire *w);

#endif
