/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send: commands in plain JSON on their way to the command topic, as every
 * publisher must do it (docs/engine.md section 9): key = ordering key, else command
 * id; partitioner murmur2_random; idempotent; checked as a worker would.
 *
 * Owns a Kafka producer.
 */
#ifndef ENVDRIVER_CLIENT_SEND_H
#define ENVDRIVER_CLIENT_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

struct config;
struct err;
struct schemas;
struct send;

/* One command, ready. */
struct send_command {
	struct buf key, value;
	char id[201];
	enum topic result;	/* where its result will be */
};

#define SEND_COMMAND_INIT { BUF_INIT, BUF_INIT, "", TOPIC_COUNT }
void send_command_release(struct send_command *c);

/* It is in the log; `error` NULL. Or it is not, and `error` says why. */
typedef void send_placed_fn(void *arg, const char *id, int32_t partition, int64_t offset,
			    const struct err *error);

/* Looks the command topic up: ERR_NOTFOUND, ERR_UNAVAILABLE, … */
struct send *send_new(const struct config *config, const struct schemas *schemas,
		      send_placed_fn *placed, void *arg, struct err *reterr);
/* Accepts NULL. */
void send_free(struct send *s);

/*
 * Encodes and checks. A missing commandId and issuedAt are made; with
 * `new_id` also those that are there. ERR_INVALID names the field. Works
 * without a connection: `s` may come from send_new_checker.
 */
int send_encode(struct send *s, struct span plain, bool new_id, struct send_command *ret,
		struct err *reterr);
/* Only send_encode works with it. */
struct send *send_new_checker(const struct config *config, const struct schemas *schemas,
			      struct err *reterr);

/* Queues it; waits while the queue is full. `placed` is called from here and
 * from send_flush. */
int send_put(struct send *s, const struct send_command *c, struct err *reterr);
/* Waits until `placed` was called for everything. */
int send_flush(struct send *s, struct err *reterr);

#endif
