/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_store: the registry's records as `envdriver plugin` changes them
 * (docs/schemas.md, "Redis"): each change all or nothing, also beside other
 * writers.
 *
 * Owns nothing. Blocks. Errors are those of cli_redis, and those that are named.
 */
#ifndef COMMANDS_PLUGIN_STORE_H
#define COMMANDS_PLUGIN_STORE_H

#include "envdriver/base/buf.h"

struct cli_redis;
struct err;

enum plugin_pin {
	PLUGIN_PIN_KEEP,	/* a pinned plugin is pinned to what it is now */
	PLUGIN_PIN_SET,
	PLUGIN_PIN_NONE,
};

struct plugin_record_new {
	const char *id;
	struct span key, manifest;
	struct span config;	/* len 0: what is there stays */
	const char *dir, *digest;
	enum plugin_pin pin;
};

enum { PLUGIN_WORD_SIZE = 64 };

/* A registered plugin keeps its rank and its status. `ret_done`: "added", "updated" or
 * "unchanged". ERR_INVALID: the key is another plugin's, or the id is. */
int plugin_store_add(struct cli_redis *redis, const struct plugin_record_new *p,
		     char ret_status[PLUGIN_WORD_SIZE], char ret_done[PLUGIN_WORD_SIZE],
		     struct err *reterr);
int plugin_store_status(struct cli_redis *redis, const char *id, const char *status,
			struct err *reterr);
/* Has what runs started anew. */
int plugin_store_restart(struct cli_redis *redis, const char *id, struct err *reterr);
int plugin_store_remove(struct cli_redis *redis, const char *id, const char *key,
			struct err *reterr);

#endif
