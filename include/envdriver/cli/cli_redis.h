/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_redis: a blocking connection to Redis for the command line.
 *
 * Owns the connection; every wait is bounded (5 s). Blocks, so it is not for
 * a loop.
 */
#ifndef ENVDRIVER_CLI_CLI_REDIS_H
#define ENVDRIVER_CLI_CLI_REDIS_H

#include <hiredis/hiredis.h>

struct cli_redis;
struct config;
struct err;

/* Connects, logs in, selects the database. NULL and ERR_UNAVAILABLE or
 * ERR_DENIED; the text never contains the password. `config` is borrowed until
 * cli_redis_free. */
struct cli_redis *cli_redis_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void cli_redis_free(struct cli_redis *r);

/* redis.prefix. */
const char *cli_redis_prefix(const struct cli_redis *r);

/* Sends a command in hiredis' format (%s, %b) and waits for the reply. The
 * caller frees it; it is not an error reply. NULL and ERR_UNAVAILABLE,
 * ERR_DENIED or, for any other error reply, ERR_IO. */
redisReply *cli_redis_do(struct cli_redis *r, struct err *reterr, const char *fmt, ...);
redisReply *cli_redis_argv(struct cli_redis *r, struct err *reterr, int argc, const char **argv,
			   const size_t *lens);

#endif
