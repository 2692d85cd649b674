/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture: commands from JSON, and events as JSON, for the tests of what
 * reads and writes them.
 */
#ifndef ENVDRIVER_TESTS_FIXTURE_H
#define ENVDRIVER_TESTS_FIXTURE_H

#include "unit.h"

#include <jansson.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/event.h"

const struct schemas *fixture_schemas(void);

/* JSON text that jtext has accepted. */
struct jtext fixture_json(const char *text);

/* The framed EnvironmentCommand of a JSON object: as docs/schemas.md has it as plain JSON,
	JSON-text fields as text or as JSON; commandId is "c1" by itself. */
void fixture_encode(const char *json, struct buf *out);

struct command *fixture_decode(const char *json, struct reject *ret_reject);

/* A command that must be fine. */
struct command *fixture_command(const char *json);

struct outcome;
struct secret_refs;

/* Appends "path=id" of each, with spaces between. */
void fixture_print_refs(const struct secret_refs *refs, struct buf *out);

/* As request_params, with a schema's text (kind MISSING: none); *ret_refs (may be
 * NULL) gets "path=id" of each reference. */
int fixture_params(const struct command *c, struct jtext schema, struct buf *out,
		   struct buf *ret_refs, struct outcome *ret_failure);

/* Appends an Avro value as JSON: unions without tags, bytes as text. */
void fixture_print(avro_value_t *v, struct buf *out);

/* A field of printed JSON: "outcome.error.code". */
struct jtext fixture_at(struct jtext from, const char *path);

/* The record of an event as JSON. */
void fixture_print_event(const struct event *ev, struct buf *out);

void fixture_print_headers(const struct event *ev, struct buf *out);

#endif
