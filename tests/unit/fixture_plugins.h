/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture_plugins: a registry and a supervisor that are tables, in place of
 * the library's. A test that links it asks for it in the Makefile.
 */
#ifndef ENVDRIVER_TESTS_FIXTURE_PLUGINS_H
#define ENVDRIVER_TESTS_FIXTURE_PLUGINS_H

#include "unit.h"

#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"

/* Ends with an id of NULL. */
extern const struct registry_plugin *fixture_plugins;
/* Ids of those that run; methods they all support, NULL-terminated. */
extern const char *const *fixture_running;
extern const char *const *fixture_methods;

#endif
