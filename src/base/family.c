/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/family.h"

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
	KEEPER_FDS = STDERR_FILENO + 1,	/* it has two above the standard ones */
	LOOK_MS = 1000,		/* how often the keeper counts */
	LIMITS_MAX = 1024,	/* marks with a limit */
};

/* What the keeper is told. */
struct order {
	uint64_t mark;
	uint64_t processes_max;	/* 0: end all of them */
};

struct limit {
	uint64_t mark, processes_max, found;
};

static const uint64_t serial_mask = (UINT64_C(1) << SERIAL_BITS) - 1;

/* Of the marks that are in use. */
struct limits {
	struct limit at[LIMITS_MAX];
	size_t n;
};

static struct {
	void (*at_start)(void), (*at_end)(void);
	struct limits limits;	/* of ours, for a keeper that comes later */
	uint64_t self;		/* the upper bits of our marks, 0: no marks */
	uint64_t serial;
	int keeper;		/* what is written here it reads, -1: there is none */
	int told;		/* and what it wrote */
	pid_t *expected;
	size_t n, cap;
	bool incomplete;	/* `expected` is: nothing is reaped */
} family = { .keeper = -1, .told = -1 };

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

/* --- too many --- */

static struct limit *
find_limit(struct limits *l, uint64_t mark)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].mark == mark)
			return &l->at[i];
	return NULL;
}

/* 0 takes it away. */
static void
set_limit(struct limits *l, uint64_t mark, uint64_t processes_max)
{
	struct limit *found = find_limit(l, mark);

	if (found && !processes_max)
		*found = l->at[--l->n];
	else if (found)
		found->processes_max = processes_max;
	else if (processes_max && l->n < LIMITS_MAX)
		l->at[l->n++] = (struct limit){ mark, processes_max, 0 };
}

static void
end_too_many(struct limits *l, int tell, uint64_t self)
{
	DIR *proc = l->n ? opendir("/proc") : NULL;
	const struct dirent *d;
	struct limit *found;

	for (size_t i = 0; i < l->n; i++)
		l->at[i].found = 0;
	while (proc && (d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		found = find_limit(l, mark_of(d->d_name));
		if (found)
			found->found++;
	}
	if (proc)
		closedir(proc);
	for (size_t i = 0; i < l->n; i++) {
		if (l->at[i].found <= l->at[i].processes_max)
			continue;
		kill_all(self, l->at[i].mark & serial_mask, ROUNDS_MAX);
		(void)!write(tell, &l->at[i], sizeof(l->at[i]));
	}
}

/* --- the keeper --- */

static void
take_order(struct limits *l, const struct order *order, uint64_t self)
{
	set_limit(l, order->mark, order->processes_max);
	if (!order->processes_max)
		kill_all(self, order->mark & serial_mask, ROUNDS_MAX);
}

/* Until its last descriptor is closed: the process is gone. */
static void
keep_watch(int from, int tell, uint64_t self)
{
	struct limits *l = &family.limits;
	struct pollfd fd = { from, POLLIN, 0 };
	struct order order;
	int64_t looked = 0;
	struct timespec now;
	ssize_t n = -1;

	while (n != 0) {
		/* Without limits there is nothing to look at. */
		n = poll(&fd, 1, l->n ? LOOK_MS : -1) > 0 ? read(from, &order, sizeof(order)) : -1;
		if (n == (ssize_t)sizeof(order))
			take_order(l, &order, self);
		else if (n > 0)
			break;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec * 1000 + now.tv_nsec / 1000000 - looked < LOOK_MS)
			continue;
		end_too_many(l, tell, self);
		looked = now.tv_sec * 1000 + now.tv_nsec / 1000000;
	}
}

static void __attribute__((noreturn))
keep(int from, int tell, uint64_t self)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
				       SIGCHLD };
	int null;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "envdriver-keep", 0, 0, 0);
	from = fcntl(from, F_DUPFD, KEEPER_FDS + 2);
	tell = fcntl(tell, F_DUPFD, KEEPER_FDS + 2);
	from = dup2(from, KEEPER_FDS);
	tell = dup2(tell, KEEPER_FDS + 1);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	syscall(SYS_close_range, KEEPER_FDS + 2, ~0u, 0u);
	(void)!chdir("/");
	if (family.at_start && fork() == 0) {
		family.at_start();
		_exit(0);
	}
	keep_watch(from, tell, self);
	kill_all(self, /* serial= */ 0, ROUNDS_MAX);
	if (family.at_end)
		family.at_end();
	_exit(0);
}

/* Nobody's child: a keeper that ends is no business of ours. */
static bool
start_keeper(uint64_t self)
{
	int to[2] = { -1, -1 }, back[2] = { -1, -1 };
	pid_t pid = -1;

	if (pipe2(to, O_CLOEXEC) == 0 && pipe2(back, O_CLOEXEC | O_NONBLOCK) == 0 &&
	    fcntl(to[1], F_SETFL, O_NONBLOCK) == 0)
		pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0) {
			close(to[1]);
			keep(to[0], back[1], self);
		}
		_exit(pid < 0);
	}
	close(to[0]);
	close(back[1]);
	if (pid < 0) {
		close(to[1]);
		close(back[0]);
		return false;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	family.keeper = to[1];
	family.told = back[0];
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
family_start(void (*at_start)(void), void (*at_end)(void))
{
	uint64_t self = choose_self();

	if (family.self)
		return;
	family.at_start = at_start;
	family.at_end = at_end;
	/* The keeper is made first: it must not become our child. */
	if (self && start_keeper(self))
		family.self = self;
	else
		log_warn("what a plugin leaves behind is not ended with it: no process can be "
			 "made for that");
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static void
hear_keeper(void)
{
	struct limit one;

	while (family.told >= 0 && read(family.told, &one, sizeof(one)) == (ssize_t)sizeof(one))
		log_error("a plugin had %llu processes, more than the %llu that it may have "
			  "(plugin.limit.processes): all of them were ended",
			  (unsigned long long)one.found, (unsigned long long)one.processes_max);
}

/* Its parent is then the subreaper, us, which reaps it. */
void
family_tick(void)
{
	struct pollfd fd = { family.keeper, POLLOUT, 0 };

	hear_keeper();
	if (!family.self || (family.keeper >= 0 &&
			     (poll(&fd, 1, 0) <= 0 || !(fd.revents & (POLLERR | POLLHUP)))))
		return;
	if (family.keeper >= 0) {
		close(family.keeper);
		close(family.told);
	}
	family.keeper = family.told = -1;
	if (start_keeper(family.self))
		log_warn("somebody ended the process that ends what plugins leave behind; there "
			 "is a new one");
}

/* --- marks --- */

static bool
tell_keeper(uint64_t mark, size_t processes_max)
{
	const struct order order = { mark, processes_max };

	set_limit(&family.limits, mark, processes_max);
	return family.keeper >= 0 &&
	       write(family.keeper, &order, sizeof(order)) == (ssize_t)sizeof(order);
}

uint64_t
family_mark(size_t processes_max)
{
	uint64_t mark;

	if (!family.self)
		return 0;
	if (++family.serial > serial_mask)
		family.serial = 1;
	mark = family.self | family.serial;
	if (processes_max)
		tell_keeper(mark, processes_max);
	return mark;
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
	if (!tell_keeper(mark, /* processes_max= */ 0))
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
