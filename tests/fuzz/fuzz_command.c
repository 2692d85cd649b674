/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the value of a command record: bit 0 of the first byte puts
 * the frame of an EnvironmentCommand in front, bit 1 makes the end of the
 * bytes a traceparent header, too. What is taken keeps every limit and can be
 * sent; what is not says why in text that can be published. */
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/utf8.h"
#include "envdriver/command/command.h"
#include "command/command_check.h"
#include "envdriver/command/request.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/command/time_limit.h"
#include "envdriver/result/result.h"
#include "fuzz.h"

enum { ID_MAX = 200, BYTES_MAX = 64 * 1024, TRACEPARENT_LEN = 55 };

static const struct schemas *
all_schemas(void)
{
	static struct schemas *all;

	if (!all)
		all = schemas_new(NULL);
	MUST(all);
	return all;
}

static const struct time_limit_keys *
default_limits(void)
{
	static struct config *config;	/* both of the whole process */
	static struct time_limit_keys *keys;

	if (!config)
		config = config_new(NULL);
	if (config && !keys)
		keys = time_limit_keys_new(config, NULL);
	MUST(keys);
	return keys;
}

static void
see_span(struct span text, size_t max)
{
	MUST(!text.ptr || (text.len <= max && text.ptr[text.len] == '\0' && jtext_utf8_ok(text)));
}

static void
see_values(const struct command *c)
{
	const struct operation_field *f;

	for (f = c->op->fields; f->name; f++) {
		const struct command_value *v = command_value(c, f->name);

		MUST(v->present || !f->required);
		see_span(v->text, BYTES_MAX);
		if (f->kind == FIELD_STRINGS && v->present)
			MUST(jtext_check(v->text, 1, NULL, NULL) == 0);
	}
}

/* What the plugin would be sent is one JSON object, or there is a reason. */
static void
see_request(const struct command *c)
{
	struct buf params = BUF_INIT;
	struct secret_refs *refs = NULL;
	struct outcome why = { 0 };
	struct jtext json;

	if (!c->op->rpc)
		return;
	if (request_params(c, NULL, &params, &refs, &why) == 0) {
		MUST(jtext_check(buf_span(&params), 2 * JTEXT_DEPTH_MAX, &json, NULL) == 0);
		MUST(json.kind == JTEXT_OBJECT);
	} else {
		MUST(params.len == 0 && why.code != CODE_NONE && why.message.len > 0);
		outcome_release(&why);
	}
	secret_refs_free(refs);
	buf_release(&params);
}

static void
see_command(const struct command *c)
{
	struct buf key = BUF_INIT;
	struct reject r = { .reason = REJECT_NOTHING };
	struct time_limit limit;
	struct jtext config;
	char id[37];

	MUST(command_check(c, &r) && command_check_lease_id(c->lease_id, &r));
	MUST(c->id.len >= 1 && (!c->ordering_key.ptr || c->ordering_key.len));
	see_span(c->id, ID_MAX);
	see_span(c->company_id, OPERATION_ID_MAX);
	see_span(c->environment_id, OPERATION_ID_MAX);
	see_span(c->issue_id, OPERATION_ID_MAX);
	see_span(c->lease_id, OPERATION_ID_MAX);
	see_span(c->pinned_id, OPERATION_ID_MAX);
	see_span(c->issued_by, BYTES_MAX);
	see_span(c->ordering_key, BYTES_MAX);
	see_values(c);
	MUST(jtext_check(c->config, JTEXT_DEPTH_MAX, &config, NULL) == 0);
	MUST(span_eq(config.raw, command_config(c).raw) && config.kind == JTEXT_OBJECT);
	MUST(!c->traceparent.ptr || command_traceparent_ok(c->traceparent));
	command_provider_key(c, &key);
	MUST((key.len == 0) == (c->target == COMMAND_TARGET_NONE));
	command_invocation_id(c, id);
	MUST(strlen(id) == 36 && c->expires_at >= -1);
	limit = time_limit_of(default_limits(), c, "p", NULL);
	MUST(limit.ms >= 0 && limit.ms <= INT32_MAX && (limit.ms > 0) == (limit.name != NULL));
	MUST(c->bytes > sizeof(*c) && c->bytes < sizeof(*c) + 6 * BYTES_MAX);
	see_request(c);
	buf_release(&key);
}

static void
see_reject(const struct reject *r)
{
	MUST(r->reason != REJECT_NOTHING && *command_reject_name(r->reason));
	MUST(*r->message && (*r->field != '\0') == (r->reason == REJECT_INVALID));
	MUST(jtext_utf8_ok(span_of(r->message)) && jtext_utf8_ok(span_of(r->command_id)));
	MUST(jtext_utf8_ok(span_of(r->company_id)) && jtext_utf8_ok(span_of(r->environment_id)));
	MUST(jtext_utf8_ok(span_of(r->operation)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mark[] = { 0xc3, 0x01 };
	const struct schema *schema = schemas_find(all_schemas(), "EnvironmentCommand");
	struct span header = SPAN_NULL;
	struct buf value = BUF_INIT;
	struct command_decoder *d;

	if (size == 0)
		return 0;
	if (data[0] & 1) {
		buf_add(&value, mark, sizeof(mark));
		buf_add(&value, schema_fingerprint(schema), SCHEMA_FINGERPRINT_LEN);
	}
	if (data[0] & 2 && size > TRACEPARENT_LEN)
		header = (struct span){ (const char *)data + size - TRACEPARENT_LEN,
					TRACEPARENT_LEN };
	buf_add(&value, data + 1, size - 1);
	d = command_decoder_new(all_schemas(), BYTES_MAX, NULL);
	MUST(d && !value.failed);
	/* The same again with what the first time left in the decoder. */
	for (int i = 0, first = 0; i < 2; i++) {
		struct reject r;
		struct command *c = command_decode(d, buf_span(&value), header, &r);

		if (c)
			see_command(c);
		else
			see_reject(&r);
		MUST(c || !fuzz_printed_null(r.message, data, size));
		MUST(i == 0 || first == (c ? -1 : (int)r.reason));
		first = c ? -1 : (int)r.reason;
		command_free(c);
	}
	command_decoder_free(d);
	buf_release(&value);
	return 0;
}
