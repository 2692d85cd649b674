/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topics_plan: what the topics should be and what they are.
 *
 * Owns a Kafka client and what it found. Never changes a topic that exists.
 */
#ifndef ENVDRIVER_CLIENT_TOPICS_PLAN_H
#define ENVDRIVER_CLIENT_TOPICS_PLAN_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/kafka/event.h"

struct config;
struct err;

struct topics_spec {
	int64_t partitions, retention_ms, max_bytes;
};

/* The caller sets config, specs and the two numbers of replicas (0: the
 * default). */
struct topics_plan {
	const struct config *config;
	struct topics_spec specs[TOPIC_COUNT];
	int64_t replication, in_sync;
	bool there[TOPIC_COUNT], made[TOPIC_COUNT], compared[TOPIC_COUNT];
	struct buf differs[TOPIC_COUNT]; /* one line; empty: as wanted */
	struct kafka *kafka;
	const struct rd_kafka_metadata *md;
	rd_kafka_queue_t *queue;
};

/* Connects; finds which topics exist and how they differ. Blocks. */
int topics_plan_look(struct topics_plan *p, struct err *reterr);
/* Creates the missing topics; blocks until all are usable. */
int topics_plan_make(struct topics_plan *p, struct err *reterr);
void topics_plan_release(struct topics_plan *p);

#endif
