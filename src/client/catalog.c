/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/cli/cli_redis.h"
#include "envdriver/redis/redis.h"

enum { PLUGINS_MAX = 10000, KEYS_MAX = 100000 };

static void
plugin_release(struct catalog_plugin *p)
{
	free(p->id);
	free(p->key);
	free(p->status);
	free(p->package);
	free(p->text);
	free(p->workers);
	free(p->isolation);
	free(p->worker);
	free(p->reason);
}

void
catalog_release(struct catalog *c)
{
	for (size_t i = 0; i < c->n; i++)
		plugin_release(&c->plugins[i]);
	free(c->plugins);
	*c = (struct catalog){ 0 };
}

/* A copy of a field in the reply to HGETALL; "" when it is missing. */
static char *
hash_field(const redisReply *hash, const char *name)
{
	for (size_t i = 0; i + 1 < hash->elements; i += 2)
		if (strcmp(hash->element[i]->str, name) == 0)
			return strndup(hash->element[i + 1]->str, hash->element[i + 1]->len);
	return strdup("");
}

/* Calls `fn` for each key that matches; SCAN may name one twice. */
static int
scan_keys(struct cli_redis *redis, const char *pattern, int (*fn)(void *arg, const char *key),
	  void *arg, struct err *reterr)
{
	char cursor[32] = "0";
	size_t seen = 0;
	int ret = 0;

	do {
		redisReply *reply = cli_redis_do(redis, reterr, "SCAN %s MATCH %s COUNT 1000",
						 cursor, pattern);

		if (!reply)
			return reterr ? (int)reterr->code : ERR_IO;
		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		    reply->element[1]->type != REDIS_REPLY_ARRAY) {
			freeReplyObject(reply);
			return err_set(reterr, ERR_IO, "unexpected reply from Redis to SCAN");
		}
		snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
		for (size_t i = 0; i < reply->element[1]->elements && ret == 0; i++)
			ret = fn(arg, reply->element[1]->element[i]->str);
		seen += reply->element[1]->elements;
		freeReplyObject(reply);
	} while (ret == 0 && strcmp(cursor, "0") != 0 && seen < KEYS_MAX);
	return ret < 0 ? err_nomem(reterr) : 0;
}

struct workers {
	struct cli_redis *redis;
	struct catalog *catalog;
	size_t skip;	/* bytes of "envdriver:worker:" */
};

/* The plugin of "<pluginId>:<instanceId>". Ids may contain ':' themselves, so
 * the longest match wins. */
static struct catalog_plugin *
plugin_of_key(struct catalog *c, const char *rest, const char **ret_instance)
{
	struct catalog_plugin *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < c->n; i++) {
		size_t len = strlen(c->plugins[i].id);

		if (len >= longest && strncmp(rest, c->plugins[i].id, len) == 0 &&
		    rest[len] == ':') {
			best = &c->plugins[i];
			longest = len;
		}
	}
	if (best)
		*ret_instance = rest + longest + 1;
	return best;
}

/* As they are shown; of records that say crashed and gaveUp, the last. */
static const char *const states[CATALOG_STATES] = {
	"running", "starting", "backoff", "stopping", "stopped", "crashed", "gave up",
};
enum { STATE_CRASHED = CATALOG_STATES - 2, STATE_GAVE_UP };

static void
count_state(struct catalog_plugin *p, const char *status, bool gave_up)
{
	for (int i = 0; i < STATE_GAVE_UP; i++)
		if (strcmp(status, states[i]) == 0)
			p->states[i == STATE_CRASHED && gave_up ? STATE_GAVE_UP : i]++;
}

static int
join_text(char **text, const char *comma, const char *a, const char *b, const char *c)
{
	struct buf all = BUF_INIT;

	buf_addf(&all, "%s%s%s%s%s", *text, **text ? comma : "", a, b, c);
	free(*text);
	*text = buf_take(&all, NULL);
	return *text ? 0 : ERR_NOMEM;
}

static const char *
reply_text(const redisReply *reply, size_t i)
{
	return reply->element[i]->type == REDIS_REPLY_STRING ? reply->element[i]->str : "";
}

/* Its status, reason, gaveUp and isolation. */
static int
take_worker(struct catalog_plugin *p, const char *instance, const redisReply *record)
{
	const char *status = reply_text(record, 0), *reason = reply_text(record, 1);
	bool runs = strcmp(status, "running") == 0;
	int ret = 0;

	count_state(p, status, strcmp(reply_text(record, 2), "true") == 0);
	p->running += runs;
	if (runs)
		ret = join_text(&p->workers, " ", instance, "", "");
	if (runs && ret == 0 && !*p->isolation)
		ret = join_text(&p->isolation, "", reply_text(record, 3), "", "");
	if (!runs && *reason)
		ret = join_text(&p->reason, "; ", instance, ": ", reason);
	return ret;
}

static int
add_worker(void *arg, const char *key)
{
	struct workers *w = arg;
	const char *instance = "";
	struct catalog_plugin *p = plugin_of_key(w->catalog, key + w->skip, &instance);
	redisReply *reply = p ? cli_redis_do(w->redis, NULL, "HMGET %s status reason gaveUp "
						     "isolation", key) :
				NULL;
	int ret = 0;

	/* A key that expired meanwhile, or is not a hash, runs nothing. */
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 4)
		ret = take_worker(p, instance, reply);
	freeReplyObject(reply);
	return ret;
}

/* One worker in a word, several with how many are in each state. */
static int
describe_workers(struct catalog_plugin *p)
{
	unsigned all = 0;
	char count[16];

	for (int i = 0; i < CATALOG_STATES; i++)
		all += p->states[i];
	for (int i = 0; i < CATALOG_STATES; i++) {
		snprintf(count, sizeof(count), all > 1 ? " %u" : "", p->states[i]);
		if (p->states[i] && join_text(&p->worker, ", ", states[i], count, "") < 0)
			return ERR_NOMEM;
	}
	if (!all && strcmp(p->status, "ready") == 0)
		return join_text(&p->worker, "", "none", "", "");
	return 0;
}

static int
find_workers(struct cli_redis *redis, struct catalog *c, struct err *reterr)
{
	struct workers w = { redis, c, 0 };
	struct buf pattern = BUF_INIT;
	int ret;

	redis_add_escaped(&pattern, cli_redis_prefix(redis));
	buf_adds(&pattern, "worker:*");
	w.skip = strlen(cli_redis_prefix(redis)) + strlen("worker:");
	ret = pattern.failed ? err_nomem(reterr)
			     : scan_keys(redis, pattern.data, add_worker, &w, reterr);
	buf_release(&pattern);
	for (size_t i = 0; ret == 0 && i < c->n; i++)
		if (describe_workers(&c->plugins[i]) < 0)
			ret = err_nomem(reterr);
	return ret;
}

/* A key of another type, or bad JSON, makes a plugin that is not ready. */
static int
read_plugin(struct cli_redis *redis, const char *id, struct catalog_plugin *ret, struct err *reterr)
{
	const char *prefix = cli_redis_prefix(redis);
	redisReply *hash = cli_redis_do(redis, NULL, "HGETALL %splugin:%s", prefix, id), *lead;
	const redisReply none = { .elements = 0 };

	if (hash && hash->type != REDIS_REPLY_ARRAY) {
		freeReplyObject(hash);
		hash = NULL;
	}
	ret->id = strdup(id);
	ret->key = hash_field(hash ? hash : &none, "pluginKey");
	ret->status = hash_field(hash ? hash : &none, "status");
	ret->package = hash_field(hash ? hash : &none, "package");
	ret->text = hash_field(hash ? hash : &none, "manifest");
	ret->workers = strdup("");
	ret->worker = strdup("");
	ret->isolation = strdup("");
	ret->reason = strdup("");
	freeReplyObject(hash);
	if (!ret->id || !ret->key || !ret->status || !ret->package || !ret->text ||
	    !ret->workers || !ret->worker || !ret->reason || !ret->isolation)
		return err_nomem(reterr);
	if (jtext_check(span_of(ret->text), JTEXT_DEPTH_MAX, &ret->manifest, NULL) < 0 ||
	    ret->manifest.kind != JTEXT_OBJECT)
		ret->manifest = (struct jtext){ 0 };
	lead = cli_redis_do(redis, NULL, "GET %splugin-key:%s", prefix, ret->key);
	ret->by_key = lead && lead->type == REDIS_REPLY_STRING && strcmp(lead->str, id) == 0;
	freeReplyObject(lead);
	return 0;
}

int
catalog_read(struct cli_redis *redis, struct catalog *ret, struct err *reterr)
{
	redisReply *ids = cli_redis_do(redis, reterr, "ZRANGE %splugins 0 %d",
				       cli_redis_prefix(redis), PLUGINS_MAX - 1);
	int rc = 0;

	*ret = (struct catalog){ 0 };
	if (!ids)
		return reterr ? (int)reterr->code : ERR_IO;
	ret->plugins = calloc(ids->elements + 1, sizeof(*ret->plugins));
	if (!ret->plugins)
		rc = err_nomem(reterr);
	for (size_t i = 0; i < ids->elements && rc == 0; i++) {
		ret->plugins[i].order = i;
		ret->n = i + 1;
		rc = read_plugin(redis, ids->element[i]->str, &ret->plugins[i], reterr);
	}
	freeReplyObject(ids);
	if (rc == 0 && ret->n > 0)
		rc = find_workers(redis, ret, reterr);
	if (rc < 0)
		catalog_release(ret);
	return rc;
}

const struct catalog_plugin *
catalog_find(const struct catalog *c, const char *id_or_key, struct err *reterr)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->plugins[i].id, id_or_key) == 0)
			return &c->plugins[i];
	for (size_t i = 0; i < c->n; i++)
		if (c->plugins[i].by_key && strcmp(c->plugins[i].key, id_or_key) == 0)
			return &c->plugins[i];
	err_set(reterr, ERR_NOTFOUND, "unknown plugin '%.100s'; see `envdriver plugin list`",
		id_or_key);
	return NULL;
}

struct jtext
catalog_driver(const struct catalog_plugin *p, struct span driver_key, bool provider)
{
	struct jtext drivers = jtext_get(p->manifest, "environmentDrivers"), entry;
	struct jtext found = { 0 };
	struct buf key = BUF_INIT;
	struct jtext_iter it;

	if (drivers.kind != JTEXT_ARRAY)
		return found;
	jtext_iter_init(&it, drivers);
	while (found.kind == JTEXT_MISSING && jtext_iter_next(&it, NULL, &entry)) {
		struct jtext name = jtext_get(entry, "driverKey"), kind = jtext_get(entry, "kind");
		bool same;

		buf_reset(&key);
		if (name.kind != JTEXT_STRING)
			continue;
		jtext_decode(name, &key, /* ret_replaced= */ NULL);
		same = span_eq(buf_span(&key), driver_key);
		if (same && provider)
			same = kind.kind == JTEXT_STRING && jtext_is(kind, "sandbox_provider");
		if (same)
			found = entry;
	}
	buf_release(&key);
	return found;
}

struct instances {
	struct cli_redis *redis;
	struct catalog_instance *list;
	size_t n, skip;
};

static int
add_instance(void *arg, const char *key)
{
	struct instances *all = arg;
	redisReply *reply = cli_redis_do(all->redis, NULL, "HGETALL %s", key);
	struct catalog_instance *grown;
	int ret = 0;

	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
		grown = realloc(all->list, (all->n + 1) * sizeof(*grown));
		if (grown) {
			all->list = grown;
			grown[all->n].id = strdup(key + all->skip);
			grown[all->n++].group = hash_field(reply, "group");
		}
		ret = grown && grown[all->n - 1].id && grown[all->n - 1].group ? 0 : ERR_NOMEM;
	}
	freeReplyObject(reply);
	return ret;
}

int
catalog_instances(struct cli_redis *redis, struct catalog_instance **ret, size_t *ret_n,
		  struct err *reterr)
{
	struct instances all = { .redis = redis };
	struct buf pattern = BUF_INIT;
	int rc;

	redis_add_escaped(&pattern, cli_redis_prefix(redis));
	buf_adds(&pattern, "instance:*");
	all.skip = strlen(cli_redis_prefix(redis)) + strlen("instance:");
	rc = pattern.failed ? err_nomem(reterr)
			    : scan_keys(redis, pattern.data, add_instance, &all, reterr);
	buf_release(&pattern);
	if (rc < 0) {
		catalog_instances_free(all.list, all.n);
		return rc;
	}
	*ret = all.list;
	*ret_n = all.n;
	return 0;
}

void
catalog_instances_free(struct catalog_instance *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].id);
		free(list[i].group);
	}
	free(list);
}
