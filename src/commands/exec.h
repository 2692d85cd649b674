/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: `envdriver exec`: the parts that can be looked at alone: which bytes
 * of an execution's output are still to be shown, its exit code, and what is
 * known of a lease.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_COMMANDS_EXEC_H
#define ENVDRIVER_COMMANDS_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct schemas;

enum { EXEC_TOKEN_MAX = 200 };

/* How much of both streams was shown, of the attempt `token`. */
struct exec_output {
	char token[EXEC_TOKEN_MAX];	/* "": nothing yet */
	int64_t shown[2];		/* bytes of STDOUT, STDERR */
	bool gap[2];			/* pieces are missing: FINAL text will fill it */
};

/* Whether a piece of `token` belongs to another attempt than what was shown;
 * then counting starts anew. */
bool exec_output_restart(struct exec_output *o, struct span token);

/* What is new in a piece that begins `offset` bytes into the stream; empty
 * when nothing is, or when bytes before it are missing. */
struct span exec_output_take(struct exec_output *o, int stream, int64_t offset, struct span text);

/* The code of `exec`: 124 for a time-out, 128 + n for a signal, the command's
 * own; -1 when the result names none of these. */
int exec_code(bool timed_out, bool has_code, int64_t code, struct span signal);

/* What a lease's events say. */
struct exec_lease {
	struct buf lease, target;	/* JSON objects; empty: nothing is known */
	struct buf company, environment;
	bool gone;			/* destroyed, or lost */
};

#define EXEC_LEASE_INIT { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT, false }
/* Reads lease-results for the lease. */
int exec_lease_find(const struct config *config, const struct schemas *schemas, const char *id,
		    struct exec_lease *ret, struct err *reterr);
void exec_lease_release(struct exec_lease *l);

#endif
