/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/config.h"
#include "envdriver/command/time_limit.h"
#include "envdriver/registry/registry.h"
#include "fixture.h"

#define DRIVER "\"target\":{\"type\":\"PluginDriver\",\"pluginKey\":\"p\",\"driverKey\":\"d\"}"
#define LEASE "\"lease\":\"{\\\"providerLeaseId\\\":\\\"l1\\\"}\""
#define EXECUTE(config, more) "{" DRIVER ",\"config\":" config ",\"operation\":{" \
	"\"type\":\"Execute\",\"command\":\"a\"," LEASE more "}}"
#define DESTROY(config) "{" DRIVER ",\"config\":" config ",\"operation\":{" \
	"\"type\":\"DestroyLease\"}}"
#define OF(type, config) "{" DRIVER ",\"config\":" config ",\"operation\":{\"type\":\"" type "\"}}"
#define RESUME(config) "{" DRIVER ",\"config\":" config ",\"operation\":{" \
	"\"type\":\"ResumeLease\",\"providerLeaseId\":\"l\"}}"

static struct time_limit_keys *
keys_of(const char *const *pairs)
{
	struct err err = { 0 };
	struct config *c = config_new(&err);
	struct time_limit_keys *keys;

	for (; *pairs; pairs++)
		if (config_set_pair(c, *pairs, "-X", &err) < 0)
			fail_msg("%s", err.text);
	keys = time_limit_keys_new(c, &err);
	config_free(c);
	if (!keys)
		fail_msg("%s", err.text);
	return keys;
}

static const struct time_row {
	const char *name, *json;
	int64_t ms;
} time_rows[] = {
	{ "validate", OF("ValidateConfig", "{\"timeoutMs\":5}"), 31000 },
	{ "probe", OF("Probe", "{\"timeoutMs\":5}"), 120000 },
	{ "list", "{\"operation\":{\"type\":\"ListDrivers\"}}", 0 },
	{ "resume", RESUME("{\"timeoutMs\":5}"), 31000 },
	{ "destroy", DESTROY("{}"), 31000 },
	{ "destroy, timeoutMs", DESTROY("{\"timeoutMs\":5}"), 30005 },
	{ "destroy, bridge", DESTROY("{\"bridgeRequestTimeoutMs\":7}"), 30007 },
	{ "destroy, the larger", DESTROY("{\"timeoutMs\":9,\"bridgeRequestTimeoutMs\":7}"), 30009 },
	{ "destroy, text does not count", DESTROY("{\"timeoutMs\":\"9\"}"), 31000 },
	{ "destroy, 0 does not count", DESTROY("{\"timeoutMs\":0}"), 31000 },
	{ "destroy, less does not count", DESTROY("{\"timeoutMs\":-5}"), 31000 },
	{ "destroy, not finite", DESTROY("\"{\\\"timeoutMs\\\":1e999}\""), 31000 },
	{ "destroy, a fraction", DESTROY("{\"timeoutMs\":1500.5}"), 31500 },
	{ "destroy, for ever", DESTROY("{\"timeoutMs\":1e300}"), 2147483647 },
	{ "execute", EXECUTE("{}", ""), 31000 },
	{ "execute, own", EXECUTE("{\"timeoutMs\":5}", ",\"timeoutMs\":300"), 30300 },
	{ "execute, config", EXECUTE("{\"timeoutMs\":5,\"bridgeRequestTimeoutMs\":50}", ""),
	  30005 },
	{ "execute, for ever", EXECUTE("{}", ",\"timeoutMs\":9223372036854775807"), 2147483647 },
	{ "space around the config", EXECUTE("\" {\\\"timeoutMs\\\":5} \"", ""), 30005 },
	{ "delete template", "{" DRIVER ",\"config\":{\"timeoutMs\":5},\"operation\":{"
	  "\"type\":\"DeleteTemplate\",\"templateRef\":\"t\"}}", 30005 },
};

static void
test_commands(void **state)
{
	static const char *const pairs[] = { "plugin.call.timeout=31s", NULL };
	struct time_limit_keys *keys = keys_of(pairs);
	const struct time_row *row;

	(void)state;
	EACH(row, time_rows) {
		struct command *c = fixture_command(row->json);
		int64_t ms = time_limit_of(keys, c, "p", NULL).ms;

		if (ms != row->ms)
			fail_msg("%s: %lld", row->name, (long long)ms);
		command_free(c);
	}
	time_limit_keys_free(keys);
}

/* All that can set a limit, and which of them wins. */
static const struct from_row {
	const char *name, *json, *plugin_key;
	double timeout_ms, bridge_ms;	/* of the schema */
	const char *expected;
} from_rows[] = {
	{ "the command", EXECUTE("{\"timeoutMs\":5}", ",\"timeoutMs\":300"), "a", 9, 9,
	  "\"limit\":\"operation.timeoutMs\",\"setBy\":\"the command\",\"setMs\":300,"
	  "\"limitMs\":30300" },
	{ "the config", EXECUTE("{\"timeoutMs\":5}", ""), "a", 9, 9,
	  "\"limit\":\"config.timeoutMs\",\"setBy\":\"the command's config\",\"setMs\":5,"
	  "\"limitMs\":30005" },
	{ "the schema", EXECUTE("{}", ""), "other", 3600000, 0,
	  "\"limit\":\"config.timeoutMs\",\"setBy\":\"the default in the driver's configSchema\","
	  "\"setMs\":3600000,\"limitMs\":3630000" },
	{ "the bridge is not an execution's", EXECUTE("{}", ""), "other", 0, 7,
	  "\"limit\":\"plugin.call.timeout\",\"setBy\":\"default\",\"setMs\":30000,"
	  "\"limitMs\":30000" },
	{ "what does not count is none", EXECUTE("{\"timeoutMs\":\"9\"}", ""), "other", 60000, 0,
	  "\"limit\":\"config.timeoutMs\",\"setBy\":\"the default in the driver's configSchema\","
	  "\"setMs\":60000,\"limitMs\":90000" },
	{ "the larger default", DESTROY("{\"timeoutMs\":5}"), "other", 0, 70000,
	  "\"limit\":\"config.bridgeRequestTimeoutMs\","
	  "\"setBy\":\"the default in the driver's configSchema\",\"setMs\":70000,"
	  "\"limitMs\":100000" },
	{ "its own bridge", DESTROY("{\"bridgeRequestTimeoutMs\":6}"), "other", 5, 70000,
	  "\"limit\":\"config.bridgeRequestTimeoutMs\",\"setBy\":\"the command's config\","
	  "\"setMs\":6,\"limitMs\":30006" },
	{ "plugin and operation", EXECUTE("{}", ""), "a", 9, 0,
	  "\"limit\":\"plugin.call.timeout.a.Execute\",\"setBy\":\"-X\",\"setMs\":1000,"
	  "\"limitMs\":1000" },
	{ "the plugin", DESTROY("{}"), "a", 9, 0,
	  "\"limit\":\"plugin.call.timeout.a\",\"setBy\":\"-X\",\"setMs\":2000,\"limitMs\":2000" },
	{ "the plugin's probe, too", OF("Probe", "{}"), "a", 9, 0,
	  "\"limit\":\"plugin.call.timeout.a\",\"setBy\":\"-X\",\"setMs\":2000,\"limitMs\":2000" },
	{ "a key with dots", DESTROY("{}"), "a.b-c_d", 9, 0,
	  "\"limit\":\"plugin.call.timeout.a.b-c_d\",\"setBy\":\"-X\",\"setMs\":3000,"
	  "\"limitMs\":3000" },
	{ "the operation", RESUME("{}"), "other", 9, 0,
	  "\"limit\":\"plugin.call.timeout.ResumeLease\",\"setBy\":\"-X\",\"setMs\":4000,"
	  "\"limitMs\":4000" },
	{ "of an unknown plugin, too", RESUME("{}"), "", 0, 0,
	  "\"limit\":\"plugin.call.timeout.ResumeLease\",\"setBy\":\"-X\",\"setMs\":4000,"
	  "\"limitMs\":4000" },
	{ "a probe's own", OF("Probe", "{}"), "other", 9, 0,
	  "\"limit\":\"the limit of a Probe\",\"setBy\":\"built in\",\"setMs\":120000,"
	  "\"limitMs\":120000" },
	{ "cut", EXECUTE("{}", ",\"timeoutMs\":9000000000"), "a", 0, 0,
	  "\"limit\":\"operation.timeoutMs\",\"setBy\":\"the command\",\"setMs\":9000000000,"
	  "\"limitMs\":2147483647" },
};

static void
test_what_sets_it(void **state)
{
	static const char *const pairs[] = {
		"plugin.call.timeout.ResumeLease=4s", "plugin.call.timeout.a=2s",
		"plugin.call.timeout.a.Execute=1s", "plugin.call.timeout.a.b-c_d=3s", NULL,
	};
	struct time_limit_keys *keys = keys_of(pairs);
	const struct from_row *row;

	(void)state;
	EACH(row, from_rows) {
		struct command *c = fixture_command(row->json);
		const struct registry_driver d = {
			.timeout_ms = row->timeout_ms, .bridge_timeout_ms = row->bridge_ms,
		};
		struct time_limit l = time_limit_of(keys, c, row->plugin_key, &d);
		struct buf out = BUF_INIT;

		time_limit_add_json(&l, &out);
		if (strcmp(out.data, row->expected) != 0)
			fail_msg("%s: %s", row->name, out.data);
		buf_release(&out);
		command_free(c);
	}
	time_limit_keys_free(keys);
}

static const struct wrong_row {
	const char *pair, *expected;
} wrong_rows[] = {
	{ "plugin.call.timeout.Excute=1s",
	  "-X: plugin.call.timeout.Excute: there is no operation 'Excute'; did you mean "
	  "'Execute'?" },
	{ "plugin.call.timeout.acme.Zzz=1s",
	  "-X: plugin.call.timeout.acme.Zzz: there is no operation 'Zzz'" },
	{ "plugin.call.timeout.ListDrivers=1s",
	  "-X: plugin.call.timeout.ListDrivers: ListDrivers calls no plugin" },
	{ "plugin.call.timeout.a=soon", "-X: plugin.call.timeout.a: 'soon'" },
	{ "plugin.call.timeout.a=0s", "-X: plugin.call.timeout.a: " },
	{ "plugin.call.timeout.a=", "-X: plugin.call.timeout.a: " },
	{ "plugin.call.timeout.=1s", "-X: unknown key" },
};

static void
test_wrong_keys(void **state)
{
	const struct wrong_row *row;

	(void)state;
	EACH(row, wrong_rows) {
		struct err err = { 0 };
		struct config *c = config_new(&err);
		struct time_limit_keys *keys = NULL;

		if (config_set_pair(c, row->pair, "-X", &err) == 0)
			keys = time_limit_keys_new(c, &err);
		if (keys || strncmp(err.text, row->expected, strlen(row->expected)) != 0)
			fail_msg("%s: %s", row->pair, err.text);
		config_free(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_what_sets_it),
		cmocka_unit_test(test_wrong_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
