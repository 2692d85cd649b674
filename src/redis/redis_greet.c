/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

enum { OLDEST_MAJOR = 7, PROBE_MS = 1000 };

static void second_round(struct redis *r);

static void
step(struct redis *r)
{
	if (--r->waiting)
		return;
	if (r->round++ == 1)
		second_round(r);
	else
		redis_came_up(r);
}

/* False when the greeting is over: a lost connection, or an error. */
static bool
good(struct redis *r, const redisReply *reply)
{
	if (!reply || r->state != REDIS_GREETING)
		return false;
	if (reply->type == REDIS_REPLY_ERROR) {
		redis_lost(r, reply->str);
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

/* What it says does not matter. */
static void
on_any(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	if (reply && r->state == REDIS_GREETING)
		step(r);
}

static void
on_id(struct redis *r, const redisReply *reply, int64_t *ret)
{
	if (!good(r, reply))
		return;
	if (reply->type != REDIS_REPLY_INTEGER || reply->integer <= 0) {
		redis_lost(r, "CLIENT ID brought no number");
		return;
	}
	*ret = reply->integer;
	step(r);
}

static void
on_cmd_id(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	on_id(r, reply, &r->id);
}

static void
on_push_id(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	on_id(r, reply, &r->push_id);
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
	struct redis *r = arg;
	char version[32], mode[32], why[REDIS_WHY_MAX];

	if (!good(r, reply))
		return;
	info_value(redis_span(reply), "redis_version", version, sizeof(version));
	info_value(redis_span(reply), "redis_mode", mode, sizeof(mode));
	info_value(redis_span(reply), "run_id", r->run_id, sizeof(r->run_id));
	why[0] = '\0';
	if (!version[0])
		snprintf(why, sizeof(why), "it does not say its version");
	else if (strtol(version, NULL, 10) < OLDEST_MAJOR)
		snprintf(why, sizeof(why), "version %s is too old, 7.0 is needed", version);
	else if (strcmp(mode, "cluster") == 0)
		snprintf(why, sizeof(why), "a Redis Cluster will not do, a single server will");
	if (why[0])
		redis_lost(r, why);
	else
		step(r);
}

static void
on_script(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	if (!good(r, reply))
		return;
	if (redis_loaded(r, reply))
		step(r);
	else
		redis_lost(r, "SCRIPT LOAD brought no digest");
}

static bool
say(struct redis *r, struct redis_conn *c, redis_reply_fn *fn, size_t argc,
    const struct span *argv)
{
	r->waiting++;
	return redis_conn_send(c, fn, r, argc, argv) == 0;
}

#define SAY(r, c, fn, ...) \
	say(r, c, fn, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), \
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
say_who(struct redis *r, struct redis_conn *c, const char *name)
{
	const struct redis_url *u = &r->url;
	bool ok = true;

	if (u->user[0])
		ok = SAY(r, c, on_ok, "AUTH", u->user, u->password);
	else if (u->password[0])
		ok = SAY(r, c, on_ok, "AUTH", u->password);
	/* The name is for people who look at CLIENT LIST. */
	return ok && SAY(r, c, on_any, "CLIENT", "SETNAME", name);
}

void
redis_greet(struct redis *r)
{
	char db[16];
	bool ok;
	size_t i;

	r->state = REDIS_GREETING;
	r->waiting = 0;
	r->round = 1;
	r->id = r->push_id = 0;
	snprintf(db, sizeof(db), "%d", r->url.db);
	ok = say_who(r, r->cmd, "envdriver") && SAY(r, r->cmd, on_ok, "SELECT", db) &&
	     SAY(r, r->cmd, on_cmd_id, "CLIENT", "ID") &&
	     SAY(r, r->cmd, on_info, "INFO", "server") &&
	     say_who(r, r->push, "envdriver-push") &&
	     SAY(r, r->push, on_push_id, "CLIENT", "ID");
	for (i = 0; ok && i < r->n_channels; i++)
		ok = SAY(r, r->push, on_ok, "SUBSCRIBE", r->channels[i].name);
	if (!ok)
		redis_lost(r, "out of memory");
}

/* CLIENT TRACKING ON REDIRECT id BCAST PREFIX p PREFIX p ... */
static bool
say_track(struct redis *r)
{
	struct span argv[6 + 2 * REDIS_TRACKS];
	char id[24];
	size_t n = 0, i;

	if (r->n_tracks == 0)
		return true;
	snprintf(id, sizeof(id), "%" PRId64, r->push_id);
	argv[n++] = SPAN_LIT("CLIENT");
	argv[n++] = SPAN_LIT("TRACKING");
	argv[n++] = SPAN_LIT("ON");
	argv[n++] = SPAN_LIT("REDIRECT");
	argv[n++] = span_of(id);
	argv[n++] = SPAN_LIT("BCAST");
	for (i = 0; i < r->n_tracks; i++) {
		argv[n++] = SPAN_LIT("PREFIX");
		argv[n++] = span_of(r->tracks[i]);
	}
	return say(r, r->cmd, on_ok, n, argv);
}

/*
 * Kills the lost connection: Redis may hold commands of it that it has not
 * read yet. Another run of the server never saw it, and there its id may be
 * somebody else's.
 */
static bool
say_kill(struct redis *r)
{
	char id[24];

	if (!r->lost_id || strcmp(r->lost_run_id, r->run_id) != 0)
		return true;
	snprintf(id, sizeof(id), "%" PRId64, r->lost_id);
	return SAY(r, r->cmd, on_ok, "CLIENT", "KILL", "ID", id);
}

/* OOM, READONLY, LOADING, MISCONF: no claim could be written either. */
static bool
say_probe(struct redis *r)
{
	char key[sizeof(r->prefix) + 8], ms[16];
	struct span argv[5];

	snprintf(key, sizeof(key), "%sprobe", r->prefix);
	snprintf(ms, sizeof(ms), "%d", PROBE_MS);
	argv[0] = SPAN_LIT("SET");
	argv[1] = span_of(key);
	argv[2] = SPAN_LIT("1");
	argv[3] = SPAN_LIT("PX");
	argv[4] = span_of(ms);
	return say(r, r->cmd, on_ok, 5, argv);
}

static void
second_round(struct redis *r)
{
	if (!say_kill(r) || !say_track(r) || !say_probe(r) || redis_load_scripts(r, on_script) < 0)
		redis_lost(r, "out of memory");
	else
		r->waiting += r->n_scripts;
}

int
redis_load_scripts(struct redis *r, redis_reply_fn *fn)
{
	size_t i;
	int code = 0;

	r->script_at = 0;
	for (i = 0; code == 0 && i < r->n_scripts; i++) {
		struct span argv[] = { SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"),
				       span_of(r->scripts[i].text) };

		code = redis_conn_send(r->cmd, fn, r, 3, argv);
	}
	return code;
}

bool
redis_loaded(struct redis *r, const redisReply *reply)
{
	struct span sha = redis_span(reply);

	if (sha.len != REDIS_SHA_LEN || r->script_at >= r->n_scripts)
		return false;
	memcpy(r->scripts[r->script_at].sha, sha.ptr, REDIS_SHA_LEN);
	r->scripts[r->script_at++].sha[REDIS_SHA_LEN] = '\0';
	return true;
}
