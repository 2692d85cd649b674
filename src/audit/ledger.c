/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "array.h"
#include "entries.h"
#include "envdriver/base/err.h"

/* A dead letter DUPLICATE_COMMAND. */
struct refusal {
	uint32_t entry;
	bool ours; /* it names a position in the command topic */
	int64_t partition, offset;
	struct finding_position at;
	int64_t time_ms;
};

struct ledger {
	struct ledger_options options;
	char commands[300]; /* whole name of the command topic */
	struct entries entries;
	struct refusal *refusals;
	size_t n_refusals, cap_refusals;
	struct outputs outputs;
	struct findings findings;
	size_t waiting, behind; /* entries without an event; of them, those finished with */
	int64_t horizons[TOPIC_COUNT];
	struct ledger_sums sums;
};

struct ledger *
ledger_new(const struct ledger_options *options)
{
	struct ledger *l = malloc(sizeof(*l));

	if (!l)
		return NULL;
	*l = (struct ledger){
		.options = *options,
		.outputs = {.findings = &l->findings, .seed = options->seed},
		.findings = {options->prefix, options->on_finding, options->arg, {0}},
		.sums = {.oldest_pending_ms = -1},
	};
	if (!entries_init(&l->entries, options->partitions, options->seed)) {
		free(l);
		return NULL;
	}
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
	entries_release(&l->entries);
	outputs_release(&l->outputs);
	free(l->refusals);
	free(l);
}

/* --- the range and its commands --- */

void
ledger_partition(struct ledger *l, int32_t partition, const struct entries_range *range)
{
	l->entries.parts[partition].chosen = true;
	l->entries.parts[partition].range = *range;
}

void
ledger_log(struct ledger *l, int32_t partition, int64_t start, int64_t end)
{
	struct entries_range *r = &l->entries.parts[partition].range;

	if (start > r->start)
		r->start = start;
	if (end > r->end)
		r->end = end;
}

int
ledger_command(struct ledger *l, int32_t partition, int64_t offset, int64_t time_ms,
	       struct span id, enum topic answers, struct err *reterr)
{
	bool valid = id.ptr && id.len && id.len <= ID_STORE_TEXT_MAX;
	struct entry *e = entries_add(&l->entries, partition, offset, valid ? id : SPAN_NULL);

	if (!e)
		return err_nomem(reterr);
	e->time_ms = time_ms;
	e->answers = (uint8_t)(valid ? answers : TOPIC_DEAD_LETTERS);
	l->waiting++;
	l->sums.commands++;
	return 0;
}

int
ledger_leave_out(struct ledger *l, int32_t partition, int64_t offset, struct err *reterr)
{
	return entries_leave_out(&l->entries, partition, offset) ? 0 : err_nomem(reterr);
}

void
ledger_position(struct ledger *l, int32_t partition, int64_t end, const int64_t *open, size_t n)
{
	struct entries_part *p = &l->entries.parts[partition];
	size_t at = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct entry *e = &l->entries.at[p->numbers[i]];

		while (at < n && open[at] < e->offset)
			at++;
		e->flags |= ENTRY_KNOWN;
		if (e->offset >= end || (at < n && open[at] == e->offset))
			continue;
		e->flags |= ENTRY_BEHIND;
		l->behind += e->event_topic == TOPIC_COUNT;
	}
}

/* --- events --- */

static void
orphan(struct ledger *l, const struct ledger_event *e, const char *why)
{
	finding_add(&l->findings, FINDING_ORPHAN, &e->at, e->command_id, e->time_ms,
		    "it is the event of %.*s[%" PRId64 "]@%" PRId64 ", %s",
		    SPAN_FMT(e->source_topic), e->source_partition, e->source_offset, why);
}

/* The command record that an event names: NULL when it is outside the range, or
 * does not exist, which is a finding. Returns 0 or LEDGER_ASK. */
static int
find_source(struct ledger *l, const struct ledger_event *e, bool sure, struct entry **ret)
{
	const struct entries_part *p = NULL;
	int64_t offset = e->source_offset;

	*ret = NULL;
	if (span_is(e->source_topic, l->commands) && e->source_partition >= 0 &&
	    e->source_partition < l->options.partitions)
		p = &l->entries.parts[e->source_partition];
	if (!p) {
		orphan(l, e, "which is not a command record");
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
	if (entries_left_out(p, offset))
		return 0;
	*ret = offset < p->range.last ? entries_find(&l->entries, e->source_partition, offset)
				      : NULL;
	if (!*ret && !sure)
		return LEDGER_ASK;
	if (!*ret)
		orphan(l, e,
		       offset >= p->range.end ? "which is beyond the end of the log"
					      : "where there is no record");
	return 0;
}

static void
check_identity(struct ledger *l, const struct entry *e, const struct ledger_event *ev)
{
	bool dead_letter = ev->at.topic == TOPIC_DEAD_LETTERS;
	struct finding_position source = entries_position(e);
	char place[FINDING_POSITION_MAX], keep[ID_STORE_KEEP];
	struct span id = entries_id(&l->entries, e, keep);

	finding_position_text(&l->findings, &source, place);
	if (!id.ptr && !dead_letter) {
		finding_add(&l->findings, FINDING_WRONG_RECORD, &ev->at, ev->command_id,
			    ev->time_ms, "it is a %s of %s, which is not a command",
			    topic_record(ev->at.topic), place);
		return;
	}
	/* A dead letter may be for a command whose id could not be read. */
	if (id.ptr && !span_eq(ev->command_id, id) && !(dead_letter && !ev->command_id.ptr))
		finding_add(&l->findings, FINDING_WRONG_ID, &ev->at, ev->command_id, ev->time_ms,
			    "it names command '%.*s', but %s is command '%.*s'",
			    SPAN_FMT(ev->command_id), place, SPAN_FMT(id));
	if (!dead_letter && ev->at.topic != (enum topic)e->answers)
		finding_add(&l->findings, FINDING_WRONG_RECORD, &ev->at, ev->command_id,
			    ev->time_ms, "it is a %s, but %s calls for a %s",
			    topic_record(ev->at.topic), place,
			    topic_record((enum topic)e->answers));
}

static int
keep_refusal(struct ledger *l, const struct entry *e, const struct ledger_event *ev)
{
	if (!array_grow((void **)&l->refusals, &l->cap_refusals, l->n_refusals,
			sizeof(*l->refusals)))
		return ERR_NOMEM;
	l->refusals[l->n_refusals++] = (struct refusal){
		.entry = (uint32_t)(e - l->entries.at),
		.ours = span_is(ev->first_topic, l->commands),
		.partition = ev->first_partition,
		.offset = ev->first_offset,
		.at = ev->at,
		.time_ms = ev->time_ms,
	};
	return 0;
}

static void
take_event(struct ledger *l, struct entry *e, const struct ledger_event *ev)
{
	struct finding_position first = {(enum topic)e->event_topic, e->event_partition,
					 e->event_offset};
	struct finding_position source = entries_position(e);
	char a[FINDING_POSITION_MAX], b[FINDING_POSITION_MAX];

	if (e->event_topic != TOPIC_COUNT) {
		finding_add(&l->findings, FINDING_DUPLICATE, &ev->at, ev->command_id, ev->time_ms,
			    "%s already has a final event: %s",
			    finding_position_text(&l->findings, &source, a),
			    finding_position_text(&l->findings, &first, b));
		return;
	}
	e->event_topic = (uint8_t)ev->at.topic;
	e->event_partition = ev->at.partition;
	e->event_offset = ev->at.offset;
	l->waiting--;
	l->behind -= (e->flags & ENTRY_BEHIND) != 0;
}

static bool
add_output(struct ledger *l, const struct ledger_event *ev)
{
	const struct finding f = {
		.at = ev->at,
		.command_id = ev->command_id,
		.time_ms = ev->time_ms,
	};

	return outputs_add_result(&l->outputs, &f, ev->output);
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
	take_event(l, e, ev);
	if (ev->at.topic != TOPIC_DEAD_LETTERS)
		e->flags |= ENTRY_SERVED;
	check_identity(l, e, ev);
	return ev->output && !add_output(l, ev) ? err_nomem(reterr) : 0;
}

void
ledger_unreadable(struct ledger *l, const struct finding_position *at, int64_t time_ms,
		  struct span command_id, const char *why)
{
	finding_add(&l->findings, FINDING_UNREADABLE, at, command_id, time_ms, "%s", why);
}

int
ledger_piece(struct ledger *l, const struct outputs_piece *p, struct err *reterr)
{
	return outputs_add_piece(&l->outputs, p) ? 0 : err_nomem(reterr);
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
	return l->behind + l->outputs.n_unsettled;
}

/* --- the end: what never came, and which was first --- */

/* Whether an event of this command may have been deleted. A refused command
 * ends as a dead letter: records that are not commands, and all but one of each
 * id. */
static bool
may_be_gone(const struct ledger *l, const struct entry *e)
{
	if (e->time_ms <= l->horizons[e->answers])
		return true;
	return (e->flags & ENTRY_TWIN) && e->time_ms <= l->horizons[TOPIC_DEAD_LETTERS];
}

static void
judge_missing(struct ledger *l, const struct entry *e)
{
	struct finding_position at = entries_position(e);
	char keep[ID_STORE_KEEP];
	struct span id = entries_id(&l->entries, e, keep);

	if (may_be_gone(l, e)) {
		finding_add(&l->findings, FINDING_GONE, &at, id, e->time_ms,
			    "no final event, but events of that time have been deleted");
	} else if ((e->flags & ENTRY_KNOWN) && !(e->flags & ENTRY_BEHIND)) {
		if (l->sums.oldest_pending_ms < 0 || e->time_ms < l->sums.oldest_pending_ms)
			l->sums.oldest_pending_ms = e->time_ms;
		finding_add(&l->findings, FINDING_PENDING, &at, id, e->time_ms,
			    "no final event yet; the group has not finished with it");
	} else {
		finding_add(&l->findings, FINDING_GAP, &at, id, e->time_ms, "no final event%s",
			    e->flags & ENTRY_BEHIND ? ", although the group has finished with it"
						    : "; the group has no committed position");
	}
}

/* Two results of one id. The second use of an id may come after the first one
 * has been forgotten. */
static void
judge_twin(struct ledger *l, const struct entry *e, const struct entry *served)
{
	int64_t apart = e->time_ms < served->time_ms ? served->time_ms - e->time_ms
						     : e->time_ms - served->time_ms;
	bool expired = apart >= l->options.claim_retention_ms;
	struct finding_position at = entries_position(e), other = entries_position(served);
	char keep[ID_STORE_KEEP], place[FINDING_POSITION_MAX];

	finding_add(&l->findings, expired ? FINDING_GONE : FINDING_SERVED_TWICE, &at,
		    entries_id(&l->entries, e, keep), e->time_ms,
		    "it has a result, and so does %s, which has the "
		    "same id%s",
		    finding_position_text(&l->findings, &other, place),
		    expired ? " (claim.retention had passed between them)" : "");
}

/* The records of one id; `first` is the first that was read. */
static void
judge_twins(struct ledger *l, const struct entry *first)
{
	const struct entry *served = NULL;

	for (const struct entry *e = first;; e = &l->entries.at[e->twin - 1]) {
		if ((e->flags & ENTRY_SERVED) && served)
			judge_twin(l, e, served);
		else if (e->flags & ENTRY_SERVED)
			served = e;
		if (!e->twin)
			break;
	}
}

/* What the record is that a refusal names as the first of its id; NULL when it
 * is right, or out of reach. */
static const char *
wrong_first(const struct ledger *l, const struct refusal *r)
{
	const struct entry *refused = &l->entries.at[r->entry], *first;
	const struct entries_part *part;
	const struct entries_range *range;

	if (!r->ours || r->partition < 0 || r->partition >= l->options.partitions)
		return "not a command record";
	if (r->partition == refused->partition && r->offset == refused->offset)
		return "the record itself";
	part = &l->entries.parts[r->partition];
	range = &part->range;
	if (!part->chosen || entries_left_out(part, r->offset) ||
	    (r->offset >= 0 && r->offset < range->first) ||
	    (r->offset >= range->last && r->offset < range->end))
		return NULL;
	first = entries_find(&l->entries, r->partition, r->offset);
	if (!first)
		return "not in the log";
	if (!entries_same_id(&l->entries, first, refused))
		return "another command";
	/* One without an event is a finding already. */
	if (first->event_topic != TOPIC_COUNT && !(first->flags & ENTRY_SERVED))
		return "a command without a result";
	return NULL;
}

static void
judge_refusal(struct ledger *l, const struct refusal *r)
{
	const char *wrong = wrong_first(l, r);
	char keep[ID_STORE_KEEP];

	if (wrong)
		finding_add(&l->findings, FINDING_WRONG_FIRST, &r->at,
			    entries_id(&l->entries, &l->entries.at[r->entry], keep), r->time_ms,
			    "it names %s[%" PRId64 "]@%" PRId64 " as the first command of its id, "
			    "but that is %s",
			    r->ours ? l->commands : "another topic", r->partition, r->offset,
			    wrong);
}

void
ledger_end(struct ledger *l)
{
	for (size_t i = 0; i < l->entries.n; i++)
		if (l->entries.at[i].event_topic == TOPIC_COUNT)
			judge_missing(l, &l->entries.at[i]);
	for (size_t i = 0; i < l->entries.n; i++)
		if ((l->entries.at[i].flags & (ENTRY_TWIN | ENTRY_LATER)) == ENTRY_TWIN)
			judge_twins(l, &l->entries.at[i]);
	for (size_t i = 0; i < l->n_refusals; i++)
		judge_refusal(l, &l->refusals[i]);
	outputs_end(&l->outputs, l->horizons[TOPIC_EXECUTION_LOGS]);
}

void
ledger_sum(const struct ledger *l, struct ledger_sums *ret)
{
	*ret = l->sums;
	memcpy(ret->found, l->findings.counts, sizeof(ret->found));
	ret->outputs = l->outputs.n_cut;
	ret->bytes = entries_bytes(&l->entries) + l->n_refusals * sizeof(struct refusal);
}
