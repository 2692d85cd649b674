/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/rpc/deadline.h"
#include "alloc_rig.h"

enum { STEPS = 12, MANY = 2000, NONE = -1 };

/* Deadlines are named by their place in `points`; points[i] is when i is due. */
static const struct row {
	const char *name;
	int64_t points[STEPS];
	int n;
	int removed[STEPS];	/* before they are due; ends with NONE */
	const char *order;	/* in which the others come */
} rows[] = {
	{ "none", { 0 }, 0, { NONE }, "" },
	{ "one", { 7 }, 1, { NONE }, "0" },
	{ "as they were added", { 1, 2, 3, 4 }, 4, { NONE }, "0123" },
	{ "the other way round", { 4, 3, 2, 1 }, 4, { NONE }, "3210" },
	{ "mixed", { 5, 1, 4, 2, 3, 0 }, 6, { NONE }, "513420" },
	{ "negative", { 0, -5, 5 }, 3, { NONE }, "102" },
	{ "far apart", { INT64_MAX, INT64_MIN, 0 }, 3, { NONE }, "120" },
	{ "the first is removed", { 5, 1, 4, 2 }, 4, { 1, NONE }, "320" },
	{ "the last is removed", { 1, 2, 3 }, 3, { 2, NONE }, "01" },
	{ "twice removed", { 1, 2, 3 }, 3, { 1, 1, NONE }, "02" },
	{ "all are removed", { 3, 1, 2 }, 3, { 0, 1, 2, NONE }, "" },
	/* The last one takes the place of what was removed: 6 must rise above 1 there, */
	{ "its successor rises", { 0, 10, 1, 11, 12, 3, 2 }, 7, { 3, NONE }, "026514" },
	/* and here sink below 3 and 4. */
	{ "its successor sinks", { 0, 1, 2, 3, 4, 5, 9 }, 7, { 1, NONE }, "023456" },
};

static void
test_rows(void **state)
{
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct deadlines h = { 0 };
		struct deadline d[STEPS] = { { 0 } }, *first;
		char order[STEPS + 1] = "";
		size_t n = 0;

		for (int i = 0; i < row->n; i++)
			CHECK(row->name, deadline_add(&h, &d[i], row->points[i]));
		for (const int *i = row->removed; *i != NONE; i++)
			deadline_remove(&h, &d[*i]);
		while ((first = deadline_first(&h))) {
			order[n++] = (char)('0' + (first - d));
			deadline_remove(&h, first);
		}
		CHECK_TEXT(row->name, order, row->order);
		deadline_release(&h);
	}
}

/* As many as make the heap grow, added and removed in no order. */
static void
test_many(void **state)
{
	static struct deadline d[MANY];
	struct deadlines h = { 0 };
	struct deadline *first;
	uint32_t dice = 1;
	size_t left = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		dice = dice * 1664525 + 1013904223;
		assert_true(deadline_add(&h, &d[i], dice >> 16));
	}
	for (size_t i = 0; i < MANY; i += 3)
		deadline_remove(&h, &d[i]);
	for (int64_t last = 0; (first = deadline_first(&h)); left++) {
		assert_true(first->at_ms >= last);
		last = first->at_ms;
		deadline_remove(&h, first);
		assert_int_equal(first->position, 0);
	}
	assert_int_equal(left, MANY - (MANY + 2) / 3);
	deadline_release(&h);
}

static void *
no_memory(void *ptr, size_t size)
{
	(void)ptr;
	(void)size;
	return NULL;
}

static void
test_no_memory(void **state)
{
	struct deadlines h = { 0 };
	struct deadline d = { 0 };

	(void)state;
	alloc_replace(no_memory);
	assert_false(deadline_add(&h, &d, 1));
	alloc_replace(NULL);
	assert_null(deadline_first(&h));
	deadline_remove(&h, &d);
	deadline_release(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
