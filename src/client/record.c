/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/base64.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

/* The id of a lease that is JSON text. */
static struct span
lease_in(struct span json, struct buf *keep)
{
	struct jtext object, id;

	if (!json.ptr || jtext_check(json, JTEXT_DEPTH_MAX, &object, NULL) < 0)
		return SPAN_NULL;
	id = jtext_get(object, "providerLeaseId");
	if (id.kind != JTEXT_STRING)
		return SPAN_NULL;
	jtext_decode(id, keep, NULL);
	return buf_span(keep);
}

static void
of_command(struct record *r)
{
	avro_value_t op, target;
	const char *branch;

	r->command_id = avro_field_get_span(&r->value, "commandId");
	r->company_id = avro_field_get_span(&r->value, "companyId");
	r->environment_id = avro_field_get_span(&r->value, "environmentId");
	if (avro_field_open(&r->value, "target", NULL, &target))
		r->plugin_key = avro_field_get_span(&target, "pluginKey");
	if (!avro_field_open(&r->value, "operation", &branch, &op))
		return;
	r->operation = span_of(branch);
	r->lease_id = avro_field_get_span(&op, "providerLeaseId");
	if (!r->lease_id.ptr)
		r->lease_id = lease_in(avro_field_get_span(&op, "lease"), &r->lease);
	if (avro_field_has_field(&op, "command"))
		buf_addspan(&r->summary, avro_field_get_span(&op, "command"));
}

static struct span
first_line(struct span text)
{
	const char *end = text.ptr ? memchr(text.ptr, '\n', text.len) : NULL;

	return end ? (struct span){ text.ptr, (size_t)(end - text.ptr) } : text;
}

static void
of_execution(struct record *r)
{
	struct span signal = avro_field_get_span(&r->value, "signal"), line;
	int64_t code = 0;
	bool timed_out = false, ended = avro_field_get_int(&r->value, "exitCode", &code);

	if (avro_field_get_bool(&r->value, "timedOut", &timed_out) && timed_out)
		buf_adds(&r->verdict, "timed out");
	else if (ended && code)
		buf_addf(&r->verdict, "exit %lld", (long long)code);
	else if (signal.ptr)
		buf_addspan(&r->verdict, signal);
	else if (!ended)
		buf_adds(&r->verdict, "no exit code");
	if (!r->verdict.len) {
		buf_adds(&r->summary, "exit 0");
		return;
	}
	buf_addspan(&r->summary, buf_span(&r->verdict));
	line = first_line(avro_field_get_span(&r->value, "stderr"));
	if (line.len)
		buf_addf(&r->summary, ": %.*s", SPAN_FMT(line));
}

static void
of_workspace(struct record *r)
{
	avro_value_t operations, item, ingress;
	int64_t files = 0, bytes = 0, n;
	size_t count = 0, i;

	if (avro_field_open(&r->value, "ingress", NULL, &ingress)) {
		buf_addspan(&r->summary, avro_field_get_span(&ingress, "websocketUrl"));
		return;
	}
	if (!avro_field_open(&r->value, "operations", NULL, &operations) ||
	    avro_value_get_size(&operations, &count) != 0)
		return;
	for (i = 0; i < count; i++) {
		if (avro_value_get_by_index(&operations, i, &item, NULL) != 0)
			continue;
		if (avro_field_get_int(&item, "filesTransferred", &n))
			files += n < INT64_MAX - files ? n : 0;
		if (avro_field_get_int(&item, "bytesTransferred", &n))
			bytes += n < INT64_MAX - bytes ? n : 0;
	}
	buf_addf(&r->summary, "%lld files, %lld bytes", (long long)files, (long long)bytes);
}

static void
of_setup(struct record *r)
{
	static const char *const ends[] = { "cancelled", "timed_out", "failed", "missing" };
	struct span status = avro_field_get_span(&r->value, "status");
	bool deleted;
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (span_is(status, ends[i]))
			buf_addspan(&r->verdict, status);
	if (status.ptr)
		buf_addspan(&r->summary, status);
	else if (avro_field_has(&r->value, "templateRef"))
		buf_addspan(&r->summary, avro_field_get_span(&r->value, "templateRef"));
	else if (avro_field_get_bool(&r->value, "deleted", &deleted))
		buf_adds(&r->summary, deleted ? "deleted" : "not deleted");
}

static void
of_answer(struct record *r)
{
	bool ok = true, lost = false;

	if (strcmp(schema_name(r->schema), "ExecutionResult") == 0) {
		of_execution(r);
		return;
	}
	(void)avro_field_get_bool(&r->value, "ok", &ok);
	(void)avro_field_get_bool(&r->value, "leaseLost", &lost);
	r->credential_key = avro_field_get_span(&r->value, "credentialKey");
	r->says_no = span_is(r->status, "SUCCEEDED") && (!ok || lost);
	if (r->says_no)
		buf_adds(&r->verdict, lost ? "lease lost" : "not ok");
	if (avro_field_has(&r->value, "summary"))
		buf_addspan(&r->summary, avro_field_get_span(&r->value, "summary"));
	else if (lost)
		buf_adds(&r->summary, "lease lost");
	else if (avro_field_has(&r->value, "cwd"))
		buf_addspan(&r->summary, avro_field_get_span(&r->value, "cwd"));
	else if (strcmp(schema_name(r->schema), "WorkspaceResult") == 0)
		of_workspace(r);
	else if (strcmp(schema_name(r->schema), "SetupResult") == 0)
		of_setup(r);
}

/* Which time limit it was (docs/operations.md, "Time limits"). */
static void
add_time_limit(struct record *r, struct span details)
{
	struct jtext object, limit, set_by, ms;

	if (!details.ptr || jtext_check(details, JTEXT_DEPTH_MAX, &object, NULL) < 0)
		return;
	limit = jtext_get(object, "limit");
	set_by = jtext_get(object, "setBy");
	ms = jtext_get(object, "setMs");
	if (limit.kind != JTEXT_STRING || set_by.kind != JTEXT_STRING || ms.kind != JTEXT_NUMBER)
		return;
	buf_adds(&r->summary, " (the limit: ");
	jtext_decode(limit, &r->summary, NULL);
	buf_addf(&r->summary, ", %.*sms, set by ", SPAN_FMT(ms.raw));
	jtext_decode(set_by, &r->summary, NULL);
	buf_addch(&r->summary, ')');
}

/* How the worker is that a command did not find, and why. */
static void
add_worker_why(struct record *r)
{
	static const char begin[] = "The worker of plugin ";
	avro_value_t trace, list, one;
	struct span text;

	if (!avro_field_open(&r->value, "trace", NULL, &trace) ||
	    !avro_field_open(&trace, "warnings", NULL, &list))
		return;
	for (size_t i = 0; avro_value_get_by_index(&list, i, &one, NULL) == 0; i++) {
		text = avro_field_span(&one);
		if (text.len >= sizeof(begin) && memcmp(text.ptr, begin, sizeof(begin) - 1) == 0)
			buf_addf(&r->summary, " (%.*s)", SPAN_FMT(text));
	}
}

static bool
lacks_worker(struct span code)
{
	return span_is(code, "NO_RUNNING_WORKER") || span_is(code, "PROVIDER_NOT_AVAILABLE");
}

static void
of_result(struct record *r)
{
	avro_value_t outcome, error;

	if (!avro_field_open(&r->value, "outcome", NULL, &outcome))
		return;
	r->status = span_of(avro_field_get_enum(&outcome, "status"));
	if (avro_field_open(&outcome, "error", NULL, &error)) {
		r->code = avro_field_get_span(&error, "code");
		buf_addf(&r->summary, "%.*s: %.*s", SPAN_FMT(r->code),
			 SPAN_FMT(avro_field_get_span(&error, "message")));
		if (span_is(r->code, "TIMEOUT"))
			add_time_limit(r, avro_field_get_span(&error, "details"));
		if (lacks_worker(r->code))
			add_worker_why(r);
		return;
	}
	of_answer(r);
	if (r->says_no)
		add_worker_why(r);
}

static void
of_log(struct record *r)
{
	buf_addf(&r->summary, "%s %s %.*s", avro_field_get_enum(&r->value, "origin"),
		 avro_field_get_enum(&r->value, "stream"),
		 SPAN_FMT(avro_field_get_span(&r->value, "text")));
	r->token = avro_field_get_span(&r->value, "callToken");
}

static void
of_dead_letter(struct record *r)
{
	r->command_id = avro_field_get_span(&r->value, "commandId");
	r->company_id = avro_field_get_span(&r->value, "companyId");
	r->environment_id = avro_field_get_span(&r->value, "environmentId");
	r->operation = avro_field_get_span(&r->value, "operation");
	r->status = SPAN_LIT("DEAD_LETTER");
	r->code = avro_field_get_span(&r->value, "reason");
	buf_addf(&r->summary, "%.*s: %.*s", SPAN_FMT(r->code),
		 SPAN_FMT(avro_field_get_span(&r->value, "message")));
}

static void
of_plugin_event(struct record *r)
{
	r->command_id = avro_field_get_span(&r->value, "commandId");
	r->company_id = avro_field_get_span(&r->value, "companyId");
	r->plugin_key = avro_field_get_span(&r->value, "pluginKey");
	r->plugin_id = avro_field_get_span(&r->value, "pluginId");
	r->event = avro_field_get_span(&r->value, "type");
	buf_addf(&r->summary, "plugin %.*s on %.*s", SPAN_FMT(r->plugin_id),
		 SPAN_FMT(avro_field_get_span(&r->value, "instanceId")));
	if (avro_field_get_span(&r->value, "message").len)
		buf_addf(&r->summary, ": %.*s",
			 SPAN_FMT(avro_field_get_span(&r->value, "message")));
}

static void
read_facts(struct record *r)
{
	avro_value_t ref, trace;
	const char *name = schema_name(r->schema);

	if (avro_field_open(&r->value, "command", NULL, &ref)) {
		r->command_id = avro_field_get_span(&ref, "commandId");
		r->operation = avro_field_get_span(&ref, "operation");
		r->company_id = avro_field_get_span(&ref, "companyId");
		r->environment_id = avro_field_get_span(&ref, "environmentId");
		r->plugin_key = avro_field_get_span(&ref, "pluginKey");
		r->plugin_id = avro_field_get_span(&ref, "pluginId");
		r->lease_id = avro_field_get_span(&ref, "providerLeaseId");
	}
	if (avro_field_open(&r->value, "trace", NULL, &trace))
		r->token = avro_field_get_span(&trace, "callToken");
	if (strcmp(name, "EnvironmentCommand") == 0)
		of_command(r);
	else if (strcmp(name, "ExecutionLog") == 0)
		of_log(r);
	else if (strcmp(name, "DeadLetter") == 0)
		of_dead_letter(r);
	else if (strcmp(name, "PluginEvent") == 0)
		of_plugin_event(r);
	else
		of_result(r);
}

int
record_open(const struct schemas *schemas, const struct reader_record *raw, struct record *ret,
	    struct err *reterr)
{
	struct err why = { 0 };
	struct span datum;
	int rc;

	*ret = (struct record){ .raw = raw };
	rc = schemas_unframe(schemas, raw->value, &ret->schema, &datum, &why);
	if (rc == ERR_UNAVAILABLE) {
		*reterr = why;
		ret->schema = NULL;
		return rc;
	}
	if (rc == 0 && schema_value_new(ret->schema, &ret->value, reterr) < 0) {
		ret->schema = NULL;
		return ERR_NOMEM;
	}
	if (rc == 0) {
		rc = schema_read(ret->schema, datum, &ret->value, &why);
		if (rc == 0) {
			schema_ref(ret->schema);
			read_facts(ret);
		} else {
			avro_value_decref(&ret->value);
		}
	}
	if (rc < 0) {
		ret->schema = NULL;
		buf_adds(&ret->why, why.text);
		ret->command_id = reader_header(raw, "command-id");
	}
	if (ret->summary.failed || ret->lease.failed || ret->why.failed || ret->verdict.failed) {
		record_release(ret);
		return err_nomem(reterr);
	}
	return 0;
}

void
record_release(struct record *r)
{
	if (r->schema)
		avro_value_decref(&r->value);
	schema_unref(r->schema);
	buf_release(&r->lease);
	buf_release(&r->summary);
	buf_release(&r->verdict);
	buf_release(&r->why);
	*r = (struct record){ 0 };
}

static void
add_json_text(struct buf *out, const char *name, struct span text)
{
	struct buf repaired = BUF_INIT;

	buf_addf(out, ",\"%s\":", name);
	if (!text.ptr) {
		buf_adds(out, "null");
		return;
	}
	jtext_add_repaired(&repaired, text);
	jtext_add_string(out, buf_span(&repaired));
	out->failed |= repaired.failed;
	buf_release(&repaired);
}

static void
write_unreadable(const struct record *r, struct buf *out)
{
	buf_adds(out, "{\"unreadable\":");
	jtext_add_string(out, buf_span(&r->why));
	buf_adds(out, ",\"value\":");
	if (r->raw->value.ptr) {
		buf_addch(out, '"');
		base64_encode(out, r->raw->value);
		buf_adds(out, "\"}");
	} else {
		buf_adds(out, "null}");
	}
}

int
record_write(const struct record *r, bool envelope, struct buf *out, struct err *reterr)
{
	char when[CLOCK_TEXT_MAX];
	int ret = 0;

	if (envelope) {
		buf_adds(out, "{\"topic\":");
		jtext_add_string(out, span_of(r->raw->topic_name));
		buf_addf(out, ",\"partition\":%d,\"offset\":%lld", r->raw->partition,
			 (long long)r->raw->offset);
		add_json_text(out, "timestamp", span_of(clock_text(r->raw->timestamp, when)));
		add_json_text(out, "key", r->raw->key);
		add_json_text(out, "record",
			      r->schema ? span_of(schema_name(r->schema)) : SPAN_NULL);
		buf_adds(out, ",\"value\":");
	}
	if (r->schema)
		ret = avro_json_write(r->schema, &r->value, out, reterr);
	else
		write_unreadable(r, out);
	if (envelope)
		buf_addch(out, '}');
	return ret == 0 && out->failed ? err_nomem(reterr) : ret;
}
