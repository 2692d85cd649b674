/* SPDX-License-Identifier: Apache-2.0 */
#include "schema_names.h"

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"

struct mend {
	bool changed, failed;
};

static bool
fits_name(const char *name, bool dots)
{
	if (isdigit((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && !(dots && *p == '.'))
			return false;
	return name[0] != '\0';
}

/* The mended name; NULL when it may stay or memory is short. */
static json_t *
mend_name(struct mend *m, const char *name, bool dots)
{
	struct buf out = BUF_INIT;
	json_t *mended;

	if (fits_name(name, dots))
		return NULL;
	if (!name[0] || isdigit((unsigned char)name[0]))
		buf_addch(&out, '_');
	for (const char *p = name; *p; p++)
		buf_addch(&out, isalnum((unsigned char)*p) || (dots && *p == '.') ? *p : '_');
	mended = out.failed ? NULL : json_string(out.data);
	buf_release(&out);
	m->changed = true;
	m->failed |= !mended;
	return mended;
}

static void
mend_member(struct mend *m, json_t *object, const char *member, bool dots)
{
	const char *name = json_string_value(json_object_get(object, member));
	json_t *mended = name ? mend_name(m, name, dots) : NULL;

	if (mended)
		m->failed |= json_object_set_new(object, member, mended) != 0;
}

static bool
is_taken(const json_t *fields, size_t before, const char *name)
{
	for (size_t i = 0; i < before; i++) {
		const char *other = json_string_value(
			json_object_get(json_array_get(fields, i), "name"));

		if (other && strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* Only after the name of another field was mended. */
static void
mend_twins(struct mend *m, json_t *fields)
{
	json_t *field;
	size_t i;

	json_array_foreach(fields, i, field) {
		const char *name = json_string_value(json_object_get(field, "name"));

		while (name && !m->failed && is_taken(fields, i, name)) {
			json_t *longer = json_sprintf("%s_", name);

			m->failed |= !longer || json_object_set_new(field, "name", longer) != 0;
			name = json_string_value(json_object_get(field, "name"));
		}
	}
}

static void
mend_symbols(struct mend *m, json_t *symbols)
{
	json_t *symbol;
	size_t i;

	json_array_foreach(symbols, i, symbol) {
		const char *name = json_string_value(symbol);
		json_t *mended = name ? mend_name(m, name, false) : NULL;

		if (mended)
			m->failed |= json_array_set_new(symbols, i, mended) != 0;
	}
}

static void mend_type(struct mend *m, json_t *holder, const char *member, json_t *type);

static void
mend_object(struct mend *m, json_t *schema)
{
	static const char *const kinds[] = { "type", "items", "values" };
	json_t *fields = json_object_get(schema, "fields"), *field;
	bool before, changed;
	size_t i;

	if (json_object_get(schema, "fields") || json_object_get(schema, "symbols") ||
	    json_object_get(schema, "size")) {
		mend_member(m, schema, "name", true);
		mend_member(m, schema, "namespace", true);
	}
	mend_symbols(m, json_object_get(schema, "symbols"));
	before = m->changed;
	m->changed = false;
	json_array_foreach(fields, i, field)
		mend_member(m, field, "name", false);
	changed = m->changed;
	m->changed |= before;
	if (changed)
		mend_twins(m, fields);
	json_array_foreach(fields, i, field)
		mend_type(m, field, "type", json_object_get(field, "type"));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		mend_type(m, schema, kinds[i], json_object_get(schema, kinds[i]));
}

/* A type's name, a declaration or a union; the depth was checked before. */
static void
mend_type(struct mend *m, json_t *holder, const char *member, json_t *type)
{
	json_t *branch, *mended;
	size_t i;

	if (json_is_string(type)) {
		mend_member(m, holder, member, true);
	} else if (json_is_object(type)) {
		mend_object(m, type);
	} else {
		json_array_foreach(type, i, branch) {
			mended = json_is_string(branch)
					 ? mend_name(m, json_string_value(branch), true)
					 : NULL;
			if (mended)
				m->failed |= json_array_set_new(type, i, mended) != 0;
			else if (json_is_object(branch))
				mend_object(m, branch);
		}
	}
}

int
schema_names_mend(char **text, size_t *len, struct err *reterr)
{
	json_t *root = json_loadb(*text, *len, JSON_DECODE_ANY, NULL);
	struct mend m = { 0 };
	char *mended = NULL;

	if (!root)
		return 0;	/* avro-c says what is wrong with it */
	mend_type(&m, NULL, NULL, json_is_string(root) ? NULL : root);
	if (m.changed && !m.failed)
		mended = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(root);
	if (!m.changed)
		return 0;
	if (!mended)
		return err_nomem(reterr);
	free(*text);
	*text = mended;
	*len = strlen(mended);
	return 0;
}
