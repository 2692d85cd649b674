/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/rpc/handshake.h"

#include "envdriver/base/jtext.h"
#include "envdriver/rpc/rpc.h"

enum { METHODS_MAX = 64, NAME_MAX_LEN = 64 };

void
handshake_add_params(struct buf *out, struct span manifest, const char *instance_id)
{
	buf_adds(out, "{\"manifest\":");
	buf_addspan(out, manifest);
	buf_adds(out, ",\"config\":{},\"instanceInfo\":{\"instanceId\":");
	jtext_add_string(out, span_of(instance_id));
	buf_adds(out, ",\"hostVersion\":\"" HANDSHAKE_HOST_VERSION "\","
		      "\"deploymentMode\":\"local_trusted\","
		      "\"deploymentExposure\":\"private\"},\"apiVersion\":1,"
		      "\"databaseNamespace\":null}");
}

/* Those that a host asks for; a worker may list others. */
static const char *const known[] = {
	"health", "shutdown", "onEvent", "runJob", "getData", "configChanged", "executeTool",
	"performAction", "handleWebhook", "handleApiRequest", "validateConfig",
};

/* A method's name may become part of a record that is written every few seconds. */
static bool
is_known(struct jtext name)
{
	static const char environment[] = "\"environment", login[] = "\"loginPty",
			  duplex[] = "\"duplexChannel";
	static const struct span families[] = {
		{ environment, sizeof(environment) - 1 }, { login, sizeof(login) - 1 },
		{ duplex, sizeof(duplex) - 1 },
	};

	if (name.kind != JTEXT_STRING || name.raw.len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (jtext_is(name, known[i]))
			return true;
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (name.raw.len > families[i].len + 1 &&
		    memcmp(name.raw.ptr, families[i].ptr, families[i].len) == 0)
			return true;
	return false;
}

static void
add_methods(struct buf *methods, struct jtext list)
{
	struct jtext_iter it;
	struct jtext one;
	size_t n = 0;

	buf_addch(methods, '[');
	jtext_iter_init(&it, list);
	while (n < METHODS_MAX && jtext_iter_next(&it, NULL, &one)) {
		if (!is_known(one))
			continue;
		if (n++)
			buf_addch(methods, ',');
		buf_addspan(methods, one.raw);
	}
	buf_addch(methods, ']');
}

bool
handshake_read(const struct rpc_answer *a, struct buf *methods)
{
	struct jtext list;

	if (a->end != RPC_RESULT || !rpc_truthy(jtext_get(a->result, "ok")))
		return false;
	list = jtext_get(a->result, "supportedMethods");
	if (list.kind == JTEXT_ARRAY)
		add_methods(methods, list);
	return true;
}

static void
add_noise(struct buf *out, size_t partial_bytes, size_t ignored_lines)
{
	if (partial_bytes)
		buf_addf(out, "; %zu bytes came without a line end: each message must end with "
			 "'\\n', and be flushed", partial_bytes);
	if (ignored_lines)
		buf_addf(out, "; %zu %s ignored: standard output is for messages only",
			 ignored_lines, ignored_lines == 1 ? "line was" : "lines were");
}

void
handshake_add_failure(struct buf *out, const struct rpc_answer *a, size_t partial_bytes,
		      size_t ignored_lines)
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
	if (a->end == RPC_TIMED_OUT)
		add_noise(out, partial_bytes, ignored_lines);
}

void
handshake_add_end(struct buf *out, int exit_code, size_t ignored_lines)
{
	if (exit_code == 0)
		buf_adds(out, "; it ended before it answered \"initialize\": is runWorker() "
			      "called, and standard input read?");
	add_noise(out, 0, ignored_lines);
}
