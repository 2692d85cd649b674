/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "engine/share.h"

/* Of a limit of 1,600, so that 800 are for what waits. */
static const struct row {
	const char *name;
	size_t mine, all;
	bool paused, full;
} rows[] = {
	{ "alone, less than half of it", 399, 399, false, false },
	{ "alone, half of it", 400, 400, false, true },
	{ "alone, and paused: three quarters of what is free", 343, 343, true, true },
	{ "alone, and goes on", 342, 342, true, false },
	{ "two alike, less than a third", 266, 532, false, false },
	{ "two alike, a third", 267, 534, false, true },
	{ "another one has all it may", 100, 500, false, false },
	{ "others left nothing, and it holds something", 1, 800, false, true },
	{ "others left nothing, and it holds nothing", 0, 800, false, false },
	{ "others hold more than there is", 0, 5000, false, false },
	{ "others hold more, and it was paused", 0, 5000, true, false },
	{ "nothing waits", 0, 0, false, false },
};

static void
test_shares(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (share_full(rows[i].mine, rows[i].all, 1600, rows[i].paused) != rows[i].full)
			fail_msg("%s", rows[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_shares) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
