/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: one EnvironmentCommand, read and checked.
 *
 * Owns all its bytes. Knows nothing of Kafka. Decoding never trusts a byte:
 * pre-scan, avro-c with the writer's schema, copy by field name, then the
 * limits of docs/schemas.md ("Limits checked before anything is claimed").
 */
#ifndef ENVDRIVER_COMMAND_COMMAND_H
#define ENVDRIVER_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/operation.h"

struct err;
struct schemas;

enum command_target {
	COMMAND_TARGET_NONE,
	COMMAND_TARGET_DRIVER,		/* PluginDriver */
	COMMAND_TARGET_PROVIDER,	/* SandboxProvider */
};

/* The header that holds the signature of a command: HMAC-SHA256 of the record's
 * value under command.token, in lower-case hex. */
#define COMMAND_SIGNATURE "envdriver-signature"

/* One field of the operation; which member counts is the field's kind. */
struct command_value {
	bool present;		/* false: null */
	bool flag;
	int64_t number;
	struct span text;	/* strings and JSON text */
};

/* Every span is borrowed from the command and NUL-terminated. */
struct command {
	struct span id;
	int64_t issued_at;		/* wall ms */
	struct span issued_by;		/* ptr NULL: null, here and below */
	struct span company_id;
	struct span environment_id;
	struct span issue_id;
	struct span ordering_key;	/* as it applies (docs/decisions.md D7); ptr NULL: none */
	int64_t expires_at;		/* wall ms, -1: null */
	bool rerun;
	struct span traceparent;	/* valid W3C form, or ptr NULL */
	enum command_target target;
	struct span plugin_key;		/* of a PluginDriver */
	struct span driver_key;		/* driverKey, or provider */
	struct span pinned_id;		/* target.pluginId; ptr NULL when null or empty */
	struct span config;
	struct span lease_id;		/* providerLeaseId of the operation, or of its lease */
	const struct operation *op;
	struct command_value values[OPERATION_FIELDS_MAX];	/* as op->fields */
	size_t bytes;			/* memory held, for the limits */
};

enum reject_reason {
	REJECT_WAIT = -2,	/* its schema is not known yet: try again later */
	REJECT_NOTHING = -1,	/* out of memory: try again */
	REJECT_UNREADABLE,	/* UNREADABLE_COMMAND */
	REJECT_INVALID,		/* INVALID_COMMAND */
	REJECT_DUPLICATE,	/* DUPLICATE_COMMAND */
	REJECT_TOO_LARGE,	/* COMMAND_TOO_LARGE */
};

/* Why a record is rejected. Ids are what could be read, for the dead letter:
 * NUL-terminated copies, empty when unknown or too long. */
struct reject {
	enum reject_reason reason;
	char message[400];
	char field[100];	/* "operation.lease"; empty when not INVALID */
	char command_id[201];
	char company_id[1025];
	char environment_id[1025];
	char operation[64];
};

/*
 * Reads commands, one after another: keeps the avro-c value and the scratch
 * memory between them. Belongs to one thread. `schemas` must outlive it.
 */
struct command_decoder;
struct command_decoder *command_decoder_new(const struct schemas *schemas, size_t max_bytes,
					    struct err *reterr);
/* Accepts NULL. Commands that it made live on. */
void command_decoder_free(struct command_decoder *d);

/*
 * Reads the value of a Kafka record (ptr NULL: a tombstone).
 * `traceparent_header` (ptr NULL when there is none) wins over the field; an
 * invalid one is ignored. Returns the command, which the caller frees, or
 * NULL with *ret_reject filled; its reason is REJECT_NOTHING when out of
 * memory, REJECT_WAIT when the schemas' lookup does not know its schema yet.
 */
struct command *command_decode(struct command_decoder *d, struct span value,
			       struct span traceparent_header, struct reject *ret_reject);
void command_free(struct command *c);

/* The value of the operation's field `name`; asserts that it has such a field.
 * Borrowed from the command. */
const struct command_value *command_value(const struct command *c, const char *name);

/* JSON text of a command, which was checked when it was read, without the white
 * space around it. */
struct jtext command_json(struct span text, enum jtext_kind kind);
struct jtext command_config(const struct command *c);

/* "UNREADABLE_COMMAND", ...: as a dead letter names the reason. Not for the
 * negative ones. */
const char *command_reject_name(enum reject_reason reason);

/* "<pluginKey>:<driverKey>" of a PluginDriver, the provider of a
 * SandboxProvider: K and P of docs/operations.md. */
void command_provider_key(const struct command *c, struct buf *out);

/* UUID v5 of the command id, 36 characters and a NUL (docs/engine.md section 2). */
void command_invocation_id(const struct command *c, char ret[37]);

/* P3: called twice only when the command allows it. Commands that a sync runs
 * count like those of an Execute. */
bool command_runs_once(const struct command *c);

#endif
