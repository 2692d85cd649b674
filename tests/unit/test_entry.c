/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "engine/entry.h"

/* What each row says is docs/engine.md section 3; scripts/check-tables compares. */

static void
no_row_hides_another(void **state)
{
	const struct entry_row *r;

	(void)state;
	for (size_t i = 0; (r = entry_table(i)); i++)
		if (entry_row(r->state, r->event) != r)
			fail_msg("%s, %s stands twice", entry_state_name(r->state),
				 entry_event_name(r->event));
}

/* While the partition is ours, a revoke always has an answer, and none of
 * them keeps the entry in the window. */
static void
every_owned_state_can_be_revoked(void **state)
{
	(void)state;
	for (int s = ENTRY_READ; s <= ENTRY_SEALED; s++) {
		const struct entry_row *r = entry_row((enum entry_state)s, ON_REVOKED);

		if (!r)
			fail_msg("%s cannot be revoked", entry_state_name((enum entry_state)s));
		assert_true(r->next == ENTRY_GONE || r->next == ENTRY_LEFT ||
			    r->next == ENTRY_HANDING);
	}
}

static bool
ends(enum entry_state s, unsigned seen)
{
	const struct entry_row *r;

	if (s == ENTRY_DONE || s == ENTRY_GONE)
		return true;
	for (size_t i = 0; (r = entry_table(i)); i++)
		if (r->state == s && !(seen & 1U << r->next) &&
		    ends(r->next, seen | 1U << r->next))
			return true;
	return false;
}

static void
every_state_has_an_end(void **state)
{
	(void)state;
	for (int s = 0; s < ENTRY_STATE_COUNT; s++)
		if (!ends((enum entry_state)s, 1U << s))
			fail_msg("%s never ends", entry_state_name((enum entry_state)s));
}

static void
lists_keep_their_order(void **state)
{
	struct entry a = { 0 }, b = { 0 }, c = { 0 };
	struct entry_list l;

	(void)state;
	entry_list_init(&l);
	entry_list_push(&l, &a);
	entry_list_push(&l, &b);
	entry_list_push_front(&l, &c);
	assert_int_equal(l.n, 3);
	entry_list_remove(&a);
	entry_list_remove(&a);
	assert_ptr_equal(entry_list_pop(&l), &c);
	assert_ptr_equal(entry_list_pop(&l), &b);
	assert_null(entry_list_pop(&l));
	assert_int_equal(l.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_row_hides_another),
		cmocka_unit_test(every_owned_state_can_be_revoked),
		cmocka_unit_test(every_state_has_an_end),
		cmocka_unit_test(lists_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
