/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_reader: reads the fields of one reply into an answer.
 *
 * Owns nothing; all it points to is borrowed. The readers of the operations
 * (answer_read.h) use it; it knows none of them.
 */
#ifndef ENVDRIVER_RESULT_ANSWER_READER_H
#define ENVDRIVER_RESULT_ANSWER_READER_H

#include "answer.h"

struct chosen;
struct command;
struct rpc_answer;

struct answer_reader {
	struct answer *answer;
	const struct command *command;
	const struct chosen *chosen;
	const struct rpc_answer *reply;
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

/* Finds the fields of the reply's result in one walk; false with a
 * BAD_RESPONSE outcome when the result is not an object or a field has the
 * wrong type. `values` are in the order of `fields`. */
bool answer_reader_fields(struct answer_reader *r, const struct answer_field *fields, size_t n,
			  struct jtext values[ANSWER_FIELDS_MAX]);
/* BAD_RESPONSE: `path` is "result" or "result.<field>". */
void answer_reader_bad(struct answer_reader *r, const char *path, const char *expected,
		       enum jtext_kind got);
/* The same for a value of the right type. */
void answer_reader_refuse(struct answer_reader *r, const char *path, const char *expected,
			  const char *got);
/* A warning: a field that the protocol demands is not there. */
void answer_reader_without(struct answer_reader *r, const char *name);
/* Appends a string decoded, anything else as JSON text; lone surrogates are
 * replaced, and a warning names the field. */
void answer_reader_add_text(struct answer_reader *r, struct buf *out, const char *name,
			    struct jtext value);
/* The same, into a slot. */
void answer_reader_decode(struct answer_reader *r, enum answer_slot slot, const char *name,
			  struct jtext value);
/* A live credential leaves the answer: it is kept apart from what is published.
 * False, with a BAD_RESPONSE for `path`, when it is too large. */
bool answer_reader_credential(struct answer_reader *r, const char *path, struct jtext value);
/* Appends `Plugin environment driver "K"` or `Sandbox provider "P"`. */
void answer_reader_add_subject(const struct answer_reader *r, struct buf *out);
/* The key of the plugin that replied. */
struct span answer_reader_plugin_key(const struct answer_reader *r);

#endif
