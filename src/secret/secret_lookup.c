/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * The loop and the thread share struct shared, which the last of the two frees:
 * so nobody waits for a thread that hangs in a file system. A look-up is with one
 * of the two at a time: with the thread between `queue` and `done`. One that the
 * loop gives up meanwhile is only marked, and freed when it comes back.
 */
#include "envdriver/secret/secret_lookup.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"

struct one {
	size_t id_at, id_len;		/* in `texts` */
	struct buf value;
};

struct secret_lookup {
	struct secret_lookups *all;
	TAILQ_ENTRY(secret_lookup) waiting;	/* among those with an `fn` to come */
	TAILQ_ENTRY(secret_lookup) moving;	/* in `queue` or `done` */
	int64_t at_ms;				/* when it is too late */
	int64_t limit_ms;
	void (*fn)(void *arg, const struct secret_found *found);	/* NULL: given up */
	void *arg;
	bool given_up;				/* under the mutex: need not be done */
	struct buf texts;			/* the company, then the ids */
	size_t company_len;
	int ret;
	struct err err;
	size_t failed, n;
	struct one list[];
};

TAILQ_HEAD(lookup_queue, secret_lookup);

/* Under the mutex, but for the source, which stays as it is. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct lookup_queue queue, done;
	bool closed;			/* the loop is gone */
	bool running;			/* the thread is there */
	uv_async_t *async;
	struct secret_source source;
	char *dir, *credentials;
};

struct secret_lookups {
	uv_async_t async;
	uv_timer_t timer;
	unsigned open;			/* of the two handles */
	struct shared *shared;
	struct lookup_queue waiting;
	size_t n;			/* look-ups that were not freed */
};

static void
lookup_free(struct secret_lookup *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_release(&l->list[i].value);
	buf_release(&l->texts);
	free(l);
}

static void
free_queue(struct lookup_queue *q)
{
	struct secret_lookup *l;

	while ((l = TAILQ_FIRST(q))) {
		TAILQ_REMOVE(q, l, moving);
		lookup_free(l);
	}
}

static void
shared_free(struct shared *s)
{
	free_queue(&s->queue);
	free_queue(&s->done);
	pthread_mutex_destroy(&s->mutex);
	pthread_cond_destroy(&s->more);
	free(s->dir);
	free(s->credentials);
	free(s);
}

/* --- the thread --- */

static void
look_up(const struct secret_source *source, struct secret_lookup *l)
{
	struct span company = { buf_span(&l->texts).ptr, l->company_len };

	for (size_t i = 0; i < l->n && l->ret == 0; i++) {
		struct one *o = &l->list[i];
		struct span id = { l->texts.data + o->id_at, o->id_len };

		l->failed = i;
		l->ret = secret_source_read(source, company, id, &o->value, &l->err);
	}
}

static void *
run_lookups(void *arg)
{
	struct shared *s = arg;
	struct secret_lookup *l;

	pthread_mutex_lock(&s->mutex);
	while (!s->closed) {
		l = TAILQ_FIRST(&s->queue);
		if (!l) {
			pthread_cond_wait(&s->more, &s->mutex);
			continue;
		}
		TAILQ_REMOVE(&s->queue, l, moving);
		if (!l->given_up) {
			pthread_mutex_unlock(&s->mutex);
			look_up(&s->source, l);
			pthread_mutex_lock(&s->mutex);
		}
		TAILQ_INSERT_TAIL(&s->done, l, moving);
		if (!s->closed)
			uv_async_send(s->async);
	}
	pthread_mutex_unlock(&s->mutex);
	shared_free(s);
	return NULL;
}

/* --- the loop --- */

static void
tell(struct secret_lookup *l)
{
	void (*fn)(void *arg, const struct secret_found *found) = l->fn;
	struct span *values = calloc(l->n, sizeof(*values));
	struct secret_found found = { l->ret, values, l->failed, &l->err };

	l->fn = NULL;
	TAILQ_REMOVE(&l->all->waiting, l, waiting);
	if (!values)
		found.ret = err_nomem(&l->err);
	for (size_t i = 0; values && i < l->n; i++)
		values[i] = buf_span(&l->list[i].value);
	fn(l->arg, &found);
	free(values);
}

static void
on_secrets_read(uv_async_t *async)
{
	struct secret_lookups *all = async->data;
	struct secret_lookup *l;

	for (;;) {
		pthread_mutex_lock(&all->shared->mutex);
		l = TAILQ_FIRST(&all->shared->done);
		if (l)
			TAILQ_REMOVE(&all->shared->done, l, moving);
		pthread_mutex_unlock(&all->shared->mutex);
		if (!l)
			return;
		all->n--;
		if (l->fn)
			tell(l);
		lookup_free(l);
		if (!all->shared)
			return;		/* freed meanwhile */
	}
}

static void
give_up(struct secret_lookup *l)
{
	struct secret_lookups *all = l->all;

	if (l->fn)
		TAILQ_REMOVE(&all->waiting, l, waiting);
	l->fn = NULL;
	pthread_mutex_lock(&all->shared->mutex);
	l->given_up = true;
	pthread_mutex_unlock(&all->shared->mutex);
}

static void on_lookup_late(uv_timer_t *timer);

/* Limits differ, and a late answer is late by a tick at most: the first one in the
 * list is looked at, and all that are due with it. */
static void
arm_lookups(struct secret_lookups *all)
{
	struct secret_lookup *l;
	int64_t first = INT64_MAX, now = clock_mono_ms();

	TAILQ_FOREACH(l, &all->waiting, waiting)
		first = l->at_ms < first ? l->at_ms : first;
	if (first == INT64_MAX)
		uv_timer_stop(&all->timer);
	else
		uv_timer_start(&all->timer, on_lookup_late,
			       first > now ? (uint64_t)(first - now) : 0, 0);
}

static void
tell_late(struct secret_lookup *l)
{
	void (*fn)(void *arg, const struct secret_found *found) = l->fn;
	struct err err = { 0 };
	struct secret_found found = { .err = &err };
	void *arg = l->arg;

	found.ret = err_set(&err, ERR_TIMEOUT, "the sources gave no answer within %lld ms",
			    (long long)l->limit_ms);
	err.retriable = true;
	give_up(l);
	fn(arg, &found);
}

static void
on_lookup_late(uv_timer_t *timer)
{
	struct secret_lookups *all = timer->data;
	int64_t now = clock_mono_ms();
	struct secret_lookup *l;

	/* The loop may have stood still, and not the thread. */
	on_secrets_read(&all->async);
	if (!all->shared)
		return;
again:
	TAILQ_FOREACH(l, &all->waiting, waiting) {
		if (l->at_ms > now)
			continue;
		tell_late(l);
		if (!all->shared)
			return;		/* freed meanwhile */
		goto again;
	}
	arm_lookups(all);
}

static int
start_lookups(struct shared *s, struct err *reterr)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	if (s->running)
		return 0;
	if (pthread_attr_init(&attr) != 0)
		return err_nomem(reterr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attr, run_lookups, s);
	pthread_attr_destroy(&attr);
	if (error)
		return err_set(reterr, ERR_UNAVAILABLE, "no thread could be started: %s",
			       strerror(error));
	s->running = true;
	return 0;
}

static struct secret_lookup *
new_lookup(struct span company, const struct span *ids, size_t n)
{
	struct secret_lookup *l = calloc(1, sizeof(*l) + n * sizeof(l->list[0]));

	if (!l)
		return NULL;
	l->n = n;
	l->company_len = company.len;
	buf_addspan(&l->texts, company);
	for (size_t i = 0; i < n; i++) {
		struct span id = ids[i];

		/* One that is too long is none: no more of it is needed to say so. */
		if (id.len > SECRET_NAME_MAX)
			id.len = SECRET_NAME_MAX + 1;
		l->list[i] = (struct one){ l->texts.len, id.len, BUF_WIPES };
		buf_addspan(&l->texts, id);
	}
	if (l->texts.failed) {
		lookup_free(l);
		return NULL;
	}
	return l;
}

struct secret_lookup *
secret_lookup_start(struct secret_lookups *all, struct span company, const struct span *ids,
		    size_t n, int64_t limit_ms,
		    void (*fn)(void *arg, const struct secret_found *found), void *arg,
		    struct err *reterr)
{
	struct shared *s = all->shared;
	struct secret_lookup *l;

	if (all->n >= SECRET_LOOKUPS_MAX) {
		err_set(reterr, ERR_LIMIT, "%d other look-ups wait for the sources",
			SECRET_LOOKUPS_MAX);
		if (reterr)
			reterr->retriable = true;
		return NULL;
	}
	if (start_lookups(s, reterr) < 0)
		return NULL;
	l = new_lookup(company, ids, n);
	if (!l) {
		err_nomem(reterr);
		return NULL;
	}
	l->all = all;
	l->fn = fn;
	l->arg = arg;
	l->limit_ms = limit_ms < SECRET_LOOKUP_MS ? limit_ms : SECRET_LOOKUP_MS;
	l->at_ms = clock_mono_ms() + l->limit_ms;
	TAILQ_INSERT_TAIL(&all->waiting, l, waiting);
	all->n++;
	if (!uv_is_active((uv_handle_t *)&all->timer) || l->limit_ms < SECRET_LOOKUP_MS)
		arm_lookups(all);
	pthread_mutex_lock(&s->mutex);
	TAILQ_INSERT_TAIL(&s->queue, l, moving);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->mutex);
	return l;
}

void
secret_lookup_cancel(struct secret_lookup *l)
{
	give_up(l);
}

/* --- life --- */

static void
on_lookups_closed(uv_handle_t *handle)
{
	struct secret_lookups *all = handle->data;

	if (--all->open == 0)
		free(all);
}

void
secret_lookups_free(struct secret_lookups *all)
{
	struct shared *s;
	bool running;

	if (!all)
		return;
	s = all->shared;
	all->shared = NULL;
	pthread_mutex_lock(&s->mutex);
	s->closed = true;
	running = s->running;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->mutex);
	if (!running)
		shared_free(s);
	uv_close((uv_handle_t *)&all->async, on_lookups_closed);
	uv_close((uv_handle_t *)&all->timer, on_lookups_closed);
}

static struct shared *
shared_new(const struct secret_source *source)
{
	struct shared *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->more, NULL);
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->done);
	s->dir = source->dir ? strdup(source->dir) : NULL;
	s->credentials = source->credentials ? strdup(source->credentials) : NULL;
	s->source = (struct secret_source){ s->dir, s->credentials, source->env };
	if (!s->dir == !source->dir && !s->credentials == !source->credentials)
		return s;
	shared_free(s);
	return NULL;
}

struct secret_lookups *
secret_lookups_new(uv_loop_t *loop, const struct secret_source *source, struct err *reterr)
{
	struct secret_lookups *all = calloc(1, sizeof(*all));
	int error = 0;

	if (all)
		all->shared = shared_new(source);
	if (!all || !all->shared) {
		err_nomem(reterr);
		free(all);
		return NULL;
	}
	TAILQ_INIT(&all->waiting);
	error = uv_async_init(loop, &all->async, on_secrets_read);
	if (error) {
		err_set(reterr, ERR_IO, "uv_async_init: %s", uv_strerror(error));
		shared_free(all->shared);
		free(all);
		return NULL;
	}
	uv_timer_init(loop, &all->timer);
	all->async.data = all->timer.data = all;
	all->shared->async = &all->async;
	all->open = 2;
	/* Neither keeps the loop alive. */
	uv_unref((uv_handle_t *)&all->async);
	uv_unref((uv_handle_t *)&all->timer);
	return all;
}
