/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <time.h>

#include "command/request_secret.h"
#include "envdriver/command/outcome.h"
#include "envdriver/secret/secret_refs.h"
#include "envdriver/secret/secret_spots.h"
#include "fixture.h"
#include "alloc_rig.h"

#define REF "{\"type\":\"secret_ref\",\"secretId\":\"id-1\"}"
#define REF2 "{\"secretId\":\"id-2\",\"note\":0,\"type\":\"secret_ref\",\"version\":\"latest\"}"
#define PINNED "{\"type\":\"secret_ref\",\"secretId\":\"id-1\",\"version\":3}"
#define F "{\"format\":\"secret-ref\"}"
#define PROP(name, schema) "{\"properties\":{\"" name "\":" schema "}}"
#define PINS(path, version) "Secret binding at " path " pins version " version "; sandbox " \
	"provider secret references always resolve the latest version."

/* A schema names the values that may be secrets. */
static const struct collapse_row {
	const char *name;
	const char *config, *schema;
	const char *expected;	/* JSON, else the message of CONFIG_REJECTED */
} collapse_rows[] = {
	{ "a named value", "{\"k\":" REF ",\"x\":1}", PROP("k", F), "{\"k\":\"id-1\",\"x\":1}" },
	{ "members in any order, more of them", "{\"k\":" REF2 "}", PROP("k", F),
	  "{\"k\":\"id-2\"}" },
	{ "a name that is not there", "{\"x\":" REF "}", PROP("k", F), "{\"x\":" REF "}" },
	{ "a format of another kind", "{\"k\":" REF "}", PROP("k", "{\"format\":\"uri\"}"),
	  "{\"k\":" REF "}" },
	{ "a format that is not text", "{\"k\":" REF "}",
	  "{\"properties\":{\"k\":{\"format\":1},\"j\":" F "}}", "{\"k\":" REF "}" },
	{ "a bare id stays", "{\"k\":\"id-1\",\"note\":\"secret_ref\"}", PROP("k", F),
	  "{\"k\":\"id-1\",\"note\":\"secret_ref\"}" },
	{ "an id that is no text stays", "{\"k\":{\"type\":\"secret_ref\",\"secretId\":1}}",
	  PROP("k", F), "{\"k\":{\"type\":\"secret_ref\",\"secretId\":1}}" },
	{ "an object of another type stays",
	  "{\"k\":{\"type\":\"secret_ref2\",\"secretId\":\"i\"}}",
	  PROP("k", F), "{\"k\":{\"type\":\"secret_ref2\",\"secretId\":\"i\"}}" },
	{ "nested objects", "{\"a\":{\"b\":{\"c\":" REF ",\"d\":" REF "}}}",
	  PROP("a", PROP("b", PROP("c", F))),
	  "{\"a\":{\"b\":{\"c\":\"id-1\",\"d\":" REF "}}}" },
	{ "objects in between must be objects", "{\"a\":[" REF "],\"b\":\"secret_ref\"}",
	  "{\"properties\":{\"a\":{\"properties\":{\"0\":" F "}},\"b\":"
	  PROP("c", F) "}}", "{\"a\":[" REF "],\"b\":\"secret_ref\"}" },
	{ "items of an array", "{\"a\":[" REF ",1]}",
	  PROP("a", "{\"items\":" F "}"), "{\"a\":[\"id-1\",1]}" },
	{ "allOf, anyOf, oneOf", "{\"a\":" REF ",\"b\":" REF ",\"c\":" REF "}",
	  "{\"allOf\":[" PROP("a", F) "],\"anyOf\":[{}," PROP("b", F) "],\"oneOf\":["
	  PROP("c", F) "]}", "{\"a\":\"id-1\",\"b\":\"id-1\",\"c\":\"id-1\"}" },
	{ "a branch inside a property", "{\"a\":{\"b\":" REF "}}",
	  PROP("a", "{\"oneOf\":[{\"type\":\"null\"}," PROP("b", F) "]}"),
	  "{\"a\":{\"b\":\"id-1\"}}" },
	{ "named twice, replaced once", "{\"k\":" REF ",\"x\":1}",
	  "{\"properties\":{\"k\":" F "},\"anyOf\":[" PROP("k", F) "]}",
	  "{\"k\":\"id-1\",\"x\":1}" },
	{ "order of the config, not of the schema", "{\"b\":" REF2 ",\"a\":" REF "}",
	  "{\"properties\":{\"a\":" F ",\"b\":" F "}}", "{\"b\":\"id-2\",\"a\":\"id-1\"}" },
	{ "a name with a dot is one name", "{\"a.b\":" REF ",\"a\":{\"b\":" REF "}}",
	  PROP("a.b", F), "{\"a.b\":\"id-1\",\"a\":{\"b\":" REF "}}" },
	{ "escapes in both", "{\"\\u006b\":{\"type\":\"secret\\u005fref\",\"secretId\":\"i\\n\"}}",
	  PROP("k", "{\"format\":\"secret\\u002dref\"}"), "{\"\\u006b\":\"i\\n\"}" },
	{ "line breaks become spaces", "{\n\"k\":\t" REF "\n}", PROP("k", F),
	  "{ \"k\": \"id-1\" }" },
	{ "pinned", "{\"k\":" PINNED "}", PROP("k", F), PINS("k", "3") },
	{ "pinned, deep", "{\"a\":{\"b\":" PINNED "}}", PROP("a", PROP("b", F)),
	  PINS("a.b", "3") },
	{ "pinned where it is not looked at", "{\"k\":" PINNED "}", PROP("j", F),
	  "{\"k\":" PINNED "}" },
	{ "the first of two that are pinned", "{\"b\":" PINNED ",\"a\":" PINNED "}",
	  "{\"properties\":{\"a\":" F ",\"b\":" F "}}", PINS("a", "3") },
	{ "one in another that is not named",
	  "{\"a\":{\"type\":\"secret_ref\",\"secretId\":\"o\",\"k\":" REF "}}",
	  PROP("a", PROP("k", F)),
	  "{\"a\":{\"type\":\"secret_ref\",\"secretId\":\"o\",\"k\":\"id-1\"}}" },
	{ "behind an array", "{\"a\":[" REF ",{}],\"k\":" REF "}", PROP("k", F),
	  "{\"a\":[" REF ",{}],\"k\":\"id-1\"}" },
	{ "no schema", "{\"k\":" REF "}", NULL, "{\"k\":" REF "}" },
	{ "a schema that is no object", "{\"k\":" REF "}", "[" F "]", "{\"k\":" REF "}" },
};

/* References, as "path=id" each, in the order of the text. */
static const struct find_row {
	const char *name;
	const char *json, *prefix;
	const char *expected;
} find_rows[] = {
	{ "none", "{\"a\":[1,{\"b\":null}]}", "", "" },
	{ "the words alone", "{\"secret_ref\":\"secret_ref\",\"type\":\"secret_ref\"}", "", "" },
	{ "an id that is no text", "{\"a\":{\"type\":\"secret_ref\",\"secretId\":null}}", "", "" },
	{ "at the top", "{\"a\":" REF "}", "", "a=id-1" },
	{ "under a prefix", "{\"a\":" REF "}", "env", "env.a=id-1" },
	{ "in nested objects and arrays", "{\"a\":[0,[{\"b\":" REF "}]]}", "", "a.1.0.b=id-1" },
	{ "several", "{\"b\":{\"x\":1},\"c\":" REF2 ",\"a\":" REF "}", "", "c=id-2 a=id-1" },
	{ "a pinned version", "{\"a\":" PINNED "}", "", "a=id-1@3" },
	{ "escapes", "{\"\\u0061\":{\"type\":\"\\u0073ecret_ref\",\"secretId\":\"\\u0069\"}}", "",
	  "a=i" },
	{ "the value itself", REF, "env", "env=id-1" },
	{ "one in another: the outer one counts",
	  "{\"a\":{\"x\":" REF ",\"type\":\"secret_ref\",\"secretId\":\"o\"},\"b\":" REF "}", "",
	  "a=o b=id-1" },
	{ "one in another that is none", "{\"a\":{\"type\":\"secret_ref\",\"secretId\":[" REF "]}}",
	  "", "a.secretId.0=id-1" },
	{ "a type that is taken back",
	  "{\"a\":{\"type\":\"secret_ref\",\"secretId\":\"i\",\"type\":{}},\"b\":[{},[]," REF2 "]}",
	  "", "b.2=id-2" },
	{ "brackets and quotes in strings",
	  "{\"a\":\"}]\\\"{\\\\\",\"b\\\"\":[true,-1.5e3,null," REF "]}", "",
	  "b\".3=id-1" },
};

static void
compare(const char *name, int ret, const struct buf *out, const struct outcome *o,
	const char *expected, enum outcome_code failure)
{
	if (expected[0] == '{') {
		CHECK(name, ret == 0);
		CHECK_TEXT(name, out->data, expected);
		return;
	}
	CHECK(name, ret < 0);
	CHECK(name, o->code == failure);
	CHECK(name, !o->may_have_run);	/* nothing was sent */
	CHECK_TEXT(name, o->message.data, expected);
}

static int
collapse(struct jtext config, struct jtext schema, struct buf *out, struct outcome *ret_failure)
{
	struct secret_spots_cache *cache = secret_spots_cache_new();
	const struct secret_graph *spots = NULL;
	bool nomem = !cache;
	int ret;

	if (cache)
		spots = secret_spots_get(cache, schema, &nomem);
	ret = request_secret_collapse(config, spots, out, ret_failure);
	if (nomem) {
		outcome_fail(ret_failure, CODE_INTERNAL, "out of memory");
		ret = ERR_NOMEM;
	}
	secret_spots_cache_free(cache);
	return ret;
}

static void
test_collapse(void **state)
{
	const struct collapse_row *r;

	(void)state;
	EACH(r, collapse_rows) {
		struct outcome o = OUTCOME_INIT;
		struct buf out = BUF_INIT;
		int ret = collapse(fixture_json(r->config), fixture_json(r->schema), &out, &o);

		compare(r->name, ret, &out, &o, r->expected, CODE_CONFIG_REJECTED);
		buf_release(&out);
		outcome_release(&o);
	}
}

static void
test_find(void **state)
{
	const struct find_row *r;

	(void)state;
	EACH(r, find_rows) {
		struct secret_refs *refs = NULL;
		struct outcome o = OUTCOME_INIT;
		struct buf json = BUF_INIT, out = BUF_INIT;

		buf_adds(&json, "before:");
		buf_addspan(&json, fixture_json(r->json).raw);
		CHECK(r->name, request_secret_find(&json, strlen("before:"), r->prefix, NULL,
						   /* provider= */ true, &refs, &o) == 0);
		fixture_print_refs(refs, &out);
		CHECK_TEXT(r->name, buf_span(&out).ptr, r->expected);
		secret_refs_free(refs);
		buf_release(&json);
		buf_release(&out);
		outcome_release(&o);
	}
}

static int calls_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return calls_left-- > 0 ? realloc(ptr, size) : NULL;
}

/* Whichever allocation fails: INTERNAL, or the whole text. */
static void
test_no_memory(void **state)
{
	struct jtext config = fixture_json("{\"a\":{\"b\":" REF "},\"k\":" REF2 "}");
	struct jtext schema = fixture_json("{\"properties\":{\"a\":" PROP("b", F) ",\"k\":" F "}}");
	int n, ret = ERR_NOMEM, refused = 0;

	(void)state;
	for (n = 0; ret < 0; n++) {
		struct outcome o = OUTCOME_INIT;
		struct buf out = BUF_INIT;

		calls_left = n;
		alloc_replace(failing_realloc);
		ret = collapse(config, schema, &out, &o);
		alloc_replace(NULL);
		assert_true(ret == 0 || (ret == ERR_NOMEM && o.code == CODE_INTERNAL));
		if (ret == 0)
			assert_string_equal(out.data, "{\"a\":{\"b\":\"id-1\"},\"k\":\"id-2\"}");
		refused += ret < 0;
		buf_release(&out);
		outcome_release(&o);
	}
	assert_true(refused > 3);
}

/* A config of about `size` bytes that is `depth` deep, with a reference's words
 * in its innermost value. */
static void
build_deep(struct buf *out, int depth, size_t size)
{
	buf_adds(out, "{");
	for (int i = 1; i < depth; i++)
		buf_adds(out, "\"a\":{");
	buf_adds(out, "\"x\":\"secret_ref\"");
	while (out->len < size)
		buf_adds(out, ",\"\":1");
	for (int i = 0; i < depth; i++)
		buf_adds(out, "}");
	assert_false(out->failed);
}

/* Of this thread alone: others share the machine. */
static int64_t
thread_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t
time_find(const struct buf *json)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		struct secret_refs *refs = NULL;
		struct outcome o = OUTCOME_INIT;
		int64_t start = thread_us();

		assert_int_equal(request_secret_find(json, 0, "", NULL, false, &refs, &o), 0);
		best = thread_us() - start < best ? thread_us() - start : best;
		outcome_release(&o);
	}
	return best;
}

/* A config costs by its bytes, not by its bytes times its depth. */
static void
test_depth_costs_nothing(void **state)
{
	struct buf flat = BUF_INIT, deep = BUF_INIT;
	int64_t of_flat, of_deep;

	(void)state;
	build_deep(&flat, 1, 400000);
	build_deep(&deep, 62, 400000);
	of_flat = time_find(&flat);
	of_deep = time_find(&deep);
	if (of_deep > 4 * of_flat)
		fail_msg("%lld us deep, %lld us flat", (long long)of_deep, (long long)of_flat);
	buf_release(&flat);
	buf_release(&deep);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_collapse),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_depth_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
