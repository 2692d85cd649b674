/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_greeting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/redis_url.h"
#include "redis_conn.h"
#include "redis_scripts.h"

enum { OLDEST_MAJOR = 7, PROBE_MS = 1000, WHY_MAX = 100 };

static void second_round(struct redis_greeting *g);

static void
end_well(struct redis_greeting *g)
{
	g->active = false;
	g->on_good(g->arg);
}

static void
end_badly(struct redis_greeting *g, const char *why)
{
	g->active = false;
	g->on_bad(g->arg, why);
}

static void
step(struct redis_greeting *g)
{
	if (--g->waiting)
		return;
	if (g->round++ == 1)
		second_round(g);
	else
		end_well(g);
}

/* False when the greeting is over: the connection is lost, or the reply is an
 * error. */
static bool
good(struct redis_greeting *g, const redisReply *reply)
{
	if (!reply || !g->active)
		return false;
	if (reply->type == REDIS_REPLY_ERROR) {
		end_badly(g, reply->str);
		return false;
	}
	return true;
}

static void
on_ok(void *arg, const redisReply *reply)
{
	if (good(arg, reply))
		step(arg);
}

/* The reply does not matter, only its turn. */
static void
on_any(void *arg, const redisReply *reply)
{
	struct redis_greeting *g = arg;

	if (reply && g->active)
		step(g);
}

static void
on_id(struct redis_greeting *g, const redisReply *reply, int64_t *ret)
{
	if (!good(g, reply))
		return;
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer <= 0) {
		end_badly(g, "CLIENT ID returned no number");
		return;
	}
	*ret = reply->integer;
	step(g);
}

static void
on_cmd_id(void *arg, const redisReply *reply)
{
	struct redis_greeting *g = arg;

	on_id(g, reply, &g->self.id);
}

static void
on_push_id(void *arg, const redisReply *reply)
{
	struct redis_greeting *g = arg;

	on_id(g, reply, &g->push_id);
}

/* The value of a line "name:value" of INFO; "" when there is none. */
static void
info_value(struct span info, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name), n = 0;
	const char *p = info.ptr, *end = info.ptr + info.len;

	while (p && p < end && !((size_t)(end - p) > len && memcmp(p, name, len) == 0 &&
				 p[len] == ':')) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	if (p && p < end)
		for (p += len + 1; p < end && *p != '\r' && *p != '\n' && n + 1 < size; p++)
			ret[n++] = *p;
	ret[n] = '\0';
}

static void
on_info(void *arg, const redisReply *reply)
{
	struct redis_greeting *g = arg;
	char version[32], mode[32], why[WHY_MAX];

	if (!good(g, reply))
		return;
	info_value(redis_span(reply), "redis_version", version, sizeof(version));
	info_value(redis_span(reply), "redis_mode", mode, sizeof(mode));
	info_value(redis_span(reply), "run_id", g->self.run_id, sizeof(g->self.run_id));
	why[0] = '\0';
	if (!version[0])
		snprintf(why, sizeof(why), "the server does not tell its version");
	else if (strtol(version, NULL, 10) < OLDEST_MAJOR)
		snprintf(why, sizeof(why), "version %s is too old, 7.0 is required", version);
	else if (strcmp(mode, "cluster") == 0)
		snprintf(why, sizeof(why), "a Redis Cluster is not supported");
	if (why[0])
		end_badly(g, why);
	else
		step(g);
}

static void
on_script(void *arg, const redisReply *reply)
{
	struct redis_greeting *g = arg;

	if (!good(g, reply))
		return;
	if (redis_scripts_loaded(g->scripts, reply))
		step(g);
	else
		end_badly(g, "SCRIPT LOAD returned no digest");
}

static bool
send_one(struct redis_greeting *g, struct redis_conn *c, redis_reply_fn *fn, size_t argc,
    const struct span *argv)
{
	g->waiting++;
	return redis_conn_send(c, fn, g, argc, argv) == 0;
}

#define SAY(g, c, fn, ...) \
	send_one(g, c, fn, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
	    spans((const char *const[]){ __VA_ARGS__ }, \
		  sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
		  (struct span[4]){ { 0 } }))

static const struct span *
spans(const char *const *texts, size_t n, struct span *ret)
{
	size_t i;

	for (i = 0; i < n; i++)
		ret[i] = span_of(texts[i]);
	return ret;
}

static bool
say_who(struct redis_greeting *g, struct redis_conn *c, const char *name)
{
	const struct redis_url *u = g->url;
	bool ok = true;

	if (u->user[0])
		ok = SAY(g, c, on_ok, "AUTH", u->user, u->password);
	else if (u->password[0])
		ok = SAY(g, c, on_ok, "AUTH", u->password);
	/* The name is for people who look at CLIENT LIST. */
	return ok && SAY(g, c, on_any, "CLIENT", "SETNAME", name);
}

void
redis_greeting_start(struct redis_greeting *g, struct redis_conn *cmd, struct redis_conn *push)
{
	char db[16];
	bool ok;
	size_t i;

	g->cmd = cmd;
	g->push = push;
	g->active = true;
	g->waiting = 0;
	g->round = 1;
	g->self.id = g->push_id = 0;
	snprintf(db, sizeof(db), "%d", g->url->db);
	ok = say_who(g, g->cmd, "envdriver") && SAY(g, g->cmd, on_ok, "SELECT", db) &&
	     SAY(g, g->cmd, on_cmd_id, "CLIENT", "ID") &&
	     SAY(g, g->cmd, on_info, "INFO", "server") &&
	     say_who(g, g->push, "envdriver-push") &&
	     SAY(g, g->push, on_push_id, "CLIENT", "ID");
	for (i = 0; ok && i < g->n_channels; i++)
		ok = SAY(g, g->push, on_ok, "SUBSCRIBE", g->channels[i]);
	if (!ok)
		end_badly(g, "out of memory");
}

/* CLIENT TRACKING ON REDIRECT id BCAST PREFIX p PREFIX p ... */
static bool
say_track(struct redis_greeting *g)
{
	struct span argv[6 + 2 * REDIS_TRACKS];
	char id[24];
	size_t n = 0, i;

	if (g->n_tracks == 0)
		return true;
	snprintf(id, sizeof(id), "%" PRId64, g->push_id);
	argv[n++] = SPAN_LIT("CLIENT");
	argv[n++] = SPAN_LIT("TRACKING");
	argv[n++] = SPAN_LIT("ON");
	argv[n++] = SPAN_LIT("REDIRECT");
	argv[n++] = span_of(id);
	argv[n++] = SPAN_LIT("BCAST");
	for (i = 0; i < g->n_tracks; i++) {
		argv[n++] = SPAN_LIT("PREFIX");
		argv[n++] = span_of(g->tracks[i]);
	}
	return send_one(g, g->cmd, on_ok, n, argv);
}

/*
 * Kills the lost connection: Redis may hold commands of it that it has not
 * read yet. A server that was restarted never saw it, and its id may be another
 * client's there.
 */
static bool
say_kill(struct redis_greeting *g)
{
	char id[24];

	if (!g->predecessor.id || strcmp(g->predecessor.run_id, g->self.run_id) != 0)
		return true;
	snprintf(id, sizeof(id), "%" PRId64, g->predecessor.id);
	return SAY(g, g->cmd, on_ok, "CLIENT", "KILL", "ID", id);
}

/* OOM, READONLY, LOADING, MISCONF: no claim could be written either. */
static bool
say_probe(struct redis_greeting *g)
{
	char key[REDIS_PREFIX_MAX + 8], ms[16];
	struct span argv[5];

	snprintf(key, sizeof(key), "%sprobe", g->prefix);
	snprintf(ms, sizeof(ms), "%d", PROBE_MS);
	argv[0] = SPAN_LIT("SET");
	argv[1] = span_of(key);
	argv[2] = SPAN_LIT("1");
	argv[3] = SPAN_LIT("PX");
	argv[4] = span_of(ms);
	return send_one(g, g->cmd, on_ok, 5, argv);
}

static void
second_round(struct redis_greeting *g)
{
	if (!say_kill(g) || !say_track(g) || !say_probe(g) ||
	    redis_scripts_load(g->scripts, g->cmd, on_script, g) < 0)
		end_badly(g, "out of memory");
	else
		g->waiting += g->scripts->n;
}
