/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/limiter.h"

enum { STEPS = 8 };

static const struct row {
	const char *name;
	size_t per_second;
	int64_t at[STEPS];	/* one is asked for at each, until 0 */
	/* '1' passed, '0' did not; "+n" before it: so many were held back. */
	const char *out;
} rows[] = {
	{ "below the limit", 3, { 5000, 5001 }, "11" },
	{ "at the limit", 3, { 5000, 5001, 5999 }, "111" },
	{ "above the limit", 2, { 5000, 5001, 5002, 5003 }, "1100" },
	{ "nothing passes", 0, { 5000, 5001 }, "00" },
	{ "a second later", 1, { 5000, 5500, 6000 }, "10+11" },
	{ "just within the second", 1, { 5000, 5999 }, "10" },
	{ "nothing to report", 1, { 5000, 6000, 7000 }, "111" },
	{ "all that was held", 1, { 5000, 5001, 5002, 5003, 9000 }, "1000+31" },
	{ "reported once", 1, { 5000, 5001, 6000, 7000 }, "10+111" },
	{ "the second begins with the first", 1, { 5900, 6100, 6900 }, "10+11" },
	{ "the clock was set back", 1, { 5000, 5001, 4000 }, "10+11" },
};

static void
test_rows(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct limiter l = { .per_second = row->per_second };
		struct buf out = BUF_INIT;

		for (int i = 0; i < STEPS && row->at[i]; i++) {
			size_t held = 99;
			bool passed = limiter_pass(&l, row->at[i], 1, &held);

			if (held)
				buf_addf(&out, "+%zu", held);
			buf_addch(&out, passed ? '1' : '0');
		}
		CHECK_TEXT(row->name, out.data, row->out);
		buf_release(&out);
	}
}

/* Bytes count, too: those of each second, and a burst that quiet seconds give
 * back. */
static void
test_bytes(void **state)
{
	struct limiter l = { .per_second = 100, .bytes_per_second = 10, .burst = 20 };
	size_t held;

	(void)state;
	assert_true(limiter_pass(&l, 5000, 30, &held));
	assert_false(limiter_pass(&l, 5001, 1, &held));
	assert_true(limiter_pass(&l, 6000, 10, &held));
	assert_int_equal(held, 1);
	assert_false(limiter_pass(&l, 6001, 1, &held));
	assert_true(limiter_pass(&l, 7000, 0, &held));
	assert_true(limiter_pass(&l, 8000, 20, &held));
	assert_false(limiter_pass(&l, 8001, 1, &held));
	assert_false(limiter_pass(&l, 9000, 31, &held));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
