/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_impl: what redis.c and redis_greet.c share.
 *
 * Private to these two.
 */
#ifndef ENVDRIVER_REDIS_REDIS_IMPL_H
#define ENVDRIVER_REDIS_REDIS_IMPL_H

#include "envdriver/redis/redis.h"
#include "redis_conn.h"
#include "envdriver/base/redis_url.h"

enum { REDIS_LISTENERS = 8, REDIS_CHANNELS = 8, REDIS_TRACKS = 8, REDIS_SCRIPTS = 16 };
enum { REDIS_SHA_LEN = 40, REDIS_NAME_MAX = 120, REDIS_TEXT_MAX = 160,
       REDIS_WHY_MAX = REDIS_NAME_MAX + REDIS_TEXT_MAX + 4 };

/*
 * DESIGN: DOWN --(timer)--> CONNECTING --(both open)--> GREETING --(all its
 * replies are good)--> UP. Whatever fails leads to redis_lost, which closes
 * both connections and goes DOWN. Greeting has two rounds: who are we and who
 * is it; then kill the predecessor, track, probe, load scripts.
 */
enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_GREETING, REDIS_UP };

struct redis_channel {
	char *name;
	void (*fn)(void *arg, struct span message);
	void *arg;
};

struct redis_script {
	const char *text;
	char sha[REDIS_SHA_LEN + 1];
};

struct redis {
	uv_loop_t *loop;
	struct redis_url url;
	char name[REDIS_NAME_MAX];	/* for texts: host:port or path, no secret */
	char prefix[256];

	struct redis_listener listeners[REDIS_LISTENERS];
	size_t n_listeners;
	struct redis_channel channels[REDIS_CHANNELS];
	size_t n_channels;
	char *tracks[REDIS_TRACKS];
	size_t n_tracks;
	struct redis_script scripts[REDIS_SCRIPTS];
	size_t n_scripts;

	enum redis_state state;
	bool started, dropping, closing, reloading;
	char why[REDIS_WHY_MAX];
	uv_timer_t retry, tick;
	int64_t silent_ms;		/* before it was found down */
	unsigned failures;	/* in a row, for the back-off */
	int64_t attempt_ms, up_ms, last_tick, last_ping;
	int64_t answering_since;

	uv_getaddrinfo_t resolve;
	bool resolving;
	struct addrinfo *addresses, *address;	/* NULL: to be resolved */

	struct redis_conn *cmd, *push;
	bool cmd_open, push_open;
	int round;			/* of greeting */
	size_t waiting;			/* its replies not here yet */
	size_t script_at;		/* whose SCRIPT LOAD is answered next */
	int64_t id, push_id;		/* CLIENT ID of this connection */
	char run_id[64];		/* of the server */
	int64_t lost_id;		/* to be killed; 0: nobody */
	char lost_run_id[64];

	size_t to_close;		/* handles and requests that redis_close waits for */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* Both connections are open: the first round. */
void redis_greet(struct redis *r);
/* Sends SCRIPT LOAD for all; `fn` gets each reply in turn. */
int redis_load_scripts(struct redis *r, redis_reply_fn *fn);
/* The reply of a SCRIPT LOAD: keeps the digest. False when it is none. */
bool redis_loaded(struct redis *r, const redisReply *reply);
/* The last reply of the greeting was good. */
void redis_came_up(struct redis *r);
/* Whatever failed. */
void redis_lost(struct redis *r, const char *why);

#endif
