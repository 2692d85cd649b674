/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preflight: asks the servers that a configuration names whether a worker could
 * work with them, and with exactly the rights it needs.
 *
 * Owns nothing. Every question either only reads, or is one that the server
 * refuses for another reason once the right is there, so nothing changes. All
 * functions block, for some seconds where a server is away.
 */
#ifndef ENVDRIVER_CLIENT_PREFLIGHT_H
#define ENVDRIVER_CLIENT_PREFLIGHT_H

struct config;
struct findings;

/* Kafka: reachable, every topic there, the settings that promises need, and the
 * rights of README's table on topics, group and transactional id. */
void preflight_kafka(const struct config *config, const struct findings *f);
/* Redis: reachable, new enough, what its ACL permits, how durable it is. */
void preflight_redis(const struct config *config, const struct findings *f);
/* The schema registry, if one is configured. */
void preflight_registry(const struct config *config, const struct findings *f);

#endif
