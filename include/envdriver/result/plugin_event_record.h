/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_event_record: a plugin event as a record of the plugin-events topic
 * (docs/schemas.md, PluginEvent and its headers).
 *
 * Owns nothing. Knows nothing of Kafka's client: best_effort sends the record.
 */
#ifndef ENVDRIVER_RESULT_PLUGIN_EVENT_RECORD_H
#define ENVDRIVER_RESULT_PLUGIN_EVENT_RECORD_H

struct events;
struct plugin_event;
struct schemas;

/* `ret` is emptied first, then holds the one record, with an event id of its
 * own. ERR_NOMEM when out of memory. */
int plugin_event_record_build(const struct schemas *schemas, const char *instance_id,
			      const struct plugin_event *p, struct events *ret);

#endif
