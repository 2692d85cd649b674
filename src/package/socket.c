/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/package/socket.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/package/package.h"

#define SCHEME "unix:"

/* The path without links in its folder; its owner. */
static int
find_socket(const char *address, const char *dirs, struct sockaddr_un *ret, uid_t *ret_owner,
	    struct err *reterr)
{
	const char *path = address + strlen(SCHEME), *slash;
	char folder[PATH_MAX], real[PATH_MAX];
	struct stat dir, st;

	if (strncmp(address, SCHEME, strlen(SCHEME)) != 0 || *path != '/' ||
	    strlen(path) >= sizeof(folder))
		return err_set(reterr, ERR_INVALID, "its endpoint '%.100s' is not unix:/path",
			       address);
	slash = strrchr(path, '/');
	snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (!realpath(folder, real) || stat(real, &dir) < 0)
		return err_set(reterr, ERR_NOTFOUND, "cannot open the folder of its endpoint "
			       "'%.200s': %s", path, strerror(errno));
	if (!package_permitted(real, dirs))
		return err_set(reterr, ERR_DENIED, "its endpoint '%.100s' is not inside any "
			       "directory of plugin.dirs (%.200s)", path, dirs);
	ret->sun_family = AF_UNIX;
	if ((size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s%s", real, slash) >=
	    sizeof(ret->sun_path))
		return err_set(reterr, ERR_LIMIT, "the path of its endpoint is too long");
	if (lstat(ret->sun_path, &st) < 0)
		return err_set(reterr, ERR_NOTFOUND, "cannot open its endpoint '%.200s': %s", path,
			       strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(reterr, ERR_INVALID, "its endpoint '%.200s' is not a socket", path);
	if (st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != dir.st_uid)
		return err_set(reterr, ERR_DENIED, "its endpoint '%.200s' belongs to uid %u, which "
			       "is neither ours nor root's nor the owner of its folder", path,
			       (unsigned)st.st_uid);
	*ret_owner = st.st_uid;
	return 0;
}

int
socket_check(const char *address, const char *dirs, struct err *reterr)
{
	struct sockaddr_un at = { 0 };
	uid_t owner;

	return find_socket(address, dirs, &at, &owner, reterr);
}

int
socket_connect(const char *address, const char *dirs, int *ret_pid, struct err *reterr)
{
	struct sockaddr_un at = { 0 };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	uid_t owner;
	int fd, ret = find_socket(address, dirs, &at, &owner, reterr);

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(reterr, ERR_IO, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		ret = err_set(reterr, ERR_UNAVAILABLE, "cannot connect to '%.200s': %s",
			      address, errno == EAGAIN ? "its queue is full" : strerror(errno));
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		ret = err_set(reterr, ERR_IO, "cannot ask who listens on '%.200s': %s", address,
			      strerror(errno));
	else if (peer.uid != owner && peer.uid != geteuid() && peer.uid != 0)
		ret = err_set(reterr, ERR_DENIED, "who listens on '%.200s' is uid %u, and the "
			      "socket belongs to uid %u", address, (unsigned)peer.uid,
			      (unsigned)owner);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	*ret_pid = (int)peer.pid;
	return fd;
}
