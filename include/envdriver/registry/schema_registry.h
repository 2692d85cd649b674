/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_registry: a client of a Confluent-compatible schema registry: which
 * schema an id stands for, and under which ids our schemas are registered
 * (docs/decisions.md D14 (two framings); docs/engine.md sections 3 and 9).
 *
 * Owns the HTTP client and what it has learned. An id is asked for when it is
 * looked up, and again with back-off until the registry gives a definite answer
 * or the id is no longer looked up. Definite are a body (200) and a JSON error
 * 404 or 404xx; a 404 of a proxy is not, since a wrong URL must not cost a
 * command. Knows nothing of commands. Called on the loop's thread; nothing
 * blocks.
 */
#ifndef ENVDRIVER_REGISTRY_SCHEMA_REGISTRY_H
#define ENVDRIVER_REGISTRY_SCHEMA_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct schema;
struct schema_registry;
struct schemas;

/* From the loop: something is known now, or a reason has changed. */
typedef void schema_registry_change_fn(void *arg);

/* Of schema.registry.url, which must be set. Learned ids of ours go into
 * `schemas` (schemas_set_id), which must outlive it. */
struct schema_registry *schema_registry_new(uv_loop_t *loop, const struct config *config,
					    struct schemas *schemas,
					    schema_registry_change_fn *on_change, void *arg,
					    struct err *reterr);
/* Accepts NULL. As http_client_free: not from within on_change. */
void schema_registry_free(struct schema_registry *r);

/* A schema_lookup_fn, `arg` is the registry. ERR_UNAVAILABLE: it is being
 * asked, and the text says what it last said. */
int schema_registry_find(void *arg, uint32_t id, const struct schema **ret, struct err *reterr);

/* Has our record registered under `subject`. */
int schema_registry_add(struct schema_registry *r, const char *subject, const char *record,
			struct err *reterr);
/* 0 when all that were added have an id; ERR_UNAVAILABLE while that goes on
 * (empty text: nothing went wrong so far), else the registry refused:
 * ERR_CONFIG, ERR_DENIED. */
int schema_registry_added(const struct schema_registry *r, struct err *reterr);
/* Of a subject that has one. */
uint32_t schema_registry_id(const struct schema_registry *r, const char *subject);

/* Why ids that are asked for are not known yet, one line; "" when nothing
 * went wrong. Borrowed until the loop goes on. */
const char *schema_registry_why(const struct schema_registry *r);
/* How many ids are being asked for. */
size_t schema_registry_asking(const struct schema_registry *r);

#endif
