/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher_producer.h"

#include <stdio.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/kafka/client.h"
#include "envdriver/kafka/client_error.h"
#include "envdriver/kafka/group_meta.h"
#include "produce.h"

enum {
	STEP_MS = 1000,		/* one try of a call that can be resumed */
	PREWARM_MS = 5000,
	TOPIC_BITS = 8,
	V_2_10 = 0x020a0000,
};

/* --- the producer --- */

static void
on_producer_error(void *arg, rd_kafka_resp_err_t code, const char *reason, bool fatal)
{
	struct publisher_producer *p = arg;
	struct buf text = BUF_INIT;

	(void)fatal;	/* every call that follows says so */
	/* By its settings (client_conf) librdkafka reports every connection
	 * that ends. */
	p->lost |= (code == RD_KAFKA_RESP_ERR__TRANSPORT ||
		    code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) &&
		   rd_kafka_version() >= V_2_10;
	client_error_explain(p->config, code, reason, &text);
	snprintf(p->last_error, sizeof(p->last_error), "%s", text.data ? text.data : reason);
	buf_release(&text);
}

/* Of several failures, one whose reason names the culprit counts more than one
 * that does not. */
static bool
tells_more(rd_kafka_resp_err_t code)
{
	const struct txn_answer answer = { .code = code };
	const struct txn_when when = { .timeout_ms = 1 };

	return txn_decide(TXN_OPEN, TXN_CALL_DELIVERY, &answer, &when).trouble != PUBLISH_AGAIN;
}

static void
on_producer_delivery(void *arg, const rd_kafka_message_t *m)
{
	struct publisher_producer *p = arg;
	struct publisher_delivery *d = &p->delivery;
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
 * which topic it was (source of 2.0.2 and 2.15,
 * rd_kafka_txn_handle_AddPartitionsToTxn). Should the line change one day, the
 * entries are tried alone. */
static void
on_producer_log(void *arg, const char *facility, const char *text)
{
	struct publisher_producer *p = arg;
	const char *denied = rd_kafka_err2str(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	const char *quote = strchr(text, '"'), *end = quote ? strchr(quote + 1, '"') : NULL;
	struct span name = { quote ? quote + 1 : NULL, end ? (size_t)(end - quote) - 1 : 0 };

	if (strcmp(facility, "ADDPARTS") != 0 || !end || !strstr(end, denied))
		return;
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (span_is(name, p->topics[t]))
			atomic_fetch_or(&p->denied, 1U << t);
}

static void
blame_denied_topic(struct publisher_producer *p)
{
	unsigned denied = atomic_load(&p->denied);

	for (int t = 0; t < TOPIC_COUNT; t++)
		if (p->used[t] && (denied & (1U << t)))
			p->delivery = (struct publisher_delivery){
				.code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
				.topic = (enum topic)t,
			};
}

/* --- open and close --- */

int
publisher_producer_open(struct publisher_producer *p, struct err *reterr)
{
	const struct client_hooks hooks = {
		.on_error = on_producer_error,
		.on_delivery = on_producer_delivery,
		.on_log = on_producer_log,
		.arg = p,
	};

	p->rk = client_open(p->config, CLIENT_CONF_PUBLISHER, p->id, &hooks, reterr);
	if (!p->rk)
		return reterr ? (int)reterr->code : ERR_CONFIG;
	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (t == TOPIC_COMMANDS)
			continue;	/* read only: a worker need not be permitted to write it */
		p->rkt[t] = rd_kafka_topic_new(p->rk, p->topics[t], NULL);
		if (!p->rkt[t]) {
			publisher_producer_close(p);
			return err_set(reterr, ERR_CONFIG, "topic '%s': %s", p->topics[t],
				       rd_kafka_err2str(rd_kafka_last_error()));
		}
	}
	return 0;
}

void
publisher_producer_close(struct publisher_producer *p)
{
	for (int t = 0; t < TOPIC_COUNT; t++) {
		if (p->rkt[t])
			rd_kafka_topic_destroy(p->rkt[t]);
		p->rkt[t] = NULL;
	}
	client_close(p->rk);
	p->rk = NULL;
}

/* The metadata of the topics known to this client. What is missing shows when
 * it is written to. */
static void
prewarm_topics(struct publisher_producer *p)
{
	const struct rd_kafka_metadata *md = NULL;

	(void)rd_kafka_metadata(p->rk, 0, NULL, &md, PREWARM_MS);
	if (md)
		rd_kafka_metadata_destroy(md);
}

static void
refresh_stale_topics(struct publisher_producer *p)
{
	const struct rd_kafka_metadata *md;

	for (int t = 0; t < TOPIC_COUNT; t++) {
		md = NULL;
		if (p->stale[t])
			(void)rd_kafka_metadata(p->rk, 0, p->rkt[t], &md, STEP_MS);
		if (md)
			rd_kafka_metadata_destroy(md);
		p->stale[t] = false;
	}
}

void
publisher_producer_reset(struct publisher_producer *p)
{
	memset(p->used, 0, sizeof(p->used));
	atomic_store(&p->denied, 0);
	p->delivery = (struct publisher_delivery){ .code = RD_KAFKA_RESP_ERR_NO_ERROR };
	p->item = 0;
	p->topic = TOPIC_COUNT;
	p->last_error[0] = '\0';
	refresh_stale_topics(p);
}

/* --- answers --- */

/* Takes librdkafka's error apart and destroys it; NULL is OK. */
static struct txn_answer
answer_of_error(struct publisher_producer *p, rd_kafka_error_t *take_error)
{
	struct txn_answer a = { .code = RD_KAFKA_RESP_ERR_NO_ERROR };

	if (!take_error)
		return a;
	a.code = rd_kafka_error_code(take_error);
	a.retriable = rd_kafka_error_is_retriable(take_error);
	a.fatal = rd_kafka_error_is_fatal(take_error);
	a.requires_abort = rd_kafka_error_txn_requires_abort(take_error);
	/* A time-out says less than the client's own last error. */
	if (a.code != RD_KAFKA_RESP_ERR__TIMED_OUT || p->last_error[0] == '\0')
		snprintf(p->last_error, sizeof(p->last_error), "%s",
			 rd_kafka_error_string(take_error));
	rd_kafka_error_destroy(take_error);
	return a;
}

static struct txn_answer
health_of(struct publisher_producer *p)
{
	char text[256];
	struct txn_answer a = { .code = rd_kafka_fatal_error(p->rk, text, sizeof(text)) };

	a.fatal = a.code != RD_KAFKA_RESP_ERR_NO_ERROR;
	if (!a.fatal && p->lost)
		a.code = RD_KAFKA_RESP_ERR__TRANSPORT;
	if (a.fatal)
		snprintf(p->last_error, sizeof(p->last_error), "%s", text);
	return a;
}

/* The answer when a call gives a bare code: the rest is asked of the client. */
static struct txn_answer
answer_of_code(struct publisher_producer *p, rd_kafka_resp_err_t code)
{
	struct txn_answer health = { .code = code };

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return health;
	health = health_of(p);
	if (health.fatal)
		return health;
	snprintf(p->last_error, sizeof(p->last_error), "%s", rd_kafka_err2str(code));
	return (struct txn_answer){ .code = code };
}

struct txn_answer
publisher_producer_health(struct publisher_producer *p)
{
	(void)rd_kafka_poll(p->rk, 0);
	return health_of(p);
}

/* --- the calls of a transaction --- */

struct txn_answer
publisher_producer_init(struct publisher_producer *p, unsigned tries)
{
	struct txn_answer a;

	(void)rd_kafka_poll(p->rk, 0);
	client_bootstrap(p->config, p->rk, tries);
	a = answer_of_error(p, rd_kafka_init_transactions(p->rk, STEP_MS));
	if (a.code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return a;
	p->last_error[0] = '\0';
	p->lost = false;
	prewarm_topics(p);
	return a;
}

struct txn_answer
publisher_producer_begin(struct publisher_producer *p)
{
	return answer_of_error(p, rd_kafka_begin_transaction(p->rk));
}

struct txn_answer
publisher_producer_offsets(struct publisher_producer *p,
			   const rd_kafka_topic_partition_list_t *offsets,
			   const struct group_meta *group, int timeout_ms)
{
	return answer_of_error(p, rd_kafka_send_offsets_to_transaction(
					  p->rk, offsets, group_meta_get(group), timeout_ms));
}

struct txn_answer
publisher_producer_commit(struct publisher_producer *p)
{
	return answer_of_error(p, rd_kafka_commit_transaction(p->rk, STEP_MS));
}

struct txn_answer
publisher_producer_abort(struct publisher_producer *p)
{
	return answer_of_error(p, rd_kafka_abort_transaction(p->rk, STEP_MS));
}

/* --- its records --- */

void
publisher_producer_make_room(struct publisher_producer *p)
{
	(void)rd_kafka_flush(p->rk, STEP_MS);
}

struct txn_answer
publisher_producer_produce(struct publisher_producer *p, const struct event *ev, size_t item)
{
	void *tag = (void *)(uintptr_t)(item << TOPIC_BITS | ev->topic);

	p->item = item;
	p->topic = ev->topic;
	p->used[ev->topic] = true;
	/* The command topic is not for events: written there they would run. */
	if (!p->rkt[ev->topic])
		return (struct txn_answer){ .code = RD_KAFKA_RESP_ERR__INVALID_ARG };
	return answer_of_code(p, produce_record(p->rk, p->rkt[ev->topic], ev, tag));
}

/* A record whose topic is gone is not refused: librdkafka goes on asking to
 * have its partition added to the transaction, until the record times out, and
 * the transaction with it (librdkafka #4966, open). So the topics are looked
 * at when nothing moves. */
static void
look_for_topics(struct publisher_producer *p)
{
	for (int t = 0; t < TOPIC_COUNT && !p->delivery.code; t++) {
		const struct rd_kafka_metadata *md = NULL;
		rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

		if (!p->used[t])
			continue;
		if (!rd_kafka_metadata(p->rk, 0, p->rkt[t], &md, STEP_MS) && md->topic_cnt == 1)
			code = md->topics[0].err;
		if (md)
			rd_kafka_metadata_destroy(md);
		if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		    code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			p->delivery = (struct publisher_delivery){
				.code = code,
				.topic = (enum topic)t,
			};
	}
}

struct txn_answer
publisher_producer_flush(struct publisher_producer *p, bool (*is_over)(void *arg),
			 void *arg)
{
	struct publisher_delivery *d = &p->delivery;

	/* Ends by itself: a record lives at most as long as a transaction. The
	 * first failure ends it too: later records of the same partition cannot
	 * be sent any more, and would keep rd_kafka_flush until its time-out. */
	while (rd_kafka_outq_len(p->rk) > 0 && !d->code && !is_over(arg) &&
	       !rd_kafka_fatal_error(p->rk, NULL, 0))
		if (rd_kafka_poll(p->rk, STEP_MS) == 0)
			look_for_topics(p);
	if (d->code)
		blame_denied_topic(p);
	p->item = d->item;
	p->topic = d->code ? d->topic : TOPIC_COUNT;
	if (d->code || rd_kafka_outq_len(p->rk) == 0)
		return answer_of_code(p, d->code);
	return answer_of_code(p, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT);
}
