/* SPDX-License-Identifier: Apache-2.0 */
/*
 * package_digest: one number for all files of a package, so that changed code is seen
 * (docs/operations.md, "Plugin packages"). Apart from package.c, which reads a few
 * small files: this reads all of them.
 */
#include "envdriver/package/package.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "envdriver/base/err.h"

enum { FILES_MAX = 200000, CHUNK = 1 << 16 };

static const uint64_t BYTES_MAX = UINT64_C(8) << 30;

/* What has been read so far. */
struct tally {
	struct digest *all;
	uint64_t files, bytes;
};

static int
digest_file(const char *path, uint64_t *bytes, char ret[DIGEST_HEX_SIZE], struct err *reterr)
{
	struct digest *d = digest_new();
	static const size_t size = CHUNK;
	char chunk[CHUNK];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), code = 0;
	ssize_t n = -1;

	if (fd < 0) {
		code = err_set(reterr, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
		goto out;
	}
	while ((n = read(fd, chunk, size)) > 0 && (*bytes += (uint64_t)n) <= BYTES_MAX)
		digest_add(d, (struct span){ chunk, (size_t)n });
	if (n < 0)
		code = err_set(reterr, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
	else if (n > 0)
		code = err_set(reterr, ERR_LIMIT, "the package has more than %llu GiB",
			       (unsigned long long)(BYTES_MAX >> 30));
	else if (!digest_end(d, ret))
		code = err_nomem(reterr);
out:
	if (fd >= 0)
		close(fd);
	digest_free(d);
	return code;
}

static int
digest_link(const char *path, char ret[DIGEST_HEX_SIZE], struct err *reterr)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0)
		return err_set(reterr, ERR_IO, "cannot read link '%s': %s", path, strerror(errno));
	if (!digest_sha256_hex((struct span){ target, (size_t)n }, ret))
		return err_nomem(reterr);
	return 0;
}

/* One line for each: kind, digest, path from the folder on, NUL. */
static int
digest_entry(struct tally *t, const FTSENT *e, size_t root_len, struct err *reterr)
{
	bool is_link = e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE;
	const char *kind = is_link ? "l " : e->fts_statp->st_mode & 0111 ? "x " : "f ";
	const char *path = e->fts_path + root_len + 1;
	char hex[DIGEST_HEX_SIZE];
	int code;

	if (++t->files > FILES_MAX)
		return err_set(reterr, ERR_LIMIT, "the package has more than %d files", FILES_MAX);
	code = is_link ? digest_link(e->fts_path, hex, reterr) :
			 digest_file(e->fts_path, &t->bytes, hex, reterr);
	if (code < 0)
		return code;
	digest_add(t->all, span_of(kind));
	digest_add(t->all, span_of(hex));
	digest_add(t->all, SPAN_LIT(" "));
	digest_add(t->all, (struct span){ path, strlen(path) + 1 });
	return 0;
}

static int
by_entry_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int
walk_package(FTS *fts, struct tally *t, size_t root_len, struct err *reterr)
{
	FTSENT *e;
	int code = 0;

	while (code == 0 && (errno = 0, e = fts_read(fts))) {
		if (e->fts_info == FTS_D && strcmp(e->fts_name, ".git") == 0)
			fts_set(fts, e, FTS_SKIP);
		else if (e->fts_info == FTS_F || e->fts_info == FTS_SL ||
			 e->fts_info == FTS_SLNONE)
			code = digest_entry(t, e, root_len, reterr);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR ||
			 e->fts_info == FTS_NS)
			code = err_set(reterr, ERR_IO, "cannot read '%s': %s", e->fts_path,
				       strerror(e->fts_errno));
	}
	if (code == 0 && errno)
		code = err_set(reterr, ERR_IO, "cannot read the package: %s", strerror(errno));
	return code;
}

int
package_digest(const char *dir, char ret[PACKAGE_DIGEST_SIZE], struct err *reterr)
{
	char root[PATH_MAX], *paths[] = { root, NULL };
	struct tally t = { digest_new(), 0, 0 };
	FTS *fts = NULL;
	int code = 0;

	snprintf(root, sizeof(root), "%s", dir);
	strcpy(ret, PACKAGE_DIGEST_PREFIX);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_entry_name);
	if (!fts)
		code = err_set(reterr, ERR_IO, "cannot read '%s': %s", dir, strerror(errno));
	if (code == 0)
		code = walk_package(fts, &t, strlen(root), reterr);
	if (code == 0 && !digest_end(t.all, ret + strlen(PACKAGE_DIGEST_PREFIX)))
		code = err_nomem(reterr);
	if (fts)
		fts_close(fts);
	digest_free(t.all);
	return code;
}
