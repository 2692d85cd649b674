/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/hash.h"
#include "heartbeat.h"
#include "instance_record.h"

enum {
	DEAD_MS = 15000,	/* without a heartbeat (docs/engine.md section 7 c) */
	ASKED_MS = 5000,	/* a record is read while it was asked about this recently */
	KEPT_MS = 60000,
	PEERS_MAX = 1000,	/* claims come from outside: so do instance ids */
	ID_MAX = 512,
};

/* What is known of another instance. */
struct peer {
	UT_hash_handle hh;
	struct peers *owner;
	char *id;
	char incarnation[100];	/* of the record; "": absent */
	bool gone;		/* its process is certainly gone */
	bool busy;		/* a read is under way */
	bool released;	/* free it when that is over */
	int64_t asked_ms;	/* by peers_judge */
	int64_t sent_ms;
	struct heartbeat heartbeat;
};

static void
free_peer(struct peer *w)
{
	free(w->id);
	free(w);
}

static void
on_peer_read(void *arg, const redisReply *reply)
{
	struct peer *w = arg;
	struct instance_found found;

	w->busy = false;
	if (w->released) {
		free_peer(w);
		return;
	}
	/* Of a wrong type: nothing there that has a heartbeat. */
	if (!redis_is_error(reply, "WRONGTYPE") && !redis_usable(w->owner->redis, reply))
		return;
	instance_record_parse(reply, &found);
	/* Not the loop's time, which stands still within a turn. */
	heartbeat_see(&w->heartbeat, w->sent_ms, clock_mono_ms(), found.incarnation, found.count);
	snprintf(w->incarnation, sizeof(w->incarnation), "%.*s", SPAN_FMT(found.incarnation));
	w->gone = process_gone(w->owner->self, &found.process);
}

static void
read_peer(struct peer *w)
{
	if (w->busy)
		return;
	w->sent_ms = clock_mono_ms();
	w->busy = instance_record_read(w->owner->redis, w->id, on_peer_read, w) == 0;
}

static struct peer *
find_peer(struct peers *p, struct span id)
{
	struct peer *w = NULL;

	HASH_FIND(hh, p->by_id, id.ptr, id.len, w);
	if (w || id.len == 0 || id.len > ID_MAX || memchr(id.ptr, '\0', id.len) ||
	    HASH_COUNT(p->by_id) >= PEERS_MAX)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->owner = p;
	w->id = strndup(id.ptr, id.len);
	if (w->id)
		HASH_ADD_KEYPTR(hh, p->by_id, w->id, id.len, w);
	if (!w->id || !w->hh.tbl) {
		free_peer(w);
		return NULL;
	}
	return w;
}

static enum instance_verdict
verdict(const struct peer *w, struct span incarnation, int64_t since_ms)
{
	int64_t still = heartbeat_still_ms(&w->heartbeat);
	bool named = span_is(incarnation, w->incarnation);

	if (!w->heartbeat.seen || w->heartbeat.asked_ms <= since_ms)
		return INSTANCE_UNKNOWN;
	/* (b) and (a) of docs/engine.md section 7, then (c). */
	if (w->incarnation[0] && !named)
		return INSTANCE_DEAD;
	if (named && w->gone)
		return INSTANCE_DEAD;
	if (still >= DEAD_MS && redis_answering_for(w->owner->redis, DEAD_MS))
		return INSTANCE_DEAD;
	return named && heartbeat_moved(&w->heartbeat) && still < HEARTBEAT_GAP_MS
		       ? INSTANCE_ALIVE
		       : INSTANCE_UNKNOWN;
}

enum instance_verdict
peers_judge(struct peers *p, struct span id, struct span incarnation, int64_t since_ms)
{
	struct peer *w = id.ptr ? find_peer(p, id) : NULL;
	bool first;

	if (!w)
		return INSTANCE_UNKNOWN;
	first = !w->asked_ms || clock_mono_ms() - w->asked_ms > ASKED_MS;
	w->asked_ms = clock_mono_ms();
	if (first) {
		/* What was known is too old to judge by. */
		w->heartbeat = (struct heartbeat)HEARTBEAT_INIT;
		read_peer(w);
	}
	return verdict(w, incarnation, since_ms);
}

void
peers_tick(struct peers *p)
{
	struct peer *w, *next;
	int64_t now = clock_mono_ms();

	HASH_ITER(hh, p->by_id, w, next) {
		if (now - w->asked_ms <= ASKED_MS) {
			read_peer(w);
		} else if (now - w->asked_ms > KEPT_MS) {
			HASH_DEL(p->by_id, w);
			w->released = true;
			if (!w->busy)
				free_peer(w);
		}
	}
}

void
peers_release(struct peers *p)
{
	struct peer *w, *next;

	HASH_ITER(hh, p->by_id, w, next) {
		HASH_DEL(p->by_id, w);
		free_peer(w);
	}
}
