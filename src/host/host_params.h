/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_params: the parameters of what a plugin asks of its host, found in one
 * walk however long they are.
 *
 * Owns nothing. Knows nothing of what a method does with them.
 */
#ifndef ENVDRIVER_HOST_HOST_PARAMS_H
#define ENVDRIVER_HOST_HOST_PARAMS_H

#include "envdriver/base/jtext.h"

enum host_param {
	HOST_COMPANY_ID, HOST_SCOPE_KIND, HOST_SCOPE_ID, HOST_FILTER, HOST_NAMESPACE,
	HOST_STATE_KEY, HOST_VALUE, HOST_MESSAGE, HOST_LEVEL, HOST_META, HOST_NAME, HOST_PAYLOAD,
	HOST_ENTITY_TYPE, HOST_ENTITY_ID, HOST_METADATA, HOST_CHANNEL, HOST_EVENT,
	HOST_SECRET_REF, HOST_CONFIG_PATH,
	HOST_TAGS, HOST_EVENT_NAME, HOST_ATTRIBUTES, HOST_STATUS, HOST_START_TIME_MS,
	HOST_END_TIME_MS,
	HOST_PARAMS
};

/* Spans are borrowed from the line. */
struct host_params {
	struct jtext at[HOST_PARAMS];	/* MISSING: not there */
};

void host_params_read(struct host_params *p, struct jtext params);
const char *host_param_name(enum host_param param);

#endif
