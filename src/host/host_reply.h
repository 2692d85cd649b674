/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_reply: writes the host's replies to a plugin's requests.
 *
 * Owns the line being written. Knows nothing of methods or companies.
 */
#ifndef ENVDRIVER_HOST_HOST_REPLY_H
#define ENVDRIVER_HOST_HOST_REPLY_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

enum { HOST_REPLY_TEXT_MAX = 4608 };	/* of an error: the rest is cut off */

/* The first two are set by the owner. */
struct host_reply {
	void (*write)(void *arg, struct span line);	/* borrowed for the call */
	void *arg;
	struct buf line, text;
};

/* Without memory, nothing is written. */
void host_reply_result(struct host_reply *r, struct jtext id, struct span result_json);
/* `fmt` gives the message. */
void host_reply_error(struct host_reply *r, struct jtext id, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void host_reply_release(struct host_reply *r);

#endif
