/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin: `envdriver plugin …`: writes the registry's records (docs/schemas.md,
 * "Redis") where no orchestrator does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/client/manifest.h"
#include "envdriver/commands/commands.h"
#include "envdriver/plugin/package.h"

enum { CONFIG_MAX = 4 * 1024 * 1024, ID_MAX = 200, KEYS = 3, ARGS_MAX = 16 };

/* All or nothing, also beside other writers. KEYS: plugins, plugin:<id>,
 * plugin-key:<key>; ARGV: id, key, manifest, package, updatedAt, config or
 * "". A registered plugin keeps its rank and its status. */
static const char add_script[] =
	"local owner = redis.call('GET', KEYS[3])\n"
	"if owner and owner ~= ARGV[1] then return {'taken', owner} end\n"
	"local key = redis.call('HGET', KEYS[2], 'pluginKey')\n"
	"if key and key ~= ARGV[2] then return {'other', key} end\n"
	"local status = redis.call('HGET', KEYS[2], 'status')\n"
	"redis.call('HSET', KEYS[2], 'pluginKey', ARGV[2], 'manifest', ARGV[3],\n"
	"  'package', ARGV[4], 'updatedAt', ARGV[5])\n"
	"if not status then redis.call('HSET', KEYS[2], 'status', 'installed') end\n"
	"if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'config', ARGV[6]) end\n"
	"redis.call('SET', KEYS[3], ARGV[1])\n"
	"if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then\n"
	"  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')\n"
	"  redis.call('ZADD', KEYS[1], (tonumber(last[2]) or 0) + 1, ARGV[1])\n"
	"end\n"
	"return {status or 'installed', status and 'updated' or 'added'}\n";

/* KEYS: plugin:<id>; ARGV: status, updatedAt. */
static const char status_script[] =
	"if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
	"redis.call('HSET', KEYS[1], 'status', ARGV[1], 'updatedAt', ARGV[2])\n"
	"redis.call('HDEL', KEYS[1], 'statusReason')\n"
	"return 1\n";

/* KEYS: plugins, plugin:<id>, plugin-key:<key>; ARGV: id. */
static const char remove_script[] =
	"redis.call('ZREM', KEYS[1], ARGV[1])\n"
	"redis.call('DEL', KEYS[2])\n"
	"if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end\n"
	"return 1\n";

struct new_plugin {
	char *dir;			/* absolute, links resolved */
	struct buf manifest, key, config;
	char id[ID_MAX + 1];
};

static void
release_new_plugin(struct new_plugin *p)
{
	free(p->dir);
	buf_release(&p->manifest);
	buf_release(&p->key);
	buf_release(&p->config);
}

/* The beginnings of the keys; "plugins" is a whole key. */
static const char *const all_keys[KEYS] = { "plugins", "plugin:", "plugin-key:" };
static const char *const record_key[] = { "plugin:" };

/* EVAL with `n_keys` keys, each a beginning and one of the first words; the
 * other words are ARGV. */
static redisReply *
eval(struct cli_redis *redis, const char *script, const char *const *begins, int n_keys,
     const struct span *words, int n_words, struct err *reterr)
{
	const char *argv[ARGS_MAX];
	size_t lens[ARGS_MAX];
	struct buf keys[KEYS] = { BUF_INIT, BUF_INIT, BUF_INIT };
	char count[8];
	redisReply *reply = NULL;
	bool failed = false;

	snprintf(count, sizeof(count), "%d", n_keys);
	argv[0] = "EVAL";
	argv[1] = script;
	argv[2] = count;
	for (int i = 0; i < 3; i++)
		lens[i] = strlen(argv[i]);
	for (int i = 0; i < n_words; i++) {
		struct span word = words[i];

		if (i < n_keys) {
			buf_addf(&keys[i], "%s%s", cli_redis_prefix(redis), begins[i]);
			buf_addspan(&keys[i], word);
			failed |= keys[i].failed;
			word = buf_span(&keys[i]);
		}
		argv[3 + i] = word.ptr;
		lens[3 + i] = word.len;
	}
	if (failed)
		err_nomem(reterr);
	else
		reply = cli_redis_argv(redis, reterr, 3 + n_words, argv, lens);
	for (int i = 0; i < KEYS; i++)
		buf_release(&keys[i]);
	return reply;
}

/* Each member must be the config object of a company. */
static int
check_companies(struct jtext object, struct err *reterr)
{
	struct jtext company;
	struct jtext_iter it;
	struct span key;

	if (object.kind != JTEXT_OBJECT)
		return err_set(reterr, ERR_INVALID, "expected object, got %s",
			       jtext_kind_name(object.kind));
	jtext_iter_init(&it, object);
	while (jtext_iter_next(&it, &key, &company))
		if (company.kind != JTEXT_OBJECT)
			return err_set(reterr, ERR_INVALID,
				       "%.*s: expected the company's config object, got %s",
				       SPAN_FMT(key), jtext_kind_name(company.kind));
	return 0;
}

static int
read_config(const char *path, struct buf *out, struct err *reterr)
{
	struct buf text = BUF_INIT;
	struct jtext object;
	int ret = cli_read(path, CONFIG_MAX, &text, reterr);

	if (ret == 0)
		ret = jtext_check(buf_span(&text), JTEXT_DEPTH_MAX, &object, reterr);
	if (ret == 0)
		ret = check_companies(object, reterr);
	if (ret < 0)
		err_prefix(reterr, "--config '%s'", path);
	else
		manifest_add_compact(out, object.raw);
	buf_release(&text);
	return ret;
}

static int
read_package(struct cli *cli, struct new_plugin *p, struct err *reterr)
{
	const char *dir = cli_arg(cli, 0), *id = cli_flag(cli, "id");
	const char *config = cli_flag(cli, "config");
	struct jtext manifest;
	uuid_t uuid;
	int ret;

	p->dir = realpath(dir, NULL);
	if (!p->dir)
		return err_set(reterr, ERR_IO, "cannot open '%s': %s", dir, strerror(errno));
	ret = manifest_read(p->dir, &p->manifest, reterr);
	if (ret < 0)
		return ret;
	ret = jtext_check(buf_span(&p->manifest), JTEXT_DEPTH_MAX, &manifest, reterr);
	if (ret == 0)
		ret = manifest_check(manifest, reterr);
	if (ret < 0) {
		err_prefix(reterr, "manifest of '%s'", p->dir);
		return ret;
	}
	jtext_decode(jtext_get(manifest, "id"), &p->key, /* ret_replaced= */ NULL);
	if (id && (!*id || strlen(id) > ID_MAX || strpbrk(id, " \t\r\n:%")))
		return err_set(reterr, ERR_INVALID, "--id: must be 1 to %d bytes without blanks, "
			       "':' and '%%'", ID_MAX);
	if (id) {
		strcpy(p->id, id);
	} else {
		uuid_generate_random(uuid);
		uuid_unparse_lower(uuid, p->id);
	}
	return config ? read_config(config, &p->config, reterr) : 0;
}

/* As a worker looks at it before it starts it. */
static int
check_package(struct cli *cli, const struct new_plugin *p, struct err *reterr)
{
	const char *path = getenv("PATH");
	struct package_rules rules = {
		.dirs = config_str(cli_config(cli), "plugin.dirs"),
		.wrapper = config_str(cli_config(cli), "plugin.wrapper"),
		.path = path ? path : "",
	};
	struct package package = { NULL, NULL };
	struct jtext manifest;
	int ret = jtext_check(buf_span(&p->manifest), JTEXT_DEPTH_MAX, &manifest, reterr);

	if (ret == 0)
		ret = package_open(p->dir, manifest, &rules, &package, reterr);
	package_release(&package);
	if (ret == 0)
		return 0;
	if (ret == ERR_DENIED)
		cli_note(cli, "a package's parent folder, '%.*s', may be added to plugin.dirs",
			 (int)(strrchr(p->dir, '/') - p->dir), p->dir);
	if (!cli_has(cli, "force")) {
		err_prefix(reterr, "no worker could run it (--force registers it all the same)");
		return ret;
	}
	cli_note(cli, "no worker here could run it: %s", reterr->text);
	return 0;
}

/* Without --id a plugin that is registered with this key is updated. */
static int
reuse_id(struct cli *cli, struct cli_redis *redis, struct new_plugin *p, struct err *reterr)
{
	redisReply *reply;

	if (cli_flag(cli, "id"))
		return 0;
	reply = cli_redis_do(redis, reterr, "GET %splugin-key:%s", cli_redis_prefix(redis),
			     p->key.data);
	if (!reply)
		return reterr->code;
	if (reply->type == REDIS_REPLY_STRING && reply->len <= ID_MAX)
		snprintf(p->id, sizeof(p->id), "%s", reply->str);
	freeReplyObject(reply);
	return 0;
}

static int
write_package(struct cli *cli, struct cli_redis *redis, const struct new_plugin *p,
	      struct err *reterr)
{
	static const struct cli_column columns[] = {
		{ "pluginId", CLI_TEXT, 0 }, { "pluginKey", CLI_TEXT, 0 },
		{ "status", CLI_TEXT, 0 }, { "done", CLI_TEXT, 0 }, { NULL, CLI_TEXT, 0 },
	};
	char now[CLOCK_TEXT_MAX];
	struct cli_table *table;
	redisReply *reply;
	int ret = 0;

	reply = eval(redis, add_script, all_keys, KEYS, (struct span[]){
		SPAN_LIT(""), span_of(p->id), buf_span(&p->key), span_of(p->id),
		buf_span(&p->key), buf_span(&p->manifest), span_of(p->dir),
		span_of(clock_text(clock_wall_ms(), now)), buf_span(&p->config),
	}, 9, reterr);
	if (!reply)
		return reterr->code;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		ret = err_set(reterr, ERR_IO, "unexpected reply from Redis to EVAL");
	} else if (strcmp(reply->element[0]->str, "taken") == 0) {
		ret = err_set(reterr, ERR_INVALID,
			      "plugin '%s' is already registered with id '%s'; "
			      "omit --id to update it",
			      p->key.data, reply->element[1]->str);
	} else if (strcmp(reply->element[0]->str, "other") == 0) {
		ret = err_set(reterr, ERR_INVALID, "id '%s' belongs to plugin '%s'", p->id,
			      reply->element[1]->str);
	} else {
		table = cli_table_new(cli, columns);
		cli_table_row(table, (struct span[]){
			span_of(p->id), buf_span(&p->key), span_of(reply->element[0]->str),
			span_of(reply->element[1]->str),
		});
		cli_table_end(table);
	}
	freeReplyObject(reply);
	return ret;
}

static int
add_main(struct cli *cli)
{
	struct new_plugin p = {0};
	struct cli_redis *redis = NULL;
	struct err err = { 0 };
	int ret = read_package(cli, &p, &err);

	if (ret == 0)
		ret = check_package(cli, &p, &err);
	if (ret == 0) {
		redis = cli_redis_new(cli_config(cli), &err);
		ret = redis ? reuse_id(cli, redis, &p, &err) : (int)err.code;
	}
	if (ret == 0)
		ret = write_package(cli, redis, &p, &err);
	cli_redis_free(redis);
	release_new_plugin(&p);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : EXIT_DONE);
}

static int
list_plugins(struct cli *cli, const struct catalog *c)
{
	static const struct cli_column columns[] = {
		{ "pluginId", CLI_ID, 0 }, { "pluginKey", CLI_TEXT, 0 },
		{ "version", CLI_SPARE, 0 }, { "status", CLI_TEXT, 0 },
		{ "worker", CLI_TEXT, 0 }, { "running", CLI_SPARE, 0 },
		{ "isolation", CLI_SPARE, 0 },
		{ "package", CLI_TAIL | CLI_SPARE, 0 }, { "reason", CLI_PROSE, 0 },
		{ NULL, CLI_TEXT, 0 },
	};
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

static int
set_status(struct cli *cli, struct cli_redis *redis, const struct catalog_plugin *p,
	   const char *status, struct err *reterr)
{
	char now[CLOCK_TEXT_MAX];
	redisReply *reply;

	if (strcmp(status, "ready") == 0 && p->manifest.kind == JTEXT_MISSING)
		return err_set(reterr, ERR_INVALID,
			       "the manifest of plugin '%s' is not a JSON object; "
			       "add the plugin again", p->id);
	reply = eval(redis, status_script, record_key, 1, (struct span[]){
		span_of(p->id), span_of(status), span_of(clock_text(clock_wall_ms(), now)),
	}, 3, reterr);
	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	cli_note(cli, "plugin '%s' (%s) is %s", p->id, p->key, status);
	return 0;
}

static int
remove_plugin(struct cli *cli, struct cli_redis *redis, const struct catalog_plugin *p,
	      struct err *reterr)
{
	redisReply *reply;

	reply = eval(redis, remove_script, all_keys, KEYS, (struct span[]){
		SPAN_LIT(""), span_of(p->id), span_of(p->key), span_of(p->id),
	}, 4, reterr);
	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	cli_note(cli, "plugin '%s' (%s) was removed", p->id, p->key);
	return 0;
}

/* list, ready, disable and remove; the name of the subcommand tells. */
static int
other_main(struct cli *cli)
{
	const char *verb = cli_found(cli)->name, *which = cli_arg(cli, 0);
	const struct catalog_plugin *p = NULL;
	struct catalog c = { 0 };
	struct err err = { 0 };
	struct cli_redis *redis = cli_redis_new(cli_config(cli), &err);
	int ret = redis ? catalog_read(redis, &c, &err) : (int)err.code;

	if (ret == 0 && which) {
		p = catalog_find(&c, which);
		if (!p)
			ret = err_set(&err, ERR_NOTFOUND, "unknown plugin '%.100s'; see `envdriver "
				      "plugin list`", which);
	}
	if (ret < 0)
		;
	else if (!p)
		ret = list_plugins(cli, &c);
	else if (strcmp(verb, "remove") == 0)
		ret = remove_plugin(cli, redis, p, &err);
	else
		ret = set_status(cli, redis, p, strcmp(verb, "ready") == 0 ? "ready" : "disabled",
				 &err);
	catalog_release(&c);
	cli_redis_free(redis);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : EXIT_DONE);
}

static const struct cli_option add_options[] = {
	{ .name = "id", .value = "ID", .help = "Registry id (default: a new UUID)" },
	{ .name = "config", .value = "FILE",
	  .help = "JSON object with a config object for each companyId" },
	{ .name = "force", .help = "Also when no worker could run it from this folder" },
	{ .name = NULL },
};

static const struct cli_command add = {
	.name = "add",
	.summary = "Register a plugin package, or update it",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.options = add_options,
	.run = add_main,
};

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
ONE(disable, "disable", "Make workers stop a plugin");
ONE(remove_command, "remove", "Remove a plugin from the registry");

static const struct cli_command *const subs[] = {
	&add, &list_command, &ready, &disable, &remove_command, NULL,
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
		"    envdriver plugin add ./plugins/local --id local\n"
		"    envdriver plugin ready local\n"
		"    envdriver plugin list\n",
};
