/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev_watch: sees when the files of a plugin's folder change, and has the plugin
 * started anew.
 *
 * Owns a thread, which looks at the folders twice a second. What changed is taken when
 * it has stood still for one look. Not seen: node_modules, names that begin with '.',
 * and what running a plugin leaves (__pycache__, *.pyc, *.log).
 */
#ifndef COMMANDS_DEV_WATCH_H
#define COMMANDS_DEV_WATCH_H

struct config;
struct dev_watch;
struct err;

/* `config` is borrowed until dev_watch_free. */
struct dev_watch *dev_watch_new(const struct config *config, struct err *reterr);
/* Before dev_watch_start. `id` is the plugin's. */
int dev_watch_add(struct dev_watch *w, const char *id, const char *dir, struct err *reterr);
int dev_watch_start(struct dev_watch *w, struct err *reterr);
/* Waits for the thread, which may be reading a manifest (20 s). Accepts NULL. */
void dev_watch_free(struct dev_watch *w);

#endif
