/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/client/manifest.h"

#define HEAD "\"id\":\"a.b\",\"apiVersion\":1,\"version\":\"1.0.0\""
#define CAPS ",\"capabilities\":[\"environment.drivers.register\"]"
#define DRIVERS(d) "{" HEAD CAPS ",\"environmentDrivers\":[" d "]}"
#define DRIVER "\"driverKey\":\"d\",\"displayName\":\"D\",\"configSchema\":{}"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* `text` NULL: good. */
static const struct row {
	const char *json, *text;
} rows[] = {
	{ DRIVERS("{" DRIVER "}"), NULL },
	{ "{" HEAD CAPS "}", NULL },
	{ DRIVERS("{" DRIVER ",\"kind\":\"sandbox_provider\",\"supportsLoginPty\":false}"), NULL },
	{ "{\"id\":\"a\",\"apiVersion\":1,\"version\":\"1.0.0-rc.1+b-2\",\"capabilities\":[\"x\"]}",
	  NULL },
	{ "[]", "expected object, got array" },
	{ "{}", "id: expected lower case letters, digits, '.', '_' and '-'" },
	{ "{\"id\":\"A\"}", "id: expected lower case letters, digits, '.', '_' and '-'" },
	{ "{\"id\":\".a\"}", "id: expected lower case letters, digits, '.', '_' and '-'" },
	{ "{\"id\":\"a\\u0000\"}", "id: expected lower case letters, digits, '.', '_' and '-'" },
	{ "{\"id\":7}", "id: expected lower case letters, digits, '.', '_' and '-'" },
	{ "{\"id\":\"a\",\"apiVersion\":2}", "apiVersion: expected 1" },
	{ "{\"id\":\"a\",\"apiVersion\":\"1\"}", "apiVersion: expected 1" },
	{ "{\"id\":\"a\",\"apiVersion\":1,\"version\":\"1.0\"}",
	  "version: expected MAJOR.MINOR.PATCH" },
	{ "{\"id\":\"a\",\"apiVersion\":1,\"version\":\"1.0.0-\"}",
	  "version: expected MAJOR.MINOR.PATCH" },
	{ "{\"id\":\"a\",\"apiVersion\":1,\"version\":\"v1.0.0\"}",
	  "version: expected MAJOR.MINOR.PATCH" },
	{ "{" HEAD "}", "capabilities: expected at least one" },
	{ "{" HEAD CAPS ",\"minimumHostVersion\":\"9999.0.0\"}", NULL },
	{ "{" HEAD CAPS ",\"minimumHostVersion\":\"v1\"}",
	  "minimumHostVersion: expected MAJOR.MINOR.PATCH" },
	{ "{" HEAD CAPS ",\"minimumPaperclipVersion\":7}",
	  "minimumPaperclipVersion: expected MAJOR.MINOR.PATCH" },
#define OLD(version) ",\"minimumPaperclipVersion\":\"" version "\""
	{ "{" HEAD CAPS ",\"minimumHostVersion\":\"1.0.0\"" OLD("1.0.1") "}",
	  "minimumHostVersion: differs from minimumPaperclipVersion" },
	{ "{" HEAD CAPS ",\"minimumHostVersion\":\"1.0.0\"" OLD("1.0.0") "}", NULL },
	{ "{" HEAD CAPS ",\"entrypoints\":{\"worker\":\"\"}}",
	  "entrypoints.worker: expected a path" },
	{ "{" HEAD ",\"capabilities\":[]}", "capabilities: expected at least one" },
	{ "{" HEAD ",\"capabilities\":[\"x\"],\"environmentDrivers\":[{" DRIVER "}]}",
	  "capabilities: environmentDrivers requires environment.drivers.register" },
	{ "{" HEAD CAPS ",\"environmentDrivers\":{}}",
	  "environmentDrivers: expected array, got object" },
	{ DRIVERS("1"), "environmentDrivers[0]: expected object, got number" },
	{ DRIVERS("{" DRIVER "},{" DRIVER "}"),
	  "environmentDrivers[1].driverKey: 'd' is used twice" },
	{ DRIVERS("{\"driverKey\":\"D\",\"displayName\":\"D\",\"configSchema\":{}}"),
	  "environmentDrivers[0].driverKey: expected lower case letters, digits, '.', '_' and '-', "
	  "got 'D'" },
	{ DRIVERS("{\"driverKey\":\"d\",\"displayName\":\"\",\"configSchema\":{}}"),
	  "environmentDrivers[0].displayName: must not be empty" },
	{ DRIVERS("{\"driverKey\":\"d\",\"displayName\":\"" HUNDRED "\",\"configSchema\":{}}"),
	  NULL },
	{ DRIVERS("{\"driverKey\":\"d\",\"displayName\":\"" HUNDRED "x\",\"configSchema\":{}}"),
	  "environmentDrivers[0].displayName: must not be longer than 100" },
	{ DRIVERS("{\"driverKey\":\"d\",\"displayName\":\"D\"}"),
	  "environmentDrivers[0].configSchema: expected object, got nothing" },
	{ DRIVERS("{" DRIVER ",\"kind\":\"sandbox\"}"),
	  "environmentDrivers[0].kind: expected environment_driver or sandbox_provider" },
	{ DRIVERS("{" DRIVER ",\"kind\":null}"),
	  "environmentDrivers[0].kind: expected string, got null" },
	{ DRIVERS("{" DRIVER ",\"supportsReusableLeases\":\"yes\"}"),
	  "environmentDrivers[0].supportsReusableLeases: expected boolean, got string" },
	{ DRIVERS("{" DRIVER ",\"supportsLoginPTY\":true}"),
	  "environmentDrivers[0]: unknown key 'supportsLoginPTY'" },
};

static void
test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err err = { 0 };
		struct jtext json;

		if (jtext_check(span_of(rows[i].json), JTEXT_DEPTH_MAX, &json, &err) < 0)
			fail_msg("%s: %s", rows[i].json, err.text);
		manifest_check(json, &err);
		if (strcmp(err.text, rows[i].text ? rows[i].text : "") != 0)
			fail_msg("%s: '%s'", rows[i].json, err.text);
	}
}

static void
test_compact(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	manifest_add_compact(&out, SPAN_LIT("{ \"a b\" :\n[1 ,\t\" \\\" \\\\\" ] }"));
	assert_string_equal(out.data, "{\"a b\":[1,\" \\\" \\\\\"]}");
	buf_release(&out);
}

/* A package is a few files in a folder. `%s` in `text` is the folder. */
static const struct package_row {
	const char *name, *plugin, *package, *other, *other_text, *manifest, *text;
} package_rows[] = {
	{ "inline", "{\"manifest\":{\"id\": \"a\"},\"command\":[\"./x\"]}", NULL, NULL, NULL,
	  "{\"id\":\"a\"}", NULL },
	{ "by path", "{\"manifest\":\"m.json\",\"command\":[]}", NULL, "m.json", "{ \"id\":1 }",
	  "{\"id\":1}", NULL },
	{ "node, JSON", NULL, "{\"paperclipPlugin\":{\"manifest\":\"./m.json\",\"worker\":\"w\"}}",
	  "m.json", "{}", "{}", NULL },
	{ "package.json first", "{\"manifest\":{},\"command\":[]}",
	  "{\"paperclipPlugin\":{\"manifest\":\"./m.json\",\"worker\":\"w\"}}", "m.json",
	  "{\"id\":\"n\"}", "{\"id\":\"n\"}", NULL },
	{ "package.json of tools", "{\"manifest\":{},\"command\":[]}", "{\"name\":\"x\"}", NULL,
	  NULL, "{}", NULL },
	{ "package.json that is not JSON", "{\"manifest\":{},\"command\":[]}", "{", NULL, NULL,
	  NULL, "%s/package.json: expected '\"' or '}' at byte 1, got the end" },
	{ "nothing there", NULL, NULL, NULL, NULL, NULL,
	  "'%s' is not a plugin package: it has neither a package.json with paperclipPlugin, "
	  "nor one beside a dist/manifest.js, nor a plugin.json" },
	{ "no command", "{\"manifest\":{}}", NULL, NULL, NULL, NULL,
	  "%s/plugin.json: command: expected array, got nothing" },
	{ "no plugin of ours", NULL, "{\"name\":\"x\"}", NULL, NULL, NULL,
	  "'%s' is not a plugin package: it has neither a package.json with paperclipPlugin, "
	  "nor one beside a dist/manifest.js, nor a plugin.json" },
	{ "no manifest", "{\"command\":[]}", NULL, NULL, NULL, NULL,
	  "%s: manifest: expected object or path, got nothing" },
	{ "out of the folder", "{\"manifest\":\"../m.json\",\"command\":[]}", NULL, NULL, NULL,
	  NULL,
	  "the path of the manifest must be inside the package" },
	{ "absolute", "{\"manifest\":\"/etc/m.json\",\"command\":[]}", NULL, NULL, NULL, NULL,
	  "the path of the manifest must be inside the package" },
	{ "not there", "{\"manifest\":\"m.json\",\"command\":[]}", NULL, NULL, NULL, NULL,
	  "cannot read its manifest '%s/m.json': No such file or directory (has the package been "
	  "built?)" },
	{ "no worker named", NULL, "{\"paperclipPlugin\":{\"manifest\":\"./m.json\"}}", "m.json",
	  "{\"id\":\"n\"}", "{\"id\":\"n\"}", NULL },
};

static void
put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!text) {
		unlink(path);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
test_read(void **state)
{
	char dir[] = "/tmp/test_manifest.XXXXXX", want[500];

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(package_rows) / sizeof(*package_rows); i++) {
		const struct package_row *r = &package_rows[i];
		const char *at = r->text ? strstr(r->text, "%s") : NULL;
		struct buf out = BUF_INIT;
		struct jtext read;
		struct err err = { 0 };

		put(dir, "plugin.json", r->plugin);
		put(dir, "package.json", r->package);
		put(dir, "m.json", r->other ? r->other_text : NULL);
		manifest_read(dir, &out, &read, &err);
		if (at)
			snprintf(want, sizeof(want), "%.*s%s%s", (int)(at - r->text), r->text, dir,
				 at + 2);
		else
			snprintf(want, sizeof(want), "%s", r->text ? r->text : "");
		if (strcmp(err.text, want) != 0)
			fail_msg("%s: '%s', not '%s'", r->name, err.text, want);
		if (r->manifest && !span_is(buf_span(&out), r->manifest))
			fail_msg("%s: %s", r->name, out.data);
		buf_release(&out);
	}
	put(dir, "plugin.json", NULL);
	put(dir, "package.json", NULL);
	put(dir, "m.json", NULL);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
