/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a plugin's hash of Redis: the first byte tells which fields
 * are there, 0x1e stands between their values. A record is always made; it is
 * ready only when nothing is wrong with it. */
#include "envdriver/base/err.h"
#include "registry/registry_record.h"
#include "fuzz.h"

enum { SEPARATOR = 0x1e };

static void
see_driver(const struct registry_plugin *p, const struct registry_driver *d)
{
	struct jtext name = jtext_get(d->entry, "displayName");

	MUST(d->entry.kind == JTEXT_OBJECT && *d->driver_key);
	MUST(jtext_is(jtext_get(d->entry, "driverKey"), d->driver_key));
	MUST(name.kind == JTEXT_STRING ? jtext_is(name, d->display_name) : !*d->display_name);
	MUST(d->config_schema.kind == JTEXT_MISSING || d->config_schema.kind == JTEXT_OBJECT);
	MUST(registry_driver(p, span_of(d->driver_key)) != NULL);
	MUST(strcmp(registry_driver(p, span_of(d->driver_key))->driver_key, d->driver_key) == 0);
}

static void
see_record(struct registry_record *r, const struct span values[REGISTRY_FIELDS],
	   const struct err *wrong)
{
	const struct registry_plugin *p = registry_record_plugin(r);

	MUST(strcmp(p->id, "plugin-1") == 0 && p->key && p->status);
	MUST(registry_record_same(r, values) && registry_record_bytes(r) > 0);
	MUST(p->ready == (strcmp(p->status, "ready") == 0));
	MUST((*wrong->text == '\0') == (*p->status != '\0'));
	MUST((*wrong->text == '\0') == (p->manifest.kind == JTEXT_OBJECT));
	if (*wrong->text) {
		MUST(!p->ready && p->n_drivers == 0 && !p->package);
		return;
	}
	MUST(span_is(values[REGISTRY_KEY], p->key) && span_is(values[REGISTRY_STATUS], p->status));
	MUST(p->config.kind == JTEXT_MISSING || p->config.kind == JTEXT_OBJECT);
	for (size_t i = 0; i < p->n_drivers; i++)
		see_driver(p, &p->drivers[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span values[REGISTRY_FIELDS] = { { NULL, 0 } };
	const char *p = (const char *)data + 1, *end = p + size - 1, *stop;
	struct err wrong = { .text = "" };
	struct registry_record *r;

	if (size == 0)
		return 0;
	for (int i = 0; i < REGISTRY_FIELDS; i++) {
		if (!(data[0] & 1 << i))
			continue;
		stop = p < end ? memchr(p, SEPARATOR, (size_t)(end - p)) : NULL;
		stop = stop ? stop : end;
		values[i] = (struct span){ p, (size_t)(stop - p) };
		p = stop < end ? stop + 1 : end;
	}
	r = registry_record_new(SPAN_LIT("plugin-1"), values, &wrong);
	MUST(r);
	MUST(!fuzz_printed_null(wrong.text, data, size));
	see_record(r, values, &wrong);
	registry_record_free(r);
	return 0;
}
