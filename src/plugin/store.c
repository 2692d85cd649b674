/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/redis/redis.h"

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
	bool ok = reply && !redis_is_outage(r->redis, reply) && reply->type != REDIS_REPLY_ERROR;

	r->done(r->token, ok, redis_span(reply));
	free(r);
}

int
store_ask(struct redis *redis, const char *plugin_id, enum host_state_op op, struct span company,
	  struct span field, struct span value, host_state_fn *done, void *token)
{
	static const char *const commands[] = {
		[HOST_STATE_GET] = "HGET", [HOST_STATE_SET] = "HSET", [HOST_STATE_DELETE] = "HDEL",
	};
	struct request *r = malloc(sizeof(*r));
	struct buf key = BUF_INIT;
	int ret = ERR_NOMEM;

	buf_addf(&key, "%sstate:%s:", redis_prefix(redis), plugin_id);
	buf_addspan(&key, company);
	if (r && !key.failed) {
		struct span argv[] = { span_of(commands[op]), buf_span(&key), field, value };

		*r = (struct request){ redis, done, token };
		ret = redis_send(redis, on_store_reply, r, op == HOST_STATE_SET ? 4 : 3, argv);
	}
	if (ret < 0)
		free(r);
	buf_release(&key);
	return ret;
}
