/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin: everything there is, in one struct, and the methods that work on it.
 *
 * A method is a function that takes a call and answers it, now or later, with
 * rpc_reply or rpc_fail. Which name leads to which function is a table in
 * main.c.
 */
#ifndef LOCAL_PLUGIN_H
#define LOCAL_PLUGIN_H

#include <stdbool.h>
#include <uv.h>

#include "job.h"
#include "rpc.h"

#ifndef ENVDRIVER_VERSION
#define ENVDRIVER_VERSION "0.1.0"
#endif

struct plugin {
	uv_loop_t loop;
	struct rpc rpc;
	struct jobs jobs;
	uv_signal_t sigterm;
	uv_signal_t sigint;
	uv_timer_t deadline;	/* of stopping */
	struct call *shutdown;	/* to be answered when all commands have ended */
	bool initialized;
	bool stopping;
};

typedef void method_fn(struct plugin *plugin, struct call *take_call);

/* probe.c */
method_fn probe_on_health, probe_on_validate, probe_on_probe;
/* lease_calls.c */
method_fn lease_on_acquire, lease_on_resume, lease_on_release, lease_on_destroy, lease_on_realize;
/* exec.c */
method_fn exec_on_execute;

#endif
