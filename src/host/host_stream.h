/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_stream: the stream channels that a plugin has open, so that they can be
 * closed for it when it dies.
 *
 * Owns the names. Companies may use one name: channels of the same name in two
 * companies are two.
 */
#ifndef ENVDRIVER_HOST_HOST_STREAM_H
#define ENVDRIVER_HOST_HOST_STREAM_H

#include <sys/queue.h>

#include "envdriver/base/buf.h"

/* Of one worker. What goes beyond is not closed at its death. */
enum { HOST_STREAM_MAX = 256 };

struct host_stream {
	LIST_ENTRY(host_stream) link;
	struct span channel, company;	/* any bytes, NUL too; in `text` */
	char text[];
};

struct host_streams {
	LIST_HEAD(, host_stream) list;
	size_t n;
};

/* Nothing happens when it is open, or without memory. */
void host_streams_open(struct host_streams *s, struct span channel, struct span company);
/* Nothing happens when it is not open. */
void host_streams_close(struct host_streams *s, struct span channel, struct span company);
/* One that is open; NULL when none is. Borrowed until it is closed. */
const struct host_stream *host_streams_first(const struct host_streams *s);
void host_streams_release(struct host_streams *s);

#endif
