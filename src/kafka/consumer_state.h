/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer_state: what the errors of librdkafka mean for the worker: why it is
 * not ready, and what ends it.
 *
 * Owns the texts that were told. Knows nothing of partitions.
 */
#ifndef ENVDRIVER_KAFKA_CONSUMER_STATE_H
#define ENVDRIVER_KAFKA_CONSUMER_STATE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/kafka/consumer.h"

enum { CONSUMER_STATE_TEXT = 400 };

struct consumer_state {
	const struct config *config;
	const char *topic;		/* borrowed */
	const struct consumer_events *ev;	/* borrowed */
	int64_t assigned_ms;		/* the first time; 0: not yet */
	bool fatal_told;
	bool dead;			/* librdkafka had a fatal error */
	bool down;			/* no broker could be reached */
	char why_down[CONSUMER_STATE_TEXT], why_group[CONSUMER_STATE_TEXT];
	char why_told[CONSUMER_STATE_TEXT];
};

void consumer_state_init(struct consumer_state *s, const struct config *config, const char *topic,
			 const struct consumer_events *ev);

/* All below may call on_state or on_fatal. */

/* An error of the client. */
void consumer_state_error(struct consumer_state *s, rd_kafka_resp_err_t code, const char *reason,
			  bool fatal);
/* Whether the client is dead, which librdkafka tells a consumer only as a
 * message without the cause. */
void consumer_state_check(struct consumer_state *s, rd_kafka_t *rk);
/* A message that is an error. True when the log of its partition does not
 * have the offset that was asked for: the caller looks at it. */
bool consumer_state_message(struct consumer_state *s, const rd_kafka_message_t *m);
/* Partitions are assigned: the group and the topic are in order. */
void consumer_state_assigned(struct consumer_state *s);
/* A record came: the topic may be read. */
void consumer_state_read(struct consumer_state *s);
/* Whether a broker answered. */
void consumer_state_reached(struct consumer_state *s, bool yes);
/* The committed offsets are waited for; `why` may be NO_ERROR. */
void consumer_state_slow(struct consumer_state *s, rd_kafka_resp_err_t why);

#endif
