/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: health, readiness, metrics and status of a worker over HTTP
 * (`http.listen`).
 *
 * Owns the listening socket and a thread. Knows nothing of what it shows: a
 * source gives it. Only GET and HEAD. Answers the Host names of this machine
 * only, so that a http_client page cannot be pointed at it, unless `http.token.file`
 * is set: then everything wants that bearer token but /healthz, and /readyz
 * without it tells no reasons.
 */
#ifndef ENVDRIVER_WORKER_HTTP_SERVER_H
#define ENVDRIVER_WORKER_HTTP_SERVER_H

#include <stdbool.h>

struct buf;
struct config;
struct err;
struct http;

/*
 * All are called on the server's thread, one at a time, at any moment
 * between http_server_start and http_server_stop: they take the owner's lock, copy, and
 * never wait for anything. None may be NULL. Nothing they append may name a
 * company.
 */
struct http_server_source {
	/* False: the process should be restarted (its loop stands still). */
	bool (*healthy)(void *arg);
	/* Why it is not ready, one reason a line; nothing when it is. */
	void (*reasons)(void *arg, struct buf *out);
	/* Prometheus text; metrics_print and what else there is. */
	void (*metrics)(void *arg, struct buf *out);
	/* One JSON object. */
	void (*status)(void *arg, struct buf *out);
	void *arg;
};

/* Listens on http.listen, which must be set. `source` is copied. ERR_CONFIG:
 * the token file; ERR_IO: the address. */
struct http *http_server_start(const struct config *config, const struct http_server_source *source,
			struct err *reterr);
/* The port, also when 0 was asked for. */
int http_server_port(const struct http *h);
/* No callback runs after it. Accepts NULL. Waits for requests under way. */
void http_server_stop(struct http *h);

#endif
