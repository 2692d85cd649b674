/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_scope: for whom a plugin asks its host for something, and whether it may
 * reach the company that it names (docs/protocol.md section 9).
 *
 * Owns scratch. Knows nothing of methods and answers.
 */
#ifndef ENVDRIVER_HOST_HOST_SCOPE_H
#define ENVDRIVER_HOST_HOST_SCOPE_H

#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/rpc/rpc.h"
#include "host_params.h"
#include "envdriver/host/scope.h"

struct host_plugin;

enum { HOST_SCOPE_WHY_MAX = 2304 };	/* two company ids, and words */

/* The first two are set by the owner. */
struct host_scope {
	const struct host_plugin *plugin;
	const struct scope *running;
	struct buf invocation, requested;
};

enum host_reach { HOST_REACH_NONE, HOST_REACH_ONE, HOST_REACH_ALL };

/* Borrowed until the next one is found. */
struct host_asker {
	const struct scope_entry *call;	/* whose invocation; NULL: none */
	bool invalid;			/* a missing, expired or unknown invocation */
	struct span company;		/* in whose scope; ptr NULL: nobody's */
	enum host_reach reach;		/* which companies it names, */
	struct span requested;		/* and the one */
};

/* The company of the invocation that it names; without one, what the plugin does
 * of its own accord for a company with stored config. */
void host_scope_find(struct host_scope *s, const struct rpc_message *m,
		     const struct host_params *params, struct span method, struct host_asker *ret);
/* False: `why` has the reason. `needs_company`: also when it names none. */
bool host_scope_reaches(const struct host_asker *a, bool needs_company,
			char why[HOST_SCOPE_WHY_MAX]);
void host_scope_release(struct host_scope *s);

#endif
