/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_config: what a plugin answered to ValidateConfig: warnings, errors and
 * the normalized config. A reader of answer_read.
 */
#include "answer_read.h"
#include "answer_reader.h"
#include "envdriver/command/command.h"
#include "envdriver/result/result.h"

static void
list_warning(struct answer_reader *r, struct jtext item)
{
	struct buf text = BUF_INIT;

	answer_reader_add_text(r, &text, "warnings", item);
	answer_list_add(&r->answer->config_warnings, buf_span(&text));
	r->answer->config_warnings.bytes.failed |= text.failed;
	buf_release(&text);
}

static void
list_warnings(struct answer_reader *r, struct jtext warnings)
{
	struct jtext_iter it;
	struct jtext item;
	struct span key;

	if (warnings.kind != JTEXT_ARRAY) {
		list_warning(r, warnings);
		return;
	}
	jtext_iter_init(&it, warnings);
	while (jtext_iter_next(&it, &key, &item))
		list_warning(r, item);
}

/* The original takes errors[0]; anything but an array stands for itself. */
static struct jtext
first_error(struct jtext errors)
{
	struct jtext first = { 0 };
	struct jtext_iter it;
	struct span key;

	if (errors.kind != JTEXT_ARRAY)
		return errors;
	jtext_iter_init(&it, errors);
	jtext_iter_next(&it, &key, &first);
	return first;
}

static void
reject_config(struct answer_reader *r, struct jtext errors,
	      struct jtext warnings)
{
	static const struct jtext none = { JTEXT_ARRAY, { "[]", 2 } };
	struct outcome *o = &r->answer->outcome;
	struct jtext first = first_error(errors);

	outcome_begin(o, CODE_CONFIG_REJECTED);
	if (!answer_given(errors))
		errors = none;
	if (!answer_given(warnings))
		warnings = none;
	if (answer_given(first)) {
		answer_reader_add_text(r, &o->message, "errors", first);
	} else {
		answer_reader_add_subject(r, &o->message);
		buf_adds(&o->message, " rejected its config.");
	}
	answer_add_member(&o->details, "errors", errors);
	answer_add_member(&o->details, "warnings", warnings);
	buf_addch(&o->details, '}');
}

void
answer_config_validate(struct answer_reader *r)
{
	static const struct answer_field fields[] = {
		{ "ok", ANSWER_BOOL, JTEXT_TRUE },
		{ "errors", 0, JTEXT_ARRAY },
		{ "warnings", 0, JTEXT_ARRAY },
		{ "normalizedConfig", ANSWER_IS(JTEXT_OBJECT) | ANSWER_IS(JTEXT_NULL),
		  JTEXT_OBJECT },
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_reader_fields(r, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (answer_given(v[2]))
		list_warnings(r, v[2]);
	if (v[0].kind != JTEXT_TRUE)
		reject_config(r, v[1], v[2]);
	else if (answer_given(v[3]))
		r->answer->config = v[3].raw;
	else if (r->command->target == COMMAND_TARGET_PROVIDER && r->chosen->sent_config.ptr)
		r->answer->config = r->chosen->sent_config;
	else
		r->answer->config = r->command->config;
}
