/* SPDX-License-Identifier: Apache-2.0 */
#include "http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/err.h"
#include "http_peers.h"

enum { IDLE_S = 10, BACKLOG = 64, TOKEN_MAX = 4096, HOST_MAX = 256, TICK_MS = 1000 };
enum { CONNECTION_MEMORY = 16 * 1024, ROOM_TRIES = 20, ROOM_NS = 5000000 };

#define BEARER "Bearer "

struct http_server {
	struct MHD_Daemon *daemon;
	struct http_server_source source;
	struct http_peers *peers;
	bool asks;		/* for a token */
	char token[DIGEST_HEX_SIZE];	/* its hash */
	int port;
	int fd;			/* listens */
	pthread_t thread;	/* accepts */
	bool accepts;
	atomic_bool over;
};

struct page {
	const char *path;
	const char *type;
	bool open;	/* also without the token */
	unsigned (*write)(struct http_server *h, bool trusted, struct buf *out);
};

static unsigned
healthz(struct http_server *h, bool trusted, struct buf *out)
{
	bool ok = h->source.healthy(h->source.arg);

	(void)trusted;
	buf_adds(out, ok ? "ok\n" : "the event loop is stuck\n");
	return ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned
readyz(struct http_server *h, bool trusted, struct buf *out)
{
	unsigned code;

	h->source.reasons(h->source.arg, out);
	code = out->len ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
	if (out->len && !trusted)
		buf_reset(out);
	if (out->len == 0)
		buf_adds(out, code == MHD_HTTP_OK ? "ready\n" : "not ready\n");
	return code;
}

static unsigned
metrics(struct http_server *h, bool trusted, struct buf *out)
{
	(void)trusted;
	h->source.metrics(h->source.arg, out);
	return MHD_HTTP_OK;
}

static unsigned
status(struct http_server *h, bool trusted, struct buf *out)
{
	(void)trusted;
	h->source.status(h->source.arg, out);
	return MHD_HTTP_OK;
}

static void
add_html(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '&':
			buf_adds(out, "&amp;");
			break;
		default:
			buf_addch(out, text.ptr[i]);
		}
	}
}

static unsigned
front(struct http_server *h, bool trusted, struct buf *out)
{
	struct buf part = BUF_INIT;
	unsigned ready = readyz(h, trusted, &part);

	buf_addf(out, "<!doctype html><html lang=en><meta charset=utf-8>"
		      "<meta http-equiv=refresh content=5><title>envdriver</title>"
		      "<style>body{font:15px sans-serif;margin:2em;max-width:60em}"
		      "pre{background:#f4f4f4;padding:1em;overflow:auto}</style>"
		      "<h1>envdriver</h1><h2>%s</h2>",
		 ready == MHD_HTTP_OK ? "Ready" : "Not ready");
	if (ready != MHD_HTTP_OK) {
		buf_adds(out, "<pre>");
		add_html(out, buf_span(&part));
		buf_adds(out, "</pre>");
	}
	buf_reset(&part);
	h->source.status(h->source.arg, &part);
	buf_adds(out, "<h2>Status</h2><pre>");
	add_html(out, buf_span(&part));
	buf_reset(&part);
	h->source.metrics(h->source.arg, &part);
	buf_adds(out, "</pre><h2>Metrics</h2><pre>");
	add_html(out, buf_span(&part));
	buf_adds(out, "</pre></html>\n");
	out->failed |= part.failed;
	buf_release(&part);
	return MHD_HTTP_OK;
}

static const struct page pages[] = {
	{ "/healthz", "text/plain; charset=utf-8", true, healthz },
	{ "/readyz", "text/plain; charset=utf-8", true, readyz },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", false, metrics },
	{ "/status", "application/json", false, status },
	{ "/", "text/html; charset=utf-8", false, front },
};

/* A name of this machine, with or without a port. */
static bool
is_local_host(const char *host)
{
	char name[HOST_MAX];
	const char *end;
	struct in_addr v4;
	size_t len;

	if (!host)
		return false;
	if (host[0] == '[') {
		end = strchr(host, ']');
		return end && strncmp(host, "[::1]", 5) == 0 && (!end[1] || end[1] == ':');
	}
	end = strchr(host, ':');
	len = end ? (size_t)(end - host) : strlen(host);
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	if (strcasecmp(name, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, name, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
}

/* Compares hashes, so that the time depends neither on the first difference nor
 * on the length of the token. */
static bool
has_token(const struct http_server *h, const char *authorization)
{
	char given[DIGEST_HEX_SIZE];

	if (!authorization || strncasecmp(authorization, BEARER, strlen(BEARER)) != 0)
		return false;
	return digest_sha256_hex(span_of(authorization + strlen(BEARER)), given) &&
	       digest_hex_is(h->token, span_of(given));
}

static enum MHD_Result
send_reply(struct MHD_Connection *connection, unsigned code, const char *type, struct buf *body)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	if (body->failed) {
		buf_release(body);
		return MHD_NO;
	}
	response = MHD_create_response_from_buffer(body->len, body->len ? body->data : (char *)"",
						   MHD_RESPMEM_MUST_COPY);
	buf_release(body);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Content-Security-Policy",
				"default-src 'none'; style-src 'unsafe-inline'");
	if (code == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	ret = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result
refuse_request(struct MHD_Connection *connection, unsigned code, const char *text)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "%s\n", text);
	return send_reply(connection, code, "text/plain; charset=utf-8", &body);
}

static int
socket_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* They are added where they are accepted. */
static void
on_http_connection(void *arg, struct MHD_Connection *connection, void **context,
		   enum MHD_ConnectionNotificationCode code)
{
	struct http_server *h = arg;

	(void)context;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED)
		http_peers_remove(h->peers, socket_of(connection));
	else
		http_peers_waits(h->peers, socket_of(connection), clock_mono_ms());
}

static void
on_http_answered(void *arg, struct MHD_Connection *connection, void **state,
		 enum MHD_RequestTerminationCode why)
{
	struct http_server *h = arg;

	(void)state;
	(void)why;
	http_peers_waits(h->peers, socket_of(connection), clock_mono_ms());
}

static enum MHD_Result
on_http_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	   const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct http_server *h = arg;
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	const char *auth =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	bool trusted = !h->asks || has_token(h, auth);
	struct buf body = BUF_INIT;

	(void)version;
	(void)upload;
	(void)state;
	*upload_size = 0;
	http_peers_asked(h->peers, socket_of(connection));
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse_request(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	if (!h->asks && !is_local_host(host))
		return refuse_request(connection, MHD_HTTP_FORBIDDEN,
				      "this host name is not allowed; use 127.0.0.1 or localhost");
	for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		const struct page *p = &pages[i];
		unsigned code;

		if (strcmp(p->path, url) != 0)
			continue;
		if (!trusted && !p->open)
			return refuse_request(connection, MHD_HTTP_UNAUTHORIZED,
					      "a bearer token is required");
		code = p->write(h, trusted, &body);
		return send_reply(connection, code, p->type, &body);
	}
	return refuse_request(connection, MHD_HTTP_NOT_FOUND,
			      "not found; there are /healthz, /readyz, /metrics, /status and /");
}

static void
take_connection(struct http_server *h, int fd, const struct sockaddr *from, socklen_t len)
{
	const struct timespec moment = { 0, ROOM_NS };

	for (int i = 0; i < ROOM_TRIES && !http_peers_make_room(h->peers, from); i++)
		nanosleep(&moment, NULL);
	http_peers_add(h->peers, fd, from);
	/* On failure it closes the descriptor. */
	if (MHD_add_connection(h->daemon, fd, from, len) != MHD_YES)
		http_peers_remove(h->peers, fd);
}

/* Accepts on its own thread: with no descriptor left libmicrohttpd would retry
 * in a busy loop. */
static void *
accept_all(void *arg)
{
	const struct timespec pause = { 1, 0 };
	struct http_server *h = arg;
	struct pollfd waiting = { .fd = h->fd, .events = POLLIN };
	struct sockaddr_storage from;
	sigset_t all;

	sigfillset(&all);	/* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!atomic_load(&h->over)) {
		socklen_t len = sizeof(from);
		int fd;

		(void)poll(&waiting, 1, TICK_MS);
		http_peers_tick(h->peers, clock_mono_ms());
		fd = accept4(h->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			take_connection(h, fd, (struct sockaddr *)&from, len);
		else if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN &&
			  !atomic_load(&h->over))
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static int
read_token(const char *path, char ret[DIGEST_HEX_SIZE], struct err *reterr)
{
	char text[TOKEN_MAX + 1];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(reterr, ERR_CONFIG, "http.token.file: cannot open '%s': %s", path,
			       strerror(errno));
	n = read(fd, text, sizeof(text));
	close(fd);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	if (n <= 0 || n > TOKEN_MAX || memchr(text, '\0', (size_t)n))
		return err_set(reterr, ERR_CONFIG,
			       "http.token.file: '%s' must contain a token of 1 to %d bytes", path,
			       TOKEN_MAX);
	return digest_sha256_hex((struct span){ text, (size_t)n }, ret) ? 0 : err_nomem(reterr);
}

/* "127.0.0.1:9464", "[::1]:9464", "localhost:9464". */
static int
resolve_address(const char *address, struct addrinfo **ret, struct err *reterr)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	const char *colon = strrchr(address, ':'), *start = address;
	char host[HOST_MAX];
	size_t len = (size_t)(colon - address);
	int rc;

	if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
		start++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return err_set(reterr, ERR_CONFIG, "http.listen: '%s' is too long", address);
	memcpy(host, start, len);
	host[len] = '\0';
	rc = getaddrinfo(host, colon + 1, &hints, ret);
	if (rc != 0)
		return err_set(reterr, ERR_CONFIG, "http.listen: '%s': %s", address,
			       gai_strerror(rc));
	return 0;
}

static int
listen_on(const char *address, bool anywhere, int *ret_port, struct err *reterr)
{
	struct addrinfo *ai = NULL;
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	int fd = -1, one = 1, ret;

	ret = resolve_address(address, &ai, reterr);
	if (ret < 0)
		return ret;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &len) < 0) {
		ret = err_set(reterr, ERR_IO, "http.listen: cannot listen on %s: %s", address,
			      strerror(errno));
		if (fd >= 0)
			close(fd);
	} else if (!anywhere && !http_peers_are_local((struct sockaddr *)&bound)) {
		ret = err_set(reterr, ERR_CONFIG,
			      "http.listen: %s can be reached from other hosts; set "
			      "http.token.file, or listen on 127.0.0.1", address);
		close(fd);
	} else {
		*ret_port = ntohs(bound.ss_family == AF_INET6
					  ? ((struct sockaddr_in6 *)&bound)->sin6_port
					  : ((struct sockaddr_in *)&bound)->sin_port);
		ret = fd;
	}
	freeaddrinfo(ai);
	return ret;
}

struct http_server *
http_server_start(const struct config *config, const struct http_server_source *source,
		  struct err *reterr)
{
	const char *token_file = config_str(config, "http.token.file");
	struct http_server *h = calloc(1, sizeof(*h));

	if (!h) {
		err_nomem(reterr);
		return NULL;
	}
	h->fd = -1;
	h->source = *source;
	h->asks = token_file;
	h->peers = http_peers_new();
	if (!h->peers) {
		err_nomem(reterr);
		goto fail;
	}
	if (token_file && read_token(token_file, h->token, reterr) < 0)
		goto fail;
	h->fd = listen_on(config_str(config, "http.listen"), h->asks, &h->port, reterr);
	if (h->fd < 0)
		goto fail;
	h->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_NO_LISTEN_SOCKET |
			MHD_USE_ITC,
		0,
		/* apc= */ NULL, NULL, on_http_request, h, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_PEERS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)HTTP_PEERS_PER_ADDRESS, MHD_OPTION_NOTIFY_CONNECTION, on_http_connection,
		h, MHD_OPTION_NOTIFY_COMPLETED, on_http_answered, h,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
	h->accepts = h->daemon && pthread_create(&h->thread, NULL, accept_all, h) == 0;
	if (!h->accepts) {
		err_set(reterr, ERR_IO, "http.listen: cannot start the server");
		goto fail;
	}
	return h;
fail:
	http_server_stop(h);
	return NULL;
}

int
http_server_port(const struct http_server *h)
{
	return h->port;
}

void
http_server_stop(struct http_server *h)
{
	if (!h)
		return;
	atomic_store(&h->over, true);
	if (h->accepts) {
		(void)shutdown(h->fd, SHUT_RDWR);	/* its accept returns */
		(void)pthread_join(h->thread, NULL);
	}
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	if (h->fd >= 0)
		close(h->fd);
	http_peers_free(h->peers);
	free(h);
}
