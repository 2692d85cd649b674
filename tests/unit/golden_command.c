/* SPDX-License-Identifier: Apache-2.0 */
#include "golden_command.h"

static const struct golden_function functions[] = {
	{ "probePluginEnvironmentDriver", "Probe", false, NULL },
	{ "probePluginSandboxProviderDriver", "Probe", true, NULL },
	{ "validatePluginEnvironmentDriverConfig", "ValidateConfig", false, NULL },
	{ "validatePluginSandboxProviderConfig", "ValidateConfig", true, NULL },
	{ "resumePluginEnvironmentLease", "ResumeLease", false, NULL },
	{ "destroyPluginEnvironmentLease", "DestroyLease", false, NULL },
	{ "realizePluginEnvironmentWorkspace", "RealizeWorkspace", false, "params" },
	{ "executePluginEnvironmentCommand", "Execute", false, "params" },
	{ "workerManager.call", NULL, false, "params" },
};

const struct golden_function *
golden_function_of(struct jtext recorded)
{
	const struct golden_function *f;
	struct jtext name = jtext_get(recorded, "function");

	EACH(f, functions)
		if (name.kind == JTEXT_STRING && jtext_is(name, f->name))
			return f;
	return NULL;
}

static const struct operation *
operation_of(const struct golden_function *f, struct jtext input)
{
	struct jtext method = jtext_get(input, "method");

	if (f->operation)
		return operation_by_name(span_of(f->operation));
	for (int i = 0; i < OPERATION_COUNT && method.kind == JTEXT_STRING; i++) {
		const struct operation *op = operation_by_id((enum operation_id)i);

		if (op->rpc && jtext_is(method, op->rpc))
			return op;
	}
	return NULL;
}

static void
add_raw(struct buf *out, const char *name, struct jtext value)
{
	if (golden_given(value))
		buf_addf(out, "\"%s\":%.*s,", name, SPAN_FMT(value.raw));
}

static void
add_json_text(struct buf *out, const char *name, struct jtext value)
{
	struct buf text = BUF_INIT;

	if (!golden_given(value))
		return;
	golden_stringify(value, &text);
	buf_addf(out, "\"%s\":", name);
	jtext_add_string(out, buf_span(&text));
	buf_addch(out, ',');
	buf_release(&text);
}

static void
add_target(struct buf *out, const struct golden_function *f, struct jtext input,
	struct jtext source)
{
	struct jtext config = jtext_get(input, "config");
	struct jtext driver = jtext_get(f->source ? source : config, "driverKey");

	buf_adds(out, "\"target\":{");
	if (f->provider) {
		add_raw(out, "provider", jtext_get(input, "provider"));
		buf_adds(out, "\"type\":\"SandboxProvider\"},");
		return;
	}
	add_raw(out, "driverKey", driver);
	add_raw(out, "pluginId", f->operation ? jtext_get(input, "pluginId") : (struct jtext){ 0 });
	buf_adds(out, "\"pluginKey\":\"" PLUGIN_KEY "\",\"type\":\"PluginDriver\"},");
}

struct command *
golden_command_of(const struct golden_function *f, struct jtext input)
{
	const struct operation *op = operation_of(f, input);
	struct jtext source = f->source ? jtext_get(input, f->source) : input;
	struct jtext config = jtext_get(source, "config");
	const struct operation_field *field;
	struct buf json = BUF_INIT;
	struct command *c;

	if (!op)
		return NULL;
	if (!f->provider && !f->source)
		config = jtext_get(config, "driverConfig");
	buf_addch(&json, '{');
	add_raw(&json, "companyId", jtext_get(source, "companyId"));
	add_raw(&json, "environmentId", jtext_get(source, "environmentId"));
	add_raw(&json, "issueId", jtext_get(source, "issueId"));
	add_target(&json, f, input, source);
	add_json_text(&json, "config", config);
	buf_adds(&json, "\"operation\":{");
	for (field = op->fields; field->name; field++) {
		struct jtext value = jtext_get(source, field->name);

		if (field->kind == FIELD_OBJECT || field->kind == FIELD_LEASE ||
		    field->kind == FIELD_ENV || field->kind == FIELD_SYNC)
			add_json_text(&json, field->name, value);
		else
			add_raw(&json, field->name, value);
	}
	buf_addf(&json, "\"type\":\"%s\"}}", op->name);
	c = fixture_command(json.data);
	buf_release(&json);
	return c;
}
