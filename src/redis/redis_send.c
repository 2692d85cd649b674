/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "redis_impl.h"

/* Codes that mean: Redis is not there for us now (D10). */
static const char *const outages[] = {
	"OOM",	       "READONLY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS",
	"CLUSTERDOWN", "TRYAGAIN", "BUSY",    "NOAUTH",	    "NOPERM",
};

bool
redis_up(const struct redis *r)
{
	return r->state == REDIS_UP && !r->dropping;
}

const char *
redis_why_down(const struct redis *r)
{
	return r->why;
}

uv_loop_t *
redis_loop(const struct redis *r)
{
	return r->loop;
}

const char *
redis_prefix(const struct redis *r)
{
	return r->prefix;
}

static int
sent(struct redis *r, int code)
{
	/* Whoever could not send waits for on_up. */
	if (code == ERR_NOMEM)
		redis_drop(r, "out of memory");
	return code;
}

int
redis_send(struct redis *r, redis_reply_fn *fn, void *arg, size_t argc, const struct span *argv)
{
	if (!redis_up(r))
		return ERR_UNAVAILABLE;
	return sent(r, redis_conn_send(r->cmd, fn, arg, argc, argv));
}

int
redis_sendf(struct redis *r, redis_reply_fn *fn, void *arg, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len, code;

	if (!redis_up(r))
		return ERR_UNAVAILABLE;
	va_start(ap, fmt);
	len = redisvFormatCommand(&text, fmt, ap);
	va_end(ap);
	assert(len != -2);	/* a wrong format */
	if (len < 0)
		return sent(r, ERR_NOMEM);
	code = redis_conn_send_raw(r->cmd, fn, arg, (struct span){ text, (size_t)len });
	redisFreeCommand(text);
	return sent(r, code);
}

int
redis_eval(struct redis *r, int script, redis_reply_fn *fn, void *arg, size_t n_keys, size_t argc,
	   const struct span *argv)
{
	struct span all[3 + REDIS_EVAL_MAX];
	char keys[24];

	assert(script >= 0 && (size_t)script < r->n_scripts && argc <= REDIS_EVAL_MAX);
	snprintf(keys, sizeof(keys), "%zu", n_keys);
	all[0] = SPAN_LIT("EVALSHA");
	all[1] = (struct span){ r->scripts[script].sha, REDIS_SHA_LEN };
	all[2] = span_of(keys);
	memcpy(all + 3, argv, argc * sizeof(*argv));
	return redis_send(r, fn, arg, 3 + argc, all);
}

static void
on_reloaded(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	if (!reply)
		return;
	if (!redis_loaded(r, reply))
		redis_drop(r, reply->type == REDIS_REPLY_ERROR ? reply->str : "SCRIPT LOAD failed");
	if (r->script_at == r->n_scripts)
		r->reloading = false;
}

bool
redis_is_noscript(struct redis *r, const redisReply *reply)
{
	if (!redis_is_error(reply, "NOSCRIPT"))
		return false;
	/* Others were under way when the scripts went: one load serves all. */
	if (r->reloading || !redis_up(r))
		return true;
	r->reloading = true;
	if (redis_load_scripts(r, on_reloaded) < 0)
		redis_drop(r, "out of memory");
	return true;
}

bool
redis_is_error(const redisReply *reply, const char *code)
{
	size_t len = strlen(code);

	return reply && reply->type == REDIS_REPLY_ERROR && (size_t)reply->len >= len &&
	       memcmp(reply->str, code, len) == 0 &&
	       ((size_t)reply->len == len || reply->str[len] == ' ');
}

bool
redis_is_outage(struct redis *r, const redisReply *reply)
{
	size_t i;

	if (!reply)
		return true;
	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	for (i = 0; i < sizeof(outages) / sizeof(*outages); i++) {
		if (redis_is_error(reply, outages[i])) {
			redis_drop(r, reply->str);
			return true;
		}
	}
	return false;
}
