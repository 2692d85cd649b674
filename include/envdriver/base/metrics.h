/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: counters and gauges, and their Prometheus text.
 *
 * Owns the numbers of one process: a fixed table, one row an id, incremented
 * with relaxed atomics so that any thread may. Knows nothing of HTTP.
 */
#ifndef ENVDRIVER_BASE_METRICS_H
#define ENVDRIVER_BASE_METRICS_H

#include <stdint.h>

#include "envdriver/base/buf.h"

/* One table: METRIC(id, kind, name, help). */
#define METRICS(M) \
	M(COMMANDS_READ, COUNTER, "commands_read_total", "Command records taken from Kafka.") \
	M(RESULTS, COUNTER, "results_total", "Results whose commit is certain.") \
	M(DEAD_LETTERS, COUNTER, "dead_letters_total", "Dead letters whose commit is certain.") \
	M(INTERRUPTED, COUNTER, "interrupted_total", "Executions that ended INTERRUPTED.") \
	M(REDELIVERED_DONE, COUNTER, "redelivered_done_total", "Commands skipped, done before.") \
	M(RECORDS_GONE, COUNTER, "records_gone_total", \
	  "Unfinished commands the log no longer has.") \
	M(TRANSACTIONS, COUNTER, "transactions_total", "Transactions committed.") \
	M(TRANSACTION_ABORTS, COUNTER, "transaction_aborts_total", "Transactions aborted.") \
	M(PRODUCER_RECREATED, COUNTER, "producer_recreated_total", \
	  "Producers replaced after a fatal error.") \
	M(REBALANCES, COUNTER, "rebalances_total", "Assign and revoke events.") \
	M(TAKEOVERS, COUNTER, "takeovers_total", "Claims taken over from a dead holder.") \
	M(HANDED_OVER, COUNTER, "handed_over_total", "Answers handed over through Redis.") \
	M(ORPHANS, COUNTER, "orphans_total", "Leases written to the orphan list.") \
	M(LOG_CHUNKS, COUNTER, "log_chunks_total", "LIVE pieces of output published.") \
	M(LOG_CHUNKS_DROPPED, COUNTER, "log_chunks_dropped_total", "LIVE pieces dropped.") \
	M(PLUGIN_STARTS, COUNTER, "plugin_starts_total", "Plugin workers started.") \
	M(PLUGIN_CRASHES, COUNTER, "plugin_crashes_total", "Plugin workers that crashed.") \
	M(PLUGIN_BAD_LINES, COUNTER, "plugin_bad_lines_total", \
	  "Lines of plugins that were ignored.") \
	M(PLUGIN_POINTS_DROPPED, COUNTER, "plugin_metric_points_dropped_total", \
	  "Points of plugins' metrics beyond the limits.") \
	M(LOG_LINES_DROPPED, COUNTER, "log_lines_dropped_total", \
	  "Log lines that standard error did not take.") \
	M(REDIS_RECONNECTS, COUNTER, "redis_reconnects_total", "Connections to Redis made anew.") \
	M(IN_FLIGHT, GAUGE, "in_flight", "Commands in windows that are not done.") \
	M(BYTES_HELD, GAUGE, "bytes_held", "Bytes of commands and results in memory.") \
	M(PARTITIONS, GAUGE, "partitions", "Partitions assigned.") \
	M(PARTITIONS_PAUSED, GAUGE, "partitions_paused", "Of these, paused.") \
	M(LOOP_TURN_MAX, GAUGE, "loop_turn_max_ms", \
	  "Longest turn of the event loop so far, milliseconds of CPU time.") \
	M(SCHEMAS_ASKED, GAUGE, "schemas_asked", "Ids that the schema registry is asked for.") \
	M(CALLS_RUNNING, GAUGE, "calls_running", "Plugin calls without an answer.") \
	M(READY, GAUGE, "ready", "1 when /readyz says so.")

enum metric {
#define METRIC_ID(id, kind, name, help) METRIC_##id,
	METRICS(METRIC_ID)
#undef METRIC_ID
	METRIC_COUNT
};

void metrics_add(enum metric m, int64_t n);
void metrics_set(enum metric m, int64_t value);
int64_t metrics_get(enum metric m);
/* Appends every metric in Prometheus text format 0.0.4, names with the
 * prefix "envdriver_". */
void metrics_print(struct buf *out);

#endif
