/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_scripts: the Lua scripts of a process, and the digests under which a
 * server has them loaded.
 *
 * Owns the digests; the texts are borrowed for good. Knows nothing of what a
 * script does.
 */
#ifndef REDIS_SCRIPTS_H
#define REDIS_SCRIPTS_H

#include "envdriver/redis/redis.h"

struct redis_conn;

enum { REDIS_SCRIPTS = 16, REDIS_SHA_LEN = 40 };

struct redis_scripts {
	struct redis_script {
		const char *text;
		char sha[REDIS_SHA_LEN + 1];
	} list[REDIS_SCRIPTS];
	size_t n;
	size_t at;	/* whose SCRIPT LOAD is answered next; n: all are loaded */
};

/* Returns the script's number. */
int redis_scripts_add(struct redis_scripts *s, const char *text);

/* Sends SCRIPT LOAD for all; `fn` gets each reply in turn. */
int redis_scripts_load(struct redis_scripts *s, struct redis_conn *conn, redis_reply_fn *fn,
		       void *arg);
/* Keeps the digest of one of these replies; false when there is none in it. */
bool redis_scripts_loaded(struct redis_scripts *s, const redisReply *reply);

#endif
