/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/command/time_limit.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"
#include "envdriver/base/units.h"
#include "envdriver/base/jtext.h"
#include "envdriver/command/command.h"
#include "envdriver/registry/registry.h"

#define KEY "plugin.call.timeout"

enum {
	PROBE_TIMEOUT_MS = 120000,
	GRACE_MS = 30000,		/* for the way there and back */
	TIMEOUT_MAX_MS = INT_MAX,
};

/* A key of the configuration, apart. */
struct limit_key {
	char *name, *where;
	char *plugin_key;		/* NULL: of any plugin */
	const struct operation *op;	/* NULL: any */
	int64_t ms;
};

struct time_limit_keys {
	struct limit_key *list;		/* the first is the one of all calls */
	size_t n;
};

/* --- the keys --- */

static const char *
operation_at(const void *arg, size_t i)
{
	(void)arg;
	return i < OPERATION_COUNT ? operation_by_id((enum operation_id)i)->name : NULL;
}

/* What stands behind the last '.' names an operation when it begins with a capital
 * letter, which no plugin key holds. */
static int
read_suffix(const char *suffix, struct limit_key *ret, struct err *reterr)
{
	const char *dot = strrchr(suffix, '.'), *last = dot ? dot + 1 : suffix;
	const char *near;
	size_t len = strlen(suffix);

	if (isupper((unsigned char)*last)) {
		ret->op = operation_by_name(span_of(last));
		near = nearest_word(last, operation_at, NULL);
		if (!ret->op)
			return err_set(reterr, ERR_CONFIG, "there is no operation '%s'%s%s%s", last,
				       near ? "; did you mean '" : "", near ? near : "",
				       near ? "'?" : "");
		if (!ret->op->rpc)
			return err_set(reterr, ERR_CONFIG, "%s calls no plugin", last);
		len = dot ? (size_t)(dot - suffix) : 0;
	}
	if (len && !(ret->plugin_key = strndup(suffix, len)))
		return err_nomem(reterr);
	return 0;
}

static int
add_limit_key(struct time_limit_keys *keys, const struct config_entry *e, struct err *reterr)
{
	struct limit_key *one, *grown;
	int ret;

	grown = realloc(keys->list, (keys->n + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(reterr);
	keys->list = grown;
	one = &grown[keys->n];
	*one = (struct limit_key){ .name = strdup(e->key), .where = strdup(e->where) };
	keys->n++;
	if (!one->name || !one->where)
		return err_nomem(reterr);
	ret = units_duration(e->value, &one->ms, reterr);
	if (ret == 0 && e->key[strlen(KEY)])
		ret = read_suffix(e->key + strlen(KEY) + 1, one, reterr);
	if (ret < 0)
		err_prefix(reterr, "%s: %s", e->where, e->key);
	return ret;
}

struct time_limit_keys *
time_limit_keys_new(const struct config *config, struct err *reterr)
{
	struct time_limit_keys *keys = calloc(1, sizeof(*keys));
	struct config_entry e;

	if (!keys) {
		err_nomem(reterr);
		return NULL;
	}
	for (size_t i = 0; config_entry(config, i, &e); i++) {
		size_t len = strlen(KEY);

		if (strncmp(e.key, KEY, len) != 0 || (e.key[len] && e.key[len] != '.'))
			continue;
		if (add_limit_key(keys, &e, reterr) < 0) {
			time_limit_keys_free(keys);
			return NULL;
		}
	}
	return keys;
}

void
time_limit_keys_free(struct time_limit_keys *keys)
{
	for (size_t i = 0; keys && i < keys->n; i++) {
		free(keys->list[i].name);
		free(keys->list[i].where);
		free(keys->list[i].plugin_key);
	}
	if (keys)
		free(keys->list);
	free(keys);
}

/* The key that says most of this call: plugin and operation, plugin, operation. */
static const struct limit_key *
find_key(const struct time_limit_keys *keys, const char *plugin_key, const struct operation *op)
{
	const struct limit_key *best = NULL;
	int most = 0;

	for (size_t i = 1; i < keys->n; i++) {
		const struct limit_key *one = &keys->list[i];
		int says = (one->plugin_key ? 2 : 0) + (one->op ? 1 : 0);

		if ((!one->op || one->op == op) && says > most &&
		    (!one->plugin_key || strcmp(one->plugin_key, plugin_key) == 0)) {
			best = one;
			most = says;
		}
	}
	return best;
}

/* --- what a config and its schema say --- */

/* A number that counts as a time limit, else 0. */
static double
limit_ms(struct jtext value)
{
	double ms;

	if (value.kind != JTEXT_NUMBER || !jtext_double(value, &ms) || !isfinite(ms) || ms <= 0)
		return 0;
	return ms;
}

/* A limit that leaves time for the way there and back. */
static struct time_limit
with_grace(double ms, const char *name, const char *where)
{
	bool cut = ms >= TIMEOUT_MAX_MS - GRACE_MS;

	return (struct time_limit){
		.ms = cut ? TIMEOUT_MAX_MS : (int64_t)ms + GRACE_MS,
		.set_ms = cut && ms >= 9e15 ? (int64_t)9e15 : (int64_t)ms,
		.name = name, .where = where,
	};
}

/* The fields of the config that count for an operation, each with its default:
 * the larger one of those that are set, or else of the defaults. */
struct config_limit {
	double ms;		/* 0: none */
	bool by_default;
	const char *name;
	bool any_set;
};

static void
look_at_field(struct config_limit *l, struct jtext config, const char *field, const char *name,
	      double by_default)
{
	double set = limit_ms(jtext_get(config, field)), ms = set > 0 ? set : by_default;

	l->any_set |= set > 0;
	if (ms <= l->ms)
		return;
	l->ms = ms;
	l->by_default = set <= 0;
	l->name = name;
}

static struct config_limit
config_limit(const struct command *c, const struct registry_driver *driver)
{
	struct config_limit l = { 0 };

	look_at_field(&l, command_config(c), "timeoutMs", "config.timeoutMs",
		      driver ? driver->timeout_ms : 0);
	if (c->op->limit == LIMIT_LEASE)
		look_at_field(&l, command_config(c), "bridgeRequestTimeoutMs",
			      "config.bridgeRequestTimeoutMs",
			      driver ? driver->bridge_timeout_ms : 0);
	return l;
}

struct time_limit
time_limit_of(const struct time_limit_keys *keys, const struct command *c, const char *plugin_key,
	      const struct registry_driver *driver)
{
	const struct limit_key *key = find_key(keys, plugin_key, c->op);
	const struct limit_key *all = &keys->list[0];
	struct config_limit config = { 0 };

	if (c->op->limit == LIMIT_NONE)
		return (struct time_limit){ 0 };
	if (c->op->limit == LIMIT_OWN && command_value(c, "timeoutMs")->present)
		return with_grace((double)command_value(c, "timeoutMs")->number,
				  "operation.timeoutMs", "the command");
	if (c->op->limit != LIMIT_DEFAULT && c->op->limit != LIMIT_PROBE)
		config = config_limit(c, driver);
	if (config.ms > 0 && (config.any_set || !key))
		return with_grace(config.ms, config.name,
				  config.by_default ? "the default in the driver's configSchema" :
						      "the command's config");
	if (!key && c->op->limit == LIMIT_PROBE)
		return (struct time_limit){ PROBE_TIMEOUT_MS, PROBE_TIMEOUT_MS,
					    "the limit of a Probe", "built in" };
	if (!key)
		key = all;
	return (struct time_limit){ key->ms, key->ms, key->name, key->where };
}

void
time_limit_add_json(const struct time_limit *limit, struct buf *out)
{
	buf_adds(out, "\"limit\":");
	jtext_add_string(out, span_of(limit->name));
	buf_adds(out, ",\"setBy\":");
	jtext_add_string(out, span_of(limit->where));
	buf_addf(out, ",\"setMs\":%" PRId64 ",\"limitMs\":%" PRId64, limit->set_ms, limit->ms);
}
