/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/metrics.h"

#include <assert.h>
#include <stdatomic.h>

#define KIND_COUNTER "counter"
#define KIND_GAUGE "gauge"

static const struct row {
	const char *kind, *name, *help;
} rows[METRIC_COUNT] = {
#define METRIC_ROW(id, kind, name, help) [METRIC_##id] = { KIND_##kind, name, help },
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

/* The one set of numbers of a process: any thread may count. */
static _Atomic int64_t values[METRIC_COUNT];

void
metrics_add(enum metric m, int64_t n)
{
	assert(m < METRIC_COUNT);
	atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
}

void
metrics_set(enum metric m, int64_t value)
{
	assert(m < METRIC_COUNT);
	atomic_store_explicit(&values[m], value, memory_order_relaxed);
}

int64_t
metrics_get(enum metric m)
{
	assert(m < METRIC_COUNT);
	return atomic_load_explicit(&values[m], memory_order_relaxed);
}

/* Help texts hold neither '\\' nor line breaks (a test says so): nothing is
 * escaped. */
void
metrics_print(struct buf *out)
{
	for (enum metric m = 0; m < METRIC_COUNT; m++) {
		const struct row *r = &rows[m];

		buf_addf(out, "# HELP envdriver_%s %s\n# TYPE envdriver_%s %s\nenvdriver_%s %lld\n",
			 r->name, r->help, r->name, r->kind, r->name, (long long)metrics_get(m));
	}
}
