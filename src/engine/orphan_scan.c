/* SPDX-License-Identifier: Apache-2.0 */
#include "orphan_scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/base/log.h"

enum {
	SCAN_COUNT = 32,
	FIELD_MAX = 512,
	VALUE_MAX = 4 << 20,	/* of one record, */
	SCAN_MAX = 8 << 20,	/* and of all in one reply */
};

/*
 * KEYS[1] orphans; ARGV[1] how many, [2] a field's and [3] a value's length, [4]
 * bytes in all. Some of the list, which is in no order: fields and values, of
 * those whose length is looked at first; last, how many are longer.
 */
static const char scan_text[] =
	"local out, size, long = {}, 0, 0\n"
	"for _, f in ipairs(redis.call('HRANDFIELD', KEYS[1], ARGV[1])) do\n"
	"  local n = redis.call('HSTRLEN', KEYS[1], f)\n"
	"  if #f > tonumber(ARGV[2]) or n > tonumber(ARGV[3]) then\n"
	"    long = long + 1\n"
	"  elseif size + n <= tonumber(ARGV[4]) then\n"
	"    size = size + n\n"
	"    out[#out + 1] = f\n"
	"    out[#out + 1] = redis.call('HGET', KEYS[1], f)\n"
	"  end\n"
	"end\n"
	"out[#out + 1] = tostring(long)\n"
	"return out\n";

static void
say_long_ones(struct orphan_scan *s, struct span count)
{
	size_t n = count.ptr ? strtoul(count.ptr, NULL, 10) : 0;

	if (n > s->long_ones)
		log_error("%zu records of the hash 'orphans' in Redis are longer than %d bytes and "
			  "are not read: their leases are not destroyed", n, VALUE_MAX);
	s->long_ones = n;
}

static void
on_orphans_scanned(void *arg, const redisReply *reply)
{
	struct orphan_scan *s = arg;

	s->busy = false;
	if (!reply || redis_is_outage(s->redis, reply) || reply->type != REDIS_REPLY_ARRAY ||
	    !reply->elements)
		return;
	say_long_ones(s, redis_span(reply->element[reply->elements - 1]));
	/* Others each time: one may be locked for a minute. */
	for (size_t i = 0; i + 2 < reply->elements; i += 2)
		if (s->on_record(s->arg, reply->element[i], reply->element[i + 1]))
			break;
}

bool
orphan_scan_start(struct orphan_scan *s)
{
	char count[16], field[16], value[16], bytes[16];
	struct buf key = BUF_INIT;
	int ret = ERR_NOMEM;

	snprintf(count, sizeof(count), "%d", SCAN_COUNT);
	snprintf(field, sizeof(field), "%d", FIELD_MAX);
	snprintf(value, sizeof(value), "%d", VALUE_MAX);
	snprintf(bytes, sizeof(bytes), "%d", SCAN_MAX);
	buf_addf(&key, "%sorphans", redis_prefix(s->redis));
	if (!key.failed) {
		struct span argv[] = { buf_span(&key), span_of(count), span_of(field),
				       span_of(value), span_of(bytes) };

		ret = redis_eval(s->redis, s->script, on_orphans_scanned, s, 1, 5,
				 argv);
	}
	buf_release(&key);
	s->busy = ret == 0;
	return s->busy;
}

void
orphan_scan_init(struct orphan_scan *s, struct redis *redis)
{
	*s = (struct orphan_scan){ .redis = redis, .script = redis_script(redis, scan_text) };
}
