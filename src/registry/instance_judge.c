/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "instance_impl.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) buf_realloc(NULL, size)
#define uthash_free(ptr, size) free(ptr)
#include <uthash.h>

enum {
	ASKED_MS = 5000,	/* a watcher reads while somebody asked this recently */
	FORGET_MS = 60000,
	WATCHERS_MAX = 1000,	/* claims come from outside: so do instance ids */
	ID_MAX = 512,
};

/* What is known of another instance. */
struct instance_watcher {
	UT_hash_handle hh;
	struct instance *owner;
	char *id;
	char incarnation[100];	/* of the record; "": absent */
	bool gone;		/* its process is certainly gone */
	bool busy;		/* a read is under way */
	bool forgotten;		/* free it when that is over */
	int64_t asked_ms;	/* by judge */
	int64_t sent_ms;
	struct heartbeat beat;
};

enum { INCARNATION, BEAT, BOOT_ID, PID_NAMESPACE, PID, PID_START, FIELDS };

static void
watcher_free(struct instance_watcher *w)
{
	free(w->id);
	free(w);
}

static void
see(struct instance_watcher *w, const struct span f[FIELDS])
{
	struct process other = { 0 };

	/* Not the loop's time, which stands still within a turn. */
	heartbeat_see(&w->beat, w->sent_ms, clock_mono_ms(), f[INCARNATION], f[BEAT]);
	snprintf(w->incarnation, sizeof(w->incarnation), "%.*s", SPAN_FMT(f[INCARNATION]));
	snprintf(other.boot_id, sizeof(other.boot_id), "%.*s", SPAN_FMT(f[BOOT_ID]));
	snprintf(other.pid_namespace, sizeof(other.pid_namespace), "%.*s",
		 SPAN_FMT(f[PID_NAMESPACE]));
	other.pid = f[PID].ptr ? atoi(f[PID].ptr) : 0;
	other.start = f[PID_START].ptr ? strtoull(f[PID_START].ptr, NULL, 10) : 0;
	w->gone = process_gone(&w->owner->self, &other);
}

static void
on_read(void *arg, const redisReply *reply)
{
	struct instance_watcher *w = arg;
	struct span f[FIELDS] = { { 0 } };
	size_t k;

	w->busy = false;
	if (w->forgotten) {
		watcher_free(w);
		return;
	}
	/* Of a wrong type: nothing there that beats. */
	if (!redis_is_error(reply, "WRONGTYPE") && !instance_usable(w->owner, reply))
		return;
	for (k = 0; reply->type == REDIS_REPLY_ARRAY && k < FIELDS && k < reply->elements; k++)
		f[k] = redis_span(reply->element[k]);
	see(w, f);
}

static void
read_record(struct instance_watcher *w)
{
	struct redis *redis = w->owner->redis;
	struct buf key = BUF_INIT;

	if (w->busy)
		return;
	buf_addf(&key, "%sinstance:%s", redis_prefix(redis), w->id);
	struct span argv[] = {
		SPAN_LIT("HMGET"), buf_span(&key), SPAN_LIT("incarnation"), SPAN_LIT("beat"),
		SPAN_LIT("bootId"), SPAN_LIT("pidNamespace"), SPAN_LIT("pid"),
		SPAN_LIT("pidStart"),
	};

	w->sent_ms = clock_mono_ms();
	if (!key.failed)
		w->busy = redis_send(redis, on_read, w, 2 + FIELDS, argv) == 0;
	buf_release(&key);
}

static struct instance_watcher *
watch(struct instance *i, struct span id)
{
	struct instance_watcher *w = NULL;

	HASH_FIND(hh, i->watchers, id.ptr, id.len, w);
	if (w || id.len == 0 || id.len > ID_MAX || memchr(id.ptr, '\0', id.len) ||
	    HASH_COUNT(i->watchers) >= WATCHERS_MAX)
		return w;
	w = buf_realloc(NULL, sizeof(*w));
	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->owner = i;
	w->id = strndup(id.ptr, id.len);
	if (w->id)
		HASH_ADD_KEYPTR(hh, i->watchers, w->id, id.len, w);
	if (!w->id || !w->hh.tbl) {
		watcher_free(w);
		return NULL;
	}
	return w;
}

static enum instance_verdict
verdict(const struct instance_watcher *w, struct span incarnation, int64_t since_ms)
{
	int64_t still = heartbeat_still_ms(&w->beat);
	bool named = span_is(incarnation, w->incarnation);

	if (!w->beat.seen || w->beat.asked_ms <= since_ms)
		return INSTANCE_UNKNOWN;
	/* (b) and (a) of docs/engine.md section 7, then (c). */
	if (w->incarnation[0] && !named)
		return INSTANCE_DEAD;
	if (named && w->gone)
		return INSTANCE_DEAD;
	if (still >= INSTANCE_DEAD_MS && redis_answering_for(w->owner->redis, INSTANCE_DEAD_MS))
		return INSTANCE_DEAD;
	return named && heartbeat_moved(&w->beat) && still < HEARTBEAT_GAP_MS ? INSTANCE_ALIVE
								    : INSTANCE_UNKNOWN;
}

enum instance_verdict
instance_judge(struct instance *i, struct span instance_id, struct span incarnation,
	       int64_t since_ms)
{
	struct instance_watcher *w;
	bool first;

	if (span_is(incarnation, i->incarnation))
		return INSTANCE_ALIVE;
	/* Our name: once the record is ours it shows another incarnation. */
	if (span_is(instance_id, i->id))
		return i->state == INSTANCE_READY ? INSTANCE_DEAD : INSTANCE_UNKNOWN;
	if (!instance_id.ptr)
		return INSTANCE_UNKNOWN;
	w = watch(i, instance_id);
	if (!w)
		return INSTANCE_UNKNOWN;
	first = !w->asked_ms || clock_mono_ms() - w->asked_ms > ASKED_MS;
	w->asked_ms = clock_mono_ms();
	if (first) {
		/* What was known is too old to judge by. */
		w->beat = (struct heartbeat)HEARTBEAT_INIT;
		read_record(w);
	}
	return verdict(w, incarnation, since_ms);
}

void
instance_judge_tick(struct instance *i)
{
	struct instance_watcher *w, *next;
	int64_t now = clock_mono_ms();

	HASH_ITER(hh, i->watchers, w, next) {
		if (now - w->asked_ms <= ASKED_MS) {
			read_record(w);
		} else if (now - w->asked_ms > FORGET_MS) {
			HASH_DEL(i->watchers, w);
			w->forgotten = true;
			if (!w->busy)
				watcher_free(w);
		}
	}
}

void
instance_judge_free(struct instance *i)
{
	struct instance_watcher *w, *next;

	HASH_ITER(hh, i->watchers, w, next) {
		HASH_DEL(i->watchers, w);
		watcher_free(w);
	}
}
