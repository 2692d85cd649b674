/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims: asks Redis for claims and writes them, one request an operation of
 * docs/engine.md section 4 (claims).
 *
 * Owns the scripts and the outstanding requests. Repeats what was lost with a
 * connection, in the order of docs/engine.md section 4: releases first, then
 * claims. Knows nothing of commands or Kafka; what a claim is, claim.h says.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_H
#define ENVDRIVER_CLAIM_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/claim/claim.h"

struct claims;
struct claims_request;
struct err;
struct instance;
struct redis;

/* Before redis_start; after instance_new. Both must outlive it. Claims of
 * finished commands are kept for `retention_ms`, all others for `backstop_ms`. */
struct claims *claims_new(struct redis *redis, struct instance *instance,
			  int64_t retention_ms, int64_t backstop_ms, struct err *reterr);
/* The command topic's retention plus one day, once it is known; for claims
 * written from here on. */
void claims_set_backstop(struct claims *c, int64_t backstop_ms);
/* Accepts NULL. After redis_close has reported, or before redis_start.
 * Requests end without a callback. */
void claims_free(struct claims *c);

/*
 * Each operation is sent at once when Redis is up, else when it comes back,
 * and repeated until answered. `fn` comes exactly once, never before the
 * operation's function returned, unless claims_cancel was called. A request is
 * owned by claims and ends with `fn`; what is passed in is copied. NULL only
 * when out of memory.
 */

struct claims_reply {
	enum claim_met met;
	int attempt;			/* of NEW: 1 or, after a take-over, more */
	/* Borrowed for the callback. NULL for NEW, and for a claim that cannot
	 * be read (logged): that is reported as IS_INTERRUPTED, since nobody
	 * can say whether the command was called. */
	const struct claim *found;
};
typedef void claims_claim_fn(void *arg, const struct claims_reply *reply);

/* claim(token, call). */
struct claims_claim {
	struct span command_id;
	const struct claim_record *record;
	const char *token;
	bool call;
	struct span answer;		/* the packed events; only without a call */
};
struct claims_request *claims_claim(struct claims *c, const struct claims_claim *what,
				    claims_claim_fn *fn, void *arg);
/* The partition was revoked while CLAIMING: the claim becomes a release of its
 * token, which is repeated until answered. No callback comes; the request is
 * claims' own from here. A later claim of the same command runs after it (rule
 * "fifo"). */
void claims_release(struct claims *c, struct claims_request *claiming);

/* answer(token, bytes, lease). */
struct claims_answer {
	struct span command_id;
	const struct claim_record *record;
	const char *token;
	int attempt;
	struct span answer;		/* the packed events */
	struct span lease;		/* empty: none */
	/* What the events only name: it is written in the same step, under a key
	 * of its own (claims_credential_prefix), until then, wall ms. Empty: none. */
	struct span credential;
	int64_t credential_until;
};
enum claims_recorded {
	CLAIMS_ACCEPTED,	/* recorded */
	CLAIMS_PUBLISHED,	/* over, with this very lease (or without one, as here) */
	CLAIMS_REFUSED,		/* taken over */
};
typedef void claims_answer_fn(void *arg, enum claims_recorded how);
struct claims_request *claims_answer(struct claims *c, const struct claims_answer *what,
				     claims_answer_fn *fn, void *arg);

/*
 * takeover(seen, new, rerun). A lease that is held there goes to orphans with
 * `destroy` (see claims_orphan), in the same step. Only a claim that is calling
 * is taken. `taken` false: another worker was faster, ask again.
 */
struct claims_takeover {
	struct span command_id;
	const struct claim_record *record;
	struct span seen_token;
	const char *new_token;		/* may be NULL unless rerun */
	bool rerun;			/* else the claim becomes interrupted */
	/* The caller fetched the answer of seen_token and found it missing or
	 * bad: a claim that is answered is taken, too. */
	bool answer_lost;
	struct span destroy;
};
typedef void claims_takeover_fn(void *arg, bool taken, int attempt);
struct claims_request *claims_takeover(struct claims *c, const struct claims_takeover *what,
				       claims_takeover_fn *fn, void *arg);

struct claims_finish {
	struct span command_id;
	const struct claim_record *record;
	const char *token;		/* settle only: whose answer we sent */
	struct span lease;		/* empty: none */
	bool answered;			/* finish only: an answer in Redis is removed */
	bool acquire;			/* finish only: an AcquireLease */
	/* For another lease that the claim held: it goes to orphans (see
	 * claims_orphan). A finish without `acquire` does not look for one. */
	struct span destroy;
};
/* The commit is certain. No callback; repeated while the process lives. False
 * when out of memory: nothing is sent, the backstop removes the claim. */
bool claims_finish(struct claims *c, const struct claims_finish *what);
/* The same when only the committed offsets say that the record is done: the
 * commit may have been another owner's, with another answer. The claim is
 * finished only while it is `token`'s; else it is left to its holder. */
bool claims_settle(struct claims *c, const struct claims_finish *what);
/* How many finish, settle, release and orphan requests are not answered yet:
 * shutdown waits for them. */
size_t claims_finishing(const struct claims *c);

/* GET of the answer; `packed` ptr NULL when it is missing. */
typedef void claims_fetch_fn(void *arg, struct span packed);
struct claims_request *claims_fetch(struct claims *c, struct span command_id,
				    claims_fetch_fn *fn, void *arg);
/* GET of the claim, for WAITING; `found` NULL when absent or malformed. */
typedef void claims_look_fn(void *arg, const struct claim *found);
struct claims_request *claims_look(struct claims *c, struct span command_id,
				   claims_look_fn *fn, void *arg);

/* After a reconnect: a call that runs here is still claimed. An absent claim is
 * recreated as calling, with its attempt; anything else stays unchanged. To be
 * called from on_up; not repeated, the next on_up does that. */
void claims_reassert(struct claims *c, struct span command_id, const struct claim_record *record,
		     const char *token, int attempt);

/*
 * Writes a lease to `orphans`; repeated while the process lives. The value is
 * {"lease":<lease>,"call":<destroy>}; both are JSON: the lease's id, and what a
 * call that destroys it needs, ptr NULL: null. False when out of memory.
 */
bool claims_orphan(struct claims *c, struct span command_id, struct span token,
		   struct span lease_json, struct span destroy);

/* Appends what stands before the command id in the key of its credential:
 * redis_prefix + "credential:". */
void claims_credential_prefix(const struct redis *redis, struct buf *out);

/* No callback comes for this request any more, and it is not repeated; what was
 * sent may still take effect. Accepts NULL. */
void claims_cancel(struct claims_request *r);

/* Appends the name of the channel on which claims_answer publishes the command
 * id: redis_prefix + "handover". */
void claims_channel(const struct redis *redis, struct buf *out);

#endif
