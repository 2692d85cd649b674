/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/registry/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/base/hash.h"
#include "envdriver/redis/redis.h"

enum {
	RECORDS_MAX = 20000,
	TEXT_LEN_MAX = 4096,
	SCAN_MAX = 400,
	/* A record without an endpoint is a child's, which writes it every few seconds. */
	CHILD_AGAIN_MS = 30000,
};

/* One record of a worker. */
struct record {
	UT_hash_handle hh;
	struct endpoints *owner;
	char *key;		/* "<pluginId>:<instance>" */
	size_t plugin_len;
	char *address, *run;	/* NULL: a child, or gone */
	bool down;		/* it says that it does not run */
	bool busy, again;
	int64_t asked_ms;
};

struct endpoints {
	struct redis *redis;
	char *own;		/* ":<our instance>" */
	void (*on_change)(void *arg);
	void *arg;
	struct record *records;
	size_t n_addresses;
	bool up, known;
	unsigned rounds;
	struct buf name;	/* "<prefix>worker:" and more */
};

static struct span
redis_name(struct endpoints *e, const char *rest)
{
	buf_reset(&e->name);
	buf_adds(&e->name, redis_prefix(e->redis));
	buf_adds(&e->name, "worker:");
	buf_adds(&e->name, rest);
	return buf_span(&e->name);
}

static bool
is_own(const struct endpoints *e, const struct record *r)
{
	return strcmp(r->key + r->plugin_len, e->own) == 0;
}

/* One record */

static void
forget_worker(struct endpoints *e, struct record *r)
{
	HASH_DEL(e->records, r);
	free(r->key);
	free(r->address);
	free(r->run);
	free(r);
}

static struct record *
find_or_add_record(struct endpoints *e, struct span key)
{
	const char *colon = memchr(key.ptr, ':', key.len);
	struct record *r = NULL;

	HASH_FIND(hh, e->records, key.ptr, key.len, r);
	if (r || !colon || key.len > TEXT_LEN_MAX || memchr(key.ptr, '\0', key.len) ||
	    HASH_COUNT(e->records) >= RECORDS_MAX)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->owner = e;
	r->plugin_len = (size_t)(colon - key.ptr);
	r->key = strndup(key.ptr, key.len);
	if (r->key)
		HASH_ADD_KEYPTR(hh, e->records, r->key, key.len, r);
	if (r->key && r->hh.tbl)
		return r;
	free(r->key);
	free(r);
	return NULL;
}

/* True when it was another text. */
static bool
put_value(char **at, struct span text)
{
	if (text.len > TEXT_LEN_MAX || (text.ptr && memchr(text.ptr, '\0', text.len)))
		text = SPAN_NULL;
	if (span_eq(span_of(*at), text))
		return false;
	free(*at);
	*at = text.ptr ? strndup(text.ptr, text.len) : NULL;
	return true;
}

static bool
says_down(struct span status)
{
	static const char *const words[] = { "stopping", "stopped", "crashed", "backoff" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (span_is(status, words[i]))
			return true;
	return false;
}

enum { ENDPOINT, STATUS, INCARNATION, PID, STARTED, FIELDS };

static void
take_worker_values(struct endpoints *e, struct record *r, const redisReply *reply)
{
	struct span values[FIELDS] = { { NULL, 0 } };
	struct buf run = BUF_INIT;
	bool changed, down;

	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && i < FIELDS;
	     i++)
		values[i] = redis_span(reply->element[i]);
	down = says_down(values[STATUS]);
	for (int i = INCARNATION; i < FIELDS && values[ENDPOINT].ptr; i++) {
		buf_addspan(&run, values[i]);
		buf_addch(&run, '|');
	}
	e->n_addresses -= r->address != NULL;
	changed = put_value(&r->address, values[ENDPOINT]);
	e->n_addresses += r->address != NULL;
	changed |= put_value(&r->run, run.len ? buf_span(&run) : SPAN_NULL);
	changed |= r->address && r->down != down;
	r->down = down;
	buf_release(&run);
	if (!values[ENDPOINT].ptr && !values[STATUS].ptr)
		forget_worker(e, r);
	if (changed && e->known)
		e->on_change(e->arg);
}

static void ask_record(struct endpoints *e, struct record *r);

static void
on_worker_values(void *arg, const redisReply *reply)
{
	struct record *r = arg;
	struct endpoints *e = r->owner;
	bool again = r->again;

	r->busy = r->again = false;
	if (!reply || redis_is_outage(e->redis, reply))
		return;
	if (again)
		ask_record(e, r);
	else
		take_worker_values(e, r, reply);
}

static void
ask_record(struct endpoints *e, struct record *r)
{
	const struct span argv[] = {
		SPAN_LIT("HMGET"), redis_name(e, r->key), SPAN_LIT("endpoint"),
		SPAN_LIT("status"), SPAN_LIT("incarnation"), SPAN_LIT("pid"),
		SPAN_LIT("startedAt"),
	};

	if (r->busy) {
		r->again = true;
		return;
	}
	r->asked_ms = clock_mono_ms();
	r->busy = !e->name.failed && redis_send(e->redis, on_worker_values, r,
						sizeof(argv) / sizeof(*argv), argv) == 0;
}

/* Something was written there. */
static void
look_at(struct endpoints *e, struct span key)
{
	struct record *r = find_or_add_record(e, key);

	if (!r)
		return;
	if (!r->address && r->asked_ms && !is_own(e, r) &&
	    clock_mono_ms() - r->asked_ms < CHILD_AGAIN_MS)
		return;
	ask_record(e, r);
}

/* All of them */

static void scan_records(struct endpoints *e, struct span cursor);

static void
end_scan(struct endpoints *e)
{
	if (e->known)
		return;
	e->known = true;
	e->on_change(e->arg);
}

static void
on_records_scanned(void *arg, const redisReply *reply)
{
	struct endpoints *e = arg;
	size_t skip = redis_name(e, "").len;
	struct span cursor, key;

	if (!reply || redis_is_outage(e->redis, reply))
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY) {
		end_scan(e);
		return;
	}
	cursor = redis_span(reply->element[0]);
	for (size_t i = 0; i < reply->element[1]->elements; i++) {
		key = redis_span(reply->element[1]->element[i]);
		if (key.len > skip)
			look_at(e, (struct span){ key.ptr + skip, key.len - skip });
	}
	if (!span_is(cursor, "0") && ++e->rounds < SCAN_MAX)
		scan_records(e, cursor);
	else if (redis_sendf(e->redis, on_records_scanned, e, "PING") < 0)
		end_scan(e);	/* else: its answer comes after theirs */
}

static void
scan_records(struct endpoints *e, struct span cursor)
{
	struct buf pattern = BUF_INIT;

	redis_add_escaped(&pattern, redis_name(e, "").ptr);
	buf_addch(&pattern, '*');
	if (!pattern.failed)
		redis_send(e->redis, on_records_scanned, e, 6, (struct span[]){
			SPAN_LIT("SCAN"), cursor, SPAN_LIT("MATCH"), buf_span(&pattern),
			SPAN_LIT("COUNT"), SPAN_LIT("5000"),
		});
	buf_release(&pattern);
}

/* What Redis tells */

static void
on_endpoints_up(void *arg)
{
	struct endpoints *e = arg;
	struct record *r, *next;

	e->up = true;
	e->rounds = 0;
	HASH_ITER(hh, e->records, r, next)
		ask_record(e, r);
	scan_records(e, SPAN_LIT("0"));
}

static void
on_endpoints_down(void *arg, const char *why)
{
	struct endpoints *e = arg;

	(void)why;
	e->up = false;
}

static void
on_worker_key(void *arg, struct span key)
{
	struct endpoints *e = arg;
	struct span name;

	if (!e->up)
		return;
	if (!key.ptr) {
		on_endpoints_up(e);
		return;
	}
	name = redis_name(e, "");
	if (key.len > name.len && memcmp(key.ptr, name.ptr, name.len) == 0)
		look_at(e, (struct span){ key.ptr + name.len, key.len - name.len });
}

struct endpoints *
endpoints_new(struct redis *redis, const char *instance_id, void (*on_change)(void *arg), void *arg,
	      struct err *reterr)
{
	struct redis_listener l = { .on_up = on_endpoints_up, .on_down = on_endpoints_down };
	struct endpoints *e = calloc(1, sizeof(*e));
	struct buf own = BUF_INIT;

	buf_addf(&own, ":%s", instance_id);
	if (!e || own.failed || !buf_reserve(&e->name, TEXT_LEN_MAX + 1024)) {
		buf_release(&own);
		free(e);
		err_nomem(reterr);
		return NULL;
	}
	*e = (struct endpoints){
		.redis = redis, .own = own.data, .on_change = on_change, .arg = arg,
		.name = e->name,
	};
	l.arg = e;
	redis_listen(redis, &l);
	redis_subscribe(redis, REDIS_INVALIDATE, on_worker_key, e);
	redis_track(redis, redis_name(e, "").ptr);
	return e;
}

bool
endpoints_known(const struct endpoints *e)
{
	return e->known;
}

bool
endpoints_any(const struct endpoints *e)
{
	return e->n_addresses > 0;
}

static bool
comes_before(const struct endpoints *e, const struct record *a, const struct record *b)
{
	if (is_own(e, a) != is_own(e, b))
		return is_own(e, a);
	return strcmp(a->key, b->key) < 0;
}

bool
endpoints_at(const struct endpoints *e, const char *plugin_id, unsigned i, struct endpoint *ret)
{
	const struct record *found = NULL, *last = NULL, *r;
	size_t n = strlen(plugin_id);

	for (unsigned k = 0; e->n_addresses && k <= i; k++) {
		for (found = NULL, r = e->records; r; r = r->hh.next)
			if (r->address && !r->down && r->plugin_len == n &&
			    memcmp(r->key, plugin_id, n) == 0 &&
			    (!last || comes_before(e, last, r)) &&
			    (!found || comes_before(e, r, found)))
				found = r;
		last = found;
		if (!found)
			break;
	}
	if (!found)
		return false;
	*ret = (struct endpoint){ found->address, found->run ? found->run : "", is_own(e, found) };
	return true;
}

void
endpoints_free(struct endpoints *e)
{
	struct record *r, *next;

	if (!e)
		return;
	HASH_ITER(hh, e->records, r, next)
		forget_worker(e, r);
	buf_release(&e->name);
	free(e->own);
	free(e);
}
