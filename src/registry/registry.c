/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/registry/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/base/log.h"
#include "envdriver/redis/redis.h"
#include "registry_mirror.h"
#include "registry_record.h"

enum {
	KEY_MAX = 512 + 32 + REGISTRY_TEXT_MAX,
	BYTES_MAX = 256 * 1024 * 1024,
	SCAN_ROUNDS_MAX = 400,	/* two million keys: most of them are claims */
	RELOAD_TICKS = 300,	/* seconds: should an invalidation ever be lost */
};

struct registry {
	struct redis *redis;
	void (*on_change)(void *arg);
	void *arg;

	bool up;
	bool waited;		/* it was not fresh; on_change is due */
	bool full;		/* the next ZRANGE fetches known plugins too */
	bool scan_warned, members_warned;
	size_t pending;		/* fetches under way */
	unsigned ticks, scan_rounds;
	struct fetch members, scanning;
	struct buf key;		/* room for any key: ids are bounded */
	struct registry_mirror mirror;
};

static void fetch_item(struct registry *r, struct item *it);
static void fetch_key(struct registry *r, struct span key, bool again);
static void fetch_members(struct registry *r);

static struct span
key_of(struct registry *r, const char *rest, struct span id)
{
	buf_reset(&r->key);
	buf_adds(&r->key, redis_prefix(r->redis));
	buf_adds(&r->key, rest);
	buf_addspan(&r->key, id);
	return buf_span(&r->key);
}

/* A fetch that was asked for while one was under way is made after it: its
 * answer may be older than what it was asked for. */
static bool
must_send(struct registry *r, struct fetch *f)
{
	if (f->busy) {
		f->again = true;
		return false;
	}
	if (!r->up)
		return false;
	f->busy = true;
	f->again = false;
	r->pending++;
	r->waited = true;
	return true;
}

/* Ends a fetch; true when another one is due. */
static bool
ended(struct registry *r, struct fetch *f, const redisReply *reply)
{
	bool again = f->again && reply && r->up;

	f->busy = f->again = false;
	r->pending--;
	return again;
}

static void
undo_unsent(struct registry *r, struct fetch *f, int code)
{
	if (code == 0)
		return;
	f->busy = false;
	r->pending--;
}

/* Tells once all that was asked for is in, not for each record of a load.
 * Also when nothing changed: look-ups have waited. */
static void
tell_when_fresh(struct registry *r)
{
	if (!registry_fresh(r) || !r->waited)
		return;
	r->waited = false;
	r->on_change(r->arg);
}

/* True when there is something to read in it. */
static bool
usable(struct registry *r, const redisReply *reply)
{
	if (!reply || redis_is_outage(r->redis, reply))
		return false;
	if (reply->type == REDIS_REPLY_ERROR && !redis_is_error(reply, "WRONGTYPE")) {
		redis_fail(r->redis, reply->str);
		return false;
	}
	return true;
}

/* --- one plugin --- */

static void
warn_once(struct registry *r, struct item *it, const char *what)
{
	if (registry_mirror_note(it, what))
		log_warn("%splugin:%s in Redis is malformed; the plugin is not ready: %s",
			 redis_prefix(r->redis), it->id, what);
}

static void
take_values(struct registry *r, struct item *it, const redisReply *reply)
{
	struct span values[REGISTRY_FIELDS] = { { 0 } }, id = span_of(it->id);
	struct registry_record *record;
	struct err wrong = { 0 };
	size_t bytes = 0;

	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < REGISTRY_FIELDS &&
			   i < reply->elements; i++) {
		values[i] = redis_span(reply->element[i]);
		bytes += values[i].len;
	}
	if (it->record && reply->type == REDIS_REPLY_ARRAY &&
	    registry_record_same(it->record, values))
		return;
	it->absent = reply->type == REDIS_REPLY_ARRAY && !values[REGISTRY_KEY].ptr &&
		     !values[REGISTRY_STATUS].ptr && !values[REGISTRY_MANIFEST].ptr;
	if (reply->type == REDIS_REPLY_ERROR)
		record = registry_record_bad(id, "not a hash", &wrong);
	else if (r->mirror.bytes + bytes > BYTES_MAX)
		record = registry_record_bad(id, "the registry is too large", &wrong);
	else
		record = registry_record_new(id, values, &wrong);
	if (!record) {
		redis_fail(r->redis, "out of memory");
		return;
	}
	/* One that was removed is a member for as long as it takes to ask. */
	if (it->absent)
		fetch_members(r);
	else
		warn_once(r, it, wrong.text);
	registry_mirror_put(&r->mirror, it, record);
	if (values[REGISTRY_KEY].len && registry_record_plugin(record)->key[0])
		fetch_key(r, values[REGISTRY_KEY], /* again= */ false);
}

static void
on_plugin_values(void *arg, const redisReply *reply)
{
	struct item *it = arg;
	struct registry *r = it->owner;
	bool again = ended(r, &it->fetch, reply);

	if (it->gone) {
		registry_mirror_free_item(&r->mirror, it);
	} else {
		if (usable(r, reply))
			take_values(r, it, reply);
		if (again)
			fetch_item(r, it);
	}
	tell_when_fresh(r);
}

static void
fetch_item(struct registry *r, struct item *it)
{
	struct span argv[2 + REGISTRY_FIELDS] = { SPAN_LIT("HMGET"),
						  key_of(r, "plugin:", span_of(it->id)) };

	if (!must_send(r, &it->fetch))
		return;
	for (size_t i = 0; i < REGISTRY_FIELDS; i++)
		argv[2 + i] = span_of(registry_field_name((enum registry_field)i));
	undo_unsent(r, &it->fetch,
		    redis_send(r->redis, on_plugin_values, it, 2 + REGISTRY_FIELDS, argv));
}

/* --- plugin-key:<key> --- */

static void
on_plugin_key(void *arg, const redisReply *reply)
{
	struct alias *a = arg;
	struct registry *r = a->owner;
	bool again = ended(r, &a->fetch, reply);
	struct span id = redis_span(reply);

	if (id.len > REGISTRY_TEXT_MAX)
		id = SPAN_NULL;
	if (usable(r, reply) && !span_eq(id, span_of(a->id))) {
		free(a->id);
		a->id = id.ptr ? strndup(id.ptr, id.len) : NULL;
		if (id.ptr && !a->id)
			redis_fail(r->redis, "out of memory");
	}
	if (again)
		fetch_key(r, span_of(a->key), true);
	tell_when_fresh(r);
}

/* `again` false: only if it was never asked for. */
static void
fetch_key(struct registry *r, struct span key, bool again)
{
	struct alias *a = registry_mirror_alias(&r->mirror, key);
	const struct span argv[] = { SPAN_LIT("GET"), key_of(r, "plugin-key:", key) };

	if (a && !again)
		return;
	if (!a)
		a = registry_mirror_add_alias(&r->mirror, key);
	if (!a || !must_send(r, &a->fetch))
		return;
	undo_unsent(r, &a->fetch, redis_send(r->redis, on_plugin_key, a, 2, argv));
}

/* --- all of it --- */

static void
take_members(struct registry *r, const redisReply *reply)
{
	size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
	bool wrong = reply->type == REDIS_REPLY_ERROR || n > REGISTRY_PLUGINS_MAX;

	if (wrong && !r->members_warned)
		log_warn("%splugins in Redis %s", redis_prefix(r->redis),
			 n ? "has more than 10000 members; the others are ignored"
			   : "is not a sorted set; there are no plugins");
	r->members_warned = wrong;
	r->mirror.round++;
	for (size_t i = 0; i < n && i < REGISTRY_PLUGINS_MAX; i++) {
		struct span id = redis_span(reply->element[2 * i]);
		struct span score = redis_span(reply->element[2 * i + 1]);
		double order = score.ptr ? strtod(score.ptr, NULL) : 0;
		struct item *it = NULL;

		if (registry_mirror_see(&r->mirror, id, order, &it) < 0)
			redis_fail(r->redis, "out of memory");
		if (it && (!it->record || r->full))
			fetch_item(r, it);
		else if (it && it->absent)
			warn_once(r, it, "there is no such key");
	}
	registry_mirror_sweep(&r->mirror);
	r->full = false;
}

static void
on_plugin_members(void *arg, const redisReply *reply)
{
	struct registry *r = arg;
	bool again = ended(r, &r->members, reply);

	if (usable(r, reply))
		take_members(r, reply);
	if (again)
		fetch_members(r);
	tell_when_fresh(r);
}

static void
fetch_members(struct registry *r)
{
	/* One more than REGISTRY_PLUGINS_MAX, to see that there are more. */
	const struct span argv[] = { SPAN_LIT("ZRANGE"), key_of(r, "plugins", SPAN_NULL),
				     SPAN_LIT("0"), SPAN_LIT("10000"), SPAN_LIT("WITHSCORES") };

	if (!must_send(r, &r->members))
		return;
	undo_unsent(r, &r->members, redis_send(r->redis, on_plugin_members, r, 5, argv));
}

static void scan(struct registry *r, struct span cursor);
static void scan_all(struct registry *r);

static void
take_scanned(struct registry *r, const redisReply *keys)
{
	size_t skip = strlen(redis_prefix(r->redis)) + strlen("plugin-key:");

	for (size_t i = 0; i < keys->elements; i++) {
		struct span key = redis_span(keys->element[i]);

		if (key.len > skip)
			fetch_key(r, (struct span){ key.ptr + skip, key.len - skip },
					   /* again= */ false);
	}
}

static void
on_keys_scanned(void *arg, const redisReply *reply)
{
	struct registry *r = arg;
	bool again = ended(r, &r->scanning, reply);
	struct span cursor;

	if (usable(r, reply) && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
	    reply->element[1]->type == REDIS_REPLY_ARRAY) {
		take_scanned(r, reply->element[1]);
		cursor = redis_span(reply->element[0]);
		if (again)
			scan_all(r);
		else if (!span_is(cursor, "0") && ++r->scan_rounds < SCAN_ROUNDS_MAX)
			scan(r, cursor);
	}
	if (r->scan_rounds == SCAN_ROUNDS_MAX && !r->scan_warned) {
		r->scan_warned = true;
		log_warn("Redis has too many keys to scan; any %splugin-key:* that no "
			 "plugin names is ignored", redis_prefix(r->redis));
	}
	tell_when_fresh(r);
}

static void
scan(struct registry *r, struct span cursor)
{
	struct span argv[] = { SPAN_LIT("SCAN"), cursor,	    SPAN_LIT("MATCH"),
			       SPAN_NULL,	 SPAN_LIT("COUNT"), SPAN_LIT("5000") };

	if (!must_send(r, &r->scanning))
		return;
	buf_reset(&r->key);
	redis_add_escaped(&r->key, redis_prefix(r->redis));
	buf_adds(&r->key, "plugin-key:*");
	argv[3] = buf_span(&r->key);
	undo_unsent(r, &r->scanning, redis_send(r->redis, on_keys_scanned, r, 6, argv));
}

/* Keys that no plugin names are found by looking through all of them: a look-up of
 * a key says "there is none" only when they are known. */
static void
scan_all(struct registry *r)
{
	r->scan_rounds = 0;
	scan(r, SPAN_LIT("0"));
}

static void
reload_all(struct registry *r)
{
	struct alias *a, *next;

	r->full = true;
	/* After a time without tracking each may have changed. */
	HASH_ITER(hh, r->mirror.aliases, a, next)
		fetch_key(r, span_of(a->key), true);
	fetch_members(r);
}

/* --- what Redis tells --- */

static void
on_registry_up(void *arg)
{
	struct registry *r = arg;

	r->up = true;
	r->ticks = 0;
	reload_all(r);
	scan_all(r);
}

static void
on_registry_down(void *arg, const char *why)
{
	struct registry *r = arg;

	(void)why;
	r->up = false;
}

static void
on_registry_tick(void *arg)
{
	struct registry *r = arg;

	if (++r->ticks % RELOAD_TICKS == 0)
		reload_all(r);
}

static bool
after(struct span key, struct span prefix, const char *name, struct span *ret)
{
	size_t len = prefix.len + strlen(name);

	if (key.len < len || memcmp(key.ptr, prefix.ptr, prefix.len) != 0 ||
	    memcmp(key.ptr + prefix.len, name, len - prefix.len) != 0)
		return false;
	*ret = (struct span){ key.ptr + len, key.len - len };
	return true;
}

static void
on_key_invalid(void *arg, struct span key)
{
	struct registry *r = arg;
	struct span prefix = span_of(redis_prefix(r->redis)), rest;

	if (!r->up)
		return;
	if (!key.ptr) {
		reload_all(r);
		scan_all(r);
	} else if (after(key, prefix, "plugin:", &rest)) {
		struct item *it = registry_mirror_item(&r->mirror, rest);

		if (it)
			fetch_item(r, it);
	} else if (after(key, prefix, "plugin-key:", &rest)) {
		fetch_key(r, rest, true);
	} else if (after(key, prefix, "plugins", &rest) && rest.len == 0) {
		fetch_members(r);
	}
}

struct registry *
registry_new(struct redis *redis, void (*on_change)(void *arg), void *arg, struct err *reterr)
{
	static const char *const tracked[] = { "plugins", "plugin:", "plugin-key:" };
	struct registry *r = calloc(1, sizeof(*r));
	struct redis_listener l = { .on_up = on_registry_up, .on_down = on_registry_down,
				     .on_tick = on_registry_tick };

	if (!r || !buf_reserve(&r->key, KEY_MAX)) {
		free(r);
		err_nomem(reterr);
		return NULL;
	}
	r->mirror.owner = r;
	r->redis = redis;
	r->on_change = on_change;
	r->arg = arg;
	l.arg = r;
	redis_listen(redis, &l);
	redis_subscribe(redis, REDIS_INVALIDATE, on_key_invalid, r);
	for (size_t i = 0; i < sizeof(tracked) / sizeof(*tracked); i++)
		redis_track(redis, key_of(r, tracked[i], SPAN_NULL).ptr);
	return r;
}

bool
registry_fresh(const struct registry *r)
{
	return r->up && redis_up(r->redis) && r->pending == 0;
}

const struct registry_plugin *
registry_by_id(const struct registry *r, struct span id)
{
	return registry_mirror_by_id(&r->mirror, id);
}

const struct registry_plugin *
registry_by_key(const struct registry *r, struct span key)
{
	return registry_mirror_by_key(&r->mirror, key);
}

const struct registry_plugin *
registry_at(const struct registry *r, size_t i)
{
	return registry_mirror_at(&r->mirror, i);
}

void
registry_free(struct registry *r)
{
	if (!r)
		return;
	registry_mirror_release(&r->mirror);
	buf_release(&r->key);
	free(r);
}
