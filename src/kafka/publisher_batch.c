/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/client_error.h"
#include "envdriver/kafka/offset_metadata.h"
#include "envdriver/kafka/offsets.h"
#include "produce.h"
#include "publisher_impl.h"

enum { STEP_MS = 1000, PREWARM_MS = 5000, TOPIC_BITS = 8, V_2_10 = 0x020a0000 };

/* --- the producer --- */

static void
on_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct publisher_run *r = arg;
	struct buf text = BUF_INIT;

	(void)fatal;	/* every call that follows says so */
	/* kafkaconf has it told of every connection that ends. */
	r->lost |= (code == RD_KAFKA_RESP_ERR__TRANSPORT ||
		    code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) &&
		   rd_kafka_version() >= V_2_10;
	client_error_explain(r->config, code, reason, &text);
	snprintf(r->last_error, sizeof(r->last_error), "%s", text.data ? text.data : reason);
	buf_release(&text);
}

/* What a failed record asks for decides which of several counts: a reason
 * that names the culprit beats one that does not. */
static bool
tells_more(rd_kafka_resp_err_t code)
{
	const struct txn_answer answer = { .code = code };
	const struct txn_when when = { .timeout_ms = 1 };

	return txn_decide(TXN_OPEN, TXN_CALL_DELIVERY, &answer, &when).trouble != PUBLISH_AGAIN;
}

static void
on_delivery(void *arg, const rd_kafka_message_t *m)
{
	struct publisher_run *r = arg;
	struct delivery *d = &r->delivery;
	size_t item = (size_t)(uintptr_t)m->_private >> TOPIC_BITS;

	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (d->code == m->err && d->item != item)
		d->several = true;
	if (d->code != RD_KAFKA_RESP_ERR_NO_ERROR && (tells_more(d->code) || !tells_more(m->err)))
		return;
	d->code = m->err;
	d->item = item;
	d->topic = (enum topic)((uintptr_t)m->_private & ((1U << TOPIC_BITS) - 1));
	d->several = false;
}

/* A topic that may not be written is refused when its partition is added to
 * the transaction; then every record is purged, and only a log line says
 * which topic it was (rd_kafka_txn_handle_AddPartitionsToTxn, 2.0.2 and
 * 2.15). Should it be worded otherwise one day, the entries are tried alone. */
static void
on_log(void *arg, const char *facility, const char *text)
{
	struct publisher_run *r = arg;
	const char *denied = rd_kafka_err2str(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	const char *quote = strchr(text, '"'), *end = quote ? strchr(quote + 1, '"') : NULL;
	struct span name = { quote ? quote + 1 : NULL, end ? (size_t)(end - quote) - 1 : 0 };

	if (strcmp(facility, "ADDPARTS") != 0 || !end || !strstr(end, denied))
		return;
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (span_is(name, r->topics[t]))
			atomic_fetch_or(&r->denied, 1U << t);
}

static void
look_at_denied(struct publisher_run *r)
{
	unsigned denied = atomic_load(&r->denied);

	for (int t = 0; t < TOPIC_COUNT; t++)
		if (r->used[t] && (denied & (1U << t)))
			r->delivery = (struct delivery){
				.code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
				.topic = (enum topic)t,
			};
}

int
publisher_batch_open(struct publisher_run *r, struct err *reterr)
{
	const struct client_hooks hooks = {
		.on_error = on_error,
		.on_delivery = on_delivery,
		.on_log = on_log,
		.arg = r,
	};

	r->rk = client_open(r->config, CLIENT_CONF_PUBLISHER, r->id, &hooks, reterr);
	if (!r->rk)
		return reterr ? (int)reterr->code : ERR_CONFIG;
	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (t == TOPIC_COMMANDS)
			continue;	/* read only: a worker need not be permitted to write it */
		r->rkt[t] = rd_kafka_topic_new(r->rk, r->topics[t], NULL);
		if (!r->rkt[t]) {
			publisher_batch_drop(r);
			return err_set(reterr, ERR_CONFIG, "topic '%s': %s", r->topics[t],
				       rd_kafka_err2str(rd_kafka_last_error()));
		}
	}
	return 0;
}

void
publisher_batch_drop(struct publisher_run *r)
{
	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (r->rkt[t])
			rd_kafka_topic_destroy(r->rkt[t]);
		r->rkt[t] = NULL;
	}
	client_close(r->rk);
	r->rk = NULL;
}

void
publisher_batch_prewarm(struct publisher_run *r)
{
	const struct rd_kafka_metadata *md = NULL;

	/* Of the topics known to this handle. What is missing shows when it is
	 * written to. */
	(void)rd_kafka_metadata(r->rk, 0, NULL, &md, PREWARM_MS);
	if (md)
		rd_kafka_metadata_destroy(md);
}

void
publisher_batch_refresh(struct publisher_run *r)
{
	const struct rd_kafka_metadata *md;

	for (int t = 0; t < TOPIC_COUNT; t++) {
		md = NULL;
		if (r->stale[t])
			(void)rd_kafka_metadata(r->rk, 0, r->rkt[t], &md, STEP_MS);
		if (md)
			rd_kafka_metadata_destroy(md);
		r->stale[t] = false;
	}
}

/* --- answers --- */

struct txn_answer
publisher_batch_answer(struct publisher_run *r, rd_kafka_error_t *take_error)
{
	struct txn_answer a = { .code = RD_KAFKA_RESP_ERR_NO_ERROR };

	if (!take_error)
		return a;
	a.code = rd_kafka_error_code(take_error);
	a.retriable = rd_kafka_error_is_retriable(take_error);
	a.fatal = rd_kafka_error_is_fatal(take_error);
	a.requires_abort = rd_kafka_error_txn_requires_abort(take_error);
	/* A time-out says less than the client's own last error. */
	if (a.code != RD_KAFKA_RESP_ERR__TIMED_OUT || r->last_error[0] == '\0')
		snprintf(r->last_error, sizeof(r->last_error), "%s",
			 rd_kafka_error_string(take_error));
	rd_kafka_error_destroy(take_error);
	return a;
}

struct txn_answer
publisher_batch_health(struct publisher_run *r)
{
	char text[256];
	struct txn_answer a = { .code = rd_kafka_fatal_error(r->rk, text, sizeof(text)) };

	a.fatal = a.code != RD_KAFKA_RESP_ERR_NO_ERROR;
	if (!a.fatal && r->lost)
		a.code = RD_KAFKA_RESP_ERR__TRANSPORT;
	if (a.fatal)
		snprintf(r->last_error, sizeof(r->last_error), "%s", text);
	return a;
}

/* An answer that is a bare code: the rest is known of the handle. */
static struct txn_answer
answer_of(struct publisher_run *r, rd_kafka_resp_err_t code)
{
	struct txn_answer health = { .code = code };

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return health;
	health = publisher_batch_health(r);
	if (health.fatal)
		return health;
	snprintf(r->last_error, sizeof(r->last_error), "%s", rd_kafka_err2str(code));
	return (struct txn_answer){ .code = code };
}

/* --- producing --- */

struct txn_answer
publisher_batch_produce(struct publisher_run *r, const struct event *ev, size_t item)
{
	void *tag = (void *)(uintptr_t)(item << TOPIC_BITS | ev->topic);

	r->item = item;
	r->topic = ev->topic;
	r->used[ev->topic] = true;
	/* A command is no event of ours: written there it would run. */
	if (!r->rkt[ev->topic])
		return (struct txn_answer){ .code = RD_KAFKA_RESP_ERR__INVALID_ARG };
	return answer_of(r, produce_record(r->rk, r->rkt[ev->topic], ev, tag));
}

/* A record whose topic is gone is not refused: librdkafka asks again to have
 * its partition added to the transaction, until the record times out, and
 * the transaction with it. So when nothing moves the topics are looked at. */
static void
look_at_topics(struct publisher_run *r)
{
	for (int t = 0; t < TOPIC_COUNT && !r->delivery.code; t++) {
		const struct rd_kafka_metadata *md = NULL;
		rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

		if (!r->used[t])
			continue;
		if (!rd_kafka_metadata(r->rk, 0, r->rkt[t], &md, STEP_MS) && md->topic_cnt == 1)
			code = md->topics[0].err;
		if (md)
			rd_kafka_metadata_destroy(md);
		if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		    code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			r->delivery = (struct delivery){ .code = code, .topic = (enum topic)t };
	}
}

struct txn_answer
publisher_batch_flush(struct publisher_run *r)
{
	struct delivery *d = &r->delivery;

	/* Ends by itself: a record lives as long as a transaction at most. The
	 * first failure ends it too: what follows in the same partition cannot
	 * be sent any more, and would keep rd_kafka_flush until its time-out. */
	while (rd_kafka_outq_len(r->rk) > 0 && !d->code && !r->desk.over(r->desk.arg, true) &&
	       !rd_kafka_fatal_error(r->rk, NULL, 0))
		if (rd_kafka_poll(r->rk, STEP_MS) == 0)
			look_at_topics(r);
	if (d->code)
		look_at_denied(r);
	r->item = d->item;
	r->topic = d->code ? d->topic : TOPIC_COUNT;
	if (d->code || rd_kafka_outq_len(r->rk) == 0)
		return answer_of(r, d->code);
	return answer_of(r, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT);
}

/* --- a batch in doubt --- */

struct position {
	int64_t committed, end;
	int64_t listed[OFFSET_METADATA_BYTES];
	int n_listed;		/* negative: the metadata is not ours */
};

static bool
is_done(const struct position *p, int64_t offset)
{
	if (offset < p->committed)
		return true;
	if (p->n_listed < 0 || offset >= p->end)
		return false;
	for (int i = 0; i < p->n_listed; i++)
		if (p->listed[i] == offset)
			return false;
	return true;
}

static void
mark(struct batch *b, const rd_kafka_topic_partition_t *at, struct position *p)
{
	struct span metadata = { at->metadata_size ? at->metadata : NULL, at->metadata_size };

	p->committed = at->offset;
	p->n_listed = at->offset < 0 ? -1
				     : offset_metadata_read(metadata, at->offset, &p->end,
							    p->listed, OFFSET_METADATA_BYTES);
	for (size_t i = 0; i < b->n_items; i++)
		if (b->items[i].partition == at->partition)
			b->items[i].done = is_done(p, b->items[i].offset);
}

static bool
stop(void *arg)
{
	struct publisher_run *r = arg;

	return r->desk.over(r->desk.arg, true);
}

static void
on_wait(void *arg, rd_kafka_resp_err_t why)
{
	struct publisher_run *r = arg;
	char text[256];

	snprintf(text, sizeof(text), "the committed offsets cannot be read: %s",
		 rd_kafka_err2str(why));
	r->desk.ready(r->desk.arg, false, text);
}

struct txn_answer
publisher_batch_reconcile(struct publisher_run *r)
{
	const struct offsets_watch watch = { stop, on_wait, r };
	const rd_kafka_topic_partition_list_t *sealed = r->batch->offsets;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(sealed->cnt);
	struct position *p = malloc(sizeof(*p));
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

	for (int i = 0; i < sealed->cnt; i++)
		rd_kafka_topic_partition_list_add(list, sealed->elems[i].topic,
						  sealed->elems[i].partition);
	/* A handle that is seldom needed, and would cost threads and memory. */
	if (!r->offsets)
		r->offsets = offsets_new(r->config, /* reterr= */ NULL);
	if (p && r->offsets && offsets_read(r->offsets, list, &watch, /* reterr= */ NULL) == 0) {
		for (int i = 0; i < list->cnt; i++)
			mark(r->batch, &list->elems[i], p);
		code = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	free(p);
	rd_kafka_topic_partition_list_destroy(list);
	return (struct txn_answer){ .code = code };
}
