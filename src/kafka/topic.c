/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/kafka/topic.h"

#include <assert.h>

static const struct {
	const char *name;
	const char *record;
} topics[TOPIC_COUNT] = {
	[TOPIC_COMMANDS] = { "commands", "EnvironmentCommand" },
	[TOPIC_PROBE_RESULTS] = { "probe-results", "ProbeResult" },
	[TOPIC_LEASE_RESULTS] = { "lease-results", "LeaseResult" },
	[TOPIC_EXECUTION_RESULTS] = { "execution-results", "ExecutionResult" },
	[TOPIC_CONFIG_RESULTS] = { "config-results", "ConfigResult" },
	[TOPIC_WORKSPACE_RESULTS] = { "workspace-results", "WorkspaceResult" },
	[TOPIC_SETUP_RESULTS] = { "setup-results", "SetupResult" },
	[TOPIC_DRIVER_RESULTS] = { "driver-results", "DriverListResult" },
	[TOPIC_EXECUTION_LOGS] = { "execution-logs", "ExecutionLog" },
	[TOPIC_PLUGIN_EVENTS] = { "plugin-events", "PluginEvent" },
	[TOPIC_DEAD_LETTERS] = { "dead-letters", "DeadLetter" },
};

const char *
topic_name(enum topic t)
{
	assert((unsigned)t < TOPIC_COUNT);
	return topics[t].name;
}

const char *
topic_record(enum topic t)
{
	assert((unsigned)t < TOPIC_COUNT);
	return topics[t].record;
}

enum topic
topic_find(struct span name_without_prefix)
{
	for (int t = 0; t < TOPIC_COUNT; t++)
		if (span_is(name_without_prefix, topics[t].name))
			return (enum topic)t;
	return TOPIC_COUNT;
}
