/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <malloc.h>
#include <stdlib.h>

#include "calling.h"
#include "committing.h"
#include "core.h"
#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"
#include "envdriver/kafka/consumer.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/plugin/supervisor_view.h"
#include "envdriver/redis/redis.h"
#include "envdriver/registry/instance.h"
#include "envdriver/registry/registry.h"
#include "intake.h"
#include "startup.h"
#include "window.h"

struct status {
	bool was_open, was_ready;	/* at some time; open: but for plugins */
	bool was_busy;			/* at the last tick */
	int64_t turned_cpu;		/* CPU time of the loop at its last turn, ms */
	int64_t turn_max;		/* of the longest turn */
};

bool
status_new(struct engine *eng)
{
	eng->status = calloc(1, sizeof(*eng->status));
	return eng->status;
}

void
status_free(struct engine *eng)
{
	free(eng->status);
}

static void
add_reason(struct buf *out, const char *text)
{
	if (!text[0])
		return;
	buf_adds(out, text);
	buf_addch(out, '\n');
}

static void
add_held(const struct engine *eng, const struct partition *p, struct buf *out)
{
	const char *topic = eng->topics[TOPIC_COMMANDS];
	int id = p->id;

	if (p->unchecked)
		buf_addf(out, "partition %d of '%s' is held until Redis is back\n", id, topic);
	else if (p->beyond)
		buf_addf(out,
			 "partition %d of '%s' is held: the committed offset lies past the end of "
			 "the log; was the topic created again? Reset the group's offset and "
			 "restart\n",
			 id, topic);
	else
		buf_addf(out,
			 "partition %d of '%s' is held: its offset was rewound or expired; to "
			 "accept that, delete field '%s:%d' of '%spositions' in Redis\n",
			 id, topic, topic, id, redis_prefix(eng->redis));
}

static void
add_partition_reasons(const struct engine *eng, struct buf *out)
{
	struct partition *p = NULL;

	while ((p = partitions_next(&eng->partitions, p)))
		if (p->held)
			add_held(eng, p, out);
}

/* But for plugins that do not run. */
static bool
is_open(const struct engine *eng, struct buf *out)
{
	size_t before = out->len;

	redis_watch_why(&eng->redis_watch, clock_mono_ms(), out);
	startup_why(eng, out);
	if (eng->stage > STAGE_RUNNING)
		add_reason(out, "shutting down");
	add_reason(out, eng->why.publisher);
	add_reason(out, eng->why.commit);
	if (eng->committing->need_assign)
		add_reason(out, "waiting for a new assignment of partitions");
	add_reason(out, eng->why.consumer);
	if (eng->stage == STAGE_RUNNING && !consumer_group_meta(eng->consumer))
		add_reason(out, "no assignment of partitions yet");
	if (eng->stage == STAGE_RUNNING && redis_up(eng->redis) && !registry_fresh(eng->registry))
		add_reason(out, "the registry of plugins is being read");
	add_partition_reasons(eng, out);
	return out->len == before && eng->stage == STAGE_RUNNING;
}

bool
status_ready(const struct engine *eng, struct buf *reasons)
{
	struct buf none = BUF_INIT;
	struct buf *out = reasons ? reasons : &none;
	bool ready = is_open(eng, out);
	size_t before = out->len;

	if (eng->stage == STAGE_RUNNING)
		supervisor_view_add_none_running(eng->supervisor, out);
	ready &= out->len == before;
	buf_release(&none);
	return ready;
}

static void
look_open(struct engine *eng)
{
	struct buf none = BUF_INIT;

	if (!eng->status->was_open && is_open(eng, &none)) {
		eng->status->was_open = true;
		if (eng->ev.on_open)
			eng->ev.on_open(eng->ev.arg);
	}
	buf_release(&none);
}

void
status_turn(struct engine *eng)
{
	if (eng->status->was_ready || eng->stage != STAGE_RUNNING)
		return;
	look_open(eng);
	if (!status_ready(eng, NULL))
		return;
	eng->status->was_ready = true;
	log_info("ready");
	if (eng->ev.on_ready)
		eng->ev.on_ready(eng->ev.arg);
}

void
status_measure_turn(struct engine *eng)
{
	struct status *st = eng->status;
	int64_t now = clock_thread_ms(), turn = now - st->turned_cpu;

	if (st->turned_cpu && turn > st->turn_max) {
		st->turn_max = turn;
		metrics_set(METRIC_LOOP_TURN_MAX, turn);
	}
	st->turned_cpu = now;
}

/* After a burst the allocator keeps what it was given, for every thread; an
 * idle worker has no use for it. */
static void
trim_memory(struct engine *eng)
{
	if (eng->status->was_busy && !eng->entries)
		malloc_trim(0);
	eng->status->was_busy = eng->entries;
}

void
status_tick(struct engine *eng)
{
	struct partition *p = NULL;
	int32_t ids[64];
	size_t n = 0;

	while (n < 64 && (p = partitions_next(&eng->partitions, p)))
		if (p->open)
			ids[n++] = p->id;
	instance_show(eng->instance, ids, n, eng->entries);
	metrics_set(METRIC_IN_FLIGHT, (int64_t)eng->entries);
	metrics_set(METRIC_BYTES_HELD, (int64_t)eng->bytes);
	metrics_set(METRIC_CALLS_RUNNING, (int64_t)calling_running(eng));
	metrics_set(METRIC_PARTITIONS, (int64_t)n);
	metrics_set(METRIC_READY, status_ready(eng, NULL));
	trim_memory(eng);
}

static void
add_partitions(const struct engine *eng, struct buf *out)
{
	struct partition *p = NULL;
	const char *comma = "";

	buf_adds(out, ",\"partitions\":[");
	while ((p = partitions_next(&eng->partitions, p))) {
		const char *why = intake_paused_for(eng, p);

		buf_addf(out,
			 "%s{\"partition\":%d,\"committed\":%lld,\"end\":%lld,\"pending\":%zu,"
			 "\"waiting\":%zu,\"waitingBytes\":%zu,\"paused\":%s,\"pausedFor\":%s%s%s,"
			 "\"held\":%s}",
			 comma, (int)p->id, (long long)window_committed(p->window),
			 (long long)window_end(p->window), window_pending(p->window),
			 p->idle.n, p->idle.bytes,
			 p->paused || eng->paused_all ? "true" : "false", why ? "\"" : "",
			 why ? why : "null", why ? "\"" : "",
			 p->held ? "true" : "false");
		comma = ",";
	}
	buf_addch(out, ']');
}

static void
add_workers(const struct engine *eng, struct buf *out)
{
	buf_adds(out, ",\"workers\":{");
	for (int s = WORKER_STARTING; s <= WORKER_BACKOFF; s++)
		buf_addf(out, "%s\"%s\":%zu", s == WORKER_STARTING ? "" : ",",
			 supervisor_status_name((enum worker_status)s),
			 supervisor_count(eng->supervisor, (enum worker_status)s));
	buf_addch(out, '}');
}

void
status_json(const struct engine *eng, struct buf *out)
{
	const struct engine_lists *l = &eng->lists;
	struct buf reasons = BUF_INIT;
	bool ready = status_ready(eng, &reasons);

	buf_adds(out, "{\"instance\":");
	jtext_add_string(out, span_of(instance_id(eng->instance)));
	buf_addf(out, ",\"ready\":%s,\"reasons\":", ready ? "true" : "false");
	jtext_add_string(out, buf_span(&reasons));
	buf_addf(out,
		 ",\"inFlight\":%zu,\"calling\":%zu,\"waiting\":%zu,\"left\":%zu,"
		 "\"handing\":%zu,\"bytesHeld\":%zu",
		 eng->entries, calling_running(eng), l->waiting.n, l->left.n, l->handing.n,
		 eng->bytes);
	add_partitions(eng, out);
	add_workers(eng, out);
	supervisor_view_add_json(eng->supervisor, out);
	buf_addch(out, '}');
	buf_release(&reasons);
}
