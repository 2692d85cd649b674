/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place_offsets: the offset of a place ("beginning", a time) in each of many
 * partitions.
 *
 * Owns nothing. Blocks.
 */
#ifndef ENVDRIVER_CLIENT_PLACE_OFFSETS_H
#define ENVDRIVER_CLIENT_PLACE_OFFSETS_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

struct err;
struct kafka;
struct reader_place;

/* Fills ret[i] for the i-th partition of the list, with one request per broker.
 * For a read_committed client the end is the last stable offset. A time is where
 * the first record of that time or a later one is, else ends[i]; all records
 * before it are earlier, while behind it there may be both. Waits for leaders
 * (20 s). */
int place_offsets(struct kafka *kafka, const rd_kafka_topic_partition_list_t *parts,
		  const struct reader_place *place, const int64_t *ends, int64_t *ret,
		  struct err *reterr);

#endif
