/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "avro/schema_names.h"
#include "envdriver/avro/schema.h"
#include "envdriver/base/buf.h"

static const struct mend_row {
	const char *name, *text;
	const char *mended;	/* NULL: it stays as it is */
} mend_rows[] = {
	{"nothing to mend", "{\"type\": \"record\", \"name\": \"R\", \"fields\": []}", NULL},
	{"a full name", "{\"type\":\"record\",\"name\":\"a.b.R\",\"fields\":[]}", NULL},
	{"a field",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a-b\",\"type\":\"int\"}]}",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a_b\",\"type\":\"int\"}]}"},
	{"a field whose new name is taken",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a-b\",\"type\":\"int\"},"
	 "{\"name\":\"a_b\",\"type\":\"int\"},{\"name\":\"a.b\",\"type\":\"int\"}]}",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a_b\",\"type\":\"int\"},"
	 "{\"name\":\"a_b_\",\"type\":\"int\"},{\"name\":\"a_b__\",\"type\":\"int\"}]}"},
	{"a field that begins with a digit",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"1st\",\"type\":\"int\"}]}",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"_1st\",\"type\":\"int\"}]}"},
	{"a type and where it is named again",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"fixed\",\"name\":\"x-y\",\"size\":2}},{\"name\":\"b\",\"type\":[\"null\",\"x-y\"]},"
	 "{\"name\":\"c\",\"type\":{\"type\":\"array\",\"items\":\"x-y\"}}]}",
	 "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
	 "\"fixed\",\"name\":\"x_y\",\"size\":2}},{\"name\":\"b\",\"type\":[\"null\",\"x_y\"]},"
	 "{\"name\":\"c\",\"type\":{\"type\":\"array\",\"items\":\"x_y\"}}]}"},
	{"a namespace and a symbol",
	 "{\"type\":\"enum\",\"name\":\"E\",\"namespace\":\"acme-corp\",\"symbols\":[\"A-B\"]}",
	 "{\"type\":\"enum\",\"name\":\"E\",\"namespace\":\"acme_corp\",\"symbols\":[\"A_B\"]}"},
	{"no JSON", "{", NULL},
};

static void
test_mend(void **state)
{
	const struct mend_row *row;

	(void)state;
	EACH(row, mend_rows) {
		const char *want = row->mended ? row->mended : row->text;
		char *text = strdup(row->text);
		size_t len = strlen(row->text);

		if (schema_names_mend(&text, &len, NULL) != 0 || strcmp(text, want) != 0 ||
		    len != strlen(want))
			fail_msg("%s: %s", row->name, text);
		free(text);
	}
}

static const struct time_row {
	enum schema_time unit;
	int64_t value, ms;
} time_rows[] = {
	{ SCHEMA_TIME_NONE, 1500, 1500 },
	{ SCHEMA_TIME_MILLIS, -1, -1 },
	{ SCHEMA_TIME_MICROS, 1999, 1 },
	{ SCHEMA_TIME_MICROS, -1, -1 },
	{ SCHEMA_TIME_MICROS, -2000, -2 },
	{ SCHEMA_TIME_NANOS, 1999999, 1 },
	{ SCHEMA_TIME_NANOS, INT64_MIN, -9223372036855 },
};

static void
test_times(void **state)
{
	const struct time_row *row;

	(void)state;
	EACH(row, time_rows)
		assert_int_equal(schema_time_ms(row->unit, row->value), row->ms);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_mend),
		cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
