/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <pthread.h>

#include "envdriver/base/metrics.h"

enum { THREADS = 4, ROUNDS = 20000 };

static const struct row {
	enum metric id;
	const char *kind, *name, *help;
} rows[] = {
#define KNOWN(id, kind, name, help) { METRIC_##id, #kind, name, help },
	METRICS(KNOWN)
#undef KNOWN
};

/* Names as Prometheus wants them: counters end in _total, gauges do not;
 * nothing in a help text needs escaping. */
static void
test_names(void **state)
{
	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(*rows), METRIC_COUNT);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		size_t len = strlen(rows[i].name);
		bool total = len > 6 && strcmp(rows[i].name + len - 6, "_total") == 0;

		if (rows[i].id != i || total != (strcmp(rows[i].kind, "COUNTER") == 0) ||
		    strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_") != len ||
		    strpbrk(rows[i].help, "\\\n"))
			fail_msg("%s", rows[i].name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(rows[i].name, rows[k].name) == 0)
				fail_msg("%s: twice", rows[i].name);
	}
}

static void
test_print(void **state)
{
	struct buf out = BUF_INIT;
	size_t lines = 0;

	(void)state;
	metrics_add(METRIC_RESULTS, 2);
	metrics_add(METRIC_RESULTS, 3);
	metrics_set(METRIC_IN_FLIGHT, 7);
	metrics_add(METRIC_IN_FLIGHT, -1);
	assert_int_equal(metrics_get(METRIC_RESULTS), 5);
	metrics_print(&out);
	assert_non_null(strstr(out.data,
			       "# HELP envdriver_results_total Results whose commit is certain.\n"
			       "# TYPE envdriver_results_total counter\n"
			       "envdriver_results_total 5\n"));
	assert_non_null(strstr(out.data,
			       "# TYPE envdriver_in_flight gauge\nenvdriver_in_flight 6\n"));
	for (const char *p = out.data; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 3 * METRIC_COUNT);
	assert_int_equal(out.data[out.len - 1], '\n');
	buf_release(&out);
}

static void *
count(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		metrics_add(METRIC_LOG_CHUNKS, 1);
	return arg;
}

static void
test_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metrics_get(METRIC_LOG_CHUNKS), THREADS * ROUNDS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
