/* SPDX-License-Identifier: Apache-2.0 */
#include "claims_rig.h"

#include "unit.h"

#include "envdriver/base/err.h"

void
claims_rig_open(struct rig *r, const struct instance_events *ev, struct instance **ret_instance,
		struct claims **ret_claims)
{
	struct err err;

	rig_open(r);
	*ret_instance = instance_new(r->redis, r->config, ev, &err);
	assert_non_null(*ret_instance);
	*ret_claims = claims_new(r->redis, *ret_instance, RETENTION_MS, BACKSTOP_MS, &err);
	assert_non_null(*ret_claims);
}

void
claims_rig_close(struct rig *r, struct instance *instance, struct claims *claims)
{
	rig_stop(r);
	claims_free(claims);
	claims_free(NULL);
	instance_free(instance);
	rig_close(r);
}
