/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor_rig: a supervisor on a registry and a real Redis, its calls, its
 * events, and plugins in a folder: this program plays them, as
 * tests/lib/fake_plugin.c says.
 */
#ifndef TESTS_INTEGRATION_SUPERVISOR_RIG_H
#define TESTS_INTEGRATION_SUPERVISOR_RIG_H

#include <limits.h>

#include "envdriver/plugin/supervisor.h"
#include "envdriver/registry/registry.h"
#include "redis_rig.h"

enum { SUP_PATIENCE_MS = 20000 };

#define ECHOES "\"init\",\"echo\""
#define V "{\\\"jsonrpc\\\":\\\"2.0\\\""

struct test_call {
	struct plugin_call *call;
	struct buf answers;
	int n;
	bool keep_late;
};

/* The one of the program: made by the set-up, ended by the tear-down. */
extern struct supervisor_rig {
	struct rig redis;
	struct registry *registry;
	struct supervisor *supervisor;
	struct buf events;	/* that it told, a line each */
	int changes;
	char dirs[PATH_MAX];	/* the folder of the plugins */
} sup;

int sup_set_up(void **state);
int sup_tear_down(void **state);

void sup_call(struct test_call *t, const char *plugin,
	const char *method, int64_t timeout);
bool sup_is_answered(void *arg);
/* Waits for its answers. */
void sup_expect_answer(struct test_call *t, const char *wanted);

/* A folder with a script; sup_add_plugin: and a record in the registry. */
void sup_make_package(const char *id, const char *steps);
void sup_add_plugin(const char *id, const char *steps);

/* Each waits. */
void sup_await(const char *id, enum worker_status status);
void sup_await_record(const char *id, const char *field, const char *value);

/* A field of the worker's record in Redis. */
const char *sup_record(const char *id, const char *field);
/* Of one plugin, since the last time. */
void sup_expect_events(const char *id, const char *wanted);

#endif
