/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafkaconf: makes and ends the handles of librdkafka: the user's kafka.*
 * keys untouched, our settings over and under them, its log in ours.
 *
 * Owns what a handle's callbacks need (hooks, values to be masked) until the
 * handle is closed. Knows nothing of transactions or groups.
 */
#ifndef ENVDRIVER_KAFKA_CLIENT_CONF_H
#define ENVDRIVER_KAFKA_CLIENT_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/base/buf.h"

struct config;
struct err;

enum client_conf_role {
	CLIENT_CONF_CONSUMER,	/* of commands, a member of the group */
	CLIENT_CONF_OFFSETS,	/* read_committed, of the group but no member: reads its offsets */
	CLIENT_CONF_PUBLISHER,	/* transactional producer */
	CLIENT_CONF_BEST_EFFORT,	/* best-effort producer with a small queue */
	CLIENT_CONF_ADMIN,
	CLIENT_CONF_SENDER,	/* idempotent producer, for the command line */
	CLIENT_CONF_WATCHER,	/* read_committed, assigned by hand, for the command line */
	CLIENT_CONF_ROLES
};

/* Called on the thread that polls the handle. Any may be NULL. */
struct client_conf_hooks {
	/* Errors of the client as a whole; `fatal`: the handle is dead. */
	void (*on_error)(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal);
	void (*on_delivery)(void *arg, const rd_kafka_message_t *m);
	void (*on_rebalance)(void *arg, rd_kafka_resp_err_t what,
			     const rd_kafka_topic_partition_list_t *parts);
	/* Each log line, on any thread, also below log.level. */
	void (*on_log)(void *arg, const char *facility, const char *text);
	void *arg;
};

/*
 * The settings of a handle, for client_conf_open and the tests. NULL and
 * ERR_CONFIG naming the key ("kafka.ssl.ca.location: …"), secrets masked.
 * `transactional_id` for CLIENT_CONF_PUBLISHER only. The caller owns it.
 */
rd_kafka_conf_t *client_conf_new(const struct config *config, enum client_conf_role role,
			       const char *transactional_id, struct err *reterr);

/* A handle; the hooks are copied. ERR_CONFIG as above (also for files that
 * cannot be read), ERR_UNAVAILABLE when no thread could be started. Does not
 * wait for a broker. */
rd_kafka_t *client_conf_open(const struct config *config, enum client_conf_role role,
			   const char *transactional_id, const struct client_conf_hooks *hooks,
			   struct err *reterr);

/*
 * Makes the bootstrap addresses known again to a handle that seems to have
 * lost all brokers; `tries` counts its fruitless looks, and only some of them
 * (4, 8, 16, …, then each 64th) do anything. From 2.10 on librdkafka forgets
 * the brokers that an answer does not list; the answer of a broker that is
 * just being readmitted lists none, and then it has nobody left to ask.
 */
void client_conf_bootstrap(const struct config *config, rd_kafka_t *rk, unsigned tries);

/* From here no hook is called; a rebalance that comes all the same is
 * answered with an empty assignment. Any thread. */
void client_conf_mute(rd_kafka_t *rk);
/* Mutes and destroys; can block for seconds. Accepts NULL. A consumer is not
 * closed by it: its member must have left before, or times out. */
void client_conf_close(rd_kafka_t *rk);
/* The same on a thread of its own, at once. Accepts NULL. */
void client_conf_discard(rd_kafka_t *rk);
/* Waits for those threads, at most `timeout_ms`: only where a process ends
 * and its sanitizer wants to see everything given back. Blocks. */
void client_conf_settle(int timeout_ms);

/* ERR_CONFIG when that librdkafka has known faults with this assignor: loops,
 * lost assignments, records twice, all mended by 2.10. Pure. */
int client_conf_assignor(int librdkafka_version, const char *assignor, struct err *reterr);

/* 77 for what the broker does not permit, 78 for TLS and mechanisms that do
 * not fit, 0 when it may pass by itself. */
int client_conf_exit_code(rd_kafka_resp_err_t code);

/* ERR_CONFIG naming key, file and cause when `name` (without "kafka.") is that
 * of a file of TLS which cannot be read. */
int client_conf_check_file(const char *name, const char *value, struct err *reterr);

/* Why a broker's certificate was refused (X509_V_ERR_…), and the way out. Appends. */
void client_conf_certificate(int x509_error, struct buf *out);

/* The reason with a hint at the way out where there is one: the keys of a
 * login, SCRAM with a librdkafka before 2.6.1 and Kafka 4. Appends. */
void client_conf_explain(const struct config *config, rd_kafka_resp_err_t code, const char *reason,
		       struct buf *out);
/* The latter alone, NULL when there is none; pure, for the tests. */
const char *client_conf_hint(int librdkafka_version, const char *sasl_mechanism,
			   rd_kafka_resp_err_t code);

/* Appends the values of the configuration that may not be shown, each ended
 * by a NUL. False when out of memory. */
bool client_conf_secrets(const struct config *config, struct buf *secrets);
/* Appends `text` with every secret value in `secrets` (each ended by a NUL)
 * as ***. Pure. */
void client_conf_mask(struct span secrets, const char *text, struct buf *out);

#endif
