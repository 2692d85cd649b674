/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin_jail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/isolation/cgroup.h"
#include "envdriver/isolation/jail.h"
#include "envdriver/isolation/namespaces.h"
#include "envdriver/isolation/scratch.h"
#include "envdriver/plugin/bundled.h"
#include "envdriver/package/package.h"
#include "jail_paths.h"

enum { PROCESSES_MAX = 512, THREADS_EACH = 4, FOLDER_MODE = 0700 };

/* --- settings --- */

/* What is set for this plugin alone; NULL: nothing. */
static const char *
own_setting(const struct plugin_jail_of *of, const char *key)
{
	return config_own(of->config, key, of->plugin_key);
}

static const char *
word_setting(const struct plugin_jail_of *of, const char *key)
{
	const char *own = own_setting(of, key);

	return own ? own : config_str(of->config, key);
}

static bool
flag_setting(const struct plugin_jail_of *of, const char *key)
{
	const char *own = own_setting(of, key);

	return own ? strcmp(own, "true") == 0 : config_bool(of->config, key);
}

static size_t
read_ports(const char *text, uint16_t ports[JAIL_PORTS_MAX])
{
	size_t n = 0;
	char *end;

	for (; text && *text && n < JAIL_PORTS_MAX; text = end + strspn(end, " ,"))
		ports[n++] = (uint16_t)strtol(text, &end, 10);
	return n;
}

/* --- folders --- */

/* An id may hold anything: what is no letter, digit, '-' or '_' is spelled out. */
static void
spell_id(struct buf *out, const char *id)
{
	for (; *id; id++) {
		unsigned char c = (unsigned char)*id;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '-' || c == '_' || (c == '.' && out->data[out->len - 1] != '/'))
			buf_addch(out, (char)c);
		else
			buf_addf(out, "%%%02x", c);
	}
}

static int
make_data(struct plugin_jail *pj, const struct plugin_jail_of *of, struct err *reterr)
{
	const char *dir = config_str(of->config, "plugin.data.dir");
	struct buf path = BUF_INIT;

	if (!dir)
		return 0;
	buf_addf(&path, "%s/", dir);
	if (!path.failed)
		spell_id(&path, of->plugin_id);
	pj->data = buf_take(&path, NULL);
	buf_release(&path);
	if (!pj->data)
		return err_nomem(reterr);
	(void)mkdir(dir, FOLDER_MODE);
	if (mkdir(pj->data, FOLDER_MODE) < 0 && errno != EEXIST)
		return err_set(reterr, ERR_IO, "cannot make its folder '%s' (plugin.data.dir): %s",
			       pj->data, strerror(errno));
	return 0;
}

int
plugin_jail_make_folders(struct plugin_jail *pj, const struct plugin_jail_of *of,
			 struct err *reterr)
{
	*pj = (struct plugin_jail){ .tmp = scratch_folder() };
	return make_data(pj, of, reterr);
}

/* --- the jail --- */

/* What comes with this program isolates its commands itself; and the operator's wrapper is
 * the isolation that he chose. */
static const char *
isolation_of(const struct plugin_jail_of *of, const struct package *package)
{
	const char *own = own_setting(of, "plugin.isolation"), *all;

	if (own)
		return own;
	all = config_str(of->config, "plugin.isolation");
	if (bundled_is(package->dir) ||
	    (strcmp(all, "auto") == 0 && config_str(of->config, "plugin.wrapper")))
		return "none";
	return all;
}

/* What was asked for must hold, also with auto. */
static int
check_support(const char *isolation, const struct jail_rules *rules, struct err *reterr)
{
	const struct jail_support *s = jail_support();
	char missing[PLUGIN_JAIL_TEXT];

	if (strcmp(isolation, "strict") == 0 &&
	    !jail_supports(JAIL_LANDLOCK | JAIL_SECCOMP, missing, sizeof(missing)))
		return err_set(reterr, ERR_DENIED, "plugin.isolation is strict, and this system "
			       "has no %s", missing);
	if (rules->n_ports && s->landlock < JAIL_LANDLOCK_PORTS)
		return err_set(reterr, ERR_DENIED, "plugin.connect needs Landlock %d (Linux 6.7), "
			       "this system has %d", JAIL_LANDLOCK_PORTS, s->landlock);
	if (!(rules->permits & JAIL_INET) && !s->seccomp)
		return err_set(reterr, ERR_DENIED, "plugin.network = none needs seccomp, which "
			       "this system has not");
	return 0;
}

void
plugin_jail_name_layers(unsigned layers, bool namespaces, bool cgroup, char ret[PLUGIN_JAIL_TEXT])
{
	int n = snprintf(ret, PLUGIN_JAIL_TEXT, "limits");

	if (layers & JAIL_LANDLOCK)
		n += snprintf(ret + n, PLUGIN_JAIL_TEXT - (size_t)n, ",landlock:%d",
			      jail_support()->landlock);
	if (layers & JAIL_SECCOMP)
		n += snprintf(ret + n, PLUGIN_JAIL_TEXT - (size_t)n, ",seccomp");
	if (namespaces)
		n += snprintf(ret + n, PLUGIN_JAIL_TEXT - (size_t)n, ",namespaces");
	if (cgroup)
		snprintf(ret + n, PLUGIN_JAIL_TEXT - (size_t)n, ",cgroup");
}

static unsigned
layers_of(const struct plugin_jail *pj)
{
	if (pj->jail)
		return jail_layers(pj->jail);
	return pj->namespaces && jail_support()->seccomp ? JAIL_SECCOMP : 0;
}

/* Ports are limited by Landlock only. */
static bool
wants_namespaces(const struct plugin_jail_of *of, const struct jail_rules *rules)
{
	return strcmp(config_str(of->config, "plugin.isolation.namespaces"), "auto") == 0 &&
	       rules->n_ports == 0 && namespaces_work();
}

static int
make_jail(struct plugin_jail *pj, const struct plugin_jail_of *of, const struct package *package,
	  char *const env[], const char *isolation, struct err *reterr)
{
	uint16_t ports[JAIL_PORTS_MAX];
	struct jail_paths paths = { 0 };
	struct jail_rules rules = {
		.layers = JAIL_LANDLOCK | JAIL_SECCOMP, .system = true, .ports = ports,
		.n_ports = read_ports(word_setting(of, "plugin.connect"), ports),
	};
	int ret;

	/* Mounts of secrets are open to all, more often than not. */
	jail_hide(config_str(of->config, "secrets.dir"));
	jail_hide(getenv("CREDENTIALS_DIRECTORY"));
	if (flag_setting(of, "plugin.unix"))
		rules.permits |= JAIL_UNIX;
	if (strcmp(word_setting(of, "plugin.network"), "host") == 0)
		rules.permits |= JAIL_INET;
	ret = check_support(isolation, &rules, reterr);
	if (ret < 0)
		return ret;
	jail_paths_add_program(&paths, config_str(of->config, "plugin.dirs"), package, env);
	jail_paths_add_list(&paths.read, config_str(of->config, "plugin.read"));
	jail_paths_add_list(&paths.read, own_setting(of, "plugin.read"));
	jail_paths_add_list(&paths.write, config_str(of->config, "plugin.write"));
	jail_paths_add_list(&paths.write, own_setting(of, "plugin.write"));
	jail_paths_add(&paths.write, pj->tmp);
	jail_paths_add(&paths.write, pj->data);
	rules.read = (const char *const *)paths.read.at;
	rules.write = (const char *const *)paths.write.at;
	if (wants_namespaces(of, &rules))
		pj->namespaces = namespaces_new(&rules, pj->tmp, package->dir, package->argv,
						reterr);
	else
		pj->jail = jail_new(&rules, reterr);
	jail_paths_release(&paths);
	return pj->jail || pj->namespaces ? 0 : ERR_IO;
}

int
plugin_jail_close(struct plugin_jail *pj, const struct plugin_jail_of *of,
		  const struct package *package, char *const env[], struct err *reterr)
{
	const char *isolation = isolation_of(of, package);
	int64_t processes = config_int(of->config, "plugin.limit.processes");
	int ret = 0;

	if (processes > 0)
		pj->processes_max = (size_t)processes;
	else if (!bundled_is(package->dir))
		pj->processes_max = PROCESSES_MAX;
	pj->cgroup = cgroup_new((uint64_t)config_int(of->config, "plugin.limit.memory"),
				THREADS_EACH * pj->processes_max);
	if (strcmp(isolation, "none") != 0)
		ret = make_jail(pj, of, package, env, isolation, reterr);
	plugin_jail_name_layers(layers_of(pj), pj->namespaces, pj->cgroup, pj->layers);
	return ret;
}

void
plugin_jail_release(struct plugin_jail *pj, char **ret_tmp, char **ret_cgroup)
{
	jail_free(pj->jail);
	namespaces_free(pj->namespaces);
	*ret_tmp = pj->tmp;
	*ret_cgroup = pj->cgroup;
	free(pj->data);
	*pj = (struct plugin_jail){ 0 };
}
