/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the driver's configuration, as it comes with every request.
 *
 * The host stores one config per environment and sends it with each call;
 * there is nothing to remember between calls. The fields are one table, which
 * has to agree with configSchema in plugin.json.
 *
 * Owns nothing. Knows nothing of folders or processes.
 */
#ifndef LOCAL_CONFIG_H
#define LOCAL_CONFIG_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc.h"

struct config {
	char root[PATH_MAX];	/* leases are folders in it */
	uint64_t timeout_ms;	/* of a command that comes without its own */
	size_t output_limit;
	bool keep;		/* a released lease can be resumed */
	const json_t *env;	/* an object, or NULL; borrowed */
};

/* Reads `json` (NULL: all defaults). Each mistake is appended to `errors` as
 * a string that names the field. Returns whether there was none. */
bool config_read(const json_t *json, struct config *ret, json_t *errors);

/* The same for a call's `params`; the first mistake is the error. */
int config_of_call(const struct call *call, struct config *ret, struct rpc_error *reterr);

/* A copy of `json` with every default filled in; NULL when out of memory. */
json_t *config_normalized(const json_t *json, const struct config *config);

/* Appends a text for each field that this driver does not know. */
void config_warn_unknown(const json_t *json, json_t *warnings);

/* Whether an object holds names and values that can be environment variables;
 * if not, *ret_bad is the first name that cannot. */
bool config_is_env(const json_t *env, const char **ret_bad);

#endif
