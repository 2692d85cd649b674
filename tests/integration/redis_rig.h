/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_rig: a redis-server of the test's own, and our connection to it.
 *
 * Owns the server (a child on a unix socket in a folder of its own), an
 * administrator's connection beside ours, and the loop. Whatever goes wrong here ends the program.
 */
#ifndef TESTS_INTEGRATION_REDIS_RIG_H
#define TESTS_INTEGRATION_REDIS_RIG_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "envdriver/base/config.h"
#include "envdriver/redis/redis.h"

struct rig {
	char folder[64], socket[96];
	pid_t server;
	redisContext *admin;
	uv_loop_t loop;
	uv_timer_t pulse;	/* lets rig_until look at its condition */
	struct config *config;
	struct redis *redis;
	bool closed;
};

/* Starts the server and makes `redis`, not started yet. */
void rig_open(struct rig *r);
void rig_set(struct rig *r, const char *key, const char *value);
/* Starts `redis` and waits until it is up. */
void rig_start(struct rig *r);
/* Closes `redis`: what uses it is freed after this, then rig_close. */
void rig_stop(struct rig *r);
void rig_close(struct rig *r);

void rig_server_kill(struct rig *r);
void rig_server_start(struct rig *r);

/* Runs the loop until `cond` holds; fails the test after `ms`. */
void rig_until(struct rig *r, bool (*cond)(void *arg), void *arg, int ms);
void rig_run(struct rig *r, int ms);

/* One command as administrator: the reply as text, elements with spaces
 * between, "(nil)", errors with "ERROR: " before them. Valid until the next
 * one. */
const char *rig_ask(struct rig *r, const char *fmt, ...);

#endif
