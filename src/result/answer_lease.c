/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/command.h"
#include "answer.h"
#include "envdriver/plugin/rpc.h"

/* Reads {providerLeaseId, metadata, expiresAt}; false on a BAD_RESPONSE. The
 * id's slot is set when the plugin gave one that is not empty. */
static bool
read_lease(struct answer *s, const struct answer_call *call)
{
	static const struct answer_field fields[] = {
		{"providerLeaseId", ANSWER_IS(JTEXT_STRING) | ANSWER_IS(JTEXT_NULL), JTEXT_STRING},
		{"metadata", 0, JTEXT_OBJECT},
		{"expiresAt", 0, JTEXT_STRING},
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_fields(s, call, fields, sizeof(fields) / sizeof(fields[0]), v))
		return false;
	s->has_lease = true;
	if (v[0].kind == JTEXT_STRING && !jtext_is(v[0], ""))
		answer_decode(s, ANSWER_LEASE_ID, "providerLeaseId", v[0]);
	s->metadata = answer_json(v[1]);
	if (answer_given(v[2]))
		answer_decode(s, ANSWER_EXPIRES_AT, "expiresAt", v[2]);
	return true;
}

void
answer_acquire(struct answer *s, const struct answer_call *call)
{
	if (read_lease(s, call) && !s->has[ANSWER_LEASE_ID])
		answer_warn(s, "the plugin acquired a lease without \"providerLeaseId\": nothing "
			      "can be resumed, released or destroyed by it");
}

void
answer_resume(struct answer *s, const struct answer_call *call)
{
	if (!answer_given(call->answer->result))
		s->lease_lost = true;
	else if (read_lease(s, call))
		s->lease_lost = !s->has[ANSWER_LEASE_ID];
}

/* True when the plugin's receipt counts. Anything but a receipt for this very
 * lease is none, with a warning; null is none without. */
static bool
read_receipt(struct answer *s, const struct answer_call *call)
{
	const struct command *c = call->command;
	struct jtext receipt = call->answer->result;
	struct jtext id = jtext_get(receipt, "providerLeaseId");
	struct jtext state = jtext_get(receipt, "state");
	struct buf text = BUF_INIT;
	const char *why = NULL;

	if (!answer_given(receipt))
		return false;
	if (id.kind == JTEXT_STRING)
		jtext_decode(id, &text, /* ret_replaced= */ NULL);
	if (receipt.kind != JTEXT_OBJECT)
		why = "it is no object";
	else if (id.kind != JTEXT_STRING || !c->lease_id.ptr ||
		 !span_eq(buf_span(&text), c->lease_id))
		why = "it does not name this lease";
	else if (state.kind != JTEXT_STRING ||
		 (!jtext_is(state, "stopped") && !jtext_is(state, "destroyed")))
		why = "its state is neither \"stopped\" nor \"destroyed\"";
	s->texts[ANSWER_RECEIPT_STATE].failed |= text.failed;
	buf_release(&text);
	if (why) {
		answer_warn(s, "the plugin's receipt does not count: %s", why);
		return false;
	}
	answer_decode(s, ANSWER_RECEIPT_STATE, "state", state);
	return true;
}

void
answer_destroy(struct answer *s, const struct answer_call *call)
{
	read_receipt(s, call);
}

void
answer_release_lease(struct answer *s, const struct answer_call *call)
{
	struct buf *message = &s->outcome.message;

	if (read_receipt(s, call) || !command_value(call->command, "cancelActiveWork")->flag)
		return;
	outcome_begin(&s->outcome, CODE_RELEASE_UNCONFIRMED);
	buf_adds(message, "Plugin \"");
	buf_addspan(message, answer_plugin_key(call));
	buf_adds(message, "\" did not confirm that lease \"");
	buf_addspan(message, call->command->lease_id);
	buf_adds(message, "\" was released.");
}
