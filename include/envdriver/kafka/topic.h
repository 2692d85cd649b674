/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic: the topics of docs/schemas.md, by number, name and record.
 *
 * Owns the table.
 */
#ifndef ENVDRIVER_KAFKA_TOPIC_H
#define ENVDRIVER_KAFKA_TOPIC_H

#include "envdriver/base/buf.h"

enum topic {
	TOPIC_COMMANDS,
	TOPIC_PROBE_RESULTS,
	TOPIC_LEASE_RESULTS,
	TOPIC_EXECUTION_RESULTS,
	TOPIC_CONFIG_RESULTS,
	TOPIC_WORKSPACE_RESULTS,
	TOPIC_SETUP_RESULTS,
	TOPIC_DRIVER_RESULTS,
	TOPIC_EXECUTION_LOGS,
	TOPIC_PLUGIN_EVENTS,
	TOPIC_DEAD_LETTERS,
	TOPIC_COUNT
};

/* "probe-results": the name without its prefix. */
const char *topic_name(enum topic t);
/* The record it carries: "ProbeResult". */
const char *topic_record(enum topic t);
/* TOPIC_COUNT when it is none of ours. */
enum topic topic_find(struct span name_without_prefix);

#endif
