/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send: writes commands in plain JSON to the command topic, as every publisher
 * must do it (docs/schemas.md): the key is the ordering key, else the command
 * id; partitioner murmur2_random; idempotent; checked as a worker would.
 *
 * Owns a Kafka producer. Knows nothing of results.
 */
#ifndef ENVDRIVER_CLIENT_SEND_H
#define ENVDRIVER_CLIENT_SEND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

struct config;
struct err;
struct schemas;
struct send;

/* One encoded command. */
struct send_command {
	struct buf key, value;
	char id[201];
	enum topic result;	/* the topic of its result */
};

#define SEND_COMMAND_INIT { BUF_INIT, BUF_INIT, "", TOPIC_COUNT }
void send_command_release(struct send_command *c);

/* The command is in the log (`error` NULL), or it is not and `error` says why. */
typedef void send_placed_fn(void *arg, const char *id, int32_t partition, int64_t offset,
			    const struct err *error);

/* Looks the command topic up; blocks. NULL and ERR_NOTFOUND, ERR_UNAVAILABLE, …
 * `config` and `schemas` are borrowed until send_free. */
struct send *send_new(const struct config *config, const struct schemas *schemas,
		      send_placed_fn *placed, void *arg, struct err *reterr);
/* Accepts NULL. */
void send_free(struct send *s);

/*
 * Encodes and checks. A missing commandId and issuedAt are filled in; with
 * `new_id` existing ones are replaced. ERR_INVALID names the field; ERR_LIMIT: it
 * has more bytes than command.max.bytes. Needs no connection: `s` may come from
 * send_new_checker. The caller releases *ret.
 */
int send_encode(struct send *s, struct span json, bool new_id, struct send_command *ret,
		struct err *reterr);
/* Only send_encode works with the result. */
struct send *send_new_checker(const struct config *config, const struct schemas *schemas,
			      struct err *reterr);

/* From now on a signal's number in `flag` (borrowed) ends send_put and send_flush
 * with ERR_CLOSED. */
void send_stop_on(struct send *s, const volatile sig_atomic_t *flag);

/* Queues the command; blocks while the queue is full. `placed` is called from
 * here and from send_flush. */
int send_put(struct send *s, const struct send_command *c, struct err *reterr);
/* Blocks until `placed` was called for everything (at most a minute). */
int send_flush(struct send *s, struct err *reterr);

#endif
