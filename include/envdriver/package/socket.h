/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket: the socket of a worker that somebody else runs: checked as packages are, and
 * connected to.
 *
 * Owns nothing. Blocks no longer than a few system calls take.
 */
#ifndef ENVDRIVER_PACKAGE_SOCKET_H
#define ENVDRIVER_PACKAGE_SOCKET_H

struct err;

/* `address` is "unix:/path": a socket, no link, whose folder really lies inside one of
 * `dirs`, and that belongs to us, to root or to the owner of its folder. ERR_DENIED,
 * ERR_NOTFOUND or ERR_INVALID say what is wrong. */
int socket_check(const char *address, const char *dirs, struct err *reterr);
/* Checks it and connects; who listens must be its owner, we or root. Returns the
 * descriptor, which does not block, and whose process it is. ERR_UNAVAILABLE: nobody
 * listens. */
int socket_connect(const char *address, const char *dirs, int *ret_pid, struct err *reterr);

#endif
