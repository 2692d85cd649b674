/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client: HTTP requests to one base URL, for answers that are worth
 * keeping.
 *
 * Owns the credentials of the URL, which no text of this module shows, and the
 * requests under way. Each request opens a connection of its own and runs on a
 * thread of libuv's pool, so the loop never blocks; the caller limits how many
 * run at a time, since others need the pool, too. One deadline covers a whole
 * request (names, connection, a body that drips), the answer has a size limit,
 * and redirects are not followed. Knows nothing of what is asked. All
 * functions are called on the loop's thread.
 */
#ifndef ENVDRIVER_REGISTRY_HTTP_CLIENT_H
#define ENVDRIVER_REGISTRY_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct err;
struct http_client;

struct http_client_answer {
	int status;		/* of HTTP; 0: none came */
	bool too_large;		/* the body was cut off at the limit */
	const char *why;	/* NULL: the answer is whole; else what failed, one line */
	struct span body;	/* borrowed until the callback returns */
};

/* Called from the loop, never from within http_client_ask. */
typedef void http_client_answer_fn(void *arg, const struct http_client_answer *a);

struct http_client_limits {
	size_t body_bytes;
	int64_t timeout_ms;
};

/* `url`: http(s)://[user:password@]host[:port][/path]; `media` is the type
 * that is sent and accepted. NULL with ERR_CONFIG says what is wrong with the
 * URL. */
struct http_client *http_client_new(uv_loop_t *loop, const char *url, const char *media,
				    struct http_client_limits limits, struct err *reterr);

/* Asks for the base URL followed by `path`, which is percent-encoded where it
 * must be: POST with a body, which is copied, GET without one. The callback
 * comes exactly once, unless this fails. */
int http_client_ask(struct http_client *c, const char *path, struct span body,
		    http_client_answer_fn *fn, void *arg, struct err *reterr);

/* The base URL without credentials. Borrowed until http_client_free. */
const char *http_client_shown(const struct http_client *c);

/* No callback comes after this. Accepts NULL. Requests under way end within a
 * second; the loop must run until they have. Not from within a callback of its
 * own. */
void http_client_free(struct http_client *c);

#endif
