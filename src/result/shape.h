/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape: what a plugin answered, as the fields of a result (OPERATIONS.md,
 * both tables and "Outcomes").
 *
 * Owns the texts that it makes; JSON values are borrowed from the answer or
 * the command. Strict where the original let JavaScript decide. Knows nothing
 * of Avro, Kafka or time. Private to src/pipeline/{shape,result}*.c. May use:
 * command, rpc, jtext, result (struct outcome).
 */
#ifndef ENVDRIVER_RESULT_SHAPE_H
#define ENVDRIVER_RESULT_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/result/result.h"

struct command;
struct rpc_answer;

/* Texts, one after another, each with its length before it. */
struct shape_list {
	struct buf bytes;
	size_t count;
};
void shape_list_add(struct shape_list *l, struct span text);
/* `*cursor` starts at 0. False at the end. */
bool shape_list_next(const struct shape_list *l, size_t *cursor, struct span *ret);

enum shape_slot {
	SHAPE_SUMMARY,
	SHAPE_DETAILS,
	SHAPE_LEASE_ID,
	SHAPE_EXPIRES_AT,
	SHAPE_RECEIPT_STATE,	/* set: the receipt counts */
	SHAPE_CWD,
	SHAPE_SIGNAL,
	SHAPE_STDOUT,
	SHAPE_STDERR,
	SHAPE_SLOTS
};

struct shape {
	struct outcome outcome;
	struct shape_list warnings;	/* for trace.warnings */
	struct shape_list config_warnings;
	bool has[SHAPE_SLOTS];
	struct buf texts[SHAPE_SLOTS];
	struct span metadata;		/* JSON; ptr NULL: missing or null, here and below */
	struct span config;		/* JSON */
	bool ok;			/* probe: what it found */
	bool has_lease;
	bool lease_lost;
	bool has_exit_code;
	int32_t exit_code;
	bool timed_out;
};

void shape_init(struct shape *s);
void shape_release(struct shape *s);
/* Empties it; small memory is kept for the next answer. */
void shape_reset(struct shape *s);
/* An allocation failed: what it holds is unusable. */
bool shape_failed(const struct shape *s);
/* Puts the result's own fields back to their defaults. */
void shape_clear_fields(struct shape *s);

/* ptr NULL when it was not set. */
struct span shape_text(const struct shape *s, enum shape_slot slot);

/* Fills `s` (reset before) from how the call ended. Unless the outcome is
 * SUCCEEDED, the own fields are at their defaults, but for config_warnings of
 * CONFIG_REJECTED. */
void shape_answer(struct shape *s, const struct command *c, const struct chosen *chosen,
		  const struct rpc_answer *answer);

/* What the shaping of one answer needs. */
struct shape_call {
	const struct command *command;
	const struct chosen *chosen;
	const struct rpc_answer *answer;
};

/* A field of an answer that must be of one of these kinds when present. */
struct shape_field {
	const char *name;
	unsigned kinds;		/* SHAPE_IS(kind) | ..., 0: any */
	enum jtext_kind expected;	/* for the error text */
};
#define SHAPE_IS(kind) (1u << (kind))
#define SHAPE_BOOL (SHAPE_IS(JTEXT_TRUE) | SHAPE_IS(JTEXT_FALSE))
enum { SHAPE_FIELDS_MAX = 8 };

/* Finds the fields of the answer's result in one walk; false with a
 * BAD_RESPONSE outcome when the result is no object or a field has the wrong
 * type. `values` are as `fields`. */
bool shape_fields(struct shape *s, const struct shape_call *call, const struct shape_field *fields,
		  size_t n, struct jtext values[SHAPE_FIELDS_MAX]);
/* BAD_RESPONSE: `path` is "result" or "result.<field>". */
void shape_bad(struct shape *s, const struct shape_call *call, const char *path,
	       const char *expected, enum jtext_kind got);
/* Whether there is a value: neither missing nor null. */
bool shape_given(struct jtext value);
/* Appends a string decoded, anything else as JSON text; lone surrogates are
 * replaced and a warning names where. */
void shape_add_text(struct shape *s, struct buf *out, const char *name, struct jtext value);
/* The same, into a slot. */
void shape_decode(struct shape *s, enum shape_slot slot, const char *name, struct jtext value);
/* The raw text of a value that is given, else ptr NULL. */
struct span shape_json(struct jtext value);
void shape_warn(struct shape *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends a member to a JSON object in the making, which its caller closes. */
void shape_add_member(struct buf *out, const char *name, struct jtext value);
/* Appends `Plugin environment driver "K"` or `Sandbox provider "P"`. */
void shape_add_subject(const struct command *c, struct buf *out);
/* The key of the plugin that answered. */
struct span shape_plugin_key(const struct shape_call *call);

/* One for each operation that is built. */
void shape_validate(struct shape *s, const struct shape_call *call);
void shape_probe(struct shape *s, const struct shape_call *call);
void shape_realize(struct shape *s, const struct shape_call *call);
void shape_acquire(struct shape *s, const struct shape_call *call);
void shape_resume(struct shape *s, const struct shape_call *call);
void shape_release_lease(struct shape *s, const struct shape_call *call);
void shape_destroy(struct shape *s, const struct shape_call *call);
void shape_execute(struct shape *s, const struct shape_call *call);

#endif
