/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: what envdriver's benchmark is compared with: a short program that
 * does the same work with the same libraries, exactly once as far as Kafka
 * goes. Only Probe commands.
 *
 *   peer BOOTSTRAP REDIS-SOCKET TOPIC-PREFIX GROUP PLUGIN-KEY PROGRAM [ARGUMENT]…
 *
 * It trusts all it reads: commands are not checked, answers are spliced into
 * the record unparsed and must come in order, Redis is asked once, and there
 * is no claim, no time limit and no rebalance. Any surprise ends it.
 */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kit.h"
#include "peer_plugin.h"
#include "peer_record.h"

enum {
	IN_FLIGHT = 64,		/* envdriver's plugin.max.in.flight */
	RING = 8192,		/* commands read and not yet in a transaction */
	AT_ONCE = 512,
	PARTITIONS = 256,
	ROOM = 8 << 20,
	COMMIT_US = 10000,	/* envdriver's commit.interval */
};

struct command {
	rd_kafka_message_t *message;
	struct probe probe;
	int64_t received_ms;
};

struct batch {
	struct command commands[RING];
	size_t starts[RING + 1], n;
	struct bytes records;
	int64_t next[PARTITIONS];	/* offset to commit; 0: none */
};

static rd_kafka_t *consumer, *producer;
static rd_kafka_queue_t *queue;
static rd_kafka_topic_t *results;
static char commands_topic[256], group[256];
static int to_plugin, from_plugin, committed_fd;

static struct command ring[RING];
static uint64_t taken, sent, answered;		/* commands since the start */
static struct bytes requests, lines;
static struct batch batches[2], *filling = &batches[0];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct batch *to_commit;
static int committing;

/* --- transactions, on a thread of their own --- */

#define HEADER(name, t) RD_KAFKA_V_HEADER(name, (t).at, (t).length)

static void
produce(const struct command *c, char *record, size_t length)
{
	const struct probe *p = &c->probe;
	rd_kafka_resp_err_t code = rd_kafka_producev(
		producer, RD_KAFKA_V_RKT(results), RD_KAFKA_V_MSGFLAGS(0),
		RD_KAFKA_V_KEY(p->environment.at, p->environment.length),
		RD_KAFKA_V_VALUE(record, length), HEADER("command-id", p->id),
		HEADER("operation", TEXT("Probe")), HEADER("company-id", p->company),
		HEADER("environment-id", p->environment), HEADER("status", TEXT("SUCCEEDED")),
		HEADER("schema", TEXT("ProbeResult")), RD_KAFKA_V_END);

	if (code)
		kit_die("cannot produce: %s", rd_kafka_err2str(code));
}

static void
send_offsets(struct batch *b)
{
	rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);
	rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(consumer);

	for (int i = 0; i < PARTITIONS; i++)
		if (b->next[i])
			rd_kafka_topic_partition_list_add(offsets, commands_topic, i)->offset =
				b->next[i];
	kit_must(rd_kafka_send_offsets_to_transaction(producer, offsets, member, KIT_PATIENCE_MS),
		 "send offsets");
	rd_kafka_consumer_group_metadata_destroy(member);
	rd_kafka_topic_partition_list_destroy(offsets);
}

static void
commit(struct batch *b)
{
	kit_must(rd_kafka_begin_transaction(producer), "begin");
	for (size_t i = 0; i < b->n; i++)
		produce(&b->commands[i], b->records.data + b->starts[i],
			b->starts[i + 1] - b->starts[i]);
	rd_kafka_flush(producer, KIT_PATIENCE_MS);
	send_offsets(b);
	kit_must(rd_kafka_commit_transaction(producer, KIT_PATIENCE_MS), "commit");
	for (size_t i = 0; i < b->n; i++)
		rd_kafka_message_destroy(b->commands[i].message);
	b->n = b->records.length = 0;
	memset(b->next, 0, sizeof(b->next));
}

static void *
commit_forever(void *arg)
{
	const uint64_t one = 1;
	struct batch *b;

	for (;;) {
		pthread_mutex_lock(&mutex);
		while (!to_commit)
			pthread_cond_wait(&wake, &mutex);
		b = to_commit;
		to_commit = NULL;
		pthread_mutex_unlock(&mutex);
		commit(b);
		if (write(committed_fd, &one, sizeof(one)) < 0)
			kit_die("eventfd");
	}
	return arg;
}

/* Hands over what was answered, COMMIT_US after the last time at the earliest. Returns the
 * milliseconds until it is worth to ask again; -1: not before something happens. */
static int
start_commit(void)
{
	static int64_t last;
	int64_t now = kit_now_us(CLOCK_MONOTONIC);

	if (committing || filling->n == 0)
		return -1;
	if (now - last < COMMIT_US)
		return (int)((last + COMMIT_US - now) / 1000) + 1;
	last = now;
	committing = 1;
	pthread_mutex_lock(&mutex);
	to_commit = filling;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&mutex);
	filling = &batches[filling == &batches[0]];
	return -1;
}

/* --- the way of a command --- */

/* True when there may be more. */
static int
take_commands(void)
{
	rd_kafka_message_t *messages[AT_ONCE];
	ssize_t n;

	if (taken - answered + filling->n + AT_ONCE > RING)
		return 0;
	n = rd_kafka_consume_batch_queue(queue, 0, messages, AT_ONCE);
	for (ssize_t i = 0; i < n; i++) {
		struct command *c = &ring[taken++ % RING];

		if (messages[i]->err)
			kit_die("consume: %s", rd_kafka_message_errstr(messages[i]));
		c->message = messages[i];
		c->received_ms = kit_now_us(CLOCK_REALTIME) / 1000;
		peer_record_read(messages[i]->payload, &c->probe);
	}
	return n > 0;
}

static void
put_request(struct bytes *b, const struct probe *p, uint64_t id)
{
	put(b, TEXT("{\"jsonrpc\":\"2.0\",\"id\":"));
	b->length += (size_t)sprintf(b->data + b->length, "%" PRIu64, id);
	put(b, TEXT(",\"method\":\"environmentProbe\",\"params\":{\"driverKey\":\""));
	put(b, p->driver);
	put(b, TEXT("\",\"companyId\":\""));
	put(b, p->company);
	put(b, TEXT("\",\"environmentId\":\""));
	put(b, p->environment);
	put(b, TEXT("\",\"config\":"));
	put(b, p->config);
	put(b, TEXT("},\"paperclipInvocation\":{\"id\":\""));
	put(b, p->id);
	put(b, TEXT("\",\"scope\":{\"companyId\":\""));
	put(b, p->company);
	put(b, TEXT("\"}}}\n"));
}

/* Request 1 is initialize. */
static void
write_requests(void)
{
	static size_t written;
	ssize_t n;

	for (; sent < taken && sent - answered < IN_FLIGHT; sent++)
		put_request(&requests, &ring[sent % RING].probe, sent + 2);
	if (written == requests.length)
		return;
	n = write(to_plugin, requests.data + written, requests.length - written);
	written += n > 0 ? (size_t)n : 0;
	if (written == requests.length)
		written = requests.length = 0;
}

static void
take_answer(const char *from, const char *end)
{
	struct command *c = &ring[answered % RING];
	struct batch *b = filling;
	struct probe_source source = {
		{ commands_topic, strlen(commands_topic) }, { group, strlen(group) },
		c->message->partition, c->message->offset, c->received_ms,
		kit_now_us(CLOCK_REALTIME) / 1000,
	};
	char head[64];
	int length = snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64
			      ",\"result\":", answered + 2);

	if (end - from < length || memcmp(from, head, (size_t)length) != 0)
		kit_die("an answer out of order, or none: %.200s", from);
	answered++;
	b->commands[b->n] = *c;
	b->starts[b->n++] = b->records.length;
	peer_record_put(&b->records, &c->probe, &source,
			(struct text){ from + length, (size_t)(end - from - length) - 1 });
	b->starts[b->n] = b->records.length;
	b->next[source.partition] = source.offset + 1;
}

static void
read_answers(void)
{
	ssize_t n = read(from_plugin, lines.data + lines.length, ROOM - lines.length);
	char *from = lines.data, *nl;

	if (n <= 0)
		kit_die("the plugin ended");
	lines.length += (size_t)n;
	while ((nl = memchr(from, '\n', (size_t)(lines.data + lines.length - from)))) {
		take_answer(from, nl);
		from = nl + 1;
	}
	lines.length -= (size_t)(from - lines.data);
	memmove(lines.data, from, lines.length);
}

static void
run(void)
{
	int queue_fd = eventfd(0, EFD_NONBLOCK), wait = -1;
	uint64_t count;

	rd_kafka_queue_io_event_enable(queue, queue_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	for (;;) {
		struct pollfd fds[] = {
			{ queue_fd, POLLIN, 0 },
			{ committed_fd, POLLIN, 0 },
			{ from_plugin, POLLIN, 0 },
			{ to_plugin, requests.length ? POLLOUT : 0, 0 },
		};

		if (poll(fds, sizeof(fds) / sizeof(*fds), wait) < 0)
			kit_die("poll");
		if (fds[0].revents)
			(void)!read(queue_fd, &count, sizeof(count));
		if (fds[1].revents && read(committed_fd, &count, sizeof(count)) > 0)
			committing = 0;
		if (fds[2].revents)
			read_answers();
		wait = take_commands() ? 0 : -1;
		write_requests();
		if (wait)
			wait = start_commit();
		else
			(void)start_commit();
	}
}

/* --- the start --- */

/* As envdriver sets them. */
static void
start_kafka(const char *bootstrap, const char *prefix)
{
	const char *const consumer_settings[][2] = {
		{ "group.id", group },
		{ "auto.offset.reset", "earliest" },
		{ "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" },
		{ "queued.max.messages.kbytes", "65536" },
		{ NULL, NULL },
	};
	const char *const producer_settings[][2] = {
		{ "transactional.id", group },
		{ "linger.ms", "0" },
		{ "retry.backoff.ms", "1" },
		{ "partitioner", "murmur2_random" },
		{ NULL, NULL },
	};
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	char name[256];

	consumer = kit_client(RD_KAFKA_CONSUMER, bootstrap, consumer_settings);
	producer = kit_client(RD_KAFKA_PRODUCER, bootstrap, producer_settings);
	queue = rd_kafka_queue_get_consumer(consumer);
	kit_must(rd_kafka_init_transactions(producer, KIT_PATIENCE_MS), "init");
	snprintf(name, sizeof(name), "%sprobe-results", prefix);
	results = rd_kafka_topic_new(producer, name, NULL);
	snprintf(commands_topic, sizeof(commands_topic), "%scommands", prefix);
	rd_kafka_topic_partition_list_add(list, commands_topic, RD_KAFKA_PARTITION_UA);
	if (rd_kafka_subscribe(consumer, list))
		kit_die("subscribe");
	rd_kafka_topic_partition_list_destroy(list);
}

int
main(int argc, char **argv)
{
	struct bytes *const rooms[] = { &requests, &lines, &batches[0].records,
					&batches[1].records };
	pthread_t thread;

	if (argc < 7)
		kit_die("see the head of peer.c");
	signal(SIGPIPE, SIG_IGN);
	snprintf(group, sizeof(group), "%s", argv[4]);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++)
		if (!(rooms[i]->data = calloc(1, ROOM)))
			kit_die("out of memory");
	peer_plugin_find(argv[2], argv[5]);
	peer_plugin_start(argv + 6, &to_plugin, &from_plugin);
	start_kafka(argv[1], argv[3]);
	committed_fd = eventfd(0, EFD_NONBLOCK);
	if (pthread_create(&thread, NULL, commit_forever, NULL))
		kit_die("no thread");
	run();
}
