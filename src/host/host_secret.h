/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_secret: answers secrets.resolve: a plugin gets the value of a secret that
 * the config stored for it and the company refers to (docs/protocol.md section 9).
 *
 * Owns the requests that were not answered, and the count of them for each
 * company. Knows nothing of where values come from.
 */
#ifndef ENVDRIVER_HOST_HOST_SECRET_H
#define ENVDRIVER_HOST_HOST_SECRET_H

#include <stdint.h>
#include <sys/queue.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct err;
struct host_params;
struct host_plugin;
struct host_reply;
struct mask;
struct secret_lookups;

/* What one company may ask of one plugin's worker. */
enum { HOST_SECRET_MAX = 30, HOST_SECRET_MS = 60000, HOST_SECRET_COMPANIES = 64 };

/* The requests of a company in the window that began at `since_ms`. */
struct host_secret_count {
	uint64_t company;	/* its hash */
	int64_t since_ms;
	unsigned n;
};

/* The first five are set by the owner. */
struct host_secret {
	struct host_reply *reply;	/* outlives this */
	const struct host_plugin *plugin;
	struct secret_lookups *lookups;	/* NULL: none; outlives this */
	/* Before the plugin is told a value: negative when it must not be. */
	int (*learn)(void *arg, const struct mask *values, struct err *reterr);
	void *arg;
	struct host_secret_count counts[HOST_SECRET_COMPANIES];
	LIST_HEAD(, host_secret_request) requests;
};

/* Answers the request `id` in the scope of `company`, later or before it returns. */
void host_secret_answer(struct host_secret *s, struct jtext id, const struct host_params *params,
			struct span company);
/* Nothing is answered any more. */
void host_secret_release(struct host_secret *s);

#endif
