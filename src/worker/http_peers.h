/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_peers: the connections of the HTTP server, so that no client holds them
 * all.
 *
 * Owns a table of them; the sockets are libmicrohttpd's. A connection that has
 * brought no whole request in time is shut down, and the oldest of these when
 * its address, or all together, have nearly as many as they may. Thread safe.
 */
#ifndef ENVDRIVER_WORKER_HTTP_PEERS_H
#define ENVDRIVER_WORKER_HTTP_PEERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_peers;

enum {
	HTTP_PEERS_MAX = 64,
	HTTP_PEERS_PER_ADDRESS = 16,
	HTTP_PEERS_REQUEST_MS = 10000,	/* for the head of a request to be whole */
};

/* Whether only this host reaches a server that is bound to `a`: a name can mean
 * any address, what counts is the one that was taken. */
bool http_peers_are_local(const struct sockaddr *a);

/* NULL: out of memory. */
struct http_peers *http_peers_new(void);
void http_peers_free(struct http_peers *p);

/* A connection was accepted, or has ended; before its socket is closed. Nothing
 * is done to it before http_peers_waits. */
void http_peers_add(struct http_peers *p, int fd, const struct sockaddr *from);
void http_peers_remove(struct http_peers *p, int fd);
/* The head of its request is whole; it waits for one. */
void http_peers_asked(struct http_peers *p, int fd);
void http_peers_waits(struct http_peers *p, int fd, int64_t now_ms);

/* Before another one of `from` is taken in: makes room. False: what makes room
 * has not ended yet, try again in a moment. */
bool http_peers_make_room(struct http_peers *p, const struct sockaddr *from);
/* Now and then: shuts down what is late. */
void http_peers_tick(struct http_peers *p, int64_t now_ms);

#endif
