/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin: `envdriver plugin …`: writes the registry's records (docs/schemas.md,
 * "Redis") where no orchestrator does. What reads a package: plugin_add.c.
 */
#include <stdio.h>

#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/commands/commands.h"
#include "plugin_add.h"
#include "plugin_store.h"

static const struct cli_column columns[] = {
	{ "pluginId", CLI_ID, 0 },
	{ "pluginKey", CLI_TEXT, 0 },
	{ "version", CLI_SPARE, 0 },
	{ "status", CLI_OUTCOME, 0 },
	{ "worker", CLI_OUTCOME, 0 },
	{ "running", CLI_SPARE, 0 },
	{ "isolation", CLI_SPARE, 0 },
	{ "package", CLI_TAIL | CLI_SPARE, 0 },
	{ "reason", CLI_PROSE, 0 },
	{ NULL, CLI_TEXT, 0 },
};

static int
list_plugins(struct cli *cli, const struct catalog *c)
{
	struct cli_table *table = cli_table_new(cli, columns);

	for (size_t i = 0; i < c->n; i++) {
		const struct catalog_plugin *p = &c->plugins[i];
		struct jtext version = jtext_get(p->manifest, "version");
		struct buf text = BUF_INIT;

		if (version.kind == JTEXT_STRING)
			jtext_decode(version, &text, /* ret_replaced= */ NULL);
		cli_table_row(table, (struct span[]){
			span_of(p->id), span_of(p->key), buf_span(&text), span_of(p->status),
			span_of(p->worker), span_of(p->workers),
			span_of(*p->isolation ? p->isolation : NULL), span_of(p->package),
			span_of(*p->reason ? p->reason : NULL),
		});
		buf_release(&text);
	}
	cli_table_end(table);
	return 0;
}

/* What becomes of commands. `change` gets what is true from now on. */
static const struct verb {
	const char *name;
	const char *status;	/* that it gets; NULL: see below */
	const char *is;		/* "plugin 'id' (key) ..." */
} verbs[] = {
	{ "ready", "ready", "is ready" },
	{ "enable", "ready", "is ready" },
	{ "disable", "disabled",
	  "is disabled: calls that run end by themselves, later commands are refused" },
	{ "restart", NULL,
	  "is started anew: the new worker first, and the old one ends with its last call" },
	{ "remove", NULL,
	  "was removed: calls that run end by themselves, later commands are refused" },
	{ NULL, NULL, NULL },
};

static int
change_plugin(struct cli *cli, struct cli_redis *redis, const struct catalog_plugin *p,
	      const char *name, struct err *reterr)
{
	const struct verb *v = verbs;
	int ret;

	while (strcmp(v->name, name) != 0)
		v++;
	if (v->status && strcmp(v->status, "ready") == 0 && p->manifest.kind == JTEXT_MISSING)
		return err_set(reterr, ERR_INVALID,
			       "the manifest of plugin '%s' is not a JSON object; "
			       "add the plugin again", p->id);
	if (v->status)
		ret = plugin_store_status(redis, p->id, v->status, reterr);
	else if (strcmp(name, "restart") == 0)
		ret = plugin_store_restart(redis, p->id, reterr);
	else
		ret = plugin_store_remove(redis, p->id, p->key, reterr);
	if (ret == 0)
		cli_note(cli, "plugin '%s' (%s) %s", p->id, p->key, v->is);
	return ret;
}

/* list, and what needs no package; the name of the subcommand tells. */
static int
other_main(struct cli *cli)
{
	const char *verb = cli_found(cli)->name, *which = cli_arg(cli, 0);
	const struct catalog_plugin *p = NULL;
	struct catalog c = { 0 };
	struct err err = { 0 };
	struct cli_redis *redis;
	int ret;

	if (!which && cli_check_columns(cli, columns, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	redis = cli_redis_new(cli_config(cli), &err);
	ret = redis ? catalog_read(redis, &c, &err) : (int)err.code;
	if (ret == 0 && which) {
		p = catalog_find(&c, which, &err);
		ret = p ? 0 : ERR_NOTFOUND;
	}
	if (ret < 0)
		;
	else if (!p)
		ret = list_plugins(cli, &c);
	else
		ret = change_plugin(cli, redis, p, verb, &err);
	catalog_release(&c);
	cli_redis_free(redis);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : EXIT_DONE);
}

static const struct cli_command list_command = {
	.name = "list",
	.summary = "List the plugins in the order of their installation",
	.run = other_main,
};

#define ONE(id, verb, text) \
	static const struct cli_command id = { \
		.name = verb, .summary = text, .args = "ID", .min_args = 1, .max_args = 1, \
		.run = other_main, \
	}
ONE(ready, "ready", "Let workers run a plugin");
ONE(enable, "enable", "The same as ready");
ONE(disable, "disable", "Make workers stop a plugin");
ONE(restart, "restart", "Start a plugin's workers anew, without losing a command");
ONE(remove_command, "remove", "Remove a plugin from the registry");

static const struct cli_command *const subs[] = {
	&plugin_add_command, &plugin_reload_command, &list_command, &ready, &enable, &disable,
	&restart, &remove_command, &plugin_digest_command, NULL,
};

const struct cli_command plugin_command = {
	.name = "plugin",
	.summary = "Manage the plugin registry in Redis",
	.subs = subs,
	.text = "A package is a folder with a plugin.json {manifest, command}, or a Node package\n"
		"whose paperclipPlugin names its manifest, or that has a dist/manifest.js. ID is\n"
		"the registry id or the plugin's key. A package that is added again is updated:\n"
		"it keeps its id, its rank and its status; one that a worker would refuse is\n"
		"refused here. A manifest that is a JavaScript module is run, with your rights,\n"
		"to read it. list shows how each plugin's worker is, on all hosts, and why one\n"
		"does not run.\n\n"
		"    envdriver plugin add /usr/local/lib/envdriver/plugins/local --id local\n"
		"    envdriver plugin ready local\n"
		"    envdriver plugin list\n",
};
