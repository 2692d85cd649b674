/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_impl.h"

#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/crash.h"
#include "envdriver/base/log.h"
#include "envdriver/base/metrics.h"

enum { LETTER_SMALLER = 8 };

/* --- a message becomes an entry --- */

/* Room for everything is reserved first, so that `raw` does not move. */
static struct span
keep(struct buf *raw, const void *data, size_t len)
{
	struct span s = { raw->data + raw->len, len };

	if (!data)
		return SPAN_NULL;
	buf_add(raw, data, len);
	return s;
}

static size_t
headers_size(const rd_kafka_headers_t *h, size_t n)
{
	const char *name;
	const void *value;
	size_t len, total = 0;

	for (size_t i = 0; i < n; i++)
		if (!rd_kafka_header_get_all(h, i, &name, &value, &len))
			total += strlen(name) + len;
	return total;
}

static bool
keep_headers(struct entry *e, const rd_kafka_headers_t *h, size_t n)
{
	const char *name;
	const void *value;
	size_t len;

	if (n == 0)
		return true;
	e->headers = calloc(n, sizeof(*e->headers));
	if (!e->headers)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (rd_kafka_header_get_all(h, i, &name, &value, &len))
			break;
		e->headers[i].name = keep(&e->raw, name, strlen(name));
		e->headers[i].value = keep(&e->raw, value, len);
		e->source.n_headers++;
	}
	e->source.headers = e->headers;
	return true;
}

/* Copies what a dead letter would need: the message pins the whole fetch
 * that it came in, and a command may wait for minutes. */
static bool
keep_source(struct engine *f, struct entry *e, const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *h = NULL;
	size_t n = 0;

	if (!rd_kafka_message_headers(m, &h) && h)
		n = rd_kafka_header_cnt(h);
	if (!buf_reserve(&e->raw, m->key_len + m->len + headers_size(h, n)))
		return false;
	e->source.topic = f->topics[TOPIC_COMMANDS];
	e->source.partition = e->partition = m->partition;
	e->source.offset = e->offset = m->offset;
	e->source.timestamp = e->timestamp = rd_kafka_message_timestamp(m, NULL);
	e->source.key = keep(&e->raw, m->key, m->key_len);
	e->source.value = keep(&e->raw, m->payload, m->len);
	return keep_headers(e, h, n);
}

static struct span
traceparent(const struct entry *e)
{
	struct span found = SPAN_NULL;

	for (size_t i = 0; i < e->source.n_headers; i++)
		if (span_is(e->headers[i].name, "traceparent"))
			found = e->headers[i].value;
	return found;
}

static int
letter(struct engine *f, struct entry *e, const struct reject *why,
       const struct first_record *first)
{
	/* The topic may take less than it should. */
	size_t max = ENGINE_LETTER_BYTES / (e->reshaped ? LETTER_SMALLER : 1);
	int ret;

	events_reset(&e->events);
	ret = deadletter_build(f->schemas, instance_id(f->instance), max, &e->source, why, first,
			       &e->events);
	if (ret < 0)
		engine_nomem(f);
	return ret;
}

/* docs/engine.md section 9: a key that is not the ordering key may put one key into
 * two partitions. */
static void
check_key(struct engine *f, const struct entry *e)
{
	struct span want = e->cmd->ordering_key.ptr ? e->cmd->ordering_key : e->cmd->id;

	if (f->warned_key || span_eq(e->source.key, want))
		return;
	f->warned_key = true;
	log_warn("a publisher (issuedBy '%.*s') uses another message key than the ordering key, "
		 "else the command id: commands that belong in order may lie in two partitions",
		 SPAN_FMT(e->cmd->issued_by));
}

/* Kept for a smaller letter: a registry may say something else by then. */
static bool
keep_reject(struct entry *e, const struct reject *why)
{
	e->reject = malloc(sizeof(*why));
	if (e->reject)
		*e->reject = *why;
	return e->reject;
}

bool
intake_read(struct engine *f, struct entry *e)
{
	struct reject why = { .reason = REJECT_NOTHING };

	e->cmd = command_decode(f->decoder, e->source.value, traceparent(e), &why);
	if (e->cmd) {
		check_key(f, e);
		if (!scheduler_add(e->part->scheduler, e, e->cmd->ordering_key))
			engine_nomem(f);
		return true;
	}
	if (why.reason == REJECT_WAIT)
		return false;
	if (why.reason == REJECT_NOTHING || !keep_reject(e, &why)) {
		engine_nomem(f);
		return true;
	}
	log_warn("record at %s:%d:%lld becomes a dead letter: %s", e->source.topic,
		 (int)e->partition, (long long)e->offset, why.message);
	if (letter(f, e, &why, NULL) == 0)
		engine_step(f, e, ON_REJECTED);
	return true;
}

static bool
wanted(struct engine *f, struct partition *p, const rd_kafka_message_t *m)
{
	size_t gone = 0;
	enum window_verdict v;

	if (!p || !p->open)
		return false;
	v = window_deliver(p->window, m->offset, &gone);
	if (v == WINDOW_NOMEM)
		engine_nomem(f);
	if (gone) {
		metrics_add(METRIC_RECORDS_GONE, (int64_t)gone);
		log_warn("%zu unfinished commands before offset %lld of partition %d are gone "
			 "from the log",
			 gone, (long long)m->offset, (int)p->id);
		p->dirty = true;
	}
	return v == WINDOW_TAKE;
}

/* What has its answer waits for a commit only, and should have company: it
 * counts by its bytes. */
size_t
intake_unanswered(const struct engine *f)
{
	size_t answered = f->ready.n + (f->batch ? f->batch->n_items : 0);

	/* Some in the batch may have left their partition. */
	return answered < f->entries ? f->entries - answered : 0;
}

void
intake_message(void *arg, rd_kafka_message_t *m)
{
	struct engine *f = arg;
	struct partition *p = engine_partition(f, m->partition);
	struct entry *e = NULL;

	crash_at("polled");
	if (f->exiting || !wanted(f, p, m))
		goto out;
	e = entry_new();
	if (!e || !keep_source(f, e, m)) {
		entry_free(e);
		engine_nomem(f);
		goto out;
	}
	e->flow = f;
	e->part = p;
	e->received_at = clock_wall_ms();
	rebalance_link(p, e);
	f->entries++;
	metrics_add(METRIC_COMMANDS_READ, 1);
	if (p->unread.n || !intake_read(f, e))
		unread_wait(f, e);
	engine_count_bytes(f, e);
	if (p->unread.n || intake_unanswered(f) >= f->limits.in_flight ||
	    f->bytes >= f->limits.bytes ||
	    window_pending(p->window) >= window_limit(p->window))
		intake_pressure(f);
out:
	rd_kafka_message_destroy(m);
}

/* The letter itself was built by intake_read. */
void
intake_dead_letter(struct engine *f, struct entry *e)
{
	committing_publish(f, e);
}

static int
build_duplicate(struct engine *f, struct entry *e)
{
	struct first_record first = { e->first.topic, e->first.partition, e->first.offset };
	struct reject why = { .reason = REJECT_DUPLICATE };

	snprintf(why.message, sizeof(why.message),
		 "Command id \"%.*s\" was already used by the record at %s, partition %d, offset "
		 "%lld.",
		 (int)e->cmd->id.len, e->cmd->id.ptr, first.topic, (int)first.partition,
		 (long long)first.offset);
	snprintf(why.command_id, sizeof(why.command_id), "%s", e->cmd->id.ptr);
	snprintf(why.company_id, sizeof(why.company_id), "%s", e->cmd->company_id.ptr);
	snprintf(why.environment_id, sizeof(why.environment_id), "%s",
		 e->cmd->environment_id.ptr);
	snprintf(why.operation, sizeof(why.operation), "%s", e->cmd->op->name);
	log_warn("%s", why.message);
	return letter(f, e, &why, &first);
}

void
intake_duplicate(struct engine *f, struct entry *e)
{
	dispatch_give_slot(f, e);
	e->claimed = false;	/* it is the first one's: not ours to finish */
	e->is_letter = true;
	if (build_duplicate(f, e) == 0)
		committing_publish(f, e);
}

void
intake_rebuild_letter(struct engine *f, struct entry *e)
{
	if (e->cmd)
		build_duplicate(f, e);
	else
		letter(f, e, e->reject, NULL);
}

/* --- back-pressure, docs/decisions.md D9 --- */

static bool
over(size_t now, size_t limit, bool paused)
{
	/* Hysteresis: resumed below three quarters, which of 1 to 3 is the limit itself. */
	return now >= (paused ? limit - limit / 4 : limit);
}

/* Deliveries do not end a replay's pause, answers of the registry do end this. */
static bool
unread(struct engine *f, const struct partition *p)
{
	size_t room = unread_room(f);

	return p->unread.n > 0 && p->unread.n >= (p->paused ? (room + 1) / 2 : room);
}

static void
pressure_all(struct engine *f)
{
	bool pause = !redis_up(f->redis) || f->stage > STAGE_RUNNING ||
		     over(intake_unanswered(f), f->limits.in_flight, f->paused_all) ||
		     over(f->bytes, f->limits.bytes, f->paused_all);

	if (pause != f->paused_all)
		consumer_pause_all(f->consumer, pause);
	f->paused_all = pause;
}

void
intake_pressure(struct engine *f)
{
	size_t paused = 0;

	if (!f->consumer)
		return;
	pressure_all(f);
	for (size_t i = 0; i < f->n_parts; i++) {
		struct partition *p = f->parts[i];
		bool pause;

		if (!p || !p->open)
			continue;
		pause = unread(f, p) ||
			(!window_replaying(p->window) &&
			 window_pending(p->window) >= (p->paused ? window_resume(p->window) :
								   window_limit(p->window)));
		if (pause != p->paused)
			consumer_pause(f->consumer, p->id, pause);
		p->paused = pause;
		paused += pause || f->paused_all;
	}
	metrics_set(METRIC_PARTITIONS_PAUSED, (int64_t)paused);
}
