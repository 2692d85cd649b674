/* SPDX-License-Identifier: Apache-2.0 */
#include "orphan_record.h"

#include "entry.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/base/utf8.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/command/outcome.h"
#include "envdriver/command/request.h"
#include "envdriver/registry/registry.h"
#include "envdriver/secret/secret_spots.h"

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

/* What the schema of the record's driver marks as secrets in a config. */
static const struct secret_graph *
find_spots(struct jtext call, struct secret_spots_cache *cache, const struct registry_plugin *p,
	   bool *ret_nomem)
{
	const struct registry_driver *d = NULL;
	struct buf key = BUF_INIT;

	jtext_decode(jtext_get(call, "driverKey"), &key, /* ret_replaced= */ NULL);
	if (p)
		d = registry_driver(p, buf_span(&key));
	*ret_nomem |= key.failed;
	buf_release(&key);
	return d ? secret_spots_get(cache, d->config_schema, ret_nomem) : NULL;
}

bool
orphan_record_add_params(struct buf *out, struct jtext call, struct jtext id, bool session,
			 struct secret_spots_cache *cache, const struct registry_plugin *p,
			 struct secret_refs **refs)
{
	struct jtext config = jtext_get(call, "config");
	bool provider = jtext_get(call, "provider").kind == JTEXT_TRUE;
	struct outcome failure = OUTCOME_INIT;
	const struct secret_graph *spots;
	bool nomem = false;
	int ret;

	if (config.kind != JTEXT_OBJECT)
		config = (struct jtext){ JTEXT_OBJECT, SPAN_LIT("{}") };
	buf_adds(out, "{\"driverKey\":");
	jtext_add_flat(out, jtext_get(call, "driverKey").raw);
	add_raw(out, "companyId", call);
	add_raw(out, "environmentId", call);
	add_raw(out, "issueId", call);
	buf_adds(out, ",\"config\":");
	spots = find_spots(call, cache, p, &nomem);
	ret = request_add_config(config, provider, spots, out, refs, &failure);
	buf_adds(out, ",\"providerLeaseId\":");
	jtext_add_flat(out, id.raw);
	buf_adds(out, session ? ",\"reason\":\"failed\"}" : "}");
	if (ret < 0 && ret != ERR_NOMEM)
		log_warn("a lease that has no owner cannot be destroyed: %.*s",
			 SPAN_FMT(buf_span(&failure.message)));
	outcome_release(&failure);
	return ret == 0 && !nomem && !out->failed;
}
