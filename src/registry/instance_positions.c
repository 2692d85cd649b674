/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/log.h"
#include "instance_impl.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) buf_realloc(NULL, size)
#define uthash_free(ptr, size) free(ptr)
#include <uthash.h>

enum { PAIRS_MAX = (REDIS_EVAL_MAX - 1) / 2, FIELD_MAX = 300 };

/* Raises only. ARGV: field, end, field, end, ... */
const char instance_positions_text[] =
	"for i = 1, #ARGV, 2 do\n"
	"  local now = redis.call('HGET', KEYS[1], ARGV[i])\n"
	"  now = now and tonumber(now)\n"
	"  if not now or now < tonumber(ARGV[i + 1]) then\n"
	"    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])\n"
	"  end\n"
	"end\n"
	"return 1\n";

struct instance_position {
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
instance_position(struct instance *i, const char *topic, int32_t partition, int64_t end)
{
	struct instance_position *p = NULL;
	char field[FIELD_MAX];

	name_field(field, topic, partition);
	HASH_FIND_STR(i->positions, field, p);
	if (!p) {
		/* It guards against rewinds; without memory for it we go on. */
		p = buf_realloc(NULL, sizeof(*p));
		if (!p)
			return;
		memset(p, 0, sizeof(*p));
		memcpy(p->field, field, sizeof(field));
		p->end = -1;
		HASH_ADD_STR(i->positions, field, p);
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
settle(struct instance *i)
{
	struct instance_position *p, *next;

	HASH_ITER(hh, i->positions, p, next) {
		p->dirty |= p->sent && i->positions_failed;
		p->sent = false;
	}
	i->positions_failed = false;
}

static void
on_written(void *arg, const redisReply *reply)
{
	struct instance *i = arg;

	i->positions_failed |= !instance_usable(i, reply);
	if (--i->positions_busy == 0)
		settle(i);
}

/* As many as one call takes; how many that were. */
static size_t
write_some(struct instance *i)
{
	struct span argv[1 + 2 * PAIRS_MAX];
	char ends[PAIRS_MAX][24];
	struct instance_position *p, *next;
	struct buf key = BUF_INIT;
	size_t n = 0;

	HASH_ITER(hh, i->positions, p, next) {
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
	buf_addf(&key, "%spositions", redis_prefix(i->redis));
	argv[0] = buf_span(&key);
	i->positions_busy++;
	if (key.failed || redis_eval(i->redis, i->script_positions, on_written, i, 1, 1 + 2 * n,
				     argv) < 0)
		on_written(i, NULL);
	buf_release(&key);
	return n;
}

void
instance_positions_write(struct instance *i)
{
	if (i->positions_busy)
		return;
	i->positions_busy++;	/* none is over before all are sent */
	while (write_some(i) == PAIRS_MAX)
		continue;
	if (--i->positions_busy == 0)
		settle(i);
}

/* --- reading --- */

struct positions_read {
	struct instance *i;
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
		log_warn("a position in Redis is no number ('%.*s'), going on without it",
			 text.len < 40 ? (int)text.len : 40, text.ptr);
		return -1;
	}
	return v;
}

static void
on_positions(void *arg, const redisReply *reply)
{
	struct positions_read *r = arg;
	bool ok = instance_usable(r->i, reply) && reply->type == REDIS_REPLY_ARRAY &&
		  reply->elements == r->n;
	size_t k;

	for (k = 0; k < r->n; k++)
		r->ends[k] = ok ? position_of(reply->element[k]) : -1;
	r->fn(r->arg, ok, r->ends, r->n);
	free(r);
}

static int
send_read(struct instance *i, struct positions_read *r, const char *topic,
	  const int32_t *partitions)
{
	struct span *argv = buf_realloc(NULL, (2 + r->n) * sizeof(*argv));
	char (*fields)[FIELD_MAX] = buf_realloc(NULL, (1 + r->n) * FIELD_MAX);
	struct buf key = BUF_INIT;
	size_t k;
	int code = -1;

	buf_addf(&key, "%spositions", redis_prefix(i->redis));
	if (argv && fields && !key.failed) {
		argv[0] = SPAN_LIT("HMGET");
		argv[1] = buf_span(&key);
		for (k = 0; k < r->n; k++) {
			name_field(fields[k], topic, partitions[k]);
			argv[2 + k] = span_of(fields[k]);
		}
		code = redis_send(i->redis, on_positions, r, 2 + r->n, argv);
	}
	free(argv);
	free(fields);
	buf_release(&key);
	return code;
}

void
instance_positions(struct instance *i, const char *topic, const int32_t *partitions, size_t n,
		   void (*fn)(void *arg, bool ok, const int64_t *ends, size_t n), void *arg)
{
	struct positions_read *r = buf_realloc(NULL, sizeof(*r) + n * sizeof(r->ends[0]));

	if (r && n) {
		*r = (struct positions_read){ i, fn, arg, n };
		if (send_read(i, r, topic, partitions) == 0)
			return;
	}
	free(r);
	fn(arg, n == 0, NULL, n);
}

void
instance_positions_free(struct instance *i)
{
	struct instance_position *p, *next;

	HASH_ITER(hh, i->positions, p, next) {
		HASH_DEL(i->positions, p);
		free(p);
	}
}
