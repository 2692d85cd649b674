/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keeper.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

static void
free_strings(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

/* A JSON string that can be a C string, or NULL. */
static const char *
plain_string(const json_t *value)
{
	const char *text = json_string_value(value);
	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* { command, args…, NULL }. The strings are borrowed, the array is not. */
static char **
make_argv(const json_t *params, struct rpc_error *reterr)
{
	const char *command = plain_string(json_object_get(params, "command"));
	const json_t *args = json_object_get(params, "args");
	size_t n = json_array_size(args);
	char **argv = calloc(n + 2, sizeof(*argv));
	if (!command || !*command)
		rpc_error_set(reterr, RPC_INVALID_PARAMS, "command must be a string, not empty");
	else if (args && !json_is_null(args) && !json_is_array(args))
		rpc_error_set(reterr, RPC_INVALID_PARAMS, "args must be an array");
	else if (!argv)
		rpc_error_set(reterr, RPC_INTERNAL_ERROR, "out of memory");
	else {
		argv[0] = (char *)command;
		for (size_t i = 0; i < n; i++)
			if (!(argv[i + 1] = (char *)plain_string(json_array_get(args, i)))) {
				rpc_error_set(reterr, RPC_INVALID_PARAMS,
					      "args[%zu] must be a string without NUL", i);
				goto out;
			}
		return argv;
	}
out:
	free(argv);
	return NULL;
}

/* PATH, then what the config says, then what the request says; nothing of the
 * plugin's own environment, where a host may have put keys. */
static char **
make_env(const json_t *from_config, const json_t *from_request, struct rpc_error *reterr)
{
	const char *name;
	json_t *value;
	size_t n = 0;
	json_t *all = json_pack("{s:s}", "PATH", DEFAULT_PATH);
	if (all && from_config)
		json_object_update(all, (json_t *)from_config);
	if (all && from_request)
		json_object_update(all, (json_t *)from_request);
	char **env = calloc(json_object_size(all) + 1, sizeof(*env));
	json_object_foreach(all, name, value) {
		char *var = NULL;
		if (!env || asprintf(&var, "%c%s=%s", KEEPER_ENV_MARK, name,
				     json_string_value(value)) < 0)
			break;
		env[n++] = var;
	}
	if (!env || n == 0 || n < json_object_size(all)) {
		rpc_error_set(reterr, RPC_INTERNAL_ERROR, "out of memory");
		free_strings(env);
		env = NULL;
	}
	json_decref(all);
	return env;
}

static int
read_env(const struct call *call, const struct config *config, struct command *ret,
	 struct rpc_error *reterr)
{
	const json_t *env = json_object_get(call->params, "env");
	const char *bad;
	if (json_is_null(env))
		env = NULL;
	if (env && !json_is_object(env))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS, "env must be an object");
	if (env && !config_is_env(env, &bad))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS,
				     "env.%s cannot be an environment variable", bad);
	ret->spec.env = make_env(config->env, env, reterr);
	return ret->spec.env ? 0 : -1;
}

/* No cwd: the workspace. A relative one: a folder in the workspace, also when
 * links are followed. An absolute one: any folder, for nothing here keeps a
 * command from going there by itself. */
static int
find_cwd(const json_t *params, const struct lease *lease, char *cwd, struct rpc_error *reterr)
{
	const json_t *value = json_object_get(params, "cwd");
	const char *asked = plain_string(value);
	char path[PATH_MAX];
	struct stat st;
	size_t len = strlen(lease->cwd);
	if (value && !json_is_null(value) && !asked)
		return rpc_error_set(reterr, RPC_INVALID_PARAMS, "cwd must be a string");
	bool absolute = asked && *asked == '/';
	int n = absolute ? snprintf(path, sizeof(path), "%s", asked)
			 : snprintf(path, sizeof(path), "%s/%s", lease->cwd, asked ? asked : "");
	if (n >= PATH_MAX || !realpath(path, cwd) || stat(cwd, &st) < 0 || !S_ISDIR(st.st_mode))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS, "cwd '%s' is not a folder",
				     asked ? asked : lease->cwd);
	if (!absolute && (strncmp(cwd, lease->cwd, len) != 0 || (cwd[len] && cwd[len] != '/')))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS,
				     "cwd '%s' leads out of the lease's workspace", asked);
	return 0;
}

static int
read_input(const json_t *params, struct command *ret, struct rpc_error *reterr)
{
	const json_t *input = json_object_get(params, "stdin");
	if (input && !json_is_null(input) && !json_is_string(input))
		return rpc_error_set(reterr, RPC_INVALID_PARAMS, "stdin must be a string");
	ret->spec.input = json_string_value(input);	/* NUL may be in it */
	ret->spec.input_len = json_string_length(input);
	return 0;
}

int
command_read(const struct call *call, const struct config *config, const struct lease *lease,
	     struct command *ret, struct rpc_error *reterr)
{
	double ms = json_number_value(json_object_get(call->params, "timeoutMs"));
	ret->spec = (struct job_spec){
		.lease = lease->id,
		.cwd = ret->cwd,
		.timeout_ms = config->timeout_ms,
		.output_limit = config->output_limit,
	};
	/* Only a number above 0 counts, as for the host's own time limit. */
	if (ms > 0)
		ret->spec.timeout_ms = ms < 1 ? 1 : ms < INT32_MAX ? (uint64_t)ms : INT32_MAX;
	ret->spec.argv = make_argv(call->params, reterr);
	if (!ret->spec.argv || read_env(call, config, ret, reterr) < 0 ||
	    read_input(call->params, ret, reterr) < 0)
		return -1;
	return find_cwd(call->params, lease, ret->cwd, reterr);
}

void
command_release(struct command *command)
{
	free(command->spec.argv);
	free_strings(command->spec.env);
}
