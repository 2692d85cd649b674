/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/command.h"
#include "answer.h"

static void
list_warning(struct answer *s, struct jtext item)
{
	struct buf text = BUF_INIT;

	answer_add_text(s, &text, "warnings", item);
	answer_list_add(&s->config_warnings, buf_span(&text));
	s->config_warnings.bytes.failed |= text.failed;
	buf_release(&text);
}

static void
list_warnings(struct answer *s, struct jtext warnings)
{
	struct jtext_iter it;
	struct jtext item;
	struct span key;

	if (warnings.kind != JTEXT_ARRAY) {
		list_warning(s, warnings);
		return;
	}
	jtext_iter_init(&it, warnings);
	while (jtext_iter_next(&it, &key, &item))
		list_warning(s, item);
}

/* The original takes errors[0]; what is no array stands for itself. */
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
reject_config(struct answer *s, const struct answer_call *call, struct jtext errors,
	      struct jtext warnings)
{
	static const struct jtext none = { JTEXT_ARRAY, { "[]", 2 } };
	struct outcome *o = &s->outcome;
	struct jtext first = first_error(errors);

	outcome_begin(o, CODE_CONFIG_REJECTED);
	if (!answer_given(errors))
		errors = none;
	if (!answer_given(warnings))
		warnings = none;
	if (answer_given(first)) {
		answer_add_text(s, &o->message, "errors", first);
	} else {
		answer_add_subject(call->command, &o->message);
		buf_adds(&o->message, " rejected its config.");
	}
	answer_add_member(&o->details, "errors", errors);
	answer_add_member(&o->details, "warnings", warnings);
	buf_addch(&o->details, '}');
}

void
answer_validate(struct answer *s, const struct answer_call *call)
{
	static const struct answer_field fields[] = {
		{"ok", ANSWER_BOOL, JTEXT_TRUE},
		{"errors", 0, JTEXT_ARRAY},
		{"warnings", 0, JTEXT_ARRAY},
		{"normalizedConfig", ANSWER_IS(JTEXT_OBJECT) | ANSWER_IS(JTEXT_NULL), JTEXT_OBJECT},
	};
	struct jtext v[ANSWER_FIELDS_MAX];

	if (!answer_fields(s, call, fields, sizeof(fields) / sizeof(fields[0]), v))
		return;
	if (answer_given(v[2]))
		list_warnings(s, v[2]);
	if (v[0].kind != JTEXT_TRUE)
		reject_config(s, call, v[1], v[2]);
	else if (answer_given(v[3]))
		s->config = v[3].raw;
	else if (call->command->target == COMMAND_TARGET_PROVIDER && call->chosen->sent_config.ptr)
		s->config = call->chosen->sent_config;
	else
		s->config = call->command->config;
}
