/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver: the two ends of the benchmark, publisher and subscriber, in one
 * process with one clock.
 *
 *   driver publish BOOTSTRAP COMMANDS TEMPLATE N
 *                  N commands at once, and waits until the broker has them
 *   driver ask BOOTSTRAP COMMANDS TEMPLATE N RESULTS
 *                  one command at a time: from before it is published until
 *                  a read_committed reader holds its result
 *   driver bare BOOTSTRAP COMMANDS TEMPLATE N RESULTS [GROUP]
 *                  the same reader, but the record is written to RESULTS by
 *                  this process in a transaction of its own: what there is
 *                  no way below. With GROUP the transaction holds an offset
 *                  of COMMANDS, too
 *
 * ask and bare print the microseconds of each, a line each. TEMPLATE holds
 * framed commands, as the schema's own library encoded them, each behind its
 * length (4 bytes, low one first). They are used in turn, and only the id is
 * changed: the first field, a UUID.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit.h"

enum {
	TEMPLATES_MAX = 1024,
	FRAME = 10,		/* Avro's marker and fingerprint */
	ID_LENGTH = 36,
	ID_AT = FRAME + 1,	/* after its length */
	ID_LENGTH_BYTE = 2 * ID_LENGTH,
};

struct command {
	char *data;
	size_t length;
};

static struct command templates[TEMPLATES_MAX];
static size_t n_templates;

/* --- commands --- */

static void
check(const struct command *c)
{
	if (c->length < ID_AT + ID_LENGTH || c->data[ID_AT - 1] != ID_LENGTH_BYTE)
		kit_die("a template does not begin with a UUID");
}

static void
read_templates(const char *path)
{
	FILE *file = fopen(path, "rb");
	unsigned char size[4];

	if (!file)
		kit_die("cannot open '%s'", path);
	while (n_templates < TEMPLATES_MAX && fread(size, 1, 4, file) == 4) {
		struct command *c = &templates[n_templates++];

		c->length = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16;
		c->data = malloc(c->length);
		if (!c->data || fread(c->data, 1, c->length, file) != c->length)
			kit_die("'%s' is cut", path);
		check(c);
	}
	if (n_templates == 0)
		kit_die("'%s' is empty", path);
	fclose(file);
}

static const char *
id_of(const struct command *c)
{
	return c->data + ID_AT;
}

/* The last twelve letters of the id become the number. */
static const struct command *
command(int64_t number)
{
	struct command *c = &templates[(size_t)number % n_templates];
	char text[24];

	snprintf(text, sizeof(text), "%012" PRId64, number);
	memcpy(c->data + ID_AT + ID_LENGTH - 12, text, 12);
	return c;
}

/* --- clients --- */

static rd_kafka_t *
producer(const char *bootstrap, const char *linger_ms, const char *transactional_id)
{
	const char *const settings[][2] = {
		{ "enable.idempotence", "true" },
		{ "linger.ms", linger_ms },
		{ "batch.size", "16384" },	/* Java's: a batch is read as a whole */
		{ "retry.backoff.ms", "1" },
		{ "partitioner", "murmur2_random" },
		{ transactional_id ? "transactional.id" : NULL, transactional_id },
		{ NULL, NULL },
	};

	return kit_client(RD_KAFKA_PRODUCER, bootstrap, settings);
}

static void
produce(rd_kafka_t *rk, const char *topic, const struct command *c)
{
	const char *id = id_of(c);
	rd_kafka_resp_err_t code;

	for (;;) {
		code = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(id, ID_LENGTH),
					 RD_KAFKA_V_VALUE(c->data, c->length),
					 RD_KAFKA_V_HEADER("command-id", id, ID_LENGTH),
					 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		rd_kafka_poll(rk, 10);
	}
	if (code)
		kit_die("cannot produce to %s: %s", topic, rd_kafka_err2str(code));
}

/* From the end of each partition as it is now. */
static rd_kafka_t *
reader(const char *bootstrap, const char *topic)
{
	static const char *const settings[][2] = {
		{ "group.id", "bench-reader" },
		{ "isolation.level", "read_committed" },
		{ "enable.auto.commit", "false" },
		{ NULL, NULL },
	};
	rd_kafka_t *rk = kit_client(RD_KAFKA_CONSUMER, bootstrap, settings);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t code;
	rd_kafka_topic_t *rkt;

	rkt = rd_kafka_topic_new(rk, topic, NULL);
	code = rd_kafka_metadata(rk, 0, rkt, &metadata, KIT_PATIENCE_MS);
	if (code)
		kit_die("%s: %s", topic, rd_kafka_err2str(code));
	list = rd_kafka_topic_partition_list_new(8);
	for (int i = 0; i < metadata->topics[0].partition_cnt; i++) {
		int64_t low, high;

		code = rd_kafka_query_watermark_offsets(rk, topic, i, &low, &high, KIT_PATIENCE_MS);
		if (code)
			kit_die("%s: %s", topic, rd_kafka_err2str(code));
		rd_kafka_topic_partition_list_add(list, topic, i)->offset = high;
	}
	code = rd_kafka_assign(rk, list);
	if (code)
		kit_die("%s: %s", topic, rd_kafka_err2str(code));
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(rkt);
	return rk;
}

static int
is_about(const rd_kafka_message_t *m, const char *id)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t length;

	if (m->err || rd_kafka_message_headers(m, &headers))
		return 0;
	if (rd_kafka_header_get_last(headers, "command-id", &value, &length))
		return 0;
	return length == ID_LENGTH && memcmp(value, id, ID_LENGTH) == 0;
}

static void
wait_for(rd_kafka_t *rk, const char *id)
{
	int64_t deadline = kit_now_us(CLOCK_MONOTONIC) + KIT_PATIENCE_MS * INT64_C(1000);

	while (kit_now_us(CLOCK_MONOTONIC) < deadline) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 1000);
		int found = m && is_about(m, id);

		if (m)
			rd_kafka_message_destroy(m);
		if (found)
			return;
	}
	kit_die("no result of %.36s within %d s", id, KIT_PATIENCE_MS / 1000);
}

/* --- what it can do --- */

struct job {
	const char *bootstrap, *commands, *results, *group;
	int64_t n;
};

static void
publish(const struct job *job)
{
	rd_kafka_t *rk = producer(job->bootstrap, "5", NULL);

	for (int64_t i = 0; i < job->n; i++)
		produce(rk, job->commands, command(i));
	if (rd_kafka_flush(rk, 60000))
		kit_die("the broker did not take all commands within 60 s");
	rd_kafka_destroy(rk);
}

static void
ask(const struct job *job)
{
	rd_kafka_t *in = producer(job->bootstrap, "0", NULL);
	rd_kafka_t *out = reader(job->bootstrap, job->results);

	for (int64_t i = 0; i < job->n; i++) {
		const struct command *c = command(i);
		int64_t start = kit_now_us(CLOCK_MONOTONIC);

		produce(in, job->commands, c);
		wait_for(out, id_of(c));
		printf("%" PRId64 "\n", kit_now_us(CLOCK_MONOTONIC) - start);
		rd_kafka_poll(in, 0);
	}
	rd_kafka_destroy(in);
	rd_kafka_destroy(out);
}

static void
transact(rd_kafka_t *rk, const struct job *job, const struct command *c,
	 const rd_kafka_topic_partition_list_t *offsets,
	 const rd_kafka_consumer_group_metadata_t *group)
{
	kit_must(rd_kafka_begin_transaction(rk), "begin");
	produce(rk, job->results, c);
	if (group) {
		rd_kafka_flush(rk, KIT_PATIENCE_MS);
		kit_must(rd_kafka_send_offsets_to_transaction(rk, offsets, group, KIT_PATIENCE_MS),
		     "send offsets");
	}
	kit_must(rd_kafka_commit_transaction(rk, KIT_PATIENCE_MS), "commit");
}

static void
bare(const struct job *job)
{
	rd_kafka_t *in = producer(job->bootstrap, "0", "bench-bare");
	rd_kafka_t *out = reader(job->bootstrap, job->results);
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
	rd_kafka_consumer_group_metadata_t *group = NULL;

	if (job->group)
		group = rd_kafka_consumer_group_metadata_new(job->group);
	rd_kafka_topic_partition_list_add(offsets, job->commands, 0);
	kit_must(rd_kafka_init_transactions(in, KIT_PATIENCE_MS), "init");
	for (int64_t i = 0; i < job->n; i++) {
		const struct command *c = command(i);
		int64_t start = kit_now_us(CLOCK_MONOTONIC);

		offsets->elems[0].offset = i;
		transact(in, job, c, offsets, group);
		wait_for(out, id_of(c));
		printf("%" PRId64 "\n", kit_now_us(CLOCK_MONOTONIC) - start);
	}
	if (group)
		rd_kafka_consumer_group_metadata_destroy(group);
	rd_kafka_topic_partition_list_destroy(offsets);
	rd_kafka_destroy(in);
	rd_kafka_destroy(out);
}

static const struct verb {
	const char *name;
	void (*run)(const struct job *job);
	int least, most;	/* arguments */
} verbs[] = {
	{ "publish", publish, 6, 6 },
	{ "ask", ask, 7, 7 },
	{ "bare", bare, 7, 8 },
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		const struct verb *v = &verbs[i];

		if (argc < v->least || argc > v->most || strcmp(argv[1], v->name) != 0)
			continue;
		read_templates(argv[4]);
		v->run(&(struct job){
			.bootstrap = argv[2],
			.commands = argv[3],
			.n = strtoll(argv[5], NULL, 10),
			.results = argc > 6 ? argv[6] : NULL,
			.group = argc > 7 ? argv[7] : NULL,
		});
		return 0;
	}
	fprintf(stderr, "usage: driver publish|ask|bare BOOTSTRAP COMMANDS TEMPLATE N "
			"[RESULTS [GROUP]]\n");
	return 64;
}
