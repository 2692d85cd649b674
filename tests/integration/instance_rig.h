/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_rig: an instance on a redis-server of the test's own.
 */
#ifndef TESTS_INTEGRATION_INSTANCE_RIG_H
#define TESTS_INTEGRATION_INSTANCE_RIG_H

#include "envdriver/registry/instance.h"
#include "registry/process.h"
#include "redis_rig.h"

enum { PATIENCE_MS = 20000, NO_PID = 4194303 };

extern struct rig rig;
extern struct instance *instance;
extern struct process self;
extern bool ready;
extern int refused;	/* the exit code of on_refused, 0: not called */
extern char why[600];

/* Around each test: nothing is begun yet. */
int instance_rig_set_up(void **state);
int instance_rig_tear_down(void **state);
/* Begins, and waits until it is ready or refused. */
void instance_rig_begin(void);
bool instance_rig_settled(void *arg);
/* Of our record. */
const char *instance_rig_field(const char *name);
/* Writes a record under `id`, its beat 5, from host "there". */
void instance_rig_put(const char *id, const char *incarnation, const char *boot_id, int pid);

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, instance_rig_set_up, instance_rig_tear_down)

#endif
