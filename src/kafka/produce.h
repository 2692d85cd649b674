/* SPDX-License-Identifier: Apache-2.0 */
/*
 * produce: puts an event into the queue of a producer.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_KAFKA_PRODUCE_H
#define ENVDRIVER_KAFKA_PRODUCE_H

#include <librdkafka/rdkafka.h>

struct event;

/*
 * Queues a copy of the event, as librdkafka may hold it long after its
 * producer was closed. `tag` is the message's _private in its delivery report.
 * Does not block. _QUEUE_FULL also when out of memory.
 */
rd_kafka_resp_err_t produce_record(rd_kafka_t *rk, rd_kafka_topic_t *topic,
				   const struct event *ev, void *tag);

#endif
