/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver: which plugin serves a command, and whether its worker runs
 * (docs/operations.md, "Resolution"; reference: resolvePluginEnvironmentDriver,
 * ...ByKey).
 *
 * Owns nothing. Asks the mirrored registry and the supervisor; never waits:
 * it says when waiting may help.
 */
#ifndef ENVDRIVER_ENGINE_RESOLVER_H
#define ENVDRIVER_ENGINE_RESOLVER_H

#include <stdbool.h>

struct command;
struct outcome;
struct registry;
struct registry_driver;
struct supervisor;

enum resolution {
	RESOLUTION_FOUND,
	RESOLUTION_FAILED,	/* *ret_failure says how */
	/* For both, *ret_failure says what it fails with when it waits no longer: */
	RESOLUTION_STARTING,	/* its worker is coming up: ask again while that may take */
	RESOLUTION_DOWN,	/* none is, but one was asked for: ask again until
				 * plugin.start.wait is over */
	RESOLUTION_STALE,	/* the registry is not being kept true just now */
};

/* Borrowed from the registry until the loop turns. */
struct resolved {
	const char *plugin_id;
	const char *plugin_key;		/* "" when the registry does not know it */
	const struct registry_driver *driver;	/* NULL when unknown */
};

/* `may_start`: workers are started on demand, and DOWN may be said. */
enum resolution resolver_resolve(const struct registry *registry, struct supervisor *supervisor,
				 const struct command *c, bool may_start, struct resolved *ret,
				 struct outcome *ret_failure);
/* The driver that a command means, whether it is ready and runs or not; NULL when
 * none is known. */
const struct registry_driver *resolver_driver(const struct registry *registry,
					      const struct command *c);

#endif
