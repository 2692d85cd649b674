/* SPDX-License-Identifier: Apache-2.0 */
#include "answer_reader.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/command/command.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"

enum { CREDENTIAL_MAX = 64 << 10 };

struct span
answer_reader_plugin_key(const struct answer_reader *r)
{
	if (r->chosen->plugin_key.ptr)
		return r->chosen->plugin_key;
	return r->command->plugin_key;
}

void
answer_reader_bad(struct answer_reader *r, const char *path, const char *expected,
		  enum jtext_kind got)
{
	answer_reader_refuse(r, path, expected, jtext_kind_name(got));
}

void
answer_reader_refuse(struct answer_reader *r, const char *path, const char *expected,
		     const char *got)
{
	struct buf *message = &r->answer->outcome.message;

	outcome_begin(&r->answer->outcome, CODE_BAD_RESPONSE);
	buf_adds(message, "Plugin \"");
	buf_addspan(message, answer_reader_plugin_key(r));
	buf_addf(message, "\" answered %s with %s: expected %s, got %s.", r->reply->method,
		 path, expected, got);
}

bool
answer_reader_fields(struct answer_reader *r, const struct answer_field *fields, size_t n,
		     struct jtext values[ANSWER_FIELDS_MAX])
{
	struct jtext result = r->reply->result, value;
	struct jtext_iter it;
	struct span key;
	char path[64];
	size_t i;

	assert(n <= ANSWER_FIELDS_MAX);
	if (result.kind != JTEXT_OBJECT) {
		answer_reader_bad(r, "result", jtext_kind_name(JTEXT_OBJECT), result.kind);
		return false;
	}
	memset(values, 0, n * sizeof(*values));
	jtext_iter_init(&it, result);
	while (jtext_iter_next(&it, &key, &value))
		for (i = 0; i < n; i++)
			if (jtext_is((struct jtext){ JTEXT_STRING, key }, fields[i].name))
				values[i] = value;
	for (i = 0; i < n; i++) {
		if (values[i].kind == JTEXT_MISSING || !fields[i].kinds ||
		    (fields[i].kinds & ANSWER_IS(values[i].kind)))
			continue;
		snprintf(path, sizeof(path), "result.%s", fields[i].name);
		answer_reader_bad(r, path, jtext_kind_name(fields[i].expected), values[i].kind);
		return false;
	}
	return true;
}

void
answer_reader_without(struct answer_reader *r, const char *name)
{
	answer_warn(r->answer, "the plugin answered %s without \"%s\"", r->reply->method, name);
}

void
answer_reader_add_text(struct answer_reader *r, struct buf *out, const char *name,
		       struct jtext value)
{
	bool replaced = false;

	if (value.kind == JTEXT_STRING)
		jtext_decode(value, out, &replaced);
	else
		buf_addspan(out, value.raw);
	if (replaced)
		answer_warn(r->answer, "%s: lone surrogates were replaced by U+FFFD", name);
}

void
answer_reader_decode(struct answer_reader *r, enum answer_slot slot, const char *name,
		     struct jtext value)
{
	r->answer->has[slot] = true;
	answer_reader_add_text(r, &r->answer->texts[slot], name, value);
}

bool
answer_reader_credential(struct answer_reader *r, const char *path, struct jtext value)
{
	struct buf *out = &r->answer->texts[ANSWER_CREDENTIAL];
	char expected[48], got[48];

	if (value.raw.len > CREDENTIAL_MAX) {
		snprintf(expected, sizeof(expected), "at most %d bytes", CREDENTIAL_MAX);
		snprintf(got, sizeof(got), "%zu", value.raw.len);
		answer_reader_refuse(r, path, expected, got);
		return false;
	}
	buf_addspan(out, value.raw);
	r->answer->has[ANSWER_CREDENTIAL] = true;
	return true;
}

void
answer_reader_add_subject(const struct answer_reader *r, struct buf *out)
{
	const struct command *c = r->command;

	buf_adds(out, c->target == COMMAND_TARGET_PROVIDER ? "Sandbox provider \""
							   : "Plugin environment driver \"");
	command_provider_key(c, out);
	buf_addch(out, '"');
}
