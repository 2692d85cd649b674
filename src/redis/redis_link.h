/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_link: two connections to one Redis that come and go together: one for
 * commands, one for what the server pushes.
 *
 * Owns the addresses, the two connections and the greeting on them. Makes one
 * attempt when it is told to; knows nothing of when to try again.
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "envdriver/base/redis_url.h"
#include "envdriver/redis/redis.h"
#include "redis_address.h"
#include "redis_conn.h"
#include "redis_greeting.h"
#include "redis_scripts.h"

struct redis_link {
	/* Set once, before the first attempt. All come from the loop or from
	 * redis_link_connect. */
	uv_loop_t *loop;
	struct redis_url url;
	void (*on_up)(void *arg);
	void (*on_lost)(void *arg, const char *why);	/* close it then */
	void (*on_message)(void *arg, const redisReply *reply);
	void *arg;

	struct redis_address address;
	struct redis_scripts scripts;
	struct redis_greeting greeting;
	struct redis_conn *cmd, *push;	/* NULL: not connected */
	int open;			/* of the two */

	size_t to_close;		/* connections that are closing */
	void (*on_ended)(void *arg);	/* NULL: it goes on */
};

/* After the fields above are set. `prefix` is borrowed. */
void redis_link_init(struct redis_link *k, const char *prefix);
/* One attempt: ends with on_up or on_lost. */
void redis_link_connect(struct redis_link *k);
/* Closes both connections; replies that are outstanding come as NULL. `was_up`
 * keeps the command connection as the one to be killed by the next greeting.
 * Returns true when the name has another address that can be tried at once. */
bool redis_link_close(struct redis_link *k, bool was_up);
/* The same for good; `on_ended` comes from the loop, with `arg`, or from here
 * when nothing is left to close. */
void redis_link_end(struct redis_link *k, void (*on_ended)(void *arg));
/* After that, or before the first attempt. */
void redis_link_release(struct redis_link *k);

/* The longer silence (ms) of the two, see redis_conn_silence. */
int64_t redis_link_silence(const struct redis_link *k);
/* See redis_conn_excuse. */
void redis_link_excuse(struct redis_link *k);

#endif
