/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "instance_impl.h"

/* ARGV: clusterId, group, topicPrefix, each after a '='; "" is not known.
 * Answers 1, or the field that differs and what it holds. */
const char instance_meta_text[] =
	"local names = {'clusterId', 'group', 'topicPrefix'}\n"
	"for i, name in ipairs(names) do\n"
	"  local v = redis.call('HGET', KEYS[1], name)\n"
	"  if v and ARGV[i] ~= '' and '=' .. v ~= ARGV[i] then return {name, v} end\n"
	"end\n"
	"for i, name in ipairs(names) do\n"
	"  if ARGV[i] ~= '' then redis.call('HSETNX', KEYS[1], name, string.sub(ARGV[i], 2)) end\n"
	"end\n"
	"return 1\n";

/* Ours now, when nobody has it, or who was found dead has it still, or we do
 * (our own lost reply). ARGV: incarnation, expiry, the dead one's incarnation
 * and beat, then fields and values. */
const char instance_take_text[] =
	"local now = redis.call('HGET', KEYS[1], 'incarnation')\n"
	"local beat = redis.call('HGET', KEYS[1], 'beat') or ''\n"
	"if now and now ~= ARGV[1] and not (now == ARGV[3] and beat == ARGV[4]) then return 0 end\n"
	"redis.call('DEL', KEYS[1])\n"
	"redis.call('HSET', KEYS[1], 'beat', 1, unpack(ARGV, 5))\n"
	"redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
	"return 1\n";

static void look(struct instance *i);

/* --- what Redis is worth, said once --- */

static bool
info_has(struct span info, const char *text)
{
	return info.ptr && memmem(info.ptr, info.len, text, strlen(text)) != NULL;
}

static void
on_info(void *arg, const redisReply *reply)
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
on_meta(void *arg, const redisReply *reply)
{
	struct instance *i = arg;
	struct span name, theirs;

	if (i->state != INSTANCE_META || !instance_usable(i, reply))
		return;
	if (reply->type == REDIS_REPLY_INTEGER) {
		checked(i);
		return;
	}
	name = reply->elements == 2 ? redis_span(reply->element[0]) : SPAN_NULL;
	theirs = reply->elements == 2 ? redis_span(reply->element[1]) : SPAN_NULL;
	instance_refuse(i, EXIT_CONFIG,
			"redis.prefix '%s' serves %.*s '%.*s', this worker has '%s': one prefix "
			"is for one group on one cluster, give another redis.prefix",
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
	size_t k;

	i->state = INSTANCE_META;
	buf_addf(&key, "%smeta", redis_prefix(i->redis));
	if (i->cluster_id)
		buf_addf(&text[0], "=%s", i->cluster_id);
	buf_addf(&text[1], "=%s", config_str(i->config, "kafka.group.id"));
	buf_addf(&text[2], "=%s", topics ? topics : "");
	argv[0] = buf_span(&key);
	for (k = 0; k < 3; k++)
		argv[1 + k] = buf_span(&text[k]);
	if (!key.failed && !text[0].failed && !text[1].failed && !text[2].failed)
		(void)redis_eval(i->redis, i->script_meta, on_meta, i, 1, 4, argv);
	if (!i->warned)
		(void)redis_sendf(i->redis, on_info, i, "INFO");
	for (k = 0; k < 3; k++)
		buf_release(&text[k]);
	buf_release(&key);
}

/* --- the predecessor --- */

static void
on_taken(void *arg, const redisReply *reply)
{
	struct instance *i = arg;

	if (i->state != INSTANCE_TAKE || !instance_usable(i, reply))
		return;
	if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1) {
		i->state = INSTANCE_READY;
		i->ev.on_ready(i->ev.arg);
		return;
	}
	/* Somebody was faster, or the dead one lives. */
	i->state = INSTANCE_LOOK;
	look(i);
}

/* `dead` and `beat`: of the record as it was found; empty when there is none. */
static void
take(struct instance *i, struct span dead, struct span beat)
{
	struct span argv[5 + 2 * INSTANCE_PAIRS];
	struct buf text = BUF_INIT;
	char expire[16];
	size_t n;

	i->state = INSTANCE_TAKE;
	snprintf(expire, sizeof(expire), "%d", INSTANCE_EXPIRE_MS);
	argv[0] = buf_span(&i->key);
	argv[1] = span_of(i->incarnation);
	argv[2] = span_of(expire);
	argv[3] = dead.ptr ? dead : SPAN_LIT("");
	argv[4] = beat.ptr ? beat : SPAN_LIT("");
	n = instance_pairs(i, &text, argv + 5);
	if (n)
		(void)redis_eval(i->redis, i->script_take, on_taken, i, 1, 5 + n, argv);
	buf_release(&text);
}

enum { INCARNATION, BEAT, HOST, BOOT_ID, PID_NAMESPACE, PID, PID_START, LOOK_FIELDS };

static void
judge_predecessor(struct instance *i, const struct span f[LOOK_FIELDS])
{
	struct process other = { 0 };
	bool first = !i->predecessor.seen;

	snprintf(other.boot_id, sizeof(other.boot_id), "%.*s", SPAN_FMT(f[BOOT_ID]));
	snprintf(other.pid_namespace, sizeof(other.pid_namespace), "%.*s",
		 SPAN_FMT(f[PID_NAMESPACE]));
	other.pid = f[PID].ptr ? atoi(f[PID].ptr) : 0;
	other.start = f[PID_START].ptr ? strtoull(f[PID_START].ptr, NULL, 10) : 0;
	if (!f[INCARNATION].ptr || span_is(f[INCARNATION], i->incarnation) ||
	    process_gone(&i->self, &other)) {
		take(i, f[INCARNATION], f[BEAT]);
		return;
	}
	heartbeat_see(&i->predecessor, i->asked_ms, clock_mono_ms(), f[INCARNATION], f[BEAT]);
	if (heartbeat_moved(&i->predecessor))
		instance_refuse(i, EXIT_UNAVAILABLE,
				"instance '%s' is alive (host %.*s, pid %.*s): give each worker "
				"its own instance.id",
				i->id, SPAN_FMT(f[HOST]), SPAN_FMT(f[PID]));
	else if (heartbeat_still_ms(&i->predecessor) >= INSTANCE_WATCH_MS)
		take(i, f[INCARNATION], f[BEAT]);
	else if (first)
		log_info("the record of instance '%s' is another process's (host %.*s, pid "
			 "%.*s); watching for %d s whether it lives",
			 i->id, SPAN_FMT(f[HOST]), SPAN_FMT(f[PID]), INSTANCE_WATCH_MS / 1000);
}

static void
on_looked(void *arg, const redisReply *reply)
{
	struct instance *i = arg;
	struct span f[LOOK_FIELDS] = { { 0 } };
	size_t k;

	i->looking = false;
	if (i->state != INSTANCE_LOOK || !instance_usable(i, reply))
		return;
	for (k = 0; reply->type == REDIS_REPLY_ARRAY && k < LOOK_FIELDS && k < reply->elements; k++)
		f[k] = redis_span(reply->element[k]);
	judge_predecessor(i, f);
}

static void
look(struct instance *i)
{
	const struct span argv[] = {
		SPAN_LIT("HMGET"), buf_span(&i->key),
		SPAN_LIT("incarnation"), SPAN_LIT("beat"), SPAN_LIT("host"), SPAN_LIT("bootId"),
		SPAN_LIT("pidNamespace"), SPAN_LIT("pid"), SPAN_LIT("pidStart"),
	};

	if (i->looking)
		return;
	i->asked_ms = clock_mono_ms();
	i->looking = redis_send(i->redis, on_looked, i, 2 + LOOK_FIELDS, argv) == 0;
}

/* --- what moves it on --- */

void
instance_check(struct instance *i, const char *cluster_id)
{
	assert(i->state == INSTANCE_IDLE);
	if (cluster_id) {
		i->cluster_id = strdup(cluster_id);
		if (!i->cluster_id) {
			instance_refuse(i, EXIT_AGAIN, "out of memory");
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

void
instance_start_up(struct instance *i)
{
	if (i->state == INSTANCE_IDLE || i->state >= INSTANCE_READY)
		return;
	i->predecessor = (struct heartbeat)HEARTBEAT_INIT;
	ask_meta(i);
}

/* Looks every second, and asks again what a missing script or want of memory
 * left undone. */
void
instance_start_tick(struct instance *i)
{
	if (i->state == INSTANCE_META) {
		ask_meta(i);
	} else if (i->state > INSTANCE_CHECKED && i->state < INSTANCE_READY) {
		i->state = INSTANCE_LOOK;
		look(i);
	}
}
