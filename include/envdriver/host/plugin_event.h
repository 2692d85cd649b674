/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_event: something that happened to a plugin or that it reported, for
 * the plugin-events topic (docs/schemas.md, PluginEvent).
 *
 * A plain value that owns nothing: all texts are borrowed for the call that
 * hands it over. Knows nothing of Avro or Kafka.
 */
#ifndef ENVDRIVER_HOST_PLUGIN_EVENT_H
#define ENVDRIVER_HOST_PLUGIN_EVENT_H

#include <stdint.h>

#include "envdriver/base/buf.h"

/* A span whose ptr is NULL is null in the record. */
struct plugin_event {
	const char *type;	/* WORKER_STARTED, ... */
	struct span plugin_id, plugin_key;
	int pid;		/* 0: null */
	int exit_code;		/* -1: null */
	const char *signal;	/* NULL: null */
	int will_restart;	/* -1: null */
	int64_t next_restart_at;	/* wall ms, 0: null */
	int consecutive_crashes, total_crashes;	/* -1: null */
	struct span message;
	struct span company_id, command_id, name;
	struct span details;	/* JSON object; ptr NULL: {} */
};

#endif
