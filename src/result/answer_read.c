/* SPDX-License-Identifier: Apache-2.0 */
#include "answer_read.h"

#include <assert.h>

#include "answer_reader.h"
#include "envdriver/command/command.h"
#include "envdriver/command/retryable.h"
#include "envdriver/command/time_limit.h"
#include "envdriver/result/result.h"
#include "envdriver/rpc/rpc.h"

/* --- ends without a result --- */

static const struct {
	enum outcome_code code;
	int64_t rpc_code;	/* 0: none */
} ends[] = {
	[RPC_RESULT] = { CODE_NONE, 0 },
	[RPC_ERROR] = { CODE_PLUGIN_ERROR, 0 },
	[RPC_BAD_RESPONSE] = { CODE_BAD_RESPONSE, 0 },
	[RPC_TIMED_OUT] = { CODE_TIMEOUT, RPC_CODE_TIMEOUT },
	[RPC_DIED] = { CODE_WORKER_UNAVAILABLE, RPC_CODE_WORKER_UNAVAILABLE },
	[RPC_NOT_SENT] = { CODE_NO_RUNNING_WORKER, 0 },
	[RPC_NO_SECRET] = { CODE_SECRET_UNRESOLVED, 0 },
};

static void
read_error(struct answer_reader *r)
{
	const struct rpc_answer *reply = r->reply;
	struct outcome *o = &r->answer->outcome;
	int64_t code = 0;
	bool integer;

	integer = reply->code.kind == JTEXT_NUMBER && jtext_int(reply->code, &code);
	if (rpc_is_not_implemented(reply))
		outcome_begin(o, CODE_METHOD_NOT_IMPLEMENTED);
	else
		outcome_begin(o, CODE_PLUGIN_ERROR);
	o->has_rpc_code = integer;
	o->rpc_code = code;
	/* As JavaScript prints it, but arrays as JSON. */
	if (reply->message.kind == JTEXT_OBJECT)
		buf_adds(&o->message, "[object Object]");
	else if (reply->message.kind != JTEXT_MISSING)
		answer_reader_add_text(r, &o->message, "error.message", reply->message);
	if (o->code == CODE_PLUGIN_ERROR)
		o->retryable = retryable_error(&(struct retryable_error){
			reply->code, reply->data, buf_span(&o->message) });
	if (!integer && reply->code.kind != JTEXT_MISSING)
		answer_add_member(&o->details, "code", reply->code);
	if (reply->data.kind != JTEXT_MISSING)
		answer_add_member(&o->details, "data", reply->data);
	if (o->details.len)
		buf_addch(&o->details, '}');
}

static void
read_end(struct answer_reader *r)
{
	const struct rpc_answer *reply = r->reply;
	struct outcome *o = &r->answer->outcome;

	if (reply->end == RPC_ERROR) {
		read_error(r);
		return;
	}
	outcome_begin(o, ends[reply->end].code);
	o->has_rpc_code = ends[reply->end].rpc_code != 0;
	o->rpc_code = ends[reply->end].rpc_code;
	if (reply->end == RPC_NO_SECRET)
		o->retryable = reply->retryable;
	if (reply->end == RPC_BAD_RESPONSE)
		buf_addf(&o->message, "Unexpected response format for \"%s\"", reply->method);
	else
		jtext_add_repaired(&o->message, span_of(reply->text ? reply->text : ""));
	if (reply->end == RPC_TIMED_OUT && r->chosen->limit && r->chosen->limit->name) {
		buf_addch(&o->details, '{');
		time_limit_add_json(r->chosen->limit, &o->details);
		buf_addch(&o->details, '}');
	}
	if (reply->why)
		answer_warn(r->answer, "%s", reply->why);
}

/* --- results --- */

static void
add_probe_details(const struct answer_reader *r, struct jtext diagnostics, struct jtext metadata,
		  struct buf *out)
{
	const struct command *c = r->command;

	if (c->target == COMMAND_TARGET_PROVIDER) {
		buf_adds(out, "{\"provider\":");
		jtext_add_string(out, c->driver_key);
		buf_adds(out, ",\"pluginKey\":");
		jtext_add_string(out, answer_reader_plugin_key(r));
	} else {
		buf_adds(out, "{\"pluginKey\":");
		jtext_add_string(out, answer_reader_plugin_key(r));
		buf_adds(out, ",\"driverKey\":");
		jtext_add_string(out, c->driver_key);
	}
	buf_adds(out, ",\"diagnostics\":");
	buf_addspan(out, answer_given(diagnostics) ? diagnostics.raw : SPAN_LIT("[]"));
	buf_adds(out, ",\"metadata\":");
	buf_addspan(out, answer_given(metadata) ? metadata.raw : SPAN_LIT("{}"));
	buf_addch(out, '}');
}

static void
read_probe(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "ok", ANSWER_BOOL, JTEXT_TRUE },
		{ "summary", 0, JTEXT_STRING },
		{ "diagnostics", 0, JTEXT_ARRAY },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];
	struct answer *a = r->answer;

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	a->ok = v[0].kind == JTEXT_TRUE;
	if (answer_given(v[1])) {
		answer_reader_decode(r, ANSWER_SUMMARY, "summary", v[1]);
	} else {
		a->has[ANSWER_SUMMARY] = true;
		answer_reader_add_subject(r, &a->texts[ANSWER_SUMMARY]);
		buf_adds(&a->texts[ANSWER_SUMMARY], a->ok ? " probe passed." : " probe failed.");
	}
	a->has[ANSWER_DETAILS] = true;
	add_probe_details(r, v[2], v[3], &a->texts[ANSWER_DETAILS]);
}

static void (*const by_operation[OPERATION_COUNT])(struct answer_reader *) = {
	[OPERATION_VALIDATE_CONFIG] = answer_config_validate,
	[OPERATION_PROBE] = read_probe,
	[OPERATION_ACQUIRE_LEASE] = answer_lease_acquire,
	[OPERATION_RESUME_LEASE] = answer_lease_resume,
	[OPERATION_RELEASE_LEASE] = answer_lease_release,
	[OPERATION_DESTROY_LEASE] = answer_lease_destroy,
	[OPERATION_REALIZE_WORKSPACE] = answer_workspace_realize,
	[OPERATION_EXECUTE] = answer_execute,
	[OPERATION_SYNC_IN] = answer_workspace_sync,
	[OPERATION_SYNC_OUT] = answer_workspace_sync,
	[OPERATION_RUNNER_INGRESS_ENDPOINT] = answer_workspace_ingress,
	[OPERATION_START_INTERACTIVE_SETUP] = answer_setup_session,
	[OPERATION_GET_INTERACTIVE_SETUP] = answer_setup_session,
	[OPERATION_CANCEL_INTERACTIVE_SETUP] = answer_setup_cancel,
	[OPERATION_CAPTURE_TEMPLATE] = answer_setup_capture,
	[OPERATION_DELETE_TEMPLATE] = answer_setup_delete,
};

void
answer_read(struct answer *a, const struct command *c, const struct chosen *chosen,
	    const struct rpc_answer *reply)
{
	struct answer_reader r = { a, c, chosen, reply };

	if (reply->end != RPC_RESULT) {
		read_end(&r);
		return;
	}
	assert(by_operation[c->op->id]);
	if (reply->repaired)
		answer_warn(a, "the answer held bytes that are not UTF-8; U+FFFD replaces them");
	by_operation[c->op->id](&r);
	if (a->outcome.status != OUTCOME_SUCCEEDED && a->outcome.code != CODE_CONFIG_REJECTED)
		answer_clear_fields(a);
}
