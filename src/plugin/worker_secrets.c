/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_secrets.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "worker.h"

enum { KEEP_MASKED = 1 << 20 };

struct worker_secrets {
	uv_timer_t timer;
	struct scope *scope;
	struct mask *mask;
	struct buf masked;
};

const struct mask *
worker_secrets_mask(const struct worker_secrets *s)
{
	return s->mask;
}

int
worker_secrets_add(struct worker_secrets *s, const struct mask *values, struct err *reterr)
{
	int ret = mask_add_all(s->mask, values, reterr);

	if (ret == 0)
		ret = mask_compile(s->mask, reterr);
	if (ret < 0)
		err_prefix(reterr, "its secrets could not be masked");
	return ret;
}

/* Live output */

static void
pass_on(struct worker_secrets *s, struct worker_invocation *c, bool is_stderr, struct span text)
{
	if (text.len)
		c->on_chunk(c, is_stderr, text);
	if (s->masked.cap > KEEP_MASKED)
		buf_release(&s->masked);
}

static void
let_go(struct worker_secrets *s, struct worker_invocation *c, bool is_stderr, bool cut)
{
	pass_on(s, c, is_stderr, mask_stream_end(&c->live[is_stderr], mask_forms(s->mask), cut,
						 &s->masked));
}

static void
on_line_held(uv_timer_t *t)
{
	struct worker_secrets *s = t->data;
	struct scope_entry *e;

	LIST_FOREACH(e, &s->scope->calls, link) {
		struct worker_invocation *c = CONTAINER_OF(e, struct worker_invocation, scope);

		for (int i = 0; i < WORKER_STREAMS; i++)
			if (mask_stream_ends_line(&c->live[i]))
				let_go(s, c, i, /* cut= */ false);
	}
}

void
worker_secrets_chunk(struct worker_secrets *s, struct worker_invocation *c, bool is_stderr,
		     struct span piece)
{
	struct mask_stream *live = &c->live[is_stderr];

	pass_on(s, c, is_stderr, mask_stream_add(live, mask_forms(s->mask), piece, &s->masked));
	if (mask_stream_ends_line(live) && !uv_is_active((uv_handle_t *)&s->timer))
		uv_timer_start(&s->timer, on_line_held, MASK_STREAM_WAIT_MS, 0);
}

void
worker_secrets_flush(struct worker_secrets *s, struct worker_invocation *c, bool cut)
{
	for (int i = 0; i < WORKER_STREAMS; i++)
		if (mask_stream_holds(&c->live[i]))
			let_go(s, c, i, cut);
	worker_secrets_release(c);
}

void
worker_secrets_release(struct worker_invocation *c)
{
	for (int i = 0; i < WORKER_STREAMS; i++)
		mask_stream_release(&c->live[i]);
}

/* Life */

struct worker_secrets *
worker_secrets_new(uv_loop_t *loop, struct scope *scope, struct mask *given, struct err *reterr)
{
	struct worker_secrets *s = malloc(sizeof(*s));
	struct mask *mask = given ? mask_share(given) : mask_new();

	if (!s || !mask) {
		err_nomem(reterr);
		free(s);
		mask_free(mask);
		return NULL;
	}
	*s = (struct worker_secrets){ .scope = scope, .mask = mask };
	uv_timer_init(loop, &s->timer);	/* cannot fail */
	s->timer.data = s;
	return s;
}

static void
on_secrets_closed(uv_handle_t *h)
{
	struct worker_secrets *s = h->data;

	buf_release(&s->masked);
	mask_free(s->mask);
	free(s);
}

void
worker_secrets_free(struct worker_secrets *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->timer, on_secrets_closed);
}
