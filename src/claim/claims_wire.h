/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_wire: requests as Redis commands, and what the replies say.
 *
 * Owns the names of the keys, the numbers of the loaded scripts and scratch
 * memory. Knows nothing of how long a request lives: claims decides.
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_WIRE_H
#define ENVDRIVER_CLAIM_CLAIMS_WIRE_H

#include "claims_keys.h"
#include "claims_request.h"
#include "claims_scripts.h"
#include "envdriver/redis/redis.h"

struct claims_wire {
	struct redis *redis;
	redis_reply_fn *on_reply;	/* of every request, which is its `arg` */
	int scripts[CLAIMS_SCRIPTS];
	char retention[24], backstop[24];	/* ms */
	struct claims_keys keys;
	struct buf holder;		/* packed instance and incarnation, */
	size_t instance_len;		/* side by side */
	struct buf value;		/* a claim that is being sent */
	struct buf scratch;		/* of claim_parse */
};

/* Loads the scripts. False when out of memory; to be released all the same. */
bool claims_wire_init(struct claims_wire *w, struct redis *redis, const struct instance *instance,
		      redis_reply_fn *on_reply);
void claims_wire_release(struct claims_wire *w);

/* Sends what the request asks for and counts the replies that are to come.
 * Returns as redis_send; ERR_NOMEM also when a key could not be written: then
 * the connection goes down, and the next on_up repeats the request. */
int claims_wire_send(struct claims_wire *w, struct claims_request *r);

enum claims_reading {
	CLAIMS_READ,		/* the request has its answer */
	CLAIMS_READ_AGAIN,	/* it must be sent once more */
	CLAIMS_READ_MORE,	/* another reply is due */
};

/* What a reply says; which member counts is the request's kind. Spans are
 * borrowed from the reply and the wire's scratch. */
struct claims_wire_reply {
	enum claim_met met;		/* claim */
	int attempt;			/* claim, takeover */
	bool taken;			/* takeover */
	enum claims_recorded how;	/* answer */
	struct span packed;		/* fetch */
	const struct claim *found;	/* claim, look: `claim`, or NULL */
	struct claim claim;
};

/* Reads a reply that is no outage. An error that is not expected takes the
 * connection down, so that /readyz says why; then the request waits as for an
 * outage. */
enum claims_reading claims_wire_read(struct claims_wire *w, struct claims_request *r,
				     const redisReply *reply, struct claims_wire_reply *ret);

/* As claims_reassert. */
void claims_wire_reassert(struct claims_wire *w, struct span command_id,
			  const struct claim_record *record, const char *token, int attempt);

#endif
