/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/registry/instance.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "instance_impl.h"

enum { HASH_FIELDS_ROOM = 1024 };

/*
 * +1, only while the record names us, or when there is none: it expires when
 * we could not write for a minute, and nobody took the name meanwhile. ARGV:
 * incarnation, expiry, then fields and values. Anything else answers with who
 * is there.
 */
static const char beat_text[] =
	"local now = redis.call('HGET', KEYS[1], 'incarnation')\n"
	"if now and now ~= ARGV[1] then\n"
	"  return redis.call('HMGET', KEYS[1], 'incarnation', 'host', 'pid')\n"
	"end\n"
	"redis.call('HSET', KEYS[1], unpack(ARGV, 3))\n"
	"redis.call('HINCRBY', KEYS[1], 'beat', 1)\n"
	"redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
	"return 1\n";

static const char end_text[] =
	"if redis.call('HGET', KEYS[1], 'incarnation') == ARGV[1] then\n"
	"  redis.call('DEL', KEYS[1])\n"
	"end\n"
	"return 1\n";

bool
instance_usable(struct instance *i, const redisReply *reply)
{
	if (redis_is_outage(i->redis, reply))
		return false;
	/* Asked for again with the next tick. */
	if (redis_is_noscript(i->redis, reply))
		return false;
	if (reply->type == REDIS_REPLY_ERROR) {
		redis_fail(i->redis, reply->str);
		return false;
	}
	return true;
}

void
instance_refuse(struct instance *i, int exit_code, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (i->state == INSTANCE_REFUSED || i->state == INSTANCE_ENDED)
		return;
	i->state = INSTANCE_REFUSED;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	i->ev.on_refused(i->ev.arg, exit_code, text);
}

/* --- the record --- */

static void
add_pair(struct buf *text, struct span *argv, size_t *n, const char *name, const char *value)
{
	size_t len = strlen(value);

	/* `text` has room for all of it: the spans must not move. */
	assert(text->len + len < text->cap);
	argv[(*n)++] = span_of(name);
	argv[(*n)++] = (struct span){ text->data + text->len, len };
	buf_add(text, value, len);
}

size_t
instance_pairs(struct instance *i, struct buf *text, struct span *argv)
{
	const char *group = config_str(i->config, "kafka.group.id");
	char pid[16], start[24], in_flight[24];
	size_t n = 0;

	buf_reset(text);
	if (!buf_reserve(text, HASH_FIELDS_ROOM + strlen(group) + i->partitions.len))
		return 0;
	snprintf(pid, sizeof(pid), "%d", i->self.pid);
	snprintf(start, sizeof(start), "%" PRIu64, i->self.start);
	snprintf(in_flight, sizeof(in_flight), "%zu", i->in_flight);
	add_pair(text, argv, &n, "incarnation", i->incarnation);
	add_pair(text, argv, &n, "bootId", i->self.boot_id);
	add_pair(text, argv, &n, "pidNamespace", i->self.pid_namespace);
	add_pair(text, argv, &n, "pid", pid);
	add_pair(text, argv, &n, "pidStart", start);
	add_pair(text, argv, &n, "host", i->host);
	add_pair(text, argv, &n, "version", ENVDRIVER_VERSION);
	add_pair(text, argv, &n, "group", group);
	add_pair(text, argv, &n, "startedAt", i->started_at);
	add_pair(text, argv, &n, "partitions", i->partitions.len ? i->partitions.data : "[]");
	add_pair(text, argv, &n, "inFlight", in_flight);
	assert(n <= 2 * INSTANCE_PAIRS);
	return n;
}

static struct span
element(const redisReply *reply, size_t k)
{
	if (reply->type != REDIS_REPLY_ARRAY || k >= reply->elements)
		return SPAN_NULL;
	return redis_span(reply->element[k]);
}

/* True when the record is ours. */
static bool
beaten(struct instance *i, const redisReply *reply)
{
	if (!instance_usable(i, reply))
		return false;
	if (reply->type == REDIS_REPLY_INTEGER)
		return true;
	instance_refuse(i, EXIT_UNAVAILABLE,
			"another worker has taken over the name '%s' (host %.*s, pid %.*s): give "
			"each worker its own instance.id",
			i->id, SPAN_FMT(element(reply, 1)), SPAN_FMT(element(reply, 2)));
	return false;
}

static void
on_beaten(void *arg, const redisReply *reply)
{
	(void)beaten(arg, reply);
}

static int
beat(struct instance *i, redis_reply_fn *fn, void *arg)
{
	struct span argv[3 + 2 * INSTANCE_PAIRS];
	struct buf text = BUF_INIT;
	char expire[16];
	size_t n;
	int code = ERR_NOMEM;

	snprintf(expire, sizeof(expire), "%d", INSTANCE_EXPIRE_MS);
	argv[0] = buf_span(&i->key);
	argv[1] = span_of(i->incarnation);
	argv[2] = span_of(expire);
	n = instance_pairs(i, &text, argv + 3);
	if (n)
		code = redis_eval(i->redis, i->script_beat, fn, arg, 1, 3 + n, argv);
	buf_release(&text);
	return code;
}

void
instance_show(struct instance *i, const int32_t *partitions, size_t n, size_t in_flight)
{
	size_t k;

	buf_reset(&i->partitions);
	buf_addch(&i->partitions, '[');
	for (k = 0; k < n; k++)
		buf_addf(&i->partitions, "%s%" PRId32, k ? "," : "", partitions[k]);
	buf_addch(&i->partitions, ']');
	if (i->partitions.failed)
		buf_reset(&i->partitions);	/* for display only */
	i->in_flight = in_flight;
}

struct verify {
	struct instance *i;
	void (*fn)(void *arg, bool ours);
	void *arg;
};

static void
on_verified(void *arg, const redisReply *reply)
{
	struct verify *v = arg;

	v->fn(v->arg, beaten(v->i, reply));
	free(v);
}

void
instance_verify(struct instance *i, void (*fn)(void *arg, bool ours), void *arg)
{
	struct verify *v = i->state == INSTANCE_READY ? buf_realloc(NULL, sizeof(*v)) : NULL;

	if (v) {
		*v = (struct verify){ i, fn, arg };
		if (beat(i, on_verified, v) == 0)
			return;
	}
	free(v);
	fn(arg, false);
}

/* --- Redis comes and goes, seconds pass --- */

static void
on_up(void *arg)
{
	struct instance *i = arg;

	if (i->state == INSTANCE_READY)
		(void)beat(i, on_beaten, i);
	else
		instance_start_up(i);
}

static void
on_tick(void *arg)
{
	struct instance *i = arg;

	if (i->state == INSTANCE_READY) {
		(void)beat(i, on_beaten, i);
		instance_positions_write(i);
	} else {
		instance_start_tick(i);
	}
	instance_judge_tick(i);
}

/* --- who we are --- */

static int
name_us(struct instance *i, struct err *reterr)
{
	const char *id = config_str(i->config, "instance.id");
	uuid_t uuid;

	if (gethostname(i->host, sizeof(i->host) - 1) < 0 || !i->host[0])
		snprintf(i->host, sizeof(i->host), "localhost");
	snprintf(i->id, sizeof(i->id), "%s", id ? id : i->host);
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, i->incarnation);
	clock_text(clock_wall_ms(), i->started_at);
	process_self(&i->self);
	buf_addf(&i->key, "%sinstance:%s", redis_prefix(i->redis), i->id);
	return i->key.failed ? err_nomem(reterr) : 0;
}

struct instance *
instance_new(uv_loop_t *loop, struct redis *redis, const struct config *config,
	     const struct instance_events *ev, struct err *reterr)
{
	struct redis_listener l = {
		.on_up = on_up, .on_tick = on_tick, .rank = REDIS_RANK_INSTANCE,
	};
	struct instance *i = buf_realloc(NULL, sizeof(*i));

	(void)loop;	/* its seconds are those of redis */
	if (!i) {
		err_nomem(reterr);
		return NULL;
	}
	memset(i, 0, sizeof(*i));
	i->redis = redis;
	i->config = config;
	i->ev = *ev;
	if (name_us(i, reterr) < 0) {
		instance_free(i);
		return NULL;
	}
	i->script_meta = redis_script(redis, instance_meta_text);
	i->script_take = redis_script(redis, instance_take_text);
	i->script_beat = redis_script(redis, beat_text);
	i->script_end = redis_script(redis, end_text);
	i->script_positions = redis_script(redis, instance_positions_text);
	l.arg = i;
	redis_listen(redis, &l);
	return i;
}

void
instance_free(struct instance *i)
{
	if (!i)
		return;
	instance_judge_free(i);
	instance_positions_free(i);
	free(i->cluster_id);
	buf_release(&i->partitions);
	buf_release(&i->key);
	free(i);
}

const char *
instance_id(const struct instance *i)
{
	return i->id;
}

const char *
instance_incarnation(const struct instance *i)
{
	return i->incarnation;
}

void
instance_token(struct instance *i, char ret[64])
{
	snprintf(ret, 64, "%s.%" PRIu64, i->incarnation, ++i->serial);
}

bool
instance_ready(const struct instance *i)
{
	return i->state == INSTANCE_READY;
}

static void
on_ended(void *arg, const redisReply *reply)
{
	struct instance *i = arg;

	(void)reply;
	i->on_ended(i->ended_arg);
}

void
instance_end(struct instance *i, void (*done)(void *arg), void *arg)
{
	struct span argv[2] = { buf_span(&i->key), span_of(i->incarnation) };
	bool ours = i->state == INSTANCE_READY;

	if (ours)
		instance_positions_write(i);
	i->state = INSTANCE_ENDED;
	i->on_ended = done;
	i->ended_arg = arg;
	if (!ours || redis_eval(i->redis, i->script_end, on_ended, i, 1, 2, argv) < 0)
		done(arg);
}
