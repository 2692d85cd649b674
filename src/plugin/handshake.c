/* SPDX-License-Identifier: Apache-2.0 */
#include "handshake.h"

#include "envdriver/base/jtext.h"
#include "envdriver/plugin/rpc.h"

#define HOST_VERSION "2026.916.1"

void
handshake_add_params(struct buf *out, struct span manifest, const char *instance_id)
{
	buf_adds(out, "{\"manifest\":");
	buf_addspan(out, manifest);
	buf_adds(out, ",\"config\":{},\"instanceInfo\":{\"instanceId\":");
	jtext_add_string(out, span_of(instance_id));
	buf_adds(out, ",\"hostVersion\":\"" HOST_VERSION "\","
		      "\"deploymentMode\":\"local_trusted\","
		      "\"deploymentExposure\":\"private\"},\"apiVersion\":1,"
		      "\"databaseNamespace\":null}");
}

bool
handshake_read(const struct rpc_answer *a, struct buf *methods)
{
	struct jtext list;

	if (a->end != RPC_RESULT || !rpc_truthy(jtext_get(a->result, "ok")))
		return false;
	list = jtext_get(a->result, "supportedMethods");
	if (list.kind == JTEXT_ARRAY)
		buf_addspan(methods, list.raw);
	return true;
}

void
handshake_add_failure(struct buf *out, const struct rpc_answer *a)
{
	if (a->end == RPC_ERROR && a->message.kind == JTEXT_STRING)
		jtext_decode(a->message, out, /* ret_replaced= */ NULL);
	else if (a->end == RPC_ERROR)
		buf_addspan(out, a->message.raw);
	else if (a->end == RPC_RESULT)
		buf_adds(out, "Worker initialize returned ok=false");
	else if (a->end == RPC_BAD_RESPONSE)
		buf_adds(out, "Unexpected response format for \"initialize\"");
	else
		buf_adds(out, a->text);
}
