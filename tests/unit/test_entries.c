/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "audit/entries.h"

/* Which offsets of a partition were added ('+'), left out ('-'), or never seen
 * ('.': the mark of a transaction), from offset 0. */
static const char *const logs[] = {
	"", "+", "-", "+-+", "--+++--+--", "-.-.+.-", "+.+", "-+-+-+-+-", "..--..++..--..",
};

static void
test_left_out(void **state)
{
	const char *const *row;

	(void)state;
	EACH(row, logs) {
		struct entries l;
		const char *log = *row, *past = log + strlen(log);
		size_t n = 0;

		assert_true(entries_init(&l, 2, 1));
		for (const char *p = log; p < past; p++) {
			if (*p == '+')
				assert_non_null(entries_add(&l, 1, p - log, SPAN_LIT("id")));
			if (*p == '-')
				assert_true(entries_leave_out(&l, 1, p - log));
		}
		for (const char *p = log; p < past; p++) {
			bool out = entries_left_out(&l.parts[1], p - log);

			if (*p != '.' && out != (*p == '-'))
				fail_msg("'%s' at %zd", log, p - log);
			if ((*p == '+') != (entries_find(&l, 1, p - log) != NULL))
				fail_msg("'%s' has at %zd", log, p - log);
			n += *p == '-';
		}
		assert_false(entries_left_out(&l.parts[1], past - log));
		assert_false(entries_left_out(&l.parts[1], -1));
		assert_false(entries_left_out(&l.parts[0], 0));
		assert_true(l.parts[1].n_gaps <= n);
		entries_release(&l);
	}
}

/* A long run costs no more than a short one. */
static void
test_runs(void **state)
{
	struct entries l;

	(void)state;
	assert_true(entries_init(&l, 1, 1));
	for (int64_t i = 0; i < 100000; i++)
		assert_true(entries_leave_out(&l, 0, 2 * i));
	assert_int_equal(l.parts[0].n_gaps, 1);
	assert_true(entries_bytes(&l) < 1024);
	entries_release(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
