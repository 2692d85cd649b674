/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fixture_plugins.h"
#include "fixture_result.h"

static void
test_drivers(void **state)
{
	static const char *const running[] = { "id-1", "id-3", NULL };
	static const char *const methods[] = { "environmentResumeLease", "environmentReleaseLease",
					       "environmentDestroyLease", NULL };
	struct registry_driver drivers[] = {
		{ .driver_key = "plain", .display_name = "x" },
		{ .driver_key = "box", .sandbox_provider = true, .display_name = "Box" },
		{ .driver_key = "bare", .sandbox_provider = true, .display_name = "" },
	};
	const struct registry_plugin plugins[] = {
		{ .id = "id-1", .key = "one", .ready = true, .drivers = drivers, .n_drivers = 2 },
		{ .id = "id-2", .key = "stopped", .ready = true, .drivers = drivers + 1,
		  .n_drivers = 1 },
		{ .id = "id-3", .key = "not ready", .drivers = drivers + 1, .n_drivers = 1 },
		{ .id = "id-1", .key = "two", .ready = true, .drivers = drivers + 2,
		  .n_drivers = 1 },
		{ .id = NULL },
	};
	struct result_ctx *ctx = fixture_ctx(wide);
	struct command *c = fixture_command(WHO "\"operation\":{\"type\":\"ListDrivers\"}}");
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT;

	(void)state;
	drivers[1].entry = fixture_json(
		"{\"supportsLoginPty\":true,\"description\":\"d\\u00e9\",\"templateRefKind\":\"t\","
		"\"supportsReusableLeases\":false,\"sandboxCapabilities\":{\"a\": 1,"
		"\"duplexCommandStream\":true, \"b\":{}},\"other\":1}");
	drivers[1].config_schema = fixture_json("{\"type\": \"object\"}");
	drivers[2].entry = fixture_json("{\"sandboxCapabilities\":{\"duplexCommandStream\":true}}");
	fixture_plugins = plugins;
	fixture_running = running;
	fixture_methods = methods;
	assert_int_equal(result_drivers(ctx, c, &not_called, NULL, NULL, &e), 0);
	fixture_methods = methods + 1;
	fixture_print_events(&e, &text);
	CHECK_HAS("list", text.data, "driver-results c1\n");
	CHECK_HAS("list", text.data, "\"pluginId\":null,\"pluginKey\":null,\"driverKey\":null");
	CHECK_HAS("list", text.data,
		"\"drivers\":[{\"pluginId\":\"id-1\",\"pluginKey\":\"one\",\"driverKey\":\"box\","
		"\"displayName\":\"Box\",\"description\":\"d\xc3\xa9\","
		"\"configSchema\":\"{\\\"type\\\": \\\"object\\\"}\","
		"\"capabilities\":\"{\\\"supportsReusableLeases\\\":false,"
		"\\\"sandboxCapabilities\\\":{\\\"a\\\":1,\\\"b\\\":{}},"
		"\\\"reusableLeaseMethodsVerified\\\":true,"
		"\\\"templateRefKind\\\":\\\"t\\\"}\"},"
		"{\"pluginId\":\"id-1\",\"pluginKey\":\"two\",\"driverKey\":\"bare\","
		"\"displayName\":\"\",\"description\":null,\"configSchema\":null,"
		"\"capabilities\":\"{\\\"sandboxCapabilities\\\":{},"
		"\\\"reusableLeaseMethodsVerified\\\":true}\"}]}");
	assert_int_equal(result_drivers(ctx, c, &not_called, NULL, NULL, &e), 0);
	buf_reset(&text);
	fixture_print_events(&e, &text);
	CHECK_HAS("one method less", text.data, "\\\"reusableLeaseMethodsVerified\\\":false}");
	events_release(&e);
	buf_release(&text);
	command_free(c);
	result_ctx_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drivers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
