/* SPDX-License-Identifier: Apache-2.0 */
#include "mask_forms.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "envdriver/base/base64.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"

enum {
	PIECE_MAX = 128,
	GROUP_BYTES = 3, GROUP_CHARS = 4, CHAR_BITS = 6,	/* base64 */
};

struct mask_forms {
	struct matcher *matcher;
	struct buf form;
	atomic_uint owners;
};

struct mask_forms *
mask_forms_new(void)
{
	struct mask_forms *f = malloc(sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct mask_forms){ .matcher = matcher_new() };
	atomic_init(&f->owners, 1);
	if (f->matcher)
		return f;
	free(f);
	return NULL;
}

struct mask_forms *
mask_forms_share(struct mask_forms *f)
{
	if (f)
		atomic_fetch_add(&f->owners, 1);
	return f;
}

void
mask_forms_free(struct mask_forms *f)
{
	if (!f || atomic_fetch_sub(&f->owners, 1) > 1)
		return;
	matcher_free(f->matcher);
	buf_release(&f->form);
	free(f);
}

/* In pieces; the last one overlaps the one before. */
static bool
add_pattern(struct mask_forms *f, struct span pattern)
{
	const char *end = pattern.ptr + pattern.len, *last;

	while (pattern.len > PIECE_MAX) {
		size_t n = utf8_cut(pattern.ptr, pattern.len, PIECE_MAX);

		if (!matcher_add(f->matcher, (struct span){ pattern.ptr, n }))
			return false;
		pattern.ptr += n;
		pattern.len -= n;
		if (pattern.len >= PIECE_MAX)
			continue;
		last = end - PIECE_MAX;
		while (((unsigned char)*last & 0xc0) == 0x80)
			last++;
		pattern = (struct span){ last, (size_t)(end - last) };
	}
	return matcher_add(f->matcher, pattern);
}

static bool
add_form(struct mask_forms *f)
{
	return !f->form.failed && add_pattern(f, buf_span(&f->form));
}

static bool
add_hex(struct mask_forms *f, struct span value, const char *digits)
{
	buf_reset(&f->form);
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		buf_addch(&f->form, digits[c >> 4]);
		buf_addch(&f->form, digits[c & 15]);
	}
	return add_form(f);
}

/* In both alphabets, of the value behind `before` other bytes: those characters
 * that depend on nothing else. */
static bool
add_base64(struct mask_forms *f, struct span value, size_t before)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	size_t skip = (before * 8 + CHAR_BITS - 1) / CHAR_BITS;
	bool added;

	buf_add(&bytes, "\0\0", before);
	buf_addspan(&bytes, value);
	base64_encode(&text, buf_span(&bytes));
	buf_reset(&f->form);
	if (!bytes.failed && !text.failed)
		buf_add(&f->form, text.data + skip, bytes.len * 8 / CHAR_BITS - skip);
	added = !bytes.failed && !text.failed && add_form(f);
	for (size_t i = 0; added && i < f->form.len; i++) {
		if (f->form.data[i] == '+')
			f->form.data[i] = '-';
		else if (f->form.data[i] == '/')
			f->form.data[i] = '_';
	}
	added = added && add_form(f);
	buf_release(&bytes);
	buf_release(&text);
	return added;
}

/* As programs encode a text that has the value. */
static bool
add_encoded(struct mask_forms *f, struct span value)
{
	for (size_t before = 0; before < GROUP_BYTES; before++)
		if (!add_base64(f, value, before))
			return false;
	return true;
}

static bool
add_escaped(struct mask_forms *f, struct span value)
{
	struct buf json = BUF_INIT;
	bool added;

	jtext_add_string(&json, value);
	added = !json.failed &&
		(json.len == value.len + 2 ||
		 add_encoded(f, (struct span){ json.data + 1, json.len - 2 }));
	buf_release(&json);
	return added;
}

/* In a query, a blank may be '+'. */
static bool
add_query(struct mask_forms *f, struct span value)
{
	buf_reset(&f->form);
	buf_addspan(&f->form, value);
	for (size_t i = 0; i < f->form.len && !f->form.failed; i++)
		if (f->form.data[i] == ' ')
			f->form.data[i] = '+';
	return add_form(f);
}

static bool
add_forms(struct mask_forms *f, struct span value)
{
	return add_pattern(f, value) && add_query(f, value) && add_encoded(f, value) &&
	       add_escaped(f, value) && add_hex(f, value, "0123456789abcdef") &&
	       add_hex(f, value, "0123456789ABCDEF");
}

static struct span
trim_blanks(struct span text)
{
	while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
		text.len--;
	while (text.len && strchr(" \t\r\n", *text.ptr)) {
		text.ptr++;
		text.len--;
	}
	return text;
}

bool
mask_forms_add(struct mask_forms *f, struct span value)
{
	const char *p = value.ptr, *end = p + value.len, *eol;
	struct span line = trim_blanks(value);

	if (!add_forms(f, value))
		return false;
	if (line.len < value.len && line.len >= MASK_VALUE_MIN && !add_forms(f, line))
		return false;
	if (!memchr(line.ptr, '\n', line.len) && !memchr(line.ptr, '\r', line.len))
		return true;
	for (; p < end; p = eol + 1) {
		for (eol = p; eol < end && *eol != '\n' && *eol != '\r'; eol++)
			;
		line = trim_blanks((struct span){ p, (size_t)(eol - p) });
		if (line.len >= MASK_VALUE_MIN && !add_forms(f, line))
			return false;
	}
	return true;
}

bool
mask_forms_finish(struct mask_forms *f)
{
	buf_release(&f->form);
	return matcher_finish(f->matcher);
}

const struct matcher *
mask_forms_matcher(const struct mask_forms *f)
{
	return f->matcher;
}
