/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "engine/entry.h"
#include "engine/scheduler.h"

enum { MAX = 6 };

/* What is done to entries a to f, and which are runnable in the end. "+a:k"
 * adds a under key k ("+a" without one), "!a" ends it, "-a" removes it,
 * "a>f" lets f stand in for a. The runnable ones were pushed in that order. */
static const struct row {
	const char *name;
	const char *steps[10];
	const char *runnable;
} rows[] = {
	{ "no key: all side by side", { "+a", "+b", "+c" }, "abc" },
	{ "one key: only the first", { "+a:k", "+b:k", "+c:k" }, "a" },
	{ "two keys side by side", { "+a:k", "+b:l", "+c:k" }, "ab" },
	{ "the next after the end", { "+a:k", "+b:k", "+c:k", "!a" }, "b" },
	{ "and the one after that", { "+a:k", "+b:k", "+c:k", "!a", "!b" }, "c" },
	{ "a key used again", { "+a:k", "!a", "+b:k" }, "b" },
	{ "empty key text is a key", { "+a:", "+b:" }, "a" },
	{ "removed in the middle", { "+a:k", "+b:k", "+c:k", "-b", "!a" }, "c" },
	{ "removed at the head runs nothing", { "+a:k", "+b:k", "-a" }, "" },
	{ "removed at the tail", { "+a:k", "+b:k", "-b", "!a", "+c:k" }, "c" },
	{ "stand-in keeps the place", { "+a:k", "+b:k", "a>f", "!f" }, "b" },
	{ "stand-in that is also the tail", { "+a:k", "a>f", "+b:k", "!f" }, "b" },
	{ "end of an entry without key", { "+a", "+b:k", "!a" }, "b" },
};

static void
step(struct scheduler *s, struct entry *e, const char *text)
{
	struct entry *who = &e[(text[0] >= 'a' ? text[0] : text[1]) - 'a'];

	switch (text[0]) {
	case '+':
		assert_true(scheduler_add(s, who,
					  text[2] == ':' ? span_of(text + 3) : SPAN_NULL));
		break;
	case '!':
		entry_list_remove(who);
		scheduler_done(s, who);
		break;
	case '-':
		entry_list_remove(who);
		scheduler_remove(s, who);
		break;
	default:
		entry_list_remove(who);
		scheduler_replace(s, who, &e[text[2] - 'a']);
		break;
	}
}

static void
run_row(const struct row *row)
{
	struct entry entries[MAX];
	struct entry_list runnable;
	struct scheduler *s = scheduler_new(&runnable);
	char got[MAX + 1] = "";
	size_t n = 0;

	entry_list_init(&runnable);
	memset(entries, 0, sizeof(entries));
	assert_non_null(s);
	for (size_t i = 0; row->steps[i]; i++)
		step(s, entries, row->steps[i]);
	for (struct entry *e = entry_list_first(&runnable); e; e = entry_list_next(e))
		got[n++] = (char)('a' + (e - entries));
	if (strcmp(got, row->runnable) != 0)
		fail_msg("%s: runnable are \"%s\", not \"%s\"", row->name, got, row->runnable);
	for (size_t i = 0; i < MAX; i++)
		scheduler_remove(s, &entries[i]);
	scheduler_free(s);
}

static void
keys_are_kept_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

static const struct longest_row {
	const char *name;
	const char *steps[10];
	const char *key;	/* NULL: none */
	size_t behind;
} longest_rows[] = {
	{ "nothing", { NULL }, NULL, 0 },
	{ "nothing behind any", { "+a:k", "+b:l", "+c" }, NULL, 0 },
	{ "one behind", { "+a:k", "+b:l", "+c:l" }, "l", 1 },
	{ "more behind another", { "+a:k", "+b:l", "+c:l", "+d:k", "+e:k" }, "k", 2 },
	{ "the first one ends", { "+a:k", "+b:k", "+c:k", "!a" }, "k", 1 },
	{ "one behind goes", { "+a:k", "+b:k", "+c:k", "-c", "+d:l" }, "k", 1 },
	{ "stand-in", { "+a:k", "+b:k", "a>f" }, "k", 1 },
};

static void
longest_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(longest_rows) / sizeof(longest_rows[0]); i++) {
		const struct longest_row *row = &longest_rows[i];
		struct entry entries[MAX];
		struct entry_list runnable;
		struct scheduler *s = scheduler_new(&runnable);
		size_t behind = 99;
		struct span key;

		entry_list_init(&runnable);
		memset(entries, 0, sizeof(entries));
		assert_non_null(s);
		for (size_t k = 0; row->steps[k]; k++)
			step(s, entries, row->steps[k]);
		key = scheduler_longest(s, &behind);
		if (behind != row->behind || !key.ptr != !row->key ||
		    (row->key && !span_is(key, row->key)))
			fail_msg("%s: %zu behind \"%.*s\"", row->name, behind, SPAN_FMT(key));
		for (size_t k = 0; k < MAX; k++)
			scheduler_remove(s, &entries[k]);
		scheduler_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_kept_in_order),
		cmocka_unit_test(longest_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
