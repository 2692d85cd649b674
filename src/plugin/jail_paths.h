/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jail_paths: the files that a plugin's program needs: its package, the modules
 * that Node looks for beside it, its interpreter, the folders of its PATH, and
 * the files that its variables name.
 *
 * Owns the paths. Knows nothing of rules.
 */
#ifndef ENVDRIVER_PLUGIN_JAIL_PATHS_H
#define ENVDRIVER_PLUGIN_JAIL_PATHS_H

#include <stddef.h>

struct package;

enum { JAIL_PATHS_MAX = 256 };

/* What does not fit any more, or finds no memory, is left out. */
struct jail_paths_list {
	char *at[JAIL_PATHS_MAX + 1];	/* ends with NULL */
	size_t n;
};

struct jail_paths {
	struct jail_paths_list read, write;
};

/* NULL adds nothing. */
void jail_paths_add(struct jail_paths_list *l, const char *path);
/* "/a:/b" */
void jail_paths_add_list(struct jail_paths_list *l, const char *paths);
/* To what may be read. `dirs`: plugin.dirs. Reads links and folders. */
void jail_paths_add_program(struct jail_paths *p, const char *dirs, const struct package *package,
			    char *const env[]);
void jail_paths_release(struct jail_paths *p);

#endif
