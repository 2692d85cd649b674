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
	/* Ready, but for plugins that do not run; `plugins` says how each is, a line
	 * each. */
	void (*on_open)(void *arg, const char *plugins);
	/* The last thing, also when nothing was started. */
	void (*on_end)(void *arg);
	const char *http_hint;		/* after an error of http.listen */
	void *arg;
};

/* Runs until a signal or a failure; returns the exit code. */
int service_run(struct cli *cli, const struct config *config, const struct service_hooks *hooks);

#endif
