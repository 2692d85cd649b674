/* SPDX-License-Identifier: Apache-2.0 */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "envdriver/base/fd_above.h"

/* The same on all processors. */
enum { NR_CREATE = 444, NR_ADD_RULE = 445, NR_RESTRICT = 446 };
enum { VERSION_FLAG = 1, RULE_PATH = 1, RULE_PORT = 2 };
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

#define BIT(n) (UINT64_C(1) << (n))
#define FS_EXECUTE BIT(0)
#define FS_WRITE_FILE BIT(1)
#define FS_READ_FILE BIT(2)
#define FS_READ_DIR BIT(3)
#define FS_MAKE_CHAR BIT(6)
#define FS_MAKE_BLOCK BIT(11)
#define FS_OLDEST (BIT(13) - 1)	/* all of ABI 1 */
#define FS_REFER BIT(13)
#define FS_TRUNCATE BIT(14)
#define FS_IOCTL_DEV BIT(15)
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_CONNECT BIT(1)
#define SCOPE_ABSTRACT BIT(0)
#define SCOPE_SIGNAL BIT(1)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

struct port_attr {
	uint64_t allowed, port;
};

static const uint64_t granted[] = {
	[LANDLOCK_LIST] = FS_READ_DIR,
	[LANDLOCK_READ] = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR,
	[LANDLOCK_DEVICE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
	[LANDLOCK_WRITE] = (FS_OLDEST | FS_REFER | FS_TRUNCATE) & ~(FS_MAKE_CHAR | FS_MAKE_BLOCK),
};

int
landlock_abi(void)
{
	long abi = syscall(NR_CREATE, NULL, 0, VERSION_FLAG);

	return abi > 0 ? (int)abi : 0;
}

static uint64_t
known_rights(int abi)
{
	return FS_OLDEST | (abi >= ABI_REFER ? FS_REFER : 0) |
	       (abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0) | (abi >= ABI_IOCTL ? FS_IOCTL_DEV : 0);
}

int
landlock_new(int abi, bool ports)
{
	struct ruleset_attr a = { .fs = known_rights(abi) };
	size_t size = sizeof(a.fs);

	if (ports && abi < ABI_NET) {
		errno = ENOTSUP;
		return -1;
	}
	if (ports)
		a.net = NET_CONNECT;
	if (abi >= ABI_NET)
		size += sizeof(a.net);
	if (abi >= ABI_SCOPE) {
		a.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
		size += sizeof(a.scoped);
	}
	return fd_above_stderr((int)syscall(NR_CREATE, &a, size, 0));
}

/* A path that cannot be opened by us cannot be by the program either. */
static bool
is_out_of_reach(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES || error == ELOOP;
}

int
landlock_grant(int ruleset, int abi, const char *path, enum landlock_grant grant)
{
	struct path_attr a = { .allowed = granted[grant] & known_rights(abi) };
	struct stat st;
	int ret = -1;

	a.fd = open(path, O_PATH | O_CLOEXEC);
	if (a.fd < 0)
		return is_out_of_reach(errno) ? 0 : -1;
	if (fstat(a.fd, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			a.allowed &= FS_OF_FILES;
		ret = a.allowed ? (int)syscall(NR_ADD_RULE, ruleset, RULE_PATH, &a, 0) : 0;
	}
	close(a.fd);
	return ret;
}

int
landlock_grant_port(int ruleset, uint16_t port)
{
	struct port_attr a = { NET_CONNECT, port };

	return (int)syscall(NR_ADD_RULE, ruleset, RULE_PORT, &a, 0);
}

int
landlock_enter(int ruleset)
{
	return (int)syscall(NR_RESTRICT, ruleset, 0);
}
