/* SPDX-License-Identifier: Apache-2.0 */
/* host: state.get, state.set, state.delete: what a plugin keeps, apart for
 * each company. */

#include "host_impl.h"

#include <stdlib.h>

enum {
	FIELD_MAX = 4096,
	VALUE_MAX = 4 << 20,
	PENDING_BYTES_MAX = 16 << 20,	/* on their way to Redis, of one worker */
};

/* A request that waits for its answer. */
struct host_pending {
	struct host_pending *prev, *next;
	struct host *host;	/* NULL: the worker is gone */
	enum host_state_op op;
	size_t bytes;
	size_t id_len;
	char id[];
};

/* [scopeKind, scopeId, namespace, stateKey], each written one way only. */
static bool
field(struct host *h, struct jtext params, struct buf *out)
{
	static const struct {
		const char *name, *missing;	/* NULL: must be there */
	} parts[] = {
		{ "scopeKind", NULL },
		{ "scopeId", "null" },
		{ "namespace", "\"default\"" },
		{ "stateKey", NULL },
	};

	buf_reset(out);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		struct jtext value = jtext_get(params, parts[i].name);

		buf_addch(out, i ? ',' : '[');
		buf_reset(&h->more);
		if (value.kind == JTEXT_STRING)
			jtext_decode(value, &h->more, /* ret_replaced= */ NULL);
		if (h->more.len && !h->more.failed)
			jtext_add_string(out, buf_span(&h->more));
		else if (parts[i].missing &&
			 (value.kind <= JTEXT_NULL || value.kind == JTEXT_STRING))
			buf_adds(out, parts[i].missing);
		else
			return false;
	}
	buf_addch(out, ']');
	return !out->failed && out->len <= FIELD_MAX;
}

static struct host_pending *
new_pending(struct host *h, enum host_state_op op, struct span id, size_t bytes)
{
	struct host_pending *p;

	if (h->n_pending >= HOST_STATE_MAX || h->pending_bytes + bytes > PENDING_BYTES_MAX)
		return NULL;
	p = buf_realloc(NULL, sizeof(*p) + id.len);
	if (!p)
		return NULL;
	*p = (struct host_pending){ .host = h, .op = op, .next = h->pending, .bytes = bytes,
				    .id_len = id.len };
	memcpy(p->id, id.ptr, id.len);
	if (h->pending)
		h->pending->prev = p;
	h->pending = p;
	h->n_pending++;
	h->pending_bytes += bytes;
	return p;
}

static void
drop_pending(struct host_pending *p)
{
	struct host *h = p->host;

	if (h) {
		if (p->prev)
			p->prev->next = p->next;
		else
			h->pending = p->next;
		if (p->next)
			p->next->prev = p->prev;
		h->n_pending--;
		h->pending_bytes -= p->bytes;
	}
	free(p);
}

static void
on_done(void *token, bool ok, struct span value)
{
	struct host_pending *p = token;
	struct jtext id = { JTEXT_NUMBER, { p->id, p->id_len } };

	if (!p->host)
		;
	else if (!ok)
		host_refuse(p->host, id, RPC_CODE_INTERNAL, "State cannot be reached now");
	else if (p->op != HOST_STATE_GET || !value.ptr)
		host_reply(p->host, id, SPAN_LIT("null"));
	else if (jtext_check(value, RPC_DEPTH_MAX, /* ret= */ NULL, /* reterr= */ NULL) < 0)
		host_refuse(p->host, id, RPC_CODE_INTERNAL, "What is stored there is not JSON");
	else
		host_reply(p->host, id, value);
	drop_pending(p);
}

static enum host_state_op
op_of(struct span method)
{
	if (span_is(method, "state.get"))
		return HOST_STATE_GET;
	return span_is(method, "state.set") ? HOST_STATE_SET : HOST_STATE_DELETE;
}

void
host_state(const struct host_ask *a)
{
	struct host *h = a->host;
	enum host_state_op op = op_of(a->method);
	struct jtext value = jtext_get(a->m->params, "value");
	struct span text = value.kind ? value.raw : SPAN_LIT("null");
	struct host_pending *p;

	if (!field(h, a->m->params, &h->text)) {
		host_refuse(h, a->m->id, RPC_CODE_INTERNAL,
			    "%.*s needs a scopeKind and a stateKey, and optionally a scopeId and a "
			    "namespace: strings of at most %d bytes together", SPAN_FMT(a->method),
			    FIELD_MAX);
		return;
	}
	if (op == HOST_STATE_SET && text.len > VALUE_MAX) {
		host_refuse(h, a->m->id, RPC_CODE_INTERNAL,
			    "A value of %zu bytes exceeds the limit of %d bytes", text.len,
			    VALUE_MAX);
		return;
	}
	p = new_pending(h, op, a->m->id.raw, a->m->id.raw.len + text.len);
	if (!p ||
	    h->ops.state(h->ops.arg, op, a->company, buf_span(&h->text), text, on_done, p) < 0) {
		host_refuse(h, a->m->id, RPC_CODE_INTERNAL, "State cannot be reached now");
		if (p)
			drop_pending(p);
	}
}

void
host_state_forget(struct host *h)
{
	for (struct host_pending *p = h->pending; p; p = p->next)
		p->host = NULL;
	h->pending = NULL;
	h->n_pending = h->pending_bytes = 0;
}
