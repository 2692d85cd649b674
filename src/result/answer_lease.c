/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_lease: what a plugin answered about leases: a lease, or a receipt for its
 * end. The readers of four operations of answer_read.
 */
#include "answer_read.h"

#include <stdio.h>

#include "answer_reader.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/rpc/rpc.h"

/* Metadata lies one level deep in a command's `lease`. */
enum { METADATA_DEPTH_MAX = JTEXT_DEPTH_MAX - 1 };

bool
answer_lease_id(struct answer_reader *r, struct jtext id)
{
	struct buf *text = &r->answer->texts[ANSWER_LEASE_ID];
	bool replaced = false;
	char expected[48], got[48];

	if (r->reply->secret_id.ptr) {
		answer_reader_refuse(r, "result.providerLeaseId", "an id without secrets",
				     "one that shows a secret which the plugin was given");
		return false;
	}
	if (id.kind == JTEXT_NUMBER)
		buf_addspan(text, id.raw);
	else
		jtext_decode(id, text, &replaced);
	if (replaced) {
		answer_reader_refuse(r, "result.providerLeaseId", "Unicode characters",
				     "lone surrogates");
		return false;
	}
	if (r->reply->repaired && memmem(text->data, text->len, "\xef\xbf\xbd", 3)) {
		answer_reader_refuse(r, "result.providerLeaseId", "UTF-8", "other bytes");
		return false;
	}
	if (text->len > OPERATION_ID_MAX) {
		snprintf(expected, sizeof(expected), "at most %d bytes", OPERATION_ID_MAX);
		snprintf(got, sizeof(got), "%zu", text->len);
		answer_reader_refuse(r, "result.providerLeaseId", expected, got);
		return false;
	}
	if (id.kind == JTEXT_NUMBER)
		answer_warn(r->answer, "\"providerLeaseId\" is a number; later commands name it "
				       "by its text");
	r->answer->has[ANSWER_LEASE_ID] = true;
	return true;
}

/* What a command that names the lease cannot carry back. */
static void
check_metadata(struct answer *a, struct jtext metadata)
{
	struct jtext root;

	if (answer_given(metadata) && metadata.kind != JTEXT_OBJECT)
		answer_warn(a, "the lease's \"metadata\" is not an object");
	else if (answer_given(metadata) &&
		 jtext_check(metadata.raw, METADATA_DEPTH_MAX, &root, /* reterr= */ NULL) < 0)
		answer_warn(a, "the lease's \"metadata\" is nested deeper than the %d levels that "
			       "a command may hand back", METADATA_DEPTH_MAX);
}

/* Reads {providerLeaseId, metadata, expiresAt}; false on a BAD_RESPONSE. The
 * id's slot is set when the plugin gave one that is not empty. */
static bool
read_lease(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "providerLeaseId", ANSWER_IS(JTEXT_STRING) | ANSWER_IS(JTEXT_NUMBER) |
		  ANSWER_IS(JTEXT_NULL), JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
		{ "expiresAt", 0, JTEXT_STRING },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return false;
	if (answer_given(v[0]) && !jtext_is(v[0], "") && !answer_lease_id(r, v[0]))
		return false;
	r->answer->has_lease = true;
	check_metadata(r->answer, v[1]);
	r->answer->metadata = answer_json(v[1]);
	if (answer_given(v[2]))
		answer_reader_decode(r, ANSWER_EXPIRES_AT, "expiresAt", v[2]);
	return true;
}

void
answer_lease_acquire(struct answer_reader *r)
{
	if (read_lease(r) && !r->answer->has[ANSWER_LEASE_ID])
		answer_warn(r->answer,
			    "the plugin acquired a lease without \"providerLeaseId\": it cannot be "
			    "resumed, released or destroyed");
}

void
answer_lease_resume(struct answer_reader *r)
{
	if (!answer_given(r->reply->result))
		r->answer->lease_lost = true;
	else if (read_lease(r))
		r->answer->lease_lost = !r->answer->has[ANSWER_LEASE_ID];
}

/* True when the plugin's receipt counts. Anything but a receipt for this very
 * lease is ignored, null silently, the rest with a warning. */
static bool
read_receipt(struct answer_reader *r)
{
	const struct command *c = r->command;
	struct jtext receipt = r->reply->result;
	struct span secret_id = r->reply->secret_id;
	struct jtext id = jtext_get(receipt, "providerLeaseId");
	struct jtext state = jtext_get(receipt, "state");
	struct buf text = BUF_INIT;
	const char *why = NULL;

	if (!answer_given(receipt))
		return false;
	if (secret_id.ptr)
		id.raw = secret_id;	/* it is only compared */
	if (id.kind == JTEXT_STRING)
		jtext_decode(id, &text, /* ret_replaced= */ NULL);
	if (receipt.kind != JTEXT_OBJECT)
		why = "it is not an object";
	else if (id.kind != JTEXT_STRING || !c->lease_id.ptr ||
		 !span_eq(buf_span(&text), c->lease_id))
		why = "it does not name this lease";
	else if (state.kind != JTEXT_STRING ||
		 (!jtext_is(state, "stopped") && !jtext_is(state, "destroyed")))
		why = "its state is neither \"stopped\" nor \"destroyed\"";
	r->answer->texts[ANSWER_RECEIPT_STATE].failed |= text.failed;
	buf_release(&text);
	if (why) {
		answer_warn(r->answer, "the plugin's receipt is ignored: %s", why);
		return false;
	}
	answer_reader_decode(r, ANSWER_RECEIPT_STATE, "state", state);
	return true;
}

void
answer_lease_destroy(struct answer_reader *r)
{
	read_receipt(r);
}

void
answer_lease_release(struct answer_reader *r)
{
	struct buf *message = &r->answer->outcome.message;

	if (read_receipt(r) || !command_value(r->command, "cancelActiveWork")->flag)
		return;
	outcome_begin(&r->answer->outcome, CODE_RELEASE_UNCONFIRMED);
	/* A plugin that gives no receipts gives none the next time. */
	r->answer->outcome.retryable = answer_given(r->reply->result);
	buf_adds(message, "Plugin \"");
	buf_addspan(message, answer_reader_plugin_key(r));
	buf_adds(message, "\" did not confirm that lease \"");
	buf_addspan(message, r->command->lease_id);
	buf_adds(message, "\" was released.");
}
