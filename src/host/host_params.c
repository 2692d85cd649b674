/* SPDX-License-Identifier: Apache-2.0 */
#include "host_params.h"

#define NAME(text) { text, "\"" text "\"" }

static const struct {
	const char *name, *quoted;
} names[HOST_PARAMS] = {
	[HOST_COMPANY_ID] = NAME("companyId"), [HOST_SCOPE_KIND] = NAME("scopeKind"),
	[HOST_SCOPE_ID] = NAME("scopeId"), [HOST_FILTER] = NAME("filter"),
	[HOST_NAMESPACE] = NAME("namespace"), [HOST_STATE_KEY] = NAME("stateKey"),
	[HOST_VALUE] = NAME("value"), [HOST_MESSAGE] = NAME("message"),
	[HOST_LEVEL] = NAME("level"), [HOST_META] = NAME("meta"), [HOST_NAME] = NAME("name"),
	[HOST_PAYLOAD] = NAME("payload"), [HOST_ENTITY_TYPE] = NAME("entityType"),
	[HOST_ENTITY_ID] = NAME("entityId"), [HOST_METADATA] = NAME("metadata"),
	[HOST_CHANNEL] = NAME("channel"), [HOST_EVENT] = NAME("event"),
	[HOST_SECRET_REF] = NAME("secretRef"), [HOST_CONFIG_PATH] = NAME("configPath"),
	[HOST_TAGS] = NAME("tags"), [HOST_EVENT_NAME] = NAME("eventName"),
	[HOST_ATTRIBUTES] = NAME("attributes"), [HOST_STATUS] = NAME("status"),
	[HOST_START_TIME_MS] = NAME("startTimeMs"), [HOST_END_TIME_MS] = NAME("endTimeMs"),
};

const char *
host_param_name(enum host_param param)
{
	return names[param].name;
}

static void
take_param(struct host_params *p, struct span key, struct jtext value)
{
	bool escaped = memchr(key.ptr, '\\', key.len);

	for (int i = 0; i < HOST_PARAMS; i++) {
		if (span_is(key, names[i].quoted) ||
		    (escaped && jtext_is((struct jtext){ JTEXT_STRING, key }, names[i].name))) {
			p->at[i] = value;
			return;
		}
	}
}

void
host_params_read(struct host_params *p, struct jtext params)
{
	struct jtext_iter it;
	struct jtext value;
	struct span key;

	*p = (struct host_params){ .at = { { JTEXT_MISSING, SPAN_NULL } } };
	if (params.kind != JTEXT_OBJECT)
		return;
	jtext_iter_init(&it, params);
	while (jtext_iter_next(&it, &key, &value))
		take_param(p, key, value);
}
