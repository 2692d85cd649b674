/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_show: an execution's output on our own standard output and error, and the
 * exit code that stands for its result.
 *
 * Owns nothing. Knows nothing of where records come from.
 */
#ifndef ENVDRIVER_COMMANDS_EXEC_SHOW_H
#define ENVDRIVER_COMMANDS_EXEC_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/client/exec_output.h"

struct cli;
struct record;

struct exec_show {
	struct cli *cli;
	struct exec_output output;
	bool ended;		/* the result is there */
	int64_t total[2];	/* bytes of the whole, once the result is there */
	bool unread;		/* the reader of standard output has gone */
};

/* LIVE pieces are shown as they come; FINAL ones fill the gaps. */
void exec_show_piece(struct exec_show *x, const struct record *r);
/* Shows the rest of the output that the result holds; returns the exit code. */
int exec_show_result(struct exec_show *x, const struct record *r);
/* All of the output was shown, as far as is known. */
bool exec_show_complete(const struct exec_show *x);

#endif
