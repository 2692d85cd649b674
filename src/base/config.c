/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_value.h"
#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"

#define KAFKA "kafka."

enum { KEY_MAX = 250, VALUE_MAX = 64 * 1024, EXTRAS_MAX = 1000, HOST_MAX = 64, GONE_MAX = 4 };

/* A value of the table; `text` NULL means unset. */
struct slot {
	char *text;
	char *where;
	int64_t num;
};

/* A kafka.* value, or one of a family. */
struct extra {
	char *key;
	struct slot slot;
};

struct config {
	struct slot *slots;	/* one a row of config_params */
	struct extra *extras;
	size_t n_extras;
	struct slot gone[GONE_MAX];	/* of config_gone */
	void (*on_error)(void *arg, const char *text);	/* NULL: stop at the first */
	void *arg;
};

static bool
has_prefix(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static size_t
n_params(void)
{
	size_t n = 0;

	while (config_params[n].name)
		n++;
	return n;
}

/* The row's index, or n_params(). */
static size_t
row_of(const char *key)
{
	size_t i = 0;

	while (config_params[i].name && strcmp(config_params[i].name, key) != 0)
		i++;
	return i;
}

static struct slot *
find_extra(const struct config *c, const char *key)
{
	for (size_t i = 0; i < c->n_extras; i++)
		if (strcmp(c->extras[i].key, key) == 0)
			return &c->extras[i].slot;
	return NULL;
}

static void
slot_release(struct slot *s)
{
	free(s->text);
	free(s->where);
	*s = (struct slot){ 0 };
}

/* `value` NULL unsets. The slot is untouched on failure. */
static int
slot_put(struct slot *s, const char *value, int64_t num, const char *where, struct err *reterr)
{
	struct slot new = { .num = num };

	new.text = value ? strdup(value) : NULL;
	new.where = strdup(where);
	if ((value && !new.text) || !new.where) {
		slot_release(&new);
		return err_nomem(reterr);
	}
	slot_release(s);
	*s = new;
	return 0;
}

/* The host's name, with what an instance id may not hold as '-'. */
static void
name_instance(char host[HOST_MAX + 1])
{
	if (gethostname(host, HOST_MAX) < 0 || !host[0])
		strcpy(host, "localhost");
	for (char *p = host; *p; p++)
		if (!strchr("._-", *p) && !(*p >= '0' && *p <= '9') &&
		    !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
			*p = '-';
}

static int
set_row(struct config *c, size_t row, const char *value, const char *where, struct err *reterr)
{
	const struct config_param *p = &config_params[row];
	bool is_text = p->type == CONFIG_STRING || p->type == CONFIG_PATHS;
	char host[HOST_MAX + 1] = "";
	int64_t num = 0;
	int ret;

	/* Never NULL: it has a default that the table cannot know. */
	if (*value == '\0' && strcmp(p->name, "instance.id") == 0) {
		name_instance(host);
		value = host;
	}
	if (*value == '\0' && !p->def)
		return slot_put(&c->slots[row], NULL, 0, where, reterr);
	if (*value == '\0' && !(is_text && p->min == 0))
		return err_set(reterr, ERR_CONFIG, "needs a value (default %s)", p->def);
	ret = config_value_parse(p, value, &num, reterr);
	return ret < 0 ? ret : slot_put(&c->slots[row], value, num, where, reterr);
}

struct config *
config_new(struct err *reterr)
{
	struct config *c = malloc(sizeof(*c));
	size_t n = n_params();

	if (!c) {
		err_nomem(reterr);
		return NULL;
	}
	*c = (struct config){ .slots = calloc(n, sizeof(*c->slots)) };
	if (!c->slots) {
		err_nomem(reterr);
		goto fail;
	}
	for (size_t i = 0; i < n; i++)
		if (set_row(c, i, config_params[i].def ? config_params[i].def : "", "default",
			    reterr) < 0)
			goto fail;
	return c;
fail:
	config_free(c);
	return NULL;
}

void
config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->slots && i < n_params(); i++)
		slot_release(&c->slots[i]);
	for (size_t i = 0; i < c->n_extras; i++) {
		free(c->extras[i].key);
		slot_release(&c->extras[i].slot);
	}
	for (size_t i = 0; i < GONE_MAX; i++)
		slot_release(&c->gone[i]);
	free(c->extras);
	free(c->slots);
	free(c);
}

static int
set_extra(struct config *c, const char *key, const char *value, const char *where,
	  struct err *reterr)
{
	struct slot *slot = find_extra(c, key);
	struct extra *grown;

	if (!slot) {
		if (c->n_extras == EXTRAS_MAX)
			return err_set(reterr, ERR_CONFIG, "too many keys: at most %d", EXTRAS_MAX);
		grown = realloc(c->extras, (c->n_extras + 1) * sizeof(*grown));
		if (!grown)
			return err_nomem(reterr);
		c->extras = grown;
		grown[c->n_extras] = (struct extra){ .key = strdup(key) };
		if (!grown[c->n_extras].key)
			return err_nomem(reterr);
		slot = &grown[c->n_extras++].slot;
	}
	return slot_put(slot, value, 0, where, reterr);
}

static const char *
key_at(const void *arg, size_t i)
{
	(void)arg;
	return config_params[i].name;
}

static int
unknown_key(const char *key, struct err *reterr)
{
	const char *near = nearest_word(key, key_at, /* arg= */ NULL);

	if (near)
		return err_set(reterr, ERR_CONFIG, "unknown key '%s'; did you mean '%s'?", key,
			       near);
	return err_set(reterr, ERR_CONFIG,
		       "unknown key '%s'; `envdriver config print` lists all of them", key);
}

/* What is wrong with the text itself, whatever the key. */
static int
check_text(const char *key, const char *value, struct err *reterr)
{
	if (strlen(value) > VALUE_MAX)
		return err_set(reterr, ERR_CONFIG, "%s: value is longer than %d bytes", key,
			       VALUE_MAX);
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\t')
			return err_set(reterr, ERR_CONFIG, "%s: value contains a control character",
				       key);
	if (strcmp(value, "***") == 0)
		return err_set(reterr, ERR_CONFIG,
			       "%s: *** is a masked secret; write the secret itself", key);
	return 0;
}

/* Keys that may stand with a name behind them. */
static const struct config_param *
family_of(const char *key)
{
	static const char *const families[] = {
		"plugin.env", "plugin.call.timeout", "plugin.isolation", "plugin.network",
		"plugin.connect", "plugin.unix", "plugin.read", "plugin.write",
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		size_t len = strlen(families[i]);

		if (has_prefix(key, families[i]) && key[len] == '.' && key[len + 1])
			return &config_params[row_of(families[i])];
	}
	return NULL;
}

static int
set_of_family(struct config *c, const struct config_param *p, const char *key, const char *value,
	      const char *where, struct err *reterr)
{
	const char *wrong = p->wrong ? p->wrong(value) : NULL;
	int64_t num;

	if (wrong)
		return err_set(reterr, ERR_CONFIG, "%s: '%s' %s", key, value, wrong);
	if ((p->type != CONFIG_STRING || p->words) && *value &&
	    config_value_parse(p, value, &num, reterr) < 0) {
		err_prefix(reterr, "%s", key);
		return ERR_CONFIG;
	}
	return set_extra(c, key, value, where, reterr);
}

static int
set_key(struct config *c, const char *key, const char *value, const char *where,
	struct err *reterr)
{
	size_t row = row_of(key);
	const struct config_param *family;
	const char *refusal;
	int ret;

	ret = check_text(key, value, reterr);
	if (ret < 0)
		return ret;
	if (config_params[row].name) {
		ret = set_row(c, row, value, where, reterr);
		if (ret < 0)
			err_prefix(reterr, "%s", key);
		return ret;
	}
	for (size_t i = 0; config_gone[i]; i++)
		if (i < GONE_MAX && strcmp(config_gone[i], key) == 0)
			return slot_put(&c->gone[i], value, 0, where, reterr);
	for (const char *p = key; *p; p++)
		if (*p <= ' ' || *p > '~' || p - key == KEY_MAX)
			return err_set(reterr, ERR_CONFIG, "a key may contain up to %d letters, "
				       "digits, '.', '_' and '-'", KEY_MAX);
	family = family_of(key);
	if (family)
		return set_of_family(c, family, key, value, where, reterr);
	if (!has_prefix(key, KAFKA) || !key[strlen(KAFKA)])
		return unknown_key(key, reterr);
	refusal = config_refusal(key + strlen(KAFKA));
	if (refusal)
		return err_set(reterr, ERR_CONFIG, "%s is refused: %s", key, refusal);
	return set_extra(c, key, value, where, reterr);
}

int
config_set(struct config *c, const char *key, const char *value, const char *where,
	   struct err *reterr)
{
	int ret = set_key(c, key, value, where, reterr);

	if (ret < 0)
		err_prefix(reterr, "%s", where);
	return ret;
}

int
config_set_pair(struct config *c, const char *pair, const char *where, struct err *reterr)
{
	const char *eq = strchr(pair, '=');
	struct buf key = BUF_INIT;
	int ret;

	if (!eq)
		return err_set(reterr, ERR_CONFIG, "%s: '%s' is not key=value", where, pair);
	buf_add(&key, pair, (size_t)(eq - pair));
	if (key.failed)
		ret = err_nomem(reterr);
	else
		ret = config_set(c, key.data, eq + 1, where, reterr);
	buf_release(&key);
	return ret;
}

void
config_go_on(struct config *c, void (*fn)(void *arg, const char *text), void *arg)
{
	c->on_error = fn;
	c->arg = arg;
}

bool
config_keep_error(const struct config *c, struct err *pending, const struct err *err)
{
	if (pending->code && c->on_error)
		c->on_error(c->arg, pending->text);
	*pending = *err;
	return c->on_error && err->code == ERR_CONFIG;
}

const char *
config_gone_where(const struct config *c, size_t i)
{
	assert(i < GONE_MAX);
	return c->gone[i].where;
}

const char *
config_str(const struct config *c, const char *key)
{
	size_t row = row_of(key);

	assert(config_params[row].type == CONFIG_STRING || config_params[row].type == CONFIG_PATHS);
	assert(config_params[row].name);
	return c->slots[row].text;
}

int64_t
config_int(const struct config *c, const char *key)
{
	size_t row = row_of(key);

	assert(config_params[row].type == CONFIG_INT ||
	       config_params[row].type == CONFIG_DURATION ||
	       config_params[row].type == CONFIG_SIZE);
	return c->slots[row].num;
}

bool
config_bool(const struct config *c, const char *key)
{
	size_t row = row_of(key);

	assert(config_params[row].type == CONFIG_BOOL);
	return c->slots[row].num;
}

const char *
config_dynamic(const struct config *c, const char *key)
{
	struct slot *slot = find_extra(c, key);

	return slot ? slot->text : NULL;
}

const char *
config_own(const struct config *c, const char *key, const char *name)
{
	char own[KEY_MAX + 1];

	if (!name || (size_t)snprintf(own, sizeof(own), "%s.%s", key, name) >= sizeof(own))
		return NULL;
	return config_dynamic(c, own);
}

bool
config_entry(const struct config *c, size_t i, struct config_entry *ret)
{
	size_t n = n_params();
	const struct slot *slot;

	if (i >= n + c->n_extras)
		return false;
	slot = i < n ? &c->slots[i] : &c->extras[i - n].slot;
	*ret = (struct config_entry){
		.key = i < n ? config_params[i].name : c->extras[i - n].key,
		.value = slot->text,
		.where = slot->where,
		.param = i < n ? &config_params[i] : NULL,
	};
	return true;
}

int
config_each_kafka(const struct config *c,
		  int (*fn)(void *arg, const char *name, const char *value, struct err *reterr),
		  void *arg, struct err *reterr)
{
	for (size_t i = 0; i < c->n_extras; i++) {
		const struct extra *e = &c->extras[i];
		int ret;

		if (!has_prefix(e->key, KAFKA))
			continue;
		ret = fn(arg, e->key + strlen(KAFKA), e->slot.text, reterr);
		if (ret < 0) {
			err_prefix(reterr, "%s", e->slot.where);
			return ret;
		}
	}
	return 0;
}
