/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope: on whose behalf a worker works right now: the running calls, by
 * invocation id and company (docs/protocol.md sections 8 and 9).
 *
 * Owns the list of calls (not the calls) and, for the texts of a death, the
 * position in stderr at which each other company was last at work. Knows
 * nothing of pipes.
 */
#ifndef ENVDRIVER_HOST_SCOPE_H
#define ENVDRIVER_HOST_SCOPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/hash.h"

struct mask;

/* One call; lives in its owner's struct. The first six are set before
 * scope_begin and stay as they are until scope_end. */
struct scope_entry {
	const char *invocation_id;	/* NULL: the call has no envelope */
	struct span company;		/* trimmed; empty: none */
	struct span command_id;
	struct span traceparent;	/* empty: none */
	bool wants_log;			/* an execute.log route */
	struct mask *mask;		/* of the secrets in its request; NULL: none */

	bool settled;			/* answered to its caller, still at work */
	bool latched;			/* its route was closed for good */
	uint64_t log_bytes;		/* delivered */
	UT_hash_handle hh;
	LIST_ENTRY(scope_entry) link;
};

/* Where a company was last at work. */
struct scope_mark {
	char *company;
	size_t len;
	uint64_t at;
};

struct scope {
	LIST_HEAD(, scope_entry) calls;	/* running, settled ones too */
	struct scope_entry *live;	/* not settled, by invocation id */
	/* The two companies whose calls ended last, the later one first. */
	struct scope_mark marks[2];
	uint64_t nameless_at;		/* the last call of no company ended */
	struct scope_mark first;	/* the first company here */
	bool shared;			/* more than that one had calls: positions matter */
	bool blind;			/* out of memory: nobody is shown anything */
};

/* False when out of memory: the call is not in. */
bool scope_begin(struct scope *s, struct scope_entry *c);
/* The caller has its answer (a time-out): the invocation is over and its
 * route closed, but the plugin may still work on it. */
void scope_settle(struct scope *s, struct scope_entry *c);
/* The plugin has answered, or is dead. `at`: position in stderr. */
void scope_end(struct scope *s, struct scope_entry *c, uint64_t at);

/* The live call of that invocation id; NULL when there is none. */
struct scope_entry *scope_find(const struct scope *s, struct span invocation_id);
/* Some invocation is live. */
bool scope_any(const struct scope *s);
/* The position in stderr since which no other company has had a call here, as
 * seen by the running call `c`. UINT64_MAX: another one has a call now. Calls
 * without a company count as calls of different companies. */
uint64_t scope_from(const struct scope *s, const struct scope_entry *c);
/* The work that ended last went on up to `at`. */
void scope_touch(struct scope *s, uint64_t at);
void scope_release(struct scope *s);

#endif
