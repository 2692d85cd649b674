/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_greeting: what is said on two fresh connections before they are used.
 *
 * Owns the state of the conversation. Knows nothing of what comes before and
 * after it.
 *
 * DESIGN: two rounds. First: who are we, who is the server, is it one that
 * will do, and the subscriptions. Then, all in one order on the command
 * connection: kill the predecessor, track, probe, load the scripts.
 */
#ifndef REDIS_GREETING_H
#define REDIS_GREETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis_conn;
struct redis_scripts;
struct redis_url;

enum { REDIS_CHANNELS = 8, REDIS_TRACKS = 8, REDIS_PREFIX_MAX = 256 };

/* A connection as the server knows it. */
struct redis_peer {
	int64_t id;		/* CLIENT ID; 0: none */
	char run_id[64];	/* of the server's process */
};

struct redis_greeting {
	/* Set once. The pointers are borrowed. */
	const struct redis_url *url;
	const char *prefix;
	struct redis_scripts *scripts;
	const char *channels[REDIS_CHANNELS];
	size_t n_channels;
	char *tracks[REDIS_TRACKS];
	size_t n_tracks;
	void (*on_good)(void *arg);
	void (*on_bad)(void *arg, const char *why);
	void *arg;
	/* Set before each start: the lost connection that is to be killed. */
	struct redis_peer predecessor;

	/* The one under way. */
	struct redis_conn *cmd, *push;
	bool active;
	int round;
	size_t waiting;		/* replies that are not here yet */
	int64_t push_id;
	struct redis_peer self;	/* the command connection; also when all is said */
};

/* Both connections are open and borrowed until they are closed. `on_good` or
 * `on_bad` comes once, from here or from the loop, unless a connection is lost
 * or closed before. */
void redis_greeting_start(struct redis_greeting *g, struct redis_conn *cmd,
			  struct redis_conn *push);

#endif
