/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_conf: the settings of a client of librdkafka, by its role: the
 * user's kafka.* keys untouched, our settings over and under them. Also which
 * of their values may not be shown.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_KAFKA_CLIENT_CONF_H
#define ENVDRIVER_KAFKA_CLIENT_CONF_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "envdriver/base/buf.h"

struct config;
struct err;

enum client_conf_role {
	CLIENT_CONF_CONSUMER,	/* of commands, a member of the group */
	CLIENT_CONF_OFFSETS,	/* read_committed, of the group but no member: reads its offsets */
	CLIENT_CONF_PUBLISHER,	/* transactional producer */
	CLIENT_CONF_BEST_EFFORT,	/* producer with a small queue, which loses records */
	CLIENT_CONF_ADMIN,
	CLIENT_CONF_ROLES
};

/* NULL and ERR_CONFIG naming the key ("kafka.ssl.ca.location: …"), secrets
 * masked. `transactional_id` for CLIENT_CONF_PUBLISHER only. The caller owns
 * the result. */
rd_kafka_conf_t *client_conf_new(const struct config *config, enum client_conf_role role,
				 const char *transactional_id, struct err *reterr);

/* ERR_CONFIG when that librdkafka has known faults with this assignor: loops,
 * lost assignments, records twice, all fixed by 2.10 (librdkafka #4783, #4908).
 * Pure. */
int client_conf_assignor(int librdkafka_version, const char *assignor, struct err *reterr);

/* ERR_CONFIG naming key, file and cause when `name` (without "kafka.") is that
 * of a TLS file which cannot be read. */
int client_conf_check_file(const char *name, const char *value, struct err *reterr);

/* Appends the values of the configuration that may not be shown, each ended
 * by a NUL. False when out of memory. */
bool client_conf_secrets(const struct config *config, struct buf *secrets);
/* Appends `text` with every secret value in `secrets` (each ended by a NUL)
 * as ***. Pure. */
void client_conf_mask(struct span secrets, const char *text, struct buf *out);

#endif
