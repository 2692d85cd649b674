/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: starts a keeper, with pipes to its command.
 *
 * Owns nothing. Knows nothing of time limits or output.
 */
#ifndef LOCAL_SPAWN_H
#define LOCAL_SPAWN_H

#include <uv.h>

struct spawn_pipes {	/* our ends: initialised, not yet open */
	uv_pipe_t *in;
	uv_pipe_t *out;
	uv_pipe_t *err;
	uv_pipe_t *leash;
};

/* 0, or a libuv error code; the handles are the caller's to close either way
 * (`process` only if its type says that it was initialised). */
int spawn_keeper(uv_loop_t *loop, uv_process_t *process, const struct spawn_pipes *pipes,
		 char **argv, char **env, const char *cwd, uv_exit_cb on_exit);

#endif
