/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/err.h"
#include "http_client_curl.h"

/* Of the process; set before the first http_client is made. */
static const struct http_client_curl *curl;

enum { CONNECT_MS = 5000, CONNECTIONS = 4, HTTP_SERVER_STATUS_MAX = 599 };

struct request {
	struct http_client *http_client;
	CURL *easy;
	struct request *prev, *next;
	struct buf sent, body;
	bool too_large;
	char error[CURL_ERROR_SIZE];
	http_client_answer_fn *fn;
	void *arg;
};

/* One of libcurl's sockets in our loop. */
struct http_client_socket {
	uv_poll_t poll;
	curl_socket_t fd;
	struct http_client *http_client;
	struct http_client_socket *prev, *next;
};

struct http_client {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct curl_slist *headers;
	struct http_client_limits limits;
	char *base;		/* without credentials */
	char *user, *password;	/* or NULL */
	struct request *requests;
	struct http_client_socket *sockets;
};

/* --- one request --- */

static void
request_free(struct request *r)
{
	if (!r)
		return;
	if (r->easy) {
		curl->multi_remove_handle(r->http_client->multi, r->easy);
		curl->easy_cleanup(r->easy);
	}
	if (r->prev)
		r->prev->next = r->next;
	else if (r->http_client->requests == r)
		r->http_client->requests = r->next;
	if (r->next)
		r->next->prev = r->prev;
	buf_release(&r->sent);
	buf_release(&r->body);
	free(r);
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	n *= size;
	if (n > r->http_client->limits.body_bytes - r->body.len) {
		r->too_large = true;
		return 0;	/* which ends the transfer */
	}
	buf_add(&r->body, data, n);
	return r->body.failed ? 0 : n;
}

static const char *
what_failed(const struct request *r, CURLcode code)
{
	if (code == CURLE_OK)
		return NULL;
	if (r->too_large)
		return "the answer is too large";
	if (code == CURLE_OPERATION_TIMEDOUT)
		return "no whole answer in time";
	return r->error[0] ? r->error : curl->easy_strerror(code);
}

static void
answer(struct request *r, CURLcode code)
{
	struct http_client_answer a = { .body = buf_span(&r->body) };
	long status = 0;

	if (code == CURLE_FILESIZE_EXCEEDED)
		r->too_large = true;
	curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	a.status = status > 0 && status <= HTTP_SERVER_STATUS_MAX ? (int)status : 0;
	a.too_large = r->too_large;
	a.why = what_failed(r, code);
	r->fn(r->arg, &a);
	request_free(r);
}

/* --- libcurl in the loop --- */

static void
finish_requests(struct http_client *w)
{
	CURLMsg *m;
	int left;

	while ((m = curl->multi_info_read(w->multi, &left))) {
		struct request *r = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
		answer(r, m->data.result);
	}
}

static void
on_timer(uv_timer_t *timer)
{
	struct http_client *w = timer->data;
	int running;

	curl->multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_requests(w);
}

static void
on_socket(uv_poll_t *poll, int status, int events)
{
	struct http_client_socket *s = poll->data;
	struct http_client *w = s->http_client;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	/* From here on `s` may be gone. */
	curl->multi_socket_action(w->multi, s->fd, flags, &running);
	finish_requests(w);
}

static void
on_socket_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
socket_free(struct http_client_socket *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		s->http_client->sockets = s->next;
	if (s->next)
		s->next->prev = s->prev;
	uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static struct http_client_socket *
socket_new(struct http_client *w, curl_socket_t fd)
{
	struct http_client_socket *s = calloc(1, sizeof(*s));

	if (!s || uv_poll_init_socket(w->loop, &s->poll, fd) < 0) {
		free(s);
		return NULL;
	}
	s->poll.data = s;
	s->fd = fd;
	s->http_client = w;
	s->next = w->sockets;
	if (s->next)
		s->next->prev = s;
	w->sockets = s;
	curl->multi_assign(w->multi, fd, s);
	return s;
}

/* libcurl says what it waits for; -1 fails the transfer. */
static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct http_client_socket *s = socket;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			socket_free(s);
		return 0;
	}
	if (!s)
		s = socket_new(arg, fd);
	if (!s)
		return -1;
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&s->poll, events, on_socket) < 0 ? -1 : 0;
}

static int
want_timer(CURLM *multi, long ms, void *arg)
{
	struct http_client *w = arg;

	(void)multi;
	if (ms < 0)
		uv_timer_stop(&w->timer);
	else
		uv_timer_start(&w->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

/* --- asking --- */

static bool
set_up(struct request *r, const char *url)
{
	const struct http_client *w = r->http_client;
	CURL *e = r->easy;
	bool ok = true;

#define SET(option, value) (ok = ok && curl->easy_setopt(e, option, value) == CURLE_OK)
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)w->limits.timeout_ms);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)w->limits.body_bytes);
	SET(CURLOPT_HTTPHEADER, w->headers);
	SET(CURLOPT_USERAGENT, "envdriver/" ENVDRIVER_VERSION);
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_PRIVATE, r);
	if (w->user)
		SET(CURLOPT_USERNAME, w->user);
	if (w->password)
		SET(CURLOPT_PASSWORD, w->password);
	if (r->sent.data) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->sent.len);
		SET(CURLOPT_POSTFIELDS, r->sent.data);
	}
#undef SET
	return ok;
}

int
http_client_ask(struct http_client *w, const char *path, struct span body,
		http_client_answer_fn *fn, void *arg, struct err *reterr)
{
	struct request *r = calloc(1, sizeof(*r));
	struct buf url = BUF_INIT;
	int ret = 0;

	if (!r)
		return err_nomem(reterr);
	*r = (struct request){ .http_client = w, .fn = fn, .arg = arg };
	buf_adds(&url, w->base);
	buf_adds(&url, path);
	if (body.ptr)
		buf_addspan(&r->sent, body);
	r->easy = curl->easy_init();
	if (!r->easy || url.failed || r->sent.failed) {
		ret = err_nomem(reterr);
	} else if (!set_up(r, url.data)) {
		ret = err_set(reterr, ERR_BUG, "libcurl refuses an option");
	} else if (curl->multi_add_handle(w->multi, r->easy) != CURLM_OK) {
		ret = err_set(reterr, ERR_IO, "libcurl takes no more requests");
	}
	buf_release(&url);
	if (ret < 0) {
		request_free(r);
		return ret;
	}
	r->next = w->requests;
	if (r->next)
		r->next->prev = r;
	w->requests = r;
	return 0;
}

/* --- made and unmade --- */

static char *
copy_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl->url_get(url, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = strdup(text);
	curl->free(text);
	return copy;
}

/* Takes the credentials out of the URL. */
static int
read_url(struct http_client *w, const char *text, struct err *reterr)
{
	CURLU *url = curl->url();
	CURLUcode code = url ? curl->url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
	char *query = NULL;
	size_t len;

	if (code == CURLUE_OK) {
		query = copy_part(url, CURLUPART_QUERY, 0);
		w->user = copy_part(url, CURLUPART_USER, CURLU_URLDECODE);
		w->password = copy_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
		curl->url_set(url, CURLUPART_USER, NULL, 0);
		curl->url_set(url, CURLUPART_PASSWORD, NULL, 0);
		w->base = copy_part(url, CURLUPART_URL, 0);
	}
	curl->url_cleanup(url);
	if (code != CURLUE_OK)
		return err_set(reterr, ERR_CONFIG, "%s", curl->url_strerror(code));
	free(query);
	if (query)
		return err_set(reterr, ERR_CONFIG, "a base URL has no query");
	if (!w->base)
		return err_nomem(reterr);
	for (len = strlen(w->base); len && w->base[len - 1] == '/'; len--)
		w->base[len - 1] = '\0';
	return 0;
}

static bool
add_header(struct http_client *w, const char *name, const char *value)
{
	struct buf line = BUF_INIT;
	struct curl_slist *more = NULL;

	buf_addf(&line, "%s: %s", name, value);
	if (!line.failed)
		more = curl->slist_append(w->headers, line.data);
	if (more)
		w->headers = more;
	buf_release(&line);
	return more;
}

static bool
make_multi(struct http_client *w)
{
	w->multi = curl->multi_init();
	return w->multi &&
	       curl->multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, want_socket) == CURLM_OK &&
	       curl->multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
	       curl->multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, want_timer) == CURLM_OK &&
	       curl->multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK &&
	       curl->multi_setopt(w->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS) ==
		       CURLM_OK;
}

struct http_client *
http_client_new(uv_loop_t *loop, const char *url, const char *media,
		struct http_client_limits limits, struct err *reterr)
{
	struct http_client *w;

	curl = http_client_curl_open(reterr);
	if (!curl)
		return NULL;
	if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(reterr, ERR_IO, "libcurl cannot be initialised");
		return NULL;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		curl->global_cleanup();
		err_nomem(reterr);
		return NULL;
	}
	w->loop = loop;
	w->limits = limits;
	uv_timer_init(loop, &w->timer);
	w->timer.data = w;
	if (read_url(w, url, reterr) == 0) {
		/* No wait for "100 Continue" before a body. */
		if (make_multi(w) && add_header(w, "Accept", media) &&
		    add_header(w, "Content-Type", media) && add_header(w, "Expect", ""))
			return w;
		err_nomem(reterr);
	}
	http_client_free(w);
	return NULL;
}

const char *
http_client_shown(const struct http_client *w)
{
	return w->base;
}

static void
on_closed(uv_handle_t *handle)
{
	struct http_client *w = handle->data;

	free(w);
}

void
http_client_free(struct http_client *w)
{
	if (!w)
		return;
	while (w->requests)
		request_free(w->requests);
	/* Gives its sockets back through want_socket. */
	curl->multi_cleanup(w->multi);
	w->multi = NULL;
	while (w->sockets)
		socket_free(w->sockets);
	curl->slist_free_all(w->headers);
	free(w->base);
	free(w->user);
	if (w->password)
		explicit_bzero(w->password, strlen(w->password));
	free(w->password);
	curl->global_cleanup();
	uv_close((uv_handle_t *)&w->timer, on_closed);
}
