/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "registry/registry_record.h"
#include "alloc_rig.h"

/* The mirror itself is tested on a real Redis (tests/integration). */

#define FIXTURE \
	"{\"id\":\"fixture\",\"environmentDrivers\":[" \
	"{\"driverKey\":\"a\",\"kind\":\"environment_driver\",\"displayName\":\"A\\u0041\"," \
	"\"configSchema\":{\"type\":\"object\",\"properties\":{" \
	"\"timeoutMs\":{\"default\":3600000},\"bridgeRequestTimeoutMs\":{\"default\":0}}}}," \
	"{\"driverKey\":\"b\\n\",\"kind\":\"sandbox_provider\",\"configSchema\":true}," \
	"{\"driverKey\":\"a\",\"kind\":\"Sandbox_provider\"}]}"

static const struct row {
	const char *name;
	const char *values[REGISTRY_FIELDS];	/* key, status, manifest, package, config */
	const char *wrong;			/* "" when well formed */
	bool ready;
	size_t drivers;
} rows[] = {
	{ "ready", { "k", "ready", FIXTURE, "/opt/p", "{\"c\":{}}" }, "", true, 3 },
	{ "other status", { "k", "upgrade_pending", "{}" }, "", false, 0 },
	{ "unknown status", { "k", "Ready", "{}" }, "", false, 0 },
	{ "no drivers", { "k", "ready", "{\"environmentDrivers\":[]}" }, "", true, 0 },
	{ "no hash", { NULL }, "pluginKey is missing", false, 0 },
	{ "no key", { NULL, "ready", "{}" }, "pluginKey is missing", false, 0 },
	{ "empty key", { "", "ready", "{}" }, "pluginKey is empty", false, 0 },
	{ "key no UTF-8", { "\xff", "ready", "{}" },
	  "pluginKey is no UTF-8 text of up to 4096 bytes", false, 0 },
	{ "no status", { "k", NULL, "{}" }, "status is missing", false, 0 },
	{ "empty status", { "k", "", "{}" }, "status is empty", false, 0 },
	{ "no manifest", { "k", "ready" }, "manifest is missing", false, 0 },
	{ "manifest no object", { "k", "ready", "[]" }, "manifest: expected an object, got array",
	  false, 0 },
	{ "drivers no array", { "k", "ready", "{\"environmentDrivers\":{}}" },
	  "manifest: environmentDrivers: expected an array, got object", false, 0 },
	{ "drivers null", { "k", "ready", "{\"environmentDrivers\":null}" },
	  "manifest: environmentDrivers: expected an array, got null", false, 0 },
	{ "driver no object",
	  { "k", "ready", "{\"environmentDrivers\":[{\"driverKey\":\"a\"},7]}" },
	  "manifest: environmentDrivers[1]: expected an object, got number", false, 0 },
	{ "driver without key", { "k", "ready", "{\"environmentDrivers\":[{}]}" },
	  "manifest: environmentDrivers[0]: driverKey is no text", false, 0 },
	{ "driver with an empty key",
	  { "k", "ready", "{\"environmentDrivers\":[{\"driverKey\":\"\"}]}" },
	  "manifest: environmentDrivers[0]: driverKey is no text", false, 0 },
	{ "NUL in a driver's key",
	  { "k", "ready", "{\"environmentDrivers\":[{\"driverKey\":\"a\\u0000b\"}]}" },
	  "manifest: environmentDrivers[0]: a NUL in driverKey or displayName", false, 0 },
	{ "config no object", { "k", "ready", "{}", NULL, "3" },
	  "config: expected an object, got number", false, 0 },
};

static void
fill(const struct row *r, struct span values[REGISTRY_FIELDS])
{
	for (size_t i = 0; i < REGISTRY_FIELDS; i++)
		values[i] = span_of(r->values[i]);
}

static void
test_rows(void **state)
{
	struct span values[REGISTRY_FIELDS];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		struct registry_record *record;
		struct registry_plugin *p;
		struct err wrong;

		fill(r, values);
		record = registry_record_new(SPAN_LIT("id-1"), values, &wrong);
		assert_non_null(record);
		p = registry_record_plugin(record);
		if (strcmp(wrong.text, r->wrong) || p->ready != r->ready ||
		    p->n_drivers != r->drivers)
			fail_msg("%s: '%s', ready %d, %zu drivers", r->name, wrong.text, p->ready,
				 p->n_drivers);
		assert_string_equal(p->id, "id-1");
		assert_true((p->status[0] == '\0') == (r->wrong[0] != '\0'));
		assert_true((p->manifest.kind == JTEXT_MISSING) == (r->wrong[0] != '\0'));
		assert_true(registry_record_same(record, values));
		values[REGISTRY_CONFIG] = SPAN_LIT("{\"d\":{}}");
		assert_false(registry_record_same(record, values));
		registry_record_free(record);
	}
}

static void
test_bad_json(void **state)
{
	struct span values[REGISTRY_FIELDS] = {
		SPAN_LIT("k"), SPAN_LIT("ready"), SPAN_LIT("{\"a\":"),
	};
	struct registry_record *record;
	struct err wrong;

	(void)state;
	record = registry_record_new(SPAN_LIT("i"), values, &wrong);
	assert_non_null(record);
	assert_memory_equal(wrong.text, "manifest: ", 10);
	assert_string_equal(registry_record_plugin(record)->key, "k");
	registry_record_free(record);
	record = registry_record_bad(SPAN_LIT("i"), "not a hash", &wrong);
	assert_string_equal(wrong.text, "not a hash");
	assert_false(registry_record_plugin(record)->ready);
	registry_record_free(record);
}

static void
test_drivers(void **state)
{
	struct span values[REGISTRY_FIELDS];
	struct registry_record *record;
	struct registry_plugin *p;
	struct err wrong;

	(void)state;
	fill(&rows[0], values);
	record = registry_record_new(SPAN_LIT("i"), values, &wrong);
	p = registry_record_plugin(record);
	assert_string_equal(p->package, "/opt/p");
	assert_string_equal(p->key, "k");
	assert_int_equal(jtext_get(p->config, "c").kind, JTEXT_OBJECT);
	assert_string_equal(p->drivers[0].display_name, "AA");
	assert_int_equal(p->drivers[0].config_schema.kind, JTEXT_OBJECT);
	assert_true(p->drivers[0].timeout_ms == 3600000);
	assert_true(p->drivers[0].bridge_timeout_ms == 0);
	assert_true(p->drivers[1].timeout_ms == 0);
	assert_false(p->drivers[0].sandbox_provider);
	assert_string_equal(p->drivers[1].driver_key, "b\n");
	assert_true(p->drivers[1].sandbox_provider);
	assert_string_equal(p->drivers[1].display_name, "");
	assert_int_equal(p->drivers[1].config_schema.kind, JTEXT_MISSING);
	assert_false(p->drivers[2].sandbox_provider);
	assert_ptr_equal(registry_driver(p, SPAN_LIT("a")), &p->drivers[0]);
	assert_ptr_equal(registry_driver(p, SPAN_LIT("b\n")), &p->drivers[1]);
	assert_null(registry_driver(p, SPAN_LIT("b")));
	assert_null(registry_driver(p, SPAN_LIT("")));
	registry_record_free(record);
}

static void
test_sizes(void **state)
{
	struct span values[REGISTRY_FIELDS] = { SPAN_LIT("k"), SPAN_LIT("ready") };
	struct buf text = BUF_INIT;
	struct registry_record *record;
	struct err wrong;

	(void)state;
	buf_adds(&text, "{\"environmentDrivers\":[");
	for (int i = 0; i <= REGISTRY_DRIVERS_MAX; i++) {
		buf_addf(&text, "%s{\"driverKey\":\"%d\"}", i ? "," : "", i);
		if (i != REGISTRY_DRIVERS_MAX - 1)
			continue;
		buf_adds(&text, "]}");
		values[REGISTRY_MANIFEST] = buf_span(&text);
		record = registry_record_new(SPAN_LIT("i"), values, &wrong);
		assert_int_equal(registry_record_plugin(record)->n_drivers, REGISTRY_DRIVERS_MAX);
		registry_record_free(record);
		text.len -= 2;
	}
	buf_adds(&text, "]}");
	values[REGISTRY_MANIFEST] = buf_span(&text);
	record = registry_record_new(SPAN_LIT("i"), values, &wrong);
	assert_string_equal(wrong.text, "manifest: environmentDrivers: more than 1000");
	registry_record_free(record);
	buf_reset(&text);
	buf_adds(&text, "{}");
	while (text.len <= REGISTRY_MANIFEST_MAX)
		buf_addch(&text, ' ');
	values[REGISTRY_MANIFEST] = buf_span(&text);
	record = registry_record_new(SPAN_LIT("i"), values, &wrong);
	assert_string_equal(wrong.text, "manifest has 4194305 bytes, 4194304 are allowed");
	registry_record_free(record);
	values[REGISTRY_MANIFEST].len--;
	record = registry_record_new(SPAN_LIT("i"), values, &wrong);
	assert_true(registry_record_plugin(record)->ready);
	registry_record_free(record);
	buf_release(&text);
}

static int calls_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return calls_left-- > 0 ? realloc(ptr, size) : NULL;
}

static void
test_out_of_memory(void **state)
{
	struct span values[REGISTRY_FIELDS];
	struct registry_record *record = NULL;
	struct err wrong;
	int n;

	(void)state;
	fill(&rows[0], values);
	for (n = 0; !record && n < 100; n++) {
		calls_left = n;
		alloc_replace(failing_realloc);
		record = registry_record_new(SPAN_LIT("i"), values, &wrong);
		alloc_replace(NULL);
	}
	assert_in_range(n, 4, 20);
	assert_string_equal(wrong.text, "");
	assert_int_equal(registry_record_plugin(record)->n_drivers, 3);
	registry_record_free(record);
	registry_record_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_drivers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
