/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/pickup.h"

#include <stdlib.h>
#include <string.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/claim/claim.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/client/catalog.h"
#include "envdriver/client/reader.h"
#include "envdriver/client/record.h"

/* How far back commands of the same key are looked for, and how many of them are
 * asked for: the nearest. */
enum { LOOK_BACK = 2000, BEFORE_MAX = 200 };

struct pickup {
	const struct config *config;
	const struct schemas *schemas;
	struct cli_redis *redis;
	char *ids[BEFORE_MAX + 1];	/* of its key, in their order; ours is the last */
	size_t n;
	struct buf key;
	int32_t partition;
	int64_t offset;
	bool looked;
	struct err why;
};

struct pickup *
pickup_new(const struct config *config, const struct schemas *schemas, const char *id,
	   struct span key, int32_t partition, int64_t offset)
{
	struct pickup *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->config = config;
	p->schemas = schemas;
	p->partition = partition;
	p->offset = offset;
	buf_addspan(&p->key, key);
	p->ids[0] = strdup(id);
	p->n = 1;
	if (p->ids[0] && !p->key.failed)
		return p;
	pickup_free(p);
	return NULL;
}

void
pickup_free(struct pickup *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		free(p->ids[i]);
	buf_release(&p->key);
	cli_redis_free(p->redis);
	free(p);
}

/* Puts it before ours; the oldest is forgotten when there are too many. */
static void
add_before(struct pickup *p, struct span id)
{
	char *text = strndup(id.ptr, id.len);

	if (!text)
		return;
	if (p->n == BEFORE_MAX + 1) {
		free(p->ids[0]);
		memmove(&p->ids[0], &p->ids[1], (--p->n) * sizeof(p->ids[0]));
	}
	p->ids[p->n] = p->ids[p->n - 1];
	p->ids[p->n - 1] = text;
	p->n++;
}

/* Reads which commands of the key lie before ours. What cannot be read is not
 * known; that the topic may be closed to us is no error. */
static void
read_before(struct pickup *p)
{
	const struct reader_place from = {
		READER_OFFSET, p->offset > LOOK_BACK ? p->offset - LOOK_BACK : 0
	};
	const struct reader_place to = { READER_OFFSET, p->offset };
	struct reader *reader = reader_new(p->config, &p->why);
	struct reader_record raw;
	struct record r;

	if (reader && reader_add(reader, TOPIC_COMMANDS, p->partition, &p->why) == 0 &&
	    reader_open(reader, &from, &to, &p->why) == 0) {
		while (reader_next(reader, 0, &raw, &p->why) == 1) {
			if (!span_eq(raw.key, buf_span(&p->key)) ||
			    record_open(p->schemas, &raw, &r, &p->why) < 0)
				continue;
			if (r.schema && r.command_id.len)
				add_before(p, r.command_id);
			record_release(&r);
		}
	}
	reader_free(reader);
}

/* The claims of all ids, in their order. */
static redisReply *
ask_claims(struct pickup *p)
{
	const char *argv[BEFORE_MAX + 2] = { "MGET" };
	size_t lens[BEFORE_MAX + 2] = { strlen("MGET") }, at = 0;
	struct buf keys = BUF_INIT;
	redisReply *reply = NULL;

	for (size_t i = 0; i < p->n; i++) {
		buf_addf(&keys, "%sclaim:%s", cli_redis_prefix(p->redis), p->ids[i]);
		lens[i + 1] = keys.len - at;
		at = keys.len;
	}
	if (keys.failed) {
		err_nomem(&p->why);
		goto out;
	}
	at = 0;
	for (size_t i = 0; i < p->n; i++) {
		argv[i + 1] = keys.data + at;
		at += lens[i + 1];
	}
	reply = cli_redis_argv(p->redis, &p->why, (int)p->n + 1, argv, lens);
	if (reply && (reply->type != REDIS_REPLY_ARRAY || reply->elements != p->n)) {
		freeReplyObject(reply);
		reply = NULL;
		err_set(&p->why, ERR_IO, "unexpected reply from Redis to MGET");
	}
out:
	buf_release(&keys);
	return reply;
}

/* Whether there is a claim, and whether that command is over. */
static bool
is_claimed(const redisReply *claim, bool *ret_over)
{
	struct buf scratch = BUF_INIT;
	struct claim c;
	bool there = claim->type == REDIS_REPLY_STRING;

	*ret_over = there && claim_parse((struct span){ claim->str, claim->len }, &scratch, &c,
					 /* reterr= */ NULL) == 0 &&
		    c.state == CLAIM_DONE;
	buf_release(&scratch);
	return there;
}

void
pickup_look(struct pickup *p, struct pickup_seen *ret)
{
	redisReply *claims = NULL;
	bool over;

	*ret = (struct pickup_seen){ .state = PICKUP_UNKNOWN, .why = p->why.text };
	if (!p->redis)
		p->redis = cli_redis_new(p->config, &p->why);
	if (p->redis && !p->looked)
		read_before(p);
	p->looked |= p->redis != NULL;
	if (p->redis)
		claims = ask_claims(p);
	if (!claims)
		return;
	ret->state = is_claimed(claims->element[p->n - 1], &over) ? PICKUP_TAKEN : PICKUP_OPEN;
	for (size_t i = 0; i + 1 < p->n && ret->state == PICKUP_OPEN; i++) {
		if (!is_claimed(claims->element[i], &over) || over)
			continue;
		ret->state = PICKUP_BEHIND;
		ret->behind = p->ids[i];
		ret->between = p->n - i - 2;
	}
	freeReplyObject(claims);
}

size_t
pickup_workers(struct pickup *p)
{
	const char *group = config_str(p->config, "kafka.group.id");
	struct catalog_instance *list;
	size_t n, count = 0;

	if (catalog_instances(p->redis, &list, &n, &p->why) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		count += strcmp(list[i].group, group) == 0;
	catalog_instances_free(list, n);
	return count;
}
