/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scratch: temporary folders for children, one each, that nobody else may enter.
 * All lie in one folder of this process, which a lock marks as in use: what a
 * process that was killed left behind is removed by the next one.
 *
 * One per process. Owns the folder and its lock.
 */
#ifndef ENVDRIVER_ISOLATION_SCRATCH_H
#define ENVDRIVER_ISOLATION_SCRATCH_H

struct err;

/* Makes the folder of this process below `dir`; NULL: below $TMPDIR, else /tmp. Until
 * then, and when it fails, the others do nothing. */
int scratch_start(const char *dir, struct err *reterr);
/* A new folder of mode 0700, which the caller frees; NULL: there is none. */
char *scratch_folder(void);
/* Removes a folder with all that is in it, however deep; passes over what cannot be removed.
 * Follows no links. Blocks as long as that takes; any thread. */
void scratch_remove(const char *folder);

/* Removes what other processes left. Blocks. */
void scratch_sweep(void);
/* Removes the folder of this process. Blocks; also from a fork of it. */
void scratch_end(void);

#endif
