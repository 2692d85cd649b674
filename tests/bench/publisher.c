/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one transaction costs: one record and one offset, one after the other
 * (docs/decisions.md D4: 4 to 5 ms are the floor to stand on).
 *
 *	publisher N GAP key=value…	topics must exist; prints milliseconds
 *
 * GAP is the time between a verdict and the next batch in ms. Without one the
 * next transaction meets the markers of the one before, and librdkafka 2.0.2
 * asks again 20 ms later (CONCURRENT_TRANSACTIONS).
 */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/publisher.h"

static struct {
	struct consumer *consumer;
	struct publisher *publisher;
	char *topics[TOPIC_COUNT];
	bool ready, open;
	struct events events;
	struct publish_item item;
	struct batch batch;
	uint64_t began;
	double *took;
	int n, wanted, gap;
	uv_timer_t timer;
} me;

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
report(void)
{
	double sum = 0;

	qsort(me.took, (size_t)me.n, sizeof(*me.took), by_value);
	for (int i = 0; i < me.n; i++)
		sum += me.took[i];
	printf("librdkafka %s, %d transactions of one record: p50 %.2f ms, p90 %.2f, p99 %.2f, "
	       "mean %.2f\n",
	       rd_kafka_version_str(), me.n, me.took[me.n / 2], me.took[me.n * 9 / 10],
	       me.took[me.n * 99 / 100], sum / me.n);
	exit(0);
}

static void
go_on(void)
{
	if (!me.ready || !me.open || !publisher_idle(me.publisher) ||
	    uv_is_active((uv_handle_t *)&me.timer))
		return;
	if (me.n == me.wanted)
		report();
	me.batch.offsets->elems[0].offset = me.n + 1;
	me.batch.group = group_meta_ref(consumer_group_meta(me.consumer));
	me.began = uv_hrtime();
	publisher_submit(me.publisher, &me.batch);
}

static void
on_gap_over(uv_timer_t *h)
{
	(void)h;
	go_on();
}

static void
on_verdict(void *arg, struct batch *b, enum publish_trouble trouble, size_t item, enum topic topic)
{
	(void)arg;
	(void)item;
	(void)topic;
	me.took[me.n++] = (double)(uv_hrtime() - me.began) / 1e6;
	if (trouble != PUBLISH_FINE) {
		fprintf(stderr, "publisher: trouble %d\n", (int)trouble);
		exit(1);
	}
	group_meta_unref(b->group);
	if (me.gap)
		uv_timer_start(&me.timer, on_gap_over, (uint64_t)me.gap, 0);
	else
		go_on();
}

static void
on_ready(void *arg, bool ready, const char *why)
{
	(void)arg;
	(void)why;
	me.ready = ready;
	go_on();
}

static void
on_fatal(void *arg, int exit_code, const char *text)
{
	(void)arg;
	fprintf(stderr, "publisher: %s\n", text);
	exit(exit_code);
}

static void
on_message(void *arg, rd_kafka_message_t *m)
{
	(void)arg;
	rd_kafka_message_destroy(m);
}

static void
on_assign(void *arg, const struct assigned *parts, size_t n)
{
	(void)arg;
	(void)parts;
	(void)n;
	consumer_open(me.consumer, NULL, 0);
	me.open = true;
	go_on();
}

static void
on_revoke(void *arg, const int32_t *partitions, size_t n, bool lost)
{
	(void)partitions;
	(void)n;
	(void)lost;
	on_fatal(arg, 1, "the partition was revoked");
}

static void
on_gap(void *arg, int32_t partition, int64_t log_start, bool beyond)
{
	(void)arg;
	(void)partition;
	(void)log_start;
	(void)beyond;
}

static void
on_state(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void
prepare(void)
{
	static char value[500];

	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (char)('a' + i % 26);
	if (!events_add(&me.events, TOPIC_PROBE_RESULTS, SPAN_LIT("key"), NULL, 0,
			(struct span){ value, sizeof(value) }))
		abort();
	me.item = (struct publish_item){ .events = &me.events };
	me.batch = (struct batch){ .items = &me.item, .n_items = 1,
				   .offsets = rd_kafka_topic_partition_list_new(1) };
	rd_kafka_topic_partition_list_add(me.batch.offsets, me.topics[TOPIC_COMMANDS], 0);
	me.took = calloc((size_t)me.wanted, sizeof(*me.took));
	if (!me.took)
		abort();
}

int
main(int argc, char **argv)
{
	const struct publisher_events pev = { on_verdict, on_ready, on_fatal, NULL };
	const struct consumer_events cev = { on_message, on_assign, on_revoke, on_gap,
					     on_state,	 on_fatal,  NULL };
	struct err err = { 0 };
	struct config *config = config_new(&err);

	me.wanted = argc > 1 ? atoi(argv[1]) : 1000;
	me.gap = argc > 2 ? atoi(argv[2]) : 0;
	uv_timer_init(uv_default_loop(), &me.timer);
	for (int i = 3; config && i < argc; i++)
		if (config_set_pair(config, argv[i], "-X", &err) < 0)
			on_fatal(NULL, 64, err.text);
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (asprintf(&me.topics[t], "%s%s", config_str(config, "topic.prefix"),
			     topic_name((enum topic)t)) < 0)
			abort();
	prepare();
	me.publisher = publisher_new(uv_default_loop(), config, "bench",
				     (const char *const *)me.topics, &pev, &err);
	me.consumer = consumer_new(uv_default_loop(), config, me.topics[TOPIC_COMMANDS], &cev,
		&err);
	if (!me.publisher || !me.consumer || consumer_start(me.consumer, &err) < 0)
		on_fatal(NULL, 1, err.text);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
