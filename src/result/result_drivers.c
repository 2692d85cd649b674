/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_drivers: the result of ListDrivers, which calls no plugin: the one
 * result that is made from the registry and the supervisor.
 */
#include <string.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/command/command.h"
#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"
#include "result_job.h"

static const char reusable_verified[] = "reusableLeaseMethodsVerified";
static const char sandbox[] = "sandboxCapabilities";

/* In the order of docs/operations.md, "ListDrivers". */
static const char *const capabilities[] = {
	"supportsReusableLeases",
	sandbox,
	reusable_verified,
	"supportsInteractiveSetup",
	"interactiveSetupConnectionTypes",
	"supportsTemplateCapture",
	"templateRefKind",
	"templateConfigBinding",
	"supportsTemplateDelete",
};

/* What a driver can do and no command can ask for (docs/protocol.md section 16). */
static const char channels[] = "duplexCommandStream";

struct source {
	const struct registry *registry;
	const struct supervisor *supervisor;
};

static bool
can_reuse(const struct supervisor *s, const char *plugin_id)
{
	return supervisor_supports(s, plugin_id, "environmentResumeLease") &&
	       supervisor_supports(s, plugin_id, "environmentReleaseLease") &&
	       supervisor_supports(s, plugin_id, "environmentDestroyLease");
}

/* The capabilities of the sandbox, as they are but for channels. */
static void
add_sandbox(struct jtext value, struct buf *out)
{
	struct buf rest = BUF_INIT;
	struct jtext_iter it;
	struct jtext member;
	struct span key;

	if (jtext_get(value, channels).kind == JTEXT_MISSING) {
		answer_add_member(out, sandbox, value);
		return;
	}
	jtext_iter_init(&it, value);
	while (jtext_iter_next(&it, &key, &member)) {
		if (jtext_is((struct jtext){ JTEXT_STRING, key }, channels))
			continue;
		buf_addch(&rest, rest.len ? ',' : '{');
		buf_addspan(&rest, key);
		buf_addch(&rest, ':');
		buf_addspan(&rest, member.raw);
	}
	buf_adds(&rest, rest.len ? "}" : "{}");
	out->failed |= rest.failed;
	answer_add_member(out, sandbox,
			  (struct jtext){ JTEXT_OBJECT, buf_span(&rest) });
	buf_release(&rest);
}

static void
add_capabilities(struct jtext entry, bool reusable, struct buf *out)
{
	const struct jtext verified = {
		reusable ? JTEXT_TRUE : JTEXT_FALSE,
		reusable ? SPAN_LIT("true") : SPAN_LIT("false"),
	};
	struct jtext value;
	size_t i;

	for (i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		if (capabilities[i] == reusable_verified)
			value = verified;
		else
			value = jtext_get(entry, capabilities[i]);
		if (capabilities[i] == sandbox && value.kind != JTEXT_MISSING)
			add_sandbox(value, out);
		else if (value.kind != JTEXT_MISSING)
			answer_add_member(out, capabilities[i], value);
	}
	buf_addch(out, '}');
}

static bool
set_description(const struct result_job *job, struct jtext entry, avro_value_t *driver)
{
	struct jtext description = jtext_get(entry, "description");
	struct buf *text = &job->ctx->text;

	if (description.kind != JTEXT_STRING)
		return true;
	buf_reset(text);
	jtext_decode(description, text, /* ret_replaced= */ NULL);
	return !text->failed && avro_field_set_span(driver, "description", buf_span(text));
}

static bool
write_driver(const struct result_job *job, const struct registry_plugin *p,
	     const struct registry_driver *d, bool reusable, avro_value_t *drivers)
{
	struct buf *text = &job->ctx->text;
	avro_value_t driver;

	if (!avro_field_append(drivers, &driver) ||
	    !avro_field_set_text(&driver, "pluginId", p->id) ||
	    !avro_field_set_text(&driver, "pluginKey", p->key) ||
	    !avro_field_set_text(&driver, "driverKey", d->driver_key) ||
	    !avro_field_set_text(&driver, "displayName", d->display_name) ||
	    !set_description(job, d->entry, &driver) ||
	    !avro_field_set_span(&driver, "configSchema", answer_json(d->config_schema)))
		return false;
	buf_reset(text);
	add_capabilities(d->entry, reusable, text);
	return !text->failed && avro_field_set_span(&driver, "capabilities", buf_span(text));
}

static bool
write_drivers(const struct result_job *job, avro_value_t *record)
{
	const struct source *from = job->arg;
	const struct registry_plugin *p;
	avro_value_t drivers;
	size_t i, k;

	if (!avro_field_enter(record, "drivers", NULL, &drivers))
		return false;
	for (i = 0; (p = registry_at(from->registry, i)); i++) {
		bool reusable;

		if (!p->ready || supervisor_status(from->supervisor, p->id) != WORKER_RUNNING)
			continue;
		reusable = can_reuse(from->supervisor, p->id);
		for (k = 0; k < p->n_drivers; k++)
			if (p->drivers[k].sandbox_provider &&
			    !write_driver(job, p, &p->drivers[k], reusable, &drivers))
				return false;
	}
	return true;
}

int
result_drivers(struct result_ctx *ctx, const struct command *c, const struct trace *t,
	       const struct registry *registry, const struct supervisor *supervisor,
	       struct events *ret)
{
	const struct source from = { registry, supervisor };
	const struct chosen none = { .plugin_id = SPAN_NULL };
	struct result_job job = {
		.ctx = ctx,
		.command = c,
		.chosen = &none,
		.trace = t,
		.outcome = &ctx->answer.outcome,
		.answer = &ctx->answer,
		.own = write_drivers,
		.arg = &from,
	};

	answer_reset(&ctx->answer);
	return result_publish(&job, ret);
}
