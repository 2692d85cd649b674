/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait: the final events of commands that we published, each found by the
 * position of its command's record.
 *
 * Owns a reader that was opened before the commands were published.
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

/* Reads those topics and the dead letters from their ends of now. */
struct wait *wait_new(const struct config *config, const struct schemas *schemas,
		      const bool topics[TOPIC_COUNT], struct err *reterr);
/* Accepts NULL. */
void wait_free(struct wait *w);

/* The command's record is at this place of the command topic. */
int wait_expect(struct wait *w, int32_t partition, int64_t offset, const char *id,
		struct err *reterr);
size_t wait_pending(const struct wait *w);
/* Some id that is still pending; NULL when none is. */
const char *wait_some(const struct wait *w);

/* 1: the final event of an expected command, or an ExecutionLog of one that
 * is or was expected (*ret_final false); the caller releases it. 0: none
 * within `timeout_ms`. */
int wait_next(struct wait *w, int timeout_ms, struct record *ret, bool *ret_final,
	      struct err *reterr);

/* Whether the outcome is SUCCEEDED. */
bool wait_succeeded(const struct record *r);

#endif
