/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server: health, readiness, metrics and status of a worker over HTTP
 * (`http.listen`).
 *
 * Owns the listening socket and a thread. Knows nothing of what it shows: a
 * source supplies it. Only GET and HEAD. Answers only requests whose Host is a
 * name of this machine, so that no web page elsewhere can be pointed at it,
 * unless `http.token.file` is set: then everything but /healthz requires that
 * bearer token, and /readyz gives no reasons without it.
 */
#ifndef ENVDRIVER_WORKER_HTTP_SERVER_H
#define ENVDRIVER_WORKER_HTTP_SERVER_H

#include <stdbool.h>

struct buf;
struct config;
struct err;
struct http_server;

/*
 * All are called on the server's thread, one at a time, at any moment between
 * http_server_start and http_server_stop: they take the owner's lock, copy, and
 * never wait for anything else. None may be NULL. What they append must not
 * name a company.
 */
struct http_server_source {
	/* False: the process should be restarted, because its loop is stuck. */
	bool (*healthy)(void *arg);
	/* Why it is not ready, one reason a line; nothing when it is. */
	void (*reasons)(void *arg, struct buf *out);
	/* Prometheus text. */
	void (*metrics)(void *arg, struct buf *out);
	/* One JSON object. */
	void (*status)(void *arg, struct buf *out);
	void *arg;
};

/* Listens on http.listen, which must be set; `source` is copied. NULL and
 * ERR_CONFIG: the token file; ERR_IO: the address. */
struct http_server *http_server_start(const struct config *config,
				      const struct http_server_source *source,
				      struct err *reterr);
/* The port, also when 0 was asked for. */
int http_server_port(const struct http_server *h);
/* No callback runs after it. Accepts NULL. Waits for requests under way. */
void http_server_stop(struct http_server *h);

#endif
