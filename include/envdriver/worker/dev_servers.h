/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev_servers: what `envdriver dev` needs no installation for: librdkafka's
 * mock cluster in this process, and a private redis-server.
 *
 * Owns the cluster, the child process and its folder; all of it goes with
 * the process. Nothing in it lasts: the mock keeps no transactional offset
 * commits.
 */
#ifndef ENVDRIVER_WORKER_DEV_SERVERS_H
#define ENVDRIVER_WORKER_DEV_SERVERS_H

struct dev_servers;
struct err;

/* Topics get `prefix`. Redis answers when this returns (at most 5 s). */
struct dev_servers *dev_servers_start(const char *prefix, struct err *reterr);
/* "127.0.0.1:40123", to which any client can connect. */
const char *dev_servers_kafka(const struct dev_servers *d);
/* "unix:///tmp/envdriver-dev-x/redis.sock" */
const char *dev_servers_redis(const struct dev_servers *d);
/* Ends the server, removes the folder. Accepts NULL. */
void dev_servers_stop(struct dev_servers *d);

#endif
