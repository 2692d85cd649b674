/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: what an execute request asks for, checked and made ready to start.
 *
 * Owns the arrays that a process is started with. Knows nothing of processes.
 */
#ifndef LOCAL_COMMAND_H
#define LOCAL_COMMAND_H

#include <limits.h>

#include "config.h"
#include "job.h"
#include "lease.h"
#include "rpc.h"

struct command {
	struct job_spec spec;	/* points into this struct, the call and the lease */
	char cwd[PATH_MAX];
};

/* 0, or -1 with the reason; command_release is due either way. The call and
 * the lease are borrowed until then. */
int command_read(const struct call *call, const struct config *config,
		 const struct lease *lease, struct command *ret, struct rpc_error *reterr);
void command_release(struct command *command);

#endif
