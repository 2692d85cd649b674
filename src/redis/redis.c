/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/redis/redis.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/metrics.h"
#include "redis_impl.h"

enum {
	TICK_MS = 1000,
	SILENCE_MS = 5000,	/* commands outstanding and not a byte: lost */
	ATTEMPT_MS = 5000,	/* connecting and greeting */
	PING_MS = 5000,
	STOOD_STILL_MS = 3000,	/* between two ticks: it was us */
	STEADY_MS = 10000,	/* up this long: the next back-off starts small */
};

static const struct backoff backoff = { .min_ms = 100, .max_ms = 5000 };

static int64_t
now_ms(const struct redis *r)
{
	return (int64_t)uv_now(r->loop);
}

static void
set_why(struct redis *r, const char *why)
{
	snprintf(r->why, sizeof(r->why), "%s: %.*s", r->name, REDIS_TEXT_MAX, why);
}

/* --- connecting --- */

static void attempt(struct redis *r);

static void
on_open(struct redis *r, bool *flag)
{
	*flag = true;
	if (r->cmd_open && r->push_open)
		redis_greet(r);
}

static void
on_cmd_open(void *arg)
{
	struct redis *r = arg;

	on_open(r, &r->cmd_open);
}

static void
on_push_open(void *arg)
{
	struct redis *r = arg;

	on_open(r, &r->push_open);
}

static void
on_conn_lost(void *arg, const char *why)
{
	redis_lost(arg, why);
}

/* An invalidation carries an array of keys, or nil for all. */
static void
on_message(void *arg, const redisReply *reply)
{
	struct redis *r = arg;
	struct span channel = redis_span(reply->element[1]);
	const redisReply *load = reply->element[2];
	size_t i, k;

	for (i = 0; i < r->n_channels; i++) {
		struct redis_channel *c = &r->channels[i];

		if (!span_is(channel, c->name))
			continue;
		if (load->type != REDIS_REPLY_ARRAY)
			c->fn(c->arg, redis_span(load));
		for (k = 0; load->type == REDIS_REPLY_ARRAY && k < load->elements; k++)
			if (redis_span(load->element[k]).ptr)
				c->fn(c->arg, redis_span(load->element[k]));
	}
}

static void
connect_to(struct redis *r, const struct sockaddr *addr)
{
	const struct redis_conn_events cmd = { on_cmd_open, NULL, on_conn_lost, r };
	const struct redis_conn_events push = { on_push_open, on_message, on_conn_lost, r };
	struct err err = { 0 };

	r->cmd_open = r->push_open = false;
	r->cmd = redis_conn_new(r->loop, addr, r->url.path, &cmd, &err);
	if (r->cmd)
		r->push = redis_conn_new(r->loop, addr, r->url.path, &push, &err);
	if (!r->push)
		redis_lost(r, err.text);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct redis *r = req->data;

	r->resolving = false;
	if (r->closing) {
		uv_freeaddrinfo(found);
		if (--r->to_close == 0 && r->on_closed)
			r->on_closed(r->closed_arg);
		return;
	}
	if (status < 0) {
		redis_lost(r, uv_strerror(status));
		return;
	}
	r->addresses = r->address = found;
	attempt(r);
}

/* getaddrinfo may take its time; it is waited for, in a thread of libuv. */
static void
resolve(struct redis *r)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char port[16];
	int code;

	if (r->resolving)
		return;
	snprintf(port, sizeof(port), "%d", r->url.port);
	r->resolve.data = r;
	code = uv_getaddrinfo(r->loop, &r->resolve, on_resolved, r->url.host, port, &hints);
	if (code < 0)
		redis_lost(r, uv_strerror(code));
	else
		r->resolving = true;
}

static void
attempt(struct redis *r)
{
	r->state = REDIS_CONNECTING;
	r->attempt_ms = now_ms(r);
	if (r->url.is_unix)
		connect_to(r, NULL);
	else if (r->address)
		connect_to(r, r->address->ai_addr);
	else
		resolve(r);
}

static void
on_retry(uv_timer_t *t)
{
	struct redis *r = t->data;

	if (r->dropping)
		redis_lost(r, r->why + strlen(r->name) + 2);
	else
		attempt(r);
}

/* How long until the next attempt: at once when the name has another
 * address. */
static uint64_t
next_delay(struct redis *r, bool reached)
{
	if (!reached && r->address && r->address->ai_next) {
		r->address = r->address->ai_next;
		return 0;
	}
	/* Resolve anew: a name may have moved. */
	uv_freeaddrinfo(r->addresses);
	r->addresses = r->address = NULL;
	return (uint64_t)backoff_spread(backoff_ms(&backoff, ++r->failures), backoff_dice());
}

static void
one_conn_closed(void *arg)
{
	struct redis *r = arg;

	if (--r->to_close == 0 && r->closing && r->on_closed)
		r->on_closed(r->closed_arg);
}

static void
close_conns(struct redis *r)
{
	struct redis_conn *cmd = r->cmd, *push = r->push;

	r->cmd = r->push = NULL;
	r->to_close += (size_t)(cmd != NULL) + (size_t)(push != NULL);
	if (cmd)
		redis_conn_close(cmd, one_conn_closed, r);
	if (push)
		redis_conn_close(push, one_conn_closed, r);
}

void
redis_lost(struct redis *r, const char *why)
{
	bool was_up = r->state == REDIS_UP, reached = r->cmd_open && r->push_open;
	char text[REDIS_TEXT_MAX + 1];
	size_t i;

	if (r->state == REDIS_DOWN || r->closing)
		return;
	snprintf(text, sizeof(text), "%s", why);
	set_why(r, text);
	r->state = REDIS_DOWN;
	r->dropping = r->reloading = false;
	r->silent_ms = was_up ? redis_conn_silence(r->cmd) : 0;
	if (was_up) {
		r->lost_id = r->id;
		memcpy(r->lost_run_id, r->run_id, sizeof(r->run_id));
		if (now_ms(r) - r->up_ms >= STEADY_MS)
			r->failures = 0;
	}
	close_conns(r);
	uv_timer_start(&r->retry, on_retry, next_delay(r, reached), 0);
	for (i = 0; was_up && i < r->n_listeners && !r->closing; i++)
		if (r->listeners[i].on_down)
			r->listeners[i].on_down(r->listeners[i].arg, r->why);
}

void
redis_came_up(struct redis *r)
{
	size_t i;

	r->state = REDIS_UP;
	r->why[0] = '\0';
	if (r->up_ms)
		metrics_add(METRIC_REDIS_RECONNECTS, 1);
	r->up_ms = r->answering_since = r->last_ping = now_ms(r);
	r->lost_id = 0;
	for (i = 0; i < r->n_listeners && redis_up(r); i++)
		if (r->listeners[i].on_up)
			r->listeners[i].on_up(r->listeners[i].arg);
}

void
redis_drop(struct redis *r, const char *why)
{
	if (!redis_up(r))
		return;
	r->dropping = true;
	set_why(r, why);
	/* Not from here: the caller is in the middle of a reply. */
	uv_timer_start(&r->retry, on_retry, 0, 0);
}

/* --- the deadline on replies --- */

static void
on_pong(void *arg, const redisReply *reply)
{
	(void)arg;
	(void)reply;
}

static void
ping(struct redis *r)
{
	const struct span text = SPAN_LIT("PING");

	if (now_ms(r) - r->last_ping < PING_MS)
		return;
	r->last_ping = now_ms(r);
	if (redis_conn_send(r->push, on_pong, NULL, 1, &text) < 0)
		redis_drop(r, "out of memory");
}

static void
tell_tick(struct redis *r)
{
	size_t i;

	for (i = 0; i < r->n_listeners && redis_up(r); i++)
		if (r->listeners[i].on_tick)
			r->listeners[i].on_tick(r->listeners[i].arg);
}

static void
on_tick(uv_timer_t *t)
{
	struct redis *r = t->data;
	bool stood_still = now_ms(r) - r->last_tick > STOOD_STILL_MS;

	r->last_tick = now_ms(r);
	if (stood_still) {
		/* What came meanwhile is read in this turn of the loop. */
		r->answering_since = r->attempt_ms = r->last_tick;
		if (r->state == REDIS_UP) {
			redis_conn_excuse(r->cmd);
			redis_conn_excuse(r->push);
		}
	} else if (r->state == REDIS_UP) {
		if (redis_conn_silence(r->cmd) > SILENCE_MS ||
		    redis_conn_silence(r->push) > SILENCE_MS)
			redis_lost(r, "no reply for 5 s");
		else
			ping(r);
	} else if (r->state != REDIS_DOWN && !r->resolving &&
		   now_ms(r) - r->attempt_ms > ATTEMPT_MS) {
		redis_lost(r, "no connection within 5 s");
	}
	tell_tick(r);
}

int64_t
redis_silent_ms(const struct redis *r)
{
	return r->silent_ms;
}

bool
redis_answering_for(const struct redis *r, int64_t ms)
{
	return redis_up(r) && now_ms(r) - r->answering_since >= ms &&
	       now_ms(r) - redis_conn_slow_ms(r->cmd) >= ms;
}

/* --- made, started, closed --- */

struct redis *
redis_new(uv_loop_t *loop, const struct config *config, struct err *reterr)
{
	const char *prefix = config_str(config, "redis.prefix");
	struct redis *r = buf_realloc(NULL, sizeof(*r));
	const char *wrong;

	if (!r) {
		err_nomem(reterr);
		return NULL;
	}
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	wrong = redis_url_parse(config_str(config, "redis.url"), &r->url);
	if (wrong) {
		free(r);
		err_set(reterr, ERR_CONFIG, "redis.url %s", wrong);
		return NULL;
	}
	if (snprintf(r->prefix, sizeof(r->prefix), "%s", prefix ? prefix : "") >=
	    (int)sizeof(r->prefix)) {
		free(r);
		err_set(reterr, ERR_CONFIG, "redis.prefix is too long");
		return NULL;
	}
	if (r->url.is_unix)
		snprintf(r->name, sizeof(r->name), "%s", r->url.path);
	else
		snprintf(r->name, sizeof(r->name), "%.100s:%d", r->url.host, r->url.port);
	set_why(r, "not connected yet");
	return r;
}

void
redis_listen(struct redis *r, const struct redis_listener *l)
{
	size_t i = r->n_listeners++;

	assert(!r->started && i < REDIS_LISTENERS);
	for (; i > 0 && r->listeners[i - 1].rank > l->rank; i--)
		r->listeners[i] = r->listeners[i - 1];
	r->listeners[i] = *l;
}

int
redis_script(struct redis *r, const char *text)
{
	assert(!r->started && r->n_scripts < REDIS_SCRIPTS);
	r->scripts[r->n_scripts].text = text;
	return (int)r->n_scripts++;
}

/* A name of a few bytes at start: nothing goes on without it. */
static char *
keep(const char *text)
{
	char *copy = strdup(text);

	assert(copy);
	return copy;
}

void
redis_subscribe(struct redis *r, const char *channel, void (*fn)(void *arg, struct span message),
		void *arg)
{
	assert(!r->started && r->n_channels < REDIS_CHANNELS);
	r->channels[r->n_channels++] = (struct redis_channel){ keep(channel), fn, arg };
}

void
redis_track(struct redis *r, const char *prefix)
{
	assert(!r->started && r->n_tracks < REDIS_TRACKS);
	r->tracks[r->n_tracks++] = keep(prefix);
}

void
redis_start(struct redis *r)
{
	assert(!r->started);
	r->started = true;
	uv_timer_init(r->loop, &r->retry);
	uv_timer_init(r->loop, &r->tick);
	r->retry.data = r->tick.data = r;
	r->last_tick = now_ms(r);
	uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	uv_timer_start(&r->retry, on_retry, 0, 0);
}

static void
on_timer_closed(uv_handle_t *h)
{
	one_conn_closed(h->data);
}

void
redis_close(struct redis *r, void (*on_closed)(void *arg), void *arg)
{
	assert(!r->closing);
	if (!r->started) {
		if (on_closed)
			on_closed(arg);
		return;
	}
	r->closing = true;
	r->state = REDIS_DOWN;
	set_why(r, "closed");
	r->on_closed = on_closed;
	r->closed_arg = arg;
	close_conns(r);
	r->to_close += 2;
	uv_close((uv_handle_t *)&r->retry, on_timer_closed);
	uv_close((uv_handle_t *)&r->tick, on_timer_closed);
	if (r->resolving) {
		r->to_close++;
		(void)uv_cancel((uv_req_t *)&r->resolve);
	}
}

void
redis_free(struct redis *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n_channels; i++)
		free(r->channels[i].name);
	for (i = 0; i < r->n_tracks; i++)
		free(r->tracks[i]);
	uv_freeaddrinfo(r->addresses);
	free(r);
}
