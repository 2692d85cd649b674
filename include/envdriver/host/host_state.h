/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_state: answers state.get, state.set and state.delete: what a plugin
 * keeps, apart for each company (docs/protocol.md section 9).
 *
 * Owns the requests that the store has not answered. Knows nothing of Redis:
 * the store is reached through a function.
 */
#ifndef ENVDRIVER_HOST_HOST_STATE_H
#define ENVDRIVER_HOST_HOST_STATE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct host_reply;

/* Requests of one worker that the store has not answered. What goes beyond is
 * refused. */
enum { HOST_STATE_MAX = 256 };

enum host_state_op { HOST_STATE_GET, HOST_STATE_SET, HOST_STATE_DELETE };

enum host_state_end {
	HOST_STATE_AWAY,	/* the store could not be reached */
	HOST_STATE_DONE,
	HOST_STATE_FULL,	/* a set beyond what may be kept */
};

/* How a state request ended; `value`: of a get, ptr NULL when there is none. */
typedef void host_state_fn(void *token, enum host_state_end end, struct span value);

/* `field` and `value` are borrowed for the call. Returns negative when the
 * store could not be asked; else `done` is called once, not before this
 * returns. */
typedef int host_state_ask_fn(void *arg, enum host_state_op op, struct span company,
			      struct span field, struct span value, host_state_fn *done,
			      void *token);

struct host_state_request;
struct host_params;

/* The first four are set by the owner. */
struct host_state {
	struct host_reply *reply;	/* outlives this */
	host_state_ask_fn *ask;
	void *arg;
	size_t value_max;
	LIST_HEAD(, host_state_request) requests;
	size_t n, bytes;
	struct buf field, part;
};

/* Answers the request `id` of `method` in the scope of `company`, later or
 * before it returns. */
void host_state_answer(struct host_state *s, struct span method, struct jtext id,
		       const struct host_params *params, struct span company);
/* What the store still answers is ignored. */
void host_state_release(struct host_state *s);

#endif
