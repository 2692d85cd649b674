/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registry/heartbeat.h"
#include "registry/process.h"

/* The record itself is tested on a real Redis (tests/integration). */

enum { LOOKS = 8 };

static const struct beat_row {
	const char *name;
	struct { int64_t asked, answered; const char *incarnation, *count; } looks[LOOKS];
	int64_t still;
	bool moved;
} beat_rows[] = {
	{ "nothing seen", { { 0, 0, NULL, NULL } }, 0, false },
	{ "seen once", { { 100, 110, "a", "1" } }, 0, false },
	{ "still: from the first answer to the last question",
	  { { 100, 110, "a", "1" }, { 1100, 1150, "a", "1" }, { 2100, 2900, "a", "1" } },
	  1990, false },
	{ "moves",
	  { { 100, 110, "a", "1" }, { 1100, 1110, "a", "2" }, { 2100, 2110, "a", "3" } }, 0, true },
	{ "stops after it moved",
	  { { 100, 110, "a", "1" }, { 1100, 1110, "a", "2" }, { 2100, 2110, "a", "2" } },
	  990, true },
	{ "another incarnation with the same count",
	  { { 100, 110, "a", "1" }, { 1100, 1110, "b", "1" } }, 0, false },
	{ "absent stands still",
	  { { 100, 110, NULL, NULL }, { 1100, 1110, NULL, NULL } }, 990, false },
	{ "vanishes: counts anew",
	  { { 100, 110, "a", "1" }, { 1100, 1110, NULL, NULL }, { 2100, 2110, NULL, NULL } },
	  990, false },
	{ "appears", { { 100, 110, NULL, NULL }, { 1100, 1110, "a", "1" } }, 0, false },
	{ "Redis stood still: a late answer proves nothing",
	  { { 100, 110, "a", "1" }, { 1100, 1110, "a", "1" }, { 2100, 9000, "a", "1" },
	    { 9100, 9110, "a", "1" } }, 100, false },
	{ "we stood still: an old answer read late proves nothing",
	  { { 1000, 1010, "a", "1" }, { 2000, 30000, "a", "1" } }, 0, false },
	{ "no look for a while: counts anew",
	  { { 100, 110, "a", "1" }, { 3200, 3210, "a", "1" } }, 0, false },
	{ "just in time",
	  { { 100, 110, "a", "1" }, { 3100, 3110, "a", "1" } }, 2990, false },
	{ "a gap hides whether it moved",
	  { { 100, 110, "a", "1" }, { 9100, 9110, "a", "5" } }, 0, false },
};

static void
test_beat(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(beat_rows) / sizeof(*beat_rows); i++) {
		const struct beat_row *r = &beat_rows[i];
		struct heartbeat b = HEARTBEAT_INIT;

		for (size_t k = 0; k < LOOKS && r->looks[k].answered; k++)
			heartbeat_see(&b, r->looks[k].asked, r->looks[k].answered,
				 span_of(r->looks[k].incarnation), span_of(r->looks[k].count));
		if (heartbeat_still_ms(&b) != r->still || heartbeat_moved(&b) != r->moved)
			fail_msg("%s: still %lld, moved %d", r->name,
				 (long long)heartbeat_still_ms(&b), heartbeat_moved(&b));
	}
}

static void
test_beat_long(void **state)
{
	struct heartbeat b = HEARTBEAT_INIT;
	char text[500];
	const struct span endless = { text, sizeof(text) };

	(void)state;
	memset(text, 'x', sizeof(text));
	heartbeat_see(&b, 1, 2, endless, endless);
	heartbeat_see(&b, 10, 11, endless, endless);
	assert_int_equal(heartbeat_still_ms(&b), 8);
}

#define TO_START " 1 4242 4242 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 "

static const struct stat_row {
	const char *name, *text;
	bool ok;
	int pid;
	char state;
	uint64_t start;
} stat_rows[] = {
	{ "plain", "4242 (envdriver) S" TO_START "98765 1 2\n", true, 4242, 'S', 98765 },
	{ "name with a space", "7 (a b) R" TO_START "5 1", true, 7, 'R', 5 },
	{ "name with parentheses", "7 (a) S) (b)) Z" TO_START "5 1", true, 7, 'Z', 5 },
	{ "start at the end", "7 (a) S" TO_START "5", true, 7, 'S', 5 },
	{ "empty", "", false, 0, 0, 0 },
	{ "no name", "7 S 1", false, 0, 0, 0 },
	{ "no pid", "(a) S" TO_START "5", false, 0, 0, 0 },
	{ "cut off", "7 (a) S 1 2", false, 0, 0, 0 },
	{ "cut off behind the name", "7 (a)", false, 0, 0, 0 },
	{ "cut off before the start", "7 (a) S" TO_START, false, 0, 0, 0 },
	{ "start no number", "7 (a) S" TO_START "x", false, 0, 0, 0 },
};

static void
test_stat(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stat_rows) / sizeof(*stat_rows); i++) {
		const struct stat_row *r = &stat_rows[i];
		uint64_t start = 0;
		char st = 0;
		int pid = 0;
		bool ok = process_parse_stat(span_of(r->text), &pid, &st, &start);

		if (ok != r->ok || (ok && (pid != r->pid || st != r->state || start != r->start)))
			fail_msg("%s: %d: pid %d, state %c, start %llu", r->name, ok, pid, st,
				 (unsigned long long)start);
	}
}

static void
test_gone(void **state)
{
	struct process self, other, child;
	pid_t pid;

	(void)state;
	process_self(&self);
	assert_int_equal(self.pid, getpid());
	assert_true(self.start > 0);
	assert_true(self.boot_id[0] != '\0' && self.pid_namespace[0] != '\0');
	assert_false(process_gone(&self, &self));
	other = self;
	other.start++;
	assert_true(process_gone(&self, &other));
	other.boot_id[0] ^= 1;
	assert_false(process_gone(&self, &other));
	other = self;
	other.start++;
	other.pid_namespace[5] ^= 1;
	assert_false(process_gone(&self, &other));
	other = self;
	other.start = 0;
	assert_false(process_gone(&self, &other));
	other.pid = 0;
	assert_false(process_gone(&self, &other));
	other.pid = -1;
	assert_false(process_gone(&self, &other));

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	child = self;
	child.pid = (int)pid;
	child.start = 0;
	assert_false(process_gone(&self, &child));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(process_gone(&self, &child));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beat),
		cmocka_unit_test(test_beat_long),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
