/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: the life of a worker process: loop, signals, HTTP server, engine.
 *
 * Owns the loop and the lock on instance.id. Knows nothing of commands and
 * plugins.
 */
#ifndef ENVDRIVER_WORKER_SERVICE_H
#define ENVDRIVER_WORKER_SERVICE_H

struct cli;
struct config;

struct service_hooks {
	void (*on_ready)(void *arg);	/* may be NULL */
	void (*on_end)(void *arg);	/* the last thing; may be NULL */
	void *arg;
};

/* Runs until a signal or a failure; returns the exit code. */
int service_run(struct cli *cli, const struct config *config, const struct service_hooks *hooks);

#endif
