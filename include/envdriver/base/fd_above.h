/* SPDX-License-Identifier: Apache-2.0 */
/* fd_above: a descriptor above standard input, output and error, which a child gets anew. */
#ifndef ENVDRIVER_BASE_FD_ABOVE_H
#define ENVDRIVER_BASE_FD_ABOVE_H

#include <fcntl.h>
#include <unistd.h>

/* Takes `fd`, which may be -1. Itself, or a close-on-exec copy in its place. -1 and errno. */
static inline int
fd_above_stderr(int fd)
{
	int up;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return up;
}

#endif
