/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte picks an operation and the limits, the rest is the line by which
 * a plugin answers it: whatever it says becomes events, each of which can be
 * read by its schema and shown as JSON, and packed for Redis. */
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/command.h"
#include "envdriver/kafka/event.h"
#include "envdriver/rpc/rpc.h"
#include "envdriver/result/result.h"
#include "fuzz.h"

#define WHO "{\"commandId\":\"c\",\"issuedAt\":1,\"companyId\":\"co\",\"environmentId\":\"e\"," \
	"\"config\":{},\"target\":"
#define DRIVER WHO "{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}," \
	"\"operation\":"
#define PROVIDER WHO "{\"type\":\"SandboxProvider\",\"provider\":\"d\"},\"operation\":"
#define LEASE "\"lease\":{\"providerLeaseId\":\"l\"}"

static const char *const texts[] = {
	DRIVER "{\"type\":\"Probe\"}}",
	PROVIDER "{\"type\":\"Probe\"}}",
	DRIVER "{\"type\":\"ValidateConfig\"}}",
	PROVIDER "{\"type\":\"ValidateConfig\"}}",
	DRIVER "{\"type\":\"AcquireLease\",\"runId\":\"r\"}}",
	DRIVER "{\"type\":\"ResumeLease\",\"providerLeaseId\":\"l\"}}",
	DRIVER "{\"type\":\"ReleaseLease\",\"providerLeaseId\":\"l\"}}",
	DRIVER "{\"type\":\"DestroyLease\",\"providerLeaseId\":\"l\"}}",
	DRIVER "{\"type\":\"RealizeWorkspace\"," LEASE ",\"workspace\":{}}}",
	DRIVER "{\"type\":\"Execute\"," LEASE ",\"command\":\"sh\"}}",
	DRIVER "{\"type\":\"SyncIn\"," LEASE ",\"operations\":[{\"operationId\":\"a\","
	       "\"files\":[]}]}}",
	DRIVER "{\"type\":\"RunnerIngressEndpoint\"," LEASE ",\"port\":1,\"path\":\"/\"}}",
	DRIVER "{\"type\":\"StartInteractiveSetup\",\"sessionId\":\"s\","
	       "\"includeConnectionPayload\":true}}",
	DRIVER "{\"type\":\"GetInteractiveSetup\"}}",
	DRIVER "{\"type\":\"CancelInteractiveSetup\"}}",
	DRIVER "{\"type\":\"CaptureTemplate\"}}",
	DRIVER "{\"type\":\"DeleteTemplate\",\"templateRef\":\"t\"}}",
};

enum { N_TEXTS = sizeof(texts) / sizeof(*texts), SMALL = 0x80 };

/* What all inputs share; made once. */
static struct {
	struct schemas *schemas;
	struct command *commands[N_TEXTS];
} all;

static struct command *
make_command(struct command_decoder *decoder, const char *text)
{
	const struct schema *schema = schemas_find(all.schemas, "EnvironmentCommand");
	struct buf bytes = BUF_INIT;
	struct reject why;
	struct command *ret;
	avro_value_t value;

	MUST(schema_value_new(schema, &value, NULL) == 0);
	MUST(avro_json_read(schema, span_of(text), &value, NULL) == 0);
	MUST(schema_write(schema, &value, &bytes, NULL) == 0);
	ret = command_decode(decoder, buf_span(&bytes), SPAN_NULL, &why);
	MUST(ret);
	avro_value_decref(&value);
	buf_release(&bytes);
	return ret;
}

static void
make_all(void)
{
	struct command_decoder *decoder;

	all.schemas = schemas_new(NULL);
	MUST(all.schemas);
	decoder = command_decoder_new(all.schemas, 1 << 20, NULL);
	MUST(decoder);
	for (int i = 0; i < N_TEXTS; i++)
		all.commands[i] = make_command(decoder, texts[i]);
	command_decoder_free(decoder);
}

static void
read_event(const struct event *ev)
{
	const struct schema *schema;
	struct buf json = BUF_INIT;
	struct span datum;
	avro_value_t value;

	MUST(schemas_unframe(all.schemas, ev->value, &schema, &datum, NULL) == 0);
	MUST(schema_value_new(schema, &value, NULL) == 0);
	MUST(schema_read(schema, datum, &value, NULL) == 0);
	MUST(avro_json_write(schema, &value, &json, NULL) == 0);
	MUST(jtext_check(buf_span(&json), JTEXT_DEPTH_LIMIT, NULL, NULL) == 0);
	avro_value_decref(&value);
	buf_release(&json);
}

static void
read_events(const struct events *e)
{
	struct events again = EVENTS_INIT;

	for (const struct events *set = e; set; set = set->before) {
		struct event ev;
		size_t at = 0;

		MUST(events_unpack(&again, events_packed(set), NULL) == 0);
		MUST(again.count == set->count);
		while (events_next(set, &at, &ev))
			read_event(&ev);
	}
	events_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct trace trace = {
		.topic = "environment.commands", .partition = 3, .offset = 17, .attempt = 1,
		.invocation_id = "i", .call_token = "inc.1", .received_at = 1000,
		.started_at = 2000, .finished_at = 3000,
	};
	static const struct result_limits wide = { 256 * 1024, 1000000, 8 << 20,
						   "envdriver:credential:", 60000 };
	static const struct result_limits small = { 16, 4096, 8192,
						    "envdriver:credential:", 60000 };
	static const struct chosen chosen = { SPAN_LIT("id"), SPAN_LIT("p"), SPAN_NULL, NULL };
	struct result_brought brought = RESULT_BROUGHT_INIT;
	struct events e = EVENTS_INIT;
	const struct command *c;
	struct result_ctx *ctx;
	struct rpc_answer answer;
	struct rpc_message m;

	if (!all.schemas)
		make_all();
	if (size < 2)
		return 0;
	c = all.commands[data[0] % SMALL % N_TEXTS];
	rpc_parse((struct span){ (const char *)data + 1, size - 1 }, &m);
	if (m.kind == RPC_RESPONSE) {
		rpc_read_answer(&m, c->op->rpc, &answer);
		/* For one input: what it keeps between calls would look leaked. */
		ctx = result_ctx_new(all.schemas, "host-a", data[0] & SMALL ? small : wide, NULL);
		MUST(ctx);
		MUST(result_answered(ctx, c, &chosen, &trace, &answer, &e, &brought) == 0);
		result_ctx_free(ctx);
		MUST(e.count >= 1);
		read_events(&e);
	}
	events_release(&e);
	result_brought_release(&brought);
	return 0;
}
