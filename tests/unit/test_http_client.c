/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "registry/http_client.h"

enum { BODY_MAX = 16, TIMEOUT_MS = 400 };

static const struct http_client_limits limits = { BODY_MAX, TIMEOUT_MS };

static void
run_to_end(uv_loop_t *loop)
{
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

static const struct url_row {
	const char *url, *shown;	/* NULL: refused */
} url_rows[] = {
	{ "http://h:81/a/b//", "http://h:81/a/b" },
	{ "https://me:s%65cret@h", "https://h" },
	{ "http://me@h/x", "http://h/x" },
	{ "http://h?a=1", NULL },
	{ "http://h:port", NULL },
	{ "http://", NULL },
};

static void
test_url(void **state)
{
	const struct url_row *row;

	(void)state;
	EACH(row, url_rows) {
		uv_loop_t loop;
		struct err err = { 0 };
		struct http_client *c;

		assert_int_equal(uv_loop_init(&loop), 0);
		c = http_client_new(&loop, row->url, "text/x", limits, &err);
		if (!c != !row->shown || (!c && err.code != ERR_CONFIG))
			fail_msg("%s: %s", row->url, err.text);
		if (c)
			assert_string_equal(http_client_shown(c), row->shown);
		http_client_free(c);
		run_to_end(&loop);
	}
}

/* --- a server that reads one request and writes one text --- */

struct server {
	int fd;
	char url[64];
	pthread_t thread;
	const char *reply;	/* NULL: none, until the client goes away */
	char asked[1024];
};

static void *
serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (!strstr(s->asked, "\r\n\r\n") &&
	       (n = read(fd, s->asked + len, sizeof(s->asked) - 1 - len)) > 0)
		len += (size_t)n;
	if (s->reply)
		assert_true(write(fd, s->reply, strlen(s->reply)) > 0);
	else
		while (read(fd, s->asked, 1) > 0)
			;
	close(fd);
	return NULL;
}

static void
server_start(struct server *s, const char *reply)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	*s = (struct server){ .reply = reply, .fd = socket(AF_INET, SOCK_STREAM, 0) };
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	snprintf(s->url, sizeof(s->url), "http://me:word@127.0.0.1:%d/r", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
server_end(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	close(s->fd);
}

/* --- what comes back --- */

static const struct answer_row {
	const char *name, *reply;
	int status;
	bool too_large;
	const char *why;	/* NULL: none; "": any */
	const char *body;
} answer_rows[] = {
	{ "an answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, false, NULL, "hi" },
	{ "an error", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404, false, NULL, "" },
	{ "a redirect",
	  "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	  302, false, NULL, "" },
	{ "too large by its head", "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", 200, true,
	  "the answer is too large", "" },
	{ "too large", "HTTP/1.0 200 OK\r\n\r\n0123456789abcdefg", 200, true,
	  "the answer is too large", NULL },
	{ "cut off", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", 200, false, "", "hi" },
	{ "not HTTP", "SSH-2.0\r\n\r\n", 0, false, "", NULL },
	{ "no answer", NULL, 0, false, "no whole answer in time", "" },
};

struct seen {
	int times;
	const struct answer_row *row;
};

static void
on_answer_row(void *arg, const struct http_client_answer *a)
{
	struct seen *seen = arg;
	const struct answer_row *row = seen->row;

	seen->times++;
	if (a->status != row->status || a->too_large != row->too_large || !a->why != !row->why)
		fail_msg("%s: %d, '%s'", row->name, a->status, a->why ? a->why : "");
	if (row->why && row->why[0])
		assert_string_equal(a->why, row->why);
	if (row->body && !span_is(a->body, row->body))
		fail_msg("%s: body '%.*s'", row->name, SPAN_FMT(a->body));
}

static void
test_answers(void **state)
{
	const struct answer_row *row;

	(void)state;
	EACH(row, answer_rows) {
		bool post = row->status == 404;
		struct seen seen = { .row = row };
		struct server s;
		uv_loop_t loop;
		struct http_client *c;

		assert_int_equal(uv_loop_init(&loop), 0);
		server_start(&s, row->reply);
		c = http_client_new(&loop, s.url, "text/x", limits, NULL);
		assert_non_null(c);
		assert_int_equal(http_client_ask(c, "/7", post ? SPAN_LIT("{}") : SPAN_NULL,
						 on_answer_row, &seen, NULL),
				 0);
		assert_int_equal(seen.times, 0);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(seen.times, 1);
		http_client_free(c);
		run_to_end(&loop);
		server_end(&s);
		if (row->reply) {
			assert_int_equal(strncmp(s.asked, post ? "POST /r/7 " : "GET /r/7 ", 9), 0);
			assert_non_null(strstr(s.asked, "Authorization: Basic bWU6d29yZA=="));
			assert_non_null(strstr(s.asked, "Accept: text/x"));
		}
	}
}

/* Some requests run, more wait for a thread of the pool. */
static void
test_free_while_asking(void **state)
{
	enum { REQUESTS = 8, LONG_MS = 60000 };
	const struct http_client_limits patient = { BODY_MAX, LONG_MS };
	struct seen seen = { 0 };
	struct server s;
	uv_loop_t loop;
	struct http_client *c;
	int64_t start;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	server_start(&s, NULL);
	c = http_client_new(&loop, s.url, "text/x", patient, NULL);
	assert_non_null(c);
	for (int i = 0; i < REQUESTS; i++)
		assert_int_equal(http_client_ask(c, "/", SPAN_NULL, on_answer_row, &seen, NULL), 0);
	usleep(50000);
	start = clock_mono_ms();
	http_client_free(c);
	run_to_end(&loop);
	assert_true(clock_mono_ms() - start < 5000);
	assert_int_equal(seen.times, 0);
	server_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_free_while_asking),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
