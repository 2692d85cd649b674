/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claiming: the claim of a command is sent, its answer decides what happens
 * next, and what is ours is recorded, released and finished (docs/engine.md
 * sections 3 and 4).
 *
 * Owns no state: an outstanding request is the entry's. Knows nothing of
 * plugins or Kafka.
 */
#ifndef ENVDRIVER_ENGINE_CLAIMING_H
#define ENVDRIVER_ENGINE_CLAIMING_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/claim/claims.h"

struct engine;
struct entry;

/* The record that the entry's claim is of; borrows from the entry. */
struct claim_record claiming_key(const struct entry *e);

/* Claims the command with the token of the entry. NULL when out of memory. */
struct claims_request *claiming_ask(struct engine *eng, struct entry *e, bool call);
/* Takes the claim of `seen_token` over, with a new token. NULL when out of
 * memory. */
struct claims_request *claiming_seize(struct engine *eng, struct entry *e, struct span seen_token,
				      claims_takeover_fn *fn, void *arg);

/* DO_CLAIM, DO_CLAIM_NO_CALL */
void claiming_send(struct engine *eng, struct entry *e);
/* DO_FETCH: the answer that is recorded. */
void claiming_fetch(struct engine *eng, struct entry *e);
/* DO_TAKE_OVER: from a holder that is dead, or too late. */
void claiming_take_over(struct engine *eng, struct entry *e);
/* DO_ATTACH: the LEFT entry steps back into the window in place of the new
 * one, with its call. */
void claiming_attach(struct engine *eng, struct entry *e);
/* DO_RECORD, and the hand-over: the answer, and the lease it brought. */
void claiming_record(struct engine *eng, struct entry *e);
/* DO_RELEASE: CLAIMING, partition revoked. A fetch, a look or a take-over just
 * ends; a claim may have made us the caller and is released. */
void claiming_release(struct engine *eng, struct entry *e);
/* Its commit is certain: the claim is done, if it is this record's. */
void claiming_finish(struct engine *eng, struct entry *e);

/* Every call that runs here is claimed again, unless another
 * worker took it over. */
void claiming_reassert(struct engine *eng);

#endif
