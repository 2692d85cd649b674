/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STAT_START = 22, STAT_STATE = 3 };

/* Of /proc, which does not block. Returns the length, 0 when there is none. */
static size_t
read_proc(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

bool
process_parse_stat(struct span text, int *ret_pid, char *ret_state, uint64_t *ret_start)
{
	const char *p, *end = text.ptr + text.len;
	long pid = 0;
	uint64_t start = 0;
	int field;

	for (p = text.ptr; p < end && isdigit((unsigned char)*p) && pid < 1L << 30; p++)
		pid = pid * 10 + (*p - '0');
	/* Behind the last ')': the name may hold parentheses and spaces. */
	p = memrchr(text.ptr, ')', text.len);
	if (!p || pid == 0 || end - p < 3)
		return false;
	p += 2;
	*ret_state = *p;
	for (field = STAT_STATE; p && field < STAT_START; field++) {
		p = memchr(p, ' ', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	if (!p || p == end || !isdigit((unsigned char)*p))
		return false;
	for (; p < end && isdigit((unsigned char)*p); p++)
		start = start * 10 + (uint64_t)(*p - '0');
	*ret_pid = (int)pid;
	*ret_start = start;
	return true;
}

static bool
read_stat(const char *who, int *ret_pid, char *ret_state, uint64_t *ret_start)
{
	char path[64], text[1024];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%s/stat", who);
	len = read_proc(path, text, sizeof(text));
	return len && process_parse_stat((struct span){ text, len }, ret_pid, ret_state, ret_start);
}

void
process_self(struct process *ret)
{
	struct process p = { .pid = (int)getpid() };
	uint64_t start;
	ssize_t n;
	char state;
	int pid;

	read_proc("/proc/sys/kernel/random/boot_id", p.boot_id, sizeof(p.boot_id));
	p.boot_id[strcspn(p.boot_id, "\n")] = '\0';
	n = readlink("/proc/self/ns/pid", p.pid_namespace, sizeof(p.pid_namespace) - 1);
	p.pid_namespace[n > 0 ? n : 0] = '\0';
	/* Another namespace's /proc may be mounted here: then it shows others
	 * under our pids. */
	if (read_stat("self", &pid, &state, &start) && pid == p.pid)
		p.start = start;
	*ret = p;
}

bool
process_gone(const struct process *self, const struct process *other)
{
	char who[16], state;
	uint64_t start;
	int pid;

	if (!self->boot_id[0] || !self->pid_namespace[0] || other->pid <= 0 ||
	    strcmp(self->boot_id, other->boot_id) != 0 ||
	    strcmp(self->pid_namespace, other->pid_namespace) != 0)
		return false;
	if (kill(other->pid, 0) < 0 && errno == ESRCH)
		return true;
	snprintf(who, sizeof(who), "%d", other->pid);
	/* It may be there and hidden from us (hidepid). */
	if (!self->start || !other->start || !read_stat(who, &pid, &state, &start))
		return false;
	return start != other->start || state == 'Z' || state == 'X';
}
