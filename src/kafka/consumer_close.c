/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer_impl.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/client.h"

/* Shared by the loop and the thread that closes; freed by the last. */
struct consumer_closing {
	pthread_mutex_t lock;
	rd_kafka_t *rk;
	uv_async_t *wake;	/* NULL: nobody waits any more */
	int refs;
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
close_aside(void *arg)
{
	struct consumer_closing *g = arg;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	(void)rd_kafka_consumer_close(g->rk);
	client_free(g->rk);
	pthread_mutex_lock(&g->lock);
	if (g->wake)
		uv_async_send(g->wake);
	pthread_mutex_unlock(&g->lock);
	closing_unref(g);
	return NULL;
}

static bool
start_closing(struct consumer *c)
{
	struct consumer_closing *g = calloc(1, sizeof(*g));
	pthread_t thread;

	if (!g)
		return false;
	pthread_mutex_init(&g->lock, NULL);
	g->rk = c->rk;
	g->wake = &c->closed_wake;
	g->refs = 2;
	if (pthread_create(&thread, NULL, close_aside, g) != 0) {
		pthread_mutex_destroy(&g->lock);
		free(g);
		return false;
	}
	pthread_detach(thread);
	c->closing = g;
	return true;
}

void
consumer_close_stop(struct consumer *c)
{
	if (c->handles) {	/* else there were no descriptors for them */
		(void)uv_poll_stop(&c->poll);
		(void)uv_timer_stop(&c->tick);
		(void)uv_timer_stop(&c->jam);
		(void)uv_idle_stop(&c->more);
	}
	consumer_read_release(c);
	consumer_move_release(c);
	consumer_shelf_release(c);
	rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
	rd_kafka_queue_io_event_enable(c->records, -1, NULL, 0);
	rd_kafka_queue_destroy(c->queue);
	rd_kafka_queue_destroy(c->records);
	c->queue = c->records = NULL;
	client_mute(c->rk);
}

void
consumer_close_finish(struct consumer *c)
{
	void (*fn)(void *arg) = c->on_closed;

	(void)uv_timer_stop(&c->closed_limit);
	if (c->closing) {
		pthread_mutex_lock(&c->closing->lock);
		c->closing->wake = NULL;
		pthread_mutex_unlock(&c->closing->lock);
		closing_unref(c->closing);
		c->closing = NULL;
	}
	c->on_closed = NULL;
	if (fn)
		fn(c->closed_arg);	/* may free c */
}

void
consumer_close_wake(uv_async_t *h)
{
	consumer_close_finish(h->data);
}

static void
on_closed_limit(uv_timer_t *h)
{
	consumer_close_finish(h->data);
}

void
consumer_close(struct consumer *c, int64_t timeout_ms, void (*on_closed)(void *arg), void *arg)
{
	bool aside;

	assert(c->rk && on_closed);
	c->on_closed = on_closed;
	c->closed_arg = arg;
	consumer_close_stop(c);
	/* Without a broker the close may never end, or crash (2.14.2), and has
	 * nobody to tell: the handle stays as it is, until the process ends. */
	aside = !c->down && start_closing(c);
	c->rk = NULL;
	(void)uv_timer_start(&c->closed_limit, on_closed_limit, aside ? (uint64_t)timeout_ms : 0,
			     0);
}
