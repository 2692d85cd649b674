/* SPDX-License-Identifier: Apache-2.0 */
/*
 * public_files: of a folder such as /etc, what everybody may read. A rule can
 * only allow, and all that is below a folder at once; so a folder that holds
 * something that this user may read and others may not (a configuration with
 * passwords) is granted piece by piece, without it.
 *
 * Owns the list of what is hidden. Follows no links.
 */
#ifndef ENVDRIVER_ISOLATION_PUBLIC_FILES_H
#define ENVDRIVER_ISOLATION_PUBLIC_FILES_H

#include <stdbool.h>

/* From now on nothing of this folder is public, whatever the modes in it say. The folder is
 * looked up once, and must be there; of more than eight the rest counts for nothing. */
void public_files_hide(const char *folder);
/* Calls for each file, or folder with all that is below it, that may be granted. Stops and
 * returns what `fn` returned when that is negative; else 0. Reads folders; blocks as
 * long as that takes. */
int public_files_each(const char *folder, int (*fn)(void *arg, const char *path), void *arg);
/* The same for a list of folders that is always the same one, ended by NULL: what was
 * found is used again for some seconds, since many programs start at once. One thread. */
int public_files_each_again(const char *const *folders, int (*fn)(void *arg, const char *path),
			    void *arg);

#endif
