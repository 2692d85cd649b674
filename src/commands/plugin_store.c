/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_store.h"

#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli_redis.h"

enum { KEYS = 3, ARGS_MAX = 16 };

/* KEYS: plugins, plugin:<id>, plugin-key:<key>; ARGV: id, key, manifest, package,
 * updatedAt, config or "", digest, pin ("keep", "set", "none"). */
static const char add_script[] =
	"local owner = redis.call('GET', KEYS[3])\n"
	"if owner and owner ~= ARGV[1] then return {'taken', owner} end\n"
	"local old = redis.call('HMGET', KEYS[2], 'pluginKey', 'status', 'manifest', 'package',\n"
	"  'packageDigest', 'packagePin', 'config')\n"
	"if old[1] and old[1] ~= ARGV[2] then return {'other', old[1]} end\n"
	"local pin = (ARGV[8] == 'set' or ARGV[8] == 'keep' and old[6]) and ARGV[7]\n"
	"redis.call('SET', KEYS[3], ARGV[1])\n"
	"if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then\n"
	"  local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')\n"
	"  redis.call('ZADD', KEYS[1], (tonumber(last[2]) or 0) + 1, ARGV[1])\n"
	"end\n"
	"if old[2] and old[3] == ARGV[3] and old[4] == ARGV[4] and old[5] == ARGV[7] and\n"
	"  old[6] == pin and (ARGV[6] == '' or ARGV[6] == old[7]) then\n"
	"  return {old[2], 'unchanged'}\n"
	"end\n"
	"redis.call('HSET', KEYS[2], 'pluginKey', ARGV[2], 'manifest', ARGV[3],\n"
	"  'package', ARGV[4], 'updatedAt', ARGV[5], 'packageDigest', ARGV[7])\n"
	"if not old[2] then redis.call('HSET', KEYS[2], 'status', 'installed') end\n"
	"if pin then redis.call('HSET', KEYS[2], 'packagePin', pin)\n"
	"else redis.call('HDEL', KEYS[2], 'packagePin') end\n"
	"if ARGV[6] ~= '' then redis.call('HSET', KEYS[2], 'config', ARGV[6]) end\n"
	"return {old[2] or 'installed', old[2] and 'updated' or 'added'}\n";

/* KEYS: plugin:<id>; ARGV: status, updatedAt. */
static const char status_script[] =
	"if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
	"redis.call('HSET', KEYS[1], 'status', ARGV[1], 'updatedAt', ARGV[2])\n"
	"redis.call('HDEL', KEYS[1], 'statusReason')\n"
	"return 1\n";

/* KEYS: plugin:<id>; ARGV: updatedAt. What is there may be no number. */
static const char restart_script[] =
	"if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
	"local n = tonumber(redis.call('HGET', KEYS[1], 'generation') or 0) or 0\n"
	"redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', n + 1),\n"
	"  'updatedAt', ARGV[1])\n"
	"return 1\n";

/* KEYS: plugins, plugin:<id>, plugin-key:<key>; ARGV: id. */
static const char remove_script[] =
	"redis.call('ZREM', KEYS[1], ARGV[1])\n"
	"redis.call('DEL', KEYS[2])\n"
	"if redis.call('GET', KEYS[3]) == ARGV[1] then redis.call('DEL', KEYS[3]) end\n"
	"return 1\n";

/* The beginnings of the keys; "plugins" is a whole key. */
static const char *const all_keys[KEYS] = { "plugins", "plugin:", "plugin-key:" };
static const char *const record_key[] = { "plugin:" };

/* EVAL with `n_keys` keys, each a beginning and one of the first words; the
 * other words are ARGV. */
static redisReply *
eval(struct cli_redis *redis, const char *script, const char *const *begins, int n_keys,
     const struct span *words, int n_words, struct err *reterr)
{
	const char *argv[ARGS_MAX];
	size_t lens[ARGS_MAX];
	struct buf keys[KEYS] = { BUF_INIT, BUF_INIT, BUF_INIT };
	char count[8];
	redisReply *reply = NULL;
	bool failed = false;

	snprintf(count, sizeof(count), "%d", n_keys);
	argv[0] = "EVAL";
	argv[1] = script;
	argv[2] = count;
	for (int i = 0; i < 3; i++)
		lens[i] = strlen(argv[i]);
	for (int i = 0; i < n_words; i++) {
		struct span word = words[i];

		if (i < n_keys) {
			buf_addf(&keys[i], "%s%s", cli_redis_prefix(redis), begins[i]);
			buf_addspan(&keys[i], word);
			failed |= keys[i].failed;
			word = buf_span(&keys[i]);
		}
		argv[3 + i] = word.ptr;
		lens[3 + i] = word.len;
	}
	if (failed)
		err_nomem(reterr);
	else
		reply = cli_redis_argv(redis, reterr, 3 + n_words, argv, lens);
	for (int i = 0; i < KEYS; i++)
		buf_release(&keys[i]);
	return reply;
}

int
plugin_store_add(struct cli_redis *redis, const struct plugin_record_new *p,
		 char ret_status[PLUGIN_WORD_SIZE], char ret_done[PLUGIN_WORD_SIZE],
		 struct err *reterr)
{
	static const char *const pins[] = { "keep", "set", "none" };
	const char *word, *second;
	char now[CLOCK_TEXT_MAX];
	redisReply *reply;
	int ret = 0;

	reply = eval(redis, add_script, all_keys, KEYS, (struct span[]){
		SPAN_LIT(""), span_of(p->id), p->key, span_of(p->id), p->key, p->manifest,
		span_of(p->dir), span_of(clock_text(clock_wall_ms(), now)), p->config,
		span_of(p->digest), span_of(pins[p->pin]),
	}, 11, reterr);
	if (!reply)
		return reterr->code;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		freeReplyObject(reply);
		return err_set(reterr, ERR_IO, "unexpected reply from Redis to EVAL");
	}
	word = reply->element[0]->str;
	second = reply->element[1]->str;
	if (strcmp(word, "taken") == 0)
		ret = err_set(reterr, ERR_INVALID, "plugin '%.*s' is already registered with id "
			      "'%s'; omit --id to update it", SPAN_FMT(p->key), second);
	else if (strcmp(word, "other") == 0)
		ret = err_set(reterr, ERR_INVALID, "id '%s' belongs to plugin '%s'", p->id, second);
	snprintf(ret_status, PLUGIN_WORD_SIZE, "%s", word);
	snprintf(ret_done, PLUGIN_WORD_SIZE, "%s", second);
	freeReplyObject(reply);
	return ret;
}

/* One of the scripts that answer with a number; 0: there is no such record. */
static int
end_of_script(redisReply *reply, const char *id, struct err *reterr)
{
	bool none = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0;

	if (!reply)
		return reterr->code;
	freeReplyObject(reply);
	return none ? err_set(reterr, ERR_NOTFOUND, "plugin '%s' is gone", id) : 0;
}

int
plugin_store_status(struct cli_redis *redis, const char *id, const char *status,
		    struct err *reterr)
{
	char now[CLOCK_TEXT_MAX];

	return end_of_script(eval(redis, status_script, record_key, 1, (struct span[]){
		span_of(id), span_of(status), span_of(clock_text(clock_wall_ms(), now)),
	}, 3, reterr), id, reterr);
}

int
plugin_store_restart(struct cli_redis *redis, const char *id, struct err *reterr)
{
	char now[CLOCK_TEXT_MAX];

	return end_of_script(eval(redis, restart_script, record_key, 1, (struct span[]){
		span_of(id), span_of(clock_text(clock_wall_ms(), now)),
	}, 2, reterr), id, reterr);
}

int
plugin_store_remove(struct cli_redis *redis, const char *id, const char *key, struct err *reterr)
{
	return end_of_script(eval(redis, remove_script, all_keys, KEYS, (struct span[]){
		SPAN_LIT(""), span_of(id), span_of(key), span_of(id),
	}, 4, reterr), id, reterr);
}
