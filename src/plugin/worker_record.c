/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_record.h"

#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/redis/redis.h"

enum { ARGS_MAX = 2 + 2 * 13, NUMBER_LEN = 24 };

/* HSET, being put together. */
struct fields {
	struct span argv[ARGS_MAX];
	size_t n;
	char times[4][CLOCK_TEXT_MAX];
	size_t n_times;
	char numbers[3][NUMBER_LEN];
	size_t n_numbers;
};

static void
add_text_field(struct fields *f, const char *name, struct span value)
{
	if (!value.ptr)
		return;
	f->argv[f->n++] = span_of(name);
	f->argv[f->n++] = value;
}

static void
add_time_field(struct fields *f, const char *name, int64_t wall_ms)
{
	if (wall_ms)
		add_text_field(f, name, span_of(clock_text(wall_ms, f->times[f->n_times++])));
}

static void
add_int_field(struct fields *f, const char *name, int value)
{
	char *text = f->numbers[f->n_numbers++];

	snprintf(text, NUMBER_LEN, "%d", value);
	add_text_field(f, name, span_of(text));
}

static void
make_key(struct buf *key, struct redis *redis, const char *plugin_id, const char *instance_id)
{
	buf_addf(key, "%sworker:%s:%s", redis_prefix(redis), plugin_id, instance_id);
}

/* In one transaction, so that no reader sees a record without the fields it
 * had: those without a value must not stay behind. */
void
worker_record_write(struct redis *redis, const struct worker_record *r)
{
	struct fields f = { .n = 0 };
	struct buf key = BUF_INIT;

	if (!redis_up(redis))
		return;
	make_key(&key, redis, r->plugin_id, r->instance_id);
	if (key.failed)
		return;
	f.argv[f.n++] = SPAN_LIT("HSET");
	f.argv[f.n++] = buf_span(&key);
	add_text_field(&f, "status", span_of(r->status));
	add_text_field(&f, "incarnation", span_of(r->incarnation));
	if (r->pid)
		add_int_field(&f, "pid", r->pid);
	add_time_field(&f, "startedAt", r->started_at);
	add_time_field(&f, "heartbeatAt", clock_wall_ms());
	add_int_field(&f, "consecutiveCrashes", r->consecutive_crashes);
	add_int_field(&f, "totalCrashes", r->total_crashes);
	add_time_field(&f, "lastCrashAt", r->last_crash_at);
	add_time_field(&f, "nextRestartAt", r->next_restart_at);
	add_text_field(&f, "supportedMethods", r->methods);
	add_text_field(&f, "isolation", r->isolation ? span_of(r->isolation) : SPAN_NULL);
	add_text_field(&f, "reason", r->reason[0] ? span_of(r->reason) : SPAN_NULL);
	add_text_field(&f, "gaveUp", r->gave_up ? SPAN_LIT("true") : SPAN_NULL);
	if (redis_sendf(redis, NULL, NULL, "MULTI") == 0 &&
	    redis_sendf(redis, NULL, NULL, "DEL %b", key.data, key.len) == 0 &&
	    redis_send(redis, NULL, NULL, f.n, f.argv) == 0 &&
	    redis_sendf(redis, NULL, NULL, "PEXPIRE %b %d", key.data, key.len,
			WORKER_RECORD_EXPIRY_MS) == 0)
		redis_sendf(redis, NULL, NULL, "EXEC");
	buf_release(&key);
}

void
worker_record_remove(struct redis *redis, const char *plugin_id, const char *instance_id)
{
	struct buf key = BUF_INIT;

	make_key(&key, redis, plugin_id, instance_id);
	if (!key.failed)
		redis_sendf(redis, NULL, NULL, "DEL %b", key.data, key.len);
	buf_release(&key);
}
