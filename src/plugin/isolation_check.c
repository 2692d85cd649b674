/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/isolation_check.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/config.h"
#include "envdriver/base/findings.h"
#include "envdriver/base/redis_url.h"
#include "envdriver/isolation/cgroup.h"
#include "envdriver/isolation/jail.h"
#include "envdriver/isolation/namespaces.h"
#include "plugin_jail.h"

enum { MISSING_SIZE = 200, ABI_SIGNALS = 6 };

static bool
is_set_to(const struct config *config, const char *key, const char *word)
{
	return strcmp(config_str(config, key), word) == 0;
}

static bool
wants_spaces(const struct config *config)
{
	return is_set_to(config, "plugin.isolation.namespaces", "auto") &&
	       !config_str(config, "plugin.connect");
}

static void
check_layers(const struct config *config, const struct findings *f)
{
	char missing[MISSING_SIZE];

	if (is_set_to(config, "plugin.isolation", "none")) {
		findings_note(f, "plugin.isolation is none: plugins can read the memory, the "
			      "configuration and the servers of the worker");
		return;
	}
	if (!jail_supports(JAIL_LANDLOCK | JAIL_SECCOMP, missing, sizeof(missing)))
		findings_add(f, "plugin.isolation: a layer is missing on this host (%s): %s",
			     missing, is_set_to(config, "plugin.isolation", "strict") ?
			     "with strict, no plugin starts" :
			     "plugins can reach more of this worker than they should");
	else if (jail_support()->landlock < ABI_SIGNALS)
		findings_note(f, "plugin.isolation: Landlock %d does not keep signals in: a plugin "
			      "can end other processes of its user (Linux 6.12 does)",
			      jail_support()->landlock);
	if (jail_support()->landlock < JAIL_LANDLOCK_PORTS && config_str(config, "plugin.connect"))
		findings_add(f, "plugin.connect: needs Landlock %d (Linux 6.7): no plugin starts",
			     JAIL_LANDLOCK_PORTS);
	if (wants_spaces(config) && !namespaces_work())
		findings_note(f, "plugin.isolation.namespaces: bwrap is not there, or may not make "
			      "namespaces here: plugins get none");
	if (geteuid() == 0)
		findings_note(f, "plugins are root, though without capabilities: run workers as a "
			      "user of their own");
}

/* What a plugin can connect to must ask who it is. */
static void
check_servers(const struct config *config, const struct findings *f)
{
	const char *protocol = config_dynamic(config, "kafka.security.protocol");
	struct redis_url url;

	if (is_set_to(config, "plugin.network", "none") || config_str(config, "plugin.connect"))
		return;
	if (!redis_url_parse(config_str(config, "redis.url"), &url) && !url.is_unix &&
	    !url.password[0])
		findings_note(f, "redis.url: without a password, plugins reach Redis over the "
			      "network; set one, or plugin.connect");
	if (!protocol || strcasecmp(protocol, "PLAINTEXT") == 0)
		findings_note(f, "kafka.security.protocol: without a login, plugins reach Kafka "
			      "over the network; set one, or plugin.connect");
}

void
isolation_check(const struct config *config, const struct findings *f)
{
	check_layers(config, f);
	check_servers(config, f);
}

void
isolation_check_add_layers(const struct config *config, struct buf *out)
{
	const struct jail_support *s = jail_support();
	bool none = is_set_to(config, "plugin.isolation", "none");
	bool spaces = !none && wants_spaces(config) && namespaces_work();
	unsigned layers = 0;
	char text[PLUGIN_JAIL_TEXT];

	if (!none && s->landlock && !spaces)
		layers |= JAIL_LANDLOCK;
	if (!none && s->seccomp)
		layers |= JAIL_SECCOMP;
	plugin_jail_name_layers(layers, spaces, cgroup_works(), text);
	buf_adds(out, text);
}
