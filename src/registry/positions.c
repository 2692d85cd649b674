/* SPDX-License-Identifier: Apache-2.0 */
#include "positions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/base/hash.h"
#include "envdriver/base/log.h"
#include "envdriver/redis/redis.h"

enum { PAIRS_MAX = (REDIS_EVAL_MAX - 1) / 2, FIELD_MAX = 300 };

/* Raises only. ARGV: field, end, field, end, ... */
static const char raise_text[] =
	"for i = 1, #ARGV, 2 do\n"
	"  local now = redis.call('HGET', KEYS[1], ARGV[i])\n"
	"  now = now and tonumber(now)\n"
	"  if not now or now < tonumber(ARGV[i + 1]) then\n"
	"    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])\n"
	"  end\n"
	"end\n"
	"return 1\n";

struct position {
	UT_hash_handle hh;
	int64_t end;
	bool dirty, sent;
	char field[FIELD_MAX];
};

static void
name_field(char field[FIELD_MAX], const char *topic, int32_t partition)
{
	/* A topic's name has 249 characters at most. */
	snprintf(field, FIELD_MAX, "%.250s:%" PRId32, topic, partition);
}

void
positions_init(struct positions *all, struct redis *redis)
{
	all->redis = redis;
	all->script = redis_script(redis, raise_text);
}

void
positions_raise(struct positions *all, const char *topic, int32_t partition, int64_t end)
{
	struct position *p = NULL;
	char field[FIELD_MAX];

	name_field(field, topic, partition);
	HASH_FIND_STR(all->by_field, field, p);
	if (!p) {
		/* It guards against rewinds; without memory for it we go on. */
		p = calloc(1, sizeof(*p));
		if (!p)
			return;
		memcpy(p->field, field, sizeof(field));
		p->end = -1;
		HASH_ADD_STR(all->by_field, field, p);
		if (!p->hh.tbl) {
			free(p);
			return;
		}
	}
	if (end <= p->end)
		return;
	p->end = end;
	p->dirty = true;
}

static void
settle_writes(struct positions *all)
{
	struct position *p, *next;

	HASH_ITER(hh, all->by_field, p, next) {
		p->dirty |= p->sent && all->failed;
		p->sent = false;
	}
	all->failed = false;
}

static void
on_positions_written(void *arg, const redisReply *reply)
{
	struct positions *all = arg;

	all->failed |= !redis_usable(all->redis, reply);
	if (--all->busy == 0)
		settle_writes(all);
}

/* As many as one call takes; how many that were. */
static size_t
write_some(struct positions *all)
{
	struct span argv[1 + 2 * PAIRS_MAX];
	char ends[PAIRS_MAX][24];
	struct position *p, *next;
	struct buf key = BUF_INIT;
	size_t n = 0;

	HASH_ITER(hh, all->by_field, p, next) {
		if (!p->dirty || n == PAIRS_MAX)
			continue;
		snprintf(ends[n], sizeof(ends[n]), "%" PRId64, p->end);
		argv[1 + 2 * n] = span_of(p->field);
		argv[2 + 2 * n] = span_of(ends[n]);
		p->sent = true;
		p->dirty = false;
		n++;
	}
	if (n == 0)
		return 0;
	buf_addf(&key, "%spositions", redis_prefix(all->redis));
	argv[0] = buf_span(&key);
	all->busy++;
	if (key.failed || redis_eval(all->redis, all->script, on_positions_written, all, 1,
				     1 + 2 * n, argv) < 0)
		on_positions_written(all, NULL);
	buf_release(&key);
	return n;
}

void
positions_write(struct positions *all)
{
	if (all->busy)
		return;
	all->busy++;	/* none is over before all are sent */
	while (write_some(all) == PAIRS_MAX)
		continue;
	if (--all->busy == 0)
		settle_writes(all);
}

/* --- reading --- */

struct reading {
	struct positions *all;
	void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n);
	void *arg;
	size_t n;
	int64_t ends[];
};

static int64_t
position_of(const redisReply *reply)
{
	struct span text = redis_span(reply);
	char *end;
	long long v;

	if (!text.ptr)
		return -1;
	v = strtoll(text.ptr, &end, 10);
	if (end != text.ptr + text.len || text.len == 0 || v < 0) {
		log_warn("a position in Redis is not a number ('%.*s'); ignoring it",
			 text.len < 40 ? (int)text.len : 40, text.ptr);
		return -1;
	}
	return v;
}

static void
on_positions_read(void *arg, const redisReply *reply)
{
	struct reading *r = arg;
	bool ok = redis_usable(r->all->redis, reply) && reply->type == REDIS_REPLY_ARRAY &&
		  reply->elements == r->n;
	size_t k;

	for (k = 0; k < r->n; k++)
		r->ends[k] = ok ? position_of(reply->element[k]) : -1;
	r->fn(r->arg, ok, r->ends, r->n);
	free(r);
}

static int
send_read(struct positions *all, struct reading *r, const char *topic,
	  const int32_t *partitions)
{
	struct span *argv = calloc(2 + r->n, sizeof(*argv));
	char (*fields)[FIELD_MAX] = calloc(1 + r->n, FIELD_MAX);
	struct buf key = BUF_INIT;
	size_t k;
	int code = ERR_NOMEM;

	buf_addf(&key, "%spositions", redis_prefix(all->redis));
	if (argv && fields && !key.failed) {
		argv[0] = SPAN_LIT("HMGET");
		argv[1] = buf_span(&key);
		for (k = 0; k < r->n; k++) {
			name_field(fields[k], topic, partitions[k]);
			argv[2 + k] = span_of(fields[k]);
		}
		code = redis_send(all->redis, on_positions_read, r, 2 + r->n, argv);
	}
	free(argv);
	free(fields);
	buf_release(&key);
	return code;
}

void
positions_read(struct positions *all, const char *topic, const int32_t *partitions, size_t n,
		   void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n), void *arg)
{
	struct reading *r = malloc(sizeof(*r) + n * sizeof(r->ends[0]));

	if (r && n) {
		*r = (struct reading){ all, fn, arg, n };
		if (send_read(all, r, topic, partitions) == 0)
			return;
	}
	free(r);
	fn(arg, n == 0, NULL, n);
}

void
positions_release(struct positions *all)
{
	struct position *p, *next;

	HASH_ITER(hh, all->by_field, p, next) {
		HASH_DEL(all->by_field, p);
		free(p);
	}
}
