/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: the one record in Redis that decides who calls a plugin and who
 * publishes (ENGINE section 4, DESIGN D6).
 *
 * Owns the packed form, the decision on what was found (a pure function),
 * the scripts, and the outstanding requests. Retries what was lost with a
 * connection, in the order of ENGINE section 4: releases first, then claims.
 * Knows nothing of commands or Kafka. Used by: flow. May use: redis,
 * instance, event.
 */
#ifndef ENVDRIVER_PIPELINE_CLAIM_H
#define ENVDRIVER_PIPELINE_CLAIM_H

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
	int64_t timestamp;
};

/* Spans are borrowed from the text that was read. */
struct claim {
	enum claim_state state;
	struct claim_record record;
	struct span instance, incarnation, token;
	int attempt;
	struct span started_at;
	struct span lease;
};

/* The packed form of SCHEMAS.md. claim_parse decodes percent codes into
 * `scratch`, which the spans then borrow. */
void claim_format(const struct claim *c, struct buf *out);
int claim_parse(struct span text, struct buf *scratch, struct claim *ret, struct err *reterr);

/* What a claim meets (ENGINE section 4, row "claim"). */
enum claim_answer {
	CLAIM_NEW,		/* ours: call, or publish what was recorded */
	CLAIM_NEED_SCRIPT,	/* `claimed` by somebody: the script takes it */
	CLAIM_IS_DUPLICATE,	/* another record's */
	CLAIM_IS_CALLING,
	CLAIM_IS_ANSWERED,
	CLAIM_IS_INTERRUPTED,
	CLAIM_IS_DONE,
};
/* Pure. `found` NULL: the key was absent. */
enum claim_answer claim_decide(const struct claim *found, const struct claim_record *record,
			       const char *token, bool call);

/* Reply to flow; `found` is borrowed for the callback, state as above. */
struct claim_reply {
	enum claim_answer answer;
	int attempt;			/* of NEW: 1 or, after a take-over, more */
	const struct claim *found;	/* NULL for NEW */
};

struct claims *claims_new(struct redis *redis, struct instance *instance,
			  int64_t retention_ms, int64_t backstop_ms, struct err *reterr);
void claims_free(struct claims *c);

/*
 * Each operation is sent at once when Redis is up, else when it comes back,
 * and repeated until answered; `fn` comes exactly once unless claims_forget
 * was called with its handle. Handles are owned by claims. NULL only when
 * out of memory.
 */
struct claim_request;
typedef void claim_fn(void *arg, const struct claim_reply *reply);

/* claim(token, call). For no call `answer` holds the packed events. */
struct claim_request *claims_claim(struct claims *c, struct span command_id,
				   const struct claim_record *record, const char *token,
				   struct span answer, bool call, claim_fn *fn, void *arg);
/* Partition revoked while CLAIMING: the claim request is turned into a
 * release that is repeated until answered; no callback comes. */
void claims_release(struct claims *c, struct claim_request *claiming);
/* True while a release for this command is under way here: a later claim is
 * sent after it (rule "fifo"). */
bool claims_releasing(const struct claims *c, struct span command_id);

/* answer(token, bytes, lease); *accepted tells whether it was recorded. */
typedef void claim_done_fn(void *arg, bool accepted);
struct claim_request *claims_answer(struct claims *c, struct span command_id,
				    const struct claim_record *record, const char *token,
				    int attempt, struct span answer, struct span lease,
				    claim_done_fn *fn, void *arg);
/* takeover(seen, new, rerun). Not rerun: becomes interrupted. A lease that
 * was held goes to orphans. `taken` false: somebody was faster, ask again. */
typedef void claim_takeover_fn(void *arg, bool taken, int attempt);
struct claim_request *claims_takeover(struct claims *c, struct span command_id,
				      const struct claim_record *record, struct span seen_token,
				      const char *new_token, bool rerun, claim_takeover_fn *fn,
				      void *arg);
/* The commit is certain. No callback; retried while the process lives. */
void claims_finish(struct claims *c, struct span command_id, const struct claim_record *record,
		   struct span lease, bool acquire);
/* finish requests not answered yet: shutdown waits for them. */
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
 * recreated as calling with its attempt; anything else unchanged). */
void claims_reassert(struct claims *c, struct span command_id, const struct claim_record *record,
		     const char *token, int attempt);

/* Writes a lease to `orphans`; retried while the process lives. */
void claims_orphan(struct claims *c, struct span command_id, const char *token, struct span json);

/* No callback comes for this one any more. */
void claims_forget(struct claim_request *r);

#endif
