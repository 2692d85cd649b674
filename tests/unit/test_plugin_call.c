/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "plugin/plugin_calls.h"

/* What can be seen without a worker: calls that are held, expire, are refused
 * or freed. */
struct bench {
	uv_loop_t loop;
	struct plugin_calls *calls;
	struct plugin_calls_due due;
	struct plugin_call *call;
	struct buf out;
	bool free_in_answer;
};

static void
on_answer(void *arg, const struct rpc_answer *a)
{
	static const char *const ends[] = { "result", "error", "bad", "timeout", "died", "unsent" };
	struct bench *b = arg;

	buf_addf(&b->out, "%s: %s", ends[a->end], a->text);
	if (a->why)
		buf_addf(&b->out, " (%s)", a->why);
	buf_addch(&b->out, ';');
	if (b->free_in_answer)
		plugin_call_free(b->call);
}

static void
on_late(void *arg, const struct rpc_answer *a)
{
	struct bench *b = arg;

	buf_adds(&b->out, a->end == RPC_NOT_SENT ? "late: unsent;" : "late: ?;");
}

static void
on_idle(void *arg)
{
	struct bench *b = arg;

	buf_adds(&b->out, "idle;");
}

static void
on_wake(void *arg)
{
	struct bench *b = arg;

	buf_adds(&b->out, "wake;");
}

#define CANNOT_CALL "Cannot call \"probe\" \xe2\x80\x94 worker for \"p1\" is "

static const struct row {
	const char *name;
	const char *steps;	/* h: hold, r: refuse, u: refuse as unknown, d: deliver what is
				 * due, R: refuse what is held, t: wait, f: free */
	bool free_in_answer;
	const char *out;
} rows[] = {
	{ "expires", "ht", false, "timeout: RPC call \"probe\" timed out after 10ms;late: unsent;"
	  "idle;" },
	{ "freed in its answer", "ht", true, "timeout: RPC call \"probe\" timed out after 10ms;"
	  "idle;" },
	{ "freed while held", "hft", true, "idle;" },
	{ "the worker does not come", "hRd", true, "idle;wake;unsent: "
	  CANNOT_CALL
	  "crashed (The worker of plugin \"p1\" is crashed: it broke);" },
	{ "nothing before it is delivered", "r", false, "wake;" },
	{ "refused", "rd", true, "wake;unsent: " CANNOT_CALL
	  "stopped (The worker of plugin \"p1\" is stopped);" },
	{ "delivered once", "rdd", true, "wake;unsent: " CANNOT_CALL
	  "stopped (The worker of plugin \"p1\" is stopped);" },
	{ "no worker", "ud", true, "wake;unsent: No worker registered for plugin \"p1\";" },
	{ "freed while due", "rfd", true, "wake;" },
	{ "left when all ends", "h", false, "" },
};

static const struct supervisor_view stopped = { .id = "p1", .status = WORKER_STOPPED,
					       .reason = "" };
static const struct supervisor_view crashed = { .id = "p1", .status = WORKER_CRASHED,
					       .reason = "it broke" };

static void
do_step(struct bench *b, char step)
{
	switch (step) {
	case 'h':
		plugin_call_hold(b->call, b->calls, SPAN_LIT("{}"));
		break;
	case 'r':
		plugin_call_refuse(b->call, &stopped);
		break;
	case 'u':
		plugin_call_refuse_unknown(b->call, "p1");
		break;
	case 'R':
		plugin_calls_refuse_held(b->calls, &crashed);
		break;
	case 'd':
		plugin_calls_due_deliver(&b->due);
		break;
	case 't':
		uv_run(&b->loop, UV_RUN_DEFAULT);
		break;
	case 'f':
		plugin_call_free(b->call);
		break;
	}
}

static void
test_rows(void **state)
{
	const struct plugin_request r = {
		.plugin_id = "p1", .method = "probe", .params = SPAN_LIT("{}"), .timeout_ms = 10,
	};
	const struct row *row;

	(void)state;
	EACH(row, rows) {
		struct bench b = { .free_in_answer = row->free_in_answer };
		const struct plugin_call_events ev = {
			.on_answer = on_answer, .on_late = on_late, .arg = &b,
		};
		bool freed = row->free_in_answer;

		assert_int_equal(uv_loop_init(&b.loop), 0);
		b.calls = plugin_calls_new(&b.loop, "p1", on_idle, &b);
		plugin_calls_due_init(&b.due, on_wake, &b);
		b.call = plugin_call_new(&r, &ev, &b.due);
		assert_non_null(b.call);
		for (const char *s = row->steps; *s; s++)
			do_step(&b, *s);
		CHECK_TEXT(row->name, buf_span(&b.out).ptr, row->out);
		plugin_calls_due_release(&b.due);
		plugin_calls_free(b.calls);
		if (!freed)
			plugin_call_free(b.call);
		uv_run(&b.loop, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&b.loop), 0);
		buf_release(&b.out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("plugin_call", tests, NULL, NULL);
}
