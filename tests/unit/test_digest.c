/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/digest.h"
#include "alloc_rig.h"

/* FIPS 180-2's examples, and what lies around its block size of 64. */
static const struct row {
	const char *name;
	struct span text;
	size_t times;
	const char *hex;
} rows[] = {
	{ "empty",	S(""),		1,
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc",	S("abc"),	1,
	  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "two blocks",	S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), 1,
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "a million a", S("aaaaaaaaaa"), 100000,
	  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	{ "NUL counts",	S("\0"),	1,
	  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
};

static void
test_rows(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct digest *d = digest_new();
		struct buf whole = BUF_INIT;
		char hex[DIGEST_HEX_SIZE];

		for (size_t n = 0; n < row->times; n++) {
			buf_addspan(&whole, row->text);
			digest_add(d, row->text);
			digest_add(d, SPAN_NULL);
		}
		if (!digest_sha256_hex(buf_span(&whole), hex) || strcmp(hex, row->hex) != 0)
			fail_msg("%s: %s", row->name, hex);
		if (!digest_end(d, hex) || strcmp(hex, row->hex) != 0)
			fail_msg("%s, piece by piece: %s", row->name, hex);
		assert_false(digest_end(d, hex));
		assert_string_equal(hex, "");
		digest_free(d);
		buf_release(&whole);
	}
	assert_true(digest_sha256_hex(SPAN_NULL, (char[DIGEST_HEX_SIZE]){ 0 }));
}

static void *
no_realloc(void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return NULL;
}

static void
test_no_memory(void **state)
{
	char hex[DIGEST_HEX_SIZE] = "x";
	struct digest *d;

	(void)state;
	alloc_replace(no_realloc);
	d = digest_new();
	alloc_replace(NULL);
	assert_null(d);
	digest_add(d, span_of("abc"));
	assert_false(digest_end(d, hex));
	assert_string_equal(hex, "");
	digest_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
