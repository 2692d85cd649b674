/* SPDX-License-Identifier: Apache-2.0 */
#include "instance_rig.h"

#include "unit.h"

#include "envdriver/base/err.h"

struct rig rig;
struct instance *instance;
struct process self;
bool ready;
int refused;
char why[600];

static void
on_ready(void *arg)
{
	(void)arg;
	assert_false(ready);
	ready = true;
}

static void
on_refused(void *arg, int exit_code, const char *text)
{
	(void)arg;
	assert_int_equal(refused, 0);
	refused = exit_code;
	snprintf(why, sizeof(why), "%s", text);
}

int
instance_rig_set_up(void **state)
{
	const struct instance_events ev = { NULL, on_ready, on_refused, NULL };
	struct err err;

	(void)state;
	ready = false;
	refused = 0;
	why[0] = '\0';
	process_self(&self);
	rig_open(&rig);
	instance = instance_new(rig.redis, rig.config, &ev, &err);
	assert_non_null(instance);
	rig_start(&rig);
	return 0;
}

int
instance_rig_tear_down(void **state)
{
	(void)state;
	rig_stop(&rig);
	instance_free(instance);
	rig_close(&rig);
	return 0;
}

bool
instance_rig_settled(void *arg)
{
	(void)arg;
	return ready || refused;
}

void
instance_rig_begin(void)
{
	instance_check(instance, "cluster-1");
	instance_begin(instance);
	rig_until(&rig, instance_rig_settled, NULL, PATIENCE_MS);
}

const char *
instance_rig_field(const char *name)
{
	return rig_ask(&rig, "HGET envdriver:instance:us %s", name);
}

/* A record under `id`. */
void
instance_rig_put(const char *id, const char *incarnation, const char *boot_id, int pid)
{
	rig_ask(&rig, "DEL envdriver:instance:%s", id);
	rig_ask(&rig, "HSET envdriver:instance:%s incarnation %s beat 5 host there bootId %s "
		      "pidNamespace %s pid %d pidStart 77",
		id, incarnation, boot_id, self.pid_namespace, pid);
}
