/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_output: which bytes of an execution's output are still to be shown,
 * and the exit code that stands for its end.
 *
 * Pieces of output may come twice, be missing, and belong to an attempt that
 * was abandoned. A plain value; owns nothing and knows nothing of records.
 */
#ifndef ENVDRIVER_CLIENT_EXEC_OUTPUT_H
#define ENVDRIVER_CLIENT_EXEC_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

enum { EXEC_OUTPUT_TOKEN_MAX = 200 };

/* How much of both streams was shown, of the attempt `token`. */
struct exec_output {
	char token[EXEC_OUTPUT_TOKEN_MAX]; /* "": nothing yet */
	int64_t shown[2];		   /* bytes of STDOUT, STDERR */
	bool gap[2]; /* pieces are missing; a FINAL piece or the result fills them */
};

/* Call it for each piece. When `token` names another attempt than the bytes
 * shown so far, counting starts again from 0; true if some attempt was there
 * before. */
bool exec_output_restart(struct exec_output *o, struct span token);

/* The new part of a piece that begins `offset` bytes into the stream: empty
 * when there is none, or when bytes before it are missing. Points into `text`. */
struct span exec_output_take(struct exec_output *o, int stream, int64_t offset, struct span text);

/* The exit code of `envdriver exec`: 124 for a time-out, 128 + n for signal n,
 * else the command's own; -1 when the result names none of these. */
int exec_output_code(bool timed_out, bool has_code, int64_t code, struct span signal);
/* The exit code for a result that is not SUCCEEDED: 127 and 126 when the plugin
 * could not start the program, as shells have it. */
int exec_output_failure_code(struct span status, struct span summary);
/* Whether the plugin's metadata, JSON, says that it cut the output; at which
 * number of bytes, or 0 when it does not say. */
bool exec_output_is_cut(struct span metadata, int64_t *ret_limit);

#endif
