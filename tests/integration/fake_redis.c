/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_redis.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
answer(struct fake_peer *p, const char *data, size_t len)
{
	uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	while (len) {
		int n = uv_try_write((uv_stream_t *)&p->pipe, &bytes, 1);

		if (n < 0 && n != UV_EAGAIN)
			return;
		if (n < 0)
			return;	/* full: enough was said */
		bytes.base += n;
		bytes.len -= (size_t)n;
		len -= (size_t)n;
	}
}

static void
serve(struct fake_peer *p, const redisReply *c)
{
	const char *name = c->elements ? c->element[0]->str : "";
	const char *sub = c->elements > 1 ? c->element[1]->str : "";
	struct fake_redis *f = p->server;
	char text[1000];

	if (strcmp(name, "INFO") == 0) {
		snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(f->info), f->info);
		answer(p, text, strlen(text));
	} else if (strcmp(name, "CLIENT") == 0 && strcmp(sub, "ID") == 0) {
		answer(p, f->id, strlen(f->id));
	} else if (strcmp(name, "SCRIPT") == 0) {
		answer(p, f->sha, strlen(f->sha));
	} else if (strcmp(name, "SUBSCRIBE") == 0) {
		snprintf(text, sizeof(text), "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:1\r\n",
			 strlen(sub), sub);
		answer(p, text, strlen(text));
	} else if (strcmp(name, "GET") == 0) {
		answer(p, f->hostile.data, f->hostile.len);
	} else {
		answer(p, "+OK\r\n", 5);
	}
	if (strcmp(name, "GET") == 0 || strcmp(sub, "KILL") == 0) {
		strcat(strcat(strcat(f->said, name), " "), sub);
		if (c->elements > 3)
			strcat(strcat(f->said, " "), c->element[3]->str);
		strcat(f->said, ";");
	}
}

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *ret)
{
	static char bytes[65536];

	(void)h;
	(void)size;
	*ret = uv_buf_init(bytes, sizeof(bytes));
}

static void
on_peer_closed(uv_handle_t *h)
{
	struct fake_peer *p = h->data;

	redisReaderFree(p->reader);
	p->open = false;
}

static void
hang_up(struct fake_peer *p)
{
	if (p->open && !uv_is_closing((uv_handle_t *)&p->pipe))
		uv_close((uv_handle_t *)&p->pipe, on_peer_closed);
}

static void
on_bytes(uv_stream_t *s, ssize_t n, const uv_buf_t *bytes)
{
	struct fake_peer *p = s->data;
	void *command = NULL;

	if (n < 0) {
		hang_up(p);
		return;
	}
	redisReaderFeed(p->reader, bytes->base, (size_t)n);
	while (redisReaderGetReply(p->reader, &command) == REDIS_OK && command) {
		serve(p, command);
		freeReplyObject(command);
	}
}

static void
on_peer(uv_stream_t *listener, int status)
{
	struct fake_redis *f = listener->data;
	struct fake_peer *p = &f->peers[f->n_peers++];

	assert_int_equal(status, 0);
	assert_true(f->n_peers < FAKE_REDIS_PEERS);
	uv_pipe_init(f->loop, &p->pipe, 0);
	p->server = f;
	p->pipe.data = p;
	p->reader = redisReaderCreate();
	p->open = true;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->pipe), 0);
	uv_read_start((uv_stream_t *)&p->pipe, on_alloc, on_bytes);
}

void
fake_redis_hang_up(struct fake_redis *f)
{
	for (size_t i = 0; i < f->n_peers; i++)
		hang_up(&f->peers[i]);
}

void
fake_redis_open(struct fake_redis *f, uv_loop_t *loop)
{
	memset(f, 0, sizeof(*f));
	f->loop = loop;
	f->info = FAKE_REDIS_INFO;
	f->id = FAKE_REDIS_ID;
	f->sha = FAKE_REDIS_SHA;
	snprintf(f->folder, sizeof(f->folder), "/tmp/envdriver-fake-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
	uv_pipe_init(loop, &f->listener, 0);
	f->listener.data = f;
	assert_int_equal(uv_pipe_bind(&f->listener, f->path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 10, on_peer), 0);
}

void
fake_redis_close(struct fake_redis *f)
{
	fake_redis_hang_up(f);
	uv_close((uv_handle_t *)&f->listener, NULL);
}

void
fake_redis_release(struct fake_redis *f)
{
	buf_release(&f->hostile);
	unlink(f->path);
	rmdir(f->folder);
}
