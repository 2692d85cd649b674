/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_closing.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/kafka/client.h"

struct consumer_closing {
	pthread_mutex_t lock;
	bool waited_for;	/* under the lock: the thread may wake the loop */
	int refs;		/* under the lock: the loop's and the thread's */
	rd_kafka_t *rk;		/* the thread's */

	uv_async_t wake;
	uv_timer_t limit;
	int open_handles;
	void (*on_closed)(void *arg);
	void *arg;
};

static void
closing_unref(struct consumer_closing *g)
{
	bool last;

	pthread_mutex_lock(&g->lock);
	last = --g->refs == 0;
	pthread_mutex_unlock(&g->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static void *
close_consumer(void *arg)
{
	struct consumer_closing *g = arg;
	sigset_t all;

	sigfillset(&all);	/* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	(void)rd_kafka_consumer_close(g->rk);
	client_free(g->rk);
	pthread_mutex_lock(&g->lock);
	if (g->waited_for)
		uv_async_send(&g->wake);
	pthread_mutex_unlock(&g->lock);
	closing_unref(g);
	return NULL;
}

/* The close ended, or is not waited for any more. */
static void
end_wait(struct consumer_closing *g)
{
	void (*fn)(void *arg) = g->on_closed;

	(void)uv_timer_stop(&g->limit);
	pthread_mutex_lock(&g->lock);
	g->waited_for = false;
	pthread_mutex_unlock(&g->lock);
	g->on_closed = NULL;
	if (fn)
		fn(g->arg);
}

static void
on_closing_done(uv_async_t *h)
{
	end_wait(h->data);
}

static void
on_closing_limit(uv_timer_t *h)
{
	end_wait(h->data);
}

struct consumer_closing *
consumer_closing_new(uv_loop_t *loop, struct err *reterr)
{
	struct consumer_closing *g = calloc(1, sizeof(*g));
	int ret;

	if (!g) {
		err_nomem(reterr);
		return NULL;
	}
	ret = uv_async_init(loop, &g->wake, on_closing_done);
	if (ret != 0) {
		err_set(reterr, ERR_IO, "cannot watch the Kafka consumer: %s", uv_strerror(ret));
		free(g);
		return NULL;
	}
	(void)uv_timer_init(loop, &g->limit);
	pthread_mutex_init(&g->lock, NULL);
	g->wake.data = g->limit.data = g;
	g->open_handles = 2;
	g->refs = 1;
	return g;
}

static bool
start_thread(struct consumer_closing *g)
{
	pthread_t thread;

	/* No other thread has it yet. */
	g->waited_for = true;
	g->refs++;
	if (pthread_create(&thread, NULL, close_consumer, g) == 0) {
		pthread_detach(thread);
		return true;
	}
	g->waited_for = false;
	g->refs--;
	return false;
}

void
consumer_closing_start(struct consumer_closing *g, rd_kafka_t *rk, int64_t timeout_ms,
		       void (*on_closed)(void *arg), void *arg)
{
	bool started;

	assert(!g->on_closed && on_closed);
	g->rk = rk;
	g->on_closed = on_closed;
	g->arg = arg;
	started = rk && start_thread(g);
	(void)uv_timer_start(&g->limit, on_closing_limit, started ? (uint64_t)timeout_ms : 0, 0);
}

static void
on_closing_handle_closed(uv_handle_t *h)
{
	struct consumer_closing *g = h->data;

	if (--g->open_handles == 0)
		closing_unref(g);
}

void
consumer_closing_free(struct consumer_closing *g)
{
	if (!g)
		return;
	g->on_closed = NULL;
	end_wait(g);
	uv_close((uv_handle_t *)&g->wake, on_closing_handle_closed);
	uv_close((uv_handle_t *)&g->limit, on_closing_handle_closed);
}
