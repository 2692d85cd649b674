/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_facts: what the recorded events of a lease say about it, so that a
 * command for the lease need not name its plugin, company, environment and config.
 *
 * Owns the texts that it found. Knows nothing of the command line.
 */
#ifndef ENVDRIVER_CLIENT_LEASE_FACTS_H
#define ENVDRIVER_CLIENT_LEASE_FACTS_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

struct config;
struct err;
struct schemas;

struct lease_facts {
	struct buf lease, target; /* JSON objects; empty: the lease is not recorded */
	struct buf company, environment;
	struct buf config; /* JSON; empty: it has none, or `no_config` */
	struct buf place;  /* of the command that made the lease, for people */
	bool no_config;	   /* that command is no longer there, or may not be read */
	bool gone;	   /* destroyed, or lost */
};

#define LEASE_FACTS_INIT { .gone = false }

/* Reads all of lease-results, and with `with_config` the command that made the
 * lease; blocks meanwhile. A lease that is not recorded is no error. The caller
 * releases *ret, also after an error. */
int lease_facts_find(const struct config *config, const struct schemas *schemas, const char *id,
		     bool with_config, struct lease_facts *ret, struct err *reterr);
void lease_facts_release(struct lease_facts *l);

#endif
