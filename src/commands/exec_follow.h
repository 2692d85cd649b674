/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_follow: a published execution up to its end: what it waits
 * for, and what becomes of it when nobody wants to wait any longer.
 *
 * Owns the connections of an execution. Knows nothing of how its command is
 * made.
 */
#ifndef ENVDRIVER_COMMANDS_EXEC_FOLLOW_H
#define ENVDRIVER_COMMANDS_EXEC_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/client/send.h"
#include "exec_show.h"

struct cli;
struct pickup;
struct schemas;
struct wait;

struct exec {
	struct cli *cli;
	const struct schemas *schemas;	/* borrowed */
	struct span json;	/* the command, borrowed */
	bool cancels;		/* --on-interrupt cancel */
	int64_t patience_ms;	/* --wait */

	struct send *send;
	struct wait *wait;
	struct send_command command;
	int32_t partition;	/* where it is */
	int64_t offset;
	bool placed;
	struct err err;		/* of the delivery */
	struct exec_show show;

	bool quiet;		/* nothing of it was seen yet */
	bool told;		/* that it seems to be nowhere */
	int64_t next_look_ms;
	struct pickup *pickup;
	char behind[201];	/* the id that was last told */

	char stop_id[201];	/* of the release that stops it; "": none */
	int64_t stop_ms;	/* until when that is waited for */
};

/* Publishes the command and follows it. Returns the exit code, or a negative
 * error; ERR_INVALID: the command cannot be. Blocks. */
int exec_follow(struct exec *x, struct err *reterr);
/* Frees what exec_follow made. */
void exec_release(struct exec *x);

#endif
