/* SPDX-License-Identifier: Apache-2.0 */
#include "spawn.h"

#include <stdlib.h>
#include <unistd.h>

#include "keeper.h"

enum { READ_END, WRITE_END };

/* libuv would make socket pairs of UV_CREATE_PIPE. A command gets real pipes:
 * /dev/stdout cannot be opened again when it is a socket. All ends are
 * close-on-exec; libuv hands on just the ones it is told to. */
static int
make_pipe(uv_pipe_t *ours, int our_end, uv_file *ret_theirs)
{
	uv_file fds[2];
	int ret = uv_pipe(fds, 0, 0);
	if (ret < 0)
		return ret;
	ret = uv_pipe_open(ours, fds[our_end]);
	if (ret < 0) {
		close(fds[READ_END]);
		close(fds[WRITE_END]);
		return ret;
	}
	*ret_theirs = fds[!our_end];
	return 0;
}

/* { "envdriver-local", KEEPER_OPTION, argv… } */
static char **
keeper_argv(char **argv)
{
	static char name[] = "envdriver-local", option[] = KEEPER_OPTION;
	size_t n = 0;
	while (argv[n])
		n++;
	char **args = calloc(n + 3, sizeof(*args));
	if (!args)
		return NULL;
	args[0] = name;
	args[1] = option;
	for (size_t i = 0; i < n; i++)
		args[i + 2] = argv[i];
	return args;
}

int
spawn_keeper(uv_loop_t *loop, uv_process_t *process, const struct spawn_pipes *pipes,
	     char **argv, char **env, const char *cwd, uv_exit_cb on_exit)
{
	uv_file theirs[3] = { -1, -1, -1 };
	uv_stdio_container_t stdio[4];
	int ret = UV_ENOMEM;
	char **args = keeper_argv(argv);
	if (!args)
		goto out;
	if ((ret = make_pipe(pipes->in, WRITE_END, &theirs[0])) < 0 ||
	    (ret = make_pipe(pipes->out, READ_END, &theirs[1])) < 0 ||
	    (ret = make_pipe(pipes->err, READ_END, &theirs[2])) < 0)
		goto out;
	for (int i = 0; i < 3; i++) {
		stdio[i].flags = UV_INHERIT_FD;
		stdio[i].data.fd = theirs[i];
	}
	stdio[KEEPER_LEASH_FD].flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE;
	stdio[KEEPER_LEASH_FD].data.stream = (uv_stream_t *)pipes->leash;
	uv_process_options_t options = {
		.file = "/proc/self/exe",	/* this program, even when replaced on disk */
		.args = args,
		.env = env,
		.cwd = cwd,
		/* A session of its own: who kills the plugin's process group must not
		 * kill the one who cleans up after it. */
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = 4,
		.exit_cb = on_exit,
	};
	ret = uv_spawn(loop, process, &options);
out:
	for (int i = 0; i < 3; i++)
		if (theirs[i] >= 0)
			close(theirs[i]);
	free(args);
	return ret;
}
