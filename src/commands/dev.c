/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev: `envdriver dev`: a worker with its own Kafka and Redis (docs/decisions.md
 * D22), for trying things and for plugin authors.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/manifest.h"
#include "envdriver/commands/commands.h"
#include "envdriver/plugin/bundled.h"
#include "envdriver/worker/dev_servers.h"
#include "envdriver/worker/service.h"
#include "dev_watch.h"

extern char **environ;

#define FETCH_WAIT_MS "20"

enum { TOKEN_BYTES = 16 };

static const char where_dev[] = "envdriver dev";
static const char http_hint[] = "--no-http does without it, -X http.listen=127.0.0.1:0 takes "
				"another port";

struct dev {
	struct cli *cli;
	struct config *config;
	struct dev_servers *servers;
	struct buf dirs;	/* absolute, ':' behind each */
	struct buf modules;	/* plugin.read: the same of node_modules above them */
	size_t n_plugins;
	struct dev_watch *watch;
};

static bool
keeps_default(const struct config *config, const char *key)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(config, i, &e); i++)
		if (strcmp(e.key, key) == 0)
			return strcmp(e.where, "default") == 0;
	return true;
}

/* --- plugins --- */

static int
write_plugin(struct cli_redis *redis, struct span key, struct span manifest, const char *dir,
	     size_t order, struct err *reterr)
{
	const char *prefix = cli_redis_prefix(redis);
	char now[CLOCK_TEXT_MAX];
	redisReply *reply;

	clock_text(clock_wall_ms(), now);
	reply = cli_redis_do(redis, reterr,
			     "HSET %splugin:%b pluginKey %b status ready manifest %b package %s "
			     "updatedAt %s",
			     prefix, key.ptr, key.len, key.ptr, key.len, manifest.ptr,
			     manifest.len, dir, now);
	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	reply = cli_redis_do(redis, reterr, "SET %splugin-key:%b %b", prefix, key.ptr, key.len,
			     key.ptr, key.len);
	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	reply = cli_redis_do(redis, reterr, "ZADD %splugins %d %b", prefix, (int)order, key.ptr,
			     key.len);
	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	return 0;
}

/* Node looks for modules in each folder above a plugin's own, and a plugin in its jail
 * may read below plugin.dirs only. */
static void
add_modules(struct dev *d, const char *dir)
{
	char at[PATH_MAX], modules[PATH_MAX + 16], *slash;

	snprintf(at, sizeof(at), "%s", dir);
	while ((slash = strrchr(at, '/')) && slash != at) {
		*slash = '\0';
		snprintf(modules, sizeof(modules), "%s/node_modules", at);
		if (access(modules, R_OK | X_OK) == 0 && !strchr(modules, ':'))
			buf_addf(&d->modules, "%s:", modules);
	}
}

/* The plugin's key is also its id here: easier to type than a UUID. */
static int
add_plugin(struct dev *d, struct cli_redis *redis, const char *dir, struct err *reterr)
{
	struct buf manifest = BUF_INIT, key = BUF_INIT;
	char *path = realpath(dir, NULL);
	struct jtext object;
	int ret;

	if (!path)
		return err_set(reterr, ERR_IO, "cannot open plugin folder '%s': %s", dir,
			       strerror(errno));
	ret = manifest_read(path, &manifest, &object, reterr);
	if (ret < 0)
		goto out;
	ret = manifest_check(object, reterr);
	if (ret < 0) {
		err_prefix(reterr, "manifest of '%s'", path);
		goto out;
	}
	jtext_decode(jtext_get(object, "id"), &key, /* ret_replaced= */ NULL);
	ret = write_plugin(redis, buf_span(&key), buf_span(&manifest), path, ++d->n_plugins,
			   reterr);
	buf_addf(&d->dirs, "%s:", path);
	add_modules(d, path);
	if (ret == 0 && !key.failed)
		ret = dev_watch_add(d->watch, key.data, path, reterr);
out:
	buf_release(&manifest);
	buf_release(&key);
	free(path);
	return ret;
}

static int
set_list(struct dev *d, const char *key, struct buf *list, struct err *reterr)
{
	if (list->failed)
		return err_nomem(reterr);
	if (list->len == 0)
		return 0;
	list->data[--list->len] = '\0';	/* the last ':' */
	return config_set(d->config, key, list->data, where_dev, reterr);
}

static int
add_plugins(struct dev *d, struct err *reterr)
{
	struct cli_redis *redis = cli_redis_new(d->config, reterr);
	char bundled[PATH_MAX];
	int ret = 0;

	if (!redis)
		return reterr->code;
	if (!keeps_default(d->config, "plugin.dirs"))
		buf_addf(&d->dirs, "%s:", config_str(d->config, "plugin.dirs"));
	for (size_t i = 0; ret == 0 && i < cli_n_args(d->cli); i++)
		ret = add_plugin(d, redis, cli_arg(d->cli, i), reterr);
	if (ret == 0 && cli_n_args(d->cli) == 0) {
		if (bundled_find(bundled))
			ret = add_plugin(d, redis, bundled, reterr);
		else
			cli_note(d->cli,
				 "no plugin folder is given, and the bundled one is missing: "
				 "commands will not find a driver");
	}
	cli_redis_free(redis);
	if (ret == 0 && config_str(d->config, "plugin.read"))
		buf_addf(&d->modules, "%s:", config_str(d->config, "plugin.read"));
	if (ret == 0)
		ret = set_list(d, "plugin.dirs", &d->dirs, reterr);
	return ret == 0 ? set_list(d, "plugin.read", &d->modules, reterr) : ret;
}

/* --- set up --- */

/* The mock listens on TCP without a login: every user of the host can write to
 * it, and must not run programs with it. */
static int
configure_token(struct dev *d, struct err *reterr)
{
	unsigned char bytes[TOKEN_BYTES];
	char text[2 * TOKEN_BYTES + 1];

	if (config_str(d->config, "command.token"))
		return 0;
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_set(reterr, ERR_IO, "cannot read random bytes: %s", strerror(errno));
	for (int i = 0; i < TOKEN_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return config_set(d->config, "command.token", text, where_dev, reterr);
}

static int
configure_servers(struct dev *d, struct err *reterr)
{
	int ret;

	ret = config_set(d->config, "kafka.bootstrap.servers", dev_servers_kafka(d->servers),
			 where_dev, reterr);
	if (ret == 0)
		ret = config_set(d->config, "redis.url", dev_servers_redis(d->servers), where_dev,
				 reterr);
	/* With the folder it goes, whatever ends us. */
	if (ret == 0 && keeps_default(d->config, "lock.dir"))
		ret = config_set(d->config, "lock.dir", dev_servers_folder(d->servers), where_dev,
				 reterr);
	if (ret == 0 && keeps_default(d->config, "secrets.env"))
		ret = config_set(d->config, "secrets.env", "true", where_dev, reterr);
	/* The mock answers a fetch that found nothing only when the wait is
	 * over, even when something arrives meanwhile. */
	if (ret == 0)
		ret = config_set(d->config, "kafka.fetch.wait.max.ms", FETCH_WAIT_MS, where_dev,
				 reterr);
	if (ret == 0 && !config_str(d->config, "http.listen") && !cli_has(d->cli, "no-http"))
		ret = config_set(d->config, "http.listen", "127.0.0.1:9464", where_dev, reterr);
	return ret < 0 ? ret : configure_token(d, reterr);
}

/* For other commands: after `. FILE` they use these servers. The file holds the
 * token, so only its owner may read it. */
static int
write_env(struct dev *d, const char *path, struct err *reterr)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 && fchmod(fd, 0600) == 0 ? fdopen(fd, "w") : NULL;

	if (!f) {
		err_set(reterr, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	fprintf(f, "export ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS='%s'\n",
		dev_servers_kafka(d->servers));
	fprintf(f, "export ENVDRIVER_REDIS_URL='%s'\n", dev_servers_redis(d->servers));
	fprintf(f, "export ENVDRIVER_COMMAND_TOKEN='%s'\n",
		config_str(d->config, "command.token"));
	fprintf(f, "export ENVDRIVER_KAFKA_FETCH_WAIT_MAX_MS='%s'\n", FETCH_WAIT_MS);
	if (fclose(f) != 0)
		return err_set(reterr, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
	return 0;
}

/* A line for each. */
static void
note_plugins(struct cli *cli, const char *lines)
{
	for (size_t len; *lines; lines += len + (lines[len] == '\n')) {
		len = strcspn(lines, "\n");
		if (len)
			cli_note(cli, "%.*s", (int)len, lines);
	}
}

static void
on_dev_open(void *arg, const char *plugins)
{
	struct dev *d = arg;
	const char *env = cli_flag(d->cli, "env-file");
	struct err err = { 0 };

	if (!cli_has(d->cli, "no-watch") && dev_watch_start(d->watch, &err) < 0)
		log_error("%s", err.text);
	note_plugins(d->cli, plugins);
	if (env && write_env(d, env, &err) < 0)
		log_error("%s", err.text);
	cli_note(d->cli, "ready; nothing is kept. In another shell:");
	cli_note(d->cli, "  export ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS='%s'",
		 dev_servers_kafka(d->servers));
	cli_note(d->cli, "  export ENVDRIVER_REDIS_URL='%s'", dev_servers_redis(d->servers));
	cli_note(d->cli, "  export ENVDRIVER_COMMAND_TOKEN='%s'",
		 config_str(d->config, "command.token"));
	cli_note(d->cli, "  envdriver drivers");
	cli_note(d->cli, "every user of this host can read what is published there; commands are "
		 "taken only with that token");
}

static void
on_dev_end(void *arg)
{
	struct dev *d = arg;

	dev_watch_free(d->watch);
	d->watch = NULL;
	/* Clients that are still there would tell of it. */
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	dev_servers_stop(d->servers);
	d->servers = NULL;
}

int
dev_main(struct cli *cli)
{
	struct dev d = { .cli = cli };
	const struct service_hooks hooks = {
		.on_open = on_dev_open, .on_end = on_dev_end, .arg = &d, .http_hint = http_hint,
	};
	struct err err = { 0 };
	int ret;

	d.config = cli_load(cli, environ, &err);
	if (!d.config)
		return cli_fail(cli, &err);
	d.watch = dev_watch_new(d.config, &err);
	d.servers = d.watch ? dev_servers_start(config_str(d.config, "topic.prefix"), &err) : NULL;
	if (!d.servers || configure_servers(&d, &err) < 0 || add_plugins(&d, &err) < 0)
		ret = cli_fail(cli, &err);
	else
		ret = service_run(cli, d.config, &hooks);
	dev_watch_free(d.watch);
	dev_servers_stop(d.servers);
	buf_release(&d.dirs);
	buf_release(&d.modules);
	config_free(d.config);
	return ret;
}
