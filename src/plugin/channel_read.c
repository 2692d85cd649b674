/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DESIGN
 *
 * A line of 1 MiB and more is parsed on a thread. Nothing is read meanwhile:
 * so lines stay in order, and one worker has one such line in memory.
 */
#include "channel_impl.h"

#include <stdlib.h>

static void
on_response(struct channel *c, const struct rpc_message *m, struct rpc_answer *answer)
{
	struct imap_node *node = NULL;
	struct channel_pending *call;
	int64_t id;

	if (jtext_int(m->id, &id) && id > 0)
		node = imap_find(&c->calls, (uint64_t)id);
	if (!node) {
		c->ev.on_bad(c->ev.arg, "a response to an unknown request");
		return;
	}
	call = CONTAINER_OF(node, struct channel_pending, node);
	answer->method = call->method;
	channel_end_call(c, call, answer);
}

static void
dispatch(struct channel *c, const struct rpc_message *m, struct rpc_answer *answer)
{
	switch (m->kind) {
	case RPC_RESPONSE:
		on_response(c, m, answer);
		break;
	case RPC_REQUEST:
		c->ev.on_request(c->ev.arg, m);
		break;
	case RPC_NOTIFICATION:
		c->ev.on_notification(c->ev.arg, m);
		break;
	case RPC_GARBAGE:
		c->ev.on_bad(c->ev.arg, m->why);
		break;
	}
}

static void feed(struct channel *c, struct span bytes);

static void
on_parsed(void *arg)
{
	struct channel *c = arg;
	struct parse_job *l = c->parsing;
	struct span rest = c->rest;

	c->parsing = NULL;
	if (!c->ended) {
		l->answer.repaired = l->repaired;
		l->answer.memory = &l->memory;
		dispatch(c, &l->message, &l->answer);
	}
	parse_job_free(l);
	if (c->ended || c->closing)
		return;
	feed(c, rest);
	if (!c->parsing && !c->ended && !c->closing && channel_read_start(c) < 0) {
		c->ended = true;
		channel_broken(c);
	}
}

/* True when a thread looks at the line. */
static bool
set_off(struct channel *c, struct span line, bool repaired)
{
	struct parse_job *l;
	char *memory;

	if (line.len < PARSE_JOB_MIN || c->ended)
		return false;
	l = parse_job_new();
	memory = l ? frame_take(c->frame) : NULL;
	if (!memory) {
		parse_job_free(l);
		return false;
	}
	l->repaired = repaired;
	c->parsing = l;
	parse_job_start(l, c->in.loop, memory, line, on_parsed, c);
	return true;
}

void
channel_on_line(void *arg, struct span line, bool repaired)
{
	struct channel *c = arg;
	struct rpc_answer answer = { .end = RPC_RESULT };
	struct rpc_message m;

	if (c->closing || set_off(c, line, repaired))
		return;
	rpc_parse(line, &m);
	if (m.kind == RPC_RESPONSE)
		rpc_read_answer(&m, /* method= */ NULL, &answer);
	answer.repaired = repaired;
	dispatch(c, &m, &answer);
}

void
channel_on_dropped(void *arg)
{
	struct channel *c = arg;

	c->ev.on_bad(c->ev.arg, "longer than plugin.line.max.bytes: dropped");
}

/* What comes behind a line that is being parsed waits, and so does the pipe. */
static void
feed(struct channel *c, struct span bytes)
{
	size_t used = frame_feed(c->frame, bytes.ptr, bytes.len);

	if (!c->parsing)
		return;
	c->rest = (struct span){ bytes.ptr + used, bytes.len - used };
	if (!c->closing)
		uv_read_stop((uv_stream_t *)&c->in);
}

static void
on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct channel *c = h->data;

	(void)hint;
	*ret = uv_buf_init(c->read_buf, CHANNEL_READ_SIZE);
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *data)
{
	struct channel *c = s->data;

	if (n > 0) {
		c->reads++;
		feed(c, (struct span){ data->base, (size_t)n });
		return;
	}
	if (n == 0)
		return;
	uv_read_stop(s);
	c->ended = true;
	channel_broken(c);
}

int
channel_read_start(struct channel *c)
{
	return uv_read_start((uv_stream_t *)&c->in, on_alloc, on_read);
}
