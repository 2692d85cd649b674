/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drivers: `envdriver drivers`: the drivers in the registry, and how a driver
 * or provider resolves (docs/operations.md, "Resolution"). Here a plugin is
 * running if any instance runs it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/client/manifest.h"
#include "envdriver/commands/commands.h"

static void
add_decoded(struct buf *out, struct jtext string)
{
	if (string.kind == JTEXT_STRING)
		jtext_decode(string, out, /* ret_replaced= */ NULL);
}

static void
add_driver_row(struct cli_table *table, const struct catalog_plugin *p, struct jtext driver)
{
	struct buf key = BUF_INIT, kind = BUF_INIT, name = BUF_INIT;

	add_decoded(&key, jtext_get(driver, "driverKey"));
	add_decoded(&kind, jtext_get(driver, "kind"));
	add_decoded(&name, jtext_get(driver, "displayName"));
	cli_table_row(table, (struct span[]){
		span_of(p->key), buf_span(&key), buf_span(&kind), buf_span(&name),
		span_of(p->status), span_of(p->workers), span_of(p->id),
	});
	buf_release(&key);
	buf_release(&kind);
	buf_release(&name);
}

static const struct cli_column columns[] = {
	{ "pluginKey", CLI_TAIL, 0 },
	{ "driverKey", CLI_TEXT, 0 },
	{ "kind", CLI_TEXT | CLI_SPARE, 0 },
	{ "displayName", CLI_PROSE | CLI_SPARE, 0 },
	{ "status", CLI_OUTCOME, 0 },
	{ "running", CLI_PROSE, 0 },
	{ "pluginId", CLI_ID | CLI_SPARE, 0 },
	{ NULL, CLI_TEXT, 0 },
};

static int
show_drivers(struct cli *cli, const struct catalog *c)
{
	struct cli_table *table = cli_table_new(cli, columns);

	for (size_t i = 0; i < c->n; i++) {
		struct jtext drivers = jtext_get(c->plugins[i].manifest, "environmentDrivers");
		struct jtext_iter it;
		struct jtext driver;

		if (c->plugins[i].manifest.kind == JTEXT_MISSING)
			cli_note(cli,
				 "plugin '%s' has a malformed record (its manifest is not a JSON "
				 "object) and counts as not ready", c->plugins[i].id);
		if (drivers.kind != JTEXT_ARRAY)
			continue;
		jtext_iter_init(&it, drivers);
		while (jtext_iter_next(&it, NULL, &driver))
			add_driver_row(table, &c->plugins[i], driver);
	}
	cli_table_end(table);
	return EXIT_DONE;
}

static bool
is_ready(const struct catalog_plugin *p)
{
	return strcmp(p->status, "ready") == 0 && p->manifest.kind == JTEXT_OBJECT;
}

static int
print_driver(struct cli *cli, const struct catalog_plugin *p, struct span driver_key,
	     struct jtext driver)
{
	struct buf out = BUF_INIT;

	buf_adds(&out, "{\"pluginId\":");
	jtext_add_string(&out, span_of(p->id));
	buf_adds(&out, ",\"pluginKey\":");
	jtext_add_string(&out, span_of(p->key));
	buf_adds(&out, ",\"driverKey\":");
	jtext_add_string(&out, driver_key);
	buf_adds(&out, ",\"driver\":");
	manifest_add_compact(&out, driver.raw);
	buf_adds(&out, "}\n");
	cli_write_buf(cli, &out);
	buf_release(&out);
	return EXIT_DONE;
}

/* The texts of docs/operations.md to the letter, and nothing around them. */
__attribute__((format(printf, 1, 2))) static int
unresolved(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(STDERR_FILENO, fmt, ap);
	va_end(ap);
	return EXIT_FINDINGS;
}

static int
resolve_driver(struct cli *cli, const struct catalog *c, const char *k)
{
	const char *colon = strchr(k, ':');
	const struct catalog_plugin *p = NULL;
	struct jtext driver;

	for (size_t i = 0; i < c->n; i++)
		if (c->plugins[i].by_key && strlen(c->plugins[i].key) == (size_t)(colon - k) &&
		    strncmp(c->plugins[i].key, k, (size_t)(colon - k)) == 0)
			p = &c->plugins[i];
	if (!p || !is_ready(p))
		return unresolved("Plugin environment driver \"%s\" is not ready.\n", k);
	driver = catalog_driver(p, span_of(colon + 1), false);
	if (driver.kind == JTEXT_MISSING)
		return unresolved("Plugin \"%s\" does not declare environment driver \"%s\".\n",
				  p->key, colon + 1);
	if (!p->running)
		return unresolved("Plugin environment driver \"%s\" has no running worker.\n", k);
	return print_driver(cli, p, span_of(colon + 1), driver);
}

/* Prints null when there is none. */
static int
resolve_provider(struct cli *cli, const struct catalog *c, const char *provider)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct catalog_plugin *p = &c->plugins[i];
		struct jtext driver = catalog_driver(p, span_of(provider), true);

		if (is_ready(p) && driver.kind != JTEXT_MISSING && p->running)
			return print_driver(cli, p, span_of(provider), driver);
	}
	cli_write(cli, SPAN_LIT("null\n"));
	return EXIT_DONE;
}

static int
drivers_main(struct cli *cli)
{
	const char *k = cli_flag(cli, "resolve"), *provider = cli_flag(cli, "provider");
	struct catalog c = { 0 };
	struct err err = { 0 };
	struct cli_redis *redis;
	int ret;

	if (k && provider)
		return cli_misuse(cli, "--resolve and --provider are mutually exclusive");
	if (cli_check_columns(cli, columns, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	if (k && !strchr(k, ':'))
		return cli_misuse(cli, "--resolve: '%s' is not PLUGIN:DRIVER", k);
	redis = cli_redis_new(cli_config(cli), &err);
	ret = redis ? catalog_read(redis, &c, &err) : (int)err.code;
	if (ret < 0)
		ret = cli_fail(cli, &err);
	else
		ret = k		 ? resolve_driver(cli, &c, k)
		      : provider ? resolve_provider(cli, &c, provider)
				 : show_drivers(cli, &c);
	catalog_release(&c);
	cli_redis_free(redis);
	return cli_end(cli, ret);
}

static const struct cli_option options[] = {
	{ .name = "resolve", .value = "PLUGIN:DRIVER",
	  .help = "Driver to resolve: prints {pluginId, pluginKey, driverKey, driver}; exit 1 if "
		  "it cannot" },
	{ .name = "provider", .value = "NAME",
	  .help = "The same for a sandbox provider; prints null if there is none" },
	{ .name = NULL },
};

const struct cli_command drivers_command = {
	.name = "drivers",
	.summary = "List the registered drivers, or resolve one",
	.options = options,
	.text = "    envdriver drivers\n"
		"    envdriver drivers --resolve acme.sandbox:docker\n",
	.run = drivers_main,
};
