/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/cli/cli_redis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/redis_url.h"

enum { TIMEOUT_S = 5 };

struct cli_redis {
	redisContext *context;
	const char *prefix;
	char where[400];	/* for people; without password */
};

/* hiredis reports a time-out as the EAGAIN of its socket. */
static int
lost(const struct cli_redis *r, const char *why, struct err *reterr)
{
	const redisContext *c = r->context;

	if (c && c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
		return err_set(reterr, ERR_UNAVAILABLE,
			       "no reply from Redis at %.150s within %d s; is it frozen or "
			       "overloaded?", r->where, TIMEOUT_S);
	return err_set(reterr, ERR_UNAVAILABLE,
		       "cannot reach Redis at %.150s: %.100s; is it running? "
		       "redis.url sets the address", r->where, why);
}

static const struct refusal {
	const char *prefix;
	enum err_code code;
} refusals[] = {
	{ "NOAUTH", ERR_DENIED },      { "WRONGPASS", ERR_DENIED },
	{ "NOPERM", ERR_DENIED },      { "ERR invalid password", ERR_DENIED },
	{ "LOADING", ERR_UNAVAILABLE }, { "READONLY", ERR_UNAVAILABLE },
	{ "MASTERDOWN", ERR_UNAVAILABLE }, { "OOM", ERR_UNAVAILABLE },
};

/* Takes the reply, and returns it unless it is missing or an error. */
static redisReply *
judge_reply(struct cli_redis *r, redisReply *reply, struct err *reterr)
{
	enum err_code code = ERR_IO;

	if (!reply) {
		lost(r, r->context->errstr, reterr);
		return NULL;
	}
	if (reply->type != REDIS_REPLY_ERROR)
		return reply;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strncmp(reply->str, refusals[i].prefix, strlen(refusals[i].prefix)) == 0)
			code = refusals[i].code;
	err_set(reterr, code, "Redis at %.150s refused: %.200s", r->where, reply->str);
	freeReplyObject(reply);
	return NULL;
}

redisReply *
cli_redis_argv(struct cli_redis *r, struct err *reterr, int argc, const char **argv,
	       const size_t *lens)
{
	return judge_reply(r, redisCommandArgv(r->context, argc, argv, lens), reterr);
}

redisReply *
cli_redis_do(struct cli_redis *r, struct err *reterr, const char *fmt, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, fmt);
	reply = redisvCommand(r->context, fmt, ap);
	va_end(ap);
	return judge_reply(r, reply, reterr);
}

static int
greet(struct cli_redis *r, const struct redis_url *url, struct err *reterr)
{
	redisReply *reply;

	if (url->password[0]) {
		reply = url->user[0]
			? cli_redis_do(r, reterr, "AUTH %s %s", url->user, url->password)
				     : cli_redis_do(r, reterr, "AUTH %s", url->password);
		if (!reply)
			return ERR_DENIED;
		freeReplyObject(reply);
	}
	reply = cli_redis_do(r, reterr, "SELECT %d", url->db);
	if (!reply)
		return ERR_UNAVAILABLE;
	freeReplyObject(reply);
	return 0;
}

struct cli_redis *
cli_redis_new(const struct config *config, struct err *reterr)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct cli_redis *r = calloc(1, sizeof(*r));
	struct redis_url url;
	const char *wrong;

	if (!r) {
		err_nomem(reterr);
		return NULL;
	}
	r->prefix = config_str(config, "redis.prefix");
	wrong = redis_url_parse(config_str(config, "redis.url"), &url);
	if (wrong) {
		err_set(reterr, ERR_CONFIG, "redis.url %s", wrong);
		goto fail;
	}
	if (url.is_unix)
		snprintf(r->where, sizeof(r->where), "unix://%s", url.path);
	else
		snprintf(r->where, sizeof(r->where), "%s:%d", url.host, url.port);
	r->context = url.is_unix ? redisConnectUnixWithTimeout(url.path, timeout)
				 : redisConnectWithTimeout(url.host, url.port, timeout);
	if (!r->context || r->context->err) {
		lost(r, r->context ? r->context->errstr : "out of memory", reterr);
		goto fail;
	}
	redisSetTimeout(r->context, timeout);
	if (greet(r, &url, reterr) < 0)
		goto fail;
	return r;
fail:
	cli_redis_free(r);
	return NULL;
}

void
cli_redis_free(struct cli_redis *r)
{
	if (!r)
		return;
	if (r->context)
		redisFree(r->context);
	free(r);
}

const char *
cli_redis_prefix(const struct cli_redis *r)
{
	return r->prefix;
}
