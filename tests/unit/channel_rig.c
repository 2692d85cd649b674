/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_rig.h"

#include "envdriver/secret/mask.h"

static void
add_answer(struct channel_rig *b, const char *tag, const struct rpc_answer *a)
{
	static const char *const ends[] = { "result", "error", "bad", "timeout", "died", "unsent" };

	buf_addf(&b->out, "%s %s %s %.*s%.*s%s;", tag, a->method, ends[a->end],
		 SPAN_FMT(a->result.raw), SPAN_FMT(a->message.raw), a->text ? a->text : "");
}

static void
on_end(struct channel_pending *rpc, const struct rpc_answer *a)
{
	struct test_call *c = CONTAINER_OF(rpc, struct test_call, rpc);

	add_answer(c->b, "end", a);
	if (c->drop_in_end)
		channel_cancel(c->b->channel, rpc);
}

static void
on_late(struct channel_pending *rpc, const struct rpc_answer *a)
{
	add_answer(CONTAINER_OF(rpc, struct test_call, rpc)->b, "late", a);
}

static void
on_request(void *arg, const struct rpc_message *m)
{
	struct channel_rig *b = arg;
	struct buf line = BUF_INIT;

	buf_addf(&b->out, "request %.*s;", SPAN_FMT(m->method.raw));
	rpc_add_result(&line, m->id, SPAN_LIT("null"));
	assert_true(channel_write(b->channel, buf_span(&line)));
	buf_release(&line);
}

static void
on_notification(void *arg, const struct rpc_message *m)
{
	struct channel_rig *b = arg;

	buf_addf(&b->out, "notification %.*s;", SPAN_FMT(m->method.raw));
}

static void
on_bad(void *arg, const char *why, struct span line)
{
	struct channel_rig *b = arg;

	(void)line;
	buf_addf(&b->out, "bad %s;", why);
}

static void
on_broken(void *arg)
{
	struct channel_rig *b = arg;

	buf_adds(&b->out, channel_ended(b->channel) ? "ended;" : "broken;");
}

void
channel_rig_begin(struct channel_rig *b, size_t queue_max)
{
	struct mask *mask = mask_new();
	struct channel_limits limits = { CHANNEL_LINE_MAX, queue_max, mask };
	struct channel_events ev = { on_request, on_notification, on_bad, on_broken, b };
	int down[2], up[2];

	*b = (struct channel_rig){ .next_id = 1, .mask = mask };
	assert_int_equal(uv_loop_init(&b->loop), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	b->from = down[0];
	b->to = up[1];
	fcntl(b->from, F_SETFL, O_NONBLOCK);
	b->channel = channel_new(&b->loop, down[1], up[0], &b->next_id, &limits, &ev, NULL);
	assert_non_null(b->channel);
}

void
channel_rig_end(struct channel_rig *b)
{
	channel_close(b->channel);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	mask_free(b->mask);
	close(b->from);
	if (b->to >= 0)
		close(b->to);
	buf_release(&b->out);
}

void
channel_rig_turn(struct channel_rig *b)
{
	for (int i = 0; i < 4; i++)
		uv_run(&b->loop, UV_RUN_NOWAIT);
}

int
channel_rig_call(struct channel_rig *b, struct test_call *c, const char *method, int64_t timeout,
	struct err *reterr)
{
	struct channel_request r = { .params = SPAN_LIT("{}") };

	*c = (struct test_call){ .b = b, .drop_in_end = c->drop_in_end };
	c->rpc.method = method;
	c->rpc.timeout_ms = timeout;
	c->rpc.on_end = on_end;
	c->rpc.on_late = on_late;
	return channel_send(b->channel, &c->rpc, &r, reterr);
}

void
channel_rig_say(struct channel_rig *b, const char *text)
{
	assert_int_equal(write(b->to, text, strlen(text)), strlen(text));
	channel_rig_turn(b);
}

void
channel_rig_expect(struct channel_rig *b, const char *name, const char *out)
{
	if (strcmp(b->out.data ? b->out.data : "", out) != 0)
		fail_msg("%s: %s", name, b->out.data);
	buf_reset(&b->out);
}
