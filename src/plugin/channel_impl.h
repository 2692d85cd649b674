/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_impl: what the files of channel share.
 *
 *	channel.c	calls, writing, opening and closing
 *	channel_read.c	what the plugin writes, line by line
 */
#ifndef ENVDRIVER_PLUGIN_CHANNEL_IMPL_H
#define ENVDRIVER_PLUGIN_CHANNEL_IMPL_H

#include "channel.h"
#include "frame.h"
#include "parse_job.h"

/* More than a pipe holds: each turn of the loop reads once from each worker,
 * so that none of them holds up the others. */
enum { CHANNEL_READ_SIZE = 128 << 10 };

struct channel {
	uv_pipe_t in, out;	/* as seen by us: read from, write to */
	uv_timer_t timer;
	uv_idle_t flush;
	uv_write_t write;
	unsigned open;		/* handles not yet closed */
	struct channel_limits limits;
	struct channel_events ev;
	struct frame *frame;
	char *read_buf;
	uint64_t reads;
	struct parse_job *parsing;	/* NULL: none. Meanwhile nothing is read. */
	struct span rest;		/* of read_buf: what was read behind it */
	struct buf queued, writing;	/* `writing` is the pipe's while busy */
	bool busy, broken, ended, closing;
	uint64_t *next_id;
	struct imap calls;
	struct deadlines deadlines;
	size_t late;
	struct channel_pending *oldest, *newest;
};

/* channel.c */
void channel_broken(struct channel *c);
void channel_end_call(struct channel *c, struct channel_pending *call,
		      const struct rpc_answer *answer);

/* channel_read.c */
int channel_read_start(struct channel *c);
/* Of its frame. */
void channel_on_line(void *arg, struct span line, bool repaired);
void channel_on_dropped(void *arg);

#endif
