/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_rig: the claims of an instance on a redis-server of the test's own.
 */
#ifndef TESTS_INTEGRATION_CLAIMS_RIG_H
#define TESTS_INTEGRATION_CLAIMS_RIG_H

#include "envdriver/claim/claims.h"
#include "envdriver/registry/instance.h"
#include "redis_rig.h"

enum { RETENTION_MS = 60000, BACKSTOP_MS = 600000, PATIENCE_MS = 20000 };

/* rig_open, then both are made; rig_start comes next. */
void claims_rig_open(struct rig *r, const struct instance_events *ev,
		     struct instance **ret_instance, struct claims **ret_claims);
/* rig_stop, then both are freed, and rig_close. */
void claims_rig_close(struct rig *r, struct instance *instance, struct claims *claims);

#endif
