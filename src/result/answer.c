/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	KEEP_MAX = 1024 * 1024,		/* a larger buf is given back */
	WARNING_MAX = 300,
	WARNINGS_MAX = 50,		/* a result must hold them all */
};

void
answer_list_add(struct answer_list *l, struct span text)
{
	buf_add(&l->bytes, &text.len, sizeof(text.len));
	buf_addspan(&l->bytes, text);
	l->count++;
}

bool
answer_list_next(const struct answer_list *l, size_t *cursor, struct span *ret)
{
	size_t len;

	if (*cursor >= l->bytes.len)
		return false;
	memcpy(&len, l->bytes.data + *cursor, sizeof(len));
	*ret = (struct span){ l->bytes.data + *cursor + sizeof(len), len };
	*cursor += sizeof(len) + len;
	return true;
}

static void
reset_buf(struct buf *b)
{
	if (b->cap > KEEP_MAX)
		buf_release(b);
	else
		buf_reset(b);
}

static void
reset_list(struct answer_list *l)
{
	reset_buf(&l->bytes);
	l->count = 0;
}

void
answer_init(struct answer *a)
{
	*a = (struct answer){ .outcome = OUTCOME_INIT };
	a->texts[ANSWER_CREDENTIAL].wipes = true;
}

void
answer_release(struct answer *a)
{
	size_t i;

	outcome_release(&a->outcome);
	buf_release(&a->warnings.bytes);
	buf_release(&a->config_warnings.bytes);
	buf_release(&a->header_names.bytes);
	buf_release(&a->masked_metadata);
	for (i = 0; i < ANSWER_SLOTS; i++)
		buf_release(&a->texts[i]);
}

void
answer_clear_fields(struct answer *a)
{
	size_t i;

	for (i = 0; i < ANSWER_SLOTS; i++) {
		a->has[i] = false;
		reset_buf(&a->texts[i]);
	}
	reset_list(&a->config_warnings);
	reset_list(&a->header_names);
	reset_buf(&a->masked_metadata);
	a->metadata = a->config = SPAN_NULL;
	a->synced = (struct jtext){ JTEXT_MISSING, SPAN_NULL };
	a->credential_until = 0;
	a->ok = a->has_lease = a->lease_lost = a->has_exit_code = a->timed_out = false;
	a->has_deleted = a->deleted = a->credential_unasked = false;
}

void
answer_reset(struct answer *a)
{
	answer_clear_fields(a);
	reset_list(&a->warnings);
	reset_buf(&a->outcome.message);
	reset_buf(&a->outcome.details);
	outcome_begin(&a->outcome, CODE_NONE);
}

bool
answer_failed(const struct answer *a)
{
	size_t i;

	for (i = 0; i < ANSWER_SLOTS; i++)
		if (a->texts[i].failed)
			return true;
	return a->outcome.message.failed || a->outcome.details.failed ||
	       a->warnings.bytes.failed || a->config_warnings.bytes.failed ||
	       a->header_names.bytes.failed;
}

struct span
answer_text(const struct answer *a, enum answer_slot slot)
{
	return a->has[slot] ? buf_span(&a->texts[slot]) : SPAN_NULL;
}

void
answer_warn(struct answer *a, const char *fmt, ...)
{
	char text[WARNING_MAX];
	va_list ap;

	if (a->warnings.count == WARNINGS_MAX)
		answer_list_add(&a->warnings, SPAN_LIT("further warnings are left out"));
	if (a->warnings.count >= WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_list_add(&a->warnings, span_of(text));
}

bool
answer_given(struct jtext value)
{
	return value.kind != JTEXT_MISSING && value.kind != JTEXT_NULL;
}

struct span
answer_json(struct jtext value)
{
	return answer_given(value) ? value.raw : SPAN_NULL;
}

void
answer_add_member(struct buf *out, const char *name, struct jtext value)
{
	buf_adds(out, out->len ? ",\"" : "{\"");
	buf_adds(out, name);
	buf_adds(out, "\":");
	buf_addspan(out, value.raw);
}
