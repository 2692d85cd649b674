/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_schemas: the schemas for the command line: the program's own and, with
 * schema.registry.url, those of the registry, which it fetches and waits for.
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

/* Does not connect yet. NULL on error. */
struct cli_schemas *cli_schemas_new(const struct config *config, struct err *reterr);
/* Accepts NULL. */
void cli_schemas_free(struct cli_schemas *s);

/* Borrowed until cli_schemas_free. A look-up of a registry's id blocks until
 * the answer comes (20 s, then ERR_UNAVAILABLE). NULL when `s` is NULL. */
struct schemas *cli_schemas_get(const struct cli_schemas *s);

/* Whether the registry answers. Registers nothing. Blocks, at most 20 s. Only
 * with a registry. */
int cli_schemas_ask(const struct config *config, struct err *reterr);

/* The registry's id of the topic's record, which is registered if it is not
 * yet. Blocks, at most 20 s. Without a registry *ret_used is false. */
int cli_schemas_register(const struct config *config, enum topic topic, bool *ret_used,
			 uint32_t *ret_id, struct err *reterr);

#endif
