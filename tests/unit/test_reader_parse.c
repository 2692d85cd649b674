/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/client/reader.h"

enum { NEVER = -1, SLACK_MS = 60000 };

#define DAY INT64_C(86400000)

static const struct place_row {
	const char *text;
	int at;		/* NEVER: refused */
	bool ago;
	int64_t value;
} place_rows[] = {
	{ "beginning", READER_BEGINNING, false, 0 },
	{ "end", READER_END, false, 0 },
	{ "2026-11-23", READER_TIME, false, INT64_C(1795392000000) },
	{ "2026-11-23T05:17", READER_TIME, false, INT64_C(1795411020000) },
	{ "2026-11-23 05:17:57", READER_TIME, false, INT64_C(1795411077000) },
	{ "2026-11-23T05:17:57+01:00", READER_TIME, false, INT64_C(1795407477000) },
	{ "1795411077000", READER_TIME, false, INT64_C(1795411077000) },
	{ "5m", READER_TIME, true, 300000 },
	{ "30 sec", READER_TIME, true, 30000 },
	{ "1m", READER_TIME, true, 60000 },
	{ "24h", READER_TIME, true, DAY },
	{ "20000d", READER_TIME, true, 20000 * DAY },
	/* Before 1970 there is nothing. */
	{ "30000d", READER_BEGINNING, false, 0 },
	{ "1969-12-31", READER_BEGINNING, false, 0 },
	{ "1970-01-01", READER_BEGINNING, false, 0 },
	{ "0", READER_BEGINNING, false, 0 },
	{ "", NEVER, false, 0 },
	{ "yesterday", NEVER, false, 0 },
	{ "2026-13-01", NEVER, false, 0 },
	{ "-5m", NEVER, false, 0 },
	{ "5M", NEVER, false, 0 },
	{ "99999999999999999999d", NEVER, false, 0 },
};

static void
test_places(void **state)
{
	const struct place_row *row;

	(void)state;
	EACH(row, place_rows) {
		struct reader_place got = { READER_END, 7 };
		struct err err;
		int rc = reader_parse_place(row->text, &got, &err);
		int64_t expected = row->ago ? clock_wall_ms() - row->value : row->value;
		bool near = got.value <= expected && got.value > expected - SLACK_MS;

		if (row->at == NEVER ? rc != ERR_INVALID
					  : rc != 0 || (int)got.at != row->at ||
						    !(row->ago ? near : got.value == expected))
			fail_msg("'%s': %d, %d, %lld", row->text, rc, (int)got.at,
				 (long long)got.value);
	}
}

static const struct range_row {
	const char *from, *to, *offsets;
	const char *wrong;	/* part of the text; NULL: right */
} range_rows[] = {
	{ NULL, NULL, NULL, NULL },
	{ "1h", NULL, NULL, NULL },
	{ NULL, "1h", NULL, NULL },
	{ "2h", "1h", NULL, NULL },
	{ "end", "beginning", NULL, NULL },
	{ "30000d", "2000-01-01", NULL, NULL },
	{ "1min", "2min", NULL, "--from 1min is not before --to 2min; did you mean --from 2min" },
	{ "2026-11-23", "2026-11-23", NULL, "the range is empty" },
	{ "2026-11-24", "2026-11-23T23:59:59.999Z", NULL, "the range is empty" },
	{ "x", NULL, NULL, "--from: 'x'" },
	{ NULL, "x", NULL, "--to: 'x'" },
	{ NULL, NULL, "3..5", NULL },
	{ NULL, NULL, "3..", NULL },
	{ NULL, NULL, "5..3", "'5..3' is not FIRST..LAST" },
	{ "1h", NULL, "3..5", "--offsets excludes --from and --to" },
};

static void
test_ranges(void **state)
{
	const struct range_row *row;

	(void)state;
	EACH(row, range_rows) {
		struct reader_place from, to;
		struct err err = { 0 };
		int rc = reader_parse_range(row->from, row->to, row->offsets, &from, &to, &err);

		if (row->wrong ? rc != ERR_INVALID || !strstr(err.text, row->wrong) : rc != 0)
			fail_msg("%s %s %s: %d %s", row->from, row->to, row->offsets, rc, err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
