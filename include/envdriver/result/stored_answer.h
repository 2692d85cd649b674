/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stored_answer: whether the events that stand in Redis as a command's answer
 * are that command's.
 *
 * Owns nothing. An answer that was handed over is published as it is, so
 * whoever can write Redis could publish anything, anywhere. What passes here
 * names the command, its record and the call of the claim; a forger who knows
 * all of these can still forge (`audit verify` sees what the log shows).
 * Knows nothing of Redis.
 */
#ifndef ENVDRIVER_RESULT_STORED_ANSWER_H
#define ENVDRIVER_RESULT_STORED_ANSWER_H

#include <stdint.h>

#include "envdriver/base/buf.h"

struct command;
struct err;
struct events;
struct schemas;

/* Whose answer it must be. */
struct stored_answer {
	const struct command *command;
	struct span topic;		/* full name, of the command's record */
	int32_t partition;
	int64_t offset;
	struct span token;		/* of the claim that was met */
};

/*
 * 0, or ERR_INVALID with the reason: the set must be any number of pieces of
 * output and then one result of the command's operation, written with one of
 * our schemas. ERR_NOMEM.
 */
int stored_answer_check(const struct stored_answer *of, const struct schemas *schemas,
			const struct events *events, struct err *reterr);

#endif
