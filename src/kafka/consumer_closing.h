/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_closing: closes the client of a consumer in bounded time. The close
 * blocks, and can hang when brokers are away (librdkafka #3740, open) or a
 * partition was lost (#4187, fixed in 2.1), so it happens on a thread of its
 * own that is left behind after a while.
 *
 * Owns the thread and what wakes the loop.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_CLOSING_H
#define ENVDRIVER_KAFKA_CONSUMER_CLOSING_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <uv.h>

struct consumer_closing;
struct err;

/* Made with the consumer, so that its end cannot fail. */
struct consumer_closing *consumer_closing_new(uv_loop_t *loop, struct err *reterr);
/*
 * Leaves the group and destroys the client; `on_closed` on the loop, after at
 * most `timeout_ms`, never before the call has returned. At once when `rk` is
 * NULL, and when no thread could be started: then the client stays as it is
 * until the process ends. Once.
 */
void consumer_closing_start(struct consumer_closing *g, rd_kafka_t *rk, int64_t timeout_ms,
			    void (*on_closed)(void *arg), void *arg);
/* `on_closed` is not called any more. Accepts NULL; may be called from
 * `on_closed`. */
void consumer_closing_free(struct consumer_closing *g);

#endif
