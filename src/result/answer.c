/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "envdriver/command/command.h"
#include "envdriver/plugin/rpc.h"

enum {
	KEEP_MAX = 1024 * 1024,		/* a buf that grew beyond is given back */
	WARNING_MAX = 300,
};

void
answer_list_add(struct answer_list *l, struct span text)
{
	buf_add(&l->bytes, &text.len, sizeof(text.len));
	buf_addspan(&l->bytes, text);
	l->count++;
}

bool
answer_list_next(const struct answer_list *l, size_t *cursor, struct span *ret)
{
	size_t len;

	if (*cursor >= l->bytes.len)
		return false;
	memcpy(&len, l->bytes.data + *cursor, sizeof(len));
	*ret = (struct span){ l->bytes.data + *cursor + sizeof(len), len };
	*cursor += sizeof(len) + len;
	return true;
}

static void
forget(struct buf *b)
{
	if (b->cap > KEEP_MAX)
		buf_release(b);
	else
		buf_reset(b);
}

static void
list_forget(struct answer_list *l)
{
	forget(&l->bytes);
	l->count = 0;
}

void
answer_init(struct answer *s)
{
	*s = (struct answer){ .outcome = OUTCOME_INIT };
}

void
answer_release(struct answer *s)
{
	size_t i;

	outcome_release(&s->outcome);
	buf_release(&s->warnings.bytes);
	buf_release(&s->config_warnings.bytes);
	for (i = 0; i < ANSWER_SLOTS; i++)
		buf_release(&s->texts[i]);
}

void
answer_clear_fields(struct answer *s)
{
	size_t i;

	for (i = 0; i < ANSWER_SLOTS; i++) {
		s->has[i] = false;
		forget(&s->texts[i]);
	}
	list_forget(&s->config_warnings);
	s->metadata = s->config = SPAN_NULL;
	s->ok = s->has_lease = s->lease_lost = s->has_exit_code = s->timed_out = false;
}

void
answer_reset(struct answer *s)
{
	answer_clear_fields(s);
	list_forget(&s->warnings);
	forget(&s->outcome.message);
	forget(&s->outcome.details);
	outcome_begin(&s->outcome, CODE_NONE);
}

bool
answer_failed(const struct answer *s)
{
	size_t i;

	for (i = 0; i < ANSWER_SLOTS; i++)
		if (s->texts[i].failed)
			return true;
	return s->outcome.message.failed || s->outcome.details.failed ||
	       s->warnings.bytes.failed || s->config_warnings.bytes.failed;
}

struct span
answer_text(const struct answer *s, enum answer_slot slot)
{
	return s->has[slot] ? buf_span(&s->texts[slot]) : SPAN_NULL;
}

void
answer_warn(struct answer *s, const char *fmt, ...)
{
	char text[WARNING_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_list_add(&s->warnings, span_of(text));
}

struct span
answer_plugin_key(const struct answer_call *call)
{
	if (call->chosen->plugin_key.ptr)
		return call->chosen->plugin_key;
	return call->command->plugin_key;
}

void
answer_bad(struct answer *s, const struct answer_call *call, const char *path, const char *expected,
	  enum jtext_kind got)
{
	struct buf *message = &s->outcome.message;

	outcome_begin(&s->outcome, CODE_BAD_RESPONSE);
	buf_adds(message, "Plugin \"");
	buf_addspan(message, answer_plugin_key(call));
	buf_addf(message, "\" answered %s with %s: expected %s, got %s.", call->answer->method,
		 path, expected, jtext_kind_name(got));
}

bool
answer_given(struct jtext value)
{
	return value.kind != JTEXT_MISSING && value.kind != JTEXT_NULL;
}

bool
answer_fields(struct answer *s, const struct answer_call *call, const struct answer_field *fields,
	     size_t n, struct jtext values[ANSWER_FIELDS_MAX])
{
	struct jtext result = call->answer->result, value;
	struct jtext_iter it;
	struct span key;
	char path[64];
	size_t i;

	assert(n <= ANSWER_FIELDS_MAX);
	if (result.kind != JTEXT_OBJECT) {
		answer_bad(s, call, "result", jtext_kind_name(JTEXT_OBJECT), result.kind);
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
		answer_bad(s, call, path, jtext_kind_name(fields[i].expected), values[i].kind);
		return false;
	}
	return true;
}

void
answer_add_text(struct answer *s, struct buf *out, const char *name, struct jtext value)
{
	bool replaced = false;

	if (value.kind == JTEXT_STRING)
		jtext_decode(value, out, &replaced);
	else
		buf_addspan(out, value.raw);
	if (replaced)
		answer_warn(s, "%s: lone surrogates were replaced by U+FFFD", name);
}

void
answer_decode(struct answer *s, enum answer_slot slot, const char *name, struct jtext value)
{
	s->has[slot] = true;
	answer_add_text(s, &s->texts[slot], name, value);
}

struct span
answer_json(struct jtext value)
{
	return answer_given(value) ? value.raw : SPAN_NULL;
}

/* --- ends that are no result --- */

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
};

void
answer_add_member(struct buf *out, const char *name, struct jtext value)
{
	buf_adds(out, out->len ? ",\"" : "{\"");
	buf_adds(out, name);
	buf_adds(out, "\":");
	buf_addspan(out, value.raw);
}

static void
answer_error(struct answer *s, const struct rpc_answer *a)
{
	struct outcome *o = &s->outcome;
	int64_t code = 0;
	bool integer;

	integer = a->code.kind == JTEXT_NUMBER && jtext_int(a->code, &code);
	if (integer && (code == RPC_CODE_METHOD_NOT_IMPLEMENTED ||
			code == RPC_CODE_METHOD_NOT_FOUND))
		outcome_begin(o, CODE_METHOD_NOT_IMPLEMENTED);
	else
		outcome_begin(o, CODE_PLUGIN_ERROR);
	o->has_rpc_code = integer;
	o->rpc_code = code;
	if (o->code == CODE_PLUGIN_ERROR)
		o->retryable = code == 429 || (code >= 500 && code <= 599);
	/* As JavaScript prints it, but arrays as JSON. */
	if (a->message.kind == JTEXT_OBJECT)
		buf_adds(&o->message, "[object Object]");
	else if (a->message.kind != JTEXT_MISSING)
		answer_add_text(s, &o->message, "error.message", a->message);
	if (!integer && a->code.kind != JTEXT_MISSING)
		answer_add_member(&o->details, "code", a->code);
	if (a->data.kind != JTEXT_MISSING)
		answer_add_member(&o->details, "data", a->data);
	if (o->details.len)
		buf_addch(&o->details, '}');
}

static void
answer_end(struct answer *s, const struct rpc_answer *a)
{
	struct outcome *o = &s->outcome;

	if (a->end == RPC_ERROR) {
		answer_error(s, a);
		return;
	}
	outcome_begin(o, ends[a->end].code);
	o->has_rpc_code = ends[a->end].rpc_code != 0;
	o->rpc_code = ends[a->end].rpc_code;
	if (a->end == RPC_BAD_RESPONSE)
		buf_addf(&o->message, "Unexpected response format for \"%s\"", a->method);
	else
		jtext_add_repaired(&o->message, span_of(a->text ? a->text : ""));
}

/* --- results, by operation --- */

static void (*const by_operation[OPERATION_COUNT])(struct answer *, const struct answer_call *) = {
	[OPERATION_VALIDATE_CONFIG] = answer_validate,
	[OPERATION_PROBE] = answer_probe,
	[OPERATION_ACQUIRE_LEASE] = answer_acquire,
	[OPERATION_RESUME_LEASE] = answer_resume,
	[OPERATION_RELEASE_LEASE] = answer_release_lease,
	[OPERATION_DESTROY_LEASE] = answer_destroy,
	[OPERATION_REALIZE_WORKSPACE] = answer_realize,
	[OPERATION_EXECUTE] = answer_execute,
};

void
answer_answer(struct answer *s, const struct command *c, const struct chosen *chosen,
	     const struct rpc_answer *answer)
{
	const struct answer_call call = { c, chosen, answer };

	if (answer->end != RPC_RESULT) {
		answer_end(s, answer);
		return;
	}
	assert(by_operation[c->op->id]);
	if (answer->repaired)
		answer_warn(s, "the answer held bytes that are no UTF-8; U+FFFD stands for them");
	by_operation[c->op->id](s, &call);
	if (s->outcome.status != OUTCOME_SUCCEEDED && s->outcome.code != CODE_CONFIG_REJECTED)
		answer_clear_fields(s);
}

void
answer_add_subject(const struct command *c, struct buf *out)
{
	buf_adds(out, c->target == COMMAND_TARGET_PROVIDER ? "Sandbox provider \""
							   : "Plugin environment driver \"");
	command_provider_key(c, out);
	buf_addch(out, '"');
}

static void
probe_details(const struct answer_call *call, struct jtext diagnostics, struct jtext metadata,
	      struct buf *out)
{
	const struct command *c = call->command;

	if (c->target == COMMAND_TARGET_PROVIDER) {
		buf_adds(out, "{\"provider\":");
		jtext_add_string(out, c->driver_key);
		buf_adds(out, ",\"pluginKey\":");
		jtext_add_string(out, answer_plugin_key(call));
	} else {
		buf_adds(out, "{\"pluginKey\":");
		jtext_add_string(out, answer_plugin_key(call));
		buf_adds(out, ",\"driverKey\":");
		jtext_add_string(out, c->driver_key);
	}
	buf_adds(out, ",\"diagnostics\":");
	buf_addspan(out, answer_given(diagnostics) ? diagnostics.raw : SPAN_LIT("[]"));
	buf_adds(out, ",\"metadata\":");
	buf_addspan(out, answer_given(metadata) ? metadata.raw : SPAN_LIT("{}"));
	buf_addch(out, '}');
}

void
answer_probe(struct answer *s, const struct answer_call *call)
{
	static const struct answer_field fields[] = {
		{ "ok", ANSWER_BOOL, JTEXT_TRUE },
		{ "summary", 0, JTEXT_STRING },
		{ "diagnostics", 0, JTEXT_ARRAY },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_fields(s, call, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	s->ok = v[0].kind == JTEXT_TRUE;
	if (answer_given(v[1])) {
		answer_decode(s, ANSWER_SUMMARY, "summary", v[1]);
	} else {
		s->has[ANSWER_SUMMARY] = true;
		answer_add_subject(call->command, &s->texts[ANSWER_SUMMARY]);
		buf_adds(&s->texts[ANSWER_SUMMARY], s->ok ? " probe passed." : " probe failed.");
	}
	s->has[ANSWER_DETAILS] = true;
	probe_details(call, v[2], v[3], &s->texts[ANSWER_DETAILS]);
}

void
answer_realize(struct answer *s, const struct answer_call *call)
{
	static const struct answer_field fields[] = {
		{ "cwd", ANSWER_IS(JTEXT_STRING), JTEXT_STRING },
		{ "metadata", 0, JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_fields(s, call, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (v[0].kind == JTEXT_STRING)
		answer_decode(s, ANSWER_CWD, "cwd", v[0]);
	else
		answer_warn(s, "the plugin answered %s without \"cwd\"", call->answer->method);
	s->metadata = answer_json(v[1]);
}
