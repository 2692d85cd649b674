/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape: what a plugin answered, as the fields of a result (docs/operations.md,
 * both tables and "Outcomes").
 *
 * Owns the texts that it makes; JSON values are borrowed from the answer or
 * the command. Strict where the original let JavaScript decide. Knows nothing
 * of Avro, Kafka or time. Private to src/pipeline/{shape,result}*.c.
 */
#ifndef ENVDRIVER_RESULT_ANSWER_H
#define ENVDRIVER_RESULT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"
#include "envdriver/result/result.h"

struct command;
struct rpc_answer;

/* Texts, one after another, each with its length before it. */
struct answer_list {
	struct buf bytes;
	size_t count;
};
void answer_list_add(struct answer_list *l, struct span text);
/* `*cursor` starts at 0. False at the end. */
bool answer_list_next(const struct answer_list *l, size_t *cursor, struct span *ret);

enum answer_slot {
	ANSWER_SUMMARY,
	ANSWER_DETAILS,
	ANSWER_LEASE_ID,
	ANSWER_EXPIRES_AT,
	ANSWER_RECEIPT_STATE,	/* set: the receipt counts */
	ANSWER_CWD,
	ANSWER_SIGNAL,
	ANSWER_STDOUT,
	ANSWER_STDERR,
	ANSWER_SLOTS
};

struct answer {
	struct outcome outcome;
	struct answer_list warnings;	/* for trace.warnings */
	struct answer_list config_warnings;
	bool has[ANSWER_SLOTS];
	struct buf texts[ANSWER_SLOTS];
	struct span metadata;		/* JSON; ptr NULL: missing or null, here and below */
	struct span config;		/* JSON */
	bool ok;			/* probe: what it found */
	bool has_lease;
	bool lease_lost;
	bool has_exit_code;
	int32_t exit_code;
	bool timed_out;
};

void answer_init(struct answer *s);
void answer_release(struct answer *s);
/* Empties it; small memory is kept for the next answer. */
void answer_reset(struct answer *s);
/* An allocation failed: what it holds is unusable. */
bool answer_failed(const struct answer *s);
/* Puts the result's own fields back to their defaults. */
void answer_clear_fields(struct answer *s);

/* ptr NULL when it was not set. */
struct span answer_text(const struct answer *s, enum answer_slot slot);

/* Fills `s` (reset before) from how the call ended. Unless the outcome is
 * SUCCEEDED, the own fields are at their defaults, but for config_warnings of
 * CONFIG_REJECTED. */
void answer_answer(struct answer *s, const struct command *c, const struct chosen *chosen,
		  const struct rpc_answer *answer);

/* What the shaping of one answer needs. */
struct answer_call {
	const struct command *command;
	const struct chosen *chosen;
	const struct rpc_answer *answer;
};

/* A field of an answer that must be of one of these kinds when present. */
struct answer_field {
	const char *name;
	unsigned kinds;		/* ANSWER_IS(kind) | ..., 0: any */
	enum jtext_kind expected;	/* for the error text */
};
#define ANSWER_IS(kind) (1u << (kind))
#define ANSWER_BOOL (ANSWER_IS(JTEXT_TRUE) | ANSWER_IS(JTEXT_FALSE))
enum { ANSWER_FIELDS_MAX = 8 };

/* Finds the fields of the answer's result in one walk; false with a
 * BAD_RESPONSE outcome when the result is no object or a field has the wrong
 * type. `values` are as `fields`. */
bool answer_fields(struct answer *s, const struct answer_call *call,
		   const struct answer_field *fields, size_t n,
		   struct jtext values[ANSWER_FIELDS_MAX]);
/* BAD_RESPONSE: `path` is "result" or "result.<field>". */
void answer_bad(struct answer *s, const struct answer_call *call, const char *path,
	       const char *expected, enum jtext_kind got);
/* Whether there is a value: neither missing nor null. */
bool answer_given(struct jtext value);
/* Appends a string decoded, anything else as JSON text; lone surrogates are
 * replaced and a warning names where. */
void answer_add_text(struct answer *s, struct buf *out, const char *name, struct jtext value);
/* The same, into a slot. */
void answer_decode(struct answer *s, enum answer_slot slot, const char *name, struct jtext value);
/* The raw text of a value that is given, else ptr NULL. */
struct span answer_json(struct jtext value);
void answer_warn(struct answer *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends a member to a JSON object in the making, which its caller closes. */
void answer_add_member(struct buf *out, const char *name, struct jtext value);
/* Appends `Plugin environment driver "K"` or `Sandbox provider "P"`. */
void answer_add_subject(const struct command *c, struct buf *out);
/* The key of the plugin that answered. */
struct span answer_plugin_key(const struct answer_call *call);

/* One for each operation that is built. */
void answer_validate(struct answer *s, const struct answer_call *call);
void answer_probe(struct answer *s, const struct answer_call *call);
void answer_realize(struct answer *s, const struct answer_call *call);
void answer_acquire(struct answer *s, const struct answer_call *call);
void answer_resume(struct answer *s, const struct answer_call *call);
void answer_release_lease(struct answer *s, const struct answer_call *call);
void answer_destroy(struct answer *s, const struct answer_call *call);
void answer_execute(struct answer *s, const struct answer_call *call);

#endif
