/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/redis/redis.h"

/*
 * KEYS[1] the hash, [2] its bytes, [3] its former name (may be the same), [4] plugins;
 * ARGV[1] get, set or delete, [2] field, [3] value, [4] keys and [5] bytes at most,
 * [6] the former name behind "state:", [7] plugin id. False: nothing is there;
 * {value}; {}: the set is refused.
 *
 * The former name does not tell plugin from company where one of them has a ':':
 * it counts only while no other plugin may have written it.
 */
static const char script_text[] =
	"local op, f, v = ARGV[1], ARGV[2], ARGV[3]\n"
	"local function former()\n"
	"  if KEYS[3] == KEYS[1] then return false end\n"
	"  for i = 1, #ARGV[6] do\n"
	"    local id = string.sub(ARGV[6], 1, i - 1)\n"
	"    if string.sub(ARGV[6], i, i) == ':' and id ~= ARGV[7] and\n"
	"      redis.call('ZSCORE', KEYS[4], id) then return false end\n"
	"  end\n"
	"  return true\n"
	"end\n"
	"local old = redis.call('HGET', KEYS[1], f)\n"
	"if op == 'get' then\n"
	"  if not old and former() then old = redis.call('HGET', KEYS[3], f) end\n"
	"  return old and {old}\n"
	"end\n"
	"local size, n = 0, redis.call('HLEN', KEYS[1])\n"
	"if n > 0 then\n"
	"  size = tonumber(redis.call('GET', KEYS[2]))\n"
	"  if not size then\n"
	"    size = 0\n"
	"    for _, k in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
	"      size = size + #k + redis.call('HSTRLEN', KEYS[1], k)\n"
	"    end\n"
	"  end\n"
	"end\n"
	"local before = size\n"
	"if old then size = size - #f - #old end\n"
	"if op == 'delete' then\n"
	"  redis.call('HDEL', KEYS[1], f)\n"
	"  if former() then redis.call('HDEL', KEYS[3], f) end\n"
	"  if not old then return false end\n"
	"else\n"
	"  size = size + #f + #v\n"
	"  if (not old and n >= tonumber(ARGV[4])) or\n"
	"    (size > tonumber(ARGV[5]) and size > before) then return {} end\n"
	"  redis.call('HSET', KEYS[1], f, v)\n"
	"end\n"
	"redis.call('SET', KEYS[2], string.format('%.0f', size))\n"
	"return false\n";

/* Lives until Redis has answered. */
struct request {
	struct redis *redis;
	host_state_fn *done;
	void *token;
};

static void
on_store_reply(void *arg, const redisReply *reply)
{
	struct request *r = arg;
	enum host_state_end end = HOST_STATE_DONE;
	struct span value = SPAN_NULL;

	if (!reply || redis_is_outage(r->redis, reply) || reply->type == REDIS_REPLY_ERROR)
		end = HOST_STATE_AWAY;
	else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 0)
		end = HOST_STATE_FULL;
	else if (reply->type == REDIS_REPLY_ARRAY)
		value = redis_span(reply->element[0]);
	r->done(r->token, end, value);
	free(r);
}

/* An id as part of a key's name. */
static void
add_part(struct buf *out, struct span id)
{
	for (size_t i = 0; i < id.len; i++) {
		if (id.ptr[i] == ':' || id.ptr[i] == '%')
			buf_addf(out, "%%%02X", (unsigned char)id.ptr[i]);
		else
			buf_addch(out, id.ptr[i]);
	}
}

enum key { KEY_HASH, KEY_SIZE, KEY_FORMER, KEY_PLUGINS, KEYS };

static bool
make_keys(struct buf keys[KEYS], const char *prefix, struct span plugin, struct span company)
{
	bool failed = false;

	buf_addf(&keys[KEY_HASH], "%sstate:", prefix);
	buf_addf(&keys[KEY_SIZE], "%sstate-bytes:", prefix);
	buf_addf(&keys[KEY_FORMER], "%sstate:", prefix);
	buf_addf(&keys[KEY_PLUGINS], "%splugins", prefix);
	for (enum key k = KEY_HASH; k <= KEY_SIZE; k++) {
		add_part(&keys[k], plugin);
		buf_addch(&keys[k], ':');
		add_part(&keys[k], company);
	}
	buf_addspan(&keys[KEY_FORMER], plugin);
	buf_addch(&keys[KEY_FORMER], ':');
	buf_addspan(&keys[KEY_FORMER], company);
	for (int k = 0; k < KEYS; k++)
		failed |= keys[k].failed;
	return !failed;
}

static int
send_script(struct store *s, enum host_state_op op, struct span plugin, struct span company,
	    struct span field, struct span value, struct request *r)
{
	static const char *const names[] = {
		[HOST_STATE_GET] = "get", [HOST_STATE_SET] = "set", [HOST_STATE_DELETE] = "delete",
	};
	size_t behind = strlen(redis_prefix(s->redis)) + strlen("state:");
	struct buf keys[KEYS] = { BUF_INIT };
	char keys_max[24], bytes_max[24];
	struct span former;
	int ret = ERR_NOMEM;

	if (make_keys(keys, redis_prefix(s->redis), plugin, company)) {
		former = buf_span(&keys[KEY_FORMER]);
		snprintf(keys_max, sizeof(keys_max), "%" PRId64, s->keys_max);
		snprintf(bytes_max, sizeof(bytes_max), "%" PRId64, s->bytes_max);
		struct span argv[] = {
			buf_span(&keys[KEY_HASH]), buf_span(&keys[KEY_SIZE]),
			former, buf_span(&keys[KEY_PLUGINS]), span_of(names[op]), field,
			op == HOST_STATE_SET ? value : SPAN_LIT(""), span_of(keys_max),
			span_of(bytes_max), { former.ptr + behind, former.len - behind }, plugin,
		};

		ret = redis_eval(s->redis, s->script, on_store_reply, r, KEYS, 11, argv);
	}
	for (int k = 0; k < KEYS; k++)
		buf_release(&keys[k]);
	return ret;
}

int
store_ask(struct store *s, const char *plugin_id, enum host_state_op op, struct span company,
	  struct span field, struct span value, host_state_fn *done, void *token)
{
	struct request *r = malloc(sizeof(*r));
	int ret;

	if (!r)
		return ERR_NOMEM;
	*r = (struct request){ s->redis, done, token };
	ret = send_script(s, op, span_of(plugin_id), company, field, value, r);
	if (ret < 0)
		free(r);
	return ret;
}

void
store_init(struct store *s, struct redis *redis, int64_t keys_max, int64_t bytes_max)
{
	*s = (struct store){ redis, redis_script(redis, script_text), keys_max, bytes_max };
}
