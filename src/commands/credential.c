/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential: `envdriver credential get`: the live credential that a result names,
 * which Redis gives out once (docs/operations.md, "Live credentials").
 */
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/commands/commands.h"

/* The key as a result names it, or made from the id of the command. */
static void
add_credential_key(const struct cli_redis *redis, const char *given, struct buf *out)
{
	const char *prefix = cli_redis_prefix(redis);

	buf_adds(out, prefix);
	buf_adds(out, "credential:");
	if (strncmp(given, out->data ? out->data : "", out->len) == 0)
		given += out->len;
	buf_adds(out, given);
}

static int
show_reply(struct cli *cli, const char *key, const redisReply *reply)
{
	struct buf out = BUF_WIPES;

	if (reply->type != REDIS_REPLY_STRING) {
		cli_complain(cli, "there is no '%s': it was read already, it has expired, or "
			     "redis.prefix is not the worker's", key);
		return EXIT_FINDINGS;
	}
	buf_add(&out, reply->str, reply->len);
	buf_addch(&out, '\n');
	cli_write_buf(cli, &out);
	buf_release(&out);
	return EXIT_DONE;
}

static int
get_main(struct cli *cli)
{
	struct err err = { 0 };
	struct cli_redis *redis = cli_redis_new(cli_config(cli), &err);
	redisReply *reply = NULL;
	struct buf key = BUF_INIT;
	int ret;

	if (redis) {
		add_credential_key(redis, cli_arg(cli, 0), &key);
		if (key.failed)
			err_nomem(&err);
		else
			reply = cli_redis_do(redis, &err, "GETDEL %b", key.data, key.len);
	}
	ret = reply ? show_reply(cli, key.data, reply) : cli_fail(cli, &err);
	freeReplyObject(reply);
	buf_release(&key);
	cli_redis_free(redis);
	return cli_end(cli, ret);
}

static const struct cli_command get_sub = {
	.name = "get",
	.summary = "Print a credential, which can be read once",
	.args = "KEY",
	.min_args = 1,
	.max_args = 1,
	.text = "KEY is the credentialKey of a result, or the id of its command. Prints JSON: the\n"
		"connection payload of a set-up session, or the headers of a runner's ingress.\n"
		"Exits 1 if there is none: it was read, or it has expired (then ask the plugin\n"
		"again: get-setup --include-connection-payload, or runner-ingress).\n\n"
		"    envdriver publish get-setup --provider acme --lease L \\\n"
		"        --include-connection-payload --wait\n"
		"    envdriver credential get envdriver:credential:COMMAND\n",
	.run = get_main,
};

static const struct cli_command *const subs[] = { &get_sub, NULL };

const struct cli_command credential_command = {
	.name = "credential",
	.summary = "Read the live credential that a result names",
	.subs = subs,
};
