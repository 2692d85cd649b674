/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis: the connection to Redis: two of them, one for commands and one for
 * pushes (invalidations and the `handover` channel), up or down together.
 *
 * Owns both connections, their reconnection with back-off, and the deadline
 * on replies. After a loss it first kills the lost command connection by its
 * id, so that nothing sent on it runs late (ENGINE section 4), and only then
 * says that it is up. Knows nothing of keys. Used by: registry, instance,
 * claim, supervisor, flow. May use: config, hiredis, libuv.
 */
#ifndef ENVDRIVER_STATE_REDIS_H
#define ENVDRIVER_STATE_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct redis;

/* `reply` is borrowed for the call; NULL when the connection was lost before
 * an answer: the command may or may not have run. */
typedef void redis_reply_fn(void *arg, const redisReply *reply);

struct redis_listener {
	/* Connected, the lost predecessor is killed; commands are taken. */
	void (*on_up)(void *arg);
	/* Commands are refused from here on. All outstanding replies have
	 * been called with NULL before. */
	void (*on_down)(void *arg, const char *why);
	void *arg;
};

/* Parses redis.url ("redis://user:password@host:port/db", "unix:///path");
 * ERR_CONFIG names what is wrong with it. Nothing is connected yet. */
struct redis *redis_new(uv_loop_t *loop, const struct config *config, struct err *reterr);
/* Up to eight; called in the order they were added. Before redis_start. */
void redis_listen(struct redis *r, const struct redis_listener *l);
void redis_start(struct redis *r);
bool redis_up(const struct redis *r);
/* Why it is down, for /readyz; "" when up. */
const char *redis_why_down(const struct redis *r);

/* Sends one command; pipelined with others of the same loop turn. `fn` may
 * be NULL. ERR_UNAVAILABLE when down: nothing was sent and `fn` is not
 * called. */
int redis_send(struct redis *r, redis_reply_fn *fn, void *arg, size_t argc,
	       const struct span *argv);
/* The same from a format: "%s" a C string, "%b" data and size_t, as hiredis. */
int redis_sendf(struct redis *r, redis_reply_fn *fn, void *arg, const char *fmt, ...);

/* Messages on a channel, as long as the process lives; before redis_start.
 * `message` is borrowed; elements of an invalidation come one by one; a
 * FLUSH invalidation comes as ptr NULL. */
void redis_subscribe(struct redis *r, const char *channel,
		     void (*fn)(void *arg, struct span message), void *arg);
/* Keys with these prefixes (given whole) are tracked: their changes come to
 * the subscriber of "__redis__:invalidate". Before redis_start. */
void redis_track(struct redis *r, const char *prefix);

/* A reply that means "Redis is not there" (OOM, READONLY, LOADING,
 * MASTERDOWN, and no connection): drops the connection when there is one, so
 * that everybody waits (D10), and returns true. */
bool redis_is_outage(struct redis *r, const redisReply *reply);

/* True while every reply has come in time for `ms` on end: what a judge of
 * others' beats needs (ENGINE section 7). */
bool redis_answering_for(const struct redis *r, int64_t ms);

/* "envdriver:" + rest. */
const char *redis_prefix(const struct redis *r);

void redis_close(struct redis *r, void (*on_closed)(void *arg), void *arg);
void redis_free(struct redis *r);

#endif
