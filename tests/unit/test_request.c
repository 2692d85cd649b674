/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/command/outcome.h"
#include "envdriver/command/request.h"
#include "envdriver/result/result.h"
#include "fixture.h"
#include "alloc_rig.h"

#define WHO "\"companyId\":\"co\",\"environmentId\":\"env\","
#define DRIVER WHO "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"},"
#define PROVIDER WHO "\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"s\"},"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""
#define IDS "\"companyId\":\"co\",\"environmentId\":\"env\","
#define SECRET "{\"type\":\"secret_ref\",\"secretId\":\"id-1\"}"
#define SCHEMA "{\"properties\":{\"apiKey\":{\"type\":\"string\",\"format\":\"secret-ref\"}," \
	"\"auth\":{\"allOf\":[{\"properties\":{\"token\":{\"format\":\"secret-ref\"}}}]}}," \
	"\"anyOf\":[{\"properties\":{\"apiKey\":{\"format\":\"secret-ref\"}}}]}"

static const struct row {
	const char *name;
	const char *command;
	const char *schema;
	const char *params;	/* NULL: a failure */
	enum outcome_code code;
	const char *message;	/* or its references: "path=id" */
} rows[] = {
	{ "probe", "{" DRIVER "\"config\":{\"a\":1},\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{\"a\":1}}", 0, NULL },
	{ "probe with issue", "{" DRIVER "\"issueId\":\"i\",\"operation\":{\"type\":\"Probe\"}}",
	  NULL, "{\"driverKey\":\"d\"," IDS "\"issueId\":\"i\",\"config\":{}}", 0, NULL },
	{ "validate sends no ids",
	  "{" DRIVER "\"issueId\":\"i\",\"operation\":{\"type\":\"ValidateConfig\"}}", NULL,
	  "{\"driverKey\":\"d\",\"config\":{}}", 0, NULL },
	{ "text of every kind",
	  "{\"companyId\":\"a\\\"\\\\\\n\\u0001\\u2028\\u00e9\\u0000/\",\"environmentId\":\"\","
	  "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"},"
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"d\",\"companyId\":\"a\\\"\\\\\\n\\u0001\xe2\x80\xa8\xc3\xa9\\u0000/\","
	  "\"environmentId\":\"\",\"config\":{}}", 0, NULL },
	{ "line breaks between tokens become spaces, all else stays",
	  "{" DRIVER "\"config\":\"{\\n\\t\\\"a\\\" :\\r[1.50, 1e2,\\\"\\\\u0041\\\\n\\\"] }\","
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{  \"a\" : [1.50, 1e2,\"\\u0041\\n\"] }}", 0,
	  NULL },

	{ "acquire, least", "{" DRIVER "\"operation\":{\"type\":\"AcquireLease\",\"runId\":\"r\"}}",
	  NULL, "{\"driverKey\":\"d\"," IDS "\"issueId\":null,\"config\":{},\"runId\":\"r\"}", 0,
	  NULL },
	{ "acquire, all", "{" DRIVER "\"operation\":{\"type\":\"AcquireLease\",\"runId\":\"r\","
	  "\"requestedExpiresAt\":\"8\",\"executionWorkspaceSettings\":{\"x\":1},"
	  "\"adapterType\":\"6\",\"executionWorkspaceId\":\"5\",\"agentId\":\"4\","
	  "\"requestedCwd\":\"3\",\"workspaceMode\":\"2\"}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"issueId\":null,\"config\":{},\"runId\":\"r\","
	  "\"workspaceMode\":\"2\",\"requestedCwd\":\"3\",\"agentId\":\"4\","
	  "\"executionWorkspaceId\":\"5\",\"adapterType\":\"6\","
	  "\"executionWorkspaceSettings\":{\"x\":1},\"requestedExpiresAt\":\"8\"}", 0, NULL },
	{ "release without id", "{" DRIVER "\"operation\":{\"type\":\"ReleaseLease\","
	  "\"cancelActiveWork\":false}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"issueId\":null,\"config\":{},\"providerLeaseId\":null}", 0,
	  NULL },
	{ "release and cancel", "{" DRIVER "\"operation\":{\"type\":\"ReleaseLease\","
	  "\"providerLeaseId\":\"l\",\"leaseMetadata\":{},\"cancelActiveWork\":true}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"issueId\":null,\"config\":{},\"providerLeaseId\":\"l\","
	  "\"leaseMetadata\":{},\"cancelActiveWork\":true}", 0, NULL },
	{ "execute, least", "{" DRIVER "\"operation\":{\"type\":\"Execute\",\"command\":\"sh\","
	  LEASE "}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"lease\":{\"providerLeaseId\":\"l1\"},"
	  "\"command\":\"sh\"}", 0, NULL },
	{ "execute, all", "{" DRIVER "\"operation\":{\"type\":\"Execute\",\"command\":\"sh\","
	  LEASE ",\"args\":[],\"cwd\":\"\",\"env\":{\"B\":\"1\",\"A\":\"2\"},\"stdin\":\"x\\n\","
	  "\"timeoutMs\":9007199254740993,\"bypassSession\":false}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"lease\":{\"providerLeaseId\":\"l1\"},"
	  "\"command\":\"sh\",\"args\":[],\"cwd\":\"\",\"env\":{\"B\":\"1\",\"A\":\"2\"},"
	  "\"stdin\":\"x\\n\",\"timeoutMs\":9007199254740993,\"bypassSession\":false}", 0, NULL },
	{ "realize", "{" DRIVER "\"operation\":{\"type\":\"RealizeWorkspace\"," LEASE ","
	  "\"workspace\":{\"mode\":\"m\"}}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"lease\":{\"providerLeaseId\":\"l1\"},"
	  "\"workspace\":{\"mode\":\"m\"}}", 0, NULL },
	{ "what is ours is not sent", "{" DRIVER
	  "\"operation\":{\"type\":\"StartInteractiveSetup\","
	  "\"sessionId\":\"s\",\"includeConnectionPayload\":true}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"sessionId\":\"s\"}", 0, NULL },
	{ "get set-up", "{" DRIVER "\"operation\":{\"type\":\"GetInteractiveSetup\"}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"providerLeaseId\":null,"
	  "\"includeConnectionPayload\":false}", 0, NULL },

	{ "provider first", "{" PROVIDER "\"config\":\"{ \\\"provider\\\": 1, \\\"b\\\" : 2 }\","
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{ \"b\" : 2 }}", 0, NULL },
	{ "provider in the middle", "{" PROVIDER
	  "\"config\":\"{\\\"a\\\":1 ,  \\\"provider\\\":{}, "
	  "\\\"b\\\":2}\",\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{\"a\":1, \"b\":2}}", 0, NULL },
	{ "provider last, escaped, twice", "{" PROVIDER "\"config\":\"{\\\"a\\\":1, "
	  "\\\"pr\\\\u006fvider\\\":2,\\\"provider\\\":3 }\",\"operation\":{\"type\":\"Probe\"}}",
	  NULL, "{\"driverKey\":\"s\"," IDS "\"config\":{\"a\":1 }}", 0, NULL },
	{ "provider alone", "{" PROVIDER "\"config\":\"{ \\\"provider\\\":3}\","
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{}}", 0, NULL },
	{ "provider deeper stays", "{" PROVIDER "\"config\":{\"a\":{\"provider\":1}},"
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{\"a\":{\"provider\":1}}}", 0, NULL },
	{ "provider of a plugin driver stays", "{" DRIVER "\"config\":{\"provider\":1},"
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{\"provider\":1}}", 0, NULL },

	{ "validate a provider: reference becomes its id", "{" PROVIDER "\"config\":{\"apiKey\":"
	  SECRET ",\"x\":1},\"operation\":{\"type\":\"ValidateConfig\"}}", SCHEMA,
	  "{\"driverKey\":\"s\",\"config\":{\"apiKey\":\"id-1\",\"x\":1}}", 0, NULL },
	{ "also deeper, escaped, and version latest", "{" PROVIDER
	  "\"config\":\"{\\\"provider\\\":0,"
	  "\\\"auth\\\":{\\\"token\\\":{\\\"type\\\":\\\"secret\\\\u005fref\\\","
	  "\\\"version\\\":\\\"latest\\\",\\\"secretId\\\":\\\"i\\\\n2\\\"}},\\\"apiKey\\\":"
	  "{\\\"secretId\\\":\\\"3\\\",\\\"type\\\":\\\"secret_ref\\\"}}\","
	  "\"operation\":{\"type\":\"ValidateConfig\"}}", SCHEMA,
	  "{\"driverKey\":\"s\",\"config\":{\"auth\":{\"token\":\"i\\n2\"},\"apiKey\":\"3\"}}", 0,
	  NULL },
	{ "a plain string stays, and so do references elsewhere", "{" PROVIDER "\"config\":{"
	  "\"apiKey\":\"11111111-1111-4111-8111-111111111111\",\"other\":" SECRET "},"
	  "\"operation\":{\"type\":\"ValidateConfig\"}}", SCHEMA,
	  "{\"driverKey\":\"s\",\"config\":{\"apiKey\":\"11111111-1111-4111-8111-111111111111\","
	  "\"other\":" SECRET "}}", 0, NULL },
	{ "without a schema nothing is collapsed", "{" PROVIDER "\"config\":{\"apiKey\":" SECRET
	  "},\"operation\":{\"type\":\"ValidateConfig\"}}", NULL,
	  "{\"driverKey\":\"s\",\"config\":{\"apiKey\":" SECRET "}}", 0, NULL },
	{ "validate a plugin driver: as it is", "{" DRIVER "\"config\":{\"apiKey\":" SECRET
	  "},\"operation\":{\"type\":\"ValidateConfig\"}}", SCHEMA,
	  "{\"driverKey\":\"d\",\"config\":{\"apiKey\":" SECRET "}}", 0, NULL },
	{ "pinned", "{" PROVIDER "\"config\":{\"auth\":{\"token\":{\"type\":\"secret_ref\","
	  "\"secretId\":\"i\",\"version\":3}}},"
	  "\"operation\":{\"type\":\"ValidateConfig\"}}", SCHEMA,
	  NULL, CODE_CONFIG_REJECTED,
	  "Secret binding at auth.token pins version 3; sandbox provider secret references always "
	  "resolve the latest version." },

	{ "probe with a reference", "{" PROVIDER "\"config\":{\"a\":[0,{\"b\":" SECRET "}]},"
	  "\"operation\":{\"type\":\"Probe\"}}", NULL,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{\"a\":[0,{\"b\":" SECRET "}]}}", 0,
	  "a.1.b=id-1" },
	{ "probe with bare ids", "{" PROVIDER "\"config\":{\"apiKey\":\"id-2\",\"auth\":{\"token\":"
	  SECRET "},\"provider\":\"s\"},\"operation\":{\"type\":\"Probe\"}}", SCHEMA,
	  "{\"driverKey\":\"s\"," IDS "\"config\":{\"apiKey\":\"id-2\",\"auth\":{\"token\":" SECRET
	  "}}}", 0, "apiKey=id-2 auth.token=id-1" },
	{ "of a plugin driver, too", "{" DRIVER "\"config\":{\"apiKey\":\"id-2\",\"x\":{\"type\":"
	  "\"secret_ref\",\"secretId\":\"i\",\"version\":3}},\"operation\":{\"type\":\"Probe\"}}",
	  SCHEMA, "{\"driverKey\":\"d\"," IDS "\"config\":{\"apiKey\":\"id-2\",\"x\":{\"type\":"
	  "\"secret_ref\",\"secretId\":\"i\",\"version\":3}}}", 0, "apiKey=id-2 x=i@3" },
	{ "probe, pinned", "{" PROVIDER "\"config\":{\"auth\":{\"token\":{\"type\":\"secret_ref\","
	  "\"secretId\":\"i\",\"version\":3}}},\"operation\":{\"type\":\"Probe\"}}", SCHEMA,
	  NULL, CODE_CONFIG_REJECTED,
	  "Secret binding at auth.token pins version 3; sandbox provider secret references always "
	  "resolve the latest version." },
	{ "a version that is none", "{" DRIVER "\"config\":{\"x\":{\"type\":\"secret_ref\","
	  "\"secretId\":\"i\",\"version\":\"2\"}},\"operation\":{\"type\":\"Probe\"}}", NULL, NULL,
	  CODE_SECRET_UNRESOLVED, "A reference to a secret cannot be used: x: its version must be "
	  "a whole number or \"latest\"." },
	{ "execute with a reference in env", "{" DRIVER "\"operation\":{\"type\":\"Execute\","
	  "\"command\":\"sh\"," LEASE ",\"env\":{\"A\":\"1\",\"B\":" SECRET "}}}", NULL,
	  "{\"driverKey\":\"d\"," IDS "\"config\":{},\"lease\":{\"providerLeaseId\":\"l1\"},"
	  "\"command\":\"sh\",\"env\":{\"A\":\"1\",\"B\":" SECRET "}}", 0, "env.B=id-1" },
	{ "and not elsewhere", "{" DRIVER "\"operation\":{\"type\":\"Execute\",\"command\":\"sh\","
	  LEASE ",\"stdin\":\"{\\\"type\\\":\\\"secret_ref\\\",\\\"secretId\\\":\\\"i\\\"}\"}}",
	  NULL, "{\"driverKey\":\"d\"," IDS "\"config\":{},\"lease\":{\"providerLeaseId\":\"l1\"},"
	  "\"command\":\"sh\",\"stdin\":\"{\\\"type\\\":\\\"secret_ref\\\",\\\"secretId\\\":"
	  "\\\"i\\\"}\"}", 0, NULL },
	{ "the words alone are no reference", "{" DRIVER "\"config\":{\"type\":\"secret_ref\","
	  "\"b\":{\"type\":\"secret_ref\",\"secretId\":1}},\"operation\":{\"type\":\"Probe\"}}",
	  NULL, "{\"driverKey\":\"d\"," IDS "\"config\":{\"type\":\"secret_ref\","
	  "\"b\":{\"type\":\"secret_ref\",\"secretId\":1}}}", 0, NULL },
};

static void
check_failure(const struct row *row, const struct outcome *o)
{
	CHECK(row->name, !row->params);
	CHECK(row->name, o->code == row->code);
	CHECK(row->name, !o->may_have_run && o->status == OUTCOME_FAILED);
	CHECK(row->name, o->http_status == (o->code == CODE_CONFIG_REJECTED ? 422 : 0));
	if (strcmp(o->message.data, row->message) != 0)
		fail_msg("%s: %s", row->name, o->message.data);
}

static void
test_params(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct command *c = fixture_command(row->command);
		struct outcome o = OUTCOME_INIT;
		struct buf out = BUF_INIT, refs = BUF_INIT;

		if (fixture_params(c, fixture_json(row->schema), &out, &refs, &o) < 0) {
			check_failure(row, &o);
			CHECK(row->name, out.len == 0);
		} else {
			if (!row->params || strcmp(out.data, row->params) != 0)
				fail_msg("%s: %s", row->name, out.data);
			fixture_json(out.data);
			CHECK(row->name, !strpbrk(out.data, "\r\n\t"));
			CHECK_TEXT(row->name, buf_span(&refs).ptr,
				   row->message ? row->message : "");
		}
		buf_release(&refs);
		outcome_release(&o);
		buf_release(&out);
		command_free(c);
	}
}

static void
test_sent_config(void **state)
{
	struct span config = request_config(SPAN_LIT("{\"driverKey\":\"d\",\"config\":{\"a\":1}}"));

	(void)state;
	assert_true(span_is(config, "{\"a\":1}"));
}

static int fail_at;

static void *
failing_realloc(void *ptr, size_t size)
{
	return fail_at-- == 0 ? NULL : realloc(ptr, size);
}

static void
test_out_of_memory(void **state)
{
	struct command *c = fixture_command("{" PROVIDER "\"config\":{\"apiKey\":" SECRET "},"
					    "\"operation\":{\"type\":\"ValidateConfig\"}}");
	int n, ret = -1;

	(void)state;
	for (n = 0; ret < 0 && n < 100; n++) {
		struct outcome o = OUTCOME_INIT;
		struct buf out = BUF_INIT;

		fail_at = n;
		alloc_replace(failing_realloc);
		ret = fixture_params(c, fixture_json(SCHEMA), &out, NULL, &o);
		alloc_replace(NULL);
		assert_true(ret == 0 || o.code == CODE_INTERNAL);
		outcome_release(&o);
		buf_release(&out);
	}
	assert_int_equal(ret, 0);
	assert_true(n > 4);
	command_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_sent_config),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
