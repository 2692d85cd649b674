/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_record.h"

#include <stdint.h>
#include <math.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

struct registry_record {
	struct registry_plugin pub;
	struct span values[REGISTRY_FIELDS];	/* into `raw` */
	char *raw;
	char *id;
	struct registry_driver *drivers;
	struct buf texts;	/* decoded strings of the drivers, each with its NUL */
};

static const struct field {
	const char *name;
	bool required, json;
} fields[REGISTRY_FIELDS] = {
	[REGISTRY_KEY] = { "pluginKey", true, false },
	[REGISTRY_STATUS] = { "status", true, false },
	[REGISTRY_MANIFEST] = { "manifest", true, true },
	[REGISTRY_PACKAGE] = { "package", false, false },
	[REGISTRY_CONFIG] = { "config", false, true },
	[REGISTRY_DIGEST] = { "packageDigest", false, false },
	[REGISTRY_PIN] = { "packagePin", false, false },
	[REGISTRY_GENERATION] = { "generation", false, false },
};

const char *
registry_field_name(enum registry_field f)
{
	return fields[f].name;
}

static bool
printable(struct span text)
{
	return text.len <= REGISTRY_TEXT_MAX && !memchr(text.ptr, '\0', text.len) &&
	       jtext_utf8_ok(text);
}

static int
check_field(struct span value, const struct field *f, struct jtext *ret, struct err *reterr)
{
	int code;

	if (!value.ptr)
		return f->required ? err_set(reterr, ERR_INVALID, "%s is missing", f->name) : 0;
	if (!f->json && value.len == 0 && f->required)
		return err_set(reterr, ERR_INVALID, "%s is empty", f->name);
	if (!f->json)
		return printable(value) ? 0 : err_set(reterr, ERR_INVALID,
						      "%s is no UTF-8 text of up to %d bytes",
						      f->name, REGISTRY_TEXT_MAX);
	if (value.len > REGISTRY_MANIFEST_MAX)
		return err_set(reterr, ERR_LIMIT, "%s has %zu bytes, %d are allowed", f->name,
			       value.len, REGISTRY_MANIFEST_MAX);
	code = jtext_check(value, JTEXT_DEPTH_MAX, ret, reterr);
	if (code == 0 && ret->kind != JTEXT_OBJECT)
		code = err_set(reterr, ERR_INVALID, "expected an object, got %s",
			       jtext_kind_name(ret->kind));
	if (code < 0)
		err_prefix(reterr, "%s", f->name);
	return code;
}

/* Puts the decoded text into `texts` and gives its offset there, since `texts`
 * may move; negative when it cannot be a C string. */
static int64_t
add_text(struct registry_record *r, struct jtext value)
{
	size_t at = r->texts.len;

	if (value.kind == JTEXT_STRING)
		jtext_decode(value, &r->texts, NULL);
	if (r->texts.len > at && memchr(r->texts.data + at, '\0', r->texts.len - at))
		return -1;
	buf_addch(&r->texts, '\0');
	return (int64_t)at;
}

/* The default that a schema gives to a field, when it counts as a time limit. */
static double
default_ms(struct jtext schema, const char *field)
{
	struct jtext all = jtext_get(schema, "properties");
	struct jtext value = jtext_get(jtext_get(all, field), "default");
	double ms;

	if (value.kind != JTEXT_NUMBER || !jtext_double(value, &ms) || !isfinite(ms) || ms <= 0)
		return 0;
	return ms;
}

struct driver_offsets {
	int64_t key, name;
};

static int
read_driver(struct registry_record *r, struct jtext entry, struct registry_driver *ret,
	    struct driver_offsets *at, struct err *reterr)
{
	struct jtext key = jtext_get(entry, "driverKey");
	struct jtext schema = jtext_get(entry, "configSchema");

	if (entry.kind != JTEXT_OBJECT)
		return err_set(reterr, ERR_INVALID, "expected an object, got %s",
			       jtext_kind_name(entry.kind));
	if (key.kind != JTEXT_STRING || jtext_is(key, ""))
		return err_set(reterr, ERR_INVALID, "driverKey is no text");
	at->key = add_text(r, key);
	at->name = add_text(r, jtext_get(entry, "displayName"));
	if (at->key < 0 || at->name < 0)
		return err_set(reterr, ERR_INVALID, "a NUL in driverKey or displayName");
	ret->sandbox_provider = jtext_is(jtext_get(entry, "kind"), "sandbox_provider");
	ret->entry = entry;
	ret->config_schema = schema.kind == JTEXT_OBJECT ? schema : (struct jtext){ 0 };
	ret->timeout_ms = default_ms(schema, "timeoutMs");
	ret->bridge_timeout_ms = default_ms(schema, "bridgeRequestTimeoutMs");
	return 0;
}

static size_t
count_items(struct jtext array)
{
	struct jtext_iter it;
	struct span key;
	struct jtext item;
	size_t n = 0;

	jtext_iter_init(&it, array);
	while (n <= REGISTRY_DRIVERS_MAX && jtext_iter_next(&it, &key, &item))
		n++;
	return n;
}

static int
read_drivers(struct registry_record *r, struct jtext array, struct driver_offsets *offsets,
	     struct err *reterr)
{
	struct jtext_iter it;
	struct span key;
	struct jtext item;
	size_t i, n = 0;
	int code = 0;

	jtext_iter_init(&it, array);
	for (; code == 0 && jtext_iter_next(&it, &key, &item); n++) {
		code = read_driver(r, item, &r->drivers[n], &offsets[n], reterr);
		if (code < 0)
			err_prefix(reterr, "manifest: environmentDrivers[%zu]", n);
	}
	if (code < 0)
		return code;
	if (r->texts.failed)
		return err_nomem(reterr);
	for (i = 0; i < n; i++) {
		r->drivers[i].driver_key = r->texts.data + offsets[i].key;
		r->drivers[i].display_name = r->texts.data + offsets[i].name;
	}
	r->pub.drivers = r->drivers;
	r->pub.n_drivers = n;
	return 0;
}

static int
take_drivers(struct registry_record *r, struct jtext manifest, struct err *reterr)
{
	struct jtext array = jtext_get(manifest, "environmentDrivers");
	struct driver_offsets *offsets = NULL;
	size_t n;
	int code;

	if (array.kind == JTEXT_MISSING)
		return 0;
	if (array.kind != JTEXT_ARRAY)
		return err_set(reterr, ERR_INVALID,
			       "manifest: environmentDrivers: expected an array, got %s",
			       jtext_kind_name(array.kind));
	n = count_items(array);
	if (n > REGISTRY_DRIVERS_MAX)
		return err_set(reterr, ERR_LIMIT, "manifest: environmentDrivers: more than %d",
			       REGISTRY_DRIVERS_MAX);
	if (n == 0)
		return 0;
	r->drivers = malloc(n * sizeof(*r->drivers));
	offsets = malloc(n * sizeof(*offsets));
	if (r->drivers && offsets) {
		memset(r->drivers, 0, n * sizeof(*r->drivers));
		code = read_drivers(r, array, offsets, reterr);
	} else {
		code = err_nomem(reterr);
	}
	free(offsets);
	return code;
}

/* Keeps copies, each with a NUL behind it. */
static bool
keep(struct registry_record *r, struct span id, const struct span values[REGISTRY_FIELDS])
{
	size_t bytes = 1, i;
	char *p;

	for (i = 0; i < REGISTRY_FIELDS; i++)
		bytes += values[i].ptr ? values[i].len + 1 : 0;
	r->raw = p = malloc(bytes);
	r->id = malloc(id.len + 1);
	if (!p || !r->id)
		return false;
	memcpy(r->id, id.ptr, id.len);
	r->id[id.len] = '\0';
	for (i = 0; i < REGISTRY_FIELDS; i++) {
		r->values[i] = SPAN_NULL;
		if (!values[i].ptr)
			continue;
		memcpy(p, values[i].ptr, values[i].len);
		p[values[i].len] = '\0';
		r->values[i] = (struct span){ p, values[i].len };
		p += values[i].len + 1;
	}
	return true;
}

static int
read_all(struct registry_record *r, struct err *reterr)
{
	struct jtext json[REGISTRY_FIELDS] = { { 0 } };
	struct registry_plugin *p = &r->pub;
	int code = 0;
	size_t i;

	for (i = 0; code == 0 && i < REGISTRY_FIELDS; i++)
		code = check_field(r->values[i], &fields[i], &json[i], reterr);
	/* Known even when the rest is wrong: it names the plugin to people. */
	if (r->values[REGISTRY_KEY].ptr && printable(r->values[REGISTRY_KEY]))
		p->key = r->values[REGISTRY_KEY].ptr;
	if (code == 0)
		code = take_drivers(r, json[REGISTRY_MANIFEST], reterr);
	if (code < 0)
		return code;
	p->status = r->values[REGISTRY_STATUS].ptr;
	p->ready = strcmp(p->status, "ready") == 0;
	p->manifest = json[REGISTRY_MANIFEST];
	p->config = json[REGISTRY_CONFIG];
	p->package = r->values[REGISTRY_PACKAGE].ptr;
	p->digest = r->values[REGISTRY_DIGEST].ptr;
	p->pin = r->values[REGISTRY_PIN].ptr;
	p->generation = r->values[REGISTRY_GENERATION].ptr;
	return 0;
}

static struct registry_record *
record_make(struct span id, const struct span values[REGISTRY_FIELDS])
{
	struct registry_record *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (!keep(r, id, values)) {
		registry_record_free(r);
		return NULL;
	}
	r->pub.id = r->id;
	r->pub.key = r->pub.status = "";
	return r;
}

struct registry_record *
registry_record_new(struct span id, const struct span values[REGISTRY_FIELDS],
		    struct err *ret_wrong)
{
	struct registry_record *r = record_make(id, values);

	ret_wrong->text[0] = '\0';
	if (!r)
		return NULL;
	if (read_all(r, ret_wrong) == ERR_NOMEM) {
		registry_record_free(r);
		return NULL;
	}
	return r;
}

struct registry_record *
registry_record_bad(struct span id, const char *why, struct err *ret_wrong)
{
	const struct span nothing[REGISTRY_FIELDS] = { { 0 } };

	err_set(ret_wrong, ERR_INVALID, "%s", why);
	return record_make(id, nothing);
}

void
registry_record_free(struct registry_record *r)
{
	if (!r)
		return;
	free(r->raw);
	free(r->id);
	free(r->drivers);
	buf_release(&r->texts);
	free(r);
}

struct registry_plugin *
registry_record_plugin(struct registry_record *r)
{
	return &r->pub;
}

bool
registry_record_same(const struct registry_record *r, const struct span values[REGISTRY_FIELDS])
{
	size_t i;

	for (i = 0; i < REGISTRY_FIELDS; i++)
		if (!span_eq(r->values[i], values[i]))
			return false;
	return true;
}

size_t
registry_record_bytes(const struct registry_record *r)
{
	size_t bytes = sizeof(*r) + r->texts.cap + r->pub.n_drivers * sizeof(*r->drivers), i;

	for (i = 0; i < REGISTRY_FIELDS; i++)
		bytes += r->values[i].len;
	return bytes;
}
