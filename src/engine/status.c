/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

static void
reason(struct buf *out, const char *text)
{
	if (!text[0])
		return;
	buf_adds(out, text);
	buf_addch(out, '\n');
}

static void
start_reasons(const struct engine *f, struct buf *out)
{
	if (f->stage == STAGE_REDIS && !f->facts.reached)
		reason(out, f->facts.err.text[0] ? f->facts.err.text :
						   "the Kafka cluster was not reached yet");
	if (f->stage == STAGE_REDIS && f->facts.missing[0])
		buf_addf(out, "missing topics: %s (make them with `envdriver topics create`)\n",
			 f->facts.missing);
	if (f->stage == STAGE_META)
		reason(out, "checking that redis.prefix is this group's");
	unread_why(f, out);
	if (f->stage == STAGE_INSTANCE)
		reason(out, "checking that no other worker runs under this instance.id");
	if (f->stage > STAGE_RUNNING)
		reason(out, "shutting down");
}

static void
held_reason(const struct engine *f, size_t i, struct buf *out)
{
	const char *topic = f->topics[TOPIC_COMMANDS];

	if (f->parts[i]->unchecked)
		buf_addf(out, "partition %zu of '%s' is held until Redis is back\n", i, topic);
	else if (f->parts[i]->beyond)
		buf_addf(out,
			 "partition %zu of '%s' is held: the committed offset lies past the end of "
			 "the log; was the topic made anew? Reset the group's offset and restart\n",
			 i, topic);
	else
		buf_addf(out,
			 "partition %zu of '%s' is held: its offset was rewound or expired; to "
			 "accept that, delete field '%s:%zu' of '%spositions' in Redis\n",
			 i, topic, topic, i, redis_prefix(f->redis));
}

static void
held_reasons(const struct engine *f, struct buf *out)
{
	for (size_t i = 0; i < f->n_parts; i++)
		if (f->parts[i] && f->parts[i]->held)
			held_reason(f, i, out);
}

bool
engine_ready(const struct engine *f, struct buf *reasons)
{
	struct buf none = BUF_INIT;
	struct buf *out = reasons ? reasons : &none;
	size_t before = out->len;
	bool ready;

	if (!redis_up(f->redis))
		reason(out, f->why_redis[0] ? f->why_redis : "Redis was not reached yet");
	start_reasons(f, out);
	reason(out, f->why_publisher);
	reason(out, f->why_seal);
	if (f->need_assign)
		reason(out, "waiting for a new assignment of partitions");
	reason(out, f->why_consumer);
	if (f->stage == STAGE_RUNNING && !consumer_group_meta(f->consumer))
		reason(out, "no assignment of partitions yet");
	if (f->stage == STAGE_RUNNING && redis_up(f->redis) && !registry_fresh(f->registry))
		reason(out, "the registry of plugins is being read");
	held_reasons(f, out);
	ready = out->len == before && f->stage == STAGE_RUNNING;
	buf_release(&none);
	return ready;
}

/* After a burst the allocator keeps what it was given, for every thread: a
 * worker at rest has no use for it. */
static void
give_back(struct engine *f)
{
	if (f->entries) {
		f->was_busy = true;
	} else if (f->was_busy) {
		f->was_busy = false;
		malloc_trim(0);
	}
}

void
status_tick(struct engine *f)
{
	int32_t ids[64];
	size_t n = 0;

	for (size_t i = 0; i < f->n_parts && n < 64; i++)
		if (f->parts[i] && f->parts[i]->open)
			ids[n++] = (int32_t)i;
	instance_show(f->instance, ids, n, f->entries);
	metrics_set(METRIC_IN_FLIGHT, (int64_t)f->entries);
	metrics_set(METRIC_BYTES_HELD, (int64_t)f->bytes);
	metrics_set(METRIC_CALLS_RUNNING, (int64_t)f->calling);
	metrics_set(METRIC_PARTITIONS, (int64_t)n);
	give_back(f);
}

/* Once for each cause: a look comes every few seconds. */
void
status_facts(const struct engine *f, const struct cluster_facts *facts)
{
	if (!facts->exit_code && !facts->reached && strcmp(facts->err.text, f->facts.err.text) != 0)
		log_warn("%s; waiting for it", facts->err.text);
	if (facts->missing[0] && strcmp(facts->missing, f->facts.missing) != 0)
		log_warn("missing topics: %s; waiting for them (`envdriver topics create` makes "
			 "them)", facts->missing);
}

/* Before it was reached for the first time: on_redis_down does not come. */
void
status_no_redis(struct engine *f)
{
	const char *why = redis_why_down(f->redis);

	if (f->stage != STAGE_REDIS || redis_up(f->redis) || f->why_redis[0] || !why[0])
		return;
	snprintf(f->why_redis, sizeof(f->why_redis), "Redis is away: %s", why);
	log_warn("%s; waiting for it", f->why_redis);
}

static void
add_partitions(const struct engine *f, struct buf *out)
{
	const char *comma = "";

	buf_adds(out, ",\"partitions\":[");
	for (size_t i = 0; i < f->n_parts; i++) {
		const struct partition *p = f->parts[i];

		if (!p)
			continue;
		buf_addf(out,
			 "%s{\"partition\":%zu,\"committed\":%lld,\"end\":%lld,\"pending\":%zu,"
			 "\"paused\":%s,\"held\":%s}",
			 comma, i, (long long)window_committed(p->window),
			 (long long)window_end(p->window), window_pending(p->window),
			 p->paused || f->paused_all ? "true" : "false", p->held ? "true" : "false");
		comma = ",";
	}
	buf_addch(out, ']');
}

static void
add_workers(const struct engine *f, struct buf *out)
{
	buf_adds(out, ",\"workers\":{");
	for (int s = WORKER_STARTING; s <= WORKER_BACKOFF; s++)
		buf_addf(out, "%s\"%s\":%zu", s == WORKER_STARTING ? "" : ",",
			 worker_status_name((enum worker_status)s),
			 supervisor_count(f->supervisor, (enum worker_status)s));
	buf_addch(out, '}');
}

void
engine_status(const struct engine *f, struct buf *out)
{
	struct buf reasons = BUF_INIT;
	bool ready = engine_ready(f, &reasons);

	buf_adds(out, "{\"instance\":");
	jtext_add_string(out, span_of(instance_id(f->instance)));
	buf_addf(out, ",\"ready\":%s,\"reasons\":", ready ? "true" : "false");
	jtext_add_string(out, buf_span(&reasons));
	buf_addf(out,
		 ",\"inFlight\":%zu,\"calling\":%zu,\"waiting\":%zu,\"left\":%zu,"
		 "\"handing\":%zu,\"bytesHeld\":%zu",
		 f->entries, f->calling, f->waiting.n, f->left.n, f->handing.n, f->bytes);
	add_partitions(f, out);
	add_workers(f, out);
	buf_addch(out, '}');
	buf_release(&reasons);
}
