/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis: the connection to Redis: one for commands and one for pushes
 * (invalidations and the `handover` channel), up or down together.
 *
 * Owns both connections, their reconnection with back-off, the deadline on
 * replies, and the scripts that are loaded there. After a loss it first kills
 * the lost command connection by its id, so that nothing sent on it runs late
 * (docs/engine.md section 4), and only then says that it is up. Knows nothing of
 * keys but "<prefix>probe", which it writes before that: a Redis that takes no
 * writes counts as down (docs/decisions.md D10 (Redis or Kafka away)). Called on
 * the loop's thread; nothing blocks.
 */
#ifndef ENVDRIVER_REDIS_REDIS_H
#define ENVDRIVER_REDIS_REDIS_H

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
	int rank;	/* lower ones are called first; 0 for most */
	/* Every second while up. */
	void (*on_tick)(void *arg);
};

/* docs/engine.md section 4: the instance record before releases and claims, so that
 * nothing is called under a name that another process has taken; both before
 * what others re-assert. */
enum { REDIS_RANK_INSTANCE = -2, REDIS_RANK_CLAIMS = -1 };

/* Parses redis.url; ERR_CONFIG names what is wrong with it. Nothing is
 * connected yet. */
struct redis *redis_new(uv_loop_t *loop, const struct config *config, struct err *reterr);
/* Up to eight; called by rank, then in the order they were added. Before
 * redis_start. Each function may be NULL. */
void redis_listen(struct redis *r, const struct redis_listener *l);
void redis_start(struct redis *r);
bool redis_up(const struct redis *r);
/* For on_down: how long it had not answered when that was found. */
int64_t redis_silent_ms(const struct redis *r);
/* Why it is down, for /readyz; "" when up. */
const char *redis_why_down(const struct redis *r);

/* Sends one command; pipelined with others of the same loop turn. `fn` may
 * be NULL; it is never called before this returns. ERR_UNAVAILABLE when down
 * (ERR_NOMEM: and then it goes down): nothing was sent and `fn` is not
 * called. */
int redis_send(struct redis *r, redis_reply_fn *fn, void *arg, size_t argc,
	       const struct span *argv);
/* The same from a format: "%s" a C string, "%b" data and size_t, as hiredis. */
int redis_sendf(struct redis *r, redis_reply_fn *fn, void *arg, const char *fmt, ...);

/* Scripts are loaded at every connect. Returns the number that redis_eval
 * takes. Up to 16, before redis_start; `text` must stay. */
int redis_script(struct redis *r, const char *text);
/* EVALSHA; the first `n_keys` of argv are keys. As redis_send. At most
 * REDIS_EVAL_MAX arguments. */
enum { REDIS_EVAL_MAX = 40 };
int redis_eval(struct redis *r, int script, redis_reply_fn *fn, void *arg, size_t n_keys,
	       size_t argc, const struct span *argv);
/* The reply of a redis_eval says that the scripts are gone: they are loaded
 * again, ahead of whatever is sent next. Repeat the command. */
bool redis_is_noscript(struct redis *r, const redisReply *reply);

/* Messages on a channel, as long as the process lives; before redis_start.
 * `message` is borrowed; elements of an invalidation come one by one; a
 * FLUSH invalidation comes as ptr NULL. Up to eight. */
void redis_subscribe(struct redis *r, const char *channel,
		     void (*fn)(void *arg, struct span message), void *arg);
#define REDIS_INVALIDATE "__redis__:invalidate"
/* Keys with these prefixes (given whole) are tracked: their changes come to
 * the subscriber of REDIS_INVALIDATE. Before redis_start. Up to eight; none
 * may be a prefix of another. */
void redis_track(struct redis *r, const char *prefix);

/* A reply that means "Redis is not there" (OOM, READONLY, LOADING,
 * MASTERDOWN and their like, and no connection): ends the connection when there
 * is one, so that everything waits (docs/decisions.md D10 (Redis or Kafka away)),
 * and returns true. */
bool redis_is_outage(struct redis *r, const redisReply *reply);
/* Treats the connection as lost, because of `why`. It is closed in the next turn
 * of the loop; redis_up is false at once. */
void redis_fail(struct redis *r, const char *why);
/* True while every reply has come in time for `ms` on end: what a judgement
 * on others' heartbeats needs (docs/engine.md section 7). */
bool redis_answering_for(const struct redis *r, int64_t ms);

/* "envdriver:" + rest. */
const char *redis_prefix(const struct redis *r);

/* Outstanding replies are called with NULL, listeners are not called.
 * `on_closed` (may be NULL) comes from the loop; before redis_start from
 * here. */
void redis_close(struct redis *r, void (*on_closed)(void *arg), void *arg);
/* Accepts NULL. After on_closed, or before redis_start. */
void redis_free(struct redis *r);

/* The reply as text; SPAN_NULL when it is something else. Borrowed from it. */
static inline struct span
redis_span(const redisReply *reply)
{
	if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
		return SPAN_NULL;
	return (struct span){ reply->str, (size_t)reply->len };
}

/* The reply is an error that starts with the word `code`, as "WRONGTYPE". */
static inline bool
redis_is_error(const redisReply *reply, const char *code)
{
	size_t len = strlen(code);

	return reply && reply->type == REDIS_REPLY_ERROR && (size_t)reply->len >= len &&
	       memcmp(reply->str, code, len) == 0 &&
	       ((size_t)reply->len == len || reply->str[len] == ' ');
}

/* False when there is nothing to read in it: no reply, an outage, missing
 * scripts (ask again), or an error, which is then the connection's failure. */
static inline bool
redis_usable(struct redis *r, const redisReply *reply)
{
	if (redis_is_outage(r, reply) || redis_is_noscript(r, reply))
		return false;
	if (reply->type == REDIS_REPLY_ERROR)
		redis_fail(r, reply->str);
	return reply->type != REDIS_REPLY_ERROR;
}

/* What a pattern of SCAN matches as it is: a prefix may hold what SCAN interprets. */
static inline void
redis_add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("*?[]^-\\", *text))
			buf_addch(out, '\\');
		buf_addch(out, *text);
	}
}

#endif
