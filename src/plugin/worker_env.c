/* SPDX-License-Identifier: Apache-2.0 */
#include "worker_env.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/isolation/user_tasks.h"

enum { THREADS_EACH = 4 };	/* of a process, on the average */

static const char *const fixed[] = {
	"PATH=/usr/local/bin:/usr/bin:/bin",
	"NODE_ENV=production",
	"TZ=UTC",
	"PAPERCLIP_DEPLOYMENT_MODE=local_trusted",
	"PAPERCLIP_DEPLOYMENT_EXPOSURE=private",
};

/* "NAME=value" each, with a NUL behind it. */
struct list {
	struct buf text;
	size_t n;
};

static bool
is_name(const char *entry, struct span name)
{
	return strncmp(entry, name.ptr, name.len) == 0 && entry[name.len] == '=';
}

static void
add_entry(struct list *l, const char *entry)
{
	buf_add(&l->text, entry, strlen(entry) + 1);
	l->n++;
}

static const char *
find_entry(char *const env[], struct span name)
{
	for (; name.len && *env; env++)
		if (is_name(*env, name))
			return *env;
	return NULL;
}

/* Calls for each name of a list as "A B,C". */
static bool
next_name(const char **p, struct span *ret)
{
	*p += strspn(*p, " ,\t");
	*ret = (struct span){ *p, strcspn(*p, " ,\t") };
	*p += ret->len;
	return ret->len > 0;
}

static bool
names_entry(const char *names, const char *entry)
{
	struct span name;

	while (names && next_name(&names, &name))
		if (is_name(entry, name))
			return true;
	return false;
}

/* `own_names`: what is set for it in any case. */
static void
pass_named(struct list *l, const char *names, const char *but, const char *own_names,
	   char *const own[])
{
	struct span name;
	const char *entry;

	while (names && next_name(&names, &name)) {
		entry = find_entry(own, name);
		if (entry && entry[name.len + 1] && !names_entry(but, entry) &&
		    !(own_names && names_entry(own_names, entry)))
			add_entry(l, entry);
	}
}

static char **
as_block(struct list *l)
{
	size_t table = (l->n + 1) * sizeof(char *);
	char **env = l->text.failed ? NULL : malloc(table + l->text.len), *p;

	if (!env)
		return NULL;
	p = (char *)env + table;
	memcpy(p, buf_span(&l->text).ptr, l->text.len);
	for (size_t i = 0; i < l->n; i++, p += strlen(p) + 1)
		env[i] = p;
	env[l->n] = NULL;
	return env;
}

static void
add_variable(struct list *l, const char *name, const char *value)
{
	if (!value)
		return;
	buf_addf(&l->text, "%s=%s", name, value);
	buf_addch(&l->text, '\0');
	l->n++;
}

static const char *
own_names_of(const struct worker_env_of *of)
{
	if (of->data)
		return "PAPERCLIP_PLUGIN_ID TMPDIR PLUGIN_DATA_DIR";
	return of->tmp ? "PAPERCLIP_PLUGIN_ID TMPDIR" : "PAPERCLIP_PLUGIN_ID";
}

char **
worker_env_new(const struct config *config, const struct worker_env_of *of, char *const own[],
	       struct err *reterr)
{
	const char *all = config_str(config, "plugin.env");
	const char *one = config_own(config, "plugin.env", of->plugin_key);
	struct list passed = { BUF_INIT, 0 }, l = { BUF_INIT, 0 };
	char **given = NULL, **env = NULL;

	pass_named(&passed, one, /* but= */ NULL, own_names_of(of), own);
	pass_named(&passed, all, one, own_names_of(of), own);
	given = as_block(&passed);
	if (!given)
		goto out;
	add_variable(&l, "PAPERCLIP_PLUGIN_ID", of->plugin_id);
	add_variable(&l, "TMPDIR", of->tmp);
	add_variable(&l, "PLUGIN_DATA_DIR", of->data);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (!find_entry(given, (struct span){ fixed[i], strcspn(fixed[i], "=") }))
			add_entry(&l, fixed[i]);
	for (char **e = given; *e; e++)
		add_entry(&l, *e);
	env = as_block(&l);
out:
	if (!env)
		err_nomem(reterr);
	free(given);
	buf_release(&passed.text);
	buf_release(&l.text);
	return env;
}

const char *
worker_env_get(char *const env[], const char *name)
{
	const char *entry = find_entry(env, span_of(name));

	return entry ? entry + strlen(name) + 1 : NULL;
}

/*
 * 0 is unset, but for core files, of which there are none. Memory is
 * RLIMIT_DATA, what a process can write to: RLIMIT_AS would count what a
 * runtime reserves and never uses, for Node some GiB.
 */
static const struct {
	const char *key;
	int resource;
} limit_keys[] = {
	{ "plugin.limit.core", RLIMIT_CORE },
	{ "plugin.limit.memory", RLIMIT_DATA },
	{ "plugin.limit.files", RLIMIT_NOFILE },
	{ "plugin.limit.processes", RLIMIT_NPROC },
};

size_t
worker_env_limits(const struct config *config, size_t processes_max,
		  struct spawn_limit ret[WORKER_ENV_LIMITS])
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(limit_keys) / sizeof(*limit_keys); i++) {
		int64_t value = config_int(config, limit_keys[i].key);

		if (value > 0 || limit_keys[i].resource == RLIMIT_CORE)
			ret[n++] = (struct spawn_limit){ limit_keys[i].resource, (uint64_t)value };
	}
	/* The kernel compares it with all threads of the user. */
	if (processes_max && config_int(config, "plugin.limit.processes") == 0)
		ret[n++] = (struct spawn_limit){ RLIMIT_NPROC, user_tasks_count() +
						 THREADS_EACH * processes_max };
	return n;
}
