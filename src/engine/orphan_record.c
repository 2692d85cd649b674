/* SPDX-License-Identifier: Apache-2.0 */
#include "orphan_record.h"

#include "entry.h"
#include "envdriver/base/utf8.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"

enum { SHOWN_MAX = 200 };	/* bytes of an id that is cut */

static void
add_member(struct buf *out, const char *name, struct span text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text.ptr)
		jtext_add_string(out, text);
	else
		buf_adds(out, "null");
}

void
orphan_record_add_call(struct buf *out, const struct entry *e)
{
	buf_adds(out, "{\"topic\":");
	jtext_add_string(out, span_of(e->source.topic));
	buf_addf(out, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld",
		 (int)e->source.partition, (long long)e->source.offset,
		 (long long)e->source.timestamp);
	add_member(out, "pluginId", span_of(e->call.plugin_id));
	add_member(out, "pluginKey", span_of(e->call.plugin_key));
	add_member(out, "driverKey", e->cmd->driver_key);
	buf_addf(out, ",\"provider\":%s",
		 e->cmd->target == COMMAND_TARGET_PROVIDER ? "true" : "false");
	if (e->cmd->op->id == OPERATION_START_INTERACTIVE_SETUP)
		buf_adds(out, ",\"session\":true");
	add_member(out, "companyId", e->cmd->company_id);
	add_member(out, "environmentId", e->cmd->environment_id);
	add_member(out, "issueId", e->cmd->issue_id);
	buf_adds(out, ",\"config\":");
	jtext_add_flat(out, e->cmd->config);
	buf_addch(out, '}');
}

static void
add_raw(struct buf *out, const char *name, struct jtext object)
{
	struct jtext v = jtext_get(object, name);

	buf_addf(out, ",\"%s\":", name);
	if (v.kind == JTEXT_MISSING)
		buf_adds(out, "null");
	else
		jtext_add_flat(out, v.raw);
}

void
orphan_record_add_params(struct buf *out, struct jtext call, struct jtext id, bool session)
{
	buf_adds(out, "{\"driverKey\":");
	jtext_add_flat(out, jtext_get(call, "driverKey").raw);
	add_raw(out, "companyId", call);
	add_raw(out, "environmentId", call);
	add_raw(out, "issueId", call);
	add_raw(out, "config", call);
	buf_adds(out, ",\"providerLeaseId\":");
	jtext_add_flat(out, id.raw);
	buf_adds(out, session ? ",\"reason\":\"failed\"}" : "}");
}

void
orphan_record_add_name(struct buf *out, struct jtext id)
{
	size_t before = out->len;

	if (id.kind == JTEXT_STRING)
		jtext_decode(id, out, /* ret_replaced= */ NULL);
	else
		buf_addspan(out, id.raw);
	if (out->failed || out->len - before <= OPERATION_ID_MAX)
		return;
	out->len = before + SHOWN_MAX;
	out->len = (size_t)(utf8_find_bad(out->data + before, out->data + out->len) - out->data);
	buf_adds(out, "\xe2\x80\xa6");
}
