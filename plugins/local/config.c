/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_MS 300000
#define DEFAULT_OUTPUT_LIMIT (64u << 20)
#define MAX_OUTPUT_LIMIT (100u << 20)	/* a reply must fit into 128 MiB */

static void
default_root(char *root)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	if (run && run[0] == '/' && strlen(run) < PATH_MAX / 2)
		snprintf(root, PATH_MAX, "%s/envdriver-local", run);
	else
		snprintf(root, PATH_MAX, "/tmp/envdriver-local-%u", (unsigned)geteuid());
}

/* ---- one reader a field: NULL, or what is wrong with the value ---------- */

static const char *
read_root(const json_t *value, struct config *c)
{
	const char *path = json_string_value(value);
	size_t len = json_string_length(value);
	if (!path || path[0] != '/' || strlen(path) != len)
		return "must be an absolute path";
	if (len >= PATH_MAX / 2)
		return "is too long";
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 1)
		return "must not be /";
	memcpy(c->root, path, len);
	c->root[len] = '\0';
	return NULL;
}

static const char *
read_timeout(const json_t *value, struct config *c)
{
	double ms = json_number_value(value);
	if (!json_is_number(value) || ms < 1 || ms > INT32_MAX)
		return "must be a number of milliseconds from 1 to 2147483647";
	c->timeout_ms = (uint64_t)ms;
	return NULL;
}

static const char *
read_output_limit(const json_t *value, struct config *c)
{
	json_int_t bytes = json_integer_value(value);
	if (!json_is_integer(value) || bytes < 1 || bytes > MAX_OUTPUT_LIMIT)
		return "must be an integer from 1 to 104857600";
	c->output_limit = (size_t)bytes;
	return NULL;
}

static const char *
read_keep(const json_t *value, struct config *c)
{
	if (!json_is_boolean(value))
		return "must be true or false";
	c->keep = json_is_true(value);
	return NULL;
}

static const char *
read_env(const json_t *value, struct config *c)
{
	const char *bad;
	if (!json_is_object(value) || !config_is_env(value, &bad))
		return "must be an object of strings, its names without '='";
	c->env = value;
	return NULL;
}

static const struct field {
	const char *name;
	const char *(*read)(const json_t *value, struct config *c);
} fields[] = {
	{ "root",		read_root },
	{ "timeoutMs",		read_timeout },
	{ "outputLimitBytes",	read_output_limit },
	{ "keep",		read_keep },
	{ "env",		read_env },
	/* Read by hosts, not by us; they may stand in a config all the same. */
	{ "reuseLease",		NULL },
	{ "provider",		NULL },
	{ "bridgeRequestTimeoutMs", NULL },
};

#define N_FIELDS (sizeof(fields) / sizeof(*fields))

bool
config_read(const json_t *json, struct config *ret, json_t *errors)
{
	bool ok = true;
	*ret = (struct config){
		.timeout_ms = DEFAULT_TIMEOUT_MS,
		.output_limit = DEFAULT_OUTPUT_LIMIT,
		.keep = true,
	};
	default_root(ret->root);
	if (json && !json_is_object(json)) {
		json_array_append_new(errors, json_string("config must be an object"));
		return false;
	}
	for (size_t i = 0; i < N_FIELDS; i++) {
		const json_t *value = json_object_get(json, fields[i].name);
		/* A form that was left empty often sends null. */
		if (!fields[i].read || !value || json_is_null(value))
			continue;
		const char *wrong = fields[i].read(value, ret);
		if (!wrong)
			continue;
		json_array_append_new(errors, json_sprintf("%s %s", fields[i].name, wrong));
		ok = false;
	}
	return ok;
}

int
config_of_call(const struct call *call, struct config *ret, struct rpc_error *reterr)
{
	json_t *errors = json_array();
	int code = 0;
	if (!config_read(json_object_get(call->params, "config"), ret, errors)) {
		const char *first = json_string_value(json_array_get(errors, 0));
		code = rpc_error_set(reterr, RPC_INVALID_PARAMS, "config: %s",
				     first ? first : "out of memory");
	}
	json_decref(errors);
	return code;
}

json_t *
config_normalized(const json_t *json, const struct config *config)
{
	json_t *full = json_is_object(json) ? json_copy((json_t *)json) : json_object();
	json_t *known = json_pack("{s:s, s:I, s:I, s:b, s:o}", "root", config->root,
				  "timeoutMs", (json_int_t)config->timeout_ms,
				  "outputLimitBytes", (json_int_t)config->output_limit,
				  "keep", config->keep,
				  "env", config->env ? json_incref((json_t *)config->env)
						     : json_object());
	if (!full || !known || json_object_update(full, known) < 0) {
		json_decref(full);
		full = NULL;
	}
	json_decref(known);
	return full;
}

void
config_warn_unknown(const json_t *json, json_t *warnings)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)json, name, value) {
		size_t i = 0;
		while (i < N_FIELDS && strcmp(fields[i].name, name) != 0)
			i++;
		if (i == N_FIELDS)
			json_array_append_new(warnings,
				json_sprintf("%s is not a field of this driver; it is ignored",
					     name));
	}
}

bool
config_is_env(const json_t *env, const char **ret_bad)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)env, name, value) {
		const char *text = json_string_value(value);
		/* NUL cannot stand in a variable. */
		bool has_nul = text && strlen(text) != json_string_length(value);
		if (text && !has_nul && *name && !strchr(name, '='))
			continue;
		*ret_bad = name;
		return false;
	}
	return true;
}
