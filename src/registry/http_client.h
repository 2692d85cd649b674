/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client: HTTP requests to one base URL, in the loop.
 *
 * Owns the connections (libcurl's multi interface) and the credentials of the
 * URL, which no text of this module shows. The loop never blocks; a request
 * has one deadline for all of it (names, connection, a body that drips), its
 * answer a size limit; redirects are not followed. Knows nothing of what is
 * asked. Loop thread only.
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
	struct span body;	/* borrowed for the callback */
};

/* From the loop, never from within http_client_ask. */
typedef void http_client_answer_fn(void *arg, const struct http_client_answer *a);

struct http_client_limits {
	size_t body_bytes;
	int64_t timeout_ms;
};

/* `url`: http(s)://[user:password@]host[:port][/path]; `media` is what is
 * sent and accepted. ERR_CONFIG says what is wrong with the URL. */
struct http_client *http_client_new(uv_loop_t *loop, const char *url, const char *media,
				    struct http_client_limits limits, struct err *reterr);

/* GET, or with a body (copied) POST, of the base URL and `path`, percent-
 * encoded where it must be. */
int http_client_ask(struct http_client *w, const char *path, struct span body,
		    http_client_answer_fn *fn, void *arg, struct err *reterr);

/* The base URL without credentials. Borrowed. */
const char *http_client_shown(const struct http_client *w);

/* No callback comes after this. Accepts NULL. The loop must turn once more
 * for the last handles to close; not from within a callback of its own. */
void http_client_free(struct http_client *w);

#endif
