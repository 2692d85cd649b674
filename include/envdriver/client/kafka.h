/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka: a Kafka client of the command line: its configuration, the names of
 * its topics, and errors that name the address, the topic and the way out.
 *
 * Owns one librdkafka client. Its log goes to our log at debug level: an error
 * that matters is returned as an err.
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

/* Does not connect yet. NULL and ERR_CONFIG, which says where a kafka.* value
 * was set. `on_delivery` (for a writer, else NULL) is called from
 * rd_kafka_poll. `config` is borrowed until kafka_free. */
struct kafka *kafka_new(const struct config *config, enum kafka_role role,
			void (*on_delivery)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg),
			void *arg, struct err *reterr);
/* Drops what is queued and not sent; on_delivery hears of it. Accepts NULL. */
void kafka_free(struct kafka *k);
rd_kafka_t *kafka_client(struct kafka *k);

/* The cluster's brokers and topics. Blocks until they come, or until it is
 * clear that they will not (at most `timeout_ms`). The caller destroys *ret. */
int kafka_metadata(struct kafka *k, int timeout_ms, const struct rd_kafka_metadata **ret,
		   struct err *reterr);
/* The topic's part of `md`, borrowed from it. ERR_NOTFOUND says how to create
 * the topic, ERR_DENIED what is not permitted. May ask the broker once more. */
int kafka_find_topic(struct kafka *k, const struct rd_kafka_metadata *md, const char *name,
		     const struct rd_kafka_metadata_topic **ret, struct err *reterr);
/* Whether this is librdkafka's mock cluster (`envdriver dev`), which makes a
 * topic when it is first named, knows no rights, and leaves DescribeConfigs and
 * CreateTopics without an answer. Blocks for at most `timeout_ms`. */
bool kafka_is_mock(struct kafka *k, int timeout_ms);

/* Turns the error `code` of `what` ("write to topic 'x'") into an err; returns
 * its code. */
int kafka_error(struct kafka *k, rd_kafka_resp_err_t code, const char *what, struct err *reterr);

/* topic.prefix and the topic's name; returns `ret`. */
const char *kafka_topic(const struct config *config, enum topic t, char ret[KAFKA_TOPIC_MAX]);
/* The other way; TOPIC_COUNT when it is not one of ours. */
enum topic kafka_topic_of(const struct config *config, const char *name);

#endif
