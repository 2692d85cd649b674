/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_redis: a blocking connection to Redis for the command line.
 *
 * Owns the connection; every wait is bounded.
 */
#ifndef ENVDRIVER_CLI_CLI_REDIS_H
#define ENVDRIVER_CLI_CLI_REDIS_H

#include <hiredis/hiredis.h>

struct cli_redis;
struct config;
struct err;

/* Connects, logs in, selects. ERR_UNAVAILABLE, ERR_DENIED; the text never
 * holds the password. */
struct cli_redis *cli_redis_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void cli_redis_free(struct cli_redis *r);

/* redis.prefix. */
const char *cli_redis_prefix(const struct cli_redis *r);

/* hiredis' format: %s, %b. The caller frees the reply, which is no error.
 * NULL with ERR_UNAVAILABLE, ERR_DENIED or, for what the server refuses,
 * ERR_IO. */
redisReply *cli_redis_do(struct cli_redis *r, struct err *reterr, const char *fmt, ...);
redisReply *cli_redis_argv(struct cli_redis *r, struct err *reterr, int argc, const char **argv,
			   const size_t *lens);

#endif
