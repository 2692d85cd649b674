/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_link.h"

#include "envdriver/base/err.h"

static void
on_greeting_good(void *arg)
{
	struct redis_link *k = arg;

	k->greeting.predecessor.id = 0;
	k->on_up(k->arg);
}

static void
on_link_lost(void *arg, const char *why)
{
	struct redis_link *k = arg;

	k->on_lost(k->arg, why);
}

static void
on_conn_open(void *arg)
{
	struct redis_link *k = arg;

	if (++k->open == 2)
		redis_greeting_start(&k->greeting, k->cmd, k->push);
}

static void
on_push_message(void *arg, const redisReply *reply)
{
	struct redis_link *k = arg;

	k->on_message(k->arg, reply);
}

static void
connect_to(struct redis_link *k, const struct sockaddr *address)
{
	const struct redis_conn_events cmd = { on_conn_open, NULL, on_link_lost, k };
	const struct redis_conn_events push = { on_conn_open, on_push_message, on_link_lost, k };
	struct err err = { 0 };

	k->open = 0;
	k->cmd = redis_conn_new(k->loop, address, k->url.path, &cmd, &err);
	if (k->cmd)
		k->push = redis_conn_new(k->loop, address, k->url.path, &push, &err);
	if (!k->push)
		k->on_lost(k->arg, err.text);
}

static void
end(struct redis_link *k)
{
	if (k->on_ended && k->to_close == 0 && !k->address.resolving)
		k->on_ended(k->arg);
}

static void
on_redis_address(void *arg, const char *why)
{
	struct redis_link *k = arg;

	if (k->on_ended)
		end(k);
	else if (why)
		k->on_lost(k->arg, why);
	else
		connect_to(k, redis_address_get(&k->address));
}

void
redis_link_init(struct redis_link *k, const char *prefix)
{
	k->greeting.url = &k->url;
	k->greeting.prefix = prefix;
	k->greeting.scripts = &k->scripts;
	k->greeting.on_good = on_greeting_good;
	k->greeting.on_bad = on_link_lost;
	k->greeting.arg = k;
}

void
redis_link_connect(struct redis_link *k)
{
	int code;

	if (k->url.is_unix || redis_address_get(&k->address)) {
		connect_to(k, redis_address_get(&k->address));
		return;
	}
	code = redis_address_resolve(&k->address, k->loop, k->url.host, k->url.port,
				     on_redis_address, k);
	if (code < 0)
		k->on_lost(k->arg, uv_strerror(code));
}

static void
on_conn_closed(void *arg)
{
	struct redis_link *k = arg;

	k->to_close--;
	end(k);
}

bool
redis_link_close(struct redis_link *k, bool was_up)
{
	struct redis_conn *cmd = k->cmd, *push = k->push;
	bool reached = k->open == 2;

	if (was_up)
		k->greeting.predecessor = k->greeting.self;
	k->greeting.active = false;
	k->cmd = k->push = NULL;
	k->to_close += (size_t)(cmd != NULL) + (size_t)(push != NULL);
	if (cmd)
		redis_conn_close(cmd, on_conn_closed, k);
	if (push)
		redis_conn_close(push, on_conn_closed, k);
	if (!reached)
		return redis_address_next(&k->address);
	redis_address_release(&k->address);
	return false;
}

void
redis_link_end(struct redis_link *k, void (*on_ended)(void *arg))
{
	(void)redis_link_close(k, /* was_up= */ false);
	redis_address_cancel(&k->address);
	k->on_ended = on_ended;
	end(k);
}

void
redis_link_release(struct redis_link *k)
{
	redis_address_release(&k->address);
}

int64_t
redis_link_silence(const struct redis_link *k)
{
	int64_t cmd = redis_conn_silence(k->cmd), push = redis_conn_silence(k->push);

	return cmd > push ? cmd : push;
}

void
redis_link_excuse(struct redis_link *k)
{
	redis_conn_excuse(k->cmd);
	redis_conn_excuse(k->push);
}
