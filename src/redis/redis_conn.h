/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_conn: one connection to Redis: commands out, replies in.
 *
 * Owns the socket, the bytes under way, and the callbacks that wait for replies.
 * Knows nothing of what is sent.
 *
 * The asynchronous part of hiredis is not used. Version 0.14, which Debian 12
 * has, believes any number of elements that a reply claims (CVE-2021-32765,
 * bounded since 1.0.1), takes the answer to a PING for a message once it is
 * subscribed (https://github.com/redis/hiredis/pull/1027, since 1.1.0), and
 * asserts on a reply that no callback waits for. With 1.1 as the oldest version
 * this file may go, if that assert is gone, too.
 */
#ifndef ENVDRIVER_REDIS_REDIS_CONN_H
#define ENVDRIVER_REDIS_REDIS_CONN_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"
#include "envdriver/redis/redis.h"

struct err;
struct redis_conn;

enum {
	REDIS_REPLY_MAX = 256 * 1024 * 1024,	/* bytes of one reply */
	REDIS_ELEMENTS_MAX = 1024 * 1024,	/* elements of one array */
	REDIS_LINE_MAX = 64 * 1024,		/* a status, an error, a number */
	REDIS_SLOW_MS = 3000,			/* a reply was not in time */
};

struct redis_conn_events {
	void (*on_open)(void *arg);
	/* ["message", channel, payload]; borrowed. */
	void (*on_message)(void *arg, const redisReply *reply);
	/* At most once, and never before redis_conn_* returned; the
	 * connection is of no use any more: close it. */
	void (*on_lost)(void *arg, const char *why);
	void *arg;
};

/* Connects; `addr` NULL: to the unix socket `path`. */
struct redis_conn *redis_conn_new(uv_loop_t *loop, const struct sockaddr *addr, const char *path,
				  const struct redis_conn_events *ev, struct err *reterr);

/* After on_open. ERR_NOMEM: nothing was sent. */
int redis_conn_send(struct redis_conn *c, redis_reply_fn *fn, void *arg, size_t argc,
		    const struct span *argv);
/* A command in the form of the protocol. */
int redis_conn_send_raw(struct redis_conn *c, redis_reply_fn *fn, void *arg, struct span bytes);

/* How long (ms) it owes a reply, without having sent a byte; 0: it does not. */
int64_t redis_conn_silence(const struct redis_conn *c);
/* When (uv_now) a reply was last outstanding for REDIS_SLOW_MS; 0: never. */
int64_t redis_conn_slow_ms(const struct redis_conn *c);
/* We stood still, not Redis: counts silence from now. */
void redis_conn_excuse(struct redis_conn *c);

/* Calls outstanding replies with NULL, then closes; frees itself. `on_closed`
 * (may be NULL) comes from the loop. */
void redis_conn_close(struct redis_conn *c, void (*on_closed)(void *arg), void *arg);

#endif
