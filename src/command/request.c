/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/request.h"

#include <assert.h>
#include <inttypes.h>

#include "envdriver/base/err.h"
#include "envdriver/command/command.h"
#include "envdriver/command/outcome.h"
#include "envdriver/secret/secret_refs.h"
#include "request_secret.h"

static void
add_key(struct buf *out, const char *name)
{
	buf_adds(out, ",\"");
	buf_adds(out, name);
	buf_adds(out, "\":");
}

/* Appends the object without its members `name`; all other bytes stay. */
static void
add_without(struct buf *out, struct jtext object, const char *name)
{
	const char *open = object.raw.ptr + 1, *end = object.raw.ptr + object.raw.len;
	const char *behind = open;	/* the end of the last member, kept or not */
	const char *lead = NULL;	/* the first member */
	struct jtext_iter it;
	struct jtext value;
	struct span key;
	bool kept = false;

	buf_addch(out, '{');
	jtext_iter_init(&it, object);
	while (jtext_iter_next(&it, &key, &value)) {
		const char *to = value.raw.ptr + value.raw.len;

		if (!lead)
			lead = key.ptr;
		if (!jtext_is((struct jtext){ JTEXT_STRING, key }, name)) {
			if (kept)	/* with the comma before it */
				buf_add(out, behind, (size_t)(key.ptr - behind));
			else
				buf_add(out, open, (size_t)(lead - open));
			buf_add(out, key.ptr, (size_t)(to - key.ptr));
			kept = true;
		}
		behind = to;
	}
	buf_add(out, behind, (size_t)(end - behind));
}

/* A request that is being built. */
struct building {
	const struct command *command;
	const struct secret_graph *spots;
	struct buf *out;
	struct secret_refs **refs;
	struct outcome *failure;
};

/* A provider's config says which one it is: that is not for the provider. */
static struct span
strip_config(struct jtext config, bool provider, struct buf *stripped)
{
	if (!provider)
		return config.raw;
	add_without(stripped, config, "provider");
	return buf_span(stripped);
}

int
request_add_config(struct jtext config, bool provider, const struct secret_graph *spots,
		   struct buf *out, struct secret_refs **refs, struct outcome *ret_failure)
{
	struct buf stripped = BUF_INIT;
	size_t from = out->len;

	jtext_add_flat(out, strip_config(config, provider, &stripped));
	out->failed |= stripped.failed;
	buf_release(&stripped);
	return request_secret_find(out, from, "", spots, provider, refs, ret_failure);
}

/* ValidateConfig sees ids. */
static int
add_ids_only(const struct building *b, struct jtext config, bool provider)
{
	struct buf stripped = BUF_INIT;
	int ret = 0;

	config.raw = strip_config(config, provider, &stripped);
	b->out->failed |= stripped.failed;
	if (!provider)
		jtext_add_flat(b->out, config.raw);
	else if (!stripped.failed)
		ret = request_secret_collapse(config, b->spots, b->out, b->failure);
	buf_release(&stripped);
	return ret;
}

static int
add_config(const struct building *b)
{
	bool provider = b->command->target == COMMAND_TARGET_PROVIDER;
	struct jtext config = command_config(b->command);

	if (b->command->op->id == OPERATION_VALIDATE_CONFIG)
		return add_ids_only(b, config, provider);
	return request_add_config(config, provider, b->spots, b->out, b->refs, b->failure);
}

static int
add_value(const struct building *b, const struct operation_field *f, const struct command_value *v)
{
	struct buf *out = b->out;
	size_t from;

	if (f->keep || (!v->present && !f->send_null) ||
	    (f->kind == FIELD_BOOL && f->skip_false && !v->flag))
		return 0;
	add_key(out, f->name);
	if (!v->present) {
		buf_adds(out, "null");
		return 0;
	}
	switch (f->kind) {
	case FIELD_STRING:
	case FIELD_ID:
	case FIELD_PATH:
		jtext_add_string(out, v->text);
		break;
	case FIELD_OBJECT:
	case FIELD_LEASE:
	case FIELD_SYNC:
	case FIELD_STRINGS:
		jtext_add_flat(out, v->text);
		break;
	case FIELD_ENV:
		from = out->len;
		jtext_add_flat(out, command_json(v->text, JTEXT_OBJECT).raw);
		return request_secret_find(out, from, f->name, NULL, /* provider= */ false,
					   b->refs, b->failure);
	case FIELD_BOOL:
		buf_adds(out, v->flag ? "true" : "false");
		break;
	case FIELD_INT:
		buf_addf(out, "%" PRId64, v->number);
		break;
	}
	return 0;
}

static void
add_ids(const struct command *c, struct buf *out)
{
	add_key(out, "companyId");
	jtext_add_string(out, c->company_id);
	add_key(out, "environmentId");
	jtext_add_string(out, c->environment_id);
	if (c->issue_id.ptr) {
		add_key(out, "issueId");
		jtext_add_string(out, c->issue_id);
	} else if (c->op->send_issue_null) {
		add_key(out, "issueId");
		buf_adds(out, "null");
	}
}

int
request_params(const struct command *c, const struct secret_graph *spots, struct buf *out,
	       struct secret_refs **ret_refs, struct outcome *ret_failure)
{
	const struct building b = { c, spots, out, ret_refs, ret_failure };
	const struct operation_field *f;
	size_t from = out->len;
	int ret;

	*ret_refs = NULL;
	assert(c->op->rpc && c->target != COMMAND_TARGET_NONE);
	buf_adds(out, "{\"driverKey\":");
	jtext_add_string(out, c->driver_key);
	if (c->op->id != OPERATION_VALIDATE_CONFIG)
		add_ids(c, out);
	add_key(out, "config");
	ret = add_config(&b);
	for (f = c->op->fields; f->name && ret == 0; f++)
		ret = add_value(&b, f, &c->values[f - c->op->fields]);
	buf_addch(out, '}');
	if (ret == 0 && out->failed) {
		outcome_fail(ret_failure, CODE_INTERNAL, "out of memory");
		ret = ERR_NOMEM;
	}
	if (ret < 0) {
		secret_refs_free(*ret_refs);
		*ret_refs = NULL;
	}
	/* Half of it must not be taken for JSON. */
	if (ret < 0 && out->data) {
		out->len = from;
		out->data[from] = '\0';
	}
	return ret;
}

struct span
request_config(struct span params)
{
	return jtext_get((struct jtext){ JTEXT_OBJECT, params }, "config").raw;
}
