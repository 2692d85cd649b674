/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/jtext.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/secret/secret_spots.h"
#include "fixture.h"

#define F "{\"format\":\"secret-ref\"}"
#define NODE "{\"$ref\":\"#/$defs/n\"}"

/* Where a schema makes a string a reference. */
static const struct row {
	const char *name;
	const char *schema, *config;
	const char *expected;	/* "path=id" of each */
} rows[] = {
	{ "a property", "{\"properties\":{\"k\":" F "}}", "{\"k\":\"i\",\"j\":\"x\"}", "k=i" },
	{ "no string, or an empty one", "{\"properties\":{\"k\":" F ",\"l\":" F "}}",
	  "{\"k\":\" \",\"l\":[\"x\"]}", "" },
	{ "items", "{\"properties\":{\"k\":{\"items\":" F "}}}", "{\"k\":[\"i\",1,\"j\"]}",
	  "k.0=i k.2=j" },
	{ "one of the items", "{\"properties\":{\"k\":{\"prefixItems\":[{}," F "]}}}",
	  "{\"k\":[\"i\",\"j\",\"k\"]}", "k.1=j" },
	{ "those behind", "{\"properties\":{\"k\":{\"prefixItems\":[{}],\"items\":" F "}}}",
	  "{\"k\":[\"i\",\"j\",\"k\"]}", "k.1=j k.2=k" },
	{ "as older drafts have it",
	  "{\"properties\":{\"k\":{\"items\":[{}," F "],\"additionalItems\":" F "}}}",
	  "{\"k\":[\"i\",\"j\",\"k\"]}", "k.1=j k.2=k" },
	{ "unions in unions",
	  "{\"oneOf\":[{},{\"anyOf\":[{\"allOf\":[{\"properties\":{\"k\":" F "}}]}]}]}",
	  "{\"k\":\"i\"}", "k=i" },
	{ "if, then, else", "{\"if\":{},\"then\":{\"properties\":{\"k\":" F "}},\"else\":{"
	  "\"properties\":{\"l\":" F "}}}", "{\"k\":\"i\",\"l\":\"j\"}", "k=i l=j" },
	{ "other names", "{\"properties\":{\"k\":{}},\"additionalProperties\":" F "}",
	  "{\"k\":\"i\",\"l\":\"j\"}", "l=j" },
	{ "names of a pattern", "{\"patternProperties\":{\"^\\\\w+_key$\":" F "}}",
	  "{\"a_key\":\"i\",\"a_keys\":\"j\",\"_key\":\"k\"}", "a_key=i" },
	{ "a pattern that could take long", "{\"patternProperties\":{\"(a{9}){9}\":" F "}}",
	  "{\"aaaaaaaaaa\":\"i\"}", "" },
	{ "a circle", "{\"$defs\":{\"n\":{\"properties\":{\"k\":" F ",\"n\":" NODE
	  "}}},\"allOf\":[" NODE "]}", "{\"k\":\"i\",\"n\":{\"n\":{\"k\":\"j\"}}}",
	  "k=i n.n.k=j" },
	{ "a circle without a step", "{\"$ref\":\"#\",\"allOf\":[{\"$ref\":\"#\"}],"
	  "\"properties\":{\"k\":" F "}}", "{\"k\":\"i\"}", "k=i" },
	{ "a pointer with escapes", "{\"a/b~c\":[{},{\"properties\":{\"k\":" F "}}],"
	  "\"$ref\":\"#/a~1b~0c/1\"}", "{\"k\":\"i\"}", "k=i" },
	{ "pointers to nowhere", "{\"anyOf\":[{\"$ref\":\"#/x/y\"},{\"$ref\":\"http://x/#\"},"
	  "{\"$ref\":1}],\"properties\":{\"k\":" F "}}", "{\"k\":\"i\"}", "k=i" },
};

static void
check_row(const struct row *r, struct secret_spots_cache *cache)
{
	struct jtext config = fixture_json(r->config);
	struct secret_refs_options o = { .prefix = "" };
	struct secret_refs *refs = NULL;
	struct buf out = BUF_INIT;
	bool nomem = false;

	o.spots = secret_spots_get(cache, fixture_json(r->schema), &nomem);
	CHECK(r->name, secret_refs_find(&refs, config.raw, 0, &o, NULL) == 0);
	fixture_print_refs(refs, &out);
	CHECK_TEXT(r->name, buf_span(&out).ptr, r->expected);
	secret_refs_free(refs);
	buf_release(&out);
}

static void
test_spots(void **state)
{
	struct secret_spots_cache *cache = secret_spots_cache_new();
	const struct row *r;

	(void)state;
	assert_non_null(cache);
	for (int again = 0; again < 2; again++)
		EACH(r, rows)
			check_row(r, cache);
	secret_spots_cache_free(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
