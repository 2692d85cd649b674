/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_check: the limits of docs/schemas.md ("Limits checked before anything
 * is claimed"), and how a reject is worded.
 *
 * Owns nothing. Knows nothing of Avro: it is shown a command that was read.
 */
#ifndef ENVDRIVER_COMMAND_COMMAND_CHECK_H
#define ENVDRIVER_COMMAND_COMMAND_CHECK_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct command;
struct reject;

/* False with *r filled (reason, message, field) at the first limit that the
 * command passes. The spans of `c` need not be terminated; the ordering key
 * and the lease id are not looked at. */
bool command_check(const struct command *c, struct reject *r);
/* The same for the decoded id of a FIELD_LEASE. */
bool command_check_lease_id(struct span id, struct reject *r);

/* Fills reason, message and, for REJECT_INVALID, field ("" otherwise). The
 * message is cut to fit, between characters. */
void command_reject(struct reject *r, int reason, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Copies at most `size` - 1 bytes, cut between characters, and a NUL. */
void command_copy_text(char *to, size_t size, struct span from);

/* A W3C trace context that we pass on (version 00 and what extends it). */
bool command_traceparent_ok(struct span text);

#endif
