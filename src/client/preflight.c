/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/findings.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/cli_schemas.h"

enum { OLDEST_MAJOR = 7, WORDS_MAX = 8, REPLY_MAX = 200 };

/* --- what Redis permits --- */

/* What a worker sends. %k: a key of ours, %c: a channel of ours. */
static const char *const needed[] = {
	"PING", "SELECT 0", "INFO", "CLIENT SETNAME x", "CLIENT ID", "CLIENT KILL ID 1",
	"CLIENT TRACKING ON REDIRECT 1 BCAST PREFIX %k", "SCRIPT LOAD x", "EVALSHA x 1 %k",
	"MULTI", "EXEC", "GET %k", "SET %k x", "DEL %k", "EXISTS %k", "PEXPIRE %k 1",
	"HGET %k f", "HMGET %k f", "HGETALL %k", "HSET %k f x", "HSETNX %k f x", "HDEL %k f",
	"HINCRBY %k f 1", "HSCAN %k 0", "ZADD %k 1 x", "ZREM %k x", "ZSCORE %k x",
	"ZRANGE %k 0 1", "ZREVRANGE %k 0 1", "SCAN 0", "PUBLISH %c x", "SUBSCRIBE %c",
	"SUBSCRIBE __redis__:invalidate",
};

/* Asks the server's own rules, from within a script: nothing runs. */
static const char acl_text[] =
	"local ok, may = pcall(redis.acl_check_cmd, unpack(ARGV))\n"
	"if ok and not may then return 0 end\n"
	"return 1\n";

/* 1: permitted, 0: not, < 0: it cannot be asked. */
static int
may_send(struct cli_redis *redis, const char *command, struct err *reterr)
{
	const char *argv[3 + WORDS_MAX] = { "EVAL", acl_text, "0" };
	char text[100], name[300], *rest = text, *word;
	redisReply *reply;
	int n = 3, ret;

	snprintf(text, sizeof(text), "%s", command);
	snprintf(name, sizeof(name), "%sconfig-check", cli_redis_prefix(redis));
	while ((word = strsep(&rest, " ")) && n < 3 + WORDS_MAX)
		argv[n++] = word[0] == '%' ? name : word;
	reply = cli_redis_argv(redis, reterr, n, argv, NULL);
	if (!reply)
		return reterr->code;
	ret = reply->type != REDIS_REPLY_INTEGER || reply->integer != 0;
	freeReplyObject(reply);
	return ret;
}

static void
check_acl(struct cli_redis *redis, const struct findings *f)
{
	struct buf denied = BUF_INIT;
	struct err err = { 0 };
	int may = 1, len;

	for (size_t i = 0; may >= 0 && i < sizeof(needed) / sizeof(*needed); i++) {
		may = may_send(redis, needed[i], &err);
		len = (int)strcspn(needed[i], "%");
		if (may == 0)
			buf_addf(&denied, "%s%.*s", denied.len ? ", " : "",
				 len - (needed[i][len] == '%'), needed[i]);
	}
	if (may < 0)
		findings_add(f, "redis.url: the user's rights cannot be asked for: %s; a worker "
			     "needs @scripting", err.text);
	if (denied.len)
		findings_add(f, "redis.url: the user's ACL does not permit: %s; README's "
			     "\"Required permissions\" has the whole rule", denied.data);
	buf_release(&denied);
}

/* --- how it is set up --- */

/* Copies the value of the line "name:value" of INFO; "" when there is none. */
static const char *
info_line(const redisReply *info, const char *name, char ret[REPLY_MAX])
{
	const char *p = info->str;
	size_t len = strlen(name);

	ret[0] = '\0';
	while (p && !(strncmp(p, name, len) == 0 && p[len] == ':')) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	if (p)
		snprintf(ret, REPLY_MAX, "%.*s", (int)strcspn(p + len + 1, "\r\n"), p + len + 1);
	return ret;
}

static void
judge_info(const redisReply *info, const struct findings *f)
{
	char text[REPLY_MAX];

	if (atoi(info_line(info, "redis_version", text)) < OLDEST_MAJOR)
		findings_add(f, "redis.url: Redis %s is too old, 7.0 is required", text);
	if (strcmp(info_line(info, "redis_mode", text), "cluster") == 0)
		findings_add(f, "redis.url: a Redis Cluster is not supported; use one server");
	if (strcmp(info_line(info, "maxmemory_policy", text), "noeviction") != 0)
		findings_add(f, "Redis evicts keys when its memory is full (maxmemory-policy %s): "
			     "a claim that is lost this way can be called twice; set noeviction",
			     text);
	if (strcmp(info_line(info, "aof_enabled", text), "0") == 0)
		findings_add(f, "Redis keeps no append-only file: claims written shortly before it "
			     "crashes are lost, their commands can be called twice; set "
			     "appendonly yes");
	if (strcmp(info_line(info, "loading", text), "1") == 0)
		findings_add(f, "Redis is still loading its data; wait until it has");
	if (strcmp(info_line(info, "role", text), "slave") == 0)
		findings_add(f, "redis.url: this Redis is a replica, which takes no writes; name "
			     "its master");
}

/* One prefix is for one group on one cluster. */
static void
check_prefix(struct cli_redis *redis, const struct config *config, const struct findings *f)
{
	const char *group = config_str(config, "kafka.group.id");
	struct err err = { 0 };
	redisReply *reply = cli_redis_do(redis, &err, "HGET %smeta group",
					 cli_redis_prefix(redis));

	if (reply && reply->type == REDIS_REPLY_STRING && strcmp(reply->str, group) != 0)
		findings_add(f, "redis.prefix: '%s' serves group '%s', this is '%s': one prefix is "
			     "for one group, set another redis.prefix", cli_redis_prefix(redis),
			     reply->str, group);
	freeReplyObject(reply);
}

void
preflight_redis(const struct config *config, const struct findings *f)
{
	struct err err = { 0 };
	struct cli_redis *redis = cli_redis_new(config, &err);
	redisReply *info;

	if (!redis) {
		findings_add(f, "%s", err.text);
		return;
	}
	info = cli_redis_do(redis, &err, "INFO");
	if (info)
		judge_info(info, f);
	else
		findings_note(f, "maxmemory-policy and persistence are not checked: %s", err.text);
	freeReplyObject(info);
	check_acl(redis, f);
	check_prefix(redis, config, f);
	cli_redis_free(redis);
}

/* --- the schema registry --- */

void
preflight_registry(const struct config *config, const struct findings *f)
{
	struct err err = { 0 };

	if (config_str(config, "schema.registry.url") && cli_schemas_ask(config, &err) < 0)
		findings_add(f, "schema.registry.url: %s", err.text);
}
