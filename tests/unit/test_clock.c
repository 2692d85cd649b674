/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <time.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"

static const struct text_row {
	int64_t ms;
	const char *text;
} text_rows[] = {
	{ 0,				"1970-01-01T00:00:00.000Z" },
	{ -1,				"1969-12-31T23:59:59.999Z" },
	{ -1000,			"1969-12-31T23:59:59.000Z" },
	{ INT64_C(1795411077000),	"2026-11-23T05:17:57.000Z" },
	{ INT64_C(951782400001),	"2000-02-29T00:00:00.001Z" },
	{ INT64_C(253402300799999),	"9999-12-31T23:59:59.999Z" },
	/* What RFC 3339 cannot say comes as the number. */
	{ INT64_C(253402300800000),	"253402300800000" },
	{ INT64_C(-62167219200001),	"-62167219200001" },
	{ INT64_MAX,			"9223372036854775807" },
	{ INT64_MIN,			"-9223372036854775808" },
};

static void
test_text(void **state)
{
	const struct text_row *row;

	(void)state;
	EACH(row, text_rows) {
		char text[CLOCK_TEXT_MAX];
		int64_t back;

		assert_ptr_equal(clock_text(row->ms, text), text);
		assert_string_equal(text, row->text);
		if (strchr(text, 'T')) {
			assert_int_equal(clock_parse(text, strlen(text), &back), 0);
			assert_true(back == row->ms);
		}
	}
}

static const struct parse_row {
	const char *text;
	int code;
	int64_t ms;
} parse_rows[] = {
	{ "1970-01-01T00:00:00Z",		0,	0 },
	{ "1970-01-01t00:00:00z",		0,	0 },
	{ "1970-01-01 00:00:00Z",		0,	0 },
	{ "1970-01-01T00:00:00.5Z",		0,	500 },
	{ "1970-01-01T00:00:00.123456789Z",	0,	123 },
	{ "1970-01-01T02:00:00+02:00",		0,	0 },
	{ "1969-12-31T22:30:00-01:30",		0,	0 },
	{ "2026-11-23T05:17:57.000Z",		0,	INT64_C(1795411077000) },
	{ "2024-02-29T00:00:00Z",		0,	INT64_C(1709164800000) },
	{ "2016-12-31T23:59:60Z",		0,	INT64_C(1483228800000) },
	{ "",					ERR_INVALID,	0 },
	{ "1970-01-01",				ERR_INVALID,	0 },
	{ "1970-01-01T00:00:00",		ERR_INVALID,	0 },
	{ "1970-01-01T00:00:00Zx",		ERR_INVALID,	0 },
	{ "1970-01-01T24:00:00Z",		ERR_INVALID,	0 },
	{ "1970-01-01T00:60:00Z",		ERR_INVALID,	0 },
	{ "1970-01-01T00:00:61Z",		ERR_INVALID,	0 },
	{ "1970-00-01T00:00:00Z",		ERR_INVALID,	0 },
	{ "1970-13-01T00:00:00Z",		ERR_INVALID,	0 },
	{ "1970-01-00T00:00:00Z",		ERR_INVALID,	0 },
	{ "2023-02-29T00:00:00Z",		ERR_INVALID,	0 },
	{ "1970-1-01T00:00:00Z",		ERR_INVALID,	0 },
	{ "1970-01-01T00:00:00+0200",		ERR_INVALID,	0 },
	{ "1970-01-01T00:00:00+24:00",		ERR_INVALID,	0 },
	{ "1970-01-01T00:00:00.Z",		ERR_INVALID,	0 },
};

static void
test_parse(void **state)
{
	const struct parse_row *row;

	(void)state;
	EACH(row, parse_rows) {
		struct span text = exact(span_of(row->text));
		int64_t ms = 7;
		int code = clock_parse(text.ptr, text.len, &ms);

		if (code != row->code || ms != (code < 0 ? 7 : row->ms))
			fail_msg("%s: %d %lld", row->text, code, (long long)ms);
		free((char *)text.ptr);
	}
}

static const struct parse_row loose_rows[] = {
	{ "2026-11-23T05:17:57Z",		0,	INT64_C(1795411077000) },
	{ "2026-11-23",				0,	INT64_C(1795392000000) },
	{ "2026-11-23T05:17",			0,	INT64_C(1795411020000) },
	{ "2026-11-23 05:17Z",			0,	INT64_C(1795411020000) },
	{ "2026-11-23T05:17+02:00",		0,	INT64_C(1795403820000) },
	{ "2026-11-23T05:17:57",		0,	INT64_C(1795411077000) },
	{ "2026-11-23T05:17:57.5",		0,	INT64_C(1795411077500) },
	{ "1969-12-31",				0,	INT64_C(-86400000) },
	{ "",					ERR_INVALID,	0 },
	{ "2026-02-30",				ERR_INVALID,	0 },
	{ "2026-11",				ERR_INVALID,	0 },
	{ "2026-11-23T",			ERR_INVALID,	0 },
	{ "2026-11-23T05",			ERR_INVALID,	0 },
	{ "20261123",				ERR_INVALID,	0 },
	{ "23.11.2026",				ERR_INVALID,	0 },
	{ "2026-11-23T05:17:57 and more text than any time could ever have, by far",
	  ERR_INVALID, 0 },
};

static void
test_parse_loose(void **state)
{
	const struct parse_row *row;

	(void)state;
	EACH(row, loose_rows) {
		int64_t ms = 7;
		int code = clock_parse_loose(row->text, &ms);

		if (code != row->code || ms != (code < 0 ? 7 : row->ms))
			fail_msg("%s: %d %lld", row->text, code, (long long)ms);
	}
}

/* The clocks are those of the system, in milliseconds, and go forward. */
static void
test_clocks(void **state)
{
	int64_t mono = clock_mono_ms(), boot = clock_boot_ms();
	int64_t from = (int64_t)time(NULL) * 1000, wall = clock_wall_ms();
	struct timespec ts;

	(void)state;
	assert_true(wall >= from - 1000 && wall < from + 60000);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	assert_true((int64_t)ts.tv_sec * 1000 - mono < 60000);
	assert_true(clock_mono_ms() >= mono);
	/* It has counted every sleep since the start of the machine too. */
	assert_true(boot >= mono - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_loose),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
