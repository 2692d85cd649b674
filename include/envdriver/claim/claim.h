/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: what stands in Redis for one command: who calls the plugin, and who
 * publishes (docs/engine.md section 4, docs/decisions.md D6).
 *
 * A plain value, its packed form, and the decision on a claim that was found.
 * All functions are pure. Owns nothing; knows nothing of Redis, which claims
 * asks, nor of commands or Kafka.
 */
#ifndef ENVDRIVER_CLAIM_CLAIM_H
#define ENVDRIVER_CLAIM_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct err;

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

/* Spans are borrowed from the text that was read. A missing value has length 0;
 * a DONE claim has only its record and its lease. */
struct claim {
	enum claim_state state;
	struct claim_record record;
	struct span instance, incarnation, token;
	int attempt;
	struct span started_at;
	struct span lease;
};

/* Appends the packed form of docs/schemas.md. */
void claim_format(const struct claim *c, struct buf *out);
/* Reads the packed form. Percent codes are decoded into `scratch`, which is
 * emptied first; the spans of `ret` then borrow from it and from `text`. Only
 * what claim_format writes is accepted: two texts are equal exactly when the
 * claims are, so that scripts may compare texts. ERR_INVALID names the wrong
 * field. */
int claim_parse(struct span text, struct buf *scratch, struct claim *ret, struct err *reterr);
/* Appends the part that names the record, as the scripts compare it. */
void claim_format_record(const struct claim_record *r, struct buf *out);
/* Appends one value, percent-encoded as in a claim. */
void claim_encode(struct span value, struct buf *out);

bool claim_record_eq(const struct claim_record *a, const struct claim_record *b);

/* What a claim meets (docs/engine.md section 4, row "claim"). */
enum claim_met {
	CLAIM_NEW,		/* ours: call, or publish what was recorded with it */
	CLAIM_NEED_SCRIPT,	/* `claimed`: only a script may take it */
	CLAIM_IS_DUPLICATE,	/* another record claimed this command id */
	CLAIM_IS_CALLING,
	CLAIM_IS_ANSWERED,
	CLAIM_IS_INTERRUPTED,
	CLAIM_IS_DONE,
};
/* `found` NULL: the key was absent. `call`: the claim is for a call. */
enum claim_met claim_decide(const struct claim *found, const struct claim_record *record,
			    const char *token, bool call);

#endif
