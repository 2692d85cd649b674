/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "worker/http_peers.h"
#include "worker/http_server.h"

static bool
healthy(void *arg)
{
	return *(bool *)arg;
}

static void
reasons(void *arg, struct buf *out)
{
	if (!*(bool *)arg)
		buf_adds(out, "Kafka is away\nRedis <is> away\n");
}

static void
metrics(void *arg, struct buf *out)
{
	(void)arg;
	buf_adds(out, "envdriver_ready 1\n");
}

static void
status(void *arg, struct buf *out)
{
	(void)arg;
	buf_adds(out, "{\"inFlight\":0}");
}

/* What a server on `port` says to `request`. */
static void
ask(int port, const char *request, char *ret, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while (len + 1 < size && (n = read(fd, ret + len, size - 1 - len)) > 0)
		len += (size_t)n;
	ret[len] = '\0';
	close(fd);
}

/* `ends` is the end of the answer, `has` something in it (may be NULL). */
static const struct row {
	const char *name, *request;
	bool fine;
	int code;
	const char *ends, *has;
} rows[] = {
	{ "healthy", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", true, 200, "\r\n\r\nok\n",
	  "text/plain" },
	{ "not healthy", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", false, 503,
	  "the event loop is stuck\n", NULL },
	{ "ready", "GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:1\r\n\r\n", true, 200, "ready\n",
	  NULL },
	{ "not ready", "GET /readyz HTTP/1.0\r\nHost: [::1]:1\r\n\r\n", false, 503,
	  "\r\n\r\nKafka is away\nRedis <is> away\n", NULL },
	{ "metrics", "GET /metrics HTTP/1.0\r\nHost: 127.1.2.3\r\n\r\n", true, 200,
	  "envdriver_ready 1\n", "version=0.0.4" },
	{ "status", "GET /status HTTP/1.0\r\nHost: LOCALHOST:9\r\n\r\n", true, 200,
	  "{\"inFlight\":0}", "application/json" },
	{ "front page is escaped", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", false, 200,
	  "</html>\n", "Redis &lt;is&gt; away" },
	{ "query is no path", "GET /readyz?x=1 HTTP/1.0\r\nHost: localhost\r\n\r\n", true, 200,
	  "ready\n", NULL },
	{ "HEAD", "HEAD /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n", true, 200, "\r\n\r\n", NULL },
	{ "POST", "POST /readyz HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", true,
	  405,
	  "only GET and HEAD\n", "Allow: GET, HEAD" },
	{ "nothing there", "GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n", true, 404,
	  "/status and /\n",
	  NULL },
	{ "foreign host", "GET /status HTTP/1.0\r\nHost: evil.example\r\n\r\n", true, 403,
	  "127.0.0.1 or localhost\n", NULL },
	{ "looks local", "GET /status HTTP/1.0\r\nHost: 127.0.0.1.evil.example\r\n\r\n", true, 403,
	  "127.0.0.1 or localhost\n", NULL },
	{ "looks local v6", "GET /status HTTP/1.0\r\nHost: [::1]evil\r\n\r\n", true, 403,
	  "127.0.0.1 or localhost\n", NULL },
	{ "no host", "GET /status HTTP/1.0\r\n\r\n", true, 403, "127.0.0.1 or localhost\n", NULL },
};

static const struct row token_rows[] = {
	{ "health is open", "GET /healthz HTTP/1.0\r\nHost: any.example\r\n\r\n", true, 200, "ok\n",
	  NULL },
	{ "no reasons without token", "GET /readyz HTTP/1.0\r\nHost: x\r\n\r\n", false, 503,
	  "\r\n\r\nnot ready\n", NULL },
	{ "reasons with it", "GET /readyz HTTP/1.0\r\nAuthorization: Bearer s3cret\r\n\r\n", false,
	  503, "Redis <is> away\n", NULL },
	{ "status without", "GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n", true, 401,
	  "a bearer token is required\n", "WWW-Authenticate: Bearer" },
	{ "status with", "GET /status HTTP/1.0\r\nAuthorization: bearer s3cret\r\n\r\n", true, 200,
	  "{\"inFlight\":0}", NULL },
	{ "wrong token", "GET /status HTTP/1.0\r\nAuthorization: Bearer s3creT\r\n\r\n", true, 401,
	  "required\n", NULL },
	{ "longer token", "GET /status HTTP/1.0\r\nAuthorization: Bearer s3cret2\r\n\r\n", true,
	  401,
	  "required\n", NULL },
	{ "another scheme", "GET /status HTTP/1.0\r\nAuthorization: Basic s3cret\r\n\r\n", true,
	  401,
	  "required\n", NULL },
};

static void
run_rows(const struct row *r, size_t n, struct config *c)
{
	bool fine = true;
	const struct http_server_source source = { healthy, reasons, metrics, status, &fine };
	struct err err = { 0 };
	struct http_server *h;

	config_set(c, "http.listen", "127.0.0.1:0", "test", NULL);
	h = http_server_start(c, &source, &err);
	if (!h)
		fail_msg("%s", err.text);
	for (; n; n--, r++) {
		char got[4096];
		size_t len, ends = strlen(r->ends);
		int code = 0;

		fine = r->fine;
		ask(http_server_port(h), r->request, got, sizeof(got));
		len = strlen(got);
		if (sscanf(got, "HTTP/1.%*d %d", &code) != 1 || code != r->code || len < ends ||
		    strcmp(got + len - ends, r->ends) != 0 || (r->has && !strstr(got, r->has)))
			fail_msg("%s: %s", r->name, got);
	}
	http_server_stop(h);
}

static void
test_open(void **state)
{
	struct config *c = config_new(NULL);

	(void)state;
	run_rows(rows, sizeof(rows) / sizeof(*rows), c);
	config_free(c);
}

static void
test_token(void **state)
{
	struct config *c = config_new(NULL);
	char path[] = "/tmp/test_http_server.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "s3cret\n", 7), 7);
	close(fd);
	config_set(c, "http.token.file", path, "test", NULL);
	run_rows(token_rows, sizeof(token_rows) / sizeof(*token_rows), c);
	unlink(path);
	config_free(c);
}

static void
test_faults(void **state)
{
	bool fine = true;
	const struct http_server_source source = { healthy, reasons, metrics, status, &fine };
	struct config *c = config_new(NULL);
	struct err err = { 0 };
	struct http_server *h;
	char taken[64];

	(void)state;
	config_set(c, "http.listen", "127.0.0.1:0", "test", NULL);
	h = http_server_start(c, &source, &err);
	assert_non_null(h);
	snprintf(taken, sizeof(taken), "127.0.0.1:%d", http_server_port(h));
	config_set(c, "http.listen", taken, "test", NULL);
	assert_null(http_server_start(c, &source, &err));
	assert_int_equal(err.code, ERR_IO);
	assert_non_null(strstr(err.text, "Address already in use"));
	http_server_stop(h);
	config_set(c, "http.token.file", "/dev/null", "test", NULL);
	assert_null(http_server_start(c, &source, &err));
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.text, "'/dev/null' must contain a token"));
	config_set(c, "http.token.file", "/nonexistent/t", "test", NULL);
	assert_null(http_server_start(c, &source, &err));
	assert_non_null(strstr(err.text, "cannot open '/nonexistent/t'"));
	http_server_stop(NULL);
	config_free(c);
}

/* Connections that never bring a whole request, more than may be: the next one
 * with a request is answered all the same. */
static void
test_slow_clients(void **state)
{
	struct http_server_source source = { healthy, reasons, metrics, status, NULL };
	struct config *c = config_new(NULL);
	int slow[2 * HTTP_PEERS_MAX];
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct http_server *h;
	char answer[4096];
	bool fine = true;

	(void)state;
	source.arg = &fine;
	config_set(c, "http.listen", "127.0.0.1:0", "test", NULL);
	h = http_server_start(c, &source, NULL);
	assert_non_null(h);
	to.sin_port = htons((uint16_t)http_server_port(h));
	for (int i = 0; i < 2 * HTTP_PEERS_MAX; i++) {
		slow[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(slow[i], (struct sockaddr *)&to, sizeof(to)), 0);
		(void)!send(slow[i], "G", 1, MSG_NOSIGNAL);
	}
	for (int i = 0; i < 5; i++) {
		ask(http_server_port(h), rows[0].request, answer, sizeof(answer));
		assert_non_null(strstr(answer, " 200 "));
	}
	for (int i = 0; i < 2 * HTTP_PEERS_MAX; i++)
		close(slow[i]);
	http_server_stop(h);
	config_free(c);
}

/* Whether the other end of a pair was shut down. */
static bool
is_shut(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void
test_late_requests(void **state)
{
	struct http_peers *p = http_peers_new();
	int pairs[3][2];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		http_peers_add(p, pairs[i][0], /* from= */ NULL);
		http_peers_waits(p, pairs[i][0], 1000);
	}
	http_peers_asked(p, pairs[1][0]);	/* being answered: as long as that takes */
	http_peers_tick(p, 1000 + HTTP_PEERS_REQUEST_MS - 1);
	assert_false(is_shut(pairs[0][1]));
	http_peers_waits(p, pairs[2][0], 5000);	/* it was answered, and has time anew */
	http_peers_tick(p, 1000 + HTTP_PEERS_REQUEST_MS);
	assert_true(is_shut(pairs[0][1]));
	assert_false(is_shut(pairs[1][1]));
	assert_false(is_shut(pairs[2][1]));
	http_peers_tick(p, 5000 + HTTP_PEERS_REQUEST_MS);
	assert_true(is_shut(pairs[2][1]));
	http_peers_remove(p, pairs[1][0]);
	http_peers_waits(p, pairs[1][0], 0);	/* unknown by now */
	http_peers_tick(p, 100000);
	assert_false(is_shut(pairs[1][1]));
	for (int i = 0; i < 3; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	http_peers_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_late_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
