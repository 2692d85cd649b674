/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome: how a command ended: status, error code, flags, message.
 *
 * Owns its texts, and the table that gives every error code its status and
 * its flags (docs/operations.md, "Outcomes"). A plain value: knows nothing of
 * commands, answers or records.
 */
#ifndef ENVDRIVER_COMMAND_OUTCOME_H
#define ENVDRIVER_COMMAND_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum outcome_status { OUTCOME_SUCCEEDED, OUTCOME_FAILED, OUTCOME_INTERRUPTED, OUTCOME_EXPIRED };

/* The rows of docs/operations.md, "Outcomes". */
enum outcome_code {
	CODE_NONE,
	CODE_DRIVER_NOT_READY,
	CODE_DRIVER_NOT_DECLARED,
	CODE_NO_RUNNING_WORKER,
	CODE_PROVIDER_NOT_AVAILABLE,
	CODE_CONFIG_REJECTED,
	CODE_PLUGIN_ERROR,
	CODE_METHOD_NOT_IMPLEMENTED,
	CODE_WORKER_UNAVAILABLE,
	CODE_TIMEOUT,
	CODE_BAD_RESPONSE,
	CODE_EXPIRED,
	CODE_INTERRUPTED,
	CODE_SECRET_UNRESOLVED,
	CODE_RELEASE_UNCONFIRMED,
	CODE_RESULT_TOO_LARGE,
	CODE_OPERATION_NOT_SUPPORTED,
	CODE_INTERNAL,
	CODE_COUNT
};

struct outcome {
	enum outcome_status status;
	enum outcome_code code;
	bool has_rpc_code;
	int64_t rpc_code;
	int http_status;	/* 0: null */
	bool retryable, may_have_run;
	struct buf message;
	struct buf details;	/* JSON object; empty: "{}" */
	struct buf why;		/* more about it, for a warning; mostly empty */
};

#define OUTCOME_INIT { .message = BUF_INIT, .details = BUF_INIT, .why = BUF_INIT }
/* Frees what is inside; the struct is the caller's. */
void outcome_release(struct outcome *o);
/* Fills the status and the flags of a code from the table; the texts are emptied. */
void outcome_begin(struct outcome *o, enum outcome_code code);
/* The same, with a message. When out of memory, message.failed is set. */
void outcome_fail(struct outcome *o, enum outcome_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "TIMEOUT"; "" for CODE_NONE. */
const char *outcome_code_name(enum outcome_code code);
/* "SUCCEEDED", ... */
const char *outcome_status_name(enum outcome_status status);

#endif
