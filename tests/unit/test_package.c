/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/package/package.h"
#include "plugin/worker_env.h"

/* A tree of files: root/in is permitted, root/out is not. */
static char root[64], bin[80];

static void
put(const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void
folder(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void
link_to(const char *name, const char *target)
{
	char path[PATH_MAX], to[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	snprintf(to, sizeof(to), "%s%s", *target == '/' ? "" : root, target);
	if (*target != '/')
		snprintf(to, sizeof(to), "%s/%s", root, target);
	assert_int_equal(symlink(to, path), 0);
}

/* One package with these files; a NULL is left out. */
static void
package_with(const char *name, const char *plugin_json, const char *package_json)
{
	char path[PATH_MAX];

	folder(name);
	snprintf(path, sizeof(path), "%s/plugin.json", name);
	if (plugin_json)
		put(path, plugin_json, 0644);
	snprintf(path, sizeof(path), "%s/package.json", name);
	if (package_json)
		put(path, package_json, 0644);
}

static void
built(const char *name, const char *worker)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/dist", name);
	folder(path);
	snprintf(path, sizeof(path), "%s/dist/%s", name, worker);
	put(path, "", 0644);
}

static void
make_node_packages(void)
{
	package_with("in/said", NULL, "{\"paperclipPlugin\":{\"manifest\":\"./dist/m.js\"}}");
	built("in/said", "worker.js");
	package_with("in/usual", NULL, "{\"name\":\"@acme/usual\",\"exports\":{}}");
	built("in/usual", "worker.js");
	put("in/usual/dist/manifest.js", "", 0644);
	package_with("in/flat", NULL, "{\"paperclipPlugin\":true}");
	built("in/flat", "worker.cjs");
	put("in/flat/manifest.js", "", 0644);
	package_with("in/tools", NULL, "{\"name\":\"tools\"}");
	package_with("in/both", "{\"command\":[\"./run\"]}",
		     "{\"paperclipPlugin\":{\"manifest\":\"./m.js\"}}");
	put("in/both/run", "", 0755);
	folder("in/node_modules");
	folder("in/node_modules/@acme");
	link_to("in/node_modules/@acme/usual", "in/usual");
	package_with("in/linked", NULL, "{\"name\":\"linked\"}");
	folder("in/linked/dist");
	put("in/linked/manifest.js", "", 0644);
	link_to("in/linked/dist/worker.js", "in/usual/dist/worker.js");
	package_with("in/strays", NULL, "{\"name\":\"strays\"}");
	put("in/strays/manifest.js", "", 0644);
	folder("in/strays/dist");
	link_to("in/strays/dist/worker.js", "out/tool");
}

static void
make_keyed_packages(void)
{
	package_with("in/key-own", "{\"manifest\":{\"id\":\"acme.x\"},\"command\":[\"r\"]}",
		     NULL);
	package_with("in/key-file", "{\"manifest\":\"m.json\",\"command\":[\"r\"]}", NULL);
	put("in/key-file/m.json", "{\"id\":\"acme.x\"}", 0644);
	package_with("in/key-away", "{\"manifest\":\"../../out/m.json\",\"command\":[\"r\"]}",
		     NULL);
	put("out/m.json", "{\"id\":\"acme.x\"}", 0644);
	package_with("in/key-module", NULL, "{\"paperclipPlugin\":{\"manifest\":\"m.mjs\","
		     "\"worker\":\"m.mjs\"}}");
	put("in/key-module/m.mjs", "const id = 'acme.x';\nexport default { id };\n", 0644);
}

static int
make_tree(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/envdriver-package-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(bin, sizeof(bin), "%s/bin", root);
	folder("bin");
	put("bin/node", "", 0755);
	put("bin/wrap", "", 0755);
	put("bin/python3", "", 0755);
	folder("in");
	folder("out");
	put("out/tool", "", 0755);
	package_with("in/own", "{\"command\":[\"./run\",\"a b\",\"\"]}", NULL);
	put("in/own/run", "", 0755);
	package_with("in/bare", "{\"command\":[\"run\"]}", NULL);
	put("in/bare/run", "", 0755);
	package_with("in/system", "{\"command\":[\"python3\",\"w.py\"]}", "{\"name\":\"x\"}");
	package_with("in/missing", "{\"command\":[\"nothing\"]}", NULL);
	package_with("in/away", "{\"command\":[\"../../out/tool\"]}", NULL);
	package_with("in/absolute", "{\"command\":[\"/bin/sh\"]}", NULL);
	package_with("in/deaf", "{\"command\":[\"./plugin.json\"]}", NULL);
	package_with("in/empty", "{\"command\":[]}", NULL);
	package_with("in/number", "{\"command\":[\"./run\",3]}", NULL);
	put("in/number/run", "", 0755);
	package_with("in/text", "{\"command\":\"./run\"}", NULL);
	package_with("in/bad", "{\"command\":", NULL);
	package_with("in/none", NULL, NULL);
	package_with("in/venv", "{\"command\":[\"./python\"]}", NULL);
	link_to("in/venv/python", "bin/python3");
	package_with("in/node", NULL, "{\"paperclipPlugin\":{\"worker\":\"./w.mjs\"}}");
	put("in/node/w.mjs", "", 0644);
	package_with("in/node-out", NULL, "{\"paperclipPlugin\":{\"worker\":\"../../out/tool\"}}");
	package_with("in/node-none", NULL, "{\"paperclipPlugin\":{\"worker\":\"w.mjs\"}}");
	make_node_packages();
	package_with("out/own", "{\"command\":[\"./run\"]}", NULL);
	make_keyed_packages();
	link_to("in/link", "out/own");
	link_to("out/back", "in/own");
	package_with("in-beside", "{\"command\":[\"./run\"]}", NULL);
	return 0;
}

static int
remove_tree(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static const struct row {
	const char *name;
	const char *folder, *wrapper;
	int code;
	const char *out;	/* argv with '|' between, '@' for the root; or part of the error */
} rows[] = {
	{ "own program", "/in/own", NULL, 0, "@/in/own/./run|a b|" },
	{ "trailing slash", "/in/own/", NULL, 0, "@/in/own/./run|a b|" },
	{ "bare name of its own", "/in/bare", NULL, 0, "@/in/bare/run" },
	{ "bare name of the system", "/in/system", NULL, 0, "@/bin/python3|w.py" },
	{ "an interpreter by a link", "/in/venv", NULL, 0, "@/in/venv/./python" },
	{ "node", "/in/node", NULL, 0, "@/bin/node|@/in/node/w.mjs" },
	{ "wrapped", "/in/node", "wrap  --ro "
	  "/", 0, "@/bin/wrap|--ro|/|@/bin/node|@/in/node/w.mjs" },
	{ "wrapped by a path", "/in/bare", "/opt/wrap x", 0, "/opt/wrap|x|@/in/bare/run" },
	{ "a link that leads in", "/out/back", NULL, 0, "@/in/own/./run|a b|" },

	{ "no such wrapper", "/in/bare", "unwrap", ERR_NOTFOUND,
	  "plugin.wrapper: there is no 'unwrap'" },
	{ "outside", "/out/own", NULL, ERR_DENIED,
	  "is not inside any directory of plugin.dirs" },
	{ "a link that leads out", "/in/link", NULL, ERR_DENIED,
	  "is not inside any directory of plugin.dirs" },
	{ "beside, same start", "/in-beside", NULL, ERR_DENIED,
	  "is not inside any directory of plugin.dirs" },
	{ "no folder", "/in/gone", NULL, ERR_NOTFOUND, "No such file or directory" },
	{ "no files", "/in/none", NULL, ERR_NOTFOUND, "it has neither a package.json" },
	{ "package.json of tools", "/in/tools", NULL, ERR_NOTFOUND,
	  "it has neither a package.json" },
	{ "plugin.json before a manifest that is named", "/in/both", NULL, 0, "@/in/both/./run" },
	{ "no worker named", "/in/said", NULL, ERR_INVALID, "names no entrypoints.worker" },
	{ "no such program", "/in/missing", NULL, ERR_NOTFOUND,
	  "there is no 'nothing' in the worker's PATH" },
	{ "program by ..", "/in/away", NULL, ERR_DENIED, "its command '../../out/tool' is "
	  "not inside any" },
	{ "absolute program", "/in/absolute", NULL, ERR_DENIED,
	  "its command '/bin/sh' is not inside any" },
	{ "not executable", "/in/deaf", NULL, ERR_NOTFOUND, "Permission denied" },
	{ "empty command", "/in/empty", NULL, ERR_INVALID, "command is empty" },
	{ "number in the command", "/in/number", NULL, ERR_INVALID,
	  "an element that is not a string" },
	{ "command is a text", "/in/text", NULL, ERR_INVALID, "command is not an array" },
	{ "bad JSON", "/in/bad", NULL, ERR_INVALID, "plugin.json: expected a value at byte 11" },
	{ "worker outside", "/in/node-out", NULL, ERR_INVALID,
	  "the path of its worker, \"../../out/tool\", must be inside the package" },
	{ "no worker", "/in/node-none", NULL, ERR_NOTFOUND, "cannot open its worker" },
};

/* What the manifest says decides which worker runs, and whether it may. */
static const struct manifest_row {
	const char *name;
	const char *folder, *manifest;
	int code;
	const char *out;
} manifest_rows[] = {
#define WORKER(path) "{\"entrypoints\":{\"worker\":\"" path "\"}}"
	{ "manifest named, no worker", "/in/said", WORKER("./dist/worker.js"), 0,
	  "@/bin/node|@/in/said/dist/worker.js" },
	{ "nothing named", "/in/usual", WORKER("dist/worker.js"), 0,
	  "@/bin/node|@/in/usual/dist/worker.js" },
	{ "manifest at the root, CommonJS", "/in/flat", WORKER("./dist/worker.cjs"), 0,
	  "@/bin/node|@/in/flat/dist/worker.cjs" },
	{ "package.json names another worker", "/in/node-none", WORKER("./package.json"), 0,
	  "@/bin/node|@/in/node-none/package.json" },
	{ "package.json names one that is there", "/in/node", WORKER("./gone.js"), ERR_NOTFOUND,
	  "cannot open its worker" },
	{ "a manifest that names a program in another language", "/in/node", WORKER("./w.py"), 0,
	  "@/bin/node|@/in/node/w.mjs" },
	{ "a manifest without entry points", "/in/node", "{}", 0, "@/bin/node|@/in/node/w.mjs" },
	{ "a path with detours", "/in/said", WORKER("./x/.././/dist/./worker.js"), 0,
	  "@/bin/node|@/in/said/dist/worker.js" },
	{ "a scoped package of a workspace", "/in/node_modules/@acme/usual",
	  WORKER("./dist/worker.js"), 0, "@/bin/node|@/in/usual/dist/worker.js" },
	{ "a worker by a link", "/in/linked", WORKER("./dist/worker.js"), 0,
	  "@/bin/node|@/in/usual/dist/worker.js" },
	{ "a worker by a link that leads out", "/in/strays", WORKER("./dist/worker.js"), ERR_DENIED,
	  "is not inside any directory of plugin.dirs" },
	{ "out and in again", "/in/said", WORKER("../said/dist/worker.js"), ERR_INVALID,
	  "must be inside the package" },
	{ "absolute", "/in/said", WORKER("/bin/sh"), ERR_INVALID, "must be inside the package" },
	{ "a folder", "/in/said", WORKER("dist"), ERR_INVALID, "is not a file" },
	{ "the folder itself", "/in/said", WORKER("."), ERR_INVALID, "must be inside the package" },
	{ "a NUL", "/in/said", WORKER("dist/worker.js\\u0000x"), ERR_INVALID,
	  "must be inside the package" },
#define HOST(member, version) "{\"" member "\":\"" version "\"}"
	{ "an old host will do", "/in/own", HOST("minimumHostVersion", "1.0.0"), 0,
	  "@/in/own/./run|a b|" },
	{ "this very host", "/in/own", HOST("minimumHostVersion", "2026.916.1"), 0,
	  "@/in/own/./run|a b|" },
	{ "a newer host", "/in/own", HOST("minimumHostVersion", "2026.1001.0"), ERR_INVALID,
	  "it requires host version 2026.1001.0 or newer, and this envdriver stands for "
	  "2026.916.1" },
	{ "in the old word", "/in/own", HOST("minimumPaperclipVersion", "9999.0.0"), ERR_INVALID,
	  "it requires host version 9999.0.0" },
	{ "what comes before a release", "/in/own", HOST("minimumHostVersion", "2026.916.1-rc.1"),
	  0, "@/in/own/./run|a b|" },
	{ "no version", "/in/own", HOST("minimumHostVersion", "v2"), ERR_INVALID,
	  "its minimumHostVersion 'v2' is no version" },
};

/* "a|b" with '@' where the root's name stands. */
static void
show(const struct package *p, struct buf *out)
{
	for (char **a = p->argv; *a; a++) {
		if (a != p->argv)
			buf_addch(out, '|');
		if (strncmp(*a, root, strlen(root)) == 0)
			buf_addf(out, "@%s", *a + strlen(root));
		else
			buf_adds(out, *a);
	}
}

static void
check_open(const char *name, const char *folder_name, struct jtext manifest,
	   const struct package_rules *rules, int want_code, const char *want)
{
	struct package p = { NULL, NULL };
	struct buf got = BUF_INIT;
	struct err err = { 0 };
	char path[PATH_MAX];
	int code;

	snprintf(path, sizeof(path), "%s%s", root, folder_name);
	code = package_open(path, manifest, rules, &p, &err);
	if (code == 0)
		show(&p, &got);
	else
		buf_adds(&got, err.text);
	if (code != want_code || (code ? !strstr(got.data, want) : strcmp(got.data, want) != 0))
		fail_msg("%s: %d %s", name, code, got.data);
	if (code == 0)
		assert_int_equal(access(p.dir, F_OK), 0);
	package_release(&p);
	buf_release(&got);
}

static void
test_rows(void **state)
{
	const struct jtext none = { JTEXT_MISSING, SPAN_NULL };
	char dirs[200];
	struct package_rules rules = { .dirs = dirs, .path = bin };

	(void)state;
	snprintf(dirs, sizeof(dirs), "/nowhere:%s/in/:", root);
	for (size_t i = 0; i < COUNT(rows); i++) {
		rules.wrapper = rows[i].wrapper;
		check_open(rows[i].name, rows[i].folder, none, &rules, rows[i].code, rows[i].out);
	}
	assert_int_equal(package_open("in/own", none, &rules, NULL, NULL), ERR_DENIED);
}

static void
test_manifest_rows(void **state)
{
	char dirs[200];
	struct package_rules rules = { .dirs = dirs, .path = bin };

	(void)state;
	snprintf(dirs, sizeof(dirs), "%s/in", root);
	for (size_t i = 0; i < COUNT(manifest_rows); i++) {
		const struct manifest_row *r = &manifest_rows[i];
		struct jtext manifest;

		assert_int_equal(jtext_check(span_of(r->manifest), JTEXT_DEPTH_MAX, &manifest,
					     NULL), 0);
		check_open(r->name, r->folder, manifest, &rules, r->code, r->out);
	}
}

static const struct env_row {
	const char *name, *all, *one;
	const char *own[6];
	const char *out;	/* with '|' between */
} env_rows[] = {
	{ "nothing asked for", NULL, NULL, { "HOME=/root", "SECRET=x" },
	  "PAPERCLIP_PLUGIN_ID=p-1|PATH=/usr/local/bin:/usr/bin:/bin|NODE_ENV=production|TZ=UTC|"
	  "PAPERCLIP_DEPLOYMENT_MODE=local_trusted|PAPERCLIP_DEPLOYMENT_EXPOSURE=private" },
	{ "named ones", "A, B  C", "D", { "A=1", "B=", "D=x=y", "E=5", "AA=2" },
	  "PAPERCLIP_PLUGIN_ID=p-1|PATH=/usr/local/bin:/usr/bin:/bin|NODE_ENV=production|TZ=UTC|"
	  "PAPERCLIP_DEPLOYMENT_MODE=local_trusted|PAPERCLIP_DEPLOYMENT_EXPOSURE=private|"
	  "D=x=y|A=1" },
	{ "they win over the fixed ones", "PATH PAPERCLIP_PLUGIN_ID", "TZ PATH",
	  { "PATH=/opt", "TZ=CET", "PAPERCLIP_PLUGIN_ID=forged" },
	  "PAPERCLIP_PLUGIN_ID=p-1|NODE_ENV=production|PAPERCLIP_DEPLOYMENT_MODE=local_trusted|"
	  "PAPERCLIP_DEPLOYMENT_EXPOSURE=private|TZ=CET|PATH=/opt" },
};

static void
test_env(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(env_rows); i++) {
		const struct env_row *row = &env_rows[i];
		struct config *config = config_new(NULL);
		const struct worker_env_of of = { .plugin_id = "p-1", .plugin_key = "acme.x" };
		struct buf got = BUF_INIT;
		char **env;

		assert_non_null(config);
		if (row->all)
			assert_int_equal(config_set(config, "plugin.env", row->all, "test", NULL),
				0);
		if (row->one)
			assert_int_equal(config_set(config, "plugin.env.acme.x", row->one, "test",
				NULL), 0);
		env = worker_env_new(config, &of, (char *const *)row->own, NULL);
		assert_non_null(env);
		for (char **e = env; *e; e++)
			buf_addf(&got, "%s%s", e == env ? "" : "|", *e);
		if (strcmp(got.data, row->out) != 0)
			fail_msg("%s: %s", row->name, got.data);
		assert_string_equal(worker_env_get(env, "PAPERCLIP_PLUGIN_ID"), "p-1");
		assert_null(worker_env_get(env, "PAPERCLIP"));
		free(env);
		buf_release(&got);
		config_free(config);
	}
}

/* plugin.env.<key> is only for a package whose own manifest has that id, whatever
 * the registry says. */
static const struct key_row {
	const char *package, *key;
	bool has;
} key_rows[] = {
	{ "in/key-own", "acme.x", true },
	{ "in/key-own", "acme.y", false },
	{ "in/key-own", "acme", false },
	{ "in/key-own", "", false },
	{ "in/key-file", "acme.x", true },
	{ "in/key-file", "acme.xx", false },
	{ "in/key-away", "acme.x", false },
	{ "in/key-module", "acme.x", true },
	{ "in/key-module", "acme", false },
	{ "in/key-module", "cme.x", false },
	{ "in/own", "acme.x", false },
	{ "in/none", "acme.x", false },
	{ "in/nowhere", "acme.x", false },
};

static void
test_keys(void **state)
{
	const struct key_row *row;
	char path[PATH_MAX];

	(void)state;
	EACH (row, key_rows) {
		snprintf(path, sizeof(path), "%s/%s", root, row->package);
		if (package_has_key(path, row->key) != row->has)
			fail_msg("%s, '%s': %d", row->package, row->key, !row->has);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_manifest_rows),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_env),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
