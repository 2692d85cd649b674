/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_request: one operation on a claim that is not over yet.
 *
 * Owns copies of its texts, packed as they stand in a claim, in one block with
 * the request. Knows nothing of Redis: claims_wire sends it, claims keeps and
 * ends it.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_REQUEST_H
#define ENVDRIVER_CLAIM_CLAIMS_REQUEST_H

#include <sys/queue.h>

#include "envdriver/claim/claims.h"

/* In the order in which they are sent after a reconnect (docs/engine.md section
 * 4, claims). */
enum claims_kind {
	KIND_RELEASE,
	KIND_CLAIM,
	KIND_ANSWER,
	KIND_TAKEOVER,
	KIND_FINISH,
	KIND_SETTLE,
	KIND_ORPHAN,
	KIND_FETCH,
	KIND_LOOK,
	KINDS
};

/* Texts of a request; all but the last four are packed as in a claim. */
enum claims_part {
	PART_RECORD,
	PART_TOKEN,
	PART_NEW_TOKEN,
	PART_LEASE,
	PART_STARTED_AT,
	PART_ID,
	PART_FIELD,	/* of orphans */
	PART_CREDENTIAL,
	PART_BYTES,	/* the answer, the orphan, or what destroying a lease needs */
	PARTS
};

union claims_fn {
	claims_claim_fn *claim;
	claims_answer_fn *answer;
	claims_takeover_fn *takeover;
	claims_fetch_fn *fetch;
	claims_look_fn *look;
};

struct claims_request {
	TAILQ_ENTRY(claims_request) of_kind;	/* until it is over */
	struct claims *claims;
	enum claims_kind kind;
	unsigned flying;	/* replies that are not here yet */
	unsigned stale;		/* of these, the next ones answer what it was before */
	bool over;
	bool again;		/* to be sent once more */
	bool scripted;		/* a claim: as a script, not as a SET */
	bool call, rerun, answer_lost, acquire, answered;
	int attempt;
	int64_t credential_until;	/* wall ms */
	struct claim_record record;	/* of a claim; topic: into `mem` */
	char token[CLAIM_TOKEN_MAX];	/* of a claim, as it was given */
	union claims_fn fn;
	void *arg;
	struct span part[PARTS];
	char mem[];
};

/* The texts of a request in the making; its memory is used again and again. */
struct claims_draft {
	struct buf mem;
	size_t at[PARTS], len[PARTS];
};

/* Empties the draft, then adds the command id. */
void claims_draft_begin(struct claims_draft *d, struct span command_id);
void claims_draft_record(struct claims_draft *d, const struct claim_record *record);
void claims_draft_text(struct claims_draft *d, enum claims_part part, struct span text);
/* As it is. The draft is then to be emptied with claims_draft_wipe. */
void claims_draft_credential(struct claims_draft *d, struct span text);
void claims_draft_wipe(struct claims_draft *d);
/* Now, as the time at which the call started. */
void claims_draft_started_at(struct claims_draft *d);
/* The field of `orphans`. */
void claims_draft_field(struct claims_draft *d, struct span token);

/* The request owns copies of the draft's texts, of `record` (may be NULL) and
 * of `bytes`, which may be large and are copied only here. The caller frees it
 * with claims_request_free. NULL when out of memory, now or while drafting. */
struct claims_request *claims_request_new(const struct claims_draft *d, enum claims_kind kind,
					  const struct claim_record *record, struct span bytes);

void claims_request_free(struct claims_request *r);

#endif
