/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim_impl: what claim.c (requests and their life), claim_wire.c (what each
 * kind sends and how it reads the reply) and claim_scripts.c (the Lua) share.
 *
 * Private to these three.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_IMPL_H
#define ENVDRIVER_CLAIM_CLAIMS_IMPL_H

#include "envdriver/claim/claims.h"
#include "envdriver/redis/redis.h"

/* Every script but release, finish and settle answers with an array {attempt} when it
 * did what was asked, and else with the text of the claim that is there (nil:
 * none). */
enum claims_script {
	CLAIM_SCRIPT_CLAIM,
	CLAIM_SCRIPT_RELEASE,
	CLAIM_SCRIPT_ANSWER,
	CLAIM_SCRIPT_TAKEOVER,
	CLAIM_SCRIPT_FINISH,
	CLAIM_SCRIPT_SETTLE,
	CLAIM_SCRIPTS
};

extern const char *const claim_scripts[CLAIM_SCRIPTS];

/* In the order in which they are sent after a reconnect (docs/engine.md section 4). */
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

/* Texts of a request; all but the last three are packed as in a claim. */
enum claims_part {
	PART_RECORD,
	PART_TOKEN,
	PART_NEW_TOKEN,
	PART_LEASE,
	PART_STARTED_AT,
	PART_ID,
	PART_FIELD,	/* of orphans */
	PART_BYTES,	/* answer, orphan, or what a lease's end needs */
	PARTS
};

struct claims_request {
	struct claims *claims;
	struct claims_request *prev, *next;	/* of its kind; until it is over */
	enum claims_kind kind;
	unsigned flying;	/* replies that are not here yet */
	unsigned stale;		/* of these, the next ones answer what it no longer is */
	bool over, again, scripted;
	bool call, rerun, answer_lost, acquire, answered;
	int attempt;
	struct claim_record record;	/* of a claim; topic: into `mem` */
	char token[CLAIM_TOKEN_MAX];	/* of a claim, as it was given */
	union {
		claims_claim_fn *claim;
		claims_answer_fn *answer;
		claims_takeover_fn *takeover;
		claims_fetch_fn *fetch;
		claims_look_fn *look;
	} fn;
	void *arg;
	struct span part[PARTS];
	char mem[];
};

struct claims_list {
	struct claims_request *head, *tail;
	size_t n;
};

struct claims {
	struct redis *redis;
	struct instance *instance;
	struct claims_list lists[KINDS];
	int scripts[CLAIM_SCRIPTS];
	char retention[24], backstop[24];	/* ms */
	struct buf claim_key, answer_key;	/* prefix and what was asked last */
	size_t claim_prefix, answer_prefix;
	struct buf orphans_key, channel;
	struct buf holder;		/* packed instance and incarnation, */
	size_t instance_len;		/* side by side */
	struct buf value;		/* a claim that is being sent */
	struct buf scratch;		/* of claim_parse */
	struct buf draft;		/* texts of a request in the making */
};

/* Sends what the request asks for. Returns as redis_send. */
int claim_wire_send(struct claims_request *r);
/* A reply that is no outage: finishes the request, or lets it stand. */
void claim_wire_reply(struct claims_request *r, const redisReply *reply);

/* The redis_reply_fn of all requests. */
void claim_on_reply(void *arg, const redisReply *reply);
/* It is over: out of its list; freed when no reply is due any more. */
void claim_over(struct claims_request *r);
/* To be sent once more when its replies are in. */
void claim_again(struct claims_request *r);

#endif
