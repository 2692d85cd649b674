/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: the methods that look and change nothing: health, the check of a
 * config, and the probe of this host.
 *
 * To check a config is to look at the config alone; whether the host can do what
 * it says is the probe's question. A probe that finds something wrong has
 * succeeded: it answers ok = false and says why, for a person to read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config.h"
#include "lease.h"
#include "plugin.h"

#define LOW_SPACE (1ull << 30)

void
probe_on_health(struct plugin *plugin, struct call *take_call)
{
	rpc_reply(take_call, json_pack("{s:s, s:{s:i}}", "status", "ok", "details", "commands",
				       (int)plugin->jobs.count));
}

void
probe_on_validate(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	struct config config;
	const json_t *json = json_object_get(take_call->params, "config");
	json_t *errors = json_array(), *warnings = json_array();
	bool ok = config_read(json, &config, errors);
	config_warn_unknown(json, warnings);
	rpc_reply(take_call,
		  json_pack("{s:b, s:o*, s:o*, s:o}", "ok", ok,
			    "normalizedConfig", ok ? config_normalized(json, &config) : NULL,
			    "errors", ok ? NULL : json_incref(errors), "warnings", warnings));
	json_decref(errors);
}

static void
add(json_t *diagnostics, const char *severity, const char *code, json_t *take_message)
{
	json_array_append_new(diagnostics,
			      json_pack("{s:s, s:o, s:s}", "severity", severity, "message",
					take_message, "code", code));
}

static bool
check_root(const char *root, json_t *diagnostics)
{
	char path[PATH_MAX];
	struct rpc_error err;
	if (lease_check_root(root, true, &err) < 0) {
		add(diagnostics, "error", "ROOT_UNUSABLE", json_string(err.text));
		return false;
	}
	snprintf(path, sizeof(path), "%.*s/.probe-XXXXXX", PATH_MAX / 2, root);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		add(diagnostics, "error", "ROOT_NOT_WRITABLE",
		    json_sprintf("cannot write to '%s': %s", root, strerror(errno)));
		return false;
	}
	close(fd);
	unlink(path);
	add(diagnostics, "info", "ROOT", json_sprintf("leases are folders in '%s'", root));
	return true;
}

static void
check_space(const char *root, json_t *diagnostics)
{
	struct statvfs fs;
	if (statvfs(root, &fs) < 0)
		return;
	unsigned long long bytes = (unsigned long long)fs.f_bavail * fs.f_frsize;
	add(diagnostics, bytes < LOW_SPACE ? "warning" : "info", "FREE_SPACE",
	    json_sprintf("%llu MiB are free there", bytes >> 20));
}

static bool
check_shell(json_t *diagnostics)
{
	if (access("/bin/sh", X_OK) == 0)
		return true;
	add(diagnostics, "error", "NO_SHELL",
	    json_sprintf("cannot run '/bin/sh': %s", strerror(errno)));
	return false;
}

void
probe_on_probe(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	struct config config;
	json_t *diagnostics = json_array(), *errors = json_array();
	bool ok = config_read(json_object_get(take_call->params, "config"), &config, errors);
	for (size_t i = 0; i < json_array_size(errors); i++)
		add(diagnostics, "error", "CONFIG", json_incref(json_array_get(errors, i)));
	json_decref(errors);
	if (ok) {
		bool root = check_root(config.root, diagnostics);
		if (root)
			check_space(config.root, diagnostics);
		ok = check_shell(diagnostics) && root;
	}
	add(diagnostics, "warning", "NO_ISOLATION",
	    json_sprintf("commands run as uid %u of this host, without isolation",
			 (unsigned)geteuid()));
	rpc_reply(take_call,
		  json_pack("{s:b, s:o, s:o, s:{s:s, s:s, s:i}}", "ok", ok, "summary",
			    ok ? json_sprintf("Commands can run in %s.", config.root)
			       : json_string("This host cannot run commands."),
			    "diagnostics", diagnostics, "metadata", "provider", "local", "root",
			    config.root, "uid", (int)geteuid()));
}
