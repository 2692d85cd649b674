/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_meta: librdkafka's consumer group metadata, counted: a batch keeps
 * the one it was sealed with.
 *
 * Owns the object. Says whether it can be used: without a generation or a
 * member id the broker accepts it while the group is active, and so lets a
 * member that was thrown out commit (F2). Any thread may hold it.
 */
#ifndef ENVDRIVER_KAFKA_GROUP_META_H
#define ENVDRIVER_KAFKA_GROUP_META_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

struct group_meta;

/* Takes `take_cgmd`, also when it fails (then it is destroyed). NULL when it
 * is NULL, not usable, or memory is out. One reference. */
struct group_meta *group_meta_new(rd_kafka_consumer_group_metadata_t *take_cgmd);
/* Both accept NULL. */
struct group_meta *group_meta_ref(struct group_meta *g);
void group_meta_unref(struct group_meta *g);
const rd_kafka_consumer_group_metadata_t *group_meta_get(const struct group_meta *g);

/* Pure: reads librdkafka's serialised form ("CGMDv2:", generation, group id,
 * member id, …). True when generation >= 0 and the member id is not empty. */
bool group_meta_usable(const void *serialised, size_t len);

#endif
