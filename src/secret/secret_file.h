/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret_file: reads a secret's file, and nothing that lies elsewhere.
 *
 * Owns nothing. Knows nothing of other sources, and of what the value is for.
 */
#ifndef ENVDRIVER_SECRET_SECRET_FILE_H
#define ENVDRIVER_SECRET_SECRET_FILE_H

struct buf;
struct err;

/*
 * Appends the content of `dir`/`folder`/`name` (`folder` NULL: `dir`/`name`);
 * `folder` and `name` are single names. Blocks.
 *
 * Symbolic links count as long as they stay below `dir`, and the one to the
 * file below `folder`: so Kubernetes mounts secrets, and so no link leads to
 * another company. Where the kernel has no openat2, no link is followed.
 *
 * ERR_NOTFOUND, without a text: no such file. ERR_DENIED: it lies elsewhere, may
 * not be read, or others may write it or a folder that it lies in. ERR_INVALID:
 * no regular file, or longer than any secret. ERR_IO, retriable. ERR_NOMEM.
 */
int secret_file_read(const char *dir, const char *folder, const char *name, struct buf *out,
		     struct err *reterr);

#endif
