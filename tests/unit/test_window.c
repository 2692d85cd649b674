/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/buf.h"
#include "engine/window.h"
#include "alloc_rig.h"

enum { STEPS = 16 };

/* What happens to a window, and what it says after that. */
enum step {
	END_OF_STEPS,
	TAKE,		/* deliver: taken */
	DROP,		/* deliver: dropped */
	GONE,		/* deliver: taken, and one old offset is gone */
	GONE2,		/* the same, two */
	SKIP,		/* deliver: dropped, and one old offset is gone */
	DONE,
	START,		/* the log starts there: one old offset is gone */
	START0,		/* the log starts there: none is gone */
	COMMITTED,
	END,
	PENDING,
	FETCH,
	AGAIN,		/* new window from what would be committed; says it is ours */
	FOREIGN,	/* new window at this offset without metadata */
};

static const struct row {
	const char *name;
	struct { enum step step; int64_t n; } steps[STEPS];
} rows[] = {
	{ "nothing delivered", { { COMMITTED, 0 }, { END, 0 }, { PENDING, 0 }, { FETCH, 0 } } },
	{ "delivered, not done",
	  { { TAKE, 0 }, { TAKE, 1 }, { COMMITTED, 0 }, { END, 0 }, { PENDING, 2 } } },
	{ "done in order",
	  { { TAKE, 0 }, { TAKE, 1 }, { DONE, 0 }, { COMMITTED, 1 }, { DONE, 1 }, { COMMITTED, 2 },
	    { END, 2 }, { PENDING, 0 } } },
	{ "done out of order: the lower edge stays",
	  { { TAKE, 0 }, { TAKE, 1 }, { TAKE, 2 }, { DONE, 1 }, { COMMITTED, 0 }, { END, 2 },
	    { DONE, 0 }, { COMMITTED, 2 }, { PENDING, 1 } } },
	{ "what was delivered beyond `end` is not waited for",
	  { { TAKE, 0 }, { TAKE, 5 }, { DONE, 0 }, { COMMITTED, 1 }, { END, 1 }, { PENDING, 1 } } },
	{ "a gap costs nothing and is done",
	  { { TAKE, 10 }, { TAKE, 1000 }, { DONE, 1000 }, { COMMITTED, 10 }, { DONE, 10 },
	    { COMMITTED, 1001 } } },
	{ "delivered again: dropped",
	  { { TAKE, 0 }, { TAKE, 3 }, { DROP, 3 }, { DROP, 0 }, { DROP, 2 }, { DONE, 3 },
	    { DROP, 3 }, { PENDING, 1 } } },
	{ "done ones are skipped after a restart",
	  { { TAKE, 0 }, { TAKE, 1 }, { TAKE, 2 }, { DONE, 0 }, { DONE, 2 }, { AGAIN, 1 },
	    { FETCH, 1 }, { PENDING, 1 }, { END, 3 }, { TAKE, 1 }, { DROP, 2 }, { TAKE, 3 },
	    { DONE, 1 }, { COMMITTED, 3 } } },
	{ "an old offset that is not delivered is gone",
	  { { TAKE, 0 }, { TAKE, 1 }, { TAKE, 2 }, { DONE, 2 }, { AGAIN, 0 }, { PENDING, 2 },
	    { GONE, 1 }, { COMMITTED, 1 }, { PENDING, 1 } } },
	{ "two are gone at once",
	  { { TAKE, 0 }, { TAKE, 1 }, { TAKE, 2 }, { DONE, 2 }, { AGAIN, 0 }, { GONE2, 3 },
	    { COMMITTED, 3 }, { PENDING, 1 } } },
	{ "gone by a delivery that itself is dropped",
	  { { TAKE, 0 }, { TAKE, 1 }, { DONE, 1 }, { AGAIN, 0 }, { SKIP, 1 }, { COMMITTED, 2 },
	    { PENDING, 0 } } },
	{ "gone with the start of the log",
	  { { TAKE, 0 }, { TAKE, 7 }, { TAKE, 8 }, { DONE, 8 }, { AGAIN, 0 }, { START, 7 },
	    { COMMITTED, 7 }, { START0, 7 }, { TAKE, 7 }, { PENDING, 1 } } },
	{ "an entry below `end` holds the lower edge, old ones too",
	  { { TAKE, 0 }, { TAKE, 4 }, { TAKE, 6 }, { DONE, 6 }, { AGAIN, 0 }, { TAKE, 0 },
	    { COMMITTED, 0 }, { DONE, 0 }, { COMMITTED, 4 }, { TAKE, 4 }, { DONE, 4 },
	    { COMMITTED, 7 } } },
	{ "something else committed: claims decide",
	  { { FOREIGN, 40 }, { PENDING, 0 }, { END, 40 }, { FETCH, 40 }, { DROP, 39 },
	    { TAKE, 40 }, { DONE, 40 }, { COMMITTED, 41 } } },
};

static struct window *
open_at(const char *name, int64_t committed, struct span metadata, bool want_foreign)
{
	bool foreign = !want_foreign;
	struct window *w = window_new(committed, 0, metadata, &foreign);

	assert_non_null(w);
	if (foreign != want_foreign)
		fail_msg("%s: foreign is %d", name, foreign);
	return w;
}

static struct window *
reopen(const char *name, struct window *w, int64_t *ret_committed)
{
	struct buf metadata = BUF_INIT;
	struct window *again;

	assert_int_equal(window_seal(w, NULL, 0, ret_committed, &metadata), 0);
	again = open_at(name, *ret_committed, buf_span(&metadata), false);
	window_free(w);
	buf_release(&metadata);
	return again;
}

static void
deliver(const char *name, struct window *w, enum step step, int64_t offset)
{
	bool drop = step == DROP || step == SKIP;
	size_t gone = 99, want = step == GONE2 ? 2 : step == GONE || step == SKIP;

	if (window_deliver(w, offset, &gone) != (drop ? WINDOW_DROP : WINDOW_TAKE) || gone != want)
		fail_msg("%s: delivery of %lld, %zu gone", name, (long long)offset, gone);
}

static struct window *
run_step(const char *name, struct window *w, enum step step, int64_t n)
{
	int64_t got = n;

	if (step >= TAKE && step <= SKIP)
		deliver(name, w, step, n);
	else if (step == DONE)
		window_done(w, n);
	else if (step == START || step == START0)
		assert_int_equal(window_log_start(w, n), step == START);
	else if (step == COMMITTED)
		got = window_committed(w);
	else if (step == END)
		got = window_end(w);
	else if (step == PENDING)
		got = (int64_t)window_pending(w);
	else if (step == FETCH)
		got = window_fetch_from(w);
	else if (step == AGAIN)
		w = reopen(name, w, &got);
	else if (step == FOREIGN) {
		window_free(w);
		w = open_at(name, n, SPAN_NULL, true);
	}
	if (got != n)
		fail_msg("%s: step %d: got %lld, want %lld", name, step, (long long)got,
			 (long long)n);
	return w;
}

static void
test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct window *w = open_at(rows[i].name, -1, SPAN_NULL, false);

		for (size_t k = 0; k < STEPS && rows[i].steps[k].step; k++)
			w = run_step(rows[i].name, w, rows[i].steps[k].step, rows[i].steps[k].n);
		window_free(w);
	}
}

static void
test_start(void **state)
{
	bool foreign;
	struct window *w;

	(void)state;
	w = window_new(-1, 500, SPAN_LIT("whatever"), &foreign);
	assert_non_null(w);
	assert_false(foreign);
	assert_int_equal(window_fetch_from(w), 500);
	assert_false(window_full(w, false));
	window_free(w);
}

/* 4Q is the version byte alone; the letters behind it are varints. */
static const struct foreign_row {
	const char *name, *text;
	int64_t committed;
	int count;	/* negative: not ours */
	int64_t end;
} foreign_rows[] = {
	{ "list empty", "4QA", 7, 0, 7 },
	{ "one not done", "4QIA", 7, 1, 9 },
	{ "two not done", "4QMAAQ", 7, 2, 10 },
	{ "empty", "", 7, -1, 0 },
	{ "other text", "consumed by host-a", 7, -1, 0 },
	{ "unknown version", "4gA", 7, -1, 0 },
	{ "version alone", "4Q", 7, -1, 0 },
	{ "padding", "4QA=", 7, -1, 0 },
	{ "bits left over", "4QB", 7, -1, 0 },
	{ "four characters and one", "4QIAA", 7, -1, 0 },
	{ "end beyond the list, list empty", "4QI", 7, -1, 0 },
	{ "list, but end is the committed offset", "4QAA", 7, -1, 0 },
	{ "first one is not the committed offset", "4QIB", 7, -1, 0 },
	{ "the same twice", "4QMAAA", 7, -1, 0 },
	{ "not done at end", "4QIAAg", 7, -1, 0 },
	{ "varint longer than need be", "4YIAAA", 7, -1, 0 },
	{ "varint cut off", "4YI", 7, -1, 0 },
	{ "varint without end", "4f//////////////AQA", 7, -1, 0 },
	{ "end beyond int64", "4f//////////fwA", 7, -1, 0 },
	{ "no offset committed", "4QA", -1, -1, 0 },
};

static void
test_foreign(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(foreign_rows) / sizeof(*foreign_rows); i++) {
		const struct foreign_row *r = &foreign_rows[i];
		int64_t end = 0;
		int count = offset_metadata_read(span_of(r->text), r->committed, &end, NULL, 0);

		if ((r->count < 0 ? count >= 0 : count != r->count) || end != r->end)
			fail_msg("%s: %d, end %lld", r->name, count, (long long)end);
		window_free(open_at(r->name, r->committed, span_of(r->text),
				    r->count < 0 && r->committed >= 0));
	}
}

enum { THOUSAND = 1000 };

/* `n` entries, `step` apart from `from` on, and one more. */
static struct window *
filled(int64_t from, size_t n, int64_t step)
{
	struct window *w = open_at("filled", -1, SPAN_NULL, false);

	for (size_t i = 0; i <= n; i++)
		deliver("filled", w, TAKE, from + (int64_t)i * step);
	return w;
}

/* Differences of 4 bytes: 766 fit (version 1, end 5, first 1, 4 each). */
static void
test_does_not_fit(void **state)
{
	const int64_t step = 1 << 22, from = step;
	struct window *w = filled(from, THOUSAND, step);
	int64_t offsets[3] = { from + 700 * step, from + 766 * step, from + 900 * step };
	struct buf text = BUF_INIT;
	int64_t offset = -5;

	(void)state;
	/* The last one alone would list 900. */
	assert_int_equal(window_seal(w, offsets + 2, 1, &offset, &text), 0);
	assert_int_equal(offset, -5);
	assert_int_equal(text.len, 0);
	assert_int_equal(window_seal(w, offsets, 3, &offset, &text), 2);
	assert_int_equal(offset, from);
	window_done(w, offsets[0]);
	window_done(w, offsets[1]);
	/* With the lower edge moved there is room again. */
	for (int64_t i = 0; i < 200; i++)
		window_done(w, from + i * step);
	buf_reset(&text);
	assert_int_equal(window_seal(w, offsets + 2, 1, &offset, &text), 1);
	assert_int_equal(offset, from + 200 * step);
	buf_release(&text);
	window_free(w);
}

static void
test_refused(void **state)
{
	struct window *w = filled(0, THOUSAND, 1 << 20);
	int64_t offsets[3] = { 5 << 20, 900 << 20, 950 << 20 }, offset;
	struct buf text = BUF_INIT;

	(void)state;
	window_done(w, 900 << 20);
	offsets[1] = 901 << 20;
	window_refused(w);
	assert_true(window_full(w, false));
	/* What only shortens the committed list goes on. */
	assert_int_equal(window_seal(w, offsets, 3, &offset, &text), 1);
	assert_true(text.len > OFFSET_METADATA_MAX / 2);
	assert_int_equal(window_seal(w, offsets + 1, 2, &offset, &text), 0);
	for (int i = 0; i < 20; i++)
		window_refused(w);
	buf_release(&text);
	window_free(w);
}

/* How many offsets, `step` apart, are taken before it is full, and how many of
 * them are left when it goes on. Whatever of them is done, the rest fits. */
static const struct full_row {
	const char *name;
	int64_t step;
	int refused;
	size_t full, resumed;
} full_rows[] = {
	{ "one after another", 1, 0, 3054, 2286 },
	{ "each second one is a marker", 2, 0, 3054, 2286 },
	{ "far apart", (1 << 21) - 1, 0, 1019, 762 },
	{ "very far apart", (1 << 28) - 1, 0, 765, 572 },
	{ "the broker takes half", 1, 1, 1518, 1134 },
	{ "the broker takes next to nothing", 1, 20, 78, 55 },
};

static void
test_full(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(full_rows) / sizeof(*full_rows); i++) {
		const struct full_row *r = &full_rows[i];
		struct window *w = open_at(r->name, -1, SPAN_NULL, false);
		struct buf text = BUF_INIT;
		int64_t last = 0, offset, end;
		size_t n = 0, left;

		for (int k = 0; k < r->refused; k++)
			window_refused(w);
		for (; !window_full(w, false); n++)
			deliver(r->name, w, TAKE, last = (int64_t)n * r->step);
		/* The last one is done first: all others are listed. */
		assert_int_equal(window_seal(w, &last, 1, &offset, &text), 1);
		assert_int_equal(
			offset_metadata_read(buf_span(&text), offset, &end, NULL, 0), n - 1);
		assert_true(text.len <= OFFSET_METADATA_MAX && end == last + 1);
		/* Behind the first one, where two differences become one. */
		for (left = n; window_full(w, true); left--)
			window_done(w, (int64_t)(n - left + 1) * r->step);
		if (n != r->full || left != r->resumed)
			fail_msg("%s: full with %zu, goes on with %zu", r->name, n, left);
		buf_release(&text);
		window_free(w);
	}
}

/* The naive model: one byte an offset. */
enum { SPACE = 3000, RUNS = 60, TURNS = 1500 };
enum mark { HOLE, UNSEEN, ENTRY, IS_DONE };

struct model {
	unsigned char log[SPACE];	/* HOLE: no record has this offset */
	unsigned char mark[SPACE];
	int64_t end;
	int64_t next;			/* the log delivers from here */
};

static unsigned
roll(uint64_t *seed, unsigned below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(*seed >> 33) % below;
}

static int64_t
model_committed(const struct model *m, int64_t end, const int64_t *as_done, size_t n)
{
	for (int64_t i = 0; i < end; i++) {
		bool done = m->mark[i] == IS_DONE || m->mark[i] == HOLE;

		for (size_t k = 0; k < n; k++)
			done |= as_done[k] == i;
		if (!done)
			return i;
	}
	return end;
}

/* Seals a random part of the entries; commits it, or forgets it. */
static void
model_seal(struct model *m, struct window **w, uint64_t *seed)
{
	int64_t offsets[SPACE], committed, end = m->end, got_end, want;
	struct buf text = BUF_INIT;
	size_t n = 0;

	for (int64_t i = 0; i < SPACE; i++)
		if (m->mark[i] == ENTRY && roll(seed, 4) == 0)
			offsets[n++] = i;
	if (n && offsets[n - 1] >= end)
		end = offsets[n - 1] + 1;
	want = model_committed(m, end, offsets, n);
	assert_int_equal(window_seal(*w, offsets, n, &committed, &text), n);
	assert_int_equal(committed, want);
	assert_true(offset_metadata_read(buf_span(&text), committed, &got_end, NULL, 0) >= 0);
	assert_int_equal(got_end, end);
	assert_int_equal(window_end(*w), m->end);
	if (roll(seed, 4)) {
		for (size_t i = 0; i < n; i++) {
			window_done(*w, offsets[i]);
			m->mark[offsets[i]] = IS_DONE;
		}
		m->end = end;
		if (roll(seed, 8) == 0) {
			window_free(*w);
			*w = open_at("random", committed, buf_span(&text), false);
			m->next = committed;
			for (int64_t i = 0; i < SPACE; i++)
				if (m->mark[i] == ENTRY)
					m->mark[i] = UNSEEN;
		}
	}
	buf_release(&text);
}

static void
model_deliver(struct model *m, struct window *w, uint64_t *seed)
{
	size_t gone, want_gone = 0;
	int64_t at;

	/* Compaction: a record that is not done vanishes from the log. */
	if (roll(seed, 10) == 0)
		m->log[roll(seed, SPACE)] = HOLE;
	while (m->next < SPACE && m->log[m->next] == HOLE)
		m->next++;
	if (m->next == SPACE)
		return;
	at = m->next++;
	for (int64_t i = 0; i < at; i++) {
		if (m->mark[i] != UNSEEN)
			continue;
		want_gone += i < m->end;
		m->mark[i] = HOLE;
	}
	if (window_deliver(w, at, &gone) == WINDOW_TAKE) {
		assert_int_equal(m->mark[at], UNSEEN);
		m->mark[at] = ENTRY;
	} else {
		assert_int_equal(m->mark[at], IS_DONE);
	}
	assert_int_equal(gone, want_gone);
}

static void
model_run(uint64_t seed)
{
	struct model m = { .next = 0 };
	struct window *w = open_at("random", -1, SPAN_NULL, false);

	for (int i = 0; i < SPACE; i++)
		m.log[i] = m.mark[i] = roll(&seed, 5) ? UNSEEN : HOLE;
	for (int turn = 0; turn < TURNS; turn++) {
		for (unsigned i = roll(&seed, 12); i; i--)
			model_deliver(&m, w, &seed);
		model_seal(&m, &w, &seed);
	}
	assert_int_equal(window_committed(w), model_committed(&m, m.end, NULL, 0));
	window_free(w);
}

static void
test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		model_run(seed);
}

static int calls_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return calls_left-- > 0 ? realloc(ptr, size) : NULL;
}

static void
test_out_of_memory(void **state)
{
	bool foreign;
	size_t gone;
	struct window *w;

	(void)state;
	alloc_replace(failing_realloc);
	calls_left = 0;
	assert_null(window_new(7, 0, SPAN_LIT("4QIA"), &foreign));
	calls_left = 1;
	assert_null(window_new(7, 0, SPAN_LIT("4QIA"), &foreign));
	calls_left = 2;
	w = window_new(7, 0, SPAN_LIT("4QIA"), &foreign);
	assert_non_null(w);
	assert_int_equal(window_deliver(w, 8, &gone), WINDOW_NOMEM);
	assert_int_equal(window_pending(w), 1);
	alloc_replace(NULL);
	assert_int_equal(window_deliver(w, 7, &gone), WINDOW_TAKE);
	window_free(w);
	window_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_does_not_fit),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
