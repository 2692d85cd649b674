/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/err.h"
#include "envdriver/result/stored_answer.h"
#include "fixture_result.h"

static struct command *probe, *execute;
static struct events answer = EVENTS_INIT, large = EVENTS_INIT, failed = EVENTS_INIT;

static void
make_answers(struct result_ctx *ctx)
{
	struct outcome o = OUTCOME_INIT;
	struct buf text = BUF_INIT;
	struct rpc_answer a = fixture_answer(probe, fixture_json("{\"ok\":true}"));

	assert_int_equal(result_answered(ctx, probe, &chosen, &called, &a, &answer, NULL), 0);
	buf_adds(&text, "{\"exitCode\":0,\"timedOut\":false,\"stderr\":\"\",\"stdout\":\"");
	for (int i = 0; i < 300 * 1024; i++)
		buf_addch(&text, 'x');
	buf_adds(&text, "\"}");
	a = fixture_answer(execute, fixture_json(text.data));
	assert_int_equal(result_answered(ctx, execute, &chosen, &called, &a, &large, NULL), 0);
	assert_int_equal(large.count, 2);
	outcome_fail(&o, CODE_EXPIRED, "too late");
	assert_int_equal(result_failed(ctx, probe, &chosen, &not_called, &o, &failed), 0);
	outcome_release(&o);
	buf_release(&text);
}

/* What a forger changes, and what is said. */
static const struct check_row {
	const char *name;
	struct events *events;
	struct command **command;
	const char *id;			/* NULL: the command's own */
	int64_t offset;
	const char *token;
	const char *error;		/* NULL: it is taken */
} rows[] = {
	{ "a result", &answer, &probe, NULL, 17, "inc.1", NULL },
	{ "large output", &large, &execute, NULL, 17, "inc.1", NULL },
	{ "no call was made", &failed, &probe, NULL, 0, "inc.9", NULL },
	{ "another command", &answer, &probe, "other", 17, "inc.1", "it is of another command" },
	{ "another record", &answer, &probe, NULL, 18, "inc.1", "it is of another record" },
	{ "another call", &answer, &probe, NULL, 17, "inc.2", "it is of another call" },
	{ "another operation", &answer, &execute, NULL, 17, "inc.1",
	  "it is for topic 'probe-results' in place of 'execution-results'" },
	{ "output of another call", &large, &execute, NULL, 17, "inc.2", "it is of another call" },
};

static int
check(const struct check_row *row, const struct events *events, struct err *err)
{
	struct command command = **row->command;
	const struct stored_answer of = {
		.command = &command,
		.topic = SPAN_LIT("environment.commands"),
		.partition = row->offset ? 3 : 0,
		.offset = row->offset,
		.token = span_of(row->token),
	};

	if (row->id)
		command.id = span_of(row->id);
	return stored_answer_check(&of, fixture_schemas(), events, err);
}

static void
test_answers(void **state)
{
	const struct check_row *row;

	(void)state;
	EACH(row, rows) {
		struct err err = { 0 };
		int ret = check(row, row->events, &err);

		if (ret != (row->error ? ERR_INVALID : 0) ||
		    (row->error && strcmp(err.text, row->error) != 0))
			fail_msg("%s: %d '%s'", row->name, ret, err.text);
	}
}

static const struct event_header said[] = { { SPAN_LIT("status"), SPAN_LIT("FAILED") } };

/* Sets of events that no worker writes. */
static const struct forged_row {
	const char *name;
	enum topic topic;
	size_t headers;
	int events;
	bool nonsense;		/* in place of the true result's bytes */
	const char *error;
} forged_rows[] = {
	{ "nothing", TOPIC_COUNT, 0, 0, false, "it holds no event" },
	{ "for the command topic", TOPIC_COMMANDS, 1, 1, false,
	  "it is for topic 'commands' in place of 'probe-results'" },
	{ "bytes of no schema", TOPIC_PROBE_RESULTS, 1, 1, true,
	  "the value does not start with c3 01" },
	{ "two results", TOPIC_PROBE_RESULTS, 1, 2, false,
	  "it is for topic 'probe-results' in place of 'execution-logs'" },
	{ "no status", TOPIC_PROBE_RESULTS, 0, 1, false, "it has no status" },
	{ "another status", TOPIC_PROBE_RESULTS, 1, 1, false, "it is of another status" },
};

static void
test_forged(void **state)
{
	const struct forged_row *row;
	struct event real = fixture_event_at(&answer, 0);

	(void)state;
	EACH(row, forged_rows) {
		struct events e = EVENTS_INIT;
		struct err err = { 0 };

		for (int i = 0; i < row->events; i++)
			assert_true(events_add(&e, row->topic, real.key, said, row->headers,
					       row->nonsense ? SPAN_LIT("nonsense") : real.value));
		if (check(&rows[0], &e, &err) != ERR_INVALID || strcmp(err.text, row->error) != 0)
			fail_msg("%s: '%s'", row->name, err.text);
		events_release(&e);
	}
}

static int
set_up(void **state)
{
	struct result_ctx *ctx = fixture_ctx(wide);

	(void)state;
	probe = fixture_command(PROBE);
	execute = fixture_command(EXECUTE);
	make_answers(ctx);
	result_ctx_free(ctx);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	events_release(&answer);
	events_release(&large);
	events_release(&failed);
	command_free(probe);
	command_free(execute);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(all, set_up, tear_down);
}
