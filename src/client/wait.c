/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "envdriver/avro/avro_field.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/client/reader.h"

/* Of a record on the command topic. */
struct position {
	int64_t partition, offset;
};

struct expected {
	struct position at;
	char id[201];
	SLIST_ENTRY(expected) next;	/* in `settled` */
	UT_hash_handle hh;
};

struct wait {
	const struct schemas *schemas;
	struct reader *reader;
	struct reader_record raw;
	struct expected *expected;	/* by position */
	SLIST_HEAD(, expected) settled;	/* their log records may still come */
};

struct wait *
wait_new(const struct config *config, const struct schemas *schemas,
	 const bool topics[TOPIC_COUNT], struct err *reterr)
{
	const struct reader_place end = { READER_END, 0 };
	struct wait *w = calloc(1, sizeof(*w));

	if (!w) {
		err_nomem(reterr);
		return NULL;
	}
	w->schemas = schemas;
	w->reader = reader_new(config, reterr);
	if (!w->reader)
		goto fail;
	for (int t = 0; t < TOPIC_COUNT; t++)
		if ((topics[t] || t == TOPIC_DEAD_LETTERS) &&
		    reader_add(w->reader, (enum topic)t, -1, reterr) < 0)
			goto fail;
	if (reader_open(w->reader, &end, /* to= */ NULL, reterr) == 0)
		return w;
fail:
	wait_free(w);
	return NULL;
}

void
wait_free(struct wait *w)
{
	struct expected *e, *tmp;

	if (!w)
		return;
	HASH_ITER(hh, w->expected, e, tmp)
	{
		HASH_DEL(w->expected, e);
		free(e);
	}
	while ((e = SLIST_FIRST(&w->settled))) {
		SLIST_REMOVE_HEAD(&w->settled, next);
		free(e);
	}
	reader_free(w->reader);
	free(w);
}

int
wait_expect(struct wait *w, int32_t partition, int64_t offset, const char *id, struct err *reterr)
{
	struct expected *e = calloc(1, sizeof(*e));

	if (!e)
		return err_nomem(reterr);
	e->at = (struct position){ partition, offset };
	strncpy(e->id, id, sizeof(e->id) - 1);
	HASH_ADD(hh, w->expected, at, sizeof(e->at), e);
	return 0;
}

size_t
wait_pending(const struct wait *w)
{
	return HASH_COUNT(w->expected);
}

const char *
wait_pending_id(const struct wait *w, size_t i)
{
	const struct expected *e = w->expected;

	while (e && i--)
		e = e->hh.next;
	return e ? e->id : NULL;
}

/* The position of the command that a result or dead letter is about. */
static bool
source_of(const struct record *r, struct position *ret)
{
	avro_value_t trace;
	const avro_value_t *from = &r->value;

	if (avro_field_open(&r->value, "trace", NULL, &trace))
		from = &trace;
	return avro_field_get_int(from, "sourcePartition", &ret->partition) &&
	       avro_field_get_int(from, "sourceOffset", &ret->offset);
}

static bool
is_about_us(const struct wait *w, struct span id)
{
	const struct expected *e;

	for (e = w->expected; e; e = e->hh.next)
		if (span_is(id, e->id))
			return true;
	SLIST_FOREACH(e, &w->settled, next)
		if (span_is(id, e->id))
			return true;
	return false;
}

/* Its command is no longer expected. False when it was not. */
static bool
settle_command(struct wait *w, const struct record *r)
{
	struct position at = { 0, 0 };
	struct expected *e = NULL;

	if (source_of(r, &at))
		HASH_FIND(hh, w->expected, &at, sizeof(at), e);
	if (!e)
		return false;
	HASH_DEL(w->expected, e);
	SLIST_INSERT_HEAD(&w->settled, e, next);
	return true;
}

int
wait_next(struct wait *w, int timeout_ms, struct record *ret, bool *ret_final, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;

	for (;;) {
		int64_t left = deadline - clock_mono_ms();
		int rc = reader_next(w->reader, left > 0 ? (int)left : 0, &w->raw, reterr);

		if (rc <= 0)
			return rc;
		rc = record_open(w->schemas, &w->raw, ret, reterr);
		if (rc < 0)
			return rc;
		if (ret->schema && w->raw.topic == TOPIC_EXECUTION_LOGS) {
			*ret_final = false;
			if (is_about_us(w, ret->command_id))
				return 1;
		} else if (ret->schema) {
			*ret_final = settle_command(w, ret);
			if (*ret_final)
				return 1;
		}
		record_release(ret);
	}
}

bool
wait_succeeded(const struct record *r)
{
	return span_is(r->status, "SUCCEEDED");
}
