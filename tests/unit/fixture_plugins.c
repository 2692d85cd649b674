/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_plugins.h"

const struct registry_plugin *fixture_plugins;
const char *const *fixture_running;
const char *const *fixture_methods;

static bool
fixture_listed(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

const struct registry_plugin *
registry_at(const struct registry *r, size_t i)
{
	(void)r;
	for (size_t k = 0; k < i; k++)
		if (!fixture_plugins[k].id)
			return NULL;
	return fixture_plugins[i].id ? &fixture_plugins[i] : NULL;
}

enum worker_status
supervisor_status(const struct supervisor *s, const char *plugin_id)
{
	(void)s;
	return fixture_listed(fixture_running, plugin_id) ? WORKER_RUNNING : WORKER_STOPPED;
}

bool
supervisor_supports(const struct supervisor *s, const char *plugin_id, const char *method)
{
	(void)s;
	(void)plugin_id;
	return fixture_listed(fixture_methods, method);
}
