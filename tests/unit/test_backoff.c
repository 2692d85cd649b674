/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/backoff.h"

static const struct wait_row {
	struct backoff limits;
	unsigned failures;
	int64_t want;
} wait_rows[] = {
	{ { 100, 5000 }, 0, 100 },
	{ { 100, 5000 }, 1, 100 },
	{ { 100, 5000 }, 2, 200 },
	{ { 100, 5000 }, 6, 3200 },
	{ { 100, 5000 }, 7, 5000 },
	{ { 100, 5000 }, UINT32_MAX, 5000 },
	{ { 1000, 300000 }, 9, 256000 },
	{ { 50, 50 }, 3, 50 },
	{ { 0, 0 }, 3, 0 },
};

static void
test_wait(void **state)
{
	const struct wait_row *row;

	(void)state;
	EACH(row, wait_rows) {
		int64_t got = backoff_ms(&row->limits, row->failures);

		if (got != row->want)
			fail_msg("%lld ms, failure %u: got %lld", (long long)row->limits.min_ms,
				 row->failures, (long long)got);
	}
}

static void
test_spread(void **state)
{
	double lowest = 1, highest = -1;

	(void)state;
	assert_int_equal(backoff_spread(1000, -1), 750);
	assert_int_equal(backoff_spread(1000, 0), 1000);
	assert_int_equal(backoff_spread(1000, 1), 1250);
	assert_int_equal(backoff_spread(0, 1), 0);
	for (int i = 0; i < 1000; i++) {
		double dice = backoff_dice();

		lowest = dice < lowest ? dice : lowest;
		highest = dice > highest ? dice : highest;
	}
	assert_true(lowest >= -1 && lowest < -0.8);
	assert_true(highest <= 1 && highest > 0.8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
