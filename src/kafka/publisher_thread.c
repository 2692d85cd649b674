/* SPDX-License-Identifier: Apache-2.0 */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/err.h"
#include "envdriver/base/exit.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/group_meta.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/offsets.h"
#include "publisher_impl.h"

enum {
	STEP_MS = 1000,			/* one try of a call that can be resumed */
	SEND_OFFSETS_MS = 5000,		/* cannot be resumed: a time-out costs an abort */
	IDLE_MS = 500,			/* then the producer's events are served */
	FENCES_WITHIN_MS = 60000,
	SUSPECT_TIMES = 3,
};

static const struct backoff backoff = { .min_ms = 50, .max_ms = 5000 };

/* --- what the loop is told --- */

static void
tell_ready(struct publisher_run *r)
{
	if (!r->ready)
		r->desk.ready(r->desk.arg, true, "");
	r->ready = true;
}

static void
tell_not_ready(struct publisher_run *r, const char *why)
{
	char text[400];

	snprintf(text, sizeof(text), "%s%s%s%s", why, r->last_error[0] ? " (" : "", r->last_error,
		 r->last_error[0] ? ")" : "");
	r->desk.ready(r->desk.arg, false, text);
	r->ready = false;
}

static void
tell_verdict(struct publisher_run *r, enum publish_trouble trouble)
{
	struct batch *b = r->batch;

	r->batch = NULL;
	r->doubt = false;
	r->desk.verdict(r->desk.arg, b, trouble, r->item, r->topic);
}

static void
tell_fatal(struct publisher_run *r, int exit_code, const char *text)
{
	r->dead = true;
	tell_not_ready(r, text);
	/* The process ends; the batch goes back so that it can be handed over. */
	if (r->batch)
		tell_verdict(r, PUBLISH_AGAIN);
	r->desk.fatal(r->desk.arg, exit_code, text);
}

/* --- what a step does --- */

static void
enter(struct publisher_run *r, enum txn_state next)
{
	r->state = next;
	r->tries = 0;
}

static void
act_go(struct publisher_run *r, const struct txn_step *s)
{
	if (r->state != s->next)
		enter(r, s->next);
}

static void
act_repeat(struct publisher_run *r, const struct txn_step *s)
{
	r->repeated |= r->call == TXN_CALL_COMMIT;
	r->tries++;
	tell_not_ready(r, s->why);
	r->desk.pause(r->desk.arg, backoff_ms(&backoff, (unsigned)r->tries));
}

static void
act_flush(struct publisher_run *r, const struct txn_step *s)
{
	(void)s;
	(void)rd_kafka_flush(r->rk, STEP_MS);
}

static void
act_give_up(struct publisher_run *r, const struct txn_step *s)
{
	r->trouble = s->trouble;
	/* One record too large fails all that travel with it: alone it shows. */
	if (s->trouble == PUBLISH_ITEM_TOO_LARGE && r->call == TXN_CALL_DELIVERY &&
	    r->delivery.several)
		r->trouble = PUBLISH_AGAIN;
	if (s->trouble == PUBLISH_TOPIC_PARKED && r->topic < TOPIC_COUNT)
		r->stale[r->topic] = true;
	/* A topic that is missing is told by flow, once for many tries. */
	log_write(s->trouble == PUBLISH_TOPIC_PARKED ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		  "transaction is aborted: %s%s%s", s->why, r->last_error[0] ? ": " : "",
		  r->last_error);
	enter(r, s->next);
}

static void
act_suspect(struct publisher_run *r, const struct txn_step *s)
{
	const struct publish_item *item = &r->batch->items[0];

	act_give_up(r, s);
	if (r->batch->n_items != 1)
		return;
	if (r->alone.times == 0 || r->alone.partition != item->partition ||
	    r->alone.offset != item->offset)
		r->alone.times = 0;
	r->alone.partition = item->partition;
	r->alone.offset = item->offset;
	if (++r->alone.times < SUSPECT_TIMES)
		return;
	r->alone.times = 0;
	r->trouble = PUBLISH_ITEM_REFUSED;
}

static void
act_done(struct publisher_run *r, const struct txn_step *s)
{
	for (size_t i = 0; i < r->batch->n_items; i++)
		r->batch->items[i].done = true;
	metrics_add(METRIC_TRANSACTIONS, 1);
	r->recreated = 0;
	r->alone.times = 0;
	r->topic = TOPIC_COUNT;
	crash_at("committed");
	tell_verdict(r, PUBLISH_FINE);
	enter(r, s->next);
}

static void
act_trouble(struct publisher_run *r, const struct txn_step *s)
{
	r->recreated = 0;
	tell_verdict(r, r->trouble);
	enter(r, s->next);
}

static void
act_drop(struct publisher_run *r, const struct txn_step *s)
{
	r->why_anew = s->why;
	log_warn("transactional id '%s': %s%s%s; the producer is made anew", r->id, s->why,
		 r->last_error[0] ? ": " : "", r->last_error);
	if (r->batch && !r->doubt)
		tell_verdict(r, r->state == TXN_ABORT ? r->trouble : s->trouble);
	enter(r, s->next);
}

static void
act_doubt(struct publisher_run *r, const struct txn_step *s)
{
	r->doubt = true;
	act_drop(r, s);
}

static void
count_fence(struct publisher_run *r)
{
	int64_t now = clock_mono_ms();
	char text[300];

	if (r->fenced_ms >= 0 && now - r->fenced_ms < FENCES_WITHIN_MS) {
		snprintf(text, sizeof(text),
			 "another producer uses the transactional id '%.150s': two workers run "
			 "with the same instance.id",
			 r->id);
		tell_fatal(r, EXIT_UNAVAILABLE, text);
	}
	r->fenced_ms = now;
}

static void
act_drop_fenced(struct publisher_run *r, const struct txn_step *s)
{
	act_drop(r, s);
	count_fence(r);
}

static void
act_doubt_fenced(struct publisher_run *r, const struct txn_step *s)
{
	act_doubt(r, s);
	count_fence(r);
}

static void
act_exit(struct publisher_run *r, const struct txn_step *s)
{
	char text[400];

	snprintf(text, sizeof(text), "transactional id '%.100s': %s%s%.150s", r->id, s->why,
		 r->last_error[0] ? ": " : "", r->last_error);
	tell_fatal(r, s->exit_code, text);
}

static void (*const acts[])(struct publisher_run *r, const struct txn_step *s) = {
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
follow(struct publisher_run *r, enum txn_call call, struct txn_answer answer)
{
	const struct txn_when when = {
		/* BOOTTIME: the broker's clock goes on while we are asleep. */
		.age_ms = r->batch && !r->doubt ? clock_boot_ms() - r->begun_ms : 0,
		.timeout_ms = r->timeout_ms,
		.starting = !r->started,
		.repeated = r->repeated,
	};
	struct txn_step step = txn_decide(r->state, call, &answer, &when);

	r->call = call;
	acts[step.action](r, &step);
}

/* --- the states --- */

static void
do_init(struct publisher_run *r)
{
	struct txn_answer a;

	(void)rd_kafka_poll(r->rk, 0);
	client_bootstrap(r->config, r->rk, (unsigned)r->tries);
	a = publisher_batch_answer(r, rd_kafka_init_transactions(r->rk, STEP_MS));
	if (a.code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		r->last_error[0] = '\0';
		r->lost = false;
		publisher_batch_prewarm(r);
	}
	follow(r, TXN_CALL_INIT, a);
	r->started |= a.code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* An offsets-only batch is told apart by its offsets. */
static enum publish_trouble
reconciled(const struct batch *b)
{
	for (size_t i = 0; i < b->n_items; i++)
		if (!b->items[i].done)
			return PUBLISH_AGAIN;
	return b->n_items ? PUBLISH_FINE : PUBLISH_AGAIN;
}

static void
do_reconcile(struct publisher_run *r)
{
	struct txn_answer a = { .code = RD_KAFKA_RESP_ERR_NO_ERROR };

	/* Without offsets nothing can tell: it is published again. */
	if (r->batch && r->batch->offsets && r->batch->offsets->cnt > 0)
		a = publisher_batch_reconcile(r);
	follow(r, TXN_CALL_READ, a);
	if (r->state != TXN_IDLE || !r->batch)
		return;
	r->topic = TOPIC_COUNT;
	r->batch->in_doubt = true;
	log_info("the batch in doubt is %s",
		 reconciled(r->batch) == PUBLISH_FINE ? "committed" : "published again");
	tell_verdict(r, reconciled(r->batch));
}

static void
take(struct publisher_run *r, struct batch *b)
{
	r->batch = b;
	r->doubt = false;
	r->repeated = false;
	memset(r->used, 0, sizeof(r->used));
	atomic_store(&r->denied, 0);
	r->delivery = (struct delivery){ .code = RD_KAFKA_RESP_ERR_NO_ERROR };
	r->trouble = PUBLISH_FINE;
	r->item = 0;
	r->topic = TOPIC_COUNT;
	r->last_error[0] = '\0';
	b->in_doubt = false;
	for (size_t i = 0; i < b->n_items; i++)
		b->items[i].done = false;
}

static void
do_idle(struct publisher_run *r)
{
	struct txn_answer a;
	struct batch *b;

	tell_ready(r);
	(void)rd_kafka_poll(r->rk, 0);
	a = publisher_batch_health(r);
	if (a.code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		follow(r, TXN_CALL_EVENT, a);
		return;
	}
	b = r->desk.next(r->desk.arg, IDLE_MS);
	if (!b)
		return;
	take(r, b);
	publisher_batch_refresh(r);
	r->begun_ms = clock_boot_ms();
	follow(r, TXN_CALL_BEGIN, publisher_batch_answer(r, rd_kafka_begin_transaction(r->rk)));
}

/* One event, until it is in the queue or the batch is given up. */
static void
produce(struct publisher_run *r, const struct event *ev, size_t item)
{
	struct txn_answer a;

	do {
		a = publisher_batch_produce(r, ev, item);
		follow(r, TXN_CALL_PRODUCE, a);
	} while (a.code == RD_KAFKA_RESP_ERR__QUEUE_FULL && r->state == TXN_OPEN && !r->dead &&
		 !r->desk.over(r->desk.arg, true));
}

static void
do_open(struct publisher_run *r)
{
	const struct batch *b = r->batch;
	struct event ev;

	crash_at("begun");
	for (size_t i = 0; i < b->n_items; i++) {
		size_t at = 0;

		while (b->items[i].events && events_next(b->items[i].events, &at, &ev)) {
			produce(r, &ev, i);
			if (r->state != TXN_OPEN || r->dead)
				return;
		}
	}
	follow(r, TXN_CALL_DELIVERY, publisher_batch_flush(r));
	if (r->state == TXN_OFFSETS)
		crash_at("produced");
}

static void
do_offsets(struct publisher_run *r)
{
	const struct batch *b = r->batch;
	int64_t ms = r->timeout_ms / 2 < SEND_OFFSETS_MS ? r->timeout_ms / 2 : SEND_OFFSETS_MS;
	struct txn_answer a;

	(void)rd_kafka_poll(r->rk, 0);
	a = publisher_batch_health(r);
	if (a.code == RD_KAFKA_RESP_ERR__TRANSPORT) {
		follow(r, TXN_CALL_EVENT, a);
		return;
	}
	a = (struct txn_answer){ .code = RD_KAFKA_RESP_ERR_NO_ERROR };
	if (b->offsets && b->offsets->cnt > 0) {
		assert(b->group);
		a = publisher_batch_answer(
			r, rd_kafka_send_offsets_to_transaction(r->rk, b->offsets,
								group_meta_get(b->group), (int)ms));
	}
	follow(r, TXN_CALL_OFFSETS, a);
	if (r->state == TXN_COMMIT)
		crash_at("offsets");
}

static void
do_commit(struct publisher_run *r)
{
	crash_at("committing");
	follow(r, TXN_CALL_COMMIT,
	       publisher_batch_answer(r, rd_kafka_commit_transaction(r->rk, STEP_MS)));
}

static void
do_abort(struct publisher_run *r)
{
	follow(r, TXN_CALL_ABORT,
	       publisher_batch_answer(r, rd_kafka_abort_transaction(r->rk, STEP_MS)));
}

static void
do_recreate(struct publisher_run *r)
{
	static const char no_producer[] = "the producer is being made anew";
	struct err err = { 0 };
	char text[300];

	snprintf(text, sizeof(text), "transactional id '%.150s': %s", r->id,
		 r->why_anew ? r->why_anew : no_producer);
	tell_not_ready(r, text);
	/* At once the first time; then as often as the cause allows. */
	if (r->recreated++ > 0)
		r->desk.pause(r->desk.arg, backoff_ms(&backoff, (unsigned)r->recreated));
	publisher_batch_drop(r);
	if (publisher_batch_open(r, &err) < 0) {
		log_warn("no producer could be made: %s", err.text);
		return;
	}
	metrics_add(METRIC_PRODUCER_RECREATED, 1);
	enter(r, TXN_INIT);
}

static void (*const states[])(struct publisher_run *r) = {
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
publisher_run_init(struct publisher_run *r, struct err *reterr)
{
	int ret;

	r->timeout_ms = config_int(r->config, "transaction.timeout");
	r->fenced_ms = -1;
	r->topic = TOPIC_COUNT;
	ret = publisher_batch_open(r, reterr);
	if (ret < 0)
		publisher_run_release(r);
	return ret;
}

void
publisher_run_loop(struct publisher_run *r)
{
	while (!r->desk.over(r->desk.arg, r->batch != NULL)) {
		if (r->dead)
			r->desk.pause(r->desk.arg, backoff.max_ms);
		else
			states[r->state](r);
	}
	if (r->batch)
		tell_verdict(r, PUBLISH_AGAIN);
}

void
publisher_run_release(struct publisher_run *r)
{
	publisher_batch_drop(r);
	offsets_unref(r->offsets);
	r->offsets = NULL;
}
