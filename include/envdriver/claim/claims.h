/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: the one record in Redis that decides who calls a plugin and who
 * publishes (docs/engine.md section 4, docs/decisions.md D6).
 *
 * Owns the packed form, the decision on what was found (a pure function),
 * the scripts, and the outstanding requests. Retries what was lost with a
 * connection, in the order of docs/engine.md section 4: releases first, then claims.
 * Knows nothing of commands or Kafka.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_H
#define ENVDRIVER_CLAIM_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct claims;
struct err;
struct instance;
struct redis;

enum { CLAIM_TOKEN_MAX = 64 };

enum claim_state {
	CLAIM_CLAIMED,
	CLAIM_CALLING,
	CLAIM_ANSWERED,
	CLAIM_INTERRUPTED,
	CLAIM_DONE,
};

/* topic, partition, offset, Kafka timestamp: the same record only when all
 * four agree. */
struct claim_record {
	struct span topic;
	int32_t partition;
	int64_t offset;
	int64_t timestamp;	/* -1: none */
};

/* Spans are borrowed from the text that was read. A value that is not there
 * has length 0; of a DONE claim that is all but record and lease. */
struct claim {
	enum claim_state state;
	struct claim_record record;
	struct span instance, incarnation, token;
	int attempt;
	struct span started_at;
	struct span lease;
};

/* The packed form of docs/schemas.md. claim_parse decodes percent codes into
 * `scratch`, which it empties and which the spans then borrow beside `text`.
 * It takes only what claim_format writes: two texts are equal exactly when
 * the claims are, so that scripts may compare texts. ERR_INVALID names the
 * wrong field. */
void claim_format(const struct claim *c, struct buf *out);
int claim_parse(struct span text, struct buf *scratch, struct claim *ret, struct err *reterr);
/* The part of it that names the record, for the scripts. */
void claim_format_record(const struct claim_record *r, struct buf *out);
/* One value, percent-encoded as there. */
void claim_encode(struct span value, struct buf *out);

bool claim_record_eq(const struct claim_record *a, const struct claim_record *b);

/* What a claim meets (docs/engine.md section 4, row "claim"). */
enum claim_answer {
	CLAIM_NEW,		/* ours: call, or publish what was recorded */
	CLAIM_NEED_SCRIPT,	/* `claimed` by somebody: the script takes it; flow never sees it */
	CLAIM_IS_DUPLICATE,	/* another record's */
	CLAIM_IS_CALLING,
	CLAIM_IS_ANSWERED,
	CLAIM_IS_INTERRUPTED,
	CLAIM_IS_DONE,
};
/* Pure. `found` NULL: the key was absent. */
enum claim_answer claim_decide(const struct claim *found, const struct claim_record *record,
			       const char *token, bool call);

struct claim_reply {
	enum claim_answer answer;
	int attempt;			/* of NEW: 1 or, after a take-over, more */
	/* Borrowed for the callback. NULL for NEW, and for a claim that
	 * nobody can read (logged): it is reported as IS_INTERRUPTED, since
	 * nobody can say whether the command was called. */
	const struct claim *found;
};

/* Before redis_start; after instance_new. */
struct claims *claims_new(struct redis *redis, struct instance *instance,
			  int64_t retention_ms, int64_t backstop_ms, struct err *reterr);
/* The command topic's retention plus one day, once it is known; for claims
 * written from here on. */
void claims_set_backstop(struct claims *c, int64_t backstop_ms);
/* Accepts NULL. After redis_close has reported, or before redis_start. */
void claims_free(struct claims *c);

/*
 * Each operation is sent at once when Redis is up, else when it comes back,
 * and repeated until answered; `fn` comes exactly once, never before the
 * operation's function returned, unless claims_forget was called with its
 * handle. Handles are owned by claims and end with `fn`; what is passed in is
 * copied. NULL only when out of memory.
 */
struct claim_request;
typedef void claim_fn(void *arg, const struct claim_reply *reply);

/* claim(token, call). For no call `answer` holds the packed events. */
struct claim_request *claims_claim(struct claims *c, struct span command_id,
				   const struct claim_record *record, const char *token,
				   struct span answer, bool call, claim_fn *fn, void *arg);
/* Partition revoked while CLAIMING: the claim request is turned into a
 * release of its token that is repeated until answered; no callback comes,
 * the handle is claims' own from here. */
void claims_release(struct claims *c, struct claim_request *claiming);
/* True while a release for this command is under way here. A later claim of
 * the same command runs after it in any case (rule "fifo"). */
bool claims_releasing(const struct claims *c, struct span command_id);

/* answer(token, bytes, lease). */
enum claim_recorded {
	CLAIM_ACCEPTED,		/* recorded */
	CLAIM_PUBLISHED,	/* over, with this very lease (or without one, as here) */
	CLAIM_REFUSED,		/* taken over */
};
typedef void claim_done_fn(void *arg, enum claim_recorded how);
struct claim_request *claims_answer(struct claims *c, struct span command_id,
				    const struct claim_record *record, const char *token,
				    int attempt, struct span answer, struct span lease,
				    claim_done_fn *fn, void *arg);

/*
 * takeover(seen, new, rerun). Not rerun: becomes interrupted, `new_token` may
 * be NULL. A lease that is held there goes to orphans with `call` (see
 * claims_orphan), in the same step. Only a claim that is calling is taken,
 * with `answer_lost` also one that is answered: the caller has fetched the
 * answer of this token and found it missing or bad. `taken` false: somebody
 * was faster, ask again.
 */
typedef void claim_takeover_fn(void *arg, bool taken, int attempt);
struct claim_request *claims_takeover(struct claims *c, struct span command_id,
				      const struct claim_record *record, struct span seen_token,
				      const char *new_token, bool rerun, bool answer_lost,
				      struct span call, claim_takeover_fn *fn, void *arg);

/*
 * The commit is certain. No callback; repeated while the process lives.
 * `answered`: an answer may stand in Redis, it is removed. `acquire`: an
 * AcquireLease; another lease that the claim held goes to orphans with `call`
 * (else `call` is not looked at). Out of memory it is not sent: the backstop
 * removes the claim. false then.
 */
bool claims_finish(struct claims *c, struct span command_id, const struct claim_record *record,
		   struct span lease, bool answered, bool acquire, struct span call);
/*
 * The same when only the committed offsets say that the record is done: the
 * commit may have been another owner's, with another answer. The claim is
 * finished only while it is `token`'s, whose answer we sent; else it is left
 * to whoever has it. false when out of memory, as above.
 */
bool claims_settle(struct claims *c, struct span command_id, const struct claim_record *record,
		   const char *token, struct span lease, struct span call);
/* finish, release and orphan requests not answered yet: shutdown waits for
 * them. */
size_t claims_finishing(const struct claims *c);

/* GET of the answer; `packed` ptr NULL when it is missing. */
typedef void claim_fetch_fn(void *arg, struct span packed);
struct claim_request *claims_fetch(struct claims *c, struct span command_id, claim_fetch_fn *fn,
				   void *arg);
/* GET of the claim, for WAITING; `found` NULL when absent or malformed. */
typedef void claim_look_fn(void *arg, const struct claim *found);
struct claim_request *claims_look(struct claims *c, struct span command_id, claim_look_fn *fn,
				  void *arg);

/* After a reconnect: a call that runs here is still claimed (absent:
 * recreated as calling with its attempt; anything else unchanged). From
 * on_up; not repeated, the next on_up does that. */
void claims_reassert(struct claims *c, struct span command_id, const struct claim_record *record,
		     const char *token, int attempt);

/*
 * Writes a lease to `orphans`; repeated while the process lives. The value is
 * {"lease":"<lease>","call":<call>}; `call` is JSON, what flow needs to
 * destroy the lease, ptr NULL: null. false when out of memory.
 */
bool claims_orphan(struct claims *c, struct span command_id, struct span token, struct span lease,
		   struct span call);

/* No callback comes for this one any more, and it is not repeated; what was
 * sent may still take effect. Accepts NULL. */
void claims_forget(struct claim_request *r);

/* Channel on which claims_answer says the command id: redis_prefix +
 * "handover". Appended to `out`. */
void claims_channel(const struct redis *redis, struct buf *out);

#endif
