/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/base64.h"

static const struct {
	struct span bytes;
	const char *text;
	int pad;
} good[] = {
	{ S(""), "", 0 },	  { S("f"), "Zg==", 2 },	 { S("fo"), "Zm8=", 1 },
	{ S("foo"), "Zm9v", 0 },  { S("foob"), "Zm9vYg==", 2 },	 { S("fooba"), "Zm9vYmE=", 1 },
	{ S("foobar"), "Zm9vYmFy", 0 }, { S("\0\xff\xfe"), "AP/+", 0 },
};

static const char *const bad[] = {
	"A", "AA", "AAA", "AA=", "A===", "====", "AAA=AAAA", "AA=A", "Zm9v\n", "Zh==",
	"Zm9=", "Zm-v", "AAAAAA==A", "AAAAA===",
};

static const char *const bad_unpadded[] = { "A", "AAAAA", "Zg==", "Zh", "Zm9", "Zm-v", "Zm8=" };

static void
test_padded(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		buf_reset(&out);
		base64_encode(&out, good[i].bytes);
		assert_string_equal(out.data, good[i].text);
		buf_reset(&out);
		assert_true(base64_decode(&out, span_of(good[i].text)));
		assert_true(span_eq(buf_span(&out), good[i].bytes));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_reset(&out);
		if (base64_decode(&out, span_of(bad[i])) || out.len)
			fail_msg("%s", bad[i]);
	}
	buf_release(&out);
}

static void
test_unpadded(void **state)
{
	struct buf out = BUF_INIT;
	unsigned char bytes[16];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		ptrdiff_t n;

		buf_reset(&out);
		base64_encode_unpadded(&out, good[i].bytes);
		assert_int_equal(out.len, strlen(good[i].text) - (size_t)good[i].pad);
		assert_memory_equal(out.data, good[i].text, out.len);
		n = base64_decode_unpadded(buf_span(&out), bytes);
		assert_int_equal(n, good[i].bytes.len);
		assert_memory_equal(bytes, good[i].bytes.ptr, (size_t)n);
	}
	for (size_t i = 0; i < sizeof(bad_unpadded) / sizeof(*bad_unpadded); i++)
		if (base64_decode_unpadded(span_of(bad_unpadded[i]), bytes) >= 0)
			fail_msg("%s", bad_unpadded[i]);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_padded),
		cmocka_unit_test(test_unpadded),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
