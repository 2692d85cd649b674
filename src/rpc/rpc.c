/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/rpc.h"

#include <stddef.h>

/* The keys of an envelope, and where their values go. */
static const struct key {
	const char *name, *quoted;
	size_t offset;
} keys[] = {
	{ "id", "\"id\"", offsetof(struct rpc_message, id) },
	{ "result", "\"result\"", offsetof(struct rpc_message, result) },
	{ "method", "\"method\"", offsetof(struct rpc_message, method) },
	{ "params", "\"params\"", offsetof(struct rpc_message, params) },
	{ "error", "\"error\"", offsetof(struct rpc_message, error) },
	{ "paperclipInvocationId", "\"paperclipInvocationId\"",
	  offsetof(struct rpc_message, invocation_id) },
};

static bool
is_key(struct span key, const char *name, const char *quoted)
{
	if (span_is(key, quoted))
		return true;
	return memchr(key.ptr, '\\', key.len) &&
	       jtext_is((struct jtext){ JTEXT_STRING, key }, name);
}

static void
take_member(struct rpc_message *m, struct span key, struct jtext value, struct jtext *version)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (is_key(key, keys[i].name, keys[i].quoted)) {
			*(struct jtext *)(void *)((char *)m + keys[i].offset) = value;
			return;
		}
	}
	if (is_key(key, "jsonrpc", "\"jsonrpc\""))
		*version = value;
}

static void
garbage(struct rpc_message *m, const char *why)
{
	m->kind = RPC_GARBAGE;
	m->why = why;
}

void
rpc_parse(struct span line, struct rpc_message *ret)
{
	struct jtext root, value, version = { JTEXT_MISSING, SPAN_NULL };
	struct jtext_iter it;
	struct span key;

	*ret = (struct rpc_message){ .kind = RPC_GARBAGE, .line = line };
	if (jtext_check(line, RPC_DEPTH_MAX, &root, /* reterr= */ NULL) < 0) {
		garbage(ret, "not JSON");
		return;
	}
	if (root.kind != JTEXT_OBJECT) {
		garbage(ret, "not an object");
		return;
	}
	jtext_iter_init(&it, root);
	while (jtext_iter_next(&it, &key, &value))
		take_member(ret, key, value, &version);
	if (!jtext_is(version, "2.0"))
		garbage(ret, "jsonrpc is not \"2.0\"");
	else if (ret->id.kind && (ret->result.kind || ret->error.kind))
		ret->kind = RPC_RESPONSE;
	else if (ret->method.kind != JTEXT_STRING)
		garbage(ret, "neither a response nor a method");
	else if (!ret->id.kind)
		ret->kind = RPC_NOTIFICATION;
	else if (ret->id.kind != JTEXT_NULL)
		ret->kind = RPC_REQUEST;
	else
		garbage(ret, "a request whose id is null");
}

/* JavaScript's: everything but null, false, 0 and "". */
bool
rpc_truthy(struct jtext value)
{
	double n;

	switch (value.kind) {
	case JTEXT_MISSING:
	case JTEXT_NULL:
	case JTEXT_FALSE:
		return false;
	case JTEXT_NUMBER:
		/* One that cannot be read as a double is too large for it. */
		return !jtext_double(value, &n) || n != 0;
	case JTEXT_STRING:
		return value.raw.len > 2;
	default:
		return true;
	}
}

bool
rpc_is_not_implemented(const struct rpc_answer *answer)
{
	int64_t code = 0;

	return answer->end == RPC_ERROR && answer->code.kind == JTEXT_NUMBER &&
	       jtext_int(answer->code, &code) &&
	       (code == RPC_CODE_METHOD_NOT_IMPLEMENTED || code == RPC_CODE_METHOD_NOT_FOUND);
}

void
rpc_read_answer(const struct rpc_message *m, const char *method, struct rpc_answer *ret)
{
	*ret = (struct rpc_answer){ .method = method };
	if (!m->error.kind) {
		ret->end = RPC_RESULT;
		ret->result = m->result;
	} else if (rpc_truthy(m->error)) {
		ret->end = RPC_ERROR;
		ret->code = jtext_get(m->error, "code");
		ret->message = jtext_get(m->error, "message");
		ret->data = jtext_get(m->error, "data");
	} else {
		ret->end = RPC_BAD_RESPONSE;
		ret->result = m->result;
	}
}

/* White space as JavaScript's trim has it, beyond ASCII. */
static const char *const spaces[] = {
	"\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
	"\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86", "\xe2\x80\x87",
	"\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9",
	"\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf",
};

static bool
is_ascii_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Length of the white space that `text` begins or ends with. */
static size_t
space_at(struct span text, bool end)
{
	if (text.len && is_ascii_space(text.ptr[end ? text.len - 1 : 0]))
		return 1;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		size_t n = strlen(spaces[i]);

		if (n <= text.len && memcmp(text.ptr + (end ? text.len - n : 0), spaces[i], n) == 0)
			return n;
	}
	return 0;
}

struct span
rpc_trim(struct span text)
{
	size_t n;

	if (!text.ptr)
		return text;
	while ((n = space_at(text, false))) {
		text.ptr += n;
		text.len -= n;
	}
	while ((n = space_at(text, true)))
		text.len -= n;
	return text;
}

/* A line break between tokens would end the line early. */
static void
add_line_safe(struct buf *out, struct span json)
{
	if (memchr(json.ptr, '\n', json.len) || memchr(json.ptr, '\r', json.len))
		jtext_add_flat(out, json);
	else
		buf_addspan(out, json);
}

void
rpc_add_request(struct buf *out, uint64_t id, const char *method, struct span params,
		const char *invocation_id, struct span company_id, struct span traceparent)
{
	company_id = rpc_trim(company_id);
	buf_addf(out, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":", (unsigned long long)id);
	jtext_add_string(out, span_of(method));
	buf_adds(out, ",\"params\":");
	add_line_safe(out, params);
	if (invocation_id && company_id.len) {
		buf_adds(out, ",\"paperclipInvocation\":{\"id\":");
		jtext_add_string(out, span_of(invocation_id));
		buf_adds(out, ",\"scope\":{\"companyId\":");
		jtext_add_string(out, company_id);
		buf_addch(out, '}');
		if (traceparent.len) {
			buf_adds(out, ",\"traceparent\":");
			jtext_add_string(out, traceparent);
		}
		buf_addch(out, '}');
	}
	buf_adds(out, "}\n");
}

static void
add_reply_head(struct buf *out, struct jtext id)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	if (id.kind)
		buf_addspan(out, id.raw);
	else
		buf_adds(out, "null");
}

void
rpc_add_result(struct buf *out, struct jtext id, struct span result_json)
{
	add_reply_head(out, id);
	buf_adds(out, ",\"result\":");
	add_line_safe(out, result_json);
	buf_adds(out, "}\n");
}

void
rpc_add_error(struct buf *out, struct jtext id, int code, const char *message)
{
	add_reply_head(out, id);
	buf_addf(out, ",\"error\":{\"code\":%d,\"message\":", code);
	jtext_add_string(out, span_of(message));
	buf_adds(out, "}}\n");
}
