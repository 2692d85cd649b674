/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "channel_rig.h"
#include "rpc/parse_job.h"

enum { LONG = CHANNEL_LINE_MAX - 100 };

/* An answer to call 1 that a thread parses, and what comes right behind it. */
static void
say_long(struct channel_rig *b, const char *behind)
{
	struct buf line = BUF_INIT;

	buf_addf(&line, V ",\"id\":1,\"error\":{\"message\":\"%0*d\"}}\n%s", LONG, 7, behind);
	for (size_t at = 0; at < line.len;) {
		size_t n = line.len - at < 4096 ? line.len - at : 4096;

		assert_int_equal(write(b->to, line.data + at, n), n);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		at += n;
	}
	buf_release(&line);
}

/* Lines stay in order, and what follows waits: also the end of the stream. */
static void
test_long_line(void **state)
{
	struct test_call c[2] = { 0 };
	struct channel_rig b;

	(void)state;
	for (int closed = 0; closed < 2; closed++) {
		channel_rig_begin(&b, 1 << 20);
		assert_int_equal(channel_rig_call(&b, &c[0], "m", 10000, NULL), 0);
		assert_int_equal(channel_rig_call(&b, &c[1], "n", 10000, NULL), 0);
		say_long(&b, V ",\"id\":2,\"result\":2}\n" V ",\"method\":\"log\"}\n");
		if (closed) {
			close(b.to);
			b.to = -1;
		}
		for (int i = 0; i < 5000 && c[1].rpc.pending; i++) {
			uv_run(&b.loop, UV_RUN_NOWAIT);
			usleep(1000);
		}
		channel_rig_turn(&b);
		assert_false(channel_parsing(b.channel));
		assert_memory_equal(b.out.data, "end m error \"", 13);
		assert_true(b.out.len > LONG);
		assert_string_equal(b.out.data + 14 + LONG,
				    closed ? ";end n result 2;notification \"log\";ended;"
					   : ";end n result 2;notification \"log\";");
		buf_reset(&b.out);
		channel_rig_end(&b);
	}
}

/* Nobody is told, and nothing is left. */
static void
test_closed_while_parsing(void **state)
{
	struct test_call c = { 0 };
	struct channel_rig b;

	(void)state;
	channel_rig_begin(&b, 1 << 20);
	assert_int_equal(channel_rig_call(&b, &c, "m", 10000, NULL), 0);
	say_long(&b, "");
	for (int i = 0; i < 100 && !channel_parsing(b.channel) && c.rpc.pending; i++)
		uv_run(&b.loop, UV_RUN_NOWAIT);
	channel_cancel(b.channel, &c.rpc);
	buf_reset(&b.out);
	channel_rig_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_closed_while_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
