/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/registry/schema_registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/backoff.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/avro/schema.h"
#include "envdriver/avro/schema_ids.h"
#include "http_client.h"

enum {
	BODY_MAX = 1 << 20,
	TIMEOUT_MS = 10000,
	ASKS_MAX = 64,			/* ids asked for at a time */
	SUBJECTS_MAX = 16,
	AT_ONCE = 2,			/* requests: half of libuv's threads */
	UNWANTED_MS = 60000,		/* an id that was not looked up for so long */
	SAID_MAX = 120,			/* of what a registry says */
	SUBJECT_MAX = 512,
};

static const struct backoff backoff = { .min_ms = 250, .max_ms = 15000 };
static const char media[] = "application/vnd.schemaregistry.v1+json";

/* An id, or a subject of ours. */
struct ask {
	struct schema_registry *registry;
	bool active, running;
	int64_t tried_ms;		/* when it was last sent; 0: never */
	uint32_t id;
	int64_t wanted_ms;		/* when it was last looked up */
	const struct schema *schema;	/* ours; NULL: it is an id that is asked for */
	bool known;
	char subject[SUBJECT_MAX];
};

struct schema_registry {
	struct schemas *schemas;
	struct schema_ids *ids;
	struct http_client *http_client;
	uv_loop_t *loop;
	uv_timer_t retry;
	schema_registry_change_fn *on_change;
	void *arg;
	struct ask asks[ASKS_MAX];
	struct ask subjects[SUBJECTS_MAX];
	unsigned failures;		/* in a row */
	int64_t not_before_ms;		/* back-off of all requests */
	struct err refused;		/* of a subject */
	char why[400];
};

static void pump(struct schema_registry *r);

/* --- what goes wrong --- */

static void
describe(const struct ask *a, char *text, size_t size)
{
	if (a->schema)
		snprintf(text, size, "POST /subjects/%s/versions", a->subject);
	else
		snprintf(text, size, "GET /schemas/ids/%u", a->id);
}

/* What the registry said, in a line that may be shown. */
static void
add_said(const struct http_client_answer *a, struct buf *out)
{
	struct buf said = BUF_INIT, clean = BUF_INIT;
	struct jtext body, message;

	if (jtext_check(a->body, JTEXT_DEPTH_MAX, &body, NULL) < 0)
		return;
	message = jtext_get(body, "message");
	if (message.kind != JTEXT_STRING)
		return;
	jtext_decode(message, &said, NULL);
	if (said.len > SAID_MAX)
		said.len = SAID_MAX;
	for (size_t i = 0; i < said.len; i++)
		if ((unsigned char)said.data[i] < ' ' || said.data[i] == 0x7f)
			said.data[i] = ' ';
	jtext_add_repaired(&clean, buf_span(&said));
	buf_addf(out, " (%.*s)", SPAN_FMT(buf_span(&clean)));
	buf_release(&said);
	buf_release(&clean);
}

static void
add_failure(struct schema_registry *r, const struct ask *ask, const struct http_client_answer *a,
    struct buf *out)
{
	char what[SUBJECT_MAX + 32];

	describe(ask, what, sizeof(what));
	buf_addf(out, "schema registry %s: %s: ", http_client_shown(r->http_client), what);
	if (!a->status)
		buf_adds(out, a->why);
	else if (a->status >= 300 && a->status < 400)
		buf_addf(out, "HTTP %d, and redirects are not followed", a->status);
	else if (a->why)
		buf_addf(out, "HTTP %d, %s", a->status, a->why);
	else
		buf_addf(out, "HTTP %d", a->status);
	if (a->status && !a->why)
		add_said(a, out);
}

/* Not a definite answer: all requests wait. */
static void
fail(struct schema_registry *r, const struct ask *ask, const struct http_client_answer *a)
{
	struct buf text = BUF_INIT;

	add_failure(r, ask, a, &text);
	snprintf(r->why, sizeof(r->why), "%s", text.failed ? "out of memory" : text.data);
	buf_release(&text);
	r->failures++;
	r->not_before_ms = clock_mono_ms() +
			   backoff_spread(backoff_ms(&backoff, r->failures), backoff_dice());
}

static void
succeed(struct schema_registry *r)
{
	r->failures = 0;
	r->not_before_ms = 0;
	r->why[0] = '\0';
}

/* --- an id --- */

/* {"error_code": 404 or 404xx}: it is the registry that says so. */
static bool
is_absent(const struct http_client_answer *a)
{
	struct jtext body, code;
	int64_t n;

	if (a->status != 404 || a->why || jtext_check(a->body, JTEXT_DEPTH_MAX, &body, NULL) < 0)
		return false;
	code = jtext_get(body, "error_code");
	return code.kind == JTEXT_NUMBER && jtext_int(code, &n) && (n == 404 || n / 100 == 404);
}

/* False when the answer is not definite, or memory is short. */
static bool
settle_id(struct schema_registry *r, struct ask *ask, const struct http_client_answer *a)
{
	int64_t now = clock_mono_ms();
	char why[64];

	if (a->status == 200 && !a->why)
		return schema_ids_take(r->ids, ask->id, a->body, now, NULL) == 0;
	if (a->status == 200 && a->too_large) {
		snprintf(why, sizeof(why), "the registry's answer exceeds %d bytes", BODY_MAX);
		return schema_ids_refuse(r->ids, ask->id, now + SCHEMA_IDS_BAD_MS, why, NULL) == 0;
	}
	if (!is_absent(a))
		return false;
	return schema_ids_refuse(r->ids, ask->id, now + SCHEMA_IDS_ABSENT_MS,
				 "the registry does not know it", NULL) == 0;
}

/* --- a subject --- */

static bool
read_id(const struct http_client_answer *a, uint32_t *ret)
{
	struct jtext body, id;
	int64_t n;

	if (a->status != 200 || a->why || jtext_check(a->body, JTEXT_DEPTH_MAX, &body, NULL) < 0)
		return false;
	id = jtext_get(body, "id");
	if (id.kind != JTEXT_NUMBER || !jtext_int(id, &n) || n < 0 || n > INT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* What no retry mends; ERR_BUG stands for none of these. */
static enum err_code
refusal(int status)
{
	switch (status) {
	case 409:	/* incompatible with what stands there */
	case 422:	/* not accepted as a schema */
		return ERR_CONFIG;
	case 401:
	case 403:
		return ERR_DENIED;
	default:
		return ERR_BUG;
	}
}

static void
refuse_subject(struct schema_registry *r, const struct ask *ask, const struct http_client_answer *a)
{
	struct buf text = BUF_INIT;

	add_failure(r, ask, a, &text);
	err_set(&r->refused, refusal(a->status), "subject '%s': our schema %s: %s", ask->subject,
		a->status == 409 ? "is incompatible with what is registered there" : "is refused",
		text.failed ? "" : text.data);
	buf_release(&text);
}

static bool
settle_subject(struct schema_registry *r, struct ask *ask, const struct http_client_answer *a)
{
	if (read_id(a, &ask->id)) {
		ask->known = true;
		schemas_set_id(r->schemas, schema_name(ask->schema), ask->id);
		return true;
	}
	if (a->why || refusal(a->status) == ERR_BUG)
		return false;
	refuse_subject(r, ask, a);
	return true;
}

/* --- asking --- */

static void
on_answer(void *arg, const struct http_client_answer *a)
{
	struct ask *ask = arg;
	struct schema_registry *r = ask->registry;
	bool settled;

	ask->running = false;
	settled = ask->schema ? settle_subject(r, ask, a) : settle_id(r, ask, a);
	if (settled) {
		ask->active = false;
		succeed(r);
	} else {
		fail(r, ask, a);
	}
	r->on_change(r->arg);
	pump(r);
}

static int
submit(struct ask *ask)
{
	struct schema_registry *r = ask->registry;
	char path[3 * SUBJECT_MAX];
	struct buf body = BUF_INIT;
	struct span sent = SPAN_NULL;
	int ret;

	if (ask->schema) {
		snprintf(path, sizeof(path), "/subjects/%s/versions", ask->subject);
		buf_adds(&body, "{\"schema\":");
		jtext_add_string(&body, schema_text(ask->schema));
		buf_adds(&body, "}");
		sent = buf_span(&body);
	} else {
		snprintf(path, sizeof(path), "/schemas/ids/%u", ask->id);
	}
	ret = body.failed ? err_nomem(NULL)
			  : http_client_ask(r->http_client, path, sent, on_answer, ask, NULL);
	buf_release(&body);
	ask->running = ret == 0;
	ask->tried_ms = clock_mono_ms();
	return ret;
}

static bool
is_unwanted(const struct ask *a, int64_t now)
{
	return !a->schema && !a->running && now - a->wanted_ms > UNWANTED_MS;
}

/* The one that was tried longest ago. */
static struct ask *
next_ask(struct schema_registry *r, size_t *ret_running)
{
	struct ask *best = NULL;
	int64_t now = clock_mono_ms();

	*ret_running = 0;
	for (size_t i = 0; i < ASKS_MAX + SUBJECTS_MAX; i++) {
		struct ask *a = i < ASKS_MAX ? &r->asks[i] : &r->subjects[i - ASKS_MAX];

		if (is_unwanted(a, now))
			a->active = false;
		*ret_running += a->active && a->running;
		if (a->active && !a->running && (!best || a->tried_ms < best->tried_ms))
			best = a;
	}
	return best;
}

static void
on_retry(uv_timer_t *timer)
{
	pump(timer->data);
}

static void
pump(struct schema_registry *r)
{
	int64_t wait = r->not_before_ms - clock_mono_ms();
	struct ask *a;
	size_t running;

	uv_timer_stop(&r->retry);
	while ((a = next_ask(r, &running)) && running < AT_ONCE) {
		if (wait <= 0 && submit(a) < 0)
			wait = backoff.min_ms;	/* memory is short */
		if (wait > 0) {
			uv_timer_start(&r->retry, on_retry, (uint64_t)wait, 0);
			return;
		}
	}
	if (!a && !running)
		r->why[0] = '\0';	/* nothing is asked any more */
}

static struct ask *
free_ask(struct ask *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!list[i].active && !list[i].running && !list[i].known)
			return &list[i];
	return NULL;
}

static struct ask *
find_ask(struct schema_registry *r, uint32_t id)
{
	for (size_t i = 0; i < ASKS_MAX; i++)
		if (r->asks[i].active && r->asks[i].id == id)
			return &r->asks[i];
	return NULL;
}

int
schema_registry_find(void *arg, uint32_t id, const struct schema **ret, struct err *reterr)
{
	struct schema_registry *r = arg;
	int64_t now = clock_mono_ms();
	int code = schema_ids_find(r->ids, id, now, ret, reterr);
	struct ask *a;

	if (code != ERR_NOTFOUND)
		return code;
	a = find_ask(r, id);
	if (a) {
		a->wanted_ms = now;
	} else if ((a = free_ask(r->asks, ASKS_MAX))) {
		*a = (struct ask){ .registry = r, .active = true, .id = id, .wanted_ms = now };
		pump(r);
	}
	/* When all asks are taken, a later look-up asks for it. */
	return err_set(reterr, ERR_UNAVAILABLE, "schema id %u is not known yet%s%s", id,
		       r->why[0] ? ": " : "", r->why);
}

int
schema_registry_add(struct schema_registry *r, const char *subject, const char *record,
		    struct err *reterr)
{
	struct ask *a = free_ask(r->subjects, SUBJECTS_MAX);

	if (!a || strlen(subject) >= SUBJECT_MAX)
		return err_set(reterr, ERR_LIMIT, "subject '%.100s' is too long", subject);
	*a = (struct ask){ .registry = r, .active = true,
			   .schema = schemas_find(r->schemas, record) };
	snprintf(a->subject, sizeof(a->subject), "%s", subject);
	pump(r);
	return 0;
}

int
schema_registry_added(const struct schema_registry *r, struct err *reterr)
{
	if (r->refused.text[0]) {
		*reterr = r->refused;
		return r->refused.code;
	}
	for (size_t i = 0; i < SUBJECTS_MAX; i++)
		if (r->subjects[i].active)
			return err_set(reterr, ERR_UNAVAILABLE, "%s", r->why);
	return 0;
}

uint32_t
schema_registry_id(const struct schema_registry *r, const char *subject)
{
	for (size_t i = 0; i < SUBJECTS_MAX; i++)
		if (r->subjects[i].known && strcmp(r->subjects[i].subject, subject) == 0)
			return r->subjects[i].id;
	return 0;
}

const char *
schema_registry_why(const struct schema_registry *r)
{
	return r->why;
}

size_t
schema_registry_asking(const struct schema_registry *r)
{
	size_t n = 0;

	for (size_t i = 0; i < ASKS_MAX; i++)
		n += r->asks[i].active;
	return n;
}

/* --- made and unmade --- */

struct schema_registry *
schema_registry_new(uv_loop_t *loop, const struct config *config, struct schemas *schemas,
		    schema_registry_change_fn *on_change, void *arg, struct err *reterr)
{
	const struct http_client_limits limits = { BODY_MAX, TIMEOUT_MS };
	struct schema_registry *r = calloc(1, sizeof(*r));

	if (!r) {
		err_nomem(reterr);
		return NULL;
	}
	r->loop = loop;
	r->schemas = schemas;
	r->on_change = on_change;
	r->arg = arg;
	uv_timer_init(loop, &r->retry);
	r->retry.data = r;
	r->ids = schema_ids_new(schemas, reterr);
	if (r->ids) {
		r->http_client = http_client_new(loop, config_str(config, "schema.registry.url"),
						 media, limits, reterr);
		if (r->http_client)
			return r;
		err_prefix(reterr, "schema.registry.url");
	}
	schema_registry_free(r);
	return NULL;
}

static void
on_schema_registry_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
schema_registry_free(struct schema_registry *r)
{
	if (!r)
		return;
	http_client_free(r->http_client);
	schema_ids_free(r->ids);
	uv_close((uv_handle_t *)&r->retry, on_schema_registry_closed);
}
