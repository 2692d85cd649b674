/* SPDX-License-Identifier: Apache-2.0 */
#include "public_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 12, ENTRIES_MAX = 50000, KEPT_S = 10, HIDDEN_MAX = 8 };

struct walk {
	int (*fn)(void *arg, const char *path);
	void *arg;
	int left;		/* entries that may still be looked at */
};

/* --- what is not public, whatever its mode says --- */

static struct {
	char *path;
	dev_t dev;
	ino_t ino;
} hidden[HIDDEN_MAX];
static size_t n_hidden;

void
public_files_hide(const char *folder)
{
	struct stat st;

	for (size_t i = 0; i < n_hidden; i++)
		if (strcmp(hidden[i].path, folder) == 0)
			return;
	if (n_hidden == HIDDEN_MAX || stat(folder, &st) < 0)
		return;
	hidden[n_hidden].path = strdup(folder);
	if (!hidden[n_hidden].path)
		return;
	hidden[n_hidden].dev = st.st_dev;
	hidden[n_hidden++].ino = st.st_ino;
}

static bool
is_hidden(const struct stat *st)
{
	for (size_t i = 0; i < n_hidden; i++)
		if (st->st_dev == hidden[i].dev && st->st_ino == hidden[i].ino)
			return true;
	return false;
}

/* --- what is there --- */

static bool
is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Others may read it; or nobody here may, which does no harm. */
static bool
is_public(int dir, const char *name, const struct stat *st)
{
	mode_t wanted = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	if (is_hidden(st))
		return false;
	if (S_ISLNK(st->st_mode) || (st->st_mode & wanted) == wanted)
		return true;
	return faccessat(dir, name, R_OK, AT_EACCESS) < 0;
}

/* The folder below `dir` and everything in it is public. */
static bool
is_all_public(struct walk *w, int dir, const char *name, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool ret = d && depth < DEPTH_MAX;
	struct stat st;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return fd < 0;	/* it cannot be read by the program either */
	}
	while (ret && (e = readdir(d))) {
		if (is_dot(e->d_name))
			continue;
		if (w->left-- <= 0)
			ret = false;
		else if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			ret = is_public(dirfd(d), e->d_name, &st) &&
			      (!S_ISDIR(st.st_mode) ||
			       is_all_public(w, dirfd(d), e->d_name, depth + 1));
	}
	closedir(d);
	return ret;
}

static int walk_pieces(struct walk *w, const char *folder, int depth);

static int
walk_entry(struct walk *w, int dir, const char *path, const char *name, int depth)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode) ||
	    !is_public(dir, name, &st))
		return 0;
	if (!S_ISDIR(st.st_mode) || is_all_public(w, dir, name, depth))
		return w->fn(w->arg, path);
	return walk_pieces(w, path, depth + 1);
}

static int
walk_pieces(struct walk *w, const char *folder, int depth)
{
	DIR *d = depth < DEPTH_MAX ? opendir(folder) : NULL;
	const struct dirent *e;
	char path[PATH_MAX];
	int ret = 0;

	while (d && ret >= 0 && w->left-- > 0 && (e = readdir(d)))
		if (!is_dot(e->d_name) && (size_t)snprintf(path, sizeof(path), "%s/%s", folder,
							   e->d_name) < sizeof(path))
			ret = walk_entry(w, dirfd(d), path, e->d_name, depth);
	if (d)
		closedir(d);
	return ret < 0 ? ret : 0;
}

int
public_files_each(const char *folder, int (*fn)(void *arg, const char *path), void *arg)
{
	struct walk w = { fn, arg, ENTRIES_MAX };

	if (is_all_public(&w, AT_FDCWD, folder, 0))
		return fn(arg, folder);
	w.left = ENTRIES_MAX;
	return walk_pieces(&w, folder, 0);
}

/* --- what was found last --- */

static struct {
	char **at;
	size_t n, cap;
	time_t since;		/* 0: nothing is kept */
} kept;

static int
keep_path(void *arg, const char *path)
{
	(void)arg;
	if (kept.n == kept.cap) {
		size_t cap = kept.cap ? 2 * kept.cap : 256;
		char **grown = realloc(kept.at, cap * sizeof(*grown));

		if (!grown)
			return -1;
		kept.at = grown;
		kept.cap = cap;
	}
	kept.at[kept.n] = strdup(path);
	if (!kept.at[kept.n])
		return -1;
	kept.n++;
	return 0;
}

static int
look_anew(const char *const *folders)
{
	int ret = 0;

	while (kept.n > 0)
		free(kept.at[--kept.n]);
	for (; *folders && ret >= 0; folders++)
		ret = public_files_each(*folders, keep_path, NULL);
	return ret;
}

int
public_files_each_again(const char *const *folders, int (*fn)(void *arg, const char *path),
			void *arg)
{
	struct timespec now;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (!kept.since || now.tv_sec - kept.since >= KEPT_S) {
		kept.since = 0;
		ret = look_anew(folders);
		kept.since = ret < 0 ? 0 : now.tv_sec + 1;
	}
	for (size_t i = 0; i < kept.n && ret >= 0; i++)
		ret = fn(arg, kept.at[i]);
	return ret < 0 ? ret : 0;
}
