/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a plugin's manifest: what `plugin add` takes is, without its
 * white space, still the same manifest, and a record that the registry takes. */
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/client/manifest.h"
#include "registry/registry_record.h"
#include "fuzz.h"

static void
see_accepted(struct span json, size_t drivers)
{
	struct span values[REGISTRY_FIELDS] = {
		[REGISTRY_KEY] = SPAN_LIT("k"),
		[REGISTRY_STATUS] = SPAN_LIT("ready"),
		[REGISTRY_MANIFEST] = json,
	};
	struct err wrong = { .text = "" };
	struct registry_record *r = registry_record_new(SPAN_LIT("id"), values, &wrong);
	const struct registry_plugin *p;

	MUST(r && !*wrong.text);
	p = registry_record_plugin(r);
	MUST(p->ready && p->n_drivers == drivers);
	for (size_t i = 0; i < p->n_drivers; i++)
		MUST(manifest_key_ok(span_of(p->drivers[i].driver_key)));
	registry_record_free(r);
}

static size_t
count(struct jtext array)
{
	struct jtext_iter it;
	struct jtext item;
	size_t n = 0;

	jtext_iter_init(&it, array);
	while (jtext_iter_next(&it, NULL, &item))
		n++;
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct buf tight = BUF_INIT, tighter = BUF_INIT;
	struct err err = { .text = "" }, again = { .text = "" };
	struct jtext manifest, compact;
	int ret;

	if (jtext_check(text, JTEXT_DEPTH_MAX, &manifest, NULL) < 0)
		return 0;
	ret = manifest_check(manifest, &err);
	MUST(ret == 0 || ((ret == ERR_INVALID || ret == ERR_LIMIT) && *err.text));
	MUST(!fuzz_printed_null(err.text, data, size));
	manifest_add_compact(&tight, manifest.raw);
	MUST(jtext_check(buf_span(&tight), JTEXT_DEPTH_MAX, &compact, NULL) == 0);
	MUST(compact.kind == manifest.kind && tight.len <= manifest.raw.len);
	manifest_add_compact(&tighter, buf_span(&tight));
	MUST(span_eq(buf_span(&tight), buf_span(&tighter)));
	MUST(manifest_check(compact, &again) == ret && strcmp(again.text, err.text) == 0);
	if (ret == 0)
		see_accepted(buf_span(&tight), count(jtext_get(manifest, "environmentDrivers")));
	buf_release(&tight);
	buf_release(&tighter);
	return 0;
}
