/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: the final events of published commands, each found by the position of
 * its command's record.
 *
 * Owns a reader, which must be opened before the commands are published.
 */
#ifndef ENVDRIVER_CLIENT_WAIT_H
#define ENVDRIVER_CLIENT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/client/record.h"

struct config;
struct err;
struct schemas;
struct wait;

/* Reads those topics and the dead letters from their present ends. Blocks. NULL
 * on error. */
struct wait *wait_new(const struct config *config, const struct schemas *schemas,
		      const bool topics[TOPIC_COUNT], struct err *reterr);
/* Accepts NULL. */
void wait_free(struct wait *w);

/* Expects the command at this position of the command topic. ERR_NOMEM. */
int wait_expect(struct wait *w, int32_t partition, int64_t offset, const char *id,
		struct err *reterr);
size_t wait_pending(const struct wait *w);
/* The ids of those that are still pending; NULL past the last. */
const char *wait_pending_id(const struct wait *w, size_t i);

/* 1: the final event of an expected command (*ret_final), or an ExecutionLog of
 * one that is or was expected; the caller releases it. 0: none within
 * `timeout_ms`. */
int wait_next(struct wait *w, int timeout_ms, struct record *ret, bool *ret_final,
	      struct err *reterr);

/* Whether the outcome is SUCCEEDED. */
bool wait_succeeded(const struct record *r);

#endif
