/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/cell.h"

#define TIME "2026-11-23T05:17:57.000Z"

typedef void cut_fn(struct buf *out, struct span text, size_t width);

static const struct cut_row {
	cut_fn *cut;
	const char *text;
	size_t width;
	const char *result;
} cut_rows[] = {
	{ cell_cut_end, "0b9c1f7e-12ab", 13, "0b9c1f7e-12ab" },
	{ cell_cut_end, "0b9c1f7e-12ab", 9, "0b9c1f7e…" },
	{ cell_cut_end, "ab", 1, "…" },
	{ cell_cut_end, "", 1, "" },
	{ cell_cut_end, "äöüß", 4, "äöüß" },
	{ cell_cut_end, "äöüß", 3, "äö…" },
	{ cell_cut_end, "日本語", 6, "日本語" },
	{ cell_cut_end, "日本語", 5, "日本…" },
	{ cell_cut_end, "日本語", 4, "日…" },
	{ cell_cut_start, "environment.probe-results", 25, "environment.probe-results" },
	{ cell_cut_start, "environment.probe-results", 14, "…probe-results" },
	{ cell_cut_start, "日本語", 4, "…語" },
	{ cell_cut_words, "it is not ready", 15, "it is not ready" },
	{ cell_cut_words, "it is not ready", 14, "it is not…" },
	{ cell_cut_words, "it is not ready", 10, "it is not…" },
	{ cell_cut_words, "it is not ready", 9, "it is…" },
	{ cell_cut_words, "unreadable", 5, "unre…" },
	{ cell_cut_words, "a b", 1, "…" },
	{ cell_cut_time, TIME, 24, TIME },
	{ cell_cut_time, TIME, 23, "11-23 05:17:57" },
	{ cell_cut_time, TIME, 14, "11-23 05:17:57" },
	{ cell_cut_time, "253402300800000", 14, "2534023008000…" },
	{ cell_cut_time, "", 14, "" },
};

static void
test_cut(void **state)
{
	const struct cut_row *row;

	(void)state;
	EACH(row, cut_rows) {
		struct buf out = BUF_INIT;

		buf_adds(&out, "");
		row->cut(&out, span_of(row->text), row->width);
		CHECK_TEXT(row->text, out.data ? out.data : "", row->result);
		if (cell_width(buf_span(&out)) > row->width)
			fail_msg("%s is wider than %zu", out.data, row->width);
		buf_release(&out);
	}
}

static const struct line_row {
	const char *text;
	size_t width;
	const char *line;
} line_rows[] = {
	{ "", 10, "" },
	{ "all of it", 9, "all of it" },
	{ "all of it", 8, "all of" },
	{ "all of it", 6, "all of" },
	{ "all of it", 5, "all" },
	{ "all   of", 5, "all  " },
	{ "wonderful day", 6, "wonder" },
	{ "日本", 1, "日" },
};

static void
test_line(void **state)
{
	const struct line_row *row;

	(void)state;
	EACH(row, line_rows) {
		size_t len = cell_line(span_of(row->text), row->width);

		if (len != strlen(row->line) || memcmp(row->text, row->line, len) != 0)
			fail_msg("'%s' in %zu: %zu bytes", row->text, row->width, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
