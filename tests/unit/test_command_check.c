/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fixture.h"

#define DRIVER "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}"
#define PROBE "\"operation\":{\"type\":\"Probe\"}"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""

/* `N` letters. */
static void
add_letters(struct buf *out, size_t n)
{
	while (n--)
		buf_addch(out, 'x');
}

static const struct invalid_row {
	const char *name;
	const char *json;	/* '@' stands for 1,025 letters, '#' for 201 */
	const char *field;	/* NULL: the command is fine */
	const char *message;	/* part of it */
} invalid_rows[] = {
	{ "empty command id", "{\"commandId\":\"\"," DRIVER "," PROBE "}", "commandId", "empty" },
	{ "long command id", "{\"commandId\":\"#\"," DRIVER "," PROBE "}", "commandId",
	  "201 bytes, at most 200" },
	{ "long company", "{\"companyId\":\"@\"," DRIVER "," PROBE "}", "companyId",
	  "1025 bytes, at most 1024" },
	{ "long environment", "{\"environmentId\":\"@\"," DRIVER "," PROBE "}", "environmentId",
	  "1025 bytes" },
	{ "long issue", "{\"issueId\":\"@\"," DRIVER "," PROBE "}", "issueId", "1025 bytes" },
	{ "blank company", "{\"companyId\":\"  \"," DRIVER "," PROBE "}", NULL, NULL },
	{ "no target", "{" PROBE "}", "target", "Probe needs one" },
	{ "target of a list", "{" DRIVER ",\"operation\":{\"type\":\"ListDrivers\"}}", "target",
	  "ListDrivers takes none" },
	{ "list", "{\"operation\":{\"type\":\"ListDrivers\"}}", NULL, NULL },
	{ "empty plugin key", "{\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"\","
	  "\"driverKey\":\"d\"}," PROBE "}", "target.pluginKey", "empty" },
	{ "empty driver key", "{\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\","
	  "\"driverKey\":\"\"}," PROBE "}", "target.driverKey", "empty" },
	{ "empty provider", "{\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"\"}," PROBE
	  "}", "target.provider", "empty" },
	{ "long pin", "{\"target\":{\"type\":\"SandboxProvider\",\"provider\":\"s\","
	  "\"pluginId\":\"@\"}," PROBE "}", "target.pluginId", "1025" },
	{ "config is no JSON", "{\"config\":\"{\\\"a\\\"\"," DRIVER "," PROBE "}", "config",
	  "at byte 4" },
	{ "config is empty", "{\"config\":\"\"," DRIVER "," PROBE "}", "config", "byte 0" },
	{ "config is a list", "{\"config\":\"[]\"," DRIVER "," PROBE "}", "config",
	  "expected object, got array" },
	{ "config with space around", "{\"config\":\" {}\\n\"," DRIVER "," PROBE "}", NULL, NULL },
	{ "no lease id to resume", "{" DRIVER ",\"operation\":{\"type\":\"ResumeLease\","
	  "\"providerLeaseId\":\"\"}}", "operation.providerLeaseId", "empty" },
	{ "long lease id", "{" DRIVER ",\"operation\":{\"type\":\"DestroyLease\","
	  "\"providerLeaseId\":\"@\"}}", "operation.providerLeaseId", "1025" },
	{ "lease metadata is text", "{" DRIVER ",\"operation\":{\"type\":\"DestroyLease\","
	  "\"leaseMetadata\":\"\\\"x\\\"\"}}", "operation.leaseMetadata",
	  "expected object, got string" },
	{ "lease is null", "{" DRIVER ",\"operation\":{\"type\":\"Execute\",\"lease\":\"null\","
	  "\"command\":\"a\"}}", "operation.lease", "expected object, got null" },
	{ "lease without id", "{" DRIVER ",\"operation\":{\"type\":\"Execute\",\"lease\":\"{}\","
	  "\"command\":\"a\"}}", "operation.lease",
	  "providerLeaseId: expected string or null, got nothing" },
	{ "lease id is a number", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"lease\":{\"providerLeaseId\":1},\"command\":\"a\"}}", "operation.lease",
	  "got number" },
	{ "lease id is null", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"lease\":{\"providerLeaseId\":null},\"command\":\"a\"}}", NULL, NULL },
	{ "lease id too long", "{" DRIVER ",\"operation\":{\"type\":\"Execute\","
	  "\"lease\":{\"providerLeaseId\":\"@\"},\"command\":\"a\"}}", "operation.lease",
	  "1025 bytes" },
	{ "env value is a number", "{" DRIVER ",\"operation\":{\"type\":\"Execute\"," LEASE
	  ",\"command\":\"a\",\"env\":{\"A\":\"x\",\"B\":5}}}", "operation.env",
	  "\"B\": expected string or secret reference, got number" },
	{ "env value is another object", "{" DRIVER ",\"operation\":{\"type\":\"Execute\"," LEASE
	  ",\"command\":\"a\",\"env\":{\"A\":{\"type\":\"x\",\"secretId\":\"s\"}}}}",
	  "operation.env", "got object" },
	{ "env reference without id", "{" DRIVER ",\"operation\":{\"type\":\"Execute\"," LEASE
	  ",\"command\":\"a\",\"env\":{\"A\":{\"type\":\"secret_ref\"}}}}", "operation.env",
	  "got object" },
	{ "env with a reference", "{" DRIVER ",\"operation\":{\"type\":\"Execute\"," LEASE
	  ",\"command\":\"a\",\"env\":{\"A\":{\"type\":\"secret_ref\",\"secretId\":\"s\"}}}}",
	  NULL, NULL },
	{ "no time", "{" DRIVER ",\"operation\":{\"type\":\"Execute\"," LEASE
	  ",\"command\":\"a\",\"timeoutMs\":0}}", "operation.timeoutMs", "0 is less than 1" },
	{ "operations is an object", "{" DRIVER ",\"operation\":{\"type\":\"SyncIn\"," LEASE
	  ",\"operations\":\"{}\"}}", "operation.operations", "expected array, got object" },
	{ "sync", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\", \"mode\": 384}]}]}}",
	  NULL, NULL },
	{ "sync with all", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [],"
	  " \"postUploadCommands\": [{\"command\": \"x\", \"cwd\": \"/\", \"timeoutMs\": 1}]}]}}",
	  NULL, NULL },
	{ "sync of nothing", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[]}}",
	  NULL, NULL },
	{ "sync of null", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[null]}}",
	  "operation.operations[0]", "expected object, got null" },
	{ "sync without id", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"files\": []}]}}",
	  "operation.operations[0].operationId", "expected string, got nothing" },
	{ "sync with an empty id", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"\", \"files\": []}]}}",
	  "operation.operations[0].operationId", "must not be empty" },
	{ "sync without files", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\"}]}}",
	  "operation.operations[0].files", "expected array, got nothing" },
	{ "sync, file is text", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [\"x\"]}]}}",
	  "operation.operations[0].files[0]", "expected object, got string" },
	{ "sync, relative path", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\"}]}]}}",
	  "operation.operations[0].files[0].sourcePath", "must start with '/'" },
	{ "sync, NUL in a path", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/\\u0000\", \"kind\": \"file\"}]}]}}",
	  "operation.operations[0].files[0].targetPath", "must not contain NUL" },
	{ "sync, a link", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"link\"}]}]}}",
	  "operation.operations[0].files[0].kind", "expected \"file\" or \"directory\"" },
	{ "sync, mode", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\", \"mode\": 4096}]}]}}",
	  "operation.operations[0].files[0].mode", "expected an integer from 0 to 4095" },
	{ "sync, exclude", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\", \"exclude\": [1]}]}]}}",
	  "operation.operations[0].files[0].exclude", "expected strings, got number" },
	{ "sync, links", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\", \"followSymlinks\": \"no\"}]}]}}",
	  "operation.operations[0].files[0].followSymlinks", "expected boolean, got string" },
	{ "sync, nulls", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [{\"sourcePath\": \"/a\","
	  " \"targetPath\": \"/b\", \"kind\": \"file\", \"mode\": null, \"exclude\": null,"
	  " \"access\": null}]}]}}",
	  NULL, NULL },
	{ "sync, command", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [],"
	  " \"postUploadCommands\": [{\"command\": \"\"}]}]}}",
	  "operation.operations[0].postUploadCommands[0].command", "must not be empty" },
	{ "sync, no time", "{" DRIVER ",\"operation\":{\"type\":\"SyncOut\"," LEASE
	  ",\"operations\":[{\"operationId\": \"o\", \"files\": [],"
	  " \"postUploadCommands\": [{\"command\": \"x\", \"timeoutMs\": 0}]}]}}",
	  "operation.operations[0].postUploadCommands[0].timeoutMs",
	  "expected an integer from 1 to" },
	{ "path with a query", "{" DRIVER ",\"operation\":{\"type\":"
	  "\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":1,\"path\":\"/a?b\"}}", "operation.path", "without query and fragment" },
	{ "path with a blank", "{" DRIVER ",\"operation\":{\"type\":"
	  "\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":1,\"path\":\"/a b\"}}", "operation.path", "the path of a URL" },
	{ "no session", "{" DRIVER ",\"operation\":{\"type\":\"StartInteractiveSetup\","
	  "\"sessionId\":\"\"}}", "operation.sessionId", "empty" },
	{ "no minutes", "{" DRIVER ",\"operation\":{\"type\":\"GetInteractiveSetup\","
	  "\"connectionExpiresInMinutes\":0}}", "operation.connectionExpiresInMinutes",
	  "0 is not in the range 1 to" },
	{ "no template", "{" DRIVER ",\"operation\":{\"type\":\"DeleteTemplate\","
	  "\"templateRef\":\"\"}}", "operation.templateRef", "empty" },
	{ "port 0", "{" DRIVER ",\"operation\":{\"type\":\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":0,\"path\":\"/\"}}", "operation.port", "0 is not in the range 1 to 65535" },
	{ "port 65536", "{" DRIVER ",\"operation\":{\"type\":\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":65536,\"path\":\"/\"}}", "operation.port", "65536" },
	{ "port 65535", "{" DRIVER ",\"operation\":{\"type\":\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":65535,\"path\":\"/\"}}", NULL, NULL },
	{ "path", "{" DRIVER ",\"operation\":{\"type\":\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":1,\"path\":\"a/\"}}", "operation.path", "'/'" },
	{ "no path", "{" DRIVER ",\"operation\":{\"type\":\"RunnerIngressEndpoint\"," LEASE
	  ",\"port\":1,\"path\":\"\"}}", "operation.path", "'/'" },
};

static void
expand(const char *json, struct buf *out)
{
	for (; *json; json++) {
		if (*json == '@')
			add_letters(out, OPERATION_ID_MAX + 1);
		else if (*json == '#')
			add_letters(out, 201);
		else
			buf_addch(out, *json);
	}
}

static void
test_limits(void **state)
{
	const struct invalid_row *row;

	(void)state;
	EACH(row, invalid_rows) {
		struct buf json = BUF_INIT;
		struct reject r;
		struct command *c;

		expand(row->json, &json);
		c = fixture_decode(json.data, &r);
		CHECK(row->name, !c == !!row->field);
		if (row->field) {
			CHECK(row->name, r.reason == REJECT_INVALID);
			CHECK_HAS(row->name, r.message, row->message);
			if (strcmp(r.field, row->field) != 0)
				fail_msg("%s: field %s", row->name, r.field);
			CHECK(row->name, strncmp(r.message, r.field, strlen(r.field)) == 0);
		}
		command_free(c);
		buf_release(&json);
	}
}

/* What could be read goes into the dead letter. */
static void
test_ids_of_a_reject(void **state)
{
	struct reject r;

	(void)state;
	assert_null(fixture_decode("{\"commandId\":\"c9\",\"companyId\":\"co\","
				   "\"environmentId\":\"env\",\"operation\":"
				   "{\"type\":\"Probe\"}}", &r));
	assert_string_equal(r.command_id, "c9");
	assert_string_equal(r.company_id, "co");
	assert_string_equal(r.environment_id, "env");
	assert_string_equal(r.operation, "Probe");
	assert_string_equal(command_reject_name(r.reason), "INVALID_COMMAND");
}

/* 69 characters of 3 bytes do not fit in 200; cut, they would name another
 * command. */
static void
test_long_id_is_left_out(void **state)
{
	struct buf json = BUF_INIT;
	struct reject r;
	size_t i;

	(void)state;
	buf_adds(&json, "{\"commandId\":\"");
	for (i = 0; i < 69; i++)
		buf_adds(&json, "\xe2\x98\x83");
	buf_adds(&json, "\"," DRIVER "," PROBE "}");
	assert_null(fixture_decode(json.data, &r));
	assert_int_equal(strlen(r.command_id), 0);
	buf_release(&json);
}

static void
reject_row(const char *name, struct command_decoder *d, struct span value,
	   enum reject_reason reason, const char *message)
{
	struct reject r;

	CHECK(name, !command_decode(d, value, SPAN_NULL, &r));
	if (r.reason != reason)
		fail_msg("%s: reason %d", name, (int)r.reason);
	CHECK_HAS(name, r.message, message);
	CHECK(name, !r.field[0] && !r.command_id[0] && !r.operation[0]);
}

static void
test_unreadable(void **state)
{
	struct command_decoder *d = command_decoder_new(fixture_schemas(), 4096, NULL);
	const struct schema *probe = schemas_find(fixture_schemas(), "ProbeResult");
	struct buf good = BUF_INIT, other = BUF_INIT, big = BUF_INIT;
	struct command *c;
	struct reject r;
	char copy[4096];

	(void)state;
	fixture_encode("{" DRIVER "," PROBE "}", &good);
	buf_add(&other, "\xc3\x01", 2);
	buf_add(&other, schema_fingerprint(probe), SCHEMA_FINGERPRINT_LEN);
	add_letters(&big, 4097);
	assert_true(good.len < sizeof(copy));
	memcpy(copy, good.data, good.len);

	reject_row("tombstone", d, SPAN_NULL, REJECT_UNREADABLE, "tombstone");
	reject_row("empty", d, SPAN_LIT(""), REJECT_UNREADABLE, "empty");
	reject_row("JSON", d, SPAN_LIT("{\"commandId\":\"c1\"}"), REJECT_UNREADABLE, "c3 01");
	reject_row("too large", d, buf_span(&big), REJECT_TOO_LARGE,
		   "4097 bytes exceeds the limit of 4096");
	reject_row("a ProbeResult", d, buf_span(&other), REJECT_UNREADABLE,
		   "expected an EnvironmentCommand, got a ProbeResult");
	reject_row("only a frame", d, (struct span){ copy, SCHEMA_FRAME_LEN }, REJECT_UNREADABLE,
		   "commandId");
	reject_row("last byte gone", d, (struct span){ copy, good.len - 1 }, REJECT_UNREADABLE,
		   "");
	copy[5] ^= 1;
	reject_row("unknown fingerprint", d, (struct span){ copy, good.len }, REJECT_UNREADABLE,
		   "unknown schema fingerprint");
	copy[5] ^= 1;
	copy[good.len] = 0;
	reject_row("one byte more", d, (struct span){ copy, good.len + 1 }, REJECT_UNREADABLE, "");
	/* All that went wrong leaves nothing behind. */
	c = command_decode(d, buf_span(&good), SPAN_NULL, &r);
	assert_non_null(c);
	command_free(c);
	command_decoder_free(d);
	command_decoder_free(NULL);
	buf_release(&good);
	buf_release(&other);
	buf_release(&big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_ids_of_a_reject),
		cmocka_unit_test(test_long_id_is_left_out),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
