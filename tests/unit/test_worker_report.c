/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/config.h"
#include "envdriver/base/metric_series.h"
#include "envdriver/base/metrics.h"
#include "envdriver/host/plugin_event.h"
#include "envdriver/host/host.h"
#include "plugin/supervisor_table.h"
#include "plugin/worker_report.h"

static size_t passed[2];

static void
on_report_event(void *arg, const struct plugin_event *e)
{
	(void)arg;
	passed[span_is(e->company_id, "quiet")]++;
}

static const struct host_plugin plugin = { .id = "plugin-1", .key = "acme.x" };
static struct supervisor_row row;

static void
begin(struct worker_report *r, const char *pair)
{
	struct config *c = config_new(NULL);

	passed[0] = passed[1] = 0;
	assert_int_equal(config_set_pair(c, pair, "-X", NULL), 0);
	worker_report_init(r, &plugin, &row, c, on_report_event, NULL);
	config_free(c);
}

static void
report(struct worker_report *r, const char *company, size_t bytes, size_t n)
{
	struct buf text = BUF_INIT;
	struct plugin_event e = { .type = "ACTIVITY", .company_id = span_of(company) };

	for (size_t i = 0; i < bytes; i++)
		buf_addch(&text, 'x');
	e.message = buf_span(&text);
	for (size_t i = 0; i < n; i++)
		worker_report_event(r, &e);
	buf_release(&text);
}

/* In number and in bytes; all of this is done within a second or two. */
static void
test_companies(void **state)
{
	struct worker_report r;

	(void)state;
	begin(&r, "plugin.metrics.max.series=1");
	report(&r, "loud", 10, 50000);
	report(&r, "quiet", 10, 500);
	assert_true(passed[0] >= 1000 && passed[0] < 50000);
	assert_int_equal(passed[1], 500);
	worker_report_release(&r);
	begin(&r, "plugin.metrics.max.series=1");
	report(&r, "loud", 256 << 10, 200);
	report(&r, "quiet", 256 << 10, 4);
	assert_true(passed[0] >= 4 && passed[0] < 100);
	assert_int_equal(passed[1], 4);
	worker_report_release(&r);
}

/* Its lines in the log, likewise: what was left out is told with the next second. */
static void
test_messages(void **state)
{
	struct worker_report r;
	struct limiter *l;
	size_t loud = 0, quiet = 0;

	(void)state;
	begin(&r, "plugin.metrics.max.series=1");
	for (int i = 0; i < 1000; i++)
		worker_report_message(&r, LOG_LEVEL_WARN, SPAN_LIT("loud"), SPAN_LIT("m"),
				      (struct jtext){ JTEXT_MISSING, SPAN_NULL });
	for (int i = 0; i < 50; i++)
		worker_report_message(&r, LOG_LEVEL_WARN, SPAN_LIT("quiet"), SPAN_LIT("m"),
				      (struct jtext){ JTEXT_MISSING, SPAN_NULL });
	for (size_t i = 0; i < WORKER_REPORT_COMPANIES; i++) {
		l = &r.company_messages[i];
		loud += l->held > 0;
		quiet += l->passed == 50 && l->held == 0;
	}
	assert_int_equal(loud, 1);
	assert_int_equal(quiet, 1);
	worker_report_release(&r);
}

static void
test_series(void **state)
{
	int64_t before = metrics_get(METRIC_PLUGIN_POINTS_DROPPED);
	struct worker_report r;
	struct buf out = BUF_INIT;

	(void)state;
	begin(&r, "plugin.metrics.max.series=1");
	worker_report_metric(&r, SPAN_LIT("a=\"1\""), 1);
	worker_report_metric(&r, SPAN_LIT("a=\"2\""), 1);
	worker_report_metric(&r, SPAN_LIT("a=\"1\""), 1);
	assert_int_equal(metrics_get(METRIC_PLUGIN_POINTS_DROPPED) - before, 1);
	metric_series_print(&out);
	assert_non_null(strstr(out.data, "points_total{a=\"1\"} 2\n"));
	assert_null(strstr(out.data, "a=\"2\""));
	worker_report_release(&r);
	/* They go with the plugin. */
	buf_reset(&out);
	metric_series_print(&out);
	assert_int_equal(out.len, 0);
	begin(&r, "plugin.metrics.max.series=0");
	worker_report_metric(&r, SPAN_LIT("a=\"1\""), 1);
	metric_series_print(&out);
	assert_int_equal(out.len, 0);
	worker_report_release(&r);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_companies),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
