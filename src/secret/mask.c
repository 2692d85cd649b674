/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/secret/mask.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "envdriver/base/hash.h"
#include "envdriver/base/utf8.h"
#include "mask_forms.h"

struct value {
	UT_hash_handle hh;
	size_t len;
	char text[];
};

struct mask {
	struct value *values;	/* by their text, in the order they were added */
	size_t count, bytes;
	size_t owners;
	struct mask_forms *forms;	/* of the first `compiled` values; NULL: of none */
	size_t compiled;
};

struct mask *
mask_new(void)
{
	struct mask *m = malloc(sizeof(*m));

	if (m)
		*m = (struct mask){ .owners = 1 };
	return m;
}

struct mask *
mask_share(struct mask *m)
{
	if (m)
		m->owners++;
	return m;
}

bool
mask_empty(const struct mask *m)
{
	return !m || m->count == 0;
}

bool
mask_filling(const struct mask *m)
{
	return m->count > MASK_VALUES_MAX / 4 * 3 || m->bytes > MASK_BYTES_MAX / 4 * 3;
}

static bool
has_value(const struct mask *m, struct span text)
{
	const struct value *found = NULL;

	HASH_FIND(hh, m->values, text.ptr, text.len, found);
	return found;
}

static void
free_value(struct mask *m, struct value *v)
{
	HASH_DEL(m->values, v);
	m->count--;
	m->bytes -= v->len;
	explicit_bzero(v->text, v->len);
	free(v);
}

int
mask_add(struct mask *m, struct span text, struct err *reterr)
{
	struct value *v;

	if (text.len < MASK_VALUE_MIN)
		return err_set(reterr, ERR_INVALID, "it has fewer than %d bytes", MASK_VALUE_MIN);
	if (utf8_find_bad(text.ptr, text.ptr + text.len) != text.ptr + text.len)
		return err_set(reterr, ERR_INVALID, "it is not UTF-8");
	if (has_value(m, text))
		return 0;
	if (text.len > MASK_VALUE_MAX)
		return err_set(reterr, ERR_LIMIT, "it has more than %d bytes", MASK_VALUE_MAX);
	if (m->count >= MASK_VALUES_MAX || text.len > MASK_BYTES_MAX - m->bytes)
		return err_set(reterr, ERR_LIMIT, "more than %d secrets, or %d bytes of them",
			       MASK_VALUES_MAX, MASK_BYTES_MAX);
	v = malloc(sizeof(*v) + text.len);
	if (!v)
		return err_nomem(reterr);
	v->len = text.len;
	memcpy(v->text, text.ptr, text.len);
	HASH_ADD_KEYPTR(hh, m->values, v->text, v->len, v);
	if (!v->hh.tbl) {
		explicit_bzero(v->text, v->len);
		free(v);
		return err_nomem(reterr);
	}
	m->count++;
	m->bytes += v->len;
	return 0;
}

int
mask_add_all(struct mask *m, const struct mask *from, struct err *reterr)
{
	const struct value *v;
	size_t before = m->count;
	int ret = 0;

	if (!from)
		return 0;
	for (v = from->values; v && ret == 0; v = v->hh.next)
		ret = mask_add(m, (struct span){ v->text, v->len }, reterr);
	/* The last ones are those that were added here. */
	while (ret < 0 && m->count > before)
		free_value(m, ELMT_FROM_HH(m->values->hh.tbl, m->values->hh.tbl->tail));
	return ret;
}

int
mask_compile(struct mask *m, struct err *reterr)
{
	struct mask_forms *f;
	const struct value *v;
	bool added = true;

	if (m->compiled == m->count)
		return 0;
	f = mask_forms_new();
	if (!f)
		return err_nomem(reterr);
	for (v = m->values; v && added; v = v->hh.next)
		added = mask_forms_add(f, (struct span){ v->text, v->len });
	if (!added || !mask_forms_finish(f)) {
		mask_forms_free(f);
		return err_nomem(reterr);
	}
	mask_forms_free(m->forms);
	m->forms = f;
	m->compiled = m->count;
	return 0;
}

struct mask_forms *
mask_forms(const struct mask *m)
{
	return m ? m->forms : NULL;
}

void
mask_free(struct mask *m)
{
	if (!m || --m->owners > 0)
		return;
	mask_forms_free(m->forms);
	while (m->values)
		free_value(m, m->values);
	free(m);
}
