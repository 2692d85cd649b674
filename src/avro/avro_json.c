/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/avro/avro_json.h"

#include <math.h>
#include <string.h>

#include "avro_json_union.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/base64.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

/* A unit test holds this against the docs of all schemas. */
static const struct json_field {
	const char *record, *field;
} json_fields[] = {
	{ "EnvironmentCommand",	 "config" },
	{ "AcquireLease",	 "executionWorkspaceSettings" },
	{ "ResumeLease",	 "leaseMetadata" },
	{ "ReleaseLease",	 "leaseMetadata" },
	{ "DestroyLease",	 "leaseMetadata" },
	{ "RealizeWorkspace",	 "lease" },
	{ "RealizeWorkspace",	 "workspace" },
	{ "Execute",		 "lease" },
	{ "Execute",		 "env" },
	{ "SyncIn",		 "lease" },
	{ "SyncIn",		 "operations" },
	{ "SyncOut",		 "lease" },
	{ "SyncOut",		 "operations" },
	{ "RunnerIngressEndpoint", "lease" },
	{ "GetInteractiveSetup", "setupMetadata" },
	{ "CancelInteractiveSetup", "setupMetadata" },
	{ "CaptureTemplate",	 "setupMetadata" },
	{ "DeleteTemplate",	 "metadata" },
	{ "OutcomeError",	 "details" },
	{ "ProbeResult",	 "details" },
	{ "Lease",		 "metadata" },
	{ "ExecutionResult",	 "metadata" },
	{ "ConfigResult",	 "config" },
	{ "WorkspaceResult",	 "metadata" },
	{ "SetupResult",	 "connectionSummary" },
	{ "SetupResult",	 "metadata" },
	{ "ReadyDriver",	 "configSchema" },
	{ "ReadyDriver",	 "capabilities" },
	{ "PluginEvent",	 "details" },
};

bool
avro_json_is(const char *record, const char *field)
{
	for (size_t i = 0; i < sizeof(json_fields) / sizeof(*json_fields); i++)
		if (strcmp(json_fields[i].record, record) == 0 &&
		    strcmp(json_fields[i].field, field) == 0)
			return true;
	return false;
}

/* How a field's value is to be written. */
struct manner {
	const struct schema *schema;
	enum schema_time time;
	bool json;
	const char *tag;	/* the record's name, when it must say it */
};

static bool write_value(const struct manner *how, const avro_value_t *value, struct buf *out);

static void
write_time(int64_t wall_ms, struct buf *out)
{
	char text[CLOCK_TEXT_MAX];

	clock_text(wall_ms, text);
	/* A year that RFC 3339 cannot say comes as the number. */
	if (strchr(text, 'T'))
		jtext_add_string(out, span_of(text));
	else
		buf_adds(out, text);
}

static void
write_text(const struct manner *how, struct span text, struct buf *out)
{
	if (how->json && jtext_check(text, JTEXT_DEPTH_LIMIT, NULL, NULL) == 0)
		jtext_add_flat(out, text);
	else
		jtext_add_string(out, text);
}

static bool
write_record(const struct manner *how, const avro_value_t *value, struct buf *out)
{
	const char *record = avro_schema_name(avro_value_get_schema(value)), *name, *comma = "";
	avro_value_t kid;
	size_t count;

	if (avro_value_get_size(value, &count) != 0)
		return false;
	buf_addch(out, '{');
	if (how->tag) {
		buf_addf(out, "\"type\":\"%s\"", how->tag);
		comma = ",";
	}
	for (size_t i = 0; i < count; i++, comma = ",") {
		const struct schema_field *field = schema_field(how->schema, record, i);

		if (avro_value_get_by_index(value, i, &kid, &name) != 0)
			return false;
		buf_addf(out, "%s\"%s\":", comma, name);
		if (!write_value(&(struct manner){ .schema = how->schema,
						   .time = field ? field->time : SCHEMA_TIME_NONE,
						   .json = avro_json_is(record, name) },
				 &kid, out))
			return false;
	}
	buf_addch(out, '}');
	return true;
}

static bool
write_items(const struct manner *how, const avro_value_t *value, bool map, struct buf *out)
{
	const char *comma = "", *key = NULL;
	avro_value_t item;
	size_t count;

	if (avro_value_get_size(value, &count) != 0)
		return false;
	buf_addch(out, map ? '{' : '[');
	for (size_t i = 0; i < count; i++, comma = ",") {
		if (avro_value_get_by_index(value, i, &item, &key) != 0)
			return false;
		buf_adds(out, comma);
		if (map) {
			jtext_add_string(out, span_of(key));
			buf_addch(out, ':');
		}
		if (!write_value(how, &item, out))
			return false;
	}
	buf_addch(out, map ? '}' : ']');
	return true;
}

static bool
write_union(const struct manner *how, const avro_value_t *value, struct buf *out)
{
	struct manner inner = *how;
	avro_value_t branch;

	inner.tag = NULL;
	if (avro_value_get_current_branch(value, &branch) != 0)
		return false;
	if (avro_value_get_type(&branch) == AVRO_RECORD &&
	    avro_json_union_records(avro_value_get_schema(value)) > 1)
		inner.tag = avro_schema_name(avro_value_get_schema(&branch));
	return write_value(&inner, &branch, out);
}

static bool
write_number(const struct manner *how, const avro_value_t *value, struct buf *out)
{
	int64_t v;
	int32_t small = 0;

	if (avro_value_get_type(value) == AVRO_INT64) {
		if (avro_value_get_long(value, &v) != 0)
			return false;
	} else {
		if (avro_value_get_int(value, &small) != 0)
			return false;
		v = small;
	}
	if (how->time != SCHEMA_TIME_NONE)
		write_time(schema_time_ms(how->time, v), out);
	else
		buf_addf(out, "%lld", (long long)v);
	return true;
}

static bool
write_real(const avro_value_t *value, struct buf *out)
{
	double v;
	float small = 0;

	if (avro_value_get_type(value) == AVRO_DOUBLE) {
		if (avro_value_get_double(value, &v) != 0)
			return false;
	} else {
		if (avro_value_get_float(value, &small) != 0)
			return false;
		v = (double)small;
	}
	if (isfinite(v))
		buf_addf(out, "%.17g", v);
	else
		buf_adds(out, "null");	/* as JSON.stringify */
	return true;
}

static void
write_base64(struct span bytes, struct buf *out)
{
	buf_addch(out, '"');
	base64_encode(out, bytes);
	buf_addch(out, '"');
}

/* Recursion is as deep as the schema, which the pre-scan has bounded. */
static bool
write_value(const struct manner *how, const avro_value_t *value, struct buf *out)
{
	const void *bytes = NULL;
	size_t len;
	int v;

	switch (avro_value_get_type(value)) {
	case AVRO_RECORD:
		return write_record(how, value, out);
	case AVRO_UNION:
		return write_union(how, value, out);
	case AVRO_ARRAY:
	case AVRO_MAP:
		return write_items(how, value, avro_value_get_type(value) == AVRO_MAP, out);
	case AVRO_STRING:
		write_text(how, avro_field_span(value), out);
		return true;
	case AVRO_BYTES:
		write_base64(avro_field_span(value), out);
		return true;
	case AVRO_FIXED:
		if (avro_value_get_fixed(value, &bytes, &len) != 0)
			return false;
		write_base64((struct span){ bytes, len }, out);
		return true;
	case AVRO_INT32:
	case AVRO_INT64:
		return write_number(how, value, out);
	case AVRO_FLOAT:
	case AVRO_DOUBLE:
		return write_real(value, out);
	case AVRO_BOOLEAN:
		if (avro_value_get_boolean(value, &v) != 0)
			return false;
		buf_adds(out, v ? "true" : "false");
		return true;
	case AVRO_ENUM:
		if (avro_value_get_enum(value, &v) != 0)
			return false;
		buf_addf(out, "\"%s\"", avro_schema_enum_get(avro_value_get_schema(value), v));
		return true;
	default:
		buf_adds(out, "null");
		return true;
	}
}

int
avro_json_write(const struct schema *s, const avro_value_t *value, struct buf *out,
		struct err *reterr)
{
	size_t from = out->len;

	if (!write_value(&(struct manner){ .schema = s }, value, out)) {
		out->len = from;
		if (out->data)
			out->data[from] = '\0';
		return err_set(reterr, ERR_BUG, "%s: a union without a branch", schema_name(s));
	}
	return out->failed ? err_nomem(reterr) : 0;
}
