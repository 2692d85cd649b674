/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_rig: a worker under test, the calls made to it, and a list of what
 * happened. The test program is its own plugin: tests/lib/fake_plugin.c,
 * started with "fake" and its steps as arguments.
 */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "plugin/config_push.h"
#include "envdriver/rpc/spawn.h"
#include "plugin/worker.h"

#define V "{\"jsonrpc\":\"2.0\""

enum { STEPS = 24, CALLS = 4, TIMEOUT_MS = 20000 };

extern char worker_rig_self[PATH_MAX];	/* the path of this program */

struct test_call {
	struct worker_invocation call;
	struct worker_rig *b;
	bool used;
};

/* Made as soon as the worker is up, or when it says "go". */
struct planned {
	const char *method, *company, *invocation;
	int64_t timeout_ms;
	bool on_go;
};

struct worker_rig {
	const struct planned *plan;
	uv_loop_t loop;
	struct worker *worker;
	uint64_t next_id;
	struct test_call calls[CALLS];
	struct config_push push;
	struct buf out;		/* what happened */
	int pid;
	bool up, ended;
	int64_t began_ms, ended_ms;
};

extern const struct worker_limits worker_rig_quick;

struct worker_script {
	const char *steps[STEPS];
	struct worker_limits limits;	/* start_ms 0: worker_rig_quick */
	bool use_sigchld;
	const struct spawn_limit *rlimits;
	size_t n_rlimits;
};

#define UP "up [\"health\",\"environmentProbe\"]\n"
#define CALL(method, company, id, ms) { method, company, id, ms, false }
#define PROBE { CALL("probe", "co-1", "i-1", 5000) }

/* What it writes into `out`. */
struct worker_events worker_rig_events(struct worker_rig *b);
void worker_rig_begin(struct worker_rig *b, const struct worker_script *s,
	const struct planned *plan);

void worker_rig_finish(struct worker_rig *b);

void worker_rig_run_until(struct worker_rig *b, const bool *flag, const char *name);

/* main() of the test program. */
int worker_rig_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n);

#endif
