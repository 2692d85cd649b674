/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/digest.h"
#include "envdriver/kafka/source.h"
#include "envdriver/result/deadletter.h"
#include "fixture.h"
#include "alloc_rig.h"

enum { ROOM = 2 * 1024 * 1024 };

static const struct reject invalid = {
	.reason = REJECT_INVALID,
	.message = "operation.lease: bad",
	.field = "operation.lease",
	.command_id = "c1",
	.company_id = "co",
	.environment_id = "env",
	.operation = "Execute",
};

static void
build(size_t room, const struct source *src, const struct reject *why,
      const struct first_record *first, struct events *ret)
{
	assert_int_equal(deadletter_build(fixture_schemas(), "host-a", room, src, why, first, ret),
			 0);
	assert_int_equal(ret->count, 1);
}

static struct event
only_event(const struct events *e)
{
	struct event ev;
	size_t cursor = 0;

	assert_true(events_next(e, &cursor, &ev));
	assert_int_equal(ev.topic, TOPIC_DEAD_LETTERS);
	return ev;
}

/* deadLetteredAt is the clock's: cut off there. */
static void
print(const struct events *e, struct buf *out)
{
	struct event ev = only_event(e);
	char *at;

	buf_reset(out);
	buf_addf(out, "key=%.*s\n", SPAN_FMT(ev.key));
	fixture_print_headers(&ev, out);
	fixture_print_event(&ev, out);
	at = strstr(out->data, ",\"deadLetteredAt\":1");
	assert_non_null(at);
	*at = '\0';
}

static void
test_a_letter_to_the_byte(void **state)
{
	const struct event_header headers[] = {
		{ SPAN_LIT("a"), SPAN_LIT("1") },
		{ SPAN_LIT("n\xffm"), SPAN_NULL },
		{ SPAN_LIT("envdriver.redrive-count"), SPAN_LIT("2") },
	};
	const struct source src = {
		.topic = "environment.commands",
		.partition = 3,
		.offset = 17,
		.timestamp = 99,
		.key = SPAN_LIT("k"),
		.value = SPAN_LIT("abc"),
		.headers = headers,
		.n_headers = 3,
	};
	struct events e = EVENTS_INIT;
	struct buf text = BUF_INIT;

	(void)state;
	build(ROOM, &src, &invalid, NULL, &e);
	print(&e, &text);
	assert_string_equal(text.data,
		"key=k\n"
		"a=1\nn\xffm=\nenvdriver.redrive-count=2\n"
		"envdriver.command-id=c1\nenvdriver.operation=Execute\nenvdriver.company-id=co\n"
		"envdriver.environment-id=env\nenvdriver.status=DEAD_LETTER\n"
		"envdriver.error-code=INVALID_COMMAND\nenvdriver.schema=DeadLetter\n"
		"__connect.errors.topic=environment.commands\n__connect.errors.partition=3\n"
		"__connect.errors.offset=17\n__connect.errors.stage=TRANSFORMATION\n"
		"__connect.errors.exception.class.name=INVALID_COMMAND\n"
		"__connect.errors.exception.message=operation.lease: bad\n"
		"{\"reason\":\"INVALID_COMMAND\",\"message\":\"operation.lease: bad\","
		"\"field\":\"operation.lease\",\"commandId\":\"c1\",\"companyId\":\"co\","
		"\"environmentId\":\"env\",\"operation\":\"Execute\","
		"\"sourceTopic\":\"environment.commands\",\"sourcePartition\":3,"
		"\"sourceOffset\":17,\"sourceTimestamp\":99,\"firstTopic\":null,"
		"\"firstPartition\":null,\"firstOffset\":null,\"key\":\"k\",\"value\":\"abc\","
		"\"headers\":[{\"name\":\"a\",\"value\":\"1\"},"
		"{\"name\":\"n\xef\xbf\xbdm\",\"value\":null},"
		"{\"name\":\"envdriver.redrive-count\",\"value\":\"2\"}],\"valueBytes\":3,"
		"\"valueSha256\":"
		"\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
		"\"valueTruncated\":false,\"redriveCount\":2,\"instanceId\":\"host-a\"");
	events_release(&e);
	buf_release(&text);
}

static const struct row {
	const char *name;
	enum reject_reason reason;
	const char *part[3];
} rows[] = {
	{ "unreadable", REJECT_UNREADABLE, { "stage=VALUE_CONVERTER\n",
	  "class.name=UNREADABLE_COMMAND\n", "\"reason\":\"UNREADABLE_COMMAND\"" } },
	{ "too large", REJECT_TOO_LARGE, { "stage=VALUE_CONVERTER\n",
	  "error-code=COMMAND_TOO_LARGE\n", "\"reason\":\"COMMAND_TOO_LARGE\"" } },
	{ "invalid", REJECT_INVALID, { "stage=TRANSFORMATION\n", "", "" } },
	{ "duplicate", REJECT_DUPLICATE, { "stage=TRANSFORMATION\n",
	  "\"reason\":\"DUPLICATE_COMMAND\"",
	  "\"firstTopic\":\"first\",\"firstPartition\":0,\"firstOffset\":5" } },
};

/* A tombstone without key, time, headers and ids; what is unknown is null, and
 * has no header. */
static void
test_reasons(void **state)
{
	const struct source src = { .topic = "t", .timestamp = -1 };
	const struct first_record first = { "first", 0, 5 };
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		const struct reject why = { .reason = row->reason, .message = "m" };
		struct events e = EVENTS_INIT;
		struct buf text = BUF_INIT;

		build(ROOM, &src, &why, row->reason == REJECT_DUPLICATE ? &first : NULL, &e);
		print(&e, &text);
		CHECK(row->name, !only_event(&e).key.ptr);
		for (int i = 0; i < 3; i++)
			CHECK_HAS(row->name, text.data, row->part[i]);
		CHECK_HAS(row->name, text.data, "\"commandId\":null,\"companyId\":null,"
					      "\"environmentId\":null,\"operation\":null");
		CHECK_HAS(row->name, text.data, "\"field\":null");
		CHECK_HAS(row->name, text.data, "\"sourceTimestamp\":null");
		CHECK_HAS(row->name, text.data, "\"key\":null,\"value\":null,\"headers\":[],"
					      "\"valueBytes\":-1,\"valueSha256\":null,"
					      "\"valueTruncated\":false,\"redriveCount\":0");
		CHECK(row->name, !strstr(text.data, "envdriver.command-id"));
		events_release(&e);
		buf_release(&text);
	}
}

static const struct redrive_row {
	const char *name, *value, *expected;
} redrive_rows[] = {
	{ "number", "41", "\"redriveCount\":41," },
	{ "text", "4x", "\"redriveCount\":0," },
	{ "empty", "", "\"redriveCount\":0," },
	{ "less than none", "-1", "\"redriveCount\":0," },
	{ "largest", "2147483647", "\"redriveCount\":2147483647," },
	{ "beyond all", "99999999999999999999", "\"redriveCount\":2147483647," },
};

static void
test_redrive_count(void **state)
{
	const struct redrive_row *row;

	(void)state;
	EACH(row, redrive_rows) {
		const struct event_header header = { SPAN_LIT("envdriver.redrive-count"),
						     span_of(row->value) };
		const struct source src = { .topic = "t", .headers = &header, .n_headers = 1 };
		struct events e = EVENTS_INIT;
		struct buf text = BUF_INIT;

		build(ROOM, &src, &invalid, NULL, &e);
		print(&e, &text);
		CHECK_HAS(row->name, text.data, row->expected);
		events_release(&e);
		buf_release(&text);
	}
}

static const struct size_row {
	const char *name;
	size_t room, key, value, headers, header_value;
	bool truncated;
	const char *message;	/* part of it */
} size_rows[] = {
	{ "fits", ROOM, 100, 1024 * 1024, 10, 100, false, "operation.lease: bad\"" },
	{ "value cut", ROOM, 100, 3 * 1024 * 1024, 10, 100, true, "operation.lease: bad\"" },
	{ "value gone", ROOM, 100, 1024 * 1024, 5, 250 * 1024, true,
	  "bad; only the first 4 of 5 headers are kept" },
	{ "99,000 headers", ROOM, 0, 10, 99000, 0, false, "operation.lease: bad\"" },
	{ "no reader takes more", ROOM, 0, 10, 100000, 0, false,
	  "bad; only the first 99984 of 100000 headers are kept" },
	{ "99,000 headers of 10 bytes", ROOM, 0, 10, 99000, 10, false,
	  " of 99000 headers are kept" },
	{ "large key", ROOM, 2 * 1024 * 1024, 10, 1, 1, true, " bytes of the key are kept" },
	{ "small room", 256 * 1024, 10, 1024 * 1024, 1, 10, true, "operation.lease: bad\"" },
};

/* Key, value and headers as they go to Kafka: a length up to 63 takes a byte. */
static size_t
size_of(const struct event *ev)
{
	size_t size = ev->key.len + ev->value.len, cursor = 0;
	struct event_header h;

	while (event_header_next(ev, &cursor, &h))
		size += h.name.len + h.value.len + (h.value.len < 64 ? 2 : 10);
	return size;
}

static void
check_size(const struct size_row *row, const struct source *src, const struct events *e)
{
	struct event ev = only_event(e);
	struct buf text = BUF_INIT, kept = BUF_INIT;
	char hex[DIGEST_HEX_SIZE];
	struct jtext record;
	int64_t n;

	CHECK(row->name, size_of(&ev) <= row->room);
	/* What is cut is cut no further than it takes. */
	CHECK(row->name, !row->truncated || row->headers > 5 ||
		       size_of(&ev) > row->room - 256 * 1024);
	fixture_print_event(&ev, &text);
	record = fixture_json(text.data);
	CHECK(row->name, (jtext_get(record,
		"valueTruncated").kind == JTEXT_TRUE) == row->truncated);
	CHECK_HAS(row->name, text.data, row->message);
	jtext_decode(jtext_get(record, "value"), &kept, NULL);
	CHECK(row->name, (kept.len < row->value) == row->truncated);
	CHECK(row->name, jtext_int(jtext_get(record, "valueBytes"), &n) && (size_t)n == row->value);
	CHECK(row->name, digest_sha256_hex(src->value, hex));
	CHECK(row->name, jtext_is(jtext_get(record, "valueSha256"), hex));
	buf_release(&text);
	buf_release(&kept);
}

static void
test_sizes(void **state)
{
	const struct size_row *row;

	(void)state;
	EACH(row, size_rows) {
		struct buf bytes = BUF_INIT;
		struct event_header *headers = calloc(row->headers, sizeof(*headers));
		struct source src = { .topic = "t", .headers = headers, .n_headers = row->headers };
		struct events e = EVENTS_INIT;

		assert_non_null(headers);
		assert_true(buf_reserve(&bytes, 3 * 1024 * 1024));
		memset(bytes.data, 'x', 3 * 1024 * 1024);
		for (size_t i = 0; i < row->headers; i++)
			headers[i] = (struct event_header){ SPAN_LIT("h"),
							    { bytes.data, row->header_value } };
		src.key = (struct span){ bytes.data, row->key };
		src.value = (struct span){ bytes.data, row->value };
		build(row->room, &src, &invalid, NULL, &e);
		check_size(row, &src, &e);
		events_release(&e);
		buf_release(&bytes);
		free(headers);
	}
}

static int fail_at;

static void *
failing_realloc(void *ptr, size_t size)
{
	return fail_at-- == 0 ? NULL : realloc(ptr, size);
}

static void
test_out_of_memory(void **state)
{
	const struct event_header header = { SPAN_LIT("a"), SPAN_LIT("1") };
	const struct source src = { .topic = "t", .value = SPAN_LIT("v"), .headers = &header,
				    .n_headers = 1 };
	struct events e = EVENTS_INIT;
	int n, ret = -1;

	(void)state;
	fixture_schemas();
	for (n = 0; ret < 0 && n < 100; n++) {
		fail_at = n;
		alloc_replace(failing_realloc);
		ret = deadletter_build(fixture_schemas(), "i", ROOM, &src, &invalid, NULL, &e);
		alloc_replace(NULL);
	}
	assert_int_equal(ret, 0);
	assert_true(n > 10);
	events_release(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_letter_to_the_byte),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_redrive_count),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
