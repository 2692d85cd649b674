/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "envdriver/base/err.h"

enum { CONNECT_MS = 5000, STATUS_MAX = 599 };

struct request {
	uv_work_t work;
	struct http_client *client;
	struct buf url, sent, body;
	bool too_large;
	CURLcode code;
	long status;
	char error[CURL_ERROR_SIZE];
	http_client_answer_fn *fn;
	void *arg;
	LIST_ENTRY(request) entry;
};

/* Requests on the pool read it; only the loop's thread changes it. */
struct http_client {
	uv_loop_t *loop;
	struct curl_slist *headers;
	struct http_client_limits limits;
	char *base;		/* without credentials */
	char *user, *password;	/* or NULL */
	LIST_HEAD(, request) requests;
	atomic_bool freed;	/* waits for its requests, nothing else */
};

static void
release(struct http_client *c)
{
	curl_slist_free_all(c->headers);
	free(c->base);
	free(c->user);
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	free(c->password);
	free(c);
	curl_global_cleanup();
}

static void
request_free(struct request *r)
{
	buf_release(&r->url);
	buf_release(&r->sent);
	buf_release(&r->body);
	free(r);
}

/* --- on the pool --- */

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	n *= size;
	if (n > r->client->limits.body_bytes - r->body.len) {
		r->too_large = true;
		return 0;	/* which ends the transfer */
	}
	buf_add(&r->body, data, n);
	return r->body.failed ? 0 : n;
}

/* libcurl calls this at least once a second; 1 ends the transfer. */
static int
on_progress(void *arg, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent)
{
	struct request *r = arg;

	(void)to_get;
	(void)got;
	(void)to_send;
	(void)sent;
	return r->client->freed;
}

static bool
set_up(struct request *r, CURL *e)
{
	const struct http_client *c = r->client;
	bool ok = true;

#define SET(option, value) (ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK)
	SET(CURLOPT_URL, r->url.data);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)c->limits.timeout_ms);
	/* Else a slow name server holds the request past its deadline: libcurl
	 * would wait for the thread that asks it. */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)c->limits.body_bytes);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_USERAGENT, "envdriver/" ENVDRIVER_VERSION);
	SET(CURLOPT_ERRORBUFFER, r->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, r);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, r);
	if (c->user)
		SET(CURLOPT_USERNAME, c->user);
	if (c->password)
		SET(CURLOPT_PASSWORD, c->password);
	if (r->sent.data) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->sent.len);
		SET(CURLOPT_POSTFIELDS, r->sent.data);
	}
#undef SET
	return ok;
}

static void
run_request(uv_work_t *work)
{
	struct request *r = work->data;
	CURL *easy = curl_easy_init();

	r->code = !easy ? CURLE_OUT_OF_MEMORY : !set_up(r, easy) ? CURLE_FAILED_INIT
							  : curl_easy_perform(easy);
	if (easy)
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &r->status);
	r->too_large |= r->code == CURLE_FILESIZE_EXCEEDED;
	curl_easy_cleanup(easy);
}

/* --- in the loop --- */

static const char *
what_failed(const struct request *r)
{
	if (r->code == CURLE_OK)
		return NULL;
	if (r->too_large)
		return "the answer is too large";
	if (r->code == CURLE_OPERATION_TIMEDOUT)
		return "no whole answer in time";
	return r->error[0] ? r->error : curl_easy_strerror(r->code);
}

static void
on_request_done(uv_work_t *work, int cancelled)
{
	struct request *r = work->data;
	struct http_client *c = r->client;
	struct http_client_answer a = {
		.status = r->status > 0 && r->status <= STATUS_MAX ? (int)r->status : 0,
		.too_large = r->too_large,
		.why = what_failed(r),
		.body = buf_span(&r->body),
	};

	LIST_REMOVE(r, entry);
	if (!c->freed && !cancelled)
		r->fn(r->arg, &a);
	request_free(r);
	if (c->freed && LIST_EMPTY(&c->requests))
		release(c);
}

int
http_client_ask(struct http_client *c, const char *path, struct span body,
		http_client_answer_fn *fn, void *arg, struct err *reterr)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem(reterr);
	*r = (struct request){ .work.data = r, .client = c, .fn = fn, .arg = arg };
	buf_adds(&r->url, c->base);
	buf_adds(&r->url, path);
	if (body.ptr)
		buf_addspan(&r->sent, body);
	if (r->url.failed || r->sent.failed) {
		request_free(r);
		return err_nomem(reterr);
	}
	(void)uv_queue_work(c->loop, &r->work, run_request, on_request_done); /* cannot fail */
	LIST_INSERT_HEAD(&c->requests, r, entry);
	return 0;
}

/* --- made and unmade --- */

static char *
copy_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL, *copy;

	if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = strdup(text);
	curl_free(text);
	return copy;
}

/* Takes the credentials out of the URL. */
static int
read_url(struct http_client *c, const char *text, struct err *reterr)
{
	CURLU *url = curl_url();
	CURLUcode code = url ? curl_url_set(url, CURLUPART_URL, text, 0) : CURLUE_OUT_OF_MEMORY;
	char *query = NULL;
	size_t len;

	if (code == CURLUE_OK) {
		query = copy_part(url, CURLUPART_QUERY, 0);
		c->user = copy_part(url, CURLUPART_USER, CURLU_URLDECODE);
		c->password = copy_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
		curl_url_set(url, CURLUPART_USER, NULL, 0);
		curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
		c->base = copy_part(url, CURLUPART_URL, 0);
	}
	curl_url_cleanup(url);
	if (code != CURLUE_OK)
		return err_set(reterr, ERR_CONFIG, "%s", curl_url_strerror(code));
	free(query);
	if (query)
		return err_set(reterr, ERR_CONFIG, "a base URL must not have a query");
	if (!c->base)
		return err_nomem(reterr);
	for (len = strlen(c->base); len && c->base[len - 1] == '/'; len--)
		c->base[len - 1] = '\0';
	return 0;
}

static bool
add_header(struct http_client *c, const char *name, const char *value)
{
	struct buf line = BUF_INIT;
	struct curl_slist *more = NULL;

	buf_addf(&line, "%s: %s", name, value);
	if (!line.failed)
		more = curl_slist_append(c->headers, line.data);
	if (more)
		c->headers = more;
	buf_release(&line);
	return more;
}

struct http_client *
http_client_new(uv_loop_t *loop, const char *url, const char *media,
		struct http_client_limits limits, struct err *reterr)
{
	struct http_client *c;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(reterr, ERR_IO, "libcurl cannot be initialised");
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		curl_global_cleanup();
		err_nomem(reterr);
		return NULL;
	}
	c->loop = loop;
	c->limits = limits;
	LIST_INIT(&c->requests);
	if (read_url(c, url, reterr) < 0)
		goto fail;
	/* No wait for "100 Continue" before a body. */
	if (add_header(c, "Accept", media) && add_header(c, "Content-Type", media) &&
	    add_header(c, "Expect", ""))
		return c;
	err_nomem(reterr);
fail:
	release(c);
	return NULL;
}

const char *
http_client_shown(const struct http_client *c)
{
	return c->base;
}

void
http_client_free(struct http_client *c)
{
	struct request *r;

	if (!c)
		return;
	c->freed = true;
	LIST_FOREACH(r, &c->requests, entry)
		(void)uv_cancel((uv_req_t *)&r->work);	/* one that runs sees `freed` */
	if (LIST_EMPTY(&c->requests))
		release(c);
}
