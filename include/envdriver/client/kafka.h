/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka: a Kafka client of the command line: its configuration, its topics'
 * names, and errors that name the address, the topic and the way out.
 *
 * Owns one librdkafka client. What it logs goes to our log, as debug: an
 * error that matters comes back as an err.
 */
#ifndef ENVDRIVER_CLIENT_KAFKA_H
#define ENVDRIVER_CLIENT_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "envdriver/kafka/event.h"

struct config;
struct err;
struct kafka;

enum { KAFKA_TOPIC_MAX = 256 };

enum kafka_role {
	KAFKA_ADMIN,
	KAFKA_READER,	/* read_committed, commits nothing, is in no group */
	KAFKA_WRITER,	/* idempotent, partitioner murmur2_random */
};

/* Connects to nothing yet. ERR_CONFIG names where a kafka.* value was set.
 * `on_delivery` (of a writer, else NULL) is called from kafka_poll. */
struct kafka *kafka_new(const struct config *config, enum kafka_role role,
			void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg),
			void *arg, struct err *reterr);
/* What is queued and not sent is lost. Accepts NULL. */
void kafka_free(struct kafka *k);
rd_kafka_t *kafka_client(struct kafka *k);

/* Asks for the cluster's brokers and topics, until they come or it is clear
 * that they will not (at most `timeout_ms`). The caller destroys *ret. */
int kafka_metadata(struct kafka *k, int timeout_ms, const struct rd_kafka_metadata **ret,
		   struct err *reterr);
/* The topic's metadata in it; ERR_NOTFOUND says how to make it, ERR_DENIED
 * what is not permitted. */
int kafka_find_topic(struct kafka *k, const struct rd_kafka_metadata *md, const char *name,
		     const struct rd_kafka_metadata_topic **ret, struct err *reterr);

/* Turns librdkafka's answer to `what` ("write to topic 'x'") into an err;
 * returns its code. */
int kafka_error(struct kafka *k, rd_kafka_resp_err_t code, const char *what, struct err *reterr);

/* topic.prefix and the topic's name; returns `ret`. */
const char *kafka_topic(const struct config *config, enum topic t, char ret[KAFKA_TOPIC_MAX]);
/* The other way; TOPIC_COUNT when it is none of ours. */
enum topic kafka_topic_of(const struct config *config, const char *name);

#endif
