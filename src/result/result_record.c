/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_record: a result job as an Avro record and an event (docs/schemas.md,
 * records, message keys, headers). The writers of every record's fields; which
 * record is written, and what happens when it is too large, result decides.
 */
#include <string.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/command/command.h"
#include "result_job.h"

avro_value_t *
result_record_get(struct result_ctx *ctx, enum topic topic)
{
	struct result_record *r = &ctx->records[topic];

	if (!r->schema) {
		const struct schema *schema = schemas_find(ctx->schemas, topic_record(topic));

		if (schema_value_new(schema, &r->value, /* reterr= */ NULL) < 0)
			return NULL;
		r->schema = schema;
	}
	return avro_field_clear(&r->value) ? &r->value : NULL;
}

static struct span
key_of_plugin(const struct result_job *job)
{
	return job->chosen->plugin_key.ptr ? job->chosen->plugin_key : job->command->plugin_key;
}

bool
result_record_command(const struct result_job *job, avro_value_t *record)
{
	const struct command *c = job->command;
	avro_value_t ref;

	return avro_field_enter(record, "command", NULL, &ref) &&
	       avro_field_set_span(&ref, "commandId", c->id) &&
	       avro_field_set_text(&ref, "operation", c->op->name) &&
	       avro_field_set_span(&ref, "companyId", c->company_id) &&
	       avro_field_set_span(&ref, "environmentId", c->environment_id) &&
	       avro_field_set_span(&ref, "issueId", c->issue_id) &&
	       avro_field_set_span(&ref, "pluginId", job->chosen->plugin_id) &&
	       avro_field_set_span(&ref, "pluginKey", key_of_plugin(job)) &&
	       avro_field_set_span(&ref, "driverKey", c->driver_key) &&
	       avro_field_set_span(&ref, "providerLeaseId", job->lease_id);
}

bool
result_record_outcome(const struct result_job *job, avro_value_t *record)
{
	const struct outcome *o = job->outcome;
	struct span message = buf_span(&o->message);
	avro_value_t outcome, error;

	if (!avro_field_enter(record, "outcome", NULL, &outcome) ||
	    !avro_field_set_enum(&outcome, "status", outcome_status_name(o->status)))
		return false;
	if (o->status == OUTCOME_SUCCEEDED)
		return true;
	buf_reset(&job->ctx->text);
	/* A message may quote a plugin or a library: not all of them write UTF-8. */
	if (!jtext_utf8_ok(message)) {
		jtext_add_repaired(&job->ctx->text, message);
		message = buf_span(&job->ctx->text);
	}
	return !job->ctx->text.failed && avro_field_enter(&outcome, "error", NULL, &error) &&
	       avro_field_set_text(&error, "code", outcome_code_name(o->code)) &&
	       (!o->has_rpc_code || avro_field_set_int(&error, "rpcCode", o->rpc_code)) &&
	       (!o->http_status || avro_field_set_int(&error, "httpStatus", o->http_status)) &&
	       avro_field_set_span(&error, "message", message) &&
	       avro_field_set_bool(&error, "retryable", o->retryable) &&
	       avro_field_set_bool(&error, "mayHaveRun", o->may_have_run) &&
	       (!o->details.len || avro_field_set_span(&error, "details", buf_span(&o->details)));
}

static bool
add_list_text(avro_value_t *array, struct span text)
{
	avro_value_t item;

	return avro_field_append(array, &item) && avro_field_put_span(&item, text);
}

static bool
add_list(avro_value_t *record, const char *field, const struct answer_list *list)
{
	avro_value_t array;
	size_t cursor = 0;
	struct span text;

	if (!avro_field_enter(record, field, NULL, &array))
		return false;
	while (answer_list_next(list, &cursor, &text))
		if (!add_list_text(&array, text))
			return false;
	return true;
}

static bool
add_own_warnings(const struct trace *t, avro_value_t *trace)
{
	avro_value_t array;
	size_t i;

	if (!t->warnings)
		return true;
	if (!avro_field_enter(trace, "warnings", NULL, &array))
		return false;
	for (i = 0; t->warnings[i]; i++)
		if (!add_list_text(&array, span_of(t->warnings[i])))
			return false;
	return true;
}

bool
result_record_trace(const struct result_job *job, avro_value_t *record)
{
	const struct trace *t = job->trace;
	avro_value_t trace;

	return avro_field_enter(record, "trace", NULL, &trace) &&
	       avro_field_set_text(&trace, "sourceTopic", t->topic) &&
	       avro_field_set_int(&trace, "sourcePartition", t->partition) &&
	       avro_field_set_int(&trace, "sourceOffset", t->offset) &&
	       avro_field_set_int(&trace, "attempt", t->attempt) &&
	       avro_field_set_text(&trace, "invocationId", t->invocation_id) &&
	       avro_field_set_text(&trace, "callToken", t->call_token) &&
	       avro_field_set_text(&trace, "instanceId", job->ctx->instance_id) &&
	       avro_field_set_int(&trace, "receivedAt", t->received_at) &&
	       (!t->started_at || avro_field_set_int(&trace, "startedAt", t->started_at)) &&
	       avro_field_set_int(&trace, "finishedAt", t->finished_at) &&
	       avro_field_set_span(&trace, "traceparent", job->command->traceparent) &&
	       add_own_warnings(t, &trace) && add_list(&trace, "warnings", &job->answer->warnings);
}

/* --- each record's own fields --- */

static bool
write_probe(const struct result_job *job, avro_value_t *record)
{
	bool provider = job->command->target == COMMAND_TARGET_PROVIDER;

	return avro_field_set_bool(record, "ok", job->answer->ok) &&
	       avro_field_set_text(record, "driver", provider ? "sandbox" : "plugin") &&
	       avro_field_set_span(record, "summary", answer_text(job->answer, ANSWER_SUMMARY)) &&
	       avro_field_set_span(record, "details", answer_text(job->answer, ANSWER_DETAILS));
}

static bool
write_lease(const struct result_job *job, avro_value_t *record)
{
	const struct answer *a = job->answer;
	struct span state = answer_text(a, ANSWER_RECEIPT_STATE);
	avro_value_t lease, receipt;

	if (a->has_lease &&
	    !(avro_field_enter(record, "lease", NULL, &lease) &&
	      avro_field_set_span(&lease, "providerLeaseId", answer_text(a, ANSWER_LEASE_ID)) &&
	      avro_field_set_span(&lease, "metadata", a->metadata) &&
	      avro_field_set_span(&lease, "expiresAt", answer_text(a, ANSWER_EXPIRES_AT))))
		return false;
	if (state.ptr &&
	    !(avro_field_enter(record, "receipt", NULL, &receipt) &&
	      avro_field_set_span(&receipt, "providerLeaseId", job->command->lease_id) &&
	      avro_field_set_span(&receipt, "state", state)))
		return false;
	return avro_field_set_bool(record, "leaseLost", a->lease_lost);
}

static bool
write_stream(const struct result_stream *s, avro_value_t *record, const char *const names[5])
{
	bool truncated = s->sha256[0] != '\0';
	struct span raw = s->raw.ptr ? (struct span){ s->raw.ptr, s->raw_shown } : SPAN_NULL;

	return avro_field_set_span(record, names[0], (struct span){ s->text.ptr, s->shown }) &&
	       avro_field_set_int(record, names[1], (int64_t)s->text.len) &&
	       avro_field_set_bool(record, names[2], truncated) &&
	       (!truncated || avro_field_set_text(record, names[3], s->sha256)) &&
	       avro_field_set_span(record, names[4], raw);
}

static bool
write_execution(const struct result_job *job, avro_value_t *record)
{
	static const char *const out[] = { "stdout", "stdoutBytes", "stdoutTruncated",
					   "stdoutSha256", "stdoutRaw" };
	static const char *const err[] = { "stderr", "stderrBytes", "stderrTruncated",
					   "stderrSha256", "stderrRaw" };
	const struct answer *a = job->answer;

	return (!a->has_exit_code || avro_field_set_int(record, "exitCode", a->exit_code)) &&
	       avro_field_set_span(record, "signal", answer_text(a, ANSWER_SIGNAL)) &&
	       avro_field_set_bool(record, "timedOut", a->timed_out) &&
	       write_stream(&job->streams[RESULT_STDOUT], record, out) &&
	       write_stream(&job->streams[RESULT_STDERR], record, err) &&
	       avro_field_set_int(record, "finalLogRecords", job->final_records) &&
	       avro_field_set_span(record, "metadata", a->metadata);
}

static bool
write_config(const struct result_job *job, avro_value_t *record)
{
	enum outcome_code code = job->outcome->code;

	if ((code == CODE_NONE || code == CODE_CONFIG_REJECTED) &&
	    !avro_field_set_bool(record, "ok", code == CODE_NONE))
		return false;
	return avro_field_set_span(record, "config", job->answer->config) &&
	       add_list(record, "warnings", &job->answer->config_warnings);
}

/* One item of a sync's answer, which was checked. */
static bool
write_synced(const struct result_job *job, struct jtext item, avro_value_t *operations)
{
	struct buf *text = &job->ctx->text;
	avro_value_t operation;
	int64_t files = 0, bytes = 0;

	(void)jtext_int(jtext_get(item, "filesTransferred"), &files);
	(void)jtext_int(jtext_get(item, "bytesTransferred"), &bytes);
	buf_reset(text);
	jtext_decode(jtext_get(item, "operationId"), text, /* ret_replaced= */ NULL);
	return !text->failed && avro_field_append(operations, &operation) &&
	       avro_field_set_span(&operation, "operationId", buf_span(text)) &&
	       avro_field_set_int(&operation, "filesTransferred", files) &&
	       avro_field_set_int(&operation, "bytesTransferred", bytes);
}

static bool
write_all_synced(const struct result_job *job, avro_value_t *record)
{
	struct jtext_iter it;
	struct jtext item;
	avro_value_t operations;

	if (job->answer->synced.kind != JTEXT_ARRAY)
		return true;
	if (!avro_field_enter(record, "operations", NULL, &operations))
		return false;
	jtext_iter_init(&it, job->answer->synced);
	while (jtext_iter_next(&it, /* ret_key= */ NULL, &item))
		if (!write_synced(job, item, &operations))
			return false;
	return true;
}

static bool
write_ingress(const struct result_job *job, avro_value_t *record)
{
	const struct answer *a = job->answer;
	avro_value_t ingress;

	return !a->has[ANSWER_URL] ||
	       (avro_field_enter(record, "ingress", NULL, &ingress) &&
		avro_field_set_text(&ingress, "kind", "authenticated_websocket") &&
		avro_field_set_span(&ingress, "websocketUrl", answer_text(a, ANSWER_URL)) &&
		add_list(&ingress, "secretHeaderNames", &a->header_names) &&
		avro_field_set_span(&ingress, "generation", answer_text(a, ANSWER_GENERATION)));
}

static bool
write_workspace(const struct result_job *job, avro_value_t *record)
{
	return avro_field_set_span(record, "cwd", answer_text(job->answer, ANSWER_CWD)) &&
	       avro_field_set_span(record, "metadata", job->answer->metadata) &&
	       write_all_synced(job, record) && write_ingress(job, record) &&
	       avro_field_set_span(record, "credentialKey", job->credential_key);
}

static bool
write_setup(const struct result_job *job, avro_value_t *record)
{
	static const struct {
		const char *field;
		enum answer_slot slot;
	} texts[] = {
		{ "status", ANSWER_STATUS },
		{ "connectionSummary", ANSWER_CONNECTION },
		{ "expiresAt", ANSWER_EXPIRES_AT },
		{ "templateRef", ANSWER_TEMPLATE_REF },
		{ "templateKind", ANSWER_TEMPLATE_KIND },
	};
	const struct answer *a = job->answer;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!avro_field_set_span(record, texts[i].field, answer_text(a, texts[i].slot)))
			return false;
	return avro_field_set_span(record, "credentialKey", job->credential_key) &&
	       (!a->has_deleted || avro_field_set_bool(record, "deleted", a->deleted)) &&
	       avro_field_set_span(record, "metadata", a->metadata);
}

bool (*result_record_own(enum topic topic))(const struct result_job *, avro_value_t *)
{
	static bool (*const writers[TOPIC_COUNT])(const struct result_job *, avro_value_t *) = {
		[TOPIC_PROBE_RESULTS] = write_probe,
		[TOPIC_LEASE_RESULTS] = write_lease,
		[TOPIC_EXECUTION_RESULTS] = write_execution,
		[TOPIC_CONFIG_RESULTS] = write_config,
		[TOPIC_WORKSPACE_RESULTS] = write_workspace,
		[TOPIC_SETUP_RESULTS] = write_setup,
	};

	return writers[topic];
}

/* --- the event --- */

/* docs/schemas.md, "Message keys". */
static struct span
event_key(const struct result_job *job, enum topic topic)
{
	switch (topic) {
	case TOPIC_PROBE_RESULTS:
	case TOPIC_CONFIG_RESULTS:
	case TOPIC_SETUP_RESULTS:
		return job->command->environment_id;
	case TOPIC_LEASE_RESULTS:
	case TOPIC_EXECUTION_RESULTS:
	case TOPIC_WORKSPACE_RESULTS:
		return job->lease_id.ptr ? job->lease_id : job->command->id;
	default:
		return job->command->id;
	}
}

static void
add_result_header(struct event_header *headers, size_t *n, const char *name, struct span value)
{
	if (value.len)
		headers[(*n)++] = (struct event_header){ span_of(name), value };
}

/* docs/schemas.md, "Headers"; what is unknown or empty is left out. */
static size_t
event_headers(const struct result_job *job, enum topic topic,
	      struct event_header headers[EVENT_HEADERS_MAX])
{
	const struct command *c = job->command;
	size_t n = 0;

	add_result_header(headers, &n, "command-id", c->id);
	add_result_header(headers, &n, "operation", span_of(c->op->name));
	add_result_header(headers, &n, "company-id", c->company_id);
	add_result_header(headers, &n, "environment-id", c->environment_id);
	if (topic != TOPIC_EXECUTION_LOGS) {
		add_result_header(headers, &n, "status",
			   span_of(outcome_status_name(job->outcome->status)));
		add_result_header(headers, &n, "error-code",
			   span_of(outcome_code_name(job->outcome->code)));
	}
	add_result_header(headers, &n, "traceparent", c->traceparent);
	add_result_header(headers, &n, "schema", span_of(topic_record(topic)));
	return n;
}

int
result_record_emit(struct result_job *job, enum topic topic, size_t limit, struct events *ret)
{
	struct result_record *r = &job->ctx->records[topic];
	struct event_header headers[EVENT_HEADERS_MAX];
	struct buf *encoded = &job->ctx->encoded;
	struct span key = event_key(job, topic);
	size_t n = event_headers(job, topic, headers), size, i;

	buf_reset(encoded);
	if (schema_write(r->schema, &r->value, encoded, /* reterr= */ NULL) < 0)
		return ERR_NOMEM;
	size = encoded->len + key.len;
	for (i = 0; i < n; i++)
		size += headers[i].name.len + headers[i].value.len;
	if (limit && size > limit) {
		job->too_large = size;
		job->limit = limit;
		return ERR_LIMIT;
	}
	return events_add(ret, topic, key, headers, n, buf_span(encoded)) ? 0 : ERR_NOMEM;
}
