/* SPDX-License-Identifier: Apache-2.0 */
#include "jail_tries.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "envdriver/isolation/jail.h"

enum { NR_IO_URING = 425, NR_CLONE3 = 435, STACK = 16384 };

struct jail_place jail_place;

/* --- what a program tries: 0, or an errno --- */

static int
open_errno(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int
in_folder(const char *folder, const char *name, int flags)
{
	char path[PATH_MAX + 40];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open_errno(path, flags);
}

static int
code(long ret)
{
	return ret < 0 ? errno : 0;
}

static int
try_secret(void)
{
	return in_folder(jail_place.secret, "file", O_RDONLY);
}

static int
try_secret_write(void)
{
	return in_folder(jail_place.secret, "new", O_CREAT | O_WRONLY);
}

static int
try_given(void)
{
	return in_folder(jail_place.given, "file", O_RDONLY);
}

static int
try_given_write(void)
{
	return in_folder(jail_place.given, "file", O_WRONLY);
}

static int
try_own(void)
{
	return in_folder(jail_place.own, "new", O_CREAT | O_RDWR);
}

static int
try_device(void)
{
	char path[PATH_MAX + 40];

	snprintf(path, sizeof(path), "%s/disk", jail_place.own);
	return code(mknod(path, S_IFBLK | 0600, 0));
}

static int
try_rename_out(void)
{
	char from[PATH_MAX + 40], to[PATH_MAX + 40];

	in_folder(jail_place.own, "moved", O_CREAT | O_RDWR);
	snprintf(from, sizeof(from), "%s/moved", jail_place.own);
	snprintf(to, sizeof(to), "%s/moved", jail_place.given);
	return code(rename(from, to));
}

static int
try_shadow(void)
{
	return open_errno("/etc/shadow", O_RDONLY);
}

static int
try_passwd(void)
{
	return open_errno("/etc/passwd", O_RDONLY);
}

static int
try_null(void)
{
	return open_errno("/dev/null", O_RDWR);
}

static int
try_environ(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)jail_place.parent);
	return open_errno(path, O_RDONLY);
}

static int
try_memory(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)jail_place.parent);
	return open_errno(path, O_RDWR);
}

static int
try_kill(void)
{
	return code(kill(jail_place.parent, 0));
}

static int
try_kill_self(void)
{
	return code(kill(getpid(), 0));
}

static int
try_trace(void)
{
	return code(ptrace(PTRACE_ATTACH, jail_place.parent, 0, 0));
}

static int
try_trace_me(void)
{
	return code(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int
try_peek(void)
{
	return code(syscall(SYS_process_vm_readv, jail_place.parent, NULL, 0, NULL, 0, 0));
}

static int
try_socket(int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	return fd < 0 ? errno : close(fd);
}

static int
try_unix(void)
{
	return try_socket(AF_UNIX, SOCK_STREAM, 0);
}

static int
try_pair(void)
{
	int fds[2];

	return code(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
}

static int
try_inet(void)
{
	return try_socket(AF_INET, SOCK_STREAM, 0);
}

static int
try_inet6(void)
{
	int ret = try_socket(AF_INET6, SOCK_DGRAM, 0);

	return ret == EAFNOSUPPORT ? 0 : ret;
}

static int
try_route(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, 0);
}

static int
try_audit(void)
{
	return try_socket(AF_NETLINK, SOCK_RAW, 9);
}

static int
try_vsock(void)
{
	return try_socket(AF_VSOCK, SOCK_STREAM, 0);
}

static int
try_packet(void)
{
	return try_socket(AF_PACKET, SOCK_RAW, 0);
}

static int
try_connect(in_port_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : code(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static int
try_port(void)
{
	return try_connect(JAIL_PORT);
}

static int
try_other_port(void)
{
	return try_connect(JAIL_PORT + 1);
}

static int
try_namespace(void)
{
	return code(unshare(CLONE_NEWUSER));
}

static int
try_unshare_files(void)
{
	return code(unshare(CLONE_FILES));
}

static int
nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int
try_clone(void)
{
	static char stack[STACK] __attribute__((aligned(16)));

	return code(clone(nothing, stack + STACK, CLONE_NEWUSER | SIGCHLD, NULL));
}

static int
try_clone3(void)
{
	return code(syscall(NR_CLONE3, NULL, 0));
}

static int
try_ring(void)
{
	return code(syscall(NR_IO_URING, 1, NULL));
}

static int
try_mount(void)
{
	return code(mount("none", jail_place.own, "tmpfs", 0, NULL));
}

static int
try_keys(void)
{
	return code(syscall(SYS_keyctl, 0, -3, 0, 0, 0));
}

static int
try_mark(void)
{
	const struct rlimit r = { 1, 1 };

	return code(setrlimit(RLIMIT_LOCKS, &r));
}

static int
try_files(void)
{
	struct rlimit r;

	return code(getrlimit(RLIMIT_NOFILE, &r) + setrlimit(RLIMIT_NOFILE, &r));
}

static int
try_limit_of_other(void)
{
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	return code(prlimit(jail_place.parent, RLIMIT_NPROC, &r, NULL));
}

static int
try_look_at_limit(void)
{
	struct rlimit r;

	return code(prlimit(jail_place.parent, RLIMIT_NPROC, NULL, &r));
}

static int
try_priority_of_other(void)
{
	return code(setpriority(PRIO_PROCESS, (id_t)jail_place.parent, 0));
}

static int
try_own_priority(void)
{
	return code(setpriority(PRIO_PROCESS, 0, 1));
}

static int
try_pin_other(void)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	return code(sched_setaffinity(jail_place.parent, sizeof(set), &set));
}

static int
try_pin(void)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	return code(sched_setaffinity(0, sizeof(set), &set));
}

#ifdef __x86_64__
static int
try_x32(void)
{
	return code(syscall(0x40000000 | SYS_getpid));
}

/* getpid by the number and the gate of i386. */
static int
try_i386(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
	return ret < 0 ? (int)-ret : 0;
}
#endif

static int
try_run(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "ls /usr | cat >/dev/null", (char *)NULL);
		_exit(JAIL_CANNOT);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return JAIL_CANNOT;
	return WEXITSTATUS(status);
}

const struct jail_try jail_tries[] = {
	{ "a file of others", try_secret, EACCES, 0, 0 },
	{ "a new file of others", try_secret_write, EACCES, 0, 0 },
	{ "a file that is given", try_given, 0, 0, 0 },
	{ "writing to it", try_given_write, EACCES, 0, 0 },
	{ "a file of its own", try_own, 0, 0, 0 },
	{ "moving it out", try_rename_out, EACCES, 0, 0 },
	{ "a disk of its own", try_device, EACCES, 0, 0 },
	{ "passwords", try_shadow, EACCES, 0, 0 },
	{ "names of users", try_passwd, 0, 0, 0 },
	{ "/dev/null", try_null, 0, 0, 0 },
	{ "the parent's environment", try_environ, EACCES, 0, 0 },
	{ "the parent's memory", try_memory, EACCES, 0, 0 },
	{ "a signal to the parent", try_kill, EPERM, 0, 0 },
	{ "a signal to itself", try_kill_self, 0, 0, 0 },
	{ "tracing the parent", try_trace, EPERM, JAIL_PTRACE, EPERM },
	{ "being traced", try_trace_me, EPERM, 0, 0 },
	{ "the parent's memory by a call", try_peek, EPERM, 0, 0 },
	{ "a unix socket", try_unix, EACCES, JAIL_UNIX, 0 },
	{ "a pair of sockets", try_pair, 0, 0, 0 },
	{ "IPv4", try_inet, EACCES, JAIL_INET, 0 },
	{ "IPv6", try_inet6, EACCES, JAIL_INET, 0 },
	{ "the routes", try_route, 0, 0, 0 },
	{ "another netlink", try_audit, EPROTONOSUPPORT, 0, 0 },
	{ "the hypervisor", try_vsock, EAFNOSUPPORT, JAIL_INET | JAIL_UNIX, EAFNOSUPPORT },
	{ "packets", try_packet, EAFNOSUPPORT, JAIL_INET | JAIL_UNIX, EAFNOSUPPORT },
	{ "a port that is given", try_port, EACCES, JAIL_INET, ECONNREFUSED },
	{ "another port", try_other_port, EACCES, JAIL_INET, EACCES },
	{ "a namespace", try_namespace, EPERM, 0, 0 },
	{ "a table of files of its own", try_unshare_files, 0, 0, 0 },
	{ "a process in a namespace", try_clone, EPERM, 0, 0 },
	{ "clone3", try_clone3, ENOSYS, 0, 0 },
	{ "io_uring", try_ring, ENOSYS, 0, 0 },
	{ "a mount", try_mount, EPERM, 0, 0 },
	{ "keys", try_keys, EPERM, 0, 0 },
	{ "the mark of its family", try_mark, EPERM, 0, 0 },
	{ "its own limits", try_files, 0, 0, 0 },
	{ "limits of others", try_limit_of_other, EPERM, 0, 0 },
	{ "looking at limits of others", try_look_at_limit, 0, 0, 0 },
	{ "the priority of others", try_priority_of_other, EPERM, 0, 0 },
	{ "its own priority", try_own_priority, 0, 0, 0 },
	{ "the processors of others", try_pin_other, EPERM, 0, 0 },
	{ "its own processors", try_pin, 0, 0, 0 },
#ifdef __x86_64__
	{ "calls of x32", try_x32, ENOSYS, 0, 0 },
	{ "calls of i386", try_i386, ENOSYS, 0, 0 },
#endif
	{ "a shell with a pipe", try_run, 0, 0, 0 },
	{ NULL },
};
