/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metric_series: numbers that come with labels from elsewhere, as plugins write
 * them, and their Prometheus text: of each series how many points there were, their
 * sum, and the last one.
 *
 * Owns the series of one process, at most METRIC_SERIES_MAX of them. Any thread may
 * call. Knows nothing of what the labels mean.
 */
#ifndef ENVDRIVER_BASE_METRIC_SERIES_H
#define ENVDRIVER_BASE_METRIC_SERIES_H

#include <stdbool.h>
#include <stddef.h>

#include "envdriver/base/buf.h"

enum {
	METRIC_SERIES_MAX = 5000,	/* of all owners */
	METRIC_LABELS_MAX = 4096,	/* bytes of one's labels */
};

/* Adds a point to the series of `owner` (a short text) with these labels, which are
 * printed as they are: `name="value",...`. False: it is not counted, since it would
 * be one series more than `owner_max` or METRIC_SERIES_MAX allow, or its labels are
 * too long, or out of memory. */
bool metric_series_add(const char *owner, size_t owner_max, struct span labels, double value);
/* Forgets all series of an owner. */
void metric_series_free(const char *owner);
/* Appends all, as metrics_print; nothing when there is none. */
void metric_series_print(struct buf *out);

#endif
