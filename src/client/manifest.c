/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/manifest.h"

#include <stdio.h>

#include "envdriver/base/err.h"
#include "envdriver/base/semver.h"

enum { NAME_LEN_MAX = 100, TEXT_LEN_MAX = 500, ITEMS_MAX = 200 };

#define REGISTER "environment.drivers.register"

/* The members of a driver's declaration; others are errors. */
static const struct member {
	const char *name;
	enum jtext_kind kind;	/* JTEXT_TRUE: a boolean */
	bool required;
	size_t min, max;	/* characters of a string, items of an array; 0: any */
} members[] = {
	{ "driverKey", JTEXT_STRING, true, 1, 0 },
	{ "kind", JTEXT_STRING, false, 0, 0 },
	{ "displayName", JTEXT_STRING, true, 1, NAME_LEN_MAX },
	{ "description", JTEXT_STRING, false, 0, TEXT_LEN_MAX },
	{ "configSchema", JTEXT_OBJECT, true, 0, 0 },
	{ "supportsReusableLeases", JTEXT_TRUE, false, 0, 0 },
	{ "sandboxCapabilities", JTEXT_OBJECT, false, 0, 0 },
	{ "supportsInteractiveSetup", JTEXT_TRUE, false, 0, 0 },
	{ "interactiveSetupConnectionTypes", JTEXT_ARRAY, false, 0, 10 },
	{ "supportsTemplateCapture", JTEXT_TRUE, false, 0, 0 },
	{ "templateRefKind", JTEXT_STRING, false, 1, NAME_LEN_MAX },
	{ "templateConfigBinding", JTEXT_OBJECT, false, 0, 0 },
	{ "templateIdentityPaths", JTEXT_ARRAY, false, 0, 20 },
	{ "supportsTemplateDelete", JTEXT_TRUE, false, 0, 0 },
	{ "supportsLoginPty", JTEXT_TRUE, false, 0, 0 },
	{ "supportsSetupTokenLogin", JTEXT_TRUE, false, 0, 0 },
};

bool
manifest_key_ok(struct span key)
{
	for (size_t i = 0; i < key.len; i++) {
		char c = key.ptr[i];
		bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!first && !(i > 0 && strchr("._-", c) && c))
			return false;
	}
	return key.len > 0;
}

void
manifest_add_compact(struct buf *out, struct span json)
{
	const char *p = json.ptr, *end = p + json.len;
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string && *p == '\\' && p + 1 < end)
			buf_addch(out, *p++);
		else if (*p == '"')
			in_string = !in_string;
		else if (!in_string && strchr(" \t\r\n", *p))
			continue;
		buf_addch(out, *p);
	}
}

/* The text of a string, in `out`; "" for anything else. */
static struct span
string_of(struct jtext value, struct buf *out)
{
	buf_reset(out);
	if (value.kind == JTEXT_STRING)
		jtext_decode(value, out, /* ret_replaced= */ NULL);
	return buf_span(out);
}

static size_t
length_of(struct jtext value)
{
	struct jtext_iter it;
	struct jtext item;
	struct buf text = BUF_INIT;
	size_t n = 0;

	if (value.kind == JTEXT_STRING) {
		struct span s = string_of(value, &text);

		for (size_t i = 0; i < s.len; i++)
			n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
		buf_release(&text);
		return n;
	}
	jtext_iter_init(&it, value);
	while (jtext_iter_next(&it, NULL, &item))
		n++;
	return n;
}

static bool
kind_fits(enum jtext_kind wanted, enum jtext_kind kind)
{
	return kind == wanted || (wanted == JTEXT_TRUE && kind == JTEXT_FALSE);
}

static int
check_member(const char *at, const struct member *m, struct jtext value, struct err *reterr)
{
	size_t n = m->max || m->min ? length_of(value) : 0;

	if (value.kind == JTEXT_MISSING && !m->required)
		return 0;
	if (!kind_fits(m->kind, value.kind))
		return err_set(reterr, ERR_INVALID, "%s.%s: expected %s, got %s", at, m->name,
			       jtext_kind_name(m->kind), jtext_kind_name(value.kind));
	if (n < m->min)
		return err_set(reterr, ERR_INVALID, "%s.%s: must not be empty", at, m->name);
	if (m->max && n > m->max)
		return err_set(reterr, ERR_INVALID, "%s.%s: must not be longer than %zu", at,
			       m->name, m->max);
	return 0;
}

static int
check_unknown(const char *at, struct jtext driver, struct err *reterr)
{
	struct buf name = BUF_INIT;
	struct jtext_iter it;
	struct jtext value;
	struct span key;
	int ret = 0;

	jtext_iter_init(&it, driver);
	while (ret == 0 && jtext_iter_next(&it, &key, &value)) {
		size_t i = 0, n = sizeof(members) / sizeof(*members);

		string_of((struct jtext){JTEXT_STRING, key}, &name);
		while (i < n && !span_is(buf_span(&name), members[i].name))
			i++;
		if (i == n)
			ret = err_set(reterr, ERR_INVALID, "%s: unknown key '%.64s'", at,
				      name.data);
	}
	buf_release(&name);
	return ret;
}

static int
check_driver(struct jtext driver, size_t index, struct buf *key, struct err *reterr)
{
	struct jtext kind = jtext_get(driver, "kind");
	char at[48];
	int ret;

	snprintf(at, sizeof(at), "environmentDrivers[%zu]", index);
	if (driver.kind != JTEXT_OBJECT)
		return err_set(reterr, ERR_INVALID, "%s: expected object, got %s", at,
			       jtext_kind_name(driver.kind));
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		ret = check_member(at, &members[i], jtext_get(driver, members[i].name), reterr);
		if (ret < 0)
			return ret;
	}
	if (!manifest_key_ok(string_of(jtext_get(driver, "driverKey"), key)))
		return err_set(reterr, ERR_INVALID,
			       "%s.driverKey: expected lower case letters, digits, '.', '_' "
			       "and '-', got '%.64s'", at, key->data);
	if (kind.kind != JTEXT_MISSING && !jtext_is(kind, "environment_driver") &&
	    !jtext_is(kind, "sandbox_provider"))
		return err_set(reterr, ERR_INVALID, "%s.kind: expected environment_driver or "
			       "sandbox_provider", at);
	return check_unknown(at, driver, reterr);
}

/* Each driver, and that their keys differ. */
static int
check_drivers(struct jtext drivers, struct err *reterr)
{
	struct buf keys[ITEMS_MAX] = { BUF_INIT };
	struct jtext_iter it;
	struct jtext driver;
	size_t n = 0;
	int ret = 0;

	if (drivers.kind != JTEXT_ARRAY)
		return err_set(reterr, ERR_INVALID, "environmentDrivers: expected array, got %s",
			       jtext_kind_name(drivers.kind));
	jtext_iter_init(&it, drivers);
	while (ret == 0 && jtext_iter_next(&it, NULL, &driver)) {
		if (n == ITEMS_MAX) {
			ret = err_set(reterr, ERR_LIMIT,
				      "environmentDrivers: must not be longer than %d", ITEMS_MAX);
			break;
		}
		ret = check_driver(driver, n, &keys[n], reterr);
		for (size_t i = 0; i < n && ret == 0; i++)
			if (span_eq(buf_span(&keys[i]), buf_span(&keys[n])))
				ret = err_set(reterr, ERR_INVALID,
					      "environmentDrivers[%zu].driverKey: '%.64s' is used "
					      "twice", n, keys[n].data);
		n++;
	}
	for (size_t i = 0; i < n; i++)
		buf_release(&keys[i]);
	return ret;
}

static bool
lists_capability(struct jtext capabilities, const char *name)
{
	struct jtext_iter it;
	struct jtext item;

	jtext_iter_init(&it, capabilities);
	while (jtext_iter_next(&it, NULL, &item))
		if (item.kind == JTEXT_STRING && jtext_is(item, name))
			return true;
	return false;
}

/* From which host on it works, in either of two words. */
static int
check_minimum(struct jtext manifest, struct buf *text, struct err *reterr)
{
	static const char *const names[] = { "minimumHostVersion", "minimumPaperclipVersion" };
	struct jtext both[2];

	for (size_t i = 0; i < 2; i++) {
		both[i] = jtext_get(manifest, names[i]);
		if (both[i].kind != JTEXT_MISSING && !semver_ok(string_of(both[i], text)))
			return err_set(reterr, ERR_INVALID, "%s: expected MAJOR.MINOR.PATCH",
				       names[i]);
	}
	if (both[0].kind && both[1].kind && !jtext_is(both[0], text->data))
		return err_set(reterr, ERR_INVALID, "%s: differs from %s", names[0],
			       names[1]);
	return 0;
}

static int
check_head(struct jtext manifest, struct buf *text, struct err *reterr)
{
	struct jtext capabilities = jtext_get(manifest, "capabilities");
	struct jtext worker = jtext_get(jtext_get(manifest, "entrypoints"), "worker");
	int64_t version;

	if (manifest.kind != JTEXT_OBJECT)
		return err_set(reterr, ERR_INVALID, "expected object, got %s",
			       jtext_kind_name(manifest.kind));
	if (!manifest_key_ok(string_of(jtext_get(manifest, "id"), text)))
		return err_set(reterr, ERR_INVALID,
			       "id: expected lower case letters, digits, '.', '_' "
			       "and '-'");
	if (!jtext_int(jtext_get(manifest, "apiVersion"), &version) || version != 1)
		return err_set(reterr, ERR_INVALID, "apiVersion: expected 1");
	if (!semver_ok(string_of(jtext_get(manifest, "version"), text)))
		return err_set(reterr, ERR_INVALID, "version: expected MAJOR.MINOR.PATCH");
	if (capabilities.kind != JTEXT_ARRAY || length_of(capabilities) == 0)
		return err_set(reterr, ERR_INVALID, "capabilities: expected at least one");
	if (worker.kind != JTEXT_MISSING && length_of(worker) == 0)
		return err_set(reterr, ERR_INVALID, "entrypoints.worker: expected a path");
	return check_minimum(manifest, text, reterr);
}

int
manifest_check(struct jtext manifest, struct err *reterr)
{
	struct jtext drivers = jtext_get(manifest, "environmentDrivers");
	struct buf text = BUF_INIT;
	int ret = check_head(manifest, &text, reterr);

	buf_release(&text);
	if (ret < 0 || drivers.kind == JTEXT_MISSING)
		return ret;
	ret = check_drivers(drivers, reterr);
	if (ret == 0 && length_of(drivers) > 0 &&
	    !lists_capability(jtext_get(manifest, "capabilities"), REGISTER))
		return err_set(reterr, ERR_INVALID,
			       "capabilities: environmentDrivers requires %s",
			       REGISTER);
	return ret;
}
