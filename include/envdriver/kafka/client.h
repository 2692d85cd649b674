/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: opens and ends a client (handle) of librdkafka, with its callbacks,
 * its log in ours and secrets masked.
 *
 * Owns what the callbacks of a client need, until the client is freed. Knows
 * nothing of transactions or groups.
 */
#ifndef ENVDRIVER_KAFKA_CLIENT_H
#define ENVDRIVER_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "envdriver/kafka/client_conf.h"

/* Called on the thread that polls the client. Any may be NULL. */
struct client_hooks {
	/* Errors of the client as a whole; `fatal`: it is dead. */
	void (*on_error)(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal);
	void (*on_delivery)(void *arg, const rd_kafka_message_t *m);
	void (*on_rebalance)(void *arg, rd_kafka_resp_err_t what,
			     const rd_kafka_topic_partition_list_t *parts);
	/* Each log line, on any thread, also below log.level. */
	void (*on_log)(void *arg, const char *facility, const char *text);
	void *arg;
};

/* A client; the hooks are copied. NULL and ERR_CONFIG as client_conf_new (also
 * for files that cannot be read), ERR_UNAVAILABLE when no thread could be
 * started. Does not wait for a broker. */
rd_kafka_t *client_open(const struct config *config, enum client_conf_role role,
			const char *transactional_id, const struct client_hooks *hooks,
			struct err *reterr);

/*
 * Makes the bootstrap addresses known again to a client that seems to have
 * lost all brokers; `tries` counts its fruitless looks, and only some of them
 * (4, 8, 16, …, then each 64th) do anything. From 2.10 on librdkafka forgets
 * the brokers that an answer does not list; the answer of a broker that is
 * just being readmitted lists none, and then it has nobody left to ask
 * (librdkafka #5301, open with 2.16.0).
 */
void client_bootstrap(const struct config *config, rd_kafka_t *rk, unsigned tries);

/* No hook is called any more; a rebalance that comes all the same is answered
 * with an empty assignment. Any thread. */
void client_mute(rd_kafka_t *rk);
/* Mutes and destroys; can block for seconds. Accepts NULL. A consumer does not
 * leave its group by it: its member must have left before, or times out. */
void client_free(rd_kafka_t *rk);
/* The same on a thread of its own; does not block. Accepts NULL. */
void client_close(rd_kafka_t *rk);
/* Waits for those threads, at most `timeout_ms`: only where a process ends
 * and its sanitizer wants to see everything given back. Blocks. */
void client_wait_closed(int timeout_ms);

#endif
