/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/registry/instance.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/redis/redis.h"
#include "heartbeat.h"
#include "instance_record.h"
#include "peers.h"
#include "positions.h"

/* DESIGN: IDLE --check--> META --> CHECKED --begin--> LOOK (every second, while
 * a predecessor may live) --> TAKE --> READY. A lost connection leads back to
 * META, and on from there when it was begun; READY, REFUSED and ENDED stay. */
enum instance_state {
	INSTANCE_IDLE,
	INSTANCE_META,
	INSTANCE_CHECKED,
	INSTANCE_LOOK,
	INSTANCE_TAKE,
	INSTANCE_READY,
	INSTANCE_REFUSED,
	INSTANCE_ENDED,
};

struct instance {
	struct redis *redis;
	const struct config *config;
	struct instance_events ev;
	enum instance_state state;
	bool begun;
	char *cluster_id;		/* NULL: unknown */
	uint64_t serial;
	struct instance_record record;
	struct peers peers;
	struct positions positions;

	int script_meta;
	bool looking;			/* at the predecessor's record */
	bool warned;			/* about how Redis is set up */
	int64_t asked_ms;
	struct heartbeat predecessor;

	void (*on_ended)(void *arg);
	void *ended_arg;
};

/* ARGV: clusterId, group, topicPrefix, each after a '='; "" is not known.
 * Answers 1, or the field that differs and what it holds. */
static const char meta_text[] =
	"local names = {'clusterId', 'group', 'topicPrefix'}\n"
	"for i, name in ipairs(names) do\n"
	"  local v = redis.call('HGET', KEYS[1], name)\n"
	"  if v and ARGV[i] ~= '' and '=' .. v ~= ARGV[i] then return {name, v} end\n"
	"end\n"
	"for i, name in ipairs(names) do\n"
	"  if ARGV[i] ~= '' then redis.call('HSETNX', KEYS[1], name, string.sub(ARGV[i], 2)) end\n"
	"end\n"
	"return 1\n";

static void look(struct instance *i);

/* The last thing that happens: the process ends. */
static void __attribute__((format(printf, 3, 4)))
refuse_start(struct instance *i, int exit_code, const char *fmt, ...)
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

/* --- how durable Redis is, logged once --- */

static bool
info_has(struct span info, const char *text)
{
	return info.ptr && memmem(info.ptr, info.len, text, strlen(text)) != NULL;
}

static void
on_redis_info(void *arg, const redisReply *reply)
{
	struct instance *i = arg;
	struct span info = redis_span(reply);

	if (!info.ptr || i->warned)
		return;
	i->warned = true;
	if (!info_has(info, "maxmemory_policy:noeviction"))
		log_warn("Redis evicts keys when its memory is full (maxmemory-policy): a claim "
			 "that is lost this way can be called twice; set noeviction");
	if (info_has(info, "aof_enabled:0"))
		log_warn("Redis keeps no append-only file: claims written shortly before it "
			 "crashes are lost, their commands can be called twice; set appendonly");
	if (info_has(info, "role:master") && !info_has(info, "connected_slaves:0"))
		log_info("Redis has replicas: claims not replicated yet are lost when one of "
			 "them takes over");
}

/* --- meta --- */

static void
checked(struct instance *i)
{
	if (i->begun) {
		i->state = INSTANCE_LOOK;
		look(i);
		return;
	}
	i->state = INSTANCE_CHECKED;
	if (i->ev.on_checked)
		i->ev.on_checked(i->ev.arg);
}

static void
on_prefix_meta(void *arg, const redisReply *reply)
{
	struct instance *i = arg;
	struct span name, theirs;

	if (i->state != INSTANCE_META || !redis_usable(i->redis, reply))
		return;
	if (reply->type == REDIS_REPLY_INTEGER) {
		checked(i);
		return;
	}
	name = reply->elements == 2 ? redis_span(reply->element[0]) : SPAN_NULL;
	theirs = reply->elements == 2 ? redis_span(reply->element[1]) : SPAN_NULL;
	refuse_start(i, EXIT_CONFIG,
	       "redis.prefix '%s' serves %.*s '%.*s', this worker has '%s': one prefix is for one "
	       "group on one cluster, give another redis.prefix",
	       redis_prefix(i->redis), SPAN_FMT(name), SPAN_FMT(theirs),
	       span_is(name, "clusterId") ? i->cluster_id
	       : span_is(name, "group")   ? config_str(i->config, "kafka.group.id")
					  : config_str(i->config, "topic.prefix"));
}

static void
ask_meta(struct instance *i)
{
	const char *topics = config_str(i->config, "topic.prefix");
	struct buf text[3] = { BUF_INIT, BUF_INIT, BUF_INIT }, key = BUF_INIT;
	struct span argv[4];

	i->state = INSTANCE_META;
	buf_addf(&key, "%smeta", redis_prefix(i->redis));
	if (i->cluster_id)
		buf_addf(&text[0], "=%s", i->cluster_id);
	buf_addf(&text[1], "=%s", config_str(i->config, "kafka.group.id"));
	buf_addf(&text[2], "=%s", topics ? topics : "");
	argv[0] = buf_span(&key);
	for (int k = 0; k < 3; k++)
		argv[1 + k] = buf_span(&text[k]);
	if (!key.failed && !text[0].failed && !text[1].failed && !text[2].failed)
		(void)redis_eval(i->redis, i->script_meta, on_prefix_meta, i, 1, 4, argv);
	if (!i->warned)
		(void)redis_sendf(i->redis, on_redis_info, i, "INFO");
	for (int k = 0; k < 3; k++)
		buf_release(&text[k]);
	buf_release(&key);
}

/* --- the predecessor --- */

static void
on_record_taken(void *arg, const redisReply *reply)
{
	struct instance *i = arg;

	if (i->state != INSTANCE_TAKE || !redis_usable(i->redis, reply))
		return;
	if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1) {
		i->state = INSTANCE_READY;
		i->ev.on_ready(i->ev.arg);
		return;
	}
	/* Another worker was faster, or the predecessor is alive. */
	i->state = INSTANCE_LOOK;
	look(i);
}

static void
judge_predecessor(struct instance *i, const struct instance_found *f)
{
	bool first = !i->predecessor.seen;
	bool dead = !f->incarnation.ptr || span_is(f->incarnation, i->record.incarnation) ||
		    process_gone(&i->record.self, &f->process);

	if (!dead) {
		heartbeat_see(&i->predecessor, i->asked_ms, clock_mono_ms(), f->incarnation,
			      f->count);
		dead = !heartbeat_moved(&i->predecessor) &&
		       heartbeat_still_ms(&i->predecessor) >= INSTANCE_WATCH_MS;
	}
	if (dead) {
		i->state = INSTANCE_TAKE;
		(void)instance_record_take(&i->record, f->incarnation, f->count, on_record_taken,
					   i);
	} else if (heartbeat_moved(&i->predecessor)) {
		refuse_start(i, EXIT_UNAVAILABLE,
		       "instance '%s' is alive (host %.*s, pid %.*s): give each worker its own "
		       "instance.id",
		       i->record.id, SPAN_FMT(f->host), SPAN_FMT(f->pid));
	} else if (first) {
		log_info("the record of instance '%s' belongs to another process (host %.*s, pid "
			 "%.*s); watching for %d s whether it is alive",
			 i->record.id, SPAN_FMT(f->host), SPAN_FMT(f->pid),
			 INSTANCE_WATCH_MS / 1000);
	}
}

static void
on_predecessor_read(void *arg, const redisReply *reply)
{
	struct instance *i = arg;
	struct instance_found found;

	i->looking = false;
	if (i->state != INSTANCE_LOOK || !redis_usable(i->redis, reply))
		return;
	instance_record_parse(reply, &found);
	judge_predecessor(i, &found);
}

static void
look(struct instance *i)
{
	if (i->looking)
		return;
	i->asked_ms = clock_mono_ms();
	i->looking = instance_record_read(i->redis, i->record.id, on_predecessor_read, i) == 0;
}

/* --- what moves it on --- */

void
instance_check(struct instance *i, const char *cluster_id)
{
	assert(i->state == INSTANCE_IDLE);
	if (cluster_id) {
		i->cluster_id = strdup(cluster_id);
		if (!i->cluster_id) {
			refuse_start(i, EXIT_AGAIN, "out of memory");
			return;
		}
	}
	ask_meta(i);
}

void
instance_begin(struct instance *i)
{
	assert(!i->begun);
	i->begun = true;
	if (i->state == INSTANCE_CHECKED)
		checked(i);
}

/* Looks every second, and asks again what a missing script or want of memory
 * left undone. */
static void
start_tick(struct instance *i)
{
	if (i->state == INSTANCE_META) {
		ask_meta(i);
	} else if (i->state > INSTANCE_CHECKED && i->state < INSTANCE_READY) {
		i->state = INSTANCE_LOOK;
		look(i);
	}
}

/* --- the heartbeat --- */

static struct span
element(const redisReply *reply, size_t k)
{
	if (reply->type != REDIS_REPLY_ARRAY || k >= reply->elements)
		return SPAN_NULL;
	return redis_span(reply->element[k]);
}

/* True when the record is ours. */
static bool
still_ours(struct instance *i, const redisReply *reply)
{
	if (!redis_usable(i->redis, reply))
		return false;
	if (reply->type == REDIS_REPLY_INTEGER)
		return true;
	refuse_start(i, EXIT_UNAVAILABLE,
	       "another worker has taken over the name '%s' (host %.*s, pid %.*s): give each "
	       "worker its own instance.id",
	       i->record.id, SPAN_FMT(element(reply, 1)), SPAN_FMT(element(reply, 2)));
	return false;
}

static void
on_heartbeat_written(void *arg, const redisReply *reply)
{
	(void)still_ours(arg, reply);
}

struct verification {
	struct instance *i;
	void (*fn)(void *arg, bool ours);
	void *arg;
};

static void
on_verified(void *arg, const redisReply *reply)
{
	struct verification *v = arg;

	v->fn(v->arg, still_ours(v->i, reply));
	free(v);
}

void
instance_verify(struct instance *i, void (*fn)(void *arg, bool ours), void *arg)
{
	struct verification *v = i->state == INSTANCE_READY ? malloc(sizeof(*v)) : NULL;

	if (v) {
		*v = (struct verification){ i, fn, arg };
		if (instance_record_beat(&i->record, on_verified, v) == 0)
			return;
	}
	free(v);
	fn(arg, false);
}

/* --- Redis comes and goes, seconds pass --- */

static void
on_instance_up(void *arg)
{
	struct instance *i = arg;

	if (i->state == INSTANCE_READY)
		(void)instance_record_beat(&i->record, on_heartbeat_written, i);
	if (i->state == INSTANCE_IDLE || i->state >= INSTANCE_READY)
		return;
	i->predecessor = (struct heartbeat)HEARTBEAT_INIT;
	ask_meta(i);
}

static void
on_instance_tick(void *arg)
{
	struct instance *i = arg;

	if (i->state == INSTANCE_READY) {
		(void)instance_record_beat(&i->record, on_heartbeat_written, i);
		positions_write(&i->positions);
	} else {
		start_tick(i);
	}
	peers_tick(&i->peers);
}

/* --- made and asked --- */

struct instance *
instance_new(struct redis *redis, const struct config *config, const struct instance_events *ev,
	     struct err *reterr)
{
	struct redis_listener l = {
		.on_up = on_instance_up, .on_tick = on_instance_tick, .rank = REDIS_RANK_INSTANCE,
	};
	struct instance *i = calloc(1, sizeof(*i));

	if (!i) {
		err_nomem(reterr);
		return NULL;
	}
	i->redis = redis;
	i->config = config;
	i->ev = *ev;
	if (instance_record_init(&i->record, redis, config, reterr) < 0) {
		instance_free(i);
		return NULL;
	}
	i->script_meta = redis_script(redis, meta_text);
	positions_init(&i->positions, redis);
	i->peers = (struct peers){ .redis = redis, .self = &i->record.self };
	l.arg = i;
	redis_listen(redis, &l);
	return i;
}

void
instance_free(struct instance *i)
{
	if (!i)
		return;
	peers_release(&i->peers);
	positions_release(&i->positions);
	instance_record_release(&i->record);
	free(i->cluster_id);
	free(i);
}

const char *
instance_id(const struct instance *i)
{
	return i->record.id;
}

const char *
instance_incarnation(const struct instance *i)
{
	return i->record.incarnation;
}

void
instance_token(struct instance *i, char ret[64])
{
	snprintf(ret, 64, "%s.%" PRIu64, i->record.incarnation, ++i->serial);
}

bool
instance_ready(const struct instance *i)
{
	return i->state == INSTANCE_READY;
}

static void
on_record_ended(void *arg, const redisReply *reply)
{
	struct instance *i = arg;

	(void)reply;
	i->on_ended(i->ended_arg);
}

void
instance_end(struct instance *i, void (*done)(void *arg), void *arg)
{
	bool ours = i->state == INSTANCE_READY;

	if (ours)
		positions_write(&i->positions);
	i->state = INSTANCE_ENDED;
	i->on_ended = done;
	i->ended_arg = arg;
	if (!ours || instance_record_end(&i->record, on_record_ended, i) < 0)
		done(arg);
}

void
instance_show(struct instance *i, const int32_t *partitions, size_t n, size_t in_flight)
{
	instance_record_show(&i->record, partitions, n, in_flight);
}

enum instance_verdict
instance_judge(struct instance *i, struct span instance_id, struct span incarnation,
	       int64_t since_ms)
{
	if (span_is(incarnation, i->record.incarnation))
		return INSTANCE_ALIVE;
	/* Our name: once the record is ours it shows another incarnation. */
	if (span_is(instance_id, i->record.id))
		return i->state == INSTANCE_READY ? INSTANCE_DEAD : INSTANCE_UNKNOWN;
	return peers_judge(&i->peers, instance_id, incarnation, since_ms);
}

void
instance_position(struct instance *i, const char *topic, int32_t partition, int64_t end)
{
	positions_raise(&i->positions, topic, partition, end);
}

void
instance_positions(struct instance *i, const char *topic, const int32_t *partitions, size_t n,
		   void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n), void *arg)
{
	positions_read(&i->positions, topic, partitions, n, fn, arg);
}
