/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "envdriver/base/log.h"

enum {
	SERIAL_BITS = 20,	/* of a mark; the others are this process's */
	SELF_BITS = 40,
	ROUNDS_MAX = 2000,	/* of the keeper; a process that forks needs some */
	ROUNDS_HERE = 3,
	ROUND_NS = 5000000,
	FILE_TEXT = 4096,
};

static const uint64_t serial_mask = (UINT64_C(1) << SERIAL_BITS) - 1;

static struct {
	uint64_t self;		/* the upper bits of our marks, 0: no marks */
	uint64_t serial;
	int keeper;		/* what is written here it reads, -1: there is none */
	pid_t *expected;
	size_t n, cap;
	bool incomplete;	/* `expected` is: nothing is reaped */
} family = { .keeper = -1 };

/* --- who bears a mark --- */

static size_t
read_text(const char *pid, const char *name, char text[FILE_TEXT])
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, FILE_TEXT - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* 0: none. Of other users' processes the file tells it. */
static uint64_t
mark_of(const char *pid)
{
	char text[FILE_TEXT];
	const char *line;
	struct rlimit r;

	if (prlimit((pid_t)strtol(pid, NULL, 10), RLIMIT_LOCKS, NULL, &r) == 0)
		return r.rlim_max == RLIM_INFINITY ? 0 : r.rlim_max;
	if (errno != EPERM || read_text(pid, "limits", text) == 0)
		return 0;
	line = strstr(text, "Max file locks");
	return line ? strtoull(line + strlen("Max file locks"), NULL, 10) : 0;
}

static bool
is_alive(const char *pid)
{
	char text[FILE_TEXT];
	const char *end;

	if (read_text(pid, "stat", text) == 0)
		return false;
	end = strrchr(text, ')');	/* "pid (name) state ..." */
	return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

/* Between the look and the signal the number could become another's. */
static void
kill_marked(const char *pid, uint64_t mark)
{
	pid_t number = (pid_t)strtol(pid, NULL, 10);
	int fd = (int)syscall(SYS_pidfd_open, number, 0);

	if (fd < 0)
		kill(number, SIGKILL);
	else if (mark_of(pid) == mark)
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	if (fd >= 0)
		close(fd);
}

/* One round; returns how many were alive. `serial` 0: all of `self`. */
static size_t
kill_round(uint64_t self, uint64_t serial)
{
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	size_t n = 0;

	while (proc && (d = readdir(proc))) {
		uint64_t mark;

		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		mark = mark_of(d->d_name);
		if ((mark & ~serial_mask) != self || (serial && (mark & serial_mask) != serial) ||
		    !is_alive(d->d_name))
			continue;
		kill_marked(d->d_name, mark);
		n++;
	}
	if (proc)
		closedir(proc);
	return n;
}

static void
kill_all(uint64_t self, uint64_t serial, int rounds)
{
	const struct timespec pause = { 0, ROUND_NS };

	while (rounds-- > 0 && kill_round(self, serial) > 0)
		nanosleep(&pause, NULL);
}

/* --- the keeper --- */

static void __attribute__((noreturn))
keep(int from, uint64_t self)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };
	uint64_t mark;
	ssize_t n;
	int null;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "envdriver-keep", 0, 0, 0);
	from = dup2(from, STDERR_FILENO + 1);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	syscall(SYS_close_range, STDERR_FILENO + 2, ~0u, 0u);
	(void)!chdir("/");
	/* Its last descriptor is closed when the process is gone. */
	while ((n = read(from, &mark, sizeof(mark))) != 0)
		if (n == (ssize_t)sizeof(mark))
			kill_all(self, mark & serial_mask, ROUNDS_MAX);
		else if (n > 0 || errno != EINTR)
			break;
	kill_all(self, /* serial= */ 0, ROUNDS_MAX);
	_exit(0);
}

/* Nobody's child: a keeper that ends is no business of ours. */
static bool
start_keeper(uint64_t self)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0) {
			close(fds[1]);
			keep(fds[0], self);
		}
		_exit(pid < 0);
	}
	close(fds[0]);
	if (pid < 0 || fcntl(fds[1], F_SETFL, O_NONBLOCK) < 0) {
		close(fds[1]);
		return false;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	family.keeper = fds[1];
	return true;
}

/* A mark is a limit, and may not be above the one we have: a worker that runs
 * in another one's plugin has a mark itself. */
static uint64_t
choose_self(void)
{
	uint64_t random, max = UINT64_C(1) << SELF_BITS;
	struct rlimit r;

	if (getrlimit(RLIMIT_LOCKS, &r) < 0 || getrandom(&random, sizeof(random), 0) < 0)
		return 0;
	if (r.rlim_max >> SERIAL_BITS < max)
		max = r.rlim_max >> SERIAL_BITS;
	return max < 2 ? 0 : (1 + random % (max - 1)) << SERIAL_BITS;
}

void
family_start(void)
{
	uint64_t self = choose_self();

	if (family.self)
		return;
	/* The keeper is made first: it must not become our child. */
	if (self && start_keeper(self))
		family.self = self;
	else
		log_warn("what a plugin leaves behind is not ended with it: no process can be "
			 "made for that");
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* --- marks --- */

uint64_t
family_mark(void)
{
	if (!family.self)
		return 0;
	if (++family.serial > serial_mask)
		family.serial = 1;
	return family.self | family.serial;
}

void
family_bear(uint64_t mark)
{
	const struct rlimit r = { mark, mark };

	if (mark)
		(void)setrlimit(RLIMIT_LOCKS, &r);
}

void
family_end(uint64_t mark)
{
	if (!mark)
		return;
	if (family.keeper >= 0 && write(family.keeper, &mark, sizeof(mark)) == sizeof(mark))
		return;
	if (family.keeper >= 0 && errno == EPIPE) {
		log_warn("somebody ended the process that ends what plugins leave behind when "
			 "this worker is killed");
		close(family.keeper);
		family.keeper = -1;
	}
	kill_all(family.self, mark & serial_mask, ROUNDS_HERE);
}

/* --- children --- */

void
family_expect(pid_t pid)
{
	if (family.n == family.cap) {
		size_t cap = family.cap ? 2 * family.cap : 16;
		pid_t *grown = realloc(family.expected, cap * sizeof(*grown));

		if (!grown) {
			family.incomplete = true;
			return;
		}
		family.expected = grown;
		family.cap = cap;
	}
	family.expected[family.n++] = pid;
}

void
family_unexpect(pid_t pid)
{
	for (size_t i = 0; i < family.n; i++)
		if (family.expected[i] == pid) {
			family.expected[i] = family.expected[--family.n];
			break;
		}
	/* One that hid others from family_reap may be gone. */
	family_reap();
}

static bool
is_expected(pid_t pid)
{
	for (size_t i = 0; i < family.n; i++)
		if (family.expected[i] == pid)
			return true;
	return false;
}

void
family_reap(void)
{
	siginfo_t info = { 0 };

	while (family.self && !family.incomplete &&
	       waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
	       !is_expected(info.si_pid))
		if (waitpid(info.si_pid, NULL, WNOHANG) < 0)
			return;
}
