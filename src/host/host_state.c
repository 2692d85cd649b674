/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/host/host_state.h"

#include <stdlib.h>

#include "envdriver/rpc/rpc.h"
#include "host_params.h"
#include "host_reply.h"

enum {
	FIELD_MAX = 4096,
	ESCAPE_LEN = 6,		/* bytes that a character may take in JSON */
	BYTES_MAX = 16 << 20,	/* on their way to the store, of one worker */
};

/* Lives until the store has answered. */
struct host_state_request {
	LIST_ENTRY(host_state_request) link;
	struct host_state *state;	/* NULL: the worker is gone */
	enum host_state_op op;
	size_t bytes;
	size_t id_len;
	char id[];
};

/* [scopeKind, scopeId, namespace, stateKey], each written one way only. */
static bool
build_field(struct host_state *s, const struct host_params *params)
{
	static const struct {
		enum host_param param;
		const char *missing;	/* NULL: must be there */
	} parts[] = {
		{ HOST_SCOPE_KIND, NULL },
		{ HOST_SCOPE_ID, "null" },
		{ HOST_NAMESPACE, "\"default\"" },
		{ HOST_STATE_KEY, NULL },
	};
	struct buf *out = &s->field;

	buf_reset(out);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		struct jtext value = params->at[parts[i].param];

		if (value.raw.len > ESCAPE_LEN * FIELD_MAX)
			return false;
		buf_addch(out, i ? ',' : '[');
		buf_reset(&s->part);
		if (value.kind == JTEXT_STRING)
			jtext_decode(value, &s->part, /* ret_replaced= */ NULL);
		if (s->part.len && !s->part.failed)
			jtext_add_string(out, buf_span(&s->part));
		else if (parts[i].missing &&
			 (value.kind <= JTEXT_NULL || value.kind == JTEXT_STRING))
			buf_adds(out, parts[i].missing);
		else
			return false;
	}
	buf_addch(out, ']');
	return !out->failed && out->len <= FIELD_MAX;
}

static struct host_state_request *
new_request(struct host_state *s, enum host_state_op op, struct span id, size_t bytes)
{
	struct host_state_request *r;

	if (s->n >= HOST_STATE_MAX || s->bytes + bytes > BYTES_MAX)
		return NULL;
	r = malloc(sizeof(*r) + id.len);
	if (!r)
		return NULL;
	*r = (struct host_state_request){ .state = s, .op = op, .bytes = bytes, .id_len = id.len };
	memcpy(r->id, id.ptr, id.len);
	LIST_INSERT_HEAD(&s->requests, r, link);
	s->n++;
	s->bytes += bytes;
	return r;
}

static void
free_request(struct host_state_request *r)
{
	struct host_state *s = r->state;

	if (s) {
		LIST_REMOVE(r, link);
		s->n--;
		s->bytes -= r->bytes;
	}
	free(r);
}

static void
on_state_stored(void *token, enum host_state_end end, struct span value)
{
	struct host_state_request *r = token;
	struct jtext id = { JTEXT_NUMBER, { r->id, r->id_len } };
	struct host_reply *reply = r->state ? r->state->reply : NULL;

	if (!reply)
		;
	else if (end == HOST_STATE_AWAY)
		host_reply_error(reply, id, RPC_CODE_INTERNAL, "State cannot be reached now");
	else if (end == HOST_STATE_FULL)
		host_reply_error(reply, id, RPC_CODE_INTERNAL,
				 "The state of this plugin and company is full: more keys or bytes "
				 "than plugin.state.max.keys and plugin.state.max.bytes allow");
	else if (r->op != HOST_STATE_GET || !value.ptr)
		host_reply_result(reply, id, SPAN_LIT("null"));
	else if (jtext_check(value, RPC_DEPTH_MAX, /* ret= */ NULL, /* reterr= */ NULL) < 0)
		host_reply_error(reply, id, RPC_CODE_INTERNAL, "What is stored there is not JSON");
	else
		host_reply_result(reply, id, value);
	free_request(r);
}

static enum host_state_op
op_of(struct span method)
{
	if (span_is(method, "state.get"))
		return HOST_STATE_GET;
	return span_is(method, "state.set") ? HOST_STATE_SET : HOST_STATE_DELETE;
}

void
host_state_answer(struct host_state *s, struct span method, struct jtext id,
		  const struct host_params *params, struct span company)
{
	enum host_state_op op = op_of(method);
	struct jtext value = params->at[HOST_VALUE];
	struct span text = value.kind ? value.raw : SPAN_LIT("null");
	struct host_state_request *r;

	if (!build_field(s, params)) {
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL,
				 "%.*s needs a scopeKind and a stateKey, and optionally a scopeId "
				 "and a namespace: strings of at most %d bytes together",
				 SPAN_FMT(method), FIELD_MAX);
		return;
	}
	if (op == HOST_STATE_SET && text.len > s->value_max) {
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL,
				 "A value of %zu bytes exceeds the limit of %zu bytes", text.len,
				 s->value_max);
		return;
	}
	r = new_request(s, op, id.raw, id.raw.len + text.len);
	if (!r || s->ask(s->arg, op, company, buf_span(&s->field), text, on_state_stored, r) < 0) {
		host_reply_error(s->reply, id, RPC_CODE_INTERNAL, "State cannot be reached now");
		if (r)
			free_request(r);
	}
}

void
host_state_release(struct host_state *s)
{
	struct host_state_request *r;

	LIST_FOREACH(r, &s->requests, link)
		r->state = NULL;
	buf_release(&s->field);
	buf_release(&s->part);
}
