/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: requests and answers over a pair of pipes: ids, pending requests,
 * time limits (docs/protocol.md sections 3 and 7).
 *
 * Owns the pipes, the queue of bytes to write and the table of pending
 * requests; the structs of these live in their owners' structs. What is queued
 * during a turn of the loop goes out in one write before the loop waits. Knows
 * nothing of processes or companies.
 */
#ifndef ENVDRIVER_RPC_CHANNEL_H
#define ENVDRIVER_RPC_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "envdriver/base/container_of.h"
#include "deadline.h"
#include "envdriver/base/buf.h"
#include "envdriver/base/hash.h"
#include "envdriver/rpc/rpc.h"

struct channel;
struct err;
struct mask;

/* How many requests that timed out are kept for their late answers; a new one
 * takes the place of the oldest. */
enum { CHANNEL_LATE_MAX = 1024 };

/* A request that was sent and not answered. The first five are set by the
 * owner, who keeps the struct until on_end has been called (and, after
 * RPC_TIMED_OUT, on_late), or until channel_cancel. */
struct channel_pending {
	const char *method;
	int64_t timeout_ms;
	int64_t spent_ms;	/* of it, before it is sent */
	/* Exactly once. The request is not pending any more; the struct may be
	 * freed, but not after RPC_TIMED_OUT. */
	void (*on_end)(struct channel_pending *p, const struct rpc_answer *answer);
	/* Exactly once after RPC_TIMED_OUT: the late answer, or RPC_DIED or
	 * RPC_TIMED_OUT when it is no longer waited for. */
	void (*on_late)(struct channel_pending *p, const struct rpc_answer *answer);

	/* The channel's. */
	bool pending, late;
	uint64_t id;
	UT_hash_handle hh;
	struct deadline deadline;	/* unless late */
	TAILQ_ENTRY(channel_pending) link;	/* among the late */
};

/* All may call the channel. Spans are borrowed for the call. */
struct channel_events {
	void (*on_request)(void *arg, const struct rpc_message *m);
	void (*on_notification)(void *arg, const struct rpc_message *m);
	/* A line that was ignored: an unknown or repeated id, one that was too
	 * long, or garbage, which is `line` (else ptr NULL). */
	void (*on_bad)(void *arg, const char *why, struct span line);
	/* Nothing more can be written, or nothing more will be read (then
	 * channel_ended); may come once for each. */
	void (*on_broken)(void *arg);
	void *arg;
};

struct channel_limits {
	size_t line_max;	/* of what is read */
	size_t queue_max;	/* bytes not yet written */
	/* What is read is masked with what it has at that time; NULL: nothing. It
	 * outlives the channel. */
	const struct mask *mask;
};

/* Takes both descriptors, also when it fails. `next_id` is counted up and
 * outlives the channel. */
struct channel *channel_new(uv_loop_t *loop, int take_write_fd, int take_read_fd, uint64_t *next_id,
			    const struct channel_limits *limits, const struct channel_events *ev,
			    struct err *reterr);

struct channel_request {
	struct span params;		/* JSON text */
	const char *invocation_id;	/* NULL: no envelope */
	struct span company_id;
	struct span traceparent;
	bool secret;			/* its bytes are overwritten once they are written */
};

/* Queues a request. ERR_CLOSED, ERR_LIMIT (the queue) or ERR_NOMEM: nothing
 * was queued and the request is not pending. */
int channel_send(struct channel *c, struct channel_pending *p, const struct channel_request *r,
		 struct err *reterr);
/* Queues a line as it is. False when it was not taken (broken, or a worker
 * that asks and never reads). */
bool channel_write(struct channel *c, struct span line);
/* Nothing is called back for the request any more; its answer will be an
 * unknown id. Nothing happens when it is not pending. */
void channel_cancel(struct channel *c, struct channel_pending *p);
/* Nothing more will be read: the channel is at the end of its stream. */
bool channel_ended(const struct channel *c);
/* How often something was read: answers that give the same number were in the
 * pipe together. */
uint64_t channel_reads(const struct channel *c);
/* Bytes of a line that has begun and not ended. */
size_t channel_partial(const struct channel *c);
/* A thread parses a long line; nothing is read meanwhile. */
bool channel_parsing(const struct channel *c);

/* Reads no more; an unterminated last line counts as a line. */
void channel_finish(struct channel *c);
/* Ends every pending request with RPC_DIED. `text` gives the words for each,
 * borrowed until it is called again. */
void channel_fail(struct channel *c, const char *(*text)(void *arg, struct channel_pending *p),
		  void *arg);
/* Pending requests are cancelled. The memory is given back when the loop has
 * turned. Accepts NULL. */
void channel_close(struct channel *c);

#endif
