/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "envdriver/kafka/event.h"
#include "alloc_rig.h"

static void
test_topics(void **state)
{
	(void)state;
	for (int t = 0; t < TOPIC_COUNT; t++) {
		const char *name = topic_name((enum topic)t);

		CHECK(name, topic_find(span_of(name)) == (enum topic)t);
		CHECK(name, strlen(topic_record((enum topic)t)) > 0);
	}
	assert_string_equal(topic_record(TOPIC_DRIVER_RESULTS), "DriverListResult");
	assert_int_equal(topic_find(SPAN_LIT("probe-result")), TOPIC_COUNT);
	assert_int_equal(topic_find(SPAN_NULL), TOPIC_COUNT);
}

/* The events as text: "topic key [name=value …] value;" with - for null. */
static void
print(const struct events *e, struct buf *out)
{
	struct event ev;
	struct event_header h;

	for (size_t at = 0; events_next(e, &at, &ev);) {
		buf_addf(out, "%s ", topic_name(ev.topic));
		buf_addspan(out, ev.key.ptr ? ev.key : SPAN_LIT("-"));
		buf_adds(out, " [");
		for (size_t i = 0; event_header_next(&ev, &i, &h);) {
			buf_addspan(out, h.name);
			buf_addch(out, '=');
			buf_addspan(out, h.value.ptr ? h.value : SPAN_LIT("-"));
			buf_addch(out, ' ');
		}
		buf_adds(out, "] ");
		buf_addspan(out, ev.value);
		buf_addch(out, ';');
	}
}

static void
add_two(struct events *e)
{
	const struct event_header headers[] = {
		{ SPAN_LIT("status"), SPAN_LIT("FAILED") },
		{ SPAN_LIT("nothing"), SPAN_NULL },
		{ SPAN_LIT(""), SPAN_LIT("") },
	};

	assert_true(events_add(e, TOPIC_PROBE_RESULTS, SPAN_LIT("k"), headers, 3, SPAN_LIT("v")));
	assert_true(events_add(e, TOPIC_EXECUTION_LOGS, SPAN_NULL, NULL, 0, SPAN_LIT("")));
}

static void
test_round_trip(void **state)
{
	struct events e = EVENTS_INIT, back = EVENTS_INIT;
	struct buf text = BUF_INIT, again = BUF_INIT;

	(void)state;
	add_two(&e);
	print(&e, &text);
	assert_string_equal(text.data, "probe-results k [status=FAILED nothing=- = ] v;"
				       "execution-logs - [] ;");
	assert_int_equal(events_unpack(&back, events_packed(&e), NULL), 0);
	assert_int_equal(back.count, 2);
	print(&back, &again);
	assert_string_equal(again.data, text.data);
	assert_true(span_eq(events_packed(&back), events_packed(&e)));
	buf_release(&text);
	buf_release(&again);
	events_release(&e);
	events_release(&back);
}

static void
test_none(void **state)
{
	struct events e = EVENTS_INIT, back = EVENTS_INIT;
	struct event ev;
	size_t at = 0;

	(void)state;
	assert_false(events_next(&e, &at, &ev));
	assert_int_equal(events_packed(&e).len, 3);
	assert_int_equal(events_unpack(&back, events_packed(&e), NULL), 0);
	assert_int_equal(back.count, 0);
	assert_false(events_next(&back, &at, &ev));
	add_two(&back);
	events_reset(&back);
	assert_int_equal(back.count, 0);
	assert_false(events_next(&back, &at, &ev));
	add_two(&back);
	assert_int_equal(back.count, 2);
	events_release(&back);
}

/* The sets in the order in which they are committed, one a line. */
static void
print_sets(const struct events *e, struct buf *out)
{
	if (e->before)
		print_sets(e->before, out);
	print(e, out);
	buf_addch(out, '\n');
}

static void
test_sets(void **state)
{
	struct events e = EVENTS_INIT, back = EVENTS_INIT;
	struct buf text = BUF_INIT;

	(void)state;
	assert_true(events_cut(&e) && !e.before);	/* of nothing, nothing */
	assert_true(events_cut_to_last(&e) && !e.before);
	add_two(&e);
	assert_true(events_cut(&e));
	assert_int_equal(e.count, 0);
	add_two(&e);
	add_two(&e);
	assert_true(events_cut_to_last(&e));
	assert_int_equal(e.count, 1);
	assert_true(events_cut_to_last(&e));		/* one stays one */
	print_sets(&e, &text);
	assert_string_equal(text.data,
		"probe-results k [status=FAILED nothing=- = ] v;execution-logs - [] ;\n"
		"probe-results k [status=FAILED nothing=- = ] v;execution-logs - [] ;"
		"probe-results k [status=FAILED nothing=- = ] v;\n"
		"execution-logs - [] ;\n");
	/* Each is a whole answer by itself. */
	assert_int_equal(events_unpack(&back, events_packed(&e), NULL), 0);
	assert_int_equal(back.count, 1);
	assert_int_equal(events_unpack(&back, events_packed(e.before), NULL), 0);
	assert_int_equal(back.count, 3);
	assert_ptr_equal(events_first(&e), e.before->before);
	assert_true(events_memory(&e) > e.packed.cap + e.before->packed.cap);
	events_free_first(&e);
	assert_ptr_equal(events_first(&e), e.before);
	events_free_first(&e);
	assert_ptr_equal(events_first(&e), &e);
	add_two(&e);
	assert_true(events_cut(&e));
	events_reset(&e);
	assert_null(e.before);
	events_release(&e);
	events_release(&back);
	buf_release(&text);
}

#define TOPIC "\x1a" "probe-results"

static const struct row {
	const char *name;
	struct span packed;
	const char *expected;	/* NULL: refused */
} rows[] = {
	{ "one event", SPAN_LIT("v1\x02" TOPIC "\x02\x02k\x00\x02v\x00"), "probe-results k [] v;" },
	{ "null key", SPAN_LIT("v1\x02" TOPIC "\x00\x00\x02v\x00"), "probe-results - [] v;" },
	{ "two in a block", SPAN_LIT("v1\x04" TOPIC "\x00\x00\x02v" TOPIC "\x00\x00\x02w\x00"),
	  "probe-results - [] v;probe-results - [] w;" },
	{ "block with its size", SPAN_LIT("v1\x01\x24" TOPIC "\x00\x00\x02v\x00"),
	  "probe-results - [] v;" },
	{ "headers in one block",
	  SPAN_LIT("v1\x02" TOPIC "\x00\x04\x02" "a\x02\x02x\x02" "b\x00\x00\x02v\x00"),
	  "probe-results - [a=x b=- ] v;" },
	{ "empty", SPAN_LIT(""), NULL },
	{ "null", SPAN_NULL, NULL },
	{ "version alone", SPAN_LIT("v1"), NULL },
	{ "another version", SPAN_LIT("v2\x00"), NULL },
	{ "bytes after the end", SPAN_LIT("v1\x00x"), NULL },
	{ "no end", SPAN_LIT("v1\x02" TOPIC "\x00\x00\x02v"), NULL },
	{ "unknown topic", SPAN_LIT("v1\x02\x02x\x00\x00\x02v\x00"), NULL },
	{ "topic longer than all", SPAN_LIT("v1\x02\xfe\xff\xff\xff\x0fx"), NULL },
	{ "negative length", SPAN_LIT("v1\x02" TOPIC "\x00\x00\x01\x00"), NULL },
	{ "length 2^63-1",
	  SPAN_LIT("v1\x02" TOPIC "\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	  NULL },
	{ "union branch 2", SPAN_LIT("v1\x02" TOPIC "\x04\x00\x02v\x00"), NULL },
	{ "union branch -1", SPAN_LIT("v1\x02" TOPIC "\x01\x00\x02v\x00"), NULL },
	{ "count 2^62",
	  SPAN_LIT("v1\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" TOPIC "\x00\x00\x02v\x00"),
	  NULL },
	{ "count -2^63", SPAN_LIT("v1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02" TOPIC), NULL },
	{ "varint of 11 bytes", SPAN_LIT("v1\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), NULL },
	{ "varint over 64 bits", SPAN_LIT("v1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), NULL },
	{ "header count too high",
	  SPAN_LIT("v1\x02" TOPIC "\x00\xfe\xff\x03\x02" "a\x00\x00\x02v\x00"),
	  NULL },
};

static void
test_unpack(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct events e = EVENTS_INIT;
		struct buf text = BUF_INIT;
		struct err err = { 0 };
		int ret = events_unpack(&e, rows[i].packed, &err);

		if (rows[i].expected) {
			print(&e, &text);
			CHECK(rows[i].name, ret == 0 && text.data);
			CHECK(rows[i].name, strcmp(text.data, rows[i].expected) == 0);
		} else {
			CHECK(rows[i].name, ret == ERR_INVALID && err.text[0]);
			CHECK(rows[i].name, e.count == 0);
		}
		buf_release(&text);
		events_release(&e);
	}
}

/* Whatever happens to the bytes of a stored answer: it is refused, or what
 * comes out can be walked and packs to itself. The copy is exact in size, so
 * that the sanitizer sees a read past its end. */
static void
check_damaged(const char *bytes, size_t len)
{
	struct events e = EVENTS_INIT, again = EVENTS_INIT;
	struct buf text = BUF_INIT;
	char *exact = malloc(len ? len : 1);

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	if (events_unpack(&e, (struct span){ exact, len }, NULL) == 0) {
		print(&e, &text);
		assert_int_equal(events_unpack(&again, events_packed(&e), NULL), 0);
		assert_true(span_eq(events_packed(&again), events_packed(&e)));
	}
	buf_release(&text);
	events_release(&e);
	events_release(&again);
	free(exact);
}

static void
test_damaged(void **state)
{
	struct events e = EVENTS_INIT;
	char bytes[256];
	size_t len;

	(void)state;
	add_two(&e);
	len = events_packed(&e).len;
	assert_true(len < sizeof(bytes));
	memcpy(bytes, events_packed(&e).ptr, len);
	for (size_t i = 0; i <= len; i++)
		check_damaged(bytes, i);
	for (size_t i = 0; i < len; i++) {
		for (int v = 0; v < 256; v++) {
			char was = bytes[i];

			bytes[i] = (char)v;
			check_damaged(bytes, len);
			bytes[i] = was;
		}
	}
	events_release(&e);
}

static int allocs_left;

static void *
failing_realloc(void *ptr, size_t size)
{
	return allocs_left-- > 0 ? realloc(ptr, size) : NULL;
}

static void
test_out_of_memory(void **state)
{
	char big[4096];
	struct events e = EVENTS_INIT, full = EVENTS_INIT;
	struct span packed;

	(void)state;
	memset(big, 'x', sizeof(big));
	add_two(&e);
	packed = events_packed(&e);
	alloc_replace(failing_realloc);
	allocs_left = 0;
	assert_false(events_add(&e, TOPIC_COMMANDS, SPAN_NULL, NULL, 0,
				(struct span){ big, sizeof(big) }));
	assert_int_equal(e.count, 2);
	assert_true(span_eq(events_packed(&e), packed));
	assert_int_equal(events_unpack(&full, packed, NULL), ERR_NOMEM);
	assert_int_equal(full.count, 0);
	alloc_replace(NULL);
	assert_true(events_add(&e, TOPIC_COMMANDS, SPAN_NULL, NULL, 0,
			       (struct span){ big, sizeof(big) }));
	assert_int_equal(events_unpack(&full, events_packed(&e), NULL), 0);
	assert_int_equal(full.count, 3);
	events_release(&e);
	events_release(&full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_unpack),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
