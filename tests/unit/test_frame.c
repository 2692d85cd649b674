/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <time.h>

#include "envdriver/base/clock.h"
#include "rpc/frame.h"
#include "alloc_rig.h"

#define FFFD "\xef\xbf\xbd"

/* What came out: [line], [line]! when repaired, # for a dropped one. */
static struct buf out;

static void
on_line(void *arg, struct span line, bool repaired)
{
	(void)arg;
	/* Reads the line whole, so that a wrong span shows. */
	buf_addch(&out, '[');
	buf_addspan(&out, line);
	buf_adds(&out, repaired ? "]!" : "]");
}

static void
on_dropped(void *arg)
{
	(void)arg;
	buf_addch(&out, '#');
}

static const struct frame_events events = { on_line, on_dropped, NULL };

static const struct row {
	const char *name;
	struct span feed[5];	/* one a read(2); then the end */
	const char *lines;
} rows[] = {
	{ "two lines in one read",	{ S("a\nb\n") },	"[a][b]" },
	{ "line split over reads",	{ S("a"), S("b"), S("c\n") }, "[abc]" },
	{ "nothing",			{ S("") },		"" },
	{ "blank lines",		{ S("\n \n\t\r\n\v\f\nx\n") }, "[x]" },
	{ "blank line split",		{ S(" "), S(" "), S("\n") }, "" },
	{ "space around stays",		{ S(" a \n") },		"[ a ]" },
	{ "CRLF",			{ S("a\r\nb\r\n") },	"[a][b]" },
	{ "CRLF split",			{ S("a\r"), S("\nb\r"), S("\n") }, "[a][b]" },
	{ "bare CR",			{ S("junk\r{}\n") },	"[junk][{}]" },
	{ "CRs only",			{ S("a\rb\rc\r") },	"[a][b][c]" },
	{ "CR, then a blank line",	{ S("a\r\n\nb\n") },	"[a][b]" },
	{ "unterminated at the end",	{ S("a\nb") },		"[a][b]" },
	{ "unterminated over reads",	{ S("a"), S("b") },	"[ab]" },
	{ "unterminated blank",		{ S("a\n  ") },		"[a]" },
	{ "NUL in a line",		{ S("a\0b\n") },	"[a" },
	{ "U+2028, U+0085 end nothing",	{ S("a\xe2\x80\xa8""b\xc2\x85""c\n") },
	  "[a\xe2\x80\xa8""b\xc2\x85""c]" },

	{ "exactly the limit",		{ S("0123456789abcdef\n") }, "[0123456789abcdef]" },
	{ "one past the limit",		{ S("0123456789abcdefg\nx\n") }, "#[x]" },
	{ "the limit over reads",	{ S("01234567"), S("89abcdef"), S("\nx\n") },
	  "[0123456789abcdef][x]" },
	{ "past it over reads",		{ S("01234567"), S("89abcdef"), S("g"), S("h\nx\n") },
	  "#[x]" },
	{ "past it by its last part",	{ S("01234567"), S("89abcdefg\nx\n") }, "#[x]" },
	{ "two dropped ones",		{ S("0123456789abcdefg\n0123456789abcdefg\n") }, "##" },
	{ "dropped, never ended",	{ S("0123456789abcdefg"), S("hij") }, "#" },
	{ "dropped up to CR",		{ S("0123456789abcdefg"), S("hij\rx\n") }, "#[x]" },

	{ "invalid byte",		{ S("a\xff""b\n") },	"[a" FFFD "b]!" },
	{ "only that line is repaired",	{ S("a\xff\nb\n") },	"[a" FFFD "]![b]" },
	{ "character over reads",	{ S("a\xe2"), S("\x82"), S("\xac""b\n") },
	  "[a\xe2\x82\xac""b]" },
	{ "long character over reads",	{ S("\xf0"), S("\x9f"), S("\x98"), S("\x80\n") },
	  "[\xf0\x9f\x98\x80]" },
	{ "cut character, then a line end", { S("a\xf0\x9f"), S("\nb\n") }, "[a" FFFD "]![b]" },
	{ "cut character, then ASCII",	{ S("a\xe2\x82"), S("b\n") }, "[a" FFFD "b]!" },
	{ "cut character at the end",	{ S("a\xe2\x82") },	"[a" FFFD "]!" },
	{ "two broken starts",		{ S("\xe2"), S("\xe2\x82\xac\n") }, "["
	  FFFD "\xe2\x82\xac]!" },
	{ "subpart, then another",	{ S("\xf0\x9f"), S("\xf0\x9f\x98\x80\n") },
	  "[" FFFD "\xf0\x9f\x98\x80]!" },
	{ "lone continuation over reads", { S("a\x80"), S("\x80\n") }, "[a" FFFD FFFD "]!" },
	{ "surrogate in UTF-8",		{ S("\xed\xa0\x80\n") }, "[" FFFD FFFD FFFD "]!" },
	{ "repair goes past the limit",	{ S("\xff\xff\xff\xff\xff\xff\nx\n") }, "#[x]" },
	{ "repair just inside it",	{ S("\xff\xff\xff\xff\xff\nx\n") },
	  "[" FFFD FFFD FFFD FFFD FFFD "]![x]" },
};

static void
feed_row(struct frame *f, const struct row *row)
{
	for (size_t i = 0; i < 5; i++) {
		struct span s = row->feed[i];
		char *exact = malloc(s.len ? s.len : 1);

		assert_non_null(exact);
		memcpy(exact, s.len ? s.ptr : "", s.len);
		frame_feed(f, exact, s.len);
		free(exact);
	}
	frame_end(f);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct frame *f = frame_new(FRAME_MESSAGES, 16, &events, NULL);

		assert_non_null(f);
		buf_reset(&out);
		feed_row(f, &rows[i]);
		if (strcmp(out.data ? out.data : "", rows[i].lines) != 0)
			fail_msg("%s: %s", rows[i].name, out.data);
		frame_free(f);
	}
}

/* However the bytes are cut into reads, the lines are the same. */
static void
test_any_cut(void **state)
{
	static const char text[] = "a\r\nbc\xe2\x82\xac\r\xff\xf0\x9f\x98\x80\n\xf0\x9f\n"
				   "0123456789abcdefgh\n"
				   "\xe2\xe2\x82\n  \n{}";
	size_t len = sizeof(text) - 1;
	struct buf whole = BUF_INIT;

	(void)state;
	for (size_t step = len; step > 0; step--) {
		struct frame *f = frame_new(FRAME_MESSAGES, 16, &events, NULL);

		assert_non_null(f);
		buf_reset(&out);
		for (size_t at = 0; at < len; at += step)
			frame_feed(f, text + at, step < len - at ? step : len - at);
		frame_end(f);
		if (step == len)
			buf_addspan(&whole, buf_span(&out));
		if (!span_eq(buf_span(&out), buf_span(&whole)))
			fail_msg("reads of %zu: %s, not %s", step, out.data, whole.data);
		frame_free(f);
	}
	assert_string_equal(whole.data, "[a][bc\xe2\x82\xac][" FFFD "\xf0\x9f\x98\x80]!["
		FFFD "]!#["
			    FFFD FFFD "]![{}]");
	buf_release(&whole);
}

static const struct row text_rows[] = {
	{ "blank lines count",	{ S("a\n\n\r\nb\n") },		"[a][][][b]" },
	{ "CRLF is one end",	{ S("a\r"), S("\nb\n") },	"[a][b]" },
	{ "cut, not dropped",	{ S("0123456789abcdefghijklmnop\nx\n") },
	  "[0123456789abcdef][ghijklmnop][x]" },
	{ "cut over reads",	{ S("0123456789"), S("0123456789"), S("z\n") },
	  "[0123456789][0123456789][z]" },
	{ "cut at its end",	{ S("0123456789abcdef"), S("\n"), S("\nx\n") },
	  "[0123456789abcdef][][x]" },
	{ "repaired and cut",	{ S("\xff\xff\xff\xff\xff\xff\xff\n") },
	  "[" FFFD FFFD FFFD "]![" FFFD FFFD FFFD "]![" FFFD "]!" },
	{ "unterminated",	{ S("oops") },			"[oops]" },
};

static void
test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(text_rows) / sizeof(*text_rows); i++) {
		struct frame *f = frame_new(FRAME_TEXT, 16, &events, NULL);

		assert_non_null(f);
		buf_reset(&out);
		feed_row(f, &text_rows[i]);
		if (strcmp(out.data ? out.data : "", text_rows[i].lines) != 0)
			fail_msg("%s: %s", text_rows[i].name, out.data);
		frame_free(f);
	}
}

static void
test_partial(void **state)
{
	struct frame *f = frame_new(FRAME_MESSAGES, 4, &events, NULL);

	(void)state;
	assert_non_null(f);
	assert_false(frame_partial(f));
	frame_feed(f, "ab", 2);
	assert_true(frame_partial(f));
	frame_feed(f, "\n", 1);
	assert_false(frame_partial(f));
	frame_feed(f, "abcdef", 6);
	assert_true(frame_partial(f));
	frame_end(f);
	assert_false(frame_partial(f));
	frame_free(f);
}

static struct frame *taking;

static void
take_line(void *arg, struct span line, bool repaired)
{
	char *memory = frame_take(taking);

	(void)arg;
	(void)repaired;
	/* Copied or not, the line is whole; feeding ends behind one that is
	 * taken. */
	buf_addf(&out, "%s[%.*s]", memory ? "took" : "", SPAN_FMT(line));
	free(memory);
}

static void
test_take(void **state)
{
	struct frame_events ev = { take_line, NULL, NULL };

	(void)state;
	taking = frame_new(FRAME_MESSAGES, 16, &ev, NULL);
	assert_non_null(taking);
	buf_reset(&out);
	assert_int_equal(frame_feed(taking, "a\nb\nc", 5), 5);	/* nothing was copied */
	assert_int_equal(frame_feed(taking, "d\r\ne\nf", 7), 3);
	assert_int_equal(frame_feed(taking, "e\nf", 3), 3);
	assert_int_equal(frame_feed(taking, "\n", 1), 1);
	assert_int_equal(frame_feed(taking, "g", 1), 1);
	frame_end(taking);
	assert_string_equal(out.data, "[a][b]took[cd][e]took[f]took[g]");
	frame_free(taking);
}

static size_t lines, bytes;

static void
count_line(void *arg, struct span line, bool repaired)
{
	(void)arg;
	(void)repaired;
	lines++;
	bytes += line.len;
}

/* Linear: a line of 64 MiB in reads of 4 KiB, and 2 million short ones. Each
 * takes well under a second even with sanitizers; a quadratic way hours. */
static void
test_linear(void **state)
{
	enum { READ = 4096, READS = 16384 };
	static char piece[READ];
	struct frame_events ev = { count_line, NULL, NULL };
	struct frame *f = frame_new(FRAME_MESSAGES, (size_t)READ * READS, &ev, NULL);
	int64_t began = clock_mono_ms();

	(void)state;
	assert_non_null(f);
	lines = bytes = 0;
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < READS; i++)
		frame_feed(f, piece, sizeof(piece));
	frame_feed(f, "\n", 1);
	assert_int_equal(lines, 1);
	assert_int_equal(bytes, (size_t)READ * READS);
	for (size_t i = 1; i < sizeof(piece); i += 2)
		piece[i] = '\n';
	for (int i = 0; i < 1000; i++)
		frame_feed(f, piece, sizeof(piece));
	assert_int_equal(lines, 1 + 1000 * READ / 2);
	frame_free(f);
	assert_true(clock_mono_ms() - began < 20000);
}

static int fail_in;

static void *
failing(void *ptr, size_t size)
{
	return fail_in-- == 0 ? NULL : realloc(ptr, size);
}

/* Memory that runs out costs that line, nothing else. */
static void
test_no_memory(void **state)
{
	struct frame *f;

	(void)state;
	for (int n = 0; n < 3; n++) {
		fail_in = n;
		alloc_replace(failing);
		f = frame_new(FRAME_MESSAGES, 100, &events, NULL);
		alloc_replace(NULL);
		assert_int_equal(!f, n == 0);
		if (!f)
			continue;
		buf_reset(&out);
		fail_in = 0;
		alloc_replace(failing);
		frame_feed(f, "ab", 2);
		alloc_replace(NULL);
		frame_feed(f, "c\nd", 3);
		frame_feed(f, "e\n", 2);
		assert_string_equal(out.data, "#[de]");
		frame_free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_no_memory),
	};
	int ret = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&out);
	return ret;
}
