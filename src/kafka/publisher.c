/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/publisher.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "publisher_thread.h"

enum {
	NS_PER_MS = 1000000,
	/* The longest call of the thread that cannot be cut short, and some:
	 * a thread that takes longer is left behind. */
	GRACE_MS = 6000,
};

/* What the thread left for the loop. */
struct outbox {
	struct batch *batch;	/* its verdict is here */
	enum publish_trouble trouble;
	size_t item;
	enum topic topic;
	bool ready_told, ready;
	char why[400];
	int exit_code;		/* 0: none */
	char exit_text[400];
	bool ended;
};

struct publisher {
	struct publisher_events ev;
	struct publisher_thread at_work;	/* the thread's own */
	uv_thread_t thread;
	uv_mutex_t lock;
	uv_cond_t moved;

	/* under the lock */
	struct batch *todo;
	bool stop;
	int64_t stop_at_ms;
	struct outbox out;

	/* the loop's */
	uv_async_t wake;
	uv_timer_t grace;
	char *id;
	bool busy, ready;
	bool joined, left_behind;
	int open_handles;
	void (*on_closed)(void *arg);
	void *closed_arg;
	bool closing, freed;
};

/* --- the thread's side of the queue --- */

static struct batch *
queue_next(void *arg, int64_t ms)
{
	struct publisher *p = arg;
	struct batch *b;

	uv_mutex_lock(&p->lock);
	if (!p->todo && !p->stop)
		(void)uv_cond_timedwait(&p->moved, &p->lock, (uint64_t)ms * NS_PER_MS);
	b = p->todo;
	p->todo = NULL;
	uv_mutex_unlock(&p->lock);
	return b;
}

static void
queue_pause(void *arg, int64_t ms)
{
	struct publisher *p = arg;
	int64_t until = clock_mono_ms() + ms, now;

	uv_mutex_lock(&p->lock);
	/* A batch wakes it too, and must not cut the pause short. */
	while (!p->stop && (now = clock_mono_ms()) < until)
		(void)uv_cond_timedwait(&p->moved, &p->lock, (uint64_t)(until - now) * NS_PER_MS);
	uv_mutex_unlock(&p->lock);
}

static bool
queue_is_over(void *arg, bool at_work)
{
	struct publisher *p = arg;
	bool over;

	uv_mutex_lock(&p->lock);
	over = p->stop && ((!at_work && !p->todo) || clock_mono_ms() >= p->stop_at_ms);
	uv_mutex_unlock(&p->lock);
	return over;
}

static void
queue_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item,
	     enum topic topic)
{
	struct publisher *p = arg;

	uv_mutex_lock(&p->lock);
	assert(!p->out.batch);	/* one at a time */
	p->out.batch = b;
	p->out.trouble = trouble;
	p->out.item = item;
	p->out.topic = topic;
	uv_mutex_unlock(&p->lock);
	uv_async_send(&p->wake);
}

static void
queue_ready(void *arg, bool ready, const char *why)
{
	struct publisher *p = arg;

	uv_mutex_lock(&p->lock);
	p->out.ready_told = true;
	p->out.ready = ready;
	snprintf(p->out.why, sizeof(p->out.why), "%s", why);
	uv_mutex_unlock(&p->lock);
	uv_async_send(&p->wake);
}

static void
queue_fatal(void *arg, int exit_code, const char *text)
{
	struct publisher *p = arg;

	uv_mutex_lock(&p->lock);
	p->out.exit_code = exit_code;
	snprintf(p->out.exit_text, sizeof(p->out.exit_text), "%s", text);
	uv_mutex_unlock(&p->lock);
	uv_async_send(&p->wake);
}

static void
thread_main(void *arg)
{
	struct publisher *p = arg;
	sigset_t all;

	sigfillset(&all);	/* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	publisher_thread_run(&p->at_work);
	publisher_thread_release(&p->at_work);
	uv_mutex_lock(&p->lock);
	if (p->todo) {	/* submitted too late to be begun */
		p->out.batch = p->todo;
		p->out.trouble = PUBLISH_AGAIN;
		p->out.topic = TOPIC_COUNT;
		p->todo = NULL;
	}
	p->out.ended = true;
	uv_mutex_unlock(&p->lock);
	uv_async_send(&p->wake);
}

/* --- the loop's side --- */

static void
free_publisher(struct publisher *p)
{
	uv_cond_destroy(&p->moved);
	uv_mutex_destroy(&p->lock);
	free(p->id);
	free(p);
}

static void
on_publisher_handle_closed(uv_handle_t *h)
{
	struct publisher *p = h->data;
	void (*fn)(void *arg) = p->on_closed;

	if (--p->open_handles > 0)
		return;
	p->on_closed = NULL;
	if (fn)
		fn(p->closed_arg);	/* may free p: then below only marks it */
	if (p->freed)
		free_publisher(p);
	else
		p->closing = false;
}

static void
close_loop_handles(struct publisher *p)
{
	uv_close((uv_handle_t *)&p->wake, on_publisher_handle_closed);
	uv_close((uv_handle_t *)&p->grace, on_publisher_handle_closed);
}

static void
on_publisher_ended(struct publisher *p)
{
	if (p->joined)
		return;
	uv_thread_join(&p->thread);
	p->joined = true;
	close_loop_handles(p);
}

static void
tell_owner(struct publisher *p, const struct outbox *out)
{
	if (out->ready_told && !out->ready)
		p->ev.on_ready(p->ev.arg, false, out->why);
	if (out->batch)
		p->ev.on_verdict(p->ev.arg, out->batch, out->trouble, out->item, out->topic);
	if (out->ready_told && out->ready)
		p->ev.on_ready(p->ev.arg, true, "");
	if (out->exit_code)
		p->ev.on_fatal(p->ev.arg, out->exit_code, out->exit_text);
}

static void
on_publisher_wake(uv_async_t *h)
{
	struct publisher *p = h->data;
	struct outbox out;

	uv_mutex_lock(&p->lock);
	out = p->out;
	p->out.batch = NULL;
	p->out.ready_told = false;
	p->out.exit_code = 0;
	uv_mutex_unlock(&p->lock);
	/* All of it is known before publisher_idle is asked. */
	if (out.ready_told)
		p->ready = out.ready;
	if (out.batch)
		p->busy = false;
	if (!p->freed)
		tell_owner(p, &out);
	if (out.ended)
		on_publisher_ended(p);
}

bool
publisher_idle(const struct publisher *p)
{
	return !p->busy && p->ready && !p->closing;
}

void
publisher_submit(struct publisher *p, struct batch *b)
{
	assert(!p->busy);
	p->busy = true;
	uv_mutex_lock(&p->lock);
	p->todo = b;
	uv_cond_signal(&p->moved);
	uv_mutex_unlock(&p->lock);
}

/* --- made and unmade --- */

static bool
start_publisher(struct publisher *p, uv_loop_t *loop, struct err *reterr)
{
	if (uv_mutex_init(&p->lock) != 0 || uv_cond_init(&p->moved) != 0) {
		err_nomem(reterr);
		return false;
	}
	if (uv_async_init(loop, &p->wake, on_publisher_wake) != 0 ||
	    uv_timer_init(loop, &p->grace) != 0) {
		err_set(reterr, ERR_IO, "publisher: cannot add to the event loop");
		return false;
	}
	p->wake.data = p;
	p->grace.data = p;
	p->open_handles = 2;
	if (uv_thread_create(&p->thread, thread_main, p) == 0)
		return true;
	err_set(reterr, ERR_IO, "publisher: cannot start a thread");
	return false;
}

struct publisher *
publisher_new(uv_loop_t *loop, const struct config *config, const char *transactional_id,
	      const char *const *topics, const struct publisher_events *ev, struct err *reterr)
{
	struct publisher *p = calloc(1, sizeof(*p));
	const struct publisher_queue queue = {
		queue_next, queue_pause, queue_is_over, queue_verdict, queue_ready, queue_fatal, p,
	};

	if (!p || !(p->id = strdup(transactional_id))) {
		free(p);
		err_nomem(reterr);
		return NULL;
	}
	p->ev = *ev;
	if (publisher_thread_init(&p->at_work, &queue, config, p->id, topics, reterr) < 0) {
		free(p->id);
		free(p);
		return NULL;
	}
	if (start_publisher(p, loop, reterr))
		return p;
	publisher_thread_release(&p->at_work);
	p->freed = true;
	if (p->open_handles) {	/* the loop knows them */
		close_loop_handles(p);
	} else {
		free(p->id);
		free(p);
	}
	return NULL;
}

static void
on_publisher_grace_over(uv_timer_t *h)
{
	struct publisher *p = h->data;
	void (*fn)(void *arg) = p->on_closed;

	p->left_behind = true;
	p->on_closed = NULL;
	if (fn)
		fn(p->closed_arg);
}

static void
ask_to_stop(struct publisher *p, int64_t timeout_ms)
{
	uv_mutex_lock(&p->lock);
	p->stop = true;
	p->stop_at_ms = clock_mono_ms() + timeout_ms;
	uv_cond_signal(&p->moved);
	uv_mutex_unlock(&p->lock);
}

void
publisher_close(struct publisher *p, int64_t timeout_ms, void (*on_closed)(void *arg), void *arg)
{
	assert(!p->closing);
	p->closing = true;
	p->on_closed = on_closed;
	p->closed_arg = arg;
	ask_to_stop(p, timeout_ms);
	(void)uv_timer_start(&p->grace, on_publisher_grace_over, (uint64_t)timeout_ms + GRACE_MS,
			     0);
}

void
publisher_free(struct publisher *p)
{
	if (!p || p->freed)
		return;
	p->on_closed = NULL;
	p->freed = true;
	if (p->left_behind)
		return;		/* its thread still uses it; goes when that ends */
	if (!p->joined) {	/* never closed: nobody waits for a verdict any more */
		ask_to_stop(p, 0);
		uv_thread_join(&p->thread);
		p->joined = true;
		close_loop_handles(p);
	} else if (p->open_handles == 0 && !p->closing) {
		free_publisher(p);
	}
}
