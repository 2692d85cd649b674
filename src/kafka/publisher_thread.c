/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher_thread.h"

#include <assert.h>
#include <stdio.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/offsets.h"

enum {
	SEND_OFFSETS_MS = 5000,		/* cannot be resumed: a time-out costs an abort */
	IDLE_MS = 500,			/* then the producer's events are served */
	FENCES_WITHIN_MS = 60000,
	SUSPECT_TIMES = 3,
};

static const struct backoff retry = { .min_ms = 50, .max_ms = 5000 };

/* --- what the loop is told --- */

static void
tell_ready(struct publisher_thread *t)
{
	if (!t->ready)
		t->queue.ready(t->queue.arg, true, "");
	t->ready = true;
}

static void
tell_not_ready(struct publisher_thread *t, const char *why)
{
	const char *error = t->producer.last_error;
	char text[400];

	snprintf(text, sizeof(text), "%s%s%s%s", why, error[0] ? " (" : "", error,
		 error[0] ? ")" : "");
	t->queue.ready(t->queue.arg, false, text);
	t->ready = false;
}

static void
tell_verdict(struct publisher_thread *t, enum publish_trouble trouble)
{
	struct batch *b = t->batch;

	t->batch = NULL;
	t->doubt = false;
	t->queue.verdict(t->queue.arg, b, trouble, t->producer.item, t->producer.topic);
}

static void
tell_exit(struct publisher_thread *t, int exit_code, const char *text)
{
	t->dead = true;
	tell_not_ready(t, text);
	/* The process ends; the batch goes back so that it can be handed over. */
	if (t->batch)
		tell_verdict(t, PUBLISH_AGAIN);
	t->queue.fatal(t->queue.arg, exit_code, text);
}

/* --- what a step does --- */

static void
enter_state(struct publisher_thread *t, enum txn_state next)
{
	t->state = next;
	t->tries = 0;
}

static void
act_go(struct publisher_thread *t, const struct txn_step *s)
{
	if (t->state != s->next)
		enter_state(t, s->next);
}

static void
act_repeat(struct publisher_thread *t, const struct txn_step *s)
{
	t->repeated |= t->call == TXN_CALL_COMMIT;
	t->tries++;
	tell_not_ready(t, s->why);
	t->queue.pause(t->queue.arg, backoff_ms(&retry, t->tries));
}

static void
act_flush(struct publisher_thread *t, const struct txn_step *s)
{
	(void)s;
	publisher_producer_make_room(&t->producer);
}

static void
act_give_up(struct publisher_thread *t, const struct txn_step *s)
{
	struct publisher_producer *p = &t->producer;

	t->trouble = s->trouble;
	/* One record too large fails all in its request: the culprit shows when
	 * it is alone. */
	if (s->trouble == PUBLISH_ITEM_TOO_LARGE && t->call == TXN_CALL_DELIVERY &&
	    p->delivery.several)
		t->trouble = PUBLISH_AGAIN;
	if (s->trouble == PUBLISH_TOPIC_PARKED && p->topic < TOPIC_COUNT)
		p->stale[p->topic] = true;
	/* The engine tells of a topic that is missing, once for many tries. */
	log_write(s->trouble == PUBLISH_TOPIC_PARKED ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		  "aborting the transaction: %s%s%s", s->why, p->last_error[0] ? ": " : "",
		  p->last_error);
	enter_state(t, s->next);
}

static void
act_suspect(struct publisher_thread *t, const struct txn_step *s)
{
	const struct publish_item *item = &t->batch->items[0];

	act_give_up(t, s);
	if (t->batch->n_items != 1)
		return;
	if (t->suspect.times == 0 || t->suspect.partition != item->partition ||
	    t->suspect.offset != item->offset)
		t->suspect.times = 0;
	t->suspect.partition = item->partition;
	t->suspect.offset = item->offset;
	if (++t->suspect.times < SUSPECT_TIMES)
		return;
	t->suspect.times = 0;
	t->trouble = PUBLISH_ITEM_REFUSED;
}

static void
act_done(struct publisher_thread *t, const struct txn_step *s)
{
	for (size_t i = 0; i < t->batch->n_items; i++)
		t->batch->items[i].done = true;
	metrics_add(METRIC_TRANSACTIONS, 1);
	t->recreated = 0;
	t->suspect.times = 0;
	t->producer.topic = TOPIC_COUNT;
	crash_at("committed");
	tell_verdict(t, PUBLISH_FINE);
	enter_state(t, s->next);
}

static void
act_trouble(struct publisher_thread *t, const struct txn_step *s)
{
	t->recreated = 0;
	tell_verdict(t, t->trouble);
	enter_state(t, s->next);
}

static void
act_drop(struct publisher_thread *t, const struct txn_step *s)
{
	const char *error = t->producer.last_error;

	t->why_recreated = s->why;
	log_warn("transactional id '%s': %s%s%s; recreating the producer", t->producer.id, s->why,
		 error[0] ? ": " : "", error);
	if (t->batch && !t->doubt)
		tell_verdict(t, t->state == TXN_ABORT ? t->trouble : s->trouble);
	enter_state(t, s->next);
}

static void
act_doubt(struct publisher_thread *t, const struct txn_step *s)
{
	t->doubt = true;
	act_drop(t, s);
}

static void
count_fence(struct publisher_thread *t)
{
	int64_t now = clock_mono_ms();
	char text[300];

	if (t->fenced_ms >= 0 && now - t->fenced_ms < FENCES_WITHIN_MS) {
		snprintf(text, sizeof(text),
			 "another producer uses the transactional id '%.150s': two workers run "
			 "with the same instance.id",
			 t->producer.id);
		tell_exit(t, EXIT_UNAVAILABLE, text);
	}
	t->fenced_ms = now;
}

static void
act_drop_fenced(struct publisher_thread *t, const struct txn_step *s)
{
	act_drop(t, s);
	count_fence(t);
}

static void
act_doubt_fenced(struct publisher_thread *t, const struct txn_step *s)
{
	act_doubt(t, s);
	count_fence(t);
}

static void
act_exit(struct publisher_thread *t, const struct txn_step *s)
{
	const char *error = t->producer.last_error;
	char text[400];

	snprintf(text, sizeof(text), "transactional id '%.100s': %s%s%.150s", t->producer.id,
		 s->why, error[0] ? ": " : "", error);
	tell_exit(t, s->exit_code, text);
}

static void (*const acts[])(struct publisher_thread *t, const struct txn_step *s) = {
	[TXN_GO] = act_go,
	[TXN_REPEAT] = act_repeat,
	[TXN_FLUSH] = act_flush,
	[TXN_GIVE_UP] = act_give_up,
	[TXN_GIVE_UP_SUSPECT] = act_suspect,
	[TXN_REPORT_DONE] = act_done,
	[TXN_REPORT_TROUBLE] = act_trouble,
	[TXN_DROP] = act_drop,
	[TXN_DROP_FENCED] = act_drop_fenced,
	[TXN_DOUBT] = act_doubt,
	[TXN_DOUBT_FENCED] = act_doubt_fenced,
	[TXN_EXIT] = act_exit,
};

static void
follow(struct publisher_thread *t, enum txn_call call, struct txn_answer answer)
{
	const struct txn_when when = {
		/* BOOTTIME: the broker's clock goes on while the host sleeps. */
		.age_ms = t->batch && !t->doubt ? clock_boot_ms() - t->begun_ms : 0,
		.timeout_ms = t->timeout_ms,
		.starting = !t->started,
		.repeated = t->repeated,
	};
	struct txn_step step = txn_decide(t->state, call, &answer, &when);

	t->call = call;
	acts[step.action](t, &step);
}

/* --- the states --- */

static void
do_init(struct publisher_thread *t)
{
	struct txn_answer a = publisher_producer_init(&t->producer, t->tries);

	follow(t, TXN_CALL_INIT, a);
	t->started |= a.code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* --- a batch in doubt --- */

static bool
is_batch_over(void *arg)
{
	struct publisher_thread *t = arg;

	return t->queue.is_over(t->queue.arg, /* at_work= */ true);
}

static void
on_reconcile_wait(void *arg, rd_kafka_resp_err_t why)
{
	struct publisher_thread *t = arg;
	char text[256];

	snprintf(text, sizeof(text), "the committed offsets cannot be read: %s",
		 rd_kafka_err2str(why));
	t->queue.ready(t->queue.arg, false, text);
}

/* Of a batch without items nothing is known: it is published again. */
static enum publish_trouble
reconciled(const struct batch *b)
{
	for (size_t i = 0; i < b->n_items; i++)
		if (!b->items[i].done)
			return PUBLISH_AGAIN;
	return b->n_items ? PUBLISH_FINE : PUBLISH_AGAIN;
}

static void
do_reconcile(struct publisher_thread *t)
{
	struct txn_answer a = { .code = RD_KAFKA_RESP_ERR_NO_ERROR };

	const struct offsets_watch watch = { is_batch_over, on_reconcile_wait, t };

	/* Without offsets nothing can tell: it is published again. */
	if (t->batch && t->batch->offsets && t->batch->offsets->cnt > 0 &&
	    !publisher_reconcile_mark(&t->reconcile, t->batch, &watch))
		a.code = RD_KAFKA_RESP_ERR__TIMED_OUT;
	follow(t, TXN_CALL_READ, a);
	if (t->state != TXN_IDLE || !t->batch)
		return;
	t->producer.topic = TOPIC_COUNT;
	t->batch->in_doubt = true;
	log_info("the batch in doubt is %s",
		 reconciled(t->batch) == PUBLISH_FINE ? "committed" : "published again");
	tell_verdict(t, reconciled(t->batch));
}

/* --- the next batch --- */

static void
take_batch(struct publisher_thread *t, struct batch *b)
{
	publisher_producer_reset(&t->producer);
	t->batch = b;
	t->doubt = false;
	t->repeated = false;
	t->trouble = PUBLISH_FINE;
	b->in_doubt = false;
	for (size_t i = 0; i < b->n_items; i++)
		b->items[i].done = false;
}

static void
do_idle(struct publisher_thread *t)
{
	struct publisher_producer *p = &t->producer;
	struct txn_answer a;
	struct batch *b;

	tell_ready(t);
	a = publisher_producer_health(p);
	if (a.code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		follow(t, TXN_CALL_EVENT, a);
		return;
	}
	b = t->queue.next(t->queue.arg, IDLE_MS);
	if (!b)
		return;
	take_batch(t, b);
	t->begun_ms = clock_boot_ms();
	follow(t, TXN_CALL_BEGIN, publisher_producer_begin(p));
}

/* One event, until it is in the queue or the batch is given up. */
static void
produce_event(struct publisher_thread *t, const struct event *ev, size_t item)
{
	struct txn_answer a;

	do {
		a = publisher_producer_produce(&t->producer, ev, item);
		follow(t, TXN_CALL_PRODUCE, a);
	} while (a.code == RD_KAFKA_RESP_ERR__QUEUE_FULL && t->state == TXN_OPEN && !t->dead &&
		 !is_batch_over(t));
}

static void
do_open(struct publisher_thread *t)
{
	const struct batch *b = t->batch;
	struct event ev;

	crash_at("begun");
	for (size_t i = 0; i < b->n_items; i++) {
		size_t at = 0;

		while (b->items[i].events && events_next(b->items[i].events, &at, &ev)) {
			produce_event(t, &ev, i);
			if (t->state != TXN_OPEN || t->dead)
				return;
		}
	}
	follow(t, TXN_CALL_DELIVERY, publisher_producer_flush(&t->producer, is_batch_over, t));
	if (t->state == TXN_OFFSETS)
		crash_at("produced");
}

static void
do_offsets(struct publisher_thread *t)
{
	struct publisher_producer *p = &t->producer;
	const struct batch *b = t->batch;
	int64_t ms = t->timeout_ms / 2 < SEND_OFFSETS_MS ? t->timeout_ms / 2 : SEND_OFFSETS_MS;
	struct txn_answer a;

	a = publisher_producer_health(p);
	if (a.code == RD_KAFKA_RESP_ERR__TRANSPORT) {
		follow(t, TXN_CALL_EVENT, a);
		return;
	}
	a = (struct txn_answer){ .code = RD_KAFKA_RESP_ERR_NO_ERROR };
	if (b->offsets && b->offsets->cnt > 0) {
		assert(b->group);
		a = publisher_producer_offsets(p, b->offsets, b->group, (int)ms);
	}
	follow(t, TXN_CALL_OFFSETS, a);
	if (t->state == TXN_COMMIT)
		crash_at("offsets");
}

static void
do_commit(struct publisher_thread *t)
{
	crash_at("committing");
	follow(t, TXN_CALL_COMMIT, publisher_producer_commit(&t->producer));
}

static void
do_abort(struct publisher_thread *t)
{
	follow(t, TXN_CALL_ABORT, publisher_producer_abort(&t->producer));
}

static void
do_recreate(struct publisher_thread *t)
{
	struct err err = { 0 };
	char text[300];

	snprintf(text, sizeof(text), "transactional id '%.150s': %s", t->producer.id,
		 t->why_recreated ? t->why_recreated : "recreating the producer");
	tell_not_ready(t, text);
	/* At once the first time, then with a back-off. */
	if (t->recreated++ > 0)
		t->queue.pause(t->queue.arg, backoff_ms(&retry, t->recreated));
	publisher_producer_close(&t->producer);
	if (publisher_producer_open(&t->producer, &err) < 0) {
		log_warn("cannot create a producer: %s", err.text);
		return;
	}
	metrics_add(METRIC_PRODUCER_RECREATED, 1);
	enter_state(t, TXN_INIT);
}

static void (*const states[])(struct publisher_thread *t) = {
	[TXN_INIT] = do_init,
	[TXN_RECONCILE] = do_reconcile,
	[TXN_IDLE] = do_idle,
	[TXN_OPEN] = do_open,
	[TXN_OFFSETS] = do_offsets,
	[TXN_COMMIT] = do_commit,
	[TXN_ABORT] = do_abort,
	[TXN_RECREATE] = do_recreate,
};

/* --- from outside --- */

int
publisher_thread_init(struct publisher_thread *t, const struct publisher_queue *queue,
		      const struct config *config, const char *transactional_id,
		      const char *const *topics, struct err *reterr)
{
	int ret;

	*t = (struct publisher_thread){
		.queue = *queue,
		.timeout_ms = config_int(config, "transaction.timeout"),
		.producer = { .config = config, .id = transactional_id, .topics = topics,
			      .topic = TOPIC_COUNT },
		.reconcile = { .config = config },
		.fenced_ms = -1,
	};
	ret = publisher_producer_open(&t->producer, reterr);
	if (ret < 0)
		publisher_thread_release(t);
	return ret;
}

void
publisher_thread_run(struct publisher_thread *t)
{
	while (!t->queue.is_over(t->queue.arg, t->batch != NULL)) {
		if (t->dead)
			t->queue.pause(t->queue.arg, retry.max_ms);
		else
			states[t->state](t);
	}
	if (t->batch)
		tell_verdict(t, PUBLISH_AGAIN);
}

void
publisher_thread_release(struct publisher_thread *t)
{
	publisher_producer_close(&t->producer);
	publisher_reconcile_release(&t->reconcile);
}
