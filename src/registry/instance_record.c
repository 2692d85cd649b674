/* SPDX-License-Identifier: Apache-2.0 */
#include "instance_record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"

enum {
	FIELDS_ROOM = 1024,	/* of all values but group and partitions */
	PAIRS = 12,		/* fields of the record but the heartbeat */
};

#define EXPIRE_MS "60000"	/* of the record; for display */

/* Makes the record ours when there is none, when it is still that of the dead
 * incarnation, or when it is ours already (the reply was lost). ARGV:
 * incarnation, expiry, the dead incarnation and its heartbeat, then fields and
 * values. */
static const char take_text[] =
	"local now = redis.call('HGET', KEYS[1], 'incarnation')\n"
	"local beat = redis.call('HGET', KEYS[1], 'beat') or ''\n"
	"if now and now ~= ARGV[1] and not (now == ARGV[3] and beat == ARGV[4]) then return 0 end\n"
	"redis.call('DEL', KEYS[1])\n"
	"redis.call('HSET', KEYS[1], 'beat', 1, unpack(ARGV, 5))\n"
	"redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
	"return 1\n";

/*
 * +1, only while the record names us, or when there is none: it has expired
 * when we could not write for a minute and no other worker took the name. ARGV:
 * incarnation, expiry, then fields and values. Otherwise it replies with whose
 * record it is.
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

int
instance_record_init(struct instance_record *r, struct redis *redis, const struct config *config,
		     struct err *reterr)
{
	const char *id = config_str(config, "instance.id");
	uuid_t uuid;

	r->redis = redis;
	r->group = config_str(config, "kafka.group.id");
	if (gethostname(r->host, sizeof(r->host) - 1) < 0 || !r->host[0])
		snprintf(r->host, sizeof(r->host), "localhost");
	snprintf(r->id, sizeof(r->id), "%s", id ? id : r->host);
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, r->incarnation);
	clock_text(clock_wall_ms(), r->started_at);
	process_self(&r->self);
	buf_addf(&r->key, "%sinstance:%s", redis_prefix(redis), r->id);
	if (r->key.failed)
		return err_nomem(reterr);
	r->script_take = redis_script(redis, take_text);
	r->script_beat = redis_script(redis, beat_text);
	r->script_end = redis_script(redis, end_text);
	return 0;
}

void
instance_record_release(struct instance_record *r)
{
	buf_release(&r->partitions);
	buf_release(&r->key);
}

void
instance_record_show(struct instance_record *r, const int32_t *partitions, size_t n,
		     size_t in_flight)
{
	buf_reset(&r->partitions);
	buf_addch(&r->partitions, '[');
	for (size_t k = 0; k < n; k++)
		buf_addf(&r->partitions, "%s%" PRId32, k ? "," : "", partitions[k]);
	buf_addch(&r->partitions, ']');
	if (r->partitions.failed)
		buf_reset(&r->partitions);	/* for display only */
	r->in_flight = in_flight;
}

/* --- writing --- */

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

/* Field, value, ... into `argv`, which point into `text`; 0 when out of
 * memory. */
static size_t
add_fields(struct instance_record *r, struct buf *text, struct span *argv)
{
	char pid[16], start[24], in_flight[24];
	size_t n = 0;

	if (!buf_reserve(text, FIELDS_ROOM + strlen(r->group) + r->partitions.len))
		return 0;
	snprintf(pid, sizeof(pid), "%d", r->self.pid);
	snprintf(start, sizeof(start), "%" PRIu64, r->self.start);
	snprintf(in_flight, sizeof(in_flight), "%zu", r->in_flight);
	add_pair(text, argv, &n, "incarnation", r->incarnation);
	add_pair(text, argv, &n, "bootId", r->self.boot_id);
	add_pair(text, argv, &n, "pidNamespace", r->self.pid_namespace);
	add_pair(text, argv, &n, "pid", pid);
	add_pair(text, argv, &n, "pidStart", start);
	add_pair(text, argv, &n, "host", r->host);
	add_pair(text, argv, &n, "version", ENVDRIVER_VERSION);
	add_pair(text, argv, &n, "group", r->group);
	add_pair(text, argv, &n, "startedAt", r->started_at);
	add_pair(text, argv, &n, "partitions", r->partitions.len ? r->partitions.data : "[]");
	add_pair(text, argv, &n, "inFlight", in_flight);
	assert(n <= 2 * PAIRS);
	return n;
}

/* Key, incarnation, expiry, `more`, then fields and values. */
static int
write_ours(struct instance_record *r, int script, const struct span *more, size_t n_more,
	     redis_reply_fn *fn, void *arg)
{
	struct span argv[3 + 2 + 2 * PAIRS] = { buf_span(&r->key), span_of(r->incarnation),
						SPAN_LIT(EXPIRE_MS) };
	struct buf text = BUF_INIT;
	size_t n = 3, pairs;
	int code = ERR_NOMEM;

	while (n < 3 + n_more)
		argv[n++] = *more++;
	pairs = add_fields(r, &text, argv + n);
	if (pairs)
		code = redis_eval(r->redis, script, fn, arg, 1, n + pairs, argv);
	buf_release(&text);
	return code;
}

int
instance_record_beat(struct instance_record *r, redis_reply_fn *fn, void *arg)
{
	return write_ours(r, r->script_beat, NULL, 0, fn, arg);
}

int
instance_record_take(struct instance_record *r, struct span dead, struct span count,
		     redis_reply_fn *fn, void *arg)
{
	const struct span more[] = { dead.ptr ? dead : SPAN_LIT(""),
				     count.ptr ? count : SPAN_LIT("") };

	return write_ours(r, r->script_take, more, 2, fn, arg);
}

int
instance_record_end(struct instance_record *r, redis_reply_fn *fn, void *arg)
{
	const struct span argv[] = { buf_span(&r->key), span_of(r->incarnation) };

	return redis_eval(r->redis, r->script_end, fn, arg, 1, 2, argv);
}

/* --- reading --- */

enum { INCARNATION, COUNT, HOST, BOOT_ID, PID_NAMESPACE, PID, PID_START, FIELDS };

int
instance_record_read(struct redis *redis, const char *id, redis_reply_fn *fn, void *arg)
{
	struct buf key = BUF_INIT;
	struct span argv[2 + FIELDS] = {
		SPAN_LIT("HMGET"),
		[2 + INCARNATION] = SPAN_LIT("incarnation"),
		[2 + COUNT] = SPAN_LIT("beat"),
		[2 + HOST] = SPAN_LIT("host"),
		[2 + BOOT_ID] = SPAN_LIT("bootId"),
		[2 + PID_NAMESPACE] = SPAN_LIT("pidNamespace"),
		[2 + PID] = SPAN_LIT("pid"),
		[2 + PID_START] = SPAN_LIT("pidStart"),
	};
	int code;

	buf_addf(&key, "%sinstance:%s", redis_prefix(redis), id);
	argv[1] = buf_span(&key);
	code = key.failed ? ERR_NOMEM : redis_send(redis, fn, arg, 2 + FIELDS, argv);
	buf_release(&key);
	return code;
}

void
instance_record_parse(const redisReply *reply, struct instance_found *ret)
{
	struct span f[FIELDS] = { { 0 } };
	struct process *p = &ret->process;

	for (size_t k = 0; reply->type == REDIS_REPLY_ARRAY && k < FIELDS && k < reply->elements;
	     k++)
		f[k] = redis_span(reply->element[k]);
	*ret = (struct instance_found){ f[INCARNATION], f[COUNT], f[HOST], f[PID], { .pid = 0 } };
	snprintf(p->boot_id, sizeof(p->boot_id), "%.*s", SPAN_FMT(f[BOOT_ID]));
	snprintf(p->pid_namespace, sizeof(p->pid_namespace), "%.*s", SPAN_FMT(f[PID_NAMESPACE]));
	p->pid = f[PID].ptr ? (int)strtol(f[PID].ptr, NULL, 10) : 0;
	p->start = f[PID_START].ptr ? strtoull(f[PID_START].ptr, NULL, 10) : 0;
}
