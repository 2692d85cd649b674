/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/kafka/group_meta.h"

/* Made by librdkafka itself: a version that writes another form fails here
 * before it fails in a rebalance. */
static const struct made_row {
	const char *name;
	int32_t generation;
	const char *member, *instance;
	bool usable;
} made_rows[] = {
	{ "a member", 7, "rdkafka-1", NULL, true },
	{ "first generation", 0, "m", NULL, true },
	{ "static member", 7, "m", "i", true },
	{ "no generation (F2)", -1, "m", NULL, false },
	{ "no member id (F2)", 7, "", NULL, false },
	{ "neither", -1, "", NULL, false },
};

static void
test_made(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(made_rows) / sizeof(*made_rows); i++) {
		const struct made_row *r = &made_rows[i];
		rd_kafka_consumer_group_metadata_t *cgmd =
			rd_kafka_consumer_group_metadata_new_with_genid("group", r->generation,
									r->member, r->instance);
		struct group_meta *g = group_meta_new(cgmd);

		if (!!g != r->usable)
			fail_msg("%s", r->name);
		if (g) {
			assert_ptr_equal(group_meta_ref(g), g);
			group_meta_unref(g);
			assert_non_null(group_meta_get(g));
		}
		group_meta_unref(g);
	}
	assert_null(group_meta_new(NULL));
	assert_null(group_meta_ref(NULL));
	group_meta_unref(NULL);
}

#define BYTES(s) s, sizeof(s) - 1

static const struct bytes_row {
	const char *name;
	const char *bytes;
	size_t len;
	bool usable;
} bytes_rows[] = {
	{ "whole", BYTES("CGMDv2:\1\0\0\0g\0m\0\1"), true },
	{ "empty", BYTES(""), false },
	{ "another version", BYTES("CGMDv3:\1\0\0\0g\0m\0\1"), false },
	{ "ends in the generation", BYTES("CGMDv2:\1\0"), false },
	{ "ends in the group", BYTES("CGMDv2:\1\0\0\0g"), false },
	{ "ends after the group", BYTES("CGMDv2:\1\0\0\0g\0"), false },
	{ "ends in the member", BYTES("CGMDv2:\1\0\0\0g\0m"), false },
	{ "no member", BYTES("CGMDv2:\1\0\0\0g\0\0\1"), false },
	{ "generation -1", BYTES("CGMDv2:\xff\xff\xff\xffg\0m\0\1"), false },
};

static void
test_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bytes_rows) / sizeof(*bytes_rows); i++) {
		const struct bytes_row *r = &bytes_rows[i];
		char *exact = malloc(r->len ? r->len : 1);

		assert_non_null(exact);
		memcpy(exact, r->bytes, r->len);
		if (group_meta_usable(exact, r->len) != r->usable)
			fail_msg("%s", r->name);
		free(exact);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
