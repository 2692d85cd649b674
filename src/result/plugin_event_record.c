/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/result/plugin_event_record.h"

#include <uuid/uuid.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/kafka/event.h"
#include "envdriver/host/plugin_event.h"

static bool
set_unless(avro_value_t *v, const char *field, int64_t value, int64_t none)
{
	return value == none || avro_field_set_int(v, field, value);
}

static bool
write_plugin_event(const struct plugin_event *p, const char *instance_id, avro_value_t *v)
{
	char id[37];
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, id);
	return avro_field_clear(v) && avro_field_set_text(v, "eventId", id) &&
	       avro_field_set_text(v, "type", p->type) &&
	       avro_field_set_int(v, "occurredAt", clock_wall_ms()) &&
	       avro_field_set_span(v, "pluginId", p->plugin_id) &&
	       avro_field_set_span(v, "pluginKey", p->plugin_key) &&
	       avro_field_set_text(v, "instanceId", instance_id) &&
	       set_unless(v, "pid", p->pid, 0) && set_unless(v, "exitCode", p->exit_code, -1) &&
	       avro_field_set_span(v, "signal", span_of(p->signal)) &&
	       (p->will_restart < 0 || avro_field_set_bool(v, "willRestart", p->will_restart)) &&
	       set_unless(v, "nextRestartAt", p->next_restart_at, 0) &&
	       set_unless(v, "consecutiveCrashes", p->consecutive_crashes, -1) &&
	       set_unless(v, "totalCrashes", p->total_crashes, -1) &&
	       avro_field_set_span(v, "message", p->message) &&
	       avro_field_set_span(v, "companyId", p->company_id) &&
	       avro_field_set_span(v, "commandId", p->command_id) &&
	       avro_field_set_span(v, "name", p->name) &&
	       (!p->details.ptr || avro_field_set_span(v, "details", p->details));
}

int
plugin_event_record_build(const struct schemas *schemas, const char *instance_id,
			  const struct plugin_event *p, struct events *ret)
{
	const struct schema *schema = schemas_find(schemas, topic_record(TOPIC_PLUGIN_EVENTS));
	struct event_header headers[3];
	struct buf encoded = BUF_INIT;
	avro_value_t value = { 0 };
	size_t n = 0;
	int r = ERR_NOMEM;

	events_reset(ret);
	if (p->command_id.ptr)
		headers[n++] = (struct event_header){ SPAN_LIT("command-id"), p->command_id };
	if (p->company_id.ptr)
		headers[n++] = (struct event_header){ SPAN_LIT("company-id"), p->company_id };
	headers[n++] = (struct event_header){ SPAN_LIT("schema"), span_of(schema_name(schema)) };
	if (schema_value_new(schema, &value, /* reterr= */ NULL) < 0 ||
	    !write_plugin_event(p, instance_id, &value) ||
	    schema_write(schema, &value, &encoded, /* reterr= */ NULL) < 0 || encoded.failed)
		goto out;
	if (events_add(ret, TOPIC_PLUGIN_EVENTS, p->plugin_id, headers, n, buf_span(&encoded)))
		r = 0;
out:
	if (value.iface)
		avro_value_decref(&value);
	buf_release(&encoded);
	return r;
}
