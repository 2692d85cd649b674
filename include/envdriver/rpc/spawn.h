/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: starts a program in a process group of its own, with three pipes and
 * nothing else (docs/decisions.md D18), and learns of its end.
 *
 * Owns the process until it is reaped. The child has its own session, the
 * environment given, no descriptor but 0 to 2, default signal dispositions,
 * dies with us (PR_SET_PDEATHSIG), cannot gain privileges and is the kernel's
 * first choice when memory runs out. What it started ends with it (family.h).
 * Knows nothing of plugins.
 */
#ifndef ENVDRIVER_RPC_SPAWN_H
#define ENVDRIVER_RPC_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct err;
struct jail;
struct spawn;

/* What the child and all that it starts may use, as setrlimit has it. Never
 * more than we may ourselves. */
struct spawn_limit {
	int resource;		/* RLIMIT_CORE */
	uint64_t value;
};

struct spawn_options {
	char *const *argv;	/* argv[0] is the path of the program */
	char *const *env;
	const char *dir;	/* becomes the working directory */
	const struct spawn_limit *limits;
	size_t n_limits;
	/* Most processes of it and all that it starts; it is killed when there are more.
	 * 0: no such limit. */
	size_t processes_max;
	const struct jail *jail;	/* entered before the program is run; NULL: none */
	const char *cgroup;		/* folder of the one that it enters; NULL: ours */
	const int *pass_fds;		/* inherited, each above 2, or -1; NULL: none */
	size_t n_pass_fds;
	bool use_sigchld;	/* as if the kernel had no pidfd_open (tests) */
};

/* The process has ended and is reaped, and its whole group was sent SIGKILL.
 * `code` is -1 when it ended by `signal`, which is 0 otherwise. */
typedef void spawn_exit_fn(void *arg, int code, int signal);

/*
 * Returns before the program runs: a program that cannot be run says so on
 * its stderr and exits with 127. `ret_fds`: our ends of its stdin, stdout and
 * stderr; the caller owns them. NULL when there are no descriptors, processes
 * or memory left. `on_exit` is called from the loop.
 */
struct spawn *spawn_new(uv_loop_t *loop, const struct spawn_options *o, spawn_exit_fn *on_exit,
			void *arg, int ret_fds[3], struct err *reterr);
/* A process that somebody else runs, and to which `take_fd` (a stream socket, taken also
 * when this fails) leads, in place of a child: spawn_kill, with any signal, cuts the
 * connection, and `on_exit` then says code -1 and signal 0. `ret_fds` as above; there
 * is no stderr. */
struct spawn *spawn_peer(uv_loop_t *loop, int take_fd, int pid, spawn_exit_fn *on_exit, void *arg,
			 int ret_fds[3], struct err *reterr);
int spawn_pid(const struct spawn *s);
/* To the whole group; nothing happens once the process is reaped. */
void spawn_kill(struct spawn *s, int signal);
/* "SIGKILL" */
const char *spawn_signal_name(int signal, char text[16]);
/* Kills the group if it still runs; `on_exit` is not called any more. The
 * memory is given back from the loop, when the process is reaped. Accepts
 * NULL. */
void spawn_close(struct spawn *s);

#endif
