/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_calls: the methods that give, find again and take back leases.
 *
 * To stop or remove something takes a while, and the receipt is only sent when
 * it is done: a host takes it as proof that nothing runs (and costs) any more.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "lease.h"
#include "plugin.h"
#include "trash.h"

/* A release or destroy under way. */
struct giving_back {
	uv_work_t work;
	struct plugin *plugin;
	struct call *call;
	bool remove;
	char id[LEASE_ID_MAX + 1];
	char roots[2][PATH_MAX];	/* "": none */
	int failed;
	struct rpc_error error;
};

void
lease_on_acquire(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	struct config config;
	struct lease lease;
	struct rpc_error err;
	if (config_of_call(take_call, &config, &err) < 0 ||
	    lease_acquire(take_call, &config, &lease, &err) < 0)
		rpc_fail(take_call, &err);
	else
		rpc_reply(take_call, lease_to_json(&lease, false));
}

void
lease_on_resume(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	struct config config;
	struct lease lease;
	struct rpc_error err;
	const char *id = json_string_value(json_object_get(take_call->params, "providerLeaseId"));
	const json_t *metadata = json_object_get(take_call->params, "leaseMetadata");
	int found = config_of_call(take_call, &config, &err);
	if (found == 0)
		found = lease_find(take_call, id, lease_roots(&config, metadata), &lease, &err);
	if (found < 0)
		rpc_fail(take_call, &err);
	else if (found == 0)	/* not an error: the host then acquires a new one */
		rpc_reply(take_call, json_pack("{s:n, s:{s:s, s:b}}", "providerLeaseId",
					       "metadata", "provider", "local", "expired", 1));
	else
		rpc_reply(take_call, lease_to_json(&lease, true));
}

void
lease_on_realize(struct plugin *plugin, struct call *take_call)
{
	(void)plugin;
	struct config config;
	struct lease lease;
	struct rpc_error err;
	if (config_of_call(take_call, &config, &err) < 0 ||
	    lease_of_call(take_call, &config, &lease, &err) < 0)
		rpc_fail(take_call, &err);
	else
		rpc_reply(take_call, json_pack("{s:s, s:{s:s, s:s}}", "cwd", lease.cwd, "metadata",
					       "provider", "local", "remoteCwd", lease.cwd));
}

static void
receipt(struct call *take_call, const char *id, const char *state)
{
	rpc_reply(take_call, json_pack("{s:s, s:s}", "providerLeaseId", id, "state", state));
}

/* In a thread of libuv's pool: it blocks, and touches nothing but `g`. */
static void
remove_folders(uv_work_t *work)
{
	struct giving_back *g = work->data;
	for (int i = 0; i < 2; i++) {
		const char *root = g->roots[i];
		int there = *root ? lease_check_root(root, false, &g->error) : 0;
		if (there < 0 || (there > 0 && trash_folder(root, g->id, &g->error) < 0))
			g->failed = -1;
	}
}

static void
on_removed(uv_work_t *work, int status)
{
	struct giving_back *g = work->data;
	if (status < 0)
		g->failed = rpc_error_set(&g->error, RPC_WORKER_ERROR, "Lease \"%s\": %s", g->id,
					  uv_strerror(status));
	if (g->failed < 0)
		rpc_fail(g->call, &g->error);
	else
		receipt(g->call, g->id, "destroyed");
	free(g);
}

static void
on_jobs_ended(void *arg, bool all_gone)
{
	struct giving_back *g = arg;
	if (!all_gone) {
		rpc_error_set(&g->error, RPC_WORKER_ERROR,
			      "Lease \"%s\": something in it could not be stopped.", g->id);
		rpc_fail(g->call, &g->error);
	} else if (!g->remove) {
		receipt(g->call, g->id, "stopped");
	} else {
		g->work.data = g;
		if (uv_queue_work(&g->plugin->loop, &g->work, remove_folders, on_removed) < 0)
			on_removed(&g->work, UV_ENOMEM);
		return;
	}
	free(g);
}

static void
give_back(struct plugin *plugin, struct call *take_call, const char *id,
	  struct lease_roots roots, bool remove)
{
	struct giving_back *g = calloc(1, sizeof(*g));
	if (!g) {
		rpc_reply(take_call, NULL);
		return;
	}
	g->plugin = plugin;
	g->call = take_call;
	g->remove = remove;
	memcpy(g->id, id, strlen(id) + 1);
	for (int i = 0; i < 2; i++)
		if (roots.root[i])
			memcpy(g->roots[i], roots.root[i], strlen(roots.root[i]) + 1);
	jobs_end(&plugin->jobs, id, remove ? JOB_DESTROYED : JOB_RELEASED, on_jobs_ended, g);
}

void
lease_on_destroy(struct plugin *plugin, struct call *take_call)
{
	struct config config;
	struct lease lease;
	struct rpc_error err;
	const char *id = json_string_value(json_object_get(take_call->params, "providerLeaseId"));
	const json_t *metadata = json_object_get(take_call->params, "leaseMetadata");
	if (!id) {
		rpc_reply(take_call, json_null());
	} else if (!lease_is_id(id)) {
		/* It was never here, which is all that destroy promises. */
		receipt(take_call, id, "destroyed");
	} else if (config_of_call(take_call, &config, &err) < 0 ||
		   lease_find(take_call, id, lease_roots(&config, metadata), &lease, &err) < 0) {
		rpc_fail(take_call, &err);
	} else {
		/* Also when it was not found: half of it may still be there. */
		give_back(plugin, take_call, id, lease_roots(&config, metadata), true);
	}
}

void
lease_on_release(struct plugin *plugin, struct call *take_call)
{
	struct config config;
	struct lease lease;
	struct rpc_error err;
	const json_t *params = take_call->params;
	const char *id = json_string_value(json_object_get(params, "providerLeaseId"));
	const json_t *metadata = json_object_get(params, "leaseMetadata");
	bool cancel = json_is_true(json_object_get(params, "cancelActiveWork"));
	int found = config_of_call(take_call, &config, &err);
	if (found == 0)
		found = lease_find(take_call, id, lease_roots(&config, metadata), &lease, &err);
	if (found < 0)
		rpc_fail(take_call, &err);
	else if (!id)
		rpc_reply(take_call, json_null());
	else if (found == 0)
		lease_on_destroy(plugin, take_call);
	else if (config.keep && !cancel && jobs_run_in(&plugin->jobs, id))
		rpc_reply(take_call, json_null());	/* no receipt: it has not stopped */
	else
		give_back(plugin, take_call, id, lease_roots(&config, metadata), !config.keep);
}
