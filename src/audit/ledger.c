/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

enum { FIRST_CAP = 256 };

struct ledger *
ledger_new(const struct ledger_options *options)
{
	struct ledger *l = buf_realloc(NULL, sizeof(*l));
	struct part *parts = buf_realloc(NULL, (size_t)options->partitions * sizeof(*parts) + 1);

	if (!l || !parts) {
		free(l);
		free(parts);
		return NULL;
	}
	*l = (struct ledger){ .options = *options, .parts = parts };
	l->ids.seed = options->seed;
	l->sums.oldest_pending_ms = -1;
	memset(parts, 0, (size_t)options->partitions * sizeof(*parts));
	snprintf(l->commands, sizeof(l->commands), "%s%s", options->prefix,
		 topic_name(TOPIC_COMMANDS));
	for (int t = 0; t < TOPIC_COUNT; t++)
		l->horizons[t] = INT64_MIN;
	return l;
}

void
ledger_free(struct ledger *l)
{
	if (!l)
		return;
	for (int32_t p = 0; p < l->options.partitions; p++)
		free(l->parts[p].entries);
	ledger_ids_release(&l->ids);
	ledger_output_release(l);
	free(l->refusals);
	free(l->entries);
	free(l->parts);
	free(l);
}

bool
ledger_grow(void **array, size_t *cap, size_t n, size_t size)
{
	size_t more = *cap ? 2 * *cap : FIRST_CAP;
	void *grown;

	if (n < *cap)
		return true;
	grown = buf_realloc(*array, more * size);
	if (!grown)
		return false;
	*array = grown;
	*cap = more;
	return true;
}

const char *
ledger_kind_name(enum ledger_kind kind)
{
	static const char *const names[LEDGER_KINDS] = {
		[LEDGER_GAP] = "gap",
		[LEDGER_PENDING] = "pending",
		[LEDGER_DUPLICATE] = "duplicate",
		[LEDGER_ORPHAN] = "orphan",
		[LEDGER_WRONG_ID] = "wrong-id",
		[LEDGER_WRONG_RECORD] = "wrong-record",
		[LEDGER_SERVED_TWICE] = "served-twice",
		[LEDGER_WRONG_FIRST] = "wrong-first",
		[LEDGER_OUTPUT] = "output",
		[LEDGER_UNREADABLE] = "unreadable",
		[LEDGER_GONE] = "gone",
	};

	return names[kind];
}

const char *
ledger_place_text(const struct ledger *l, const struct ledger_place *at, char text[AVRO_PATH_MAX])
{
	snprintf(text, AVRO_PATH_MAX, "%s%s[%" PRId32 "]@%" PRId64, l->options.prefix,
		 topic_name(at->topic), at->partition, at->offset);
	return text;
}

struct ledger_place
ledger_entry_place(const struct entry *e)
{
	return (struct ledger_place){ TOPIC_COMMANDS, e->partition, e->offset };
}

void
ledger_found(struct ledger *l, enum ledger_kind kind, const struct ledger_place *at,
	     struct span command_id, int64_t time_ms, const char *fmt, ...)
{
	struct ledger_finding f = { kind, *at, command_id, time_ms, NULL };
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = text;
	l->sums.found[kind]++;
	l->options.found(l->options.arg, &f);
}

/* --- the range and its commands --- */

void
ledger_partition(struct ledger *l, int32_t partition, const struct ledger_range *range)
{
	l->parts[partition].chosen = true;
	l->parts[partition].range = *range;
}

void
ledger_log(struct ledger *l, int32_t partition, int64_t start, int64_t end)
{
	struct ledger_range *r = &l->parts[partition].range;

	if (start > r->start)
		r->start = start;
	if (end > r->end)
		r->end = end;
}

/* Where the partition's first entry at or behind `offset` stands. */
static uint32_t
lower_bound(const struct ledger *l, const struct part *p, int64_t offset)
{
	uint32_t low = 0, high = p->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (l->entries[p->entries[mid]].offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct entry *
ledger_find(const struct ledger *l, int64_t partition, int64_t offset)
{
	const struct part *p;
	uint32_t at;

	if (partition < 0 || partition >= l->options.partitions)
		return NULL;
	p = &l->parts[partition];
	at = lower_bound(l, p, offset);
	if (at == p->n || l->entries[p->entries[at]].offset != offset)
		return NULL;
	return &l->entries[p->entries[at]];
}

static bool
make_room(struct ledger *l, struct part *p)
{
	size_t cap = p->cap;

	if (l->n_entries >= UINT32_MAX - 1 ||
	    !ledger_grow((void **)&p->entries, &cap, p->n, sizeof(*p->entries)))
		return false;
	p->cap = (uint32_t)cap;
	return ledger_grow((void **)&l->entries, &l->cap, l->n_entries, sizeof(*l->entries));
}

int
ledger_command(struct ledger *l, int32_t partition, int64_t offset, int64_t time_ms,
	       struct span id, enum topic answers, struct err *reterr)
{
	struct part *p = &l->parts[partition];
	uint32_t number = (uint32_t)l->n_entries, first = 0;
	bool valid = id.ptr && id.len && id.len <= LEDGER_ID_MAX;
	struct entry *e;

	if (!make_room(l, p))
		return err_nomem(reterr);
	e = &l->entries[number];
	*e = (struct entry){
		.offset = offset,
		.time_ms = time_ms,
		.partition = partition,
		.event_topic = TOPIC_COUNT,
		.answers = (uint8_t)(valid ? answers : TOPIC_DEAD_LETTERS),
	};
	if (valid && !ledger_ids_add(l, id, number, &e->id, &first))
		return err_nomem(reterr);
	if (first) {
		e->flags |= TWIN;
		l->entries[first - 1].flags |= TWIN;
		e->twin = l->entries[first - 1].twin;
		l->entries[first - 1].twin = number + 1;
	}
	l->n_entries++;
	p->entries[p->n++] = number;
	l->waiting++;
	l->sums.commands++;
	return 0;
}

void
ledger_position(struct ledger *l, int32_t partition, int64_t end, const int64_t *open, size_t n)
{
	struct part *p = &l->parts[partition];
	size_t at = 0;

	l->positions = true;
	for (uint32_t i = 0; i < p->n; i++) {
		struct entry *e = &l->entries[p->entries[i]];

		while (at < n && open[at] < e->offset)
			at++;
		e->flags |= KNOWN;
		if (e->offset >= end || (at < n && open[at] == e->offset))
			continue;
		e->flags |= BEHIND;
		l->behind += e->event_topic == TOPIC_COUNT;
	}
}

/* --- events --- */

static void
orphan(struct ledger *l, const struct ledger_event *e, const char *why)
{
	ledger_found(l, LEDGER_ORPHAN, &e->at, e->command_id, e->time_ms,
		     "it is the event of %.*s[%" PRId64 "]@%" PRId64 ", %s",
		     SPAN_FMT(e->source_topic), e->source_partition, e->source_offset, why);
}

/* The record that an event names: NULL when it is not of the range, or after
 * saying that there is none. 0 or LEDGER_ASK. */
static int
find_source(struct ledger *l, const struct ledger_event *e, bool sure, struct entry **ret)
{
	const struct part *p = NULL;
	int64_t offset = e->source_offset;

	*ret = NULL;
	if (span_is(e->source_topic, l->commands) && e->source_partition >= 0 &&
	    e->source_partition < l->options.partitions)
		p = &l->parts[e->source_partition];
	if (!p) {
		orphan(l, e, "which is no record of a command");
		return 0;
	}
	if (!p->chosen)
		return 0;
	if (offset < p->range.start && offset >= 0) {
		l->sums.of_gone_commands += p->range.first <= p->range.start;
		return 0;
	}
	if (offset < p->range.first && offset >= 0)
		return 0;
	if (offset >= p->range.last && offset < p->range.end)
		return 0;
	*ret = offset < p->range.last ? ledger_find(l, e->source_partition, offset) : NULL;
	if (!*ret && !sure)
		return LEDGER_ASK;
	if (!*ret)
		orphan(l, e, offset >= p->range.end ? "beyond the end of the log"
						    : "and no record stands there");
	return 0;
}

static void
check_identity(struct ledger *l, const struct entry *e, const struct ledger_event *ev)
{
	bool dead_letter = ev->at.topic == TOPIC_DEAD_LETTERS;
	struct ledger_place source = ledger_entry_place(e);
	char place[AVRO_PATH_MAX], keep[40];
	struct span id = ledger_ids_text(l, e->id, keep);

	ledger_place_text(l, &source, place);
	if (!e->id && !dead_letter) {
		ledger_found(l, LEDGER_WRONG_RECORD, &ev->at, ev->command_id, ev->time_ms,
			     "it is a %s of %s, which is no command", topic_record(ev->at.topic),
			     place);
		return;
	}
	/* A dead letter need not have been able to read the id. */
	if (e->id && !span_eq(ev->command_id, id) && !(dead_letter && !ev->command_id.ptr))
		ledger_found(l, LEDGER_WRONG_ID, &ev->at, ev->command_id, ev->time_ms,
			     "it names command '%.*s', but %s is command '%.*s'",
			     SPAN_FMT(ev->command_id), place, SPAN_FMT(id));
	if (!dead_letter && ev->at.topic != (enum topic)e->answers)
		ledger_found(l, LEDGER_WRONG_RECORD, &ev->at, ev->command_id, ev->time_ms,
			     "it is a %s, but %s asks for a %s", topic_record(ev->at.topic), place,
			     topic_record((enum topic)e->answers));
}

static int
keep_refusal(struct ledger *l, const struct entry *e, const struct ledger_event *ev)
{
	if (!ledger_grow((void **)&l->refusals, &l->cap_refusals, l->n_refusals,
			 sizeof(*l->refusals)))
		return ERR_NOMEM;
	l->refusals[l->n_refusals++] = (struct refusal){
		.entry = (uint32_t)(e - l->entries),
		.ours = span_is(ev->first_topic, l->commands),
		.partition = ev->first_partition,
		.offset = ev->first_offset,
		.at = ev->at,
		.time_ms = ev->time_ms,
	};
	return 0;
}

static void
take(struct ledger *l, struct entry *e, const struct ledger_event *ev)
{
	struct ledger_place first = { (enum topic)e->event_topic, e->event_partition,
				      e->event_offset };
	struct ledger_place source = ledger_entry_place(e);
	char a[AVRO_PATH_MAX], b[AVRO_PATH_MAX];

	if (e->event_topic != TOPIC_COUNT) {
		ledger_found(l, LEDGER_DUPLICATE, &ev->at, ev->command_id, ev->time_ms,
			     "%s has a final event already: %s",
			     ledger_place_text(l, &source, a), ledger_place_text(l, &first, b));
		return;
	}
	e->event_topic = (uint8_t)ev->at.topic;
	e->event_partition = ev->at.partition;
	e->event_offset = ev->at.offset;
	l->waiting--;
	l->behind -= (e->flags & BEHIND) != 0;
}

int
ledger_event(struct ledger *l, const struct ledger_event *ev, bool sure, struct err *reterr)
{
	struct entry *e;
	int ret = find_source(l, ev, sure, &e);

	if (ret == LEDGER_ASK)
		return ret;
	if (!e)
		return 0;
	l->sums.events++;
	if (ev->at.topic == TOPIC_DEAD_LETTERS)
		l->sums.dead_letters++;
	else
		l->sums.results++;
	if (ev->refused && keep_refusal(l, e, ev) < 0)
		return err_nomem(reterr);
	take(l, e, ev);
	if (ev->at.topic != TOPIC_DEAD_LETTERS)
		e->flags |= SERVED;
	check_identity(l, e, ev);
	return ev->output && ledger_output_tell(l, ev) < 0 ? err_nomem(reterr) : 0;
}

void
ledger_unreadable(struct ledger *l, const struct ledger_place *at, int64_t time_ms,
		  struct span command_id, const char *why)
{
	ledger_found(l, LEDGER_UNREADABLE, at, command_id, time_ms, "%s", why);
}

void
ledger_horizon(struct ledger *l, enum topic topic, int64_t time_ms)
{
	if (time_ms > l->horizons[topic])
		l->horizons[topic] = time_ms;
}

size_t
ledger_waiting(const struct ledger *l)
{
	return l->waiting;
}

size_t
ledger_overdue(const struct ledger *l)
{
	return l->behind + l->unsettled;
}
