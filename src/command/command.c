/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/command.h"

#include <assert.h>
#include <avro.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "command_check.h"
#include "sync_check.h"
#include "envdriver/avro/avro_field.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"

enum { SPANS_MAX = 16 + OPERATION_FIELDS_MAX };

/* Namespace of our invocation ids. Must never change: a plugin recognises a
 * repeated call by its id, even when we were upgraded in between. */
static const uuid_t invocation_namespace = { 0xad, 0xd1, 0xde, 0xad, 0xd8, 0xca, 0x4b, 0x8b,
					     0x97, 0xc8, 0x2c, 0xd1, 0x0c, 0xcc, 0xe4, 0xfd };

struct command_decoder {
	const struct schemas *schemas;
	size_t max_bytes;
	const struct schema *writer;	/* whose `value` is; NULL: no value */
	avro_value_t value;
	struct buf strings;		/* a FIELD_STRINGS as JSON text */
	struct buf lease_id;
};

struct command_decoder *
command_decoder_new(const struct schemas *schemas, size_t max_bytes, struct err *reterr)
{
	struct command_decoder *d = malloc(sizeof(*d));

	if (!d) {
		err_nomem(reterr);
		return NULL;
	}
	*d = (struct command_decoder){ .schemas = schemas, .max_bytes = max_bytes };
	return d;
}

void
command_decoder_free(struct command_decoder *d)
{
	if (!d)
		return;
	if (d->writer)
		avro_value_decref(&d->value);
	schema_unref(d->writer);
	buf_release(&d->strings);
	buf_release(&d->lease_id);
	free(d);
}

/* Makes `value` one of the writer's schema. Returns 0 or ERR_NOMEM. */
static int
use_writer(struct command_decoder *d, const struct schema *writer)
{
	if (d->writer == writer)
		return 0;
	if (d->writer)
		avro_value_decref(&d->value);
	schema_unref(d->writer);
	d->writer = NULL;
	if (schema_value_new(writer, &d->value, /* reterr= */ NULL) < 0)
		return ERR_NOMEM;
	d->writer = schema_ref(writer);
	return 0;
}

/* The array as JSON text, as JSON.stringify would write it. */
static bool
get_strings(struct command_decoder *d, const avro_value_t *record, const char *field,
	    struct span *ret)
{
	avro_value_t array, item;
	size_t i, n = 0;

	if (!avro_field_open(record, field, /* ret_branch= */ NULL, &array))
		return false;
	buf_reset(&d->strings);
	buf_addch(&d->strings, '[');
	avro_value_get_size(&array, &n);
	for (i = 0; i < n; i++) {
		if (avro_value_get_by_index(&array, i, &item, NULL) != 0)
			break;
		if (i)
			buf_addch(&d->strings, ',');
		jtext_add_string(&d->strings, avro_field_span(&item));
	}
	buf_addch(&d->strings, ']');
	*ret = buf_span(&d->strings);
	return true;
}

static void
read_values(struct command_decoder *d, const avro_value_t *operation, struct command *c)
{
	const struct operation_field *f;

	for (f = c->op->fields; f->name; f++) {
		struct command_value *v = &c->values[f - c->op->fields];

		switch (f->kind) {
		case FIELD_INT:
			v->present = avro_field_get_int(operation, f->name, &v->number);
			break;
		case FIELD_BOOL:
			v->present = avro_field_get_bool(operation, f->name, &v->flag);
			break;
		case FIELD_STRINGS:
			v->present = get_strings(d, operation, f->name, &v->text);
			break;
		default:
			v->text = avro_field_get_span(operation, f->name);
			v->present = v->text.ptr != NULL;
			break;
		}
	}
}

static void
read_target(const avro_value_t *record, struct command *c)
{
	const char *branch = NULL;
	avro_value_t target;

	if (!avro_field_open(record, "target", &branch, &target))
		return;
	if (strcmp(branch, "PluginDriver") == 0) {
		c->target = COMMAND_TARGET_DRIVER;
		c->plugin_key = avro_field_get_span(&target, "pluginKey");
		c->driver_key = avro_field_get_span(&target, "driverKey");
	} else {
		c->target = COMMAND_TARGET_PROVIDER;
		c->driver_key = avro_field_get_span(&target, "provider");
	}
	c->pinned_id = avro_field_get_span(&target, "pluginId");
	if (!c->pinned_id.len)
		c->pinned_id = SPAN_NULL;
}

/* For the dead letter. An id that is too long is left out: cut, it would name
 * another command. */
static void
keep_id(char *to, size_t size, struct span id)
{
	if (id.len < size)
		command_copy_text(to, size, id);
}

/* Everything but the ordering key and the lease id, which need checked text.
 * Spans are borrowed from the decoder. False with *r filled when the
 * operation is not one of ours. */
static bool
read_fields(struct command_decoder *d, struct span traceparent_header, struct command *c,
	    struct reject *r)
{
	const avro_value_t *v = &d->value;
	const char *branch = "";
	avro_value_t operation;

	c->id = avro_field_get_span(v, "commandId");
	c->company_id = avro_field_get_span(v, "companyId");
	c->environment_id = avro_field_get_span(v, "environmentId");
	if (!c->company_id.ptr)
		c->company_id = SPAN_LIT("");
	if (!c->environment_id.ptr)
		c->environment_id = SPAN_LIT("");
	keep_id(r->command_id, sizeof(r->command_id), c->id);
	keep_id(r->company_id, sizeof(r->company_id), c->company_id);
	keep_id(r->environment_id, sizeof(r->environment_id), c->environment_id);
	if (avro_field_open(v, "operation", &branch, &operation))
		c->op = operation_by_name(span_of(branch));
	command_copy_text(r->operation, sizeof(r->operation), span_of(branch));
	if (!c->op) {
		command_reject(r, REJECT_INVALID, "operation",
			       "operation: '%s' is not known to this version", branch);
		return false;
	}
	c->issued_by = avro_field_get_span(v, "issuedBy");
	c->issue_id = avro_field_get_span(v, "issueId");
	c->ordering_key = avro_field_get_span(v, "orderingKey");
	avro_field_get_time(d->writer, v, "issuedAt", &c->issued_at);
	/* Before 1970 is past, not "null". */
	if (avro_field_get_time(d->writer, v, "expiresAt", &c->expires_at) && c->expires_at < 0)
		c->expires_at = 0;
	avro_field_get_bool(v, "rerunIfInterrupted", &c->rerun);
	c->traceparent = traceparent_header;
	if (!command_traceparent_ok(c->traceparent))
		c->traceparent = avro_field_get_span(v, "traceparent");
	if (!command_traceparent_ok(c->traceparent))
		c->traceparent = SPAN_NULL;
	c->config = avro_field_get_span(v, "config");
	if (!c->config.ptr)
		c->config = SPAN_LIT("{}");
	read_target(v, c);
	read_values(d, &operation, c);
	return true;
}

/* docs/decisions.md D7 (ordering key): null means the lease, empty means none.
 * Expects checked text. */
static bool
read_keys(struct command_decoder *d, struct command *c, struct reject *r)
{
	const struct operation_field *f = c->op->fields;
	struct jtext lease;

	buf_reset(&d->lease_id);
	if (f->name && f->kind == FIELD_LEASE) {
		jtext_check(c->values[0].text, JTEXT_DEPTH_MAX, &lease, /* reterr= */ NULL);
		lease = jtext_get(lease, "providerLeaseId");
		if (lease.kind == JTEXT_STRING)
			jtext_decode(lease, &d->lease_id, /* ret_replaced= */ NULL);
		c->lease_id = buf_span(&d->lease_id);
	} else if (f->name && strcmp(f->name, "providerLeaseId") == 0) {
		c->lease_id = c->values[0].text;
	}
	if (!command_check_lease_id(c->lease_id, r))
		return false;
	if (!c->lease_id.len)
		c->lease_id = SPAN_NULL;
	if (!c->ordering_key.ptr && c->op->lease_key)
		c->ordering_key = c->lease_id;
	if (!c->ordering_key.len)
		c->ordering_key = SPAN_NULL;
	return !d->lease_id.failed;
}

static size_t
list_spans(struct command *c, struct span *spans[SPANS_MAX])
{
	size_t n = 0, i;

	spans[n++] = &c->id;
	spans[n++] = &c->issued_by;
	spans[n++] = &c->company_id;
	spans[n++] = &c->environment_id;
	spans[n++] = &c->issue_id;
	spans[n++] = &c->ordering_key;
	spans[n++] = &c->traceparent;
	spans[n++] = &c->plugin_key;
	spans[n++] = &c->driver_key;
	spans[n++] = &c->pinned_id;
	spans[n++] = &c->config;
	spans[n++] = &c->lease_id;
	for (i = 0; i < OPERATION_FIELDS_MAX; i++)
		spans[n++] = &c->values[i].text;
	return n;
}

/* Another writer's schema may have bytes where ours has a string; the pre-scan
 * does not check those for UTF-8. */
static bool
check_texts(struct command *c, struct reject *r)
{
	struct span *spans[SPANS_MAX];
	size_t n = list_spans(c, spans), i;

	for (i = 0; i < n; i++) {
		if (!spans[i]->ptr || jtext_utf8_ok(*spans[i]))
			continue;
		command_reject(r, REJECT_INVALID, "", "a text of the command is not UTF-8");
		return false;
	}
	return true;
}

/* One block: the struct, then every text with a NUL behind it. */
static struct command *
copy_command(const struct command *from)
{
	struct span *spans[SPANS_MAX];
	struct command *c, borrowed = *from;
	size_t n = list_spans(&borrowed, spans), i, size = sizeof(*c);
	char *p;

	for (i = 0; i < n; i++)
		if (spans[i]->ptr)
			size += spans[i]->len + 1;
	c = malloc(size);
	if (!c)
		return NULL;
	*c = borrowed;
	c->bytes = size;
	p = (char *)(c + 1);
	list_spans(c, spans);
	for (i = 0; i < n; i++) {
		if (!spans[i]->ptr)
			continue;
		memcpy(p, spans[i]->ptr, spans[i]->len);
		p[spans[i]->len] = '\0';
		spans[i]->ptr = p;
		p += spans[i]->len + 1;
	}
	return c;
}

/* The record's value as avro-c has it; false with *r filled. */
static bool
read_record_value(struct command_decoder *d, struct span value, struct reject *r)
{
	const struct schema *writer;
	struct span body;
	struct err err = { .code = 0 };
	int ret;

	if (!value.ptr) {
		command_reject(r, REJECT_UNREADABLE, "", "the record has no value (a tombstone)");
		return false;
	}
	if (value.len > d->max_bytes) {
		command_reject(r, REJECT_TOO_LARGE, "",
			       "command of %zu bytes exceeds the limit of %zu", value.len,
			       d->max_bytes);
		return false;
	}
	ret = schemas_unframe(d->schemas, value, &writer, &body, &err);
	if (ret == ERR_UNAVAILABLE)
		r->reason = REJECT_WAIT;
	if (ret < 0)
		goto unreadable;
	if (!schema_is(writer, "EnvironmentCommand")) {
		err_set(&err, ERR_INVALID, "expected an EnvironmentCommand, got a %s",
			schema_name(writer));
		goto unreadable;
	}
	if (use_writer(d, writer) < 0)
		return false;
	if (schema_read(writer, body, &d->value, &err) < 0)
		goto unreadable;
	return true;
unreadable:
	if (err.code != ERR_NOMEM && r->reason != REJECT_WAIT)
		command_reject(r, REJECT_UNREADABLE, "", "%s", err.text);
	return false;
}

struct command *
command_decode(struct command_decoder *d, struct span value, struct span traceparent_header,
	       struct reject *ret_reject)
{
	struct command c = { .expires_at = -1 };

	*ret_reject = (struct reject){ .reason = REJECT_NOTHING };
	if (!read_record_value(d, value, ret_reject) ||
	    !read_fields(d, traceparent_header, &c, ret_reject) || d->strings.failed ||
	    !check_texts(&c, ret_reject) || !command_check(&c, ret_reject) ||
	    !read_keys(d, &c, ret_reject))
		return NULL;
	return copy_command(&c);
}

void
command_free(struct command *c)
{
	free(c);
}

const struct command_value *
command_value(const struct command *c, const char *name)
{
	const struct operation_field *f;

	for (f = c->op->fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return &c->values[f - c->op->fields];
	assert(!"the operation has no such field");
	return NULL;
}

const char *
command_reject_name(enum reject_reason reason)
{
	static const char *const names[] = {
		[REJECT_UNREADABLE] = "UNREADABLE_COMMAND",
		[REJECT_INVALID] = "INVALID_COMMAND",
		[REJECT_DUPLICATE] = "DUPLICATE_COMMAND",
		[REJECT_TOO_LARGE] = "COMMAND_TOO_LARGE",
	};

	assert(reason >= 0 && (size_t)reason < sizeof(names) / sizeof(names[0]));
	return names[reason];
}

void
command_provider_key(const struct command *c, struct buf *out)
{
	if (c->target == COMMAND_TARGET_DRIVER) {
		buf_addspan(out, c->plugin_key);
		buf_addch(out, ':');
	}
	buf_addspan(out, c->driver_key);
}

void
command_invocation_id(const struct command *c, char ret[37])
{
	uuid_t id;

	uuid_generate_sha1(id, invocation_namespace, c->id.ptr, c->id.len);
	uuid_unparse_lower(id, ret);
}

bool
command_runs_once(const struct command *c)
{
	const struct operation_field *f;
	struct span text;

	for (f = c->op->fields; f->name; f++) {
		text = c->values[f - c->op->fields].text;
		if (f->kind == FIELD_SYNC && sync_check_commands(command_json(text, JTEXT_ARRAY)))
			return true;
	}
	return c->op->once;
}

struct jtext
command_config(const struct command *c)
{
	return command_json(c->config, JTEXT_OBJECT);
}

struct jtext
command_json(struct span text, enum jtext_kind kind)
{
	while (text.len && strchr(" \t\r\n", text.ptr[0])) {
		text.ptr++;
		text.len--;
	}
	while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
		text.len--;
	return (struct jtext){ kind, text };
}
