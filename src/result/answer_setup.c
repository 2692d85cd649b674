/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_setup: what a plugin answered about a set-up session or a template. Readers
 * of answer_read.
 */
#include "answer_read.h"

#include <string.h>

#include "answer_reader.h"
#include "envdriver/base/clock.h"
#include "envdriver/command/command.h"

enum { NAME_MAX_LEN = 60 };

static const char *const statuses[] = { "starting", "waiting_for_user", "capturing", "promoted",
					"cancelled", "timed_out", "failed", "missing", NULL };

/* A string that must be there and not be empty. */
static bool
read_needed(struct answer_reader *r, enum answer_slot slot, const char *path, struct jtext value)
{
	if (value.kind != JTEXT_STRING) {
		answer_reader_bad(r, path, jtext_kind_name(JTEXT_STRING), value.kind);
		return false;
	}
	if (jtext_is(value, "")) {
		answer_reader_refuse(r, path, "a text", "an empty one");
		return false;
	}
	answer_reader_decode(r, slot, path + strlen("result."), value);
	return true;
}

static bool
read_status(struct answer_reader *r, struct jtext status)
{
	size_t i;

	if (!read_needed(r, ANSWER_STATUS, "result.status", status))
		return false;
	for (i = 0; statuses[i]; i++)
		if (jtext_is(status, statuses[i]))
			return true;
	answer_warn(r->answer, "\"status\" is none that the protocol knows");
	return true;
}

/* Only what the protocol has there: nothing else is known to be no secret. */
static void
read_summary(struct answer_reader *r, struct jtext summary)
{
	static const char *const known[] = { "type", "username", "hostRedacted", "portRedacted",
					     "commandRedacted", "expiresAt", "metadata", NULL };
	struct buf *out = &r->answer->texts[ANSWER_CONNECTION];
	struct jtext_iter it;
	struct jtext value;
	struct span key;
	size_t i;

	if (!answer_given(summary))
		return;
	jtext_iter_init(&it, summary);
	while (jtext_iter_next(&it, &key, &value)) {
		for (i = 0; known[i]; i++)
			if (jtext_is((struct jtext){ JTEXT_STRING, key }, known[i]))
				break;
		if (known[i])
			answer_add_member(out, known[i], value);
		else
			answer_warn(r->answer, "%.*s of \"connectionSummary\" is left out: the "
				    "protocol does not know it",
				    key.len > NAME_MAX_LEN ? 8 : (int)key.len,
				    key.len > NAME_MAX_LEN ? "a member" : key.ptr);
	}
	buf_adds(out, out->len ? "}" : "{}");
	r->answer->has[ANSWER_CONNECTION] = true;
}

/* When the credential ends by itself, in wall ms; 0: nobody says. */
static int64_t
expiry_of(struct jtext payload, struct jtext session)
{
	const struct jtext said[] = { jtext_get(payload, "expiresAt"), session };
	struct buf text = BUF_INIT;
	int64_t at = 0;
	size_t i;

	for (i = 0; i < 2 && !at; i++) {
		buf_reset(&text);
		if (said[i].kind == JTEXT_STRING)
			jtext_decode(said[i], &text, /* ret_replaced= */ NULL);
		if (text.failed || !text.len || clock_parse(text.data, text.len, &at) < 0)
			at = 0;
	}
	buf_release(&text);
	return at;
}

static bool
read_payload(struct answer_reader *r, struct jtext payload, struct jtext expires)
{
	bool asked = command_value(r->command, "includeConnectionPayload")->flag;

	if (!answer_given(payload)) {
		if (asked)
			answer_warn(r->answer, "the plugin gave no connection payload");
		return true;
	}
	/* Whoever did not ask gets none, but what is a secret is known all the same. */
	if (!answer_reader_credential(r, "result.connectionPayload", payload))
		return false;
	r->answer->credential_unasked = !asked;
	r->answer->credential_until = expiry_of(payload, expires);
	return true;
}

void
answer_setup_session(struct answer_reader *r)
{
	enum { OBJECT = ANSWER_IS(JTEXT_OBJECT) | ANSWER_IS(JTEXT_NULL) };
	static const struct answer_field fields[] = {
		{ "providerLeaseId", ANSWER_IS(JTEXT_STRING) | ANSWER_IS(JTEXT_NUMBER) |
		  ANSWER_IS(JTEXT_NULL), JTEXT_STRING },
		{ "status", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "connectionSummary", OBJECT, JTEXT_OBJECT },
		{ "connectionPayload", OBJECT, JTEXT_OBJECT },
		{ "expiresAt", 0, JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (answer_given(v[0]) && !jtext_is(v[0], "") && !answer_lease_id(r, v[0]))
		return;
	if (r->answer->has[ANSWER_LEASE_ID] && r->command->lease_id.ptr &&
	    !span_eq(answer_text(r->answer, ANSWER_LEASE_ID), r->command->lease_id))
		answer_warn(r->answer, "the answer names another \"providerLeaseId\" than the "
				       "command");
	if (!read_status(r, v[1]) || !read_payload(r, v[3], v[4]))
		return;
	read_summary(r, v[2]);
	if (answer_given(v[4]))
		answer_reader_decode(r, ANSWER_EXPIRES_AT, "expiresAt", v[4]);
	r->answer->metadata = answer_json(v[5]);
}

void
answer_setup_cancel(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "status", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v) ||
	    !read_status(r, v[0]))
		return;
	r->answer->metadata = answer_json(v[1]);
}

void
answer_setup_capture(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "templateRef", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "templateKind", ANSWER_IS(JTEXT_STRING) | ANSWER_IS(JTEXT_NULL), JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v) ||
	    !read_needed(r, ANSWER_TEMPLATE_REF, "result.templateRef", v[0]))
		return;
	if (answer_given(v[1]))
		answer_reader_decode(r, ANSWER_TEMPLATE_KIND, "templateKind", v[1]);
	else
		answer_reader_without(r, "templateKind");
	r->answer->metadata = answer_json(v[2]);
}

void
answer_setup_delete(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "deleted", ANSWER_BOOL, JTEXT_TRUE },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	r->answer->has_deleted = v[0].kind != JTEXT_MISSING;
	r->answer->deleted = v[0].kind == JTEXT_TRUE;
	if (!r->answer->has_deleted)
		answer_reader_without(r, "deleted");
	r->answer->metadata = answer_json(v[1]);
}
