/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation: the table of everything a command can ask for.
 *
 * Owns the table and nothing else: operation -> RPC method, fields in the
 * order in which they are sent, how null is sent, time limit, repeatable or
 * not, result topic (docs/operations.md, docs/schemas.md).
 */
#ifndef ENVDRIVER_COMMAND_OPERATION_H
#define ENVDRIVER_COMMAND_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envdriver/kafka/event.h"

enum operation_id {
	OPERATION_VALIDATE_CONFIG,
	OPERATION_PROBE,
	OPERATION_ACQUIRE_LEASE,
	OPERATION_RESUME_LEASE,
	OPERATION_RELEASE_LEASE,
	OPERATION_DESTROY_LEASE,
	OPERATION_REALIZE_WORKSPACE,
	OPERATION_EXECUTE,
	OPERATION_LIST_DRIVERS,
	OPERATION_SYNC_IN,
	OPERATION_SYNC_OUT,
	OPERATION_RUNNER_INGRESS_ENDPOINT,
	OPERATION_START_INTERACTIVE_SETUP,
	OPERATION_GET_INTERACTIVE_SETUP,
	OPERATION_CANCEL_INTERACTIVE_SETUP,
	OPERATION_CAPTURE_TEMPLATE,
	OPERATION_DELETE_TEMPLATE,
	OPERATION_COUNT
};

enum { OPERATION_FIELDS_MAX = 8, OPERATION_ID_MAX = 1024 };

enum field_kind {
	FIELD_STRING,
	FIELD_ID,		/* a string of at most OPERATION_ID_MAX bytes */
	FIELD_PATH,		/* the path of a URL: starts with '/', no query */
	FIELD_OBJECT,		/* JSON text, an object */
	FIELD_LEASE,		/* JSON text, an object with providerLeaseId */
	FIELD_ENV,		/* JSON text, an object of strings and secret references */
	FIELD_SYNC,		/* JSON text, an array of sync operations */
	FIELD_STRINGS,		/* Avro array of strings, held as JSON text */
	FIELD_BOOL,
	FIELD_INT,		/* int or long */
};

struct operation_field {
	const char *name;
	enum field_kind kind;
	bool required;		/* null is not allowed */
	bool filled;		/* nor is the empty string */
	bool send_null;		/* null goes out as null, not left out */
	bool skip_false;	/* false is left out like null */
	bool keep;		/* ours: not sent to the plugin */
	int64_t min, max;	/* of an INT; 0, 0: any */
};

/* Where the time limit of the call comes from (docs/operations.md, "Time limits"). */
enum operation_limit {
	LIMIT_NONE,		/* no call is made */
	LIMIT_DEFAULT,		/* plugin.call.timeout */
	LIMIT_PROBE,		/* 120 s */
	LIMIT_LEASE,		/* larger of config.timeoutMs, .bridgeRequestTimeoutMs, + 30 s */
	LIMIT_OWN,		/* operation.timeoutMs, else config.timeoutMs, + 30 s */
	LIMIT_SETUP,		/* config.timeoutMs + 30 s */
};

struct operation {
	enum operation_id id;
	const char *name;	/* the Avro record: "Execute" */
	const char *rpc;	/* "environmentExecute"; NULL: no call */
	enum topic result;
	enum operation_limit limit;
	bool send_issue_null;	/* issueId goes out as null when there is none */
	bool once;		/* P3: called twice only when the command allows it */
	/* Its answer brings a lease (P4), and this ends one that nobody owns;
	 * NULL: it brings none. */
	const char *end_rpc;
	bool lease_key;		/* its lease orders it by default (docs/decisions.md D7) */
	struct operation_field fields[OPERATION_FIELDS_MAX + 1];	/* ends with a NULL name */
};

const struct operation *operation_by_id(enum operation_id id);
/* NULL when there is none of that name. */
const struct operation *operation_by_name(struct span name);

#endif
