/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/redis/redis.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/metrics.h"
#include "redis_link.h"

enum {
	TICK_MS = 1000,
	SILENCE_MS = 5000,	/* commands outstanding and not a byte: lost */
	ATTEMPT_MS = 5000,	/* connecting and greeting */
	PING_MS = 5000,
	STOOD_STILL_MS = 3000,	/* between two ticks: it was us */
	STEADY_MS = 10000,	/* up this long: the next back-off starts small */
};

enum { LISTENERS = 8, NAME_MAX_LEN = 120, TEXT_MAX = 160,
       WHY_MAX = NAME_MAX_LEN + TEXT_MAX + 4 };

static const struct backoff backoff = { .min_ms = 100, .max_ms = 5000 };

/* Codes that mean: Redis is not there for us now (docs/decisions.md D10 (Redis or Kafka
 * away)). */
static const char *const outages[] = {
	"OOM",	       "READONLY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS",
	"CLUSTERDOWN", "TRYAGAIN", "BUSY",    "NOAUTH",	    "NOPERM",
};

/*
 * DESIGN: DOWN --(timer)--> CONNECTING --(both connections are open and greeted)
 * --> UP. Every failure leads to lose(), which closes both and goes DOWN.
 */
enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct subscription {
	char *channel;
	void (*fn)(void *arg, struct span message);
	void *arg;
};

struct redis {
	uv_loop_t *loop;
	char name[NAME_MAX_LEN];	/* for texts: host:port or path, no secret */
	char prefix[REDIS_PREFIX_MAX];

	struct redis_listener listeners[LISTENERS];
	size_t n_listeners;
	struct subscription subscriptions[REDIS_CHANNELS];	/* greeting.n_channels */
	bool reloading;			/* the scripts */

	enum redis_state state;
	bool started, failing, closing;
	char why[WHY_MAX];
	uv_timer_t retry, tick;
	int64_t silent_ms;		/* before it was found down */
	unsigned failures;		/* in a row, for the back-off */
	int64_t attempt_ms, up_ms, last_tick, last_ping;	/* times of uv_now */
	int64_t answering_since;

	struct redis_link link;
	size_t to_close;		/* parts that redis_close waits for */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static int64_t
now_ms(const struct redis *r)
{
	return (int64_t)uv_now(r->loop);
}

static void
set_why(struct redis *r, const char *why)
{
	snprintf(r->why, sizeof(r->why), "%s: %.*s", r->name, TEXT_MAX, why);
}

static void
one_closed(void *arg)
{
	struct redis *r = arg;

	if (--r->to_close == 0 && r->on_closed)
		r->on_closed(r->closed_arg);
}

/* --- up and down --- */

/* An invalidation carries an array of keys, or nil for all. */
static void
on_redis_message(void *arg, const redisReply *reply)
{
	struct redis *r = arg;
	struct span channel = redis_span(reply->element[1]);
	const redisReply *load = reply->element[2];

	for (size_t i = 0; i < r->link.greeting.n_channels; i++) {
		struct subscription *c = &r->subscriptions[i];

		if (!span_is(channel, c->channel))
			continue;
		if (load->type != REDIS_REPLY_ARRAY)
			c->fn(c->arg, redis_span(load));
		for (size_t k = 0; load->type == REDIS_REPLY_ARRAY && k < load->elements; k++)
			if (redis_span(load->element[k]).ptr)
				c->fn(c->arg, redis_span(load->element[k]));
	}
}

static void on_redis_retry(uv_timer_t *t);

static void
go_down(struct redis *r, const char *why)
{
	bool was_up = r->state == REDIS_UP;
	char text[TEXT_MAX + 1];
	int64_t delay = 0;

	if (r->state == REDIS_DOWN || r->closing)
		return;
	snprintf(text, sizeof(text), "%s", why);
	set_why(r, text);
	r->state = REDIS_DOWN;
	r->failing = r->reloading = false;
	r->silent_ms = was_up ? redis_conn_silence(r->link.cmd) : 0;
	if (was_up && now_ms(r) - r->up_ms >= STEADY_MS)
		r->failures = 0;
	if (!redis_link_close(&r->link, was_up))
		delay = backoff_spread(backoff_ms(&backoff, ++r->failures), backoff_dice());
	uv_timer_start(&r->retry, on_redis_retry, (uint64_t)delay, 0);
	for (size_t i = 0; was_up && i < r->n_listeners && !r->closing; i++)
		if (r->listeners[i].on_down)
			r->listeners[i].on_down(r->listeners[i].arg, r->why);
}

static void
on_redis_lost(void *arg, const char *why)
{
	go_down(arg, why);
}

static void
on_redis_retry(uv_timer_t *t)
{
	struct redis *r = t->data;

	if (r->failing) {
		go_down(r, r->why + strlen(r->name) + 2);
		return;
	}
	r->state = REDIS_CONNECTING;
	r->attempt_ms = now_ms(r);
	redis_link_connect(&r->link);
}

static void
on_redis_up(void *arg)
{
	struct redis *r = arg;

	r->state = REDIS_UP;
	r->why[0] = '\0';
	if (r->up_ms)
		metrics_add(METRIC_REDIS_RECONNECTS, 1);
	r->up_ms = r->answering_since = r->last_ping = now_ms(r);
	for (size_t i = 0; i < r->n_listeners && redis_up(r); i++)
		if (r->listeners[i].on_up)
			r->listeners[i].on_up(r->listeners[i].arg);
}

void
redis_fail(struct redis *r, const char *why)
{
	if (!redis_up(r))
		return;
	r->failing = true;
	set_why(r, why);
	/* Not from here: the caller is in the middle of a reply. */
	uv_timer_start(&r->retry, on_redis_retry, 0, 0);
}

/* --- the deadline on replies --- */

static void
ping(struct redis *r)
{
	const struct span text = SPAN_LIT("PING");

	if (now_ms(r) - r->last_ping < PING_MS)
		return;
	r->last_ping = now_ms(r);
	if (redis_conn_send(r->link.push, NULL, NULL, 1, &text) < 0)
		redis_fail(r, "out of memory");
}

static void
tell_tick(struct redis *r)
{
	for (size_t i = 0; i < r->n_listeners && redis_up(r); i++)
		if (r->listeners[i].on_tick)
			r->listeners[i].on_tick(r->listeners[i].arg);
}

static void
on_redis_tick(uv_timer_t *t)
{
	struct redis *r = t->data;
	bool stood_still = now_ms(r) - r->last_tick > STOOD_STILL_MS;

	r->last_tick = now_ms(r);
	if (r->link.address.resolving)
		r->attempt_ms = r->last_tick;	/* a look-up takes as long as it takes */
	if (stood_still) {
		/* What came meanwhile is read in this turn of the loop. */
		r->answering_since = r->attempt_ms = r->last_tick;
		if (r->state == REDIS_UP)
			redis_link_excuse(&r->link);
	} else if (r->state == REDIS_UP) {
		if (redis_link_silence(&r->link) > SILENCE_MS)
			go_down(r, "no reply for 5 s");
		else
			ping(r);
	} else if (r->state != REDIS_DOWN && now_ms(r) - r->attempt_ms > ATTEMPT_MS) {
		go_down(r, r->link.open == 2 ? "no reply within 5 s"
					     : "no connection within 5 s");
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
	       now_ms(r) - redis_conn_slow_ms(r->link.cmd) >= ms;
}

/* --- commands and replies --- */

bool
redis_up(const struct redis *r)
{
	return r->state == REDIS_UP && !r->failing;
}

const char *
redis_why_down(const struct redis *r)
{
	return r->why;
}

const char *
redis_prefix(const struct redis *r)
{
	return r->prefix;
}

static int
check_sent(struct redis *r, int code)
{
	/* What could not be sent waits for on_up. */
	if (code == ERR_NOMEM)
		redis_fail(r, "out of memory");
	return code;
}

int
redis_send(struct redis *r, redis_reply_fn *fn, void *arg, size_t argc, const struct span *argv)
{
	if (!redis_up(r))
		return ERR_UNAVAILABLE;
	return check_sent(r, redis_conn_send(r->link.cmd, fn, arg, argc, argv));
}

int
redis_sendf(struct redis *r, redis_reply_fn *fn, void *arg, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int len, code;

	if (!redis_up(r))
		return ERR_UNAVAILABLE;
	va_start(ap, fmt);
	len = redisvFormatCommand(&text, fmt, ap);
	va_end(ap);
	assert(len != -2);	/* a wrong format */
	if (len < 0)
		return check_sent(r, ERR_NOMEM);
	code = redis_conn_send_raw(r->link.cmd, fn, arg, (struct span){ text, (size_t)len });
	redisFreeCommand(text);
	return check_sent(r, code);
}

int
redis_eval(struct redis *r, int script, redis_reply_fn *fn, void *arg, size_t n_keys, size_t argc,
	   const struct span *argv)
{
	struct span all[3 + REDIS_EVAL_MAX];
	char keys[24];

	assert(script >= 0 && (size_t)script < r->link.scripts.n && argc <= REDIS_EVAL_MAX);
	snprintf(keys, sizeof(keys), "%zu", n_keys);
	all[0] = SPAN_LIT("EVALSHA");
	all[1] = (struct span){ r->link.scripts.list[script].sha, REDIS_SHA_LEN };
	all[2] = span_of(keys);
	memcpy(all + 3, argv, argc * sizeof(*argv));
	return redis_send(r, fn, arg, 3 + argc, all);
}

static void
on_scripts_reloaded(void *arg, const redisReply *reply)
{
	struct redis *r = arg;

	if (!reply)
		return;
	if (!redis_scripts_loaded(&r->link.scripts, reply))
		redis_fail(r, reply->type == REDIS_REPLY_ERROR ? reply->str : "SCRIPT LOAD failed");
	if (r->link.scripts.at == r->link.scripts.n)
		r->reloading = false;
}

bool
redis_is_noscript(struct redis *r, const redisReply *reply)
{
	if (!redis_is_error(reply, "NOSCRIPT"))
		return false;
	/* Others were under way when the scripts went: one load serves all. */
	if (r->reloading || !redis_up(r))
		return true;
	r->reloading = true;
	if (redis_scripts_load(&r->link.scripts, r->link.cmd, on_scripts_reloaded, r) < 0)
		redis_fail(r, "out of memory");
	return true;
}

bool
redis_is_outage(struct redis *r, const redisReply *reply)
{
	if (!reply)
		return true;
	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	for (size_t i = 0; i < sizeof(outages) / sizeof(*outages); i++) {
		if (redis_is_error(reply, outages[i])) {
			redis_fail(r, reply->str);
			return true;
		}
	}
	return false;
}

/* --- made, started, closed --- */

struct redis *
redis_new(uv_loop_t *loop, const struct config *config, struct err *reterr)
{
	const char *prefix = config_str(config, "redis.prefix");
	struct redis *r = calloc(1, sizeof(*r));
	const char *wrong;

	if (!r) {
		err_nomem(reterr);
		return NULL;
	}
	r->loop = loop;
	wrong = redis_url_parse(config_str(config, "redis.url"), &r->link.url);
	if (wrong) {
		free(r);
		err_set(reterr, ERR_CONFIG, "redis.url %s", wrong);
		return NULL;
	}
	assert(strlen(prefix ? prefix : "") < sizeof(r->prefix));	/* the table's limit */
	strcpy(r->prefix, prefix ? prefix : "");
	if (r->link.url.is_unix)
		snprintf(r->name, sizeof(r->name), "%s", r->link.url.path);
	else
		snprintf(r->name, sizeof(r->name), "%.100s:%d", r->link.url.host, r->link.url.port);
	set_why(r, "not connected yet");
	r->link.loop = loop;
	r->link.on_up = on_redis_up;
	r->link.on_lost = on_redis_lost;
	r->link.on_message = on_redis_message;
	r->link.arg = r;
	redis_link_init(&r->link, r->prefix);
	return r;
}

void
redis_listen(struct redis *r, const struct redis_listener *l)
{
	size_t i = r->n_listeners++;

	assert(!r->started && i < LISTENERS);
	for (; i > 0 && r->listeners[i - 1].rank > l->rank; i--)
		r->listeners[i] = r->listeners[i - 1];
	r->listeners[i] = *l;
}

int
redis_script(struct redis *r, const char *text)
{
	assert(!r->started);
	return redis_scripts_add(&r->link.scripts, text);
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
	struct redis_greeting *g = &r->link.greeting;
	struct subscription *s = &r->subscriptions[g->n_channels];

	assert(!r->started && g->n_channels < REDIS_CHANNELS);
	*s = (struct subscription){ keep(channel), fn, arg };
	g->channels[g->n_channels++] = s->channel;
}

void
redis_track(struct redis *r, const char *prefix)
{
	assert(!r->started && r->link.greeting.n_tracks < REDIS_TRACKS);
	r->link.greeting.tracks[r->link.greeting.n_tracks++] = keep(prefix);
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
	uv_timer_start(&r->tick, on_redis_tick, TICK_MS, TICK_MS);
	uv_timer_start(&r->retry, on_redis_retry, 0, 0);
}

static void
on_redis_timer_closed(uv_handle_t *h)
{
	one_closed(h->data);
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
	r->to_close = 3;
	uv_close((uv_handle_t *)&r->retry, on_redis_timer_closed);
	uv_close((uv_handle_t *)&r->tick, on_redis_timer_closed);
	redis_link_end(&r->link, one_closed);
}

void
redis_free(struct redis *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->link.greeting.n_channels; i++)
		free(r->subscriptions[i].channel);
	for (size_t i = 0; i < r->link.greeting.n_tracks; i++)
		free(r->link.greeting.tracks[i]);
	redis_link_release(&r->link);
	free(r);
}
