/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/base/family.h"
#include "envdriver/base/fd_above.h"
#include "envdriver/isolation/jail.h"

enum { EXIT_CANNOT_RUN = 127, SIGNALS = 64, CLOSE_ON_EXEC = 4 /* of close_range */ };

struct spawn {
	pid_t pid;
	uint64_t mark;		/* of all that it starts */
	bool gone, closing;
	bool by_signal;		/* learned from SIGCHLD: there is no pidfd */
	bool is_peer;		/* no child: `pidfd` is a socket, and `cut` its end */
	bool watched;		/* the loop has our handle */
	int pidfd;
	uv_poll_t poll;
	uv_signal_t sigchld;
	uv_timer_t cut;
	spawn_exit_fn *on_exit;
	void *arg;
};

/*
 * The child, between fork and exec. The process has other threads
 * (librdkafka's), so only async-signal-safe calls are allowed here; what
 * fails is told on stderr, which ends up in the text of the worker's death.
 */

static void __attribute__((noreturn))
child_fails(const char *what, const char *name)
{
	const char *why = strerrordesc_np(errno);
	const char *parts[] = { "cannot ", what, " '", name, "': ", why ? why : "?", "\n" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
			break;
	_exit(EXIT_CANNOT_RUN);
}

static void
child_signals(void)
{
	struct sigaction dfl;
	sigset_t none;

	memset(&dfl, 0, sizeof(dfl));
	dfl.sa_handler = SIG_DFL;
	for (int i = 1; i <= SIGNALS; i++)
		if (i != SIGKILL && i != SIGSTOP)
			sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
child_descriptors(const struct spawn_options *o, const int fds[3])
{
	/* Each is above 2, so that no dup2 overwrites one still needed. */
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(EXIT_CANNOT_RUN);
	/* All of ours are close-on-exec; a library's may not be. The jail's is still
	 * needed. */
	if (syscall(SYS_close_range, 3u, ~0u, CLOSE_ON_EXEC) < 0)
		syscall(SYS_close_range, 3u, ~0u, 0u);
	for (size_t i = 0; i < o->n_pass_fds; i++)
		if (o->pass_fds[i] >= 0)
			(void)fcntl(o->pass_fds[i], F_SETFD, 0);
}

/* One that is above our own hard limit would be refused: ours holds. */
static bool
child_limits(const struct spawn_limit *l, size_t n)
{
	struct rlimit r;

	for (; n > 0; l++, n--) {
		if (getrlimit(l->resource, &r) < 0)
			return false;
		if (l->value < r.rlim_max)
			r.rlim_max = l->value;
		r.rlim_cur = r.rlim_max;
		if (setrlimit(l->resource, &r) < 0)
			return false;
	}
	return true;
}

/* When memory runs out, the kernel ends the plugin and not its worker. Of a process
 * that cannot be dumped, not even its own user may open the file; it is so for a
 * moment only behind a jail, where no other plugin can look in meanwhile. */
static void
child_oom(bool jailed)
{
	static const char path[] = "/proc/self/oom_score_adj", score[] = "500";
	char now[16] = "";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 && jailed) {
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	/* Never less than ours: 500 to 1000 have a third digit from 5 on, or a fourth. */
	if (fd >= 0 && read(fd, now, sizeof(now)) > 0 &&
	    (now[0] == '-' || (now[3] == '\n' ? now[0] < score[0] : now[3] != '0')) &&
	    write(fd, score, sizeof(score) - 1) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* What it starts is then in it, too. */
static void
child_cgroup(const struct spawn_options *o)
{
	int dir = o->cgroup ? open(o->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fd = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (o->cgroup && (fd < 0 || write(fd, "0", 1) < 0))
		child_fails("enter the control group", o->cgroup);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
}

static void
child_jail(const struct spawn_options *o)
{
	const char *what;

	child_cgroup(o);
	child_oom((o->jail && jail_layers(o->jail) & JAIL_LANDLOCK) || o->n_pass_fds > 0);
	if (o->jail && jail_enter(o->jail, &what) < 0)
		child_fails("close the jail of", o->argv[0]);
}

static void __attribute__((noreturn))
child(const struct spawn_options *o, const int fds[3], pid_t parent, uint64_t mark)
{
	child_signals();
	child_descriptors(o, fds);
	if (setsid() < 0)
		child_fails("make a session for", o->argv[0]);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		child_fails("restrict", o->argv[0]);
	/* The parent may have died before that took effect. */
	if (getppid() != parent)
		_exit(EXIT_CANNOT_RUN);
	family_bear(mark);
	if (!child_limits(o->limits, o->n_limits))
		child_fails("limit", o->argv[0]);
	if (chdir(o->dir) < 0)
		child_fails("change to", o->dir);
	child_jail(o);
	execve(o->argv[0], o->argv, o->env);
	child_fails("run", o->argv[0]);
}

/* Pipes: [0] is the child's end, [1] ours; all above 2. */

static void
close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		pair[i] = -1;
	}
}

static int
make_pipe(int pair[2], bool child_reads, struct err *reterr)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(reterr, ERR_IO, "cannot make a pipe: %s", strerror(errno));
	pair[0] = fd_above_stderr(fds[child_reads ? 0 : 1]);
	pair[1] = fd_above_stderr(fds[child_reads ? 1 : 0]);
	if (pair[0] < 0 || pair[1] < 0)
		return err_set(reterr, ERR_IO, "cannot make a pipe: %s", strerror(errno));
	return 0;
}

/* The end of the process */

static void
free_spawn(struct spawn *s)
{
	if (s->pidfd >= 0)
		close(s->pidfd);
	free(s);
}

static void
on_spawn_closed(uv_handle_t *h)
{
	free_spawn(h->data);
}

static void
close_watch(struct spawn *s)
{
	if (s->is_peer)
		uv_close((uv_handle_t *)&s->cut, on_spawn_closed);
	else
		uv_close(s->by_signal ? (uv_handle_t *)&s->sigchld :
					(uv_handle_t *)&s->poll, on_spawn_closed);
}

static void
reap(struct spawn *s)
{
	siginfo_t info = { 0 };
	int status;

	if (s->gone || waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid != s->pid)
		return;
	/* Not reaped yet, so that the number cannot be another group's. */
	kill(-s->pid, SIGKILL);
	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return;
	s->gone = true;
	family_unexpect(s->pid);
	family_end(s->mark);
	if (s->by_signal)
		uv_signal_stop(&s->sigchld);
	else
		uv_poll_stop(&s->poll);
	if (s->closing)
		close_watch(s);
	else
		s->on_exit(s->arg, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
			   WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void
on_pidfd(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	reap(p->data);
}

static void
on_sigchld(uv_signal_t *h, int number)
{
	(void)number;
	reap(h->data);
}

/* Before the fork: a SIGCHLD must not be missed. */
static int
watch_signal(struct spawn *s, uv_loop_t *loop)
{
	int ret = uv_signal_init(loop, &s->sigchld);

	if (ret < 0)
		return ret;
	s->by_signal = s->watched = true;
	s->sigchld.data = s;
	return uv_signal_start(&s->sigchld, on_sigchld, SIGCHLD);
}

/* After the fork; a process that is not reaped keeps its number. */
static int
watch_pidfd(struct spawn *s, uv_loop_t *loop)
{
	int ret;

	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd < 0)
		return -errno;
	ret = uv_poll_init(loop, &s->poll, s->pidfd);
	if (ret < 0)
		return ret;
	s->watched = true;
	s->poll.data = s;
	return uv_poll_start(&s->poll, UV_READABLE, on_pidfd);
}

/* Linux before 5.3 has none. */
static bool
has_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int
start(struct spawn *s, uv_loop_t *loop, const struct spawn_options *o, const int fds[3],
      struct err *reterr)
{
	bool by_signal = o->use_sigchld || !has_pidfd();
	pid_t parent = getpid();
	int ret = by_signal ? watch_signal(s, loop) : 0;

	if (ret < 0)
		return err_set(reterr, ERR_IO, "cannot watch processes: %s", uv_strerror(ret));
	s->mark = family_mark(o->processes_max);
	s->pid = fork();
	if (s->pid < 0)
		return err_set(reterr, ERR_IO, "cannot fork: %s", strerror(errno));
	if (s->pid == 0)
		child(o, fds, parent, s->mark);
	family_expect(s->pid);
	s->gone = false;
	ret = by_signal ? 0 : watch_pidfd(s, loop);
	if (ret >= 0)
		return 0;
	/* Its end would go unseen: it ends here. */
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	family_unexpect(s->pid);
	family_end(s->mark);
	s->gone = true;
	return err_set(reterr, ERR_IO, "cannot watch a process: %s", uv_strerror(ret));
}

/* What could not be started. */
static void
close_unstarted(struct spawn *s)
{
	if (s && s->watched)
		close_watch(s);
	else if (s)
		free_spawn(s);
}

struct spawn *
spawn_new(uv_loop_t *loop, const struct spawn_options *o, spawn_exit_fn *on_exit, void *arg,
	  int ret_fds[3], struct err *reterr)
{
	int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } }, ours[3];
	struct spawn *s = malloc(sizeof(*s));
	int ret = s ? 0 : err_nomem(reterr);

	if (s)
		*s = (struct spawn){ .pidfd = -1, .on_exit = on_exit, .arg = arg, .gone = true };
	for (int i = 0; i < 3 && ret == 0; i++)
		ret = make_pipe(pipes[i], i == 0, reterr);
	if (ret == 0) {
		for (int i = 0; i < 3; i++)
			ours[i] = pipes[i][0];
		ret = start(s, loop, o, ours, reterr);
	}
	if (ret < 0) {
		close_unstarted(s);
		s = NULL;
	} else {
		for (int i = 0; i < 3; i++) {
			ret_fds[i] = pipes[i][1];
			pipes[i][1] = -1;
		}
	}
	for (int i = 0; i < 3; i++)
		close_pair(pipes[i]);
	return s;
}

static void
on_peer_cut(uv_timer_t *t)
{
	struct spawn *s = t->data;

	if (s->gone)
		return;
	s->gone = true;
	s->on_exit(s->arg, /* code= */ -1, /* signal= */ 0);
}

struct spawn *
spawn_peer(uv_loop_t *loop, int take_fd, int pid, spawn_exit_fn *on_exit, void *arg, int ret_fds[3],
	   struct err *reterr)
{
	struct spawn *s = malloc(sizeof(*s));
	int fds[4] = { -1, -1, -1, -1 };

	fds[0] = fcntl(take_fd, F_DUPFD_CLOEXEC, 3);
	fds[1] = fcntl(take_fd, F_DUPFD_CLOEXEC, 3);
	if (!s || fds[0] < 0 || fds[1] < 0 || pipe2(fds + 2, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_set(reterr, ERR_IO, "cannot use a connection: %s", strerror(errno));
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		close(take_fd);
		free(s);
		return NULL;
	}
	*s = (struct spawn){ .pid = pid, .pidfd = take_fd, .is_peer = true, .watched = true,
			     .on_exit = on_exit, .arg = arg };
	uv_timer_init(loop, &s->cut);
	s->cut.data = s;
	close(fds[3]);	/* nobody writes to its stderr */
	memcpy(ret_fds, fds, 3 * sizeof(fds[0]));
	return s;
}

int
spawn_pid(const struct spawn *s)
{
	return (int)s->pid;
}

void
spawn_kill(struct spawn *s, int number)
{
	if (s->gone)
		return;
	if (s->is_peer) {
		shutdown(s->pidfd, SHUT_RDWR);
		uv_timer_start(&s->cut, on_peer_cut, 0, 0);
		return;
	}
	/* A child that has not come to setsid yet has no group of its own. */
	if (kill(-s->pid, number) < 0)
		kill(s->pid, number);
}

const char *
spawn_signal_name(int number, char text[16])
{
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(text, 16, "SIG%.12s", name);
	else
		snprintf(text, 16, "SIG%d", number);
	return text;
}

void
spawn_close(struct spawn *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	if (!s->gone)
		spawn_kill(s, SIGKILL);
	if (s->gone || s->is_peer)
		close_watch(s);
}
