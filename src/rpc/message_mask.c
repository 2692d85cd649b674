/* SPDX-License-Identifier: Apache-2.0 */
#include "message_mask.h"

#include "envdriver/base/base64.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/secret/mask.h"

enum {
	NOISE_MAX = 4096,	/* more of a line that is no message is not shown */
	KEPT_MAX = 160,
};

/* Parts of a result that stay, in their order. */
struct kept {
	struct span list[KEPT_MAX];
	size_t n;
};

static void
mask_value(const struct mask_forms *f, struct jtext *value, const struct kept *kept,
	   struct buf *out)
{
	value->raw = mask_json(f, value->raw, kept->list, kept->n, out);
	if (value->raw.len && *value->raw.ptr == '"')
		value->kind = JTEXT_STRING;	/* it may have been a number */
}

static void
keep_value(struct kept *k, struct span raw)
{
	if (raw.ptr && k->n < KEPT_MAX)
		k->list[k->n++] = raw;
}

static bool
is_one_of(struct jtext name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (jtext_is(name, names[i]))
			return true;
	return false;
}

/* The names that the protocol gives to members of a result, an error or parameters, but
 * for those that are too short for a secret. A company whose secret is such a word, by
 * chance or on purpose, must not take the answers of all others apart. */
static bool
is_protocol_name(struct span quoted)
{
	static const char *const names[] = {
		"attributes", "channel", "companyId", "configPath", "connectionPayload",
		"connectionSummary", "deleted", "diagnostics", "endTimeMs", "entityId",
		"entityType", "errors", "eventName", "exitCode", "expiresAt", "filter",
		"generation", "message", "metadata", "namespace", "normalizedConfig",
		"operations", "payload", "providerLeaseId", "scopeId", "scopeKind",
		"secretHeaders", "secretRef", "signal", "startTimeMs", "stateKey", "status",
		"stderr", "stderrBase64", "stdout", "stdoutBase64", "summary",
		"supportedMethods", "templateKind", "templateRef", "timedOut", "warnings",
		"websocketUrl",
	};

	return is_one_of((struct jtext){ JTEXT_STRING, quoted }, names,
			 sizeof(names) / sizeof(*names));
}

/* What a request is about: compared with what we have, and told nobody. */
static bool
is_compared(struct span quoted)
{
	static const char *const names[] = { "companyId", "scopeId", "secretRef", "configPath" };

	return is_one_of((struct jtext){ JTEXT_STRING, quoted }, names,
			 sizeof(names) / sizeof(*names));
}

/* Of an object that is no result. */
static void
keep_names(struct kept *k, struct jtext object, bool is_request)
{
	struct jtext_iter it;
	struct jtext value;
	struct span key;

	if (object.kind != JTEXT_OBJECT)
		return;
	jtext_iter_init(&it, object);
	while (jtext_iter_next(&it, &key, &value)) {
		if (is_protocol_name(key))
			keep_value(k, key);
		if (is_request && is_compared(key))
			keep_value(k, value.raw);
	}
}

/* Names of headers are told, values are handed over. */
static void
keep_header_values(struct kept *k, struct jtext headers)
{
	struct jtext_iter it;
	struct jtext one;

	if (headers.kind != JTEXT_ARRAY)
		return;
	jtext_iter_init(&it, headers);
	while (jtext_iter_next(&it, /* ret_key= */ NULL, &one))
		keep_value(k, jtext_get(one, "value").raw);
}

/* Fills `kept`. Returns the id of a lease that shows a secret, or SPAN_NULL. */
static struct span
look_at_members(const struct mask_forms *f, struct jtext result, struct kept *kept)
{
	struct span id = SPAN_NULL, key;
	struct jtext_iter it;
	struct jtext value;

	if (result.kind != JTEXT_OBJECT)
		return id;
	jtext_iter_init(&it, result);
	while (jtext_iter_next(&it, &key, &value)) {
		struct jtext name = { JTEXT_STRING, key };

		if (is_protocol_name(key))
			keep_value(kept, key);
		if (jtext_is(name, "providerLeaseId")) {
			/* Of repeated members the last one counts. */
			id = mask_shows(f, value.raw) ? value.raw : SPAN_NULL;
			if (!id.ptr)
				keep_value(kept, value.raw);
		} else if (jtext_is(name, "connectionPayload")) {
			keep_value(kept, value.raw);
		} else if (jtext_is(name, "secretHeaders")) {
			keep_header_values(kept, value);
		}
	}
	return id;
}

/* What was edited is the result; it may have been made of the last one. */
static void
take_edited(struct message_mask *k, struct jtext *result)
{
	struct buf old = k->result;

	k->result = k->edited;
	k->edited = old;
	result->raw = buf_span(&k->result);
	if (k->result.failed)
		*result = (struct jtext){ JTEXT_NULL, SPAN_LIT("null") };
}

/* Output that comes as bytes goes out as such, so it is masked as such. A value in it
 * would be found in the base64, too, and spoil it; but not its other forms. */
static void
mask_bytes(struct message_mask *k, const struct mask_forms *f, struct jtext *result,
	   const char *name)
{
	struct jtext value = jtext_get(*result, name);
	const char *behind = value.raw.ptr + value.raw.len;
	struct buf text = BUF_INIT, bytes = BUF_INIT, masked = BUF_INIT;
	struct span shown;

	if (value.kind != JTEXT_STRING)
		return;
	jtext_decode(value, &text, /* ret_replaced= */ NULL);
	if (!text.failed && base64_decode(&bytes, buf_span(&text))) {
		shown = mask_text(f, buf_span(&bytes), &masked);
		if (shown.ptr != bytes.data) {
			buf_reset(&k->edited);
			buf_add(&k->edited, result->raw.ptr,
				(size_t)(value.raw.ptr - result->raw.ptr));
			buf_addch(&k->edited, '"');
			base64_encode(&k->edited, shown);
			buf_addch(&k->edited, '"');
			buf_add(&k->edited, behind,
				(size_t)(result->raw.ptr + result->raw.len - behind));
			take_edited(k, result);
		}
	}
	if (text.failed || bytes.failed)
		*result = (struct jtext){ JTEXT_NULL, SPAN_LIT("null") };
	buf_release(&text);
	buf_release(&bytes);
	buf_release(&masked);
}

/* Masks the result, and the id of a lease in it when that shows a secret; then the
 * id as it was stands behind the result. */
static void
mask_result(struct message_mask *k, const struct mask_forms *f, struct jtext *result)
{
	struct kept kept = { .n = 0 };
	struct span id;
	size_t len;

	mask_bytes(k, f, result, "stdoutBase64");
	mask_bytes(k, f, result, "stderrBase64");
	id = look_at_members(f, *result, &kept);
	mask_value(f, result, &kept, &k->edited);
	if (result->raw.ptr != k->edited.data)
		return;
	if (id.ptr) {
		len = result->raw.len;
		buf_addspan(&k->edited, id);
		take_edited(k, result);
		if (result->kind == JTEXT_NULL)
			return;
		result->raw.len = len;
		k->lease_id = (struct span){ k->result.data + len, id.len };
	} else {
		take_edited(k, result);
	}
}

/* Masked elsewhere, or not at all (message_mask.h). */
static bool
is_exempt(const struct rpc_message *m)
{
	static const char *const methods[] = {
		"execute.log", "state.get", "state.set", "state.delete",
	};

	return is_one_of(m->method, methods, sizeof(methods) / sizeof(*methods));
}

static void
mask_object(const struct mask_forms *f, struct jtext *value, bool is_request, struct buf *out)
{
	struct kept kept = { .n = 0 };

	keep_names(&kept, *value, is_request);
	mask_value(f, value, &kept, out);
}

void
message_mask_apply(struct message_mask *k, const struct mask_forms *f, struct rpc_message *m)
{
	k->lease_id = SPAN_NULL;	/* that of the last message */
	if (!f)
		return;
	switch (m->kind) {
	case RPC_RESPONSE:
		if (m->result.kind)
			mask_result(k, f, &m->result);
		if (m->error.kind)
			mask_object(f, &m->error, /* is_request= */ false, &k->error);
		break;
	case RPC_REQUEST:
	case RPC_NOTIFICATION:
		if (m->params.kind && !is_exempt(m))
			mask_object(f, &m->params, m->kind == RPC_REQUEST, &k->text);
		break;
	case RPC_GARBAGE:
		if (m->line.len > NOISE_MAX)
			m->line.len = NOISE_MAX;
		m->line = mask_text(f, m->line, &k->text);
		break;
	}
}

void
message_mask_parse(struct message_mask *k, const struct mask_forms *f, struct span line,
		   struct rpc_message *ret, struct rpc_answer *ret_answer)
{
	rpc_parse(line, ret);
	message_mask_apply(k, f, ret);
	if (ret->kind != RPC_RESPONSE)
		return;
	rpc_read_answer(ret, /* method= */ NULL, ret_answer);
	ret_answer->secret_id = k->lease_id;
}

size_t
message_mask_size(const struct message_mask *k)
{
	return k->result.cap + k->edited.cap + k->error.cap + k->text.cap;
}

void
message_mask_release(struct message_mask *k)
{
	buf_release(&k->result);
	buf_release(&k->edited);
	buf_release(&k->error);
	buf_release(&k->text);
}
