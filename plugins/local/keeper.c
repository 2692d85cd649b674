/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct keeper {
	pid_t command;		/* also its process group and session */
	int leash;
	int children;		/* a signalfd: a child ended */
	bool ended;		/* the command, that is */
	bool killing;
};

static void
report(const struct keeper *k, const char *what, int number)
{
	dprintf(k->leash, "%s %d\n", what, number);
}

/* In the new process. Never returns. */
static void
become_command(const struct keeper *k, pid_t keeper, char **argv)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Should somebody kill the keeper, its command goes, too. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(127);
	setsid();
	execvp(argv[0], argv);
	report(k, "error", errno);
	_exit(127);
}

/* The command's end of the pipes must not stay open in the keeper. */
static void
let_go_of_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
}

static bool
start(struct keeper *k, char **argv)
{
	sigset_t child, all;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	k->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->children < 0 || fcntl(k->leash, F_SETFD, FD_CLOEXEC) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return false;
	pid_t self = getpid();
	k->command = fork();
	if (k->command == 0)
		become_command(k, self, argv);
	return k->command > 0;
}

/* The parent of process `pid` as /proc knows it, or -1. */
static pid_t
parent_of(const char *pid)
{
	char path[64], stat[512];
	ssize_t n = -1;
	int parent = -1;
	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, stat, sizeof(stat) - 1);
		close(fd);
	}
	if (n <= 0)
		return -1;
	stat[n] = '\0';
	/* "pid (name) state ppid …", and the name may hold anything. */
	const char *name_end = strrchr(stat, ')');
	if (!name_end || sscanf(name_end, ") %*c %d", &parent) != 1)
		return -1;
	return parent;
}

/* One round. Each child that dies hands its own children to us, and its
 * SIGCHLD brings the next round. */
static void
kill_children(const struct keeper *k)
{
	pid_t self = getpid();
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	while (proc && (e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == self)
			kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
	if (proc)
		closedir(proc);
	else
		kill(-k->command, SIGKILL);
}

/* Once its last process is gone, the number of a process group can become
 * somebody else's. A child of ours in it, dead or alive, says it has not. */
static void
terminate_group(const struct keeper *k)
{
	siginfo_t info;
	if (!k->ended) {
		/* There is no such group until it has come as far as setsid(2). */
		if (kill(-k->command, SIGTERM) < 0)
			kill(k->command, SIGTERM);
	} else if (waitid(P_PGID, (id_t)k->command, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		kill(-k->command, SIGTERM);
	}
}

static void
obey(struct keeper *k)
{
	char orders[16];
	ssize_t n = read(k->leash, orders, sizeof(orders));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0 || memchr(orders, KEEPER_KILL, (size_t)n))
		k->killing = true;
	else if (memchr(orders, KEEPER_TERMINATE, (size_t)n))
		terminate_group(k);
}

/* False when no child is left. */
static bool
reap(struct keeper *k)
{
	struct signalfd_siginfo ignored;
	pid_t pid;
	int status;
	while (read(k->children, &ignored, sizeof(ignored)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != k->command)
			continue;
		k->ended = true;
		if (WIFSIGNALED(status))
			report(k, "signal", WTERMSIG(status));
		else
			report(k, "exit", WEXITSTATUS(status));
	}
	return pid == 0;
}

int
keeper_main(char **argv)
{
	struct keeper k = { .leash = KEEPER_LEASH_FD };
	for (char **var = environ; *var; var++)
		++*var;		/* past KEEPER_ENV_MARK */
	if (!start(&k, argv + 2)) {
		report(&k, "error", errno);
		return 1;
	}
	let_go_of_stdio();
	report(&k, "pid", k.command);
	do {
		struct pollfd fds[] = {
			{ .fd = k.killing ? -1 : k.leash, .events = POLLIN },
			{ .fd = k.children, .events = POLLIN },
		};
		/* After the reaping, and before the next wait: who died meanwhile has
		 * left its children to us. */
		if (k.killing)
			kill_children(&k);
		if (poll(fds, 2, -1) > 0 && fds[0].revents)
			obey(&k);
	} while (reap(&k));
	return 0;
}
