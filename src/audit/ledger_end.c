/* SPDX-License-Identifier: Apache-2.0 */
/* What only the end shows: what never came, and who was first. */
#include "ledger_impl.h"

#include <inttypes.h>
#include <stdlib.h>

/* Whether an event of this command may have been deleted. One that is refused
 * leaves a dead letter: what is no command, and all but one of an id. */
static bool
may_be_gone(const struct ledger *l, const struct entry *e)
{
	if (e->time_ms <= l->horizons[e->answers])
		return true;
	return (e->flags & TWIN) && e->time_ms <= l->horizons[TOPIC_DEAD_LETTERS];
}

static void
judge_missing(struct ledger *l, const struct entry *e)
{
	struct ledger_place at = ledger_entry_place(e);
	char keep[40];
	struct span id = ledger_ids_text(l, e->id, keep);

	if (may_be_gone(l, e)) {
		ledger_found(l, LEDGER_GONE, &at, id, e->time_ms,
			     "it has no final event, but those of its time were deleted");
	} else if ((e->flags & KNOWN) && !(e->flags & BEHIND)) {
		if (l->sums.oldest_pending_ms < 0 || e->time_ms < l->sums.oldest_pending_ms)
			l->sums.oldest_pending_ms = e->time_ms;
		ledger_found(l, LEDGER_PENDING, &at, id, e->time_ms,
			     "it has no final event yet; the group is not done with it");
	} else {
		ledger_found(l, LEDGER_GAP, &at, id, e->time_ms, "it has no final event%s",
			     e->flags & BEHIND ? ", though the group is done with it"
					       : "; the group has done nothing yet");
	}
}

/* Whether a second use of an id came after the first one was forgotten. */
static bool
forgotten(const struct ledger *l, const struct entry *a, const struct entry *b)
{
	int64_t apart = a->time_ms < b->time_ms ? b->time_ms - a->time_ms
						: a->time_ms - b->time_ms;

	return apart >= l->options.claim_retention_ms;
}

/* The records of one id, `first` is the first that was read. */
static void
judge_twins(struct ledger *l, const struct entry *first)
{
	const struct entry *served = NULL;
	char keep[40], place[AVRO_PATH_MAX];

	for (const struct entry *e = first;; e = &l->entries[e->twin - 1]) {
		struct ledger_place at, other;

		if ((e->flags & SERVED) && served) {
			at = ledger_entry_place(e);
			other = ledger_entry_place(served);
			ledger_place_text(l, &other, place);
			ledger_found(l, forgotten(l, e, served) ? LEDGER_GONE : LEDGER_SERVED_TWICE,
				     &at, ledger_ids_text(l, e->id, keep), e->time_ms,
				     "it has a result, and so has %s of the same id%s", place,
				     forgotten(l, e, served)
					     ? ", which was forgotten (claim.retention)" : "");
		} else if (e->flags & SERVED) {
			served = e;
		}
		if (!e->twin)
			break;
	}
}

/* Why the first record that a refusal names cannot be it; NULL when it can,
 * or when it is out of reach. */
static const char *
wrong_first(const struct ledger *l, const struct refusal *r)
{
	const struct entry *refused = &l->entries[r->entry], *first;
	const struct ledger_range *range;

	if (!r->ours || r->partition < 0 || r->partition >= l->options.partitions)
		return "which is no record of a command";
	if (r->partition == refused->partition && r->offset == refused->offset)
		return "which is itself";
	range = &l->parts[r->partition].range;
	if (!l->parts[r->partition].chosen || (r->offset >= 0 && r->offset < range->first) ||
	    (r->offset >= range->last && r->offset < range->end))
		return NULL;
	first = ledger_find(l, r->partition, r->offset);
	if (!first)
		return "where no record stands";
	if (first->id != refused->id)
		return "which is another command";
	/* One without an event is said already. */
	if (first->event_topic != TOPIC_COUNT && !(first->flags & SERVED))
		return "which has no result";
	return NULL;
}

static void
judge_refusal(struct ledger *l, const struct refusal *r)
{
	const char *wrong = wrong_first(l, r);
	char keep[40];

	if (wrong)
		ledger_found(l, LEDGER_WRONG_FIRST, &r->at,
			     ledger_ids_text(l, l->entries[r->entry].id, keep), r->time_ms,
			     "as the first of its id it names %s[%" PRId64 "]@%" PRId64 ", %s",
			     r->ours ? l->commands : "another topic", r->partition, r->offset,
			     wrong);
}

void
ledger_end(struct ledger *l)
{
	for (size_t i = 0; i < l->n_entries; i++)
		if (l->entries[i].event_topic == TOPIC_COUNT)
			judge_missing(l, &l->entries[i]);
	for (size_t i = 0; i < l->ids.n_slots; i++)
		if (l->ids.slots[i])
			judge_twins(l, &l->entries[l->ids.slots[i] - 1]);
	for (size_t i = 0; i < l->n_refusals; i++)
		judge_refusal(l, &l->refusals[i]);
	ledger_output_end(l);
}

void
ledger_sum(const struct ledger *l, struct ledger_sums *ret)
{
	*ret = l->sums;
	ret->bytes = l->n_entries * (sizeof(struct entry) + sizeof(uint32_t)) + l->ids.len +
		     l->ids.n_slots * sizeof(uint32_t) + l->n_refusals * sizeof(struct refusal);
}
