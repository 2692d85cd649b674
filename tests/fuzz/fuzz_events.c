/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the answer that Redis holds for a command: what is taken can be
 * walked, packed again, and cut into what is committed one after another
 * without losing an event; what is not leaves the set empty and says why. */
#include "envdriver/base/err.h"
#include "envdriver/kafka/event.h"
#include "fuzz.h"

static size_t
walk_set(const struct events *e)
{
	struct event_header h;
	struct event ev;
	size_t at = 0, n = 0;

	while (events_next(e, &at, &ev)) {
		size_t cursor = 0;

		MUST((unsigned)ev.topic < TOPIC_COUNT);
		while (event_header_next(&ev, &cursor, &h))
			MUST(h.name.ptr);
		n++;
	}
	return n;
}

/* All but the last event goes before it; then they are let go one by one. */
static void
cut_and_release(struct events *e)
{
	size_t n = e->count, seen = 0;

	MUST(events_cut_to_last(e));
	MUST(e->count == 1 && walk_set(e) == 1);
	while (e->before) {
		seen += walk_set(events_first(e));
		events_free_first(e);
	}
	MUST(seen + 1 == n && events_memory(e) >= e->packed.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct events e = EVENTS_INIT, again = EVENTS_INIT;
	struct err err = { 0 };

	if (events_unpack(&e, (struct span){ (const char *)data, size }, &err) < 0) {
		MUST(err.text[0] && e.count == 0 && walk_set(&e) == 0);
	} else {
		MUST(walk_set(&e) == e.count && !e.before);
		(void)events_succeeded(&e);
		if (e.count) {	/* an answer without events is refused later */
			MUST(events_unpack(&again, events_packed(&e), &err) == 0);
			MUST(again.count == e.count);
			cut_and_release(&again);
		}
	}
	events_release(&again);
	events_release(&e);
	return 0;
}
