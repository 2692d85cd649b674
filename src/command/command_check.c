/* SPDX-License-Identifier: Apache-2.0 */
#include "command_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"
#include "envdriver/command/command.h"
#include "sync_check.h"

enum {
	COMMAND_ID_MAX = 200,
	TRACEPARENT_LEN = 55,		/* of version 00 */
	TRACEPARENT_MAX = 256,		/* later versions may append to it */
	NAME_SHOWN_MAX = 60,		/* of a name that a message quotes */
};

void
command_copy_text(char *to, size_t size, struct span from)
{
	size_t n = from.len < size - 1 ? from.len : size - 1;

	if (n)
		memcpy(to, from.ptr, n);
	to[n] = '\0';
	/* What is copied was UTF-8, so only the cut can be ill-formed. */
	*(char *)utf8_find_bad(to, to + n) = '\0';
}

void
command_reject(struct reject *r, int reason, const char *field, const char *fmt, ...)
{
	char text[sizeof(r->message) + UTF8_MAX];
	va_list ap;

	r->reason = reason;
	snprintf(r->field, sizeof(r->field), "%s", field);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	command_copy_text(r->message, sizeof(r->message), span_of(text));
}

static bool
check_length(struct reject *r, const char *field, struct span text, size_t min, size_t max)
{
	if (text.len >= min && text.len <= max)
		return true;
	if (text.len < min)
		command_reject(r, REJECT_INVALID, field, "%s: must not be empty", field);
	else
		command_reject(r, REJECT_INVALID, field, "%s: %zu bytes, at most %zu are allowed",
			       field, text.len, max);
	return false;
}

static bool
check_json(struct reject *r, const char *field, struct span text, enum jtext_kind kind,
	   struct jtext *ret)
{
	struct err err;

	if (jtext_check(text, JTEXT_DEPTH_MAX, ret, &err) < 0) {
		command_reject(r, REJECT_INVALID, field, "%s: %s", field, err.text);
		return false;
	}
	if (ret->kind != kind) {
		command_reject(r, REJECT_INVALID, field, "%s: expected %s, got %s", field,
			       jtext_kind_name(kind), jtext_kind_name(ret->kind));
		return false;
	}
	return true;
}

static bool
check_lease(struct reject *r, const char *field, struct jtext lease)
{
	struct jtext id = jtext_get(lease, "providerLeaseId");

	if (id.kind != JTEXT_STRING && id.kind != JTEXT_NULL) {
		command_reject(r, REJECT_INVALID, field,
			       "%s.providerLeaseId: expected string or null, got %s", field,
			       jtext_kind_name(id.kind));
		return false;
	}
	return true;
}

/* {"type":"secret_ref","secretId":ID} */
static bool
is_secret_ref(struct jtext value)
{
	struct jtext type = jtext_get(value, "type");

	return type.kind == JTEXT_STRING && jtext_is(type, "secret_ref") &&
	       jtext_get(value, "secretId").kind == JTEXT_STRING;
}

static bool
check_env(struct reject *r, const char *field, struct jtext env)
{
	struct jtext_iter it;
	struct jtext value;
	struct span key;
	char name[NAME_SHOWN_MAX + 1];

	jtext_iter_init(&it, env);
	while (jtext_iter_next(&it, &key, &value)) {
		if (value.kind == JTEXT_STRING || is_secret_ref(value))
			continue;
		command_copy_text(name, sizeof(name), key);
		command_reject(r, REJECT_INVALID, field,
			       "%s: %s: expected string or secret reference, got %s", field, name,
			       jtext_kind_name(value.kind));
		return false;
	}
	return true;
}

static bool
check_int(struct reject *r, const char *field, const struct operation_field *f, int64_t number)
{
	if ((!f->min && !f->max) || (number >= f->min && number <= f->max))
		return true;
	if (f->max == INT64_MAX)
		command_reject(r, REJECT_INVALID, field, "%s: %" PRId64 " is less than %" PRId64,
			       field, number, f->min);
	else
		command_reject(r, REJECT_INVALID, field,
			       "%s: %" PRId64 " is not in the range %" PRId64 " to %" PRId64, field,
			       number, f->min, f->max);
	return false;
}

static bool
check_path(struct reject *r, const char *field, struct span path)
{
	size_t i;

	if (!path.len || path.ptr[0] != '/') {
		command_reject(r, REJECT_INVALID, field, "%s: must start with '/'", field);
		return false;
	}
	for (i = 0; i < path.len; i++) {
		unsigned char ch = (unsigned char)path.ptr[i];

		if (ch > ' ' && ch < 0x7f && !strchr("?#\\", ch))
			continue;
		command_reject(r, REJECT_INVALID, field,
			       "%s: must be the path of a URL, without query and fragment", field);
		return false;
	}
	return true;
}

static bool
check_value(struct reject *r, const struct operation_field *f, const struct command_value *v)
{
	char field[sizeof(r->field)];
	struct jtext json;

	snprintf(field, sizeof(field), "operation.%s", f->name);
	if (!v->present) {
		if (f->required)
			command_reject(r, REJECT_INVALID, field, "%s: missing", field);
		return !f->required;
	}
	switch (f->kind) {
	case FIELD_STRING:
		return check_length(r, field, v->text, f->filled ? 1 : 0, SIZE_MAX);
	case FIELD_STRINGS:
	case FIELD_BOOL:
		return true;
	case FIELD_ID:
		return check_length(r, field, v->text, f->filled ? 1 : 0, OPERATION_ID_MAX);
	case FIELD_PATH:
		return check_path(r, field, v->text);
	case FIELD_OBJECT:
		return check_json(r, field, v->text, JTEXT_OBJECT, &json);
	case FIELD_LEASE:
		return check_json(r, field, v->text, JTEXT_OBJECT, &json) &&
		       check_lease(r, field, json);
	case FIELD_ENV:
		return check_json(r, field, v->text, JTEXT_OBJECT, &json) &&
		       check_env(r, field, json);
	case FIELD_SYNC:
		return check_json(r, field, v->text, JTEXT_ARRAY, &json) &&
		       sync_check(r, field, json);
	case FIELD_INT:
		return check_int(r, field, f, v->number);
	}
	return true;
}

static bool
check_target(struct reject *r, const struct command *c)
{
	bool lists = c->op->id == OPERATION_LIST_DRIVERS;

	switch (c->target) {
	case COMMAND_TARGET_NONE:
		if (!lists)
			command_reject(r, REJECT_INVALID, "target", "target: %s needs one",
				       c->op->name);
		return lists;
	case COMMAND_TARGET_DRIVER:
		if (!check_length(r, "target.pluginKey", c->plugin_key, 1, OPERATION_ID_MAX) ||
		    !check_length(r, "target.driverKey", c->driver_key, 1, OPERATION_ID_MAX))
			return false;
		break;
	case COMMAND_TARGET_PROVIDER:
		if (!check_length(r, "target.provider", c->driver_key, 1, OPERATION_ID_MAX))
			return false;
		break;
	}
	if (lists)
		command_reject(r, REJECT_INVALID, "target", "target: %s takes none", c->op->name);
	return !lists && check_length(r, "target.pluginId", c->pinned_id, 0, OPERATION_ID_MAX);
}

bool
command_check_lease_id(struct span id, struct reject *r)
{
	return check_length(r, "operation.lease", id, 0, OPERATION_ID_MAX);
}

bool
command_check(const struct command *c, struct reject *r)
{
	const struct operation_field *f;
	struct jtext json;

	if (!check_length(r, "commandId", c->id, 1, COMMAND_ID_MAX) ||
	    !check_length(r, "companyId", c->company_id, 0, OPERATION_ID_MAX) ||
	    !check_length(r, "environmentId", c->environment_id, 0, OPERATION_ID_MAX) ||
	    !check_length(r, "issueId", c->issue_id, 0, OPERATION_ID_MAX) || !check_target(r, c) ||
	    !check_json(r, "config", c->config, JTEXT_OBJECT, &json))
		return false;
	for (f = c->op->fields; f->name; f++)
		if (!check_value(r, f, &c->values[f - c->op->fields]))
			return false;
	return true;
}

/* `n` digits of lower-case hex; `zero` tells whether they may all be 0. */
static bool
is_lower_hex(const char *p, size_t n, bool zero)
{
	bool seen = zero;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f'))
			return false;
		seen = seen || p[i] != '0';
	}
	return seen;
}

bool
command_traceparent_ok(struct span text)
{
	const char *p = text.ptr;
	size_t i;

	if (!p || text.len < TRACEPARENT_LEN || text.len > TRACEPARENT_MAX)
		return false;
	if (!is_lower_hex(p, 2, true) || p[2] != '-' || !is_lower_hex(p + 3, 32, false) ||
	    p[35] != '-' || !is_lower_hex(p + 36, 16, false) || p[52] != '-' ||
	    !is_lower_hex(p + 53, 2, true))
		return false;
	if (memcmp(p, "ff", 2) == 0)
		return false;
	if (text.len == TRACEPARENT_LEN)
		return true;
	if (memcmp(p, "00", 2) == 0 || p[TRACEPARENT_LEN] != '-')
		return false;
	for (i = TRACEPARENT_LEN; i < text.len; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return false;
	return true;
}
