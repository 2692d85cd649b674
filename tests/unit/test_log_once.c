/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/log_once.h"

static void
test_said_once_and_counted(void **state)
{
	struct log_once r = { .quiet_ms = 100 };
	unsigned more = 9;

	(void)state;
	assert_true(log_once_due(&r, SPAN_LIT("a"), 1000, &more));
	assert_int_equal(more, 0);
	assert_false(log_once_due(&r, SPAN_LIT("a"), 1000, &more));
	assert_true(log_once_due(&r, SPAN_LIT("b"), 1050, &more));
	assert_false(log_once_due(&r, SPAN_LIT("a"), 1099, &more));
	assert_true(log_once_due(&r, SPAN_LIT("a"), 1100, &more));
	assert_int_equal(more, 2);
	assert_false(log_once_due(&r, SPAN_LIT("a"), 1199, &more));
	assert_false(log_once_due(&r, SPAN_LIT("b"), 1149, &more));
}

/* The one that was said longest ago is forgotten. */
static void
test_more_texts_than_room(void **state)
{
	struct log_once r = { .quiet_ms = 1000 };
	unsigned more;

	(void)state;
	for (char c = 0; c < LOG_ONCE_TEXTS; c++)
		assert_true(log_once_due(&r, (struct span){ &c, 1 }, c, &more));
	assert_true(log_once_due(&r, SPAN_LIT("new"), 100, &more));
	for (char c = 1; c < LOG_ONCE_TEXTS; c++)
		assert_false(log_once_due(&r, (struct span){ &c, 1 }, 101, &more));
	assert_false(log_once_due(&r, SPAN_LIT("new"), 101, &more));
	assert_true(log_once_due(&r, (struct span){ "", 1 }, 101, &more));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_said_once_and_counted),
		cmocka_unit_test(test_more_texts_than_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
