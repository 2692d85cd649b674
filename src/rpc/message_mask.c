/* SPDX-License-Identifier: Apache-2.0 */
#include "message_mask.h"

#include "envdriver/rpc/rpc.h"
#include "envdriver/secret/mask.h"

enum { NOISE_MAX = 4096 };	/* more of a line that is no message is not shown */

static void
mask_value(const struct mask_forms *f, struct jtext *value, struct span keep, struct buf *out)
{
	value->raw = mask_json(f, value->raw, keep, out);
	if (value->raw.len && *value->raw.ptr == '"')
		value->kind = JTEXT_STRING;	/* it may have been a number */
}

/* Masks the result, and the id of a lease in it when that shows a secret; then the
 * id as it was stands behind the result. */
static void
mask_result(struct message_mask *k, const struct mask_forms *f, struct jtext *result)
{
	struct span id = jtext_get(*result, "providerLeaseId").raw;
	bool shows = id.ptr && mask_shows(f, id);
	size_t len;

	k->lease_id = SPAN_NULL;
	mask_value(f, result, shows ? SPAN_NULL : id, &k->result);
	len = result->raw.len;
	if (!shows || result->raw.ptr != k->result.data)
		return;
	buf_addspan(&k->result, id);
	if (k->result.failed) {
		*result = (struct jtext){ JTEXT_NULL, SPAN_LIT("null") };
		return;
	}
	result->raw.ptr = k->result.data;
	k->lease_id = (struct span){ k->result.data + len, id.len };
}

/* Masked elsewhere, or not at all (message_mask.h). */
static bool
is_exempt(const struct rpc_message *m)
{
	static const char *const methods[] = {
		"execute.log", "state.get", "state.set", "state.delete",
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (jtext_is(m->method, methods[i]))
			return true;
	return false;
}

void
message_mask_apply(struct message_mask *k, const struct mask_forms *f, struct rpc_message *m)
{
	if (!f)
		return;
	switch (m->kind) {
	case RPC_RESPONSE:
		if (m->result.kind)
			mask_result(k, f, &m->result);
		if (m->error.kind)
			mask_value(f, &m->error, SPAN_NULL, &k->error);
		break;
	case RPC_REQUEST:
	case RPC_NOTIFICATION:
		if (m->params.kind && !is_exempt(m))
			mask_value(f, &m->params, SPAN_NULL, &k->text);
		break;
	case RPC_GARBAGE:
		if (m->line.len > NOISE_MAX)
			m->line.len = NOISE_MAX;
		m->line = mask_text(f, m->line, &k->text);
		break;
	}
}

void
message_mask_release(struct message_mask *k)
{
	buf_release(&k->result);
	buf_release(&k->error);
	buf_release(&k->text);
}
