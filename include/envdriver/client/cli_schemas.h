/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_schemas: the schemas as the command line has them: ours, and with
 * schema.registry.url those of the registry too, asked for and waited for.
 *
 * Owns the schemas and a loop of its own.
 */
#ifndef ENVDRIVER_CLIENT_CLI_SCHEMAS_H
#define ENVDRIVER_CLIENT_CLI_SCHEMAS_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/kafka/topic.h"

struct cli_schemas;
struct config;
struct err;
struct schemas;

/* Asks nobody yet. */
struct cli_schemas *cli_schemas_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void cli_schemas_free(struct cli_schemas *s);

/* Borrowed. A look-up of a registry's id waits for the answer, and is
 * ERR_UNAVAILABLE when none came in time. NULL when `s` is. */
struct schemas *cli_schemas_get(const struct cli_schemas *s);

/* The id under which the registry knows the topic's record, which is
 * registered when it is not; waits for it. *ret_used is false without a
 * registry. */
int cli_schemas_register(const struct config *config, enum topic topic, bool *ret_used,
			 uint32_t *ret_id, struct err *reterr);

#endif
