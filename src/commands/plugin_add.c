/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_add.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <uuid/uuid.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/client/manifest.h"
#include "envdriver/package/package.h"
#include "plugin_store.h"

enum { CONFIG_MAX = 4 * 1024 * 1024, ID_MAX = 200 };

struct new_plugin {
	char *dir;			/* absolute, links resolved */
	struct buf manifest, key, config;
	struct jtext object;		/* `manifest`, read */
	char id[ID_MAX + 1];
	char digest[PACKAGE_DIGEST_SIZE];
};

static void
release_new_plugin(struct new_plugin *p)
{
	free(p->dir);
	buf_release(&p->manifest);
	buf_release(&p->key);
	buf_release(&p->config);
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
read_package(struct new_plugin *p, const char *dir, struct err *reterr)
{
	int ret;

	p->dir = realpath(dir, NULL);
	if (!p->dir)
		return err_set(reterr, ERR_IO, "cannot open '%s': %s", dir, strerror(errno));
	ret = manifest_read(p->dir, &p->manifest, &p->object, reterr);
	if (ret < 0)
		return ret;
	ret = manifest_check(p->object, reterr);
	if (ret < 0) {
		err_prefix(reterr, "manifest of '%s'", p->dir);
		return ret;
	}
	jtext_decode(jtext_get(p->object, "id"), &p->key, /* ret_replaced= */ NULL);
	if (p->key.failed)
		return err_nomem(reterr);
	ret = package_digest(p->dir, p->digest, reterr);
	if (ret < 0)
		err_prefix(reterr, "the digest of '%s'", p->dir);
	return ret;
}

/* Of --id, or a new one. */
static int
choose_id(struct cli *cli, struct new_plugin *p, struct err *reterr)
{
	const char *id = cli_flag(cli, "id");
	uuid_t uuid;

	if (id && (!*id || strlen(id) > ID_MAX || strpbrk(id, " \t\r\n:%")))
		return err_set(reterr, ERR_INVALID, "--id: must be 1 to %d bytes without blanks, "
			       "':' and '%%'", ID_MAX);
	if (id) {
		strcpy(p->id, id);
	} else {
		uuid_generate_random(uuid);
		uuid_unparse_lower(uuid, p->id);
	}
	return 0;
}

/* As a worker looks at it before it starts it. */
static int
check_new_package(struct cli *cli, const struct new_plugin *p, struct err *reterr)
{
	const char *path = getenv("PATH");
	struct package_rules rules = {
		.dirs = config_str(cli_config(cli), "plugin.dirs"),
		.wrapper = config_str(cli_config(cli), "plugin.wrapper"),
		.path = path ? path : "",
	};
	struct package package = { NULL, NULL };
	int ret = package_open(p->dir, p->object, &rules, &package, reterr);

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

static const struct cli_column columns[] = {
	{ "pluginId", CLI_TEXT, 0 },
	{ "pluginKey", CLI_TEXT, 0 },
	{ "status", CLI_OUTCOME, 0 },
	{ "done", CLI_OUTCOME, 0 },
	{ NULL, CLI_TEXT, 0 },
};

static int
write_package(struct cli *cli, struct cli_redis *redis, const struct new_plugin *p,
	      struct err *reterr)
{
	char status[PLUGIN_WORD_SIZE], done[PLUGIN_WORD_SIZE];
	struct plugin_record_new record = {
		.id = p->id, .key = buf_span(&p->key), .manifest = buf_span(&p->manifest),
		.config = p->config.len ? buf_span(&p->config) : SPAN_LIT(""),
		.dir = p->dir, .digest = p->digest,
		.pin = cli_has(cli, "pin") ? PLUGIN_PIN_SET :
		       cli_has(cli, "no-pin") ? PLUGIN_PIN_NONE : PLUGIN_PIN_KEEP,
	};
	struct cli_table *table;
	int ret = plugin_store_add(redis, &record, status, done, reterr);

	if (ret < 0)
		return ret;
	table = cli_table_new(cli, columns);
	cli_table_row(table, (struct span[]){
		span_of(p->id), record.key, span_of(status), span_of(done),
	});
	cli_table_end(table);
	if (strcmp(status, "ready") == 0 && strcmp(done, "updated") == 0)
		cli_note(cli, "workers start it first, and the old one ends with its last call");
	return 0;
}

static int
end_adding(struct cli *cli, struct cli_redis *redis, struct new_plugin *p, int ret, struct err *err)
{
	cli_redis_free(redis);
	release_new_plugin(p);
	return cli_end(cli, ret < 0 ? cli_fail(cli, err) : EXIT_DONE);
}

static int
add_main(struct cli *cli)
{
	struct new_plugin p = {0};
	struct cli_redis *redis = NULL;
	struct err err = { 0 };
	int ret;

	if (cli_check_columns(cli, columns, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	ret = read_package(&p, cli_arg(cli, 0), &err);
	if (ret == 0)
		ret = choose_id(cli, &p, &err);
	if (ret == 0 && cli_flag(cli, "config"))
		ret = read_config(cli_flag(cli, "config"), &p.config, &err);
	if (ret == 0)
		ret = check_new_package(cli, &p, &err);
	if (ret == 0) {
		redis = cli_redis_new(cli_config(cli), &err);
		ret = redis ? reuse_id(cli, redis, &p, &err) : (int)err.code;
	}
	if (ret == 0)
		ret = write_package(cli, redis, &p, &err);
	return end_adding(cli, redis, &p, ret, &err);
}

/* The plugin's package again, from where it lies. */
static int
reload_package(struct cli *cli, const struct catalog *c, struct new_plugin *p, struct err *reterr)
{
	const struct catalog_plugin *found = catalog_find(c, cli_arg(cli, 0), reterr);
	int ret;

	if (!found)
		return ERR_NOTFOUND;
	if (!*found->package || strlen(found->id) > ID_MAX)
		return err_set(reterr, ERR_INVALID, "the record of plugin '%.100s' names no "
			       "package", found->id);
	strcpy(p->id, found->id);
	ret = read_package(p, found->package, reterr);
	if (ret == 0 && !span_is(buf_span(&p->key), found->key))
		ret = err_set(reterr, ERR_INVALID, "the package of plugin '%s' is that of '%s' now",
			      found->key, p->key.data);
	return ret == 0 ? check_new_package(cli, p, reterr) : ret;
}

static int
reload_main(struct cli *cli)
{
	struct new_plugin p = {0};
	struct catalog c = { 0 };
	struct err err = { 0 };
	struct cli_redis *redis;
	int ret;

	if (cli_check_columns(cli, columns, &err) < 0)
		return cli_misuse(cli, "%s", err.text);
	redis = cli_redis_new(cli_config(cli), &err);
	ret = redis ? catalog_read(redis, &c, &err) : (int)err.code;

	if (ret == 0)
		ret = reload_package(cli, &c, &p, &err);
	if (ret == 0)
		ret = write_package(cli, redis, &p, &err);
	catalog_release(&c);
	return end_adding(cli, redis, &p, ret, &err);
}

static int
digest_main(struct cli *cli)
{
	char digest[PACKAGE_DIGEST_SIZE], *dir = realpath(cli_arg(cli, 0), NULL);
	struct err err = { 0 };
	struct buf out = BUF_INIT;
	int ret = dir ? package_digest(dir, digest, &err) :
			err_set(&err, ERR_IO, "cannot open '%s': %s", cli_arg(cli, 0),
				strerror(errno));

	free(dir);
	if (ret == 0) {
		buf_addf(&out, "%s\n", digest);
		cli_write_buf(cli, &out);
	}
	buf_release(&out);
	return cli_end(cli, ret < 0 ? cli_fail(cli, &err) : EXIT_DONE);
}

#define PACKAGE_OPTIONS \
	{ .name = "force", .help = "Also when no worker could run it from this folder" }, \
	{ .name = "pin", .help = "Workers refuse the package once a file of it changes" }, \
	{ .name = "no-pin", .help = "They do not (any more)" }

static const struct cli_option add_options[] = {
	{ .name = "id", .value = "ID", .help = "Registry id (default: a new UUID)" },
	{ .name = "config", .value = "FILE",
	  .help = "JSON object with a config object for each companyId" },
	PACKAGE_OPTIONS,
	{ .name = NULL },
};

static const struct cli_option reload_options[] = { PACKAGE_OPTIONS, { .name = NULL } };

const struct cli_command plugin_add_command = {
	.name = "add",
	.summary = "Register a plugin package, or update it",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.options = add_options,
	.run = add_main,
};

const struct cli_command plugin_reload_command = {
	.name = "reload",
	.summary = "Read a registered plugin's package again, and run what it is now",
	.args = "ID",
	.min_args = 1,
	.max_args = 1,
	.options = reload_options,
	.run = reload_main,
};

const struct cli_command plugin_digest_command = {
	.name = "digest",
	.summary = "Print the digest of a package's files",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.run = digest_main,
};
