/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envdriver-local: an environment driver that runs commands on this host.
 *
 * An example of a plugin, too. To write your own, read in this order:
 *   main.c         the table of methods; how a plugin starts and stops
 *   rpc.h, wire.h  the protocol: JSON-RPC, an object a line
 *   lease_calls.c  what is done with leases, and lease.c, how they are kept
 *   exec.c         running a command, and job.h, keeper.h: ending it for sure
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>

#include "keeper.h"
#include "plugin.h"

/* After this the plugin ends, whatever hangs. Hosts wait for 10 s. */
#define STOP_MS 6000

static void stop(struct plugin *plugin, struct call *take_call);
static method_fn on_initialize, on_shutdown, on_config_changed;

/* A method without a function is known, but nothing that this plugin does. */
static const struct method {
	const char *name;
	method_fn *fn;
} methods[] = {
	{ "initialize",				on_initialize },
	{ "health",				probe_on_health },
	{ "shutdown",				on_shutdown },
	{ "configChanged",			on_config_changed },
	{ "environmentValidateConfig",		probe_on_validate },
	{ "environmentProbe",			probe_on_probe },
	{ "environmentAcquireLease",		lease_on_acquire },
	{ "environmentResumeLease",		lease_on_resume },
	{ "environmentReleaseLease",		lease_on_release },
	{ "environmentDestroyLease",		lease_on_destroy },
	{ "environmentRealizeWorkspace",	lease_on_realize },
	{ "environmentExecute",			exec_on_execute },
	{ "environmentRunnerIngressEndpoint",	NULL },
	{ "environmentSyncIn",			NULL },
	{ "environmentSyncOut",			NULL },
	{ "environmentStartInteractiveSetup",	NULL },
	{ "environmentGetInteractiveSetup",	NULL },
	{ "environmentCancelInteractiveSetup",	NULL },
	{ "environmentCaptureTemplate",		NULL },
	{ "environmentDeleteTemplate",		NULL },
};

#define N_METHODS (sizeof(methods) / sizeof(*methods))

/* ---- methods ---------------------------------------------------------- */

static void
log_to_host(struct plugin *plugin, const char *level, json_t *take_message)
{
	rpc_notify(&plugin->rpc, "log",
		   json_pack("{s:s, s:o}", "level", level, "message", take_message), NULL);
}

/* The host sends the manifest, and waits 15 s for the answer. Before it a plugin
 * may send whatever it likes, as here a line for the log. */
static void
on_initialize(struct plugin *plugin, struct call *take_call)
{
	struct rpc_error err;
	if (plugin->initialized) {
		rpc_error_set(&err, RPC_WORKER_ERROR, "Worker already initialized");
		rpc_fail(take_call, &err);
		return;
	}
	plugin->initialized = true;
	log_to_host(plugin, "info",
		    json_sprintf("envdriver-local %s: commands run as uid %u of this host, "
				 "without isolation", ENVDRIVER_VERSION, (unsigned)geteuid()));
	json_t *supported = json_array();
	for (size_t i = 0; i < N_METHODS; i++)
		if (methods[i].fn && methods[i].fn != on_initialize)
			json_array_append_new(supported, json_string(methods[i].name));
	rpc_reply(take_call, json_pack("{s:b, s:o}", "ok", 1, "supportedMethods", supported));
}

/* Every request brings its config along, so there is nothing to change. */
static void
on_config_changed(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	rpc_reply(take_call, json_null());
}

static void
on_shutdown(struct plugin *plugin, struct call *take_call)
{
	stop(plugin, take_call);
}

static void
on_call(void *arg, struct call *call)
{
	struct plugin *plugin = arg;
	struct rpc_error err;
	const struct method *m = methods;
	while (m < methods + N_METHODS && strcmp(m->name, call->method) != 0)
		m++;
	if (m == methods + N_METHODS)
		rpc_error_set(&err, RPC_METHOD_NOT_FOUND, "Unknown method: %s", call->method);
	else if (!m->fn)
		rpc_error_set(&err, RPC_NOT_IMPLEMENTED, "%s is not implemented by this plugin",
			      call->method);
	else if (plugin->stopping)
		rpc_error_set(&err, RPC_WORKER_ERROR, "The plugin is shutting down");
	else {
		m->fn(plugin, call);
		return;
	}
	rpc_fail(call, &err);
}

/* ---- the end ---------------------------------------------------------- */

static void
close_everything(struct plugin *plugin)
{
	uv_handle_t *handles[] = {
		(uv_handle_t *)&plugin->sigterm,
		(uv_handle_t *)&plugin->sigint,
	};
	for (size_t i = 0; i < sizeof(handles) / sizeof(*handles); i++)
		if (!uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
	jobs_drop(&plugin->jobs);
	wire_close(&plugin->rpc.wire);	/* what is queued is still written … */
	uv_unref((uv_handle_t *)&plugin->deadline);
}

/* … unless the host does not read it. */
static void
on_deadline(uv_timer_t *timer)
{
	struct plugin *plugin = timer->data;
	uv_stop(&plugin->loop);
}

static void
on_all_ended(void *arg, bool all_gone)
{
	struct plugin *plugin = arg;
	(void)all_gone;
	if (plugin->shutdown)
		rpc_reply(plugin->shutdown, json_null());
	plugin->shutdown = NULL;
	close_everything(plugin);
}

/* For whatever reason the end has come: end all commands first, which answers
 * the calls that wait for them, then answer `take_call` (may be NULL), then let
 * go of every handle, and the loop has nothing left to do. */
static void
stop(struct plugin *plugin, struct call *take_call)
{
	if (plugin->stopping)
		return;
	plugin->stopping = true;
	plugin->shutdown = take_call;
	uv_timer_start(&plugin->deadline, on_deadline, STOP_MS, 0);
	jobs_end(&plugin->jobs, /* lease= */ NULL, JOB_SHUTDOWN, on_all_ended, plugin);
}

static void
on_host_gone(void *arg)
{
	stop(arg, NULL);
}

static void
on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	stop(handle->data, NULL);
}

/* ---- the beginning ---------------------------------------------------- */

static void
on_drain(void *arg)
{
	struct plugin *plugin = arg;
	jobs_resume(&plugin->jobs);
}

static int
start(struct plugin *plugin)
{
	static const struct rpc_events events = {
		.on_call = on_call,
		.on_drain = on_drain,
		.on_end = on_host_gone,
	};
	uv_loop_t *loop = &plugin->loop;
	int ret = uv_loop_init(loop);
	if (ret < 0)
		return ret;
	plugin->jobs.loop = loop;
	plugin->sigterm.data = plugin->sigint.data = plugin->deadline.data = plugin;
	if ((ret = uv_timer_init(loop, &plugin->deadline)) < 0 ||
	    (ret = uv_signal_init(loop, &plugin->sigterm)) < 0 ||
	    (ret = uv_signal_init(loop, &plugin->sigint)) < 0 ||
	    (ret = uv_signal_start(&plugin->sigterm, on_signal, SIGTERM)) < 0 ||
	    (ret = uv_signal_start(&plugin->sigint, on_signal, SIGINT)) < 0)
		return ret;
	return rpc_open(&plugin->rpc, loop, &events, plugin);
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], KEEPER_OPTION) == 0)
		return keeper_main(argv);
	signal(SIGPIPE, SIG_IGN);	/* a write tells, too */
	struct plugin *plugin = calloc(1, sizeof(*plugin));
	int ret = plugin ? start(plugin) : UV_ENOMEM;
	if (ret < 0) {
		fprintf(stderr, "envdriver-local: standard input and output must be pipes, sockets "
			"or a terminal: %s\n", uv_strerror(ret));
		_exit(2);
	}
	uv_run(&plugin->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&plugin->deadline, NULL);
	wire_drop(&plugin->rpc.wire);
	uv_run(&plugin->loop, UV_RUN_NOWAIT);
	if (uv_loop_close(&plugin->loop) == 0)	/* else a thread may still be at work */
		free(plugin);
	return 0;
}
