/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/metric_series.h"

static void
expect_print(const char *wanted)
{
	struct buf out = BUF_INIT;

	metric_series_print(&out);
	if (strcmp(out.data ? out.data : "", wanted) != 0)
		fail_msg("%s", out.data);
	buf_release(&out);
}

static void
test_points(void **state)
{
	(void)state;
	expect_print("");
	assert_true(metric_series_add("p", 2, SPAN_LIT("n=\"a\""), 1.5));
	assert_true(metric_series_add("p", 2, SPAN_LIT("n=\"a\""), -4));
	assert_true(metric_series_add("p", 2, SPAN_LIT("n=\"b\""), 1e300));
	expect_print("# HELP envdriver_plugin_metric_points_total Points that plugins wrote with "
		     "metrics.write.\n"
		     "# TYPE envdriver_plugin_metric_points_total counter\n"
		     "envdriver_plugin_metric_points_total{n=\"a\"} 2\n"
		     "envdriver_plugin_metric_points_total{n=\"b\"} 1\n"
		     "# HELP envdriver_plugin_metric_sum Sum of these points.\n"
		     "# TYPE envdriver_plugin_metric_sum gauge\n"
		     "envdriver_plugin_metric_sum{n=\"a\"} -2.5\n"
		     "envdriver_plugin_metric_sum{n=\"b\"} 1.0000000000000001e+300\n"
		     "# HELP envdriver_plugin_metric_last The last of these points.\n"
		     "# TYPE envdriver_plugin_metric_last gauge\n"
		     "envdriver_plugin_metric_last{n=\"a\"} -4\n"
		     "envdriver_plugin_metric_last{n=\"b\"} 1.0000000000000001e+300\n");
	metric_series_free("p");
	metric_series_free("p");
	expect_print("");
}

static void
test_limits(void **state)
{
	char long_labels[METRIC_LABELS_MAX + 1], text[64];

	(void)state;
	memset(long_labels, 'x', sizeof(long_labels));
	assert_false(metric_series_add("p", 0, SPAN_LIT("a"), 1));
	assert_true(metric_series_add("p", 1, SPAN_LIT("a"), 1));
	assert_false(metric_series_add("p", 1, SPAN_LIT("b"), 1));
	/* One that is there goes on. */
	assert_true(metric_series_add("p", 1, SPAN_LIT("a"), 1));
	assert_false(metric_series_add("q", 9, (struct span){ long_labels, sizeof(long_labels) },
				       1));
	for (int i = 1; i < METRIC_SERIES_MAX; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_true(metric_series_add("q", METRIC_SERIES_MAX, span_of(text), 1));
	}
	assert_false(metric_series_add("r", 9, SPAN_LIT("a"), 1));
	metric_series_free("q");
	assert_true(metric_series_add("r", 9, SPAN_LIT("a"), 1));
	metric_series_free("p");
	metric_series_free("q");
	metric_series_free("r");
	expect_print("");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
