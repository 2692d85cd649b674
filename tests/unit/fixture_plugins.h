/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture_plugins: a registry and a supervisor that are tables, in place of
 * those of state/ and plugin/. Include in one file of a test.
 */
#ifndef ENVDRIVER_TESTS_FIXTURE_PLUGINS_H
#define ENVDRIVER_TESTS_FIXTURE_PLUGINS_H

#include <string.h>

#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"

/* Ends with an id of NULL. */
static const struct registry_plugin *fixture_plugins;
/* Ids of those that run; methods they all support, NULL-terminated. */
static const char *const *fixture_running;
static const char *const *fixture_methods;

static inline bool
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

#endif
