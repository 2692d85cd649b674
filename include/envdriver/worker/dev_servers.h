/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev_servers: Kafka and Redis for `envdriver dev`: librdkafka's mock cluster
 * in this process, and a private redis-server.
 *
 * Owns the cluster, the child process and its folder; all of them end with the
 * process, also when it is killed. Nothing in them lasts: the mock does not even
 * keep offsets that were committed in transactions.
 */
#ifndef ENVDRIVER_WORKER_DEV_SERVERS_H
#define ENVDRIVER_WORKER_DEV_SERVERS_H

struct dev_servers;
struct err;

/* The topics get `prefix`. Blocks until Redis answers (at most 5 s). NULL on
 * error. */
struct dev_servers *dev_servers_start(const char *prefix, struct err *reterr);
/* "127.0.0.1:40123", for any client; borrowed until dev_servers_stop. */
const char *dev_servers_kafka(const struct dev_servers *d);
/* "unix:///tmp/envdriver-dev-x/redis.sock" */
const char *dev_servers_redis(const struct dev_servers *d);
/* Theirs alone; what is put there is removed with it. */
const char *dev_servers_folder(const struct dev_servers *d);
/* Ends the server, removes the folder. Accepts NULL. */
void dev_servers_stop(struct dev_servers *d);

#endif
