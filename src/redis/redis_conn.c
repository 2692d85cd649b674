/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"

enum { READ_SIZE = 64 * 1024, KEEPALIVE_S = 15, HANDLES = 2, HEAD_MAX = 24 };

struct waiter {
	redis_reply_fn *fn;
	void *arg;
	int64_t sent_ms;
};

struct redis_conn {
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} socket;
	uv_idle_t flusher;	/* runs when there is something to write */
	uv_connect_t connect;
	uv_write_t write;
	struct redis_conn_events ev;

	struct buf out;		/* not given to libuv yet */
	struct buf writing;	/* libuv's until the write is over */
	bool write_busy;

	redisReader *reader;
	redisReplyObjectFunctions functions;	/* the reader's, with our bounds */
#if HIREDIS_MAJOR < 1
	void *(*create_array)(const redisReadTask *, int);
#endif
	bool too_many;
	size_t reply_bytes;	/* of the reply that is not complete yet */
	char in[READ_SIZE];

	struct waiter *waiters;	/* a ring */
	size_t head, n, cap;	/* cap: a power of two */
	int64_t read_ms;	/* when the last byte came */
	int64_t slow_ms;	/* when a reply last came late */

	bool lost, closed;
	int open_handles;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

static int64_t
conn_now_ms(const struct redis_conn *c)
{
	return (int64_t)uv_now(c->flusher.loop);
}

static void
lose(struct redis_conn *c, const char *why)
{
	if (c->lost || c->closed)
		return;
	c->lost = true;
	c->ev.on_lost(c->ev.arg, why);
}

/* --- who waits --- */

static bool
waiters_reserve(struct redis_conn *c)
{
	size_t cap = c->cap ? c->cap * 2 : 256, i;
	struct waiter *ring;

	if (c->n < c->cap)
		return true;
	ring = malloc(cap * sizeof(*ring));
	if (!ring)
		return false;
	for (i = 0; i < c->n; i++)
		ring[i] = c->waiters[(c->head + i) & (c->cap - 1)];
	free(c->waiters);
	c->waiters = ring;
	c->head = 0;
	c->cap = cap;
	return true;
}

static void
waiters_add(struct redis_conn *c, redis_reply_fn *fn, void *arg)
{
	c->waiters[(c->head + c->n) & (c->cap - 1)] = (struct waiter){ fn, arg, conn_now_ms(c) };
	c->n++;
}

static struct waiter
waiters_take(struct redis_conn *c)
{
	struct waiter w = c->waiters[c->head];

	c->head = (c->head + 1) & (c->cap - 1);
	c->n--;
	return w;
}

/* --- writing --- */

static void flush(struct redis_conn *c);

static void
on_written(uv_write_t *req, int status)
{
	struct redis_conn *c = req->data;

	c->write_busy = false;
	buf_reset(&c->writing);
	if (status < 0)
		lose(c, uv_strerror(status));
	else if (!c->closed && c->out.len)
		flush(c);
}

static void
flush(struct redis_conn *c)
{
	uv_buf_t bytes = uv_buf_init(c->out.data, (unsigned)c->out.len);
	struct buf empty = c->writing;
	int n;

	if (c->write_busy || c->lost)
		return;
	n = uv_try_write(&c->socket.stream, &bytes, 1);
	if (n == (int)c->out.len) {
		buf_reset(&c->out);
		return;
	}
	if (n < 0)
		n = 0;	/* UV_EAGAIN, or an error that the write below meets again */
	c->writing = c->out;
	c->out = empty;
	bytes = uv_buf_init(c->writing.data + n, (unsigned)(c->writing.len - (size_t)n));
	n = uv_write(&c->write, &c->socket.stream, &bytes, 1, on_written);
	if (n < 0)
		lose(c, uv_strerror(n));
	else
		c->write_busy = true;
}

static void
on_idle(uv_idle_t *idle)
{
	struct redis_conn *c = idle->data;

	uv_idle_stop(idle);
	if (c->out.len)
		flush(c);
}

/* An idle handle runs once before the loop may sleep, wherever it was started in
 * this turn: all commands of a turn go out in one write. */
static void
wrote(struct redis_conn *c)
{
	if (!uv_is_active((uv_handle_t *)&c->flusher))
		uv_idle_start(&c->flusher, on_idle);
}

static void
add_head(struct buf *out, char kind, size_t n)
{
	char text[HEAD_MAX], *p = text + sizeof(text);

	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	*--p = kind;
	buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

static int
reserve(struct redis_conn *c, size_t bytes)
{
	if (c->closed || c->lost)
		return ERR_UNAVAILABLE;
	/* uv_buf_t and uv_try_write count in 31 bits. */
	if (bytes > INT32_MAX - c->out.len)
		return ERR_NOMEM;
	if (!waiters_reserve(c) || !buf_reserve(&c->out, bytes)) {
		c->out.failed = false;	/* what is in it is whole */
		return ERR_NOMEM;
	}
	return 0;
}

int
redis_conn_send(struct redis_conn *c, redis_reply_fn *fn, void *arg, size_t argc,
		const struct span *argv)
{
	size_t bytes = HEAD_MAX, i;
	int code;

	for (i = 0; i < argc; i++)
		bytes += argv[i].len + HEAD_MAX + 2;
	code = reserve(c, bytes);
	if (code < 0)
		return code;
	add_head(&c->out, '*', argc);
	for (i = 0; i < argc; i++) {
		add_head(&c->out, '$', argv[i].len);
		buf_addspan(&c->out, argv[i]);
		buf_add(&c->out, "\r\n", 2);
	}
	waiters_add(c, fn, arg);
	wrote(c);
	return 0;
}

int
redis_conn_send_raw(struct redis_conn *c, redis_reply_fn *fn, void *arg, struct span bytes)
{
	int code = reserve(c, bytes.len);

	if (code < 0)
		return code;
	buf_addspan(&c->out, bytes);
	waiters_add(c, fn, arg);
	wrote(c);
	return 0;
}

/* --- reading --- */

#if HIREDIS_MAJOR < 1
/* hiredis 0.14 allocates what a header claims. */
static void *
bounded_array(const redisReadTask *task, int n)
{
	struct redis_conn *c = task->privdata;

	if (n > REDIS_ELEMENTS_MAX) {
		c->too_many = true;
		return NULL;
	}
	return c->create_array(task, n);
}
#endif

static bool
reader_make(struct redis_conn *c)
{
	c->reader = redisReaderCreate();
	if (!c->reader)
		return false;
#if HIREDIS_MAJOR < 1
	c->functions = *c->reader->fn;
	c->create_array = c->functions.createArray;
	c->functions.createArray = bounded_array;
	c->reader->fn = &c->functions;
	c->reader->privdata = c;
#else
	c->reader->maxelements = REDIS_ELEMENTS_MAX;
#endif
	return true;
}

static bool
is_message(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       span_is(redis_span(r->element[0]), "message");
}

static void
dispatch(struct redis_conn *c, const redisReply *reply)
{
	struct waiter w;

	if (is_message(reply) && c->ev.on_message) {
		c->ev.on_message(c->ev.arg, reply);
		return;
	}
	if (c->n == 0) {
		lose(c, "Redis sent a reply to no command");
		return;
	}
	w = waiters_take(c);
	if (conn_now_ms(c) - w.sent_ms >= REDIS_SLOW_MS)
		c->slow_ms = conn_now_ms(c);
	if (w.fn)
		w.fn(w.arg, reply);
}

/* The bytes of an unfinished reply are within bounds. */
static bool
bounded(const struct redis_conn *c)
{
	const redisReader *r = c->reader;
	size_t left = r->len - r->pos;

	if (c->reply_bytes > REDIS_REPLY_MAX)
		return false;
	/* Every reply starts with a line; the parser would look for its end
	 * from the start each time. */
	return left <= REDIS_LINE_MAX || memchr(r->buf + r->pos, '\n', REDIS_LINE_MAX);
}

static void
read_replies(struct redis_conn *c)
{
	void *reply = NULL;

	while (!c->closed && !c->lost) {
		if (redisReaderGetReply(c->reader, &reply) != REDIS_OK) {
			lose(c, c->too_many ? "a reply has too many elements" : c->reader->errstr);
			return;
		}
		if (!reply)
			break;
		c->reply_bytes = c->reader->len - c->reader->pos;
		dispatch(c, reply);
		freeReplyObject(reply);
	}
	if (!c->closed && !bounded(c))
		lose(c, "a reply is too large");
}

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *ret)
{
	struct redis_conn *c = h->data;

	(void)size;
	*ret = uv_buf_init(c->in, sizeof(c->in));
}

static void
on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *bytes)
{
	struct redis_conn *c = s->data;

	if (n == 0)
		return;
	if (n < 0) {
		lose(c, n == UV_EOF ? "Redis closed the connection" : uv_strerror((int)n));
		return;
	}
	c->read_ms = conn_now_ms(c);
	c->reply_bytes += (size_t)n;
	if (redisReaderFeed(c->reader, bytes->base, (size_t)n) != REDIS_OK)
		lose(c, c->reader->errstr);
	else
		read_replies(c);
}

/* --- beginning and end --- */

static void
on_connected(uv_connect_t *req, int status)
{
	struct redis_conn *c = req->data;
	int code;

	if (c->closed)
		return;
	if (status < 0) {
		lose(c, uv_strerror(status));
		return;
	}
	if (c->socket.stream.type == UV_TCP) {
		/* Neither is worth losing a connection for. */
		(void)uv_tcp_nodelay(&c->socket.tcp, 1);
		(void)uv_tcp_keepalive(&c->socket.tcp, 1, KEEPALIVE_S);
	}
	code = uv_read_start(&c->socket.stream, on_alloc, on_read);
	if (code < 0) {
		lose(c, uv_strerror(code));
		return;
	}
	c->read_ms = conn_now_ms(c);
	c->ev.on_open(c->ev.arg);
}

static void
conn_free(struct redis_conn *c)
{
	if (c->reader)
		redisReaderFree(c->reader);
	buf_release(&c->out);
	buf_release(&c->writing);
	free(c->waiters);
	free(c);
}

struct redis_conn *
redis_conn_new(uv_loop_t *loop, const struct sockaddr *addr, const char *path,
	       const struct redis_conn_events *ev, struct err *reterr)
{
	struct redis_conn *c = calloc(1, sizeof(*c));
	int code;

	if (!c)
		goto nomem;
	c->ev = *ev;
	if (!reader_make(c))
		goto nomem;
	code = addr ? uv_tcp_init(loop, &c->socket.tcp) : uv_pipe_init(loop, &c->socket.pipe, 0);
	if (code < 0) {
		conn_free(c);
		err_set(reterr, ERR_IO, "%s", uv_strerror(code));
		return NULL;
	}
	uv_idle_init(loop, &c->flusher);
	c->open_handles = HANDLES;
	c->socket.stream.data = c->flusher.data = c->connect.data = c->write.data = c;
	if (addr)
		code = uv_tcp_connect(&c->connect, &c->socket.tcp, addr, on_connected);
	else
		uv_pipe_connect(&c->connect, &c->socket.pipe, path, on_connected);
	if (code < 0) {
		redis_conn_close(c, NULL, NULL);
		err_set(reterr, ERR_IO, "%s", uv_strerror(code));
		return NULL;
	}
	return c;
nomem:
	if (c)
		conn_free(c);
	err_nomem(reterr);
	return NULL;
}

int64_t
redis_conn_silence(const struct redis_conn *c)
{
	int64_t sent = c->n ? c->waiters[c->head].sent_ms : 0;

	if (c->n == 0)
		return 0;
	return conn_now_ms(c) - (sent > c->read_ms ? sent : c->read_ms);
}

int64_t
redis_conn_slow_ms(const struct redis_conn *c)
{
	if (c->n && conn_now_ms(c) - c->waiters[c->head].sent_ms >= REDIS_SLOW_MS)
		return conn_now_ms(c);
	return c->slow_ms;
}

void
redis_conn_excuse(struct redis_conn *c)
{
	c->read_ms = conn_now_ms(c);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct redis_conn *c = h->data;
	void (*fn)(void *) = c->on_closed;
	void *arg = c->closed_arg;

	if (--c->open_handles > 0)
		return;
	conn_free(c);
	if (fn)
		fn(arg);
}

void
redis_conn_close(struct redis_conn *c, void (*on_closed)(void *arg), void *arg)
{
	assert(!c->closed);
	c->closed = true;
	c->on_closed = on_closed;
	c->closed_arg = arg;
	while (c->n) {
		struct waiter w = waiters_take(c);

		if (w.fn)
			w.fn(w.arg, NULL);
	}
	uv_close((uv_handle_t *)&c->socket.stream, on_handle_closed);
	uv_close((uv_handle_t *)&c->flusher, on_handle_closed);
}
