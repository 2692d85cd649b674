/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/isolation/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"

#define PREFIX "envdriver-tmp-"

enum { MODE = 0700, ROUNDS_MAX = 10, NAME_SIZE = 32, LINK_SIZE = 40 };

static struct {
	char dir[PATH_MAX - 64];	/* "": not started */
	char root[PATH_MAX - 32];
	int lock;			/* the root, open and locked */
	unsigned serial;
} scratch = { .lock = -1 };

/* --- removing --- */

/* One folder, being emptied: what folders it holds are moved up into it first, so
 * that neither paths nor descriptors grow with the depth. */
struct removal {
	int top;
	unsigned serial;	/* of a name in it */
	bool moved;
};

/* A folder that its owner closed to itself is opened again. By the descriptor: a
 * link that took its place is not followed. */
static int
open_folder(int dir, const char *name)
{
	int at = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd;
	char self[LINK_SIZE];

	if (at < 0)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	fd = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (faccessat(at, ".", W_OK | X_OK, AT_EACCESS) < 0 || fd < 0) {
		(void)chmod(self, MODE);
		if (fd < 0)
			fd = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	close(at);
	return fd;
}

static void
raise_folder(struct removal *r, int dir, const char *name)
{
	char to[NAME_SIZE];

	for (int tries = 0; tries < ROUNDS_MAX; tries++) {
		snprintf(to, sizeof(to), ".%u.rm", r->serial++);
		if (renameat(dir, name, r->top, to) == 0) {
			r->moved = true;
			return;
		}
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return;
	}
}

/* From its first entry on; `dir` stays open. */
static DIR *
list_folder(int dir)
{
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (d)
		rewinddir(d);
	else if (copy >= 0)
		close(copy);
	return d;
}

/* Files go, folders move up. */
static void
empty_into(struct removal *r, int dir)
{
	DIR *d = list_folder(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dir, e->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM) &&
		    unlinkat(dir, e->d_name, AT_REMOVEDIR) < 0)
			raise_folder(r, dir, e->d_name);
	}
	if (d)
		closedir(d);
}

/* One round over the folders in the top one. */
static void
empty_folders(struct removal *r)
{
	DIR *d = list_folder(r->top);
	const struct dirent *e;
	int fd;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(r->top, e->d_name, 0) == 0)
			continue;
		fd = open_folder(r->top, e->d_name);
		if (fd < 0)
			continue;
		empty_into(r, fd);
		close(fd);
		if (unlinkat(r->top, e->d_name, AT_REMOVEDIR) == 0)
			r->moved = true;
	}
	if (d)
		closedir(d);
}

void
scratch_remove(const char *folder)
{
	struct removal r = { open_folder(AT_FDCWD, folder), 0, false };

	if (r.top < 0)
		return;
	for (int rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		do {
			r.moved = false;
			empty_folders(&r);
		} while (r.moved);
		/* Somebody may still write to it, who is about to be killed. */
		if (rmdir(folder) == 0 || errno != ENOTEMPTY)
			break;
		usleep(20000);
	}
	close(r.top);
}

/* --- the folder of a process --- */

/* Locked until its process is gone; -1: it is another's, or in use. */
static int
lock_folder(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void
scratch_sweep(void)
{
	DIR *d = scratch.dir[0] ? opendir(scratch.dir) : NULL;
	const struct dirent *e;
	char path[PATH_MAX];
	int lock;

	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", scratch.dir, e->d_name) >=
			    sizeof(path) ||
		    strcmp(path, scratch.root) == 0)
			continue;
		lock = lock_folder(dirfd(d), e->d_name);
		if (lock < 0)
			continue;
		scratch_remove(path);
		close(lock);
	}
	if (d)
		closedir(d);
}

int
scratch_start(const char *dir, struct err *reterr)
{
	const char *from = dir ? dir : getenv("TMPDIR");

	if (scratch.dir[0])
		return 0;
	if (!from || from[0] != '/' || strlen(from) >= sizeof(scratch.dir))
		from = "/tmp";
	/* Before it is locked, another one's sweep may take it. */
	for (int tries = 0; scratch.lock < 0; tries++) {
		snprintf(scratch.root, sizeof(scratch.root), "%s/" PREFIX "XXXXXX", from);
		if (tries == ROUNDS_MAX || !mkdtemp(scratch.root))
			return err_set(reterr, ERR_IO, "cannot make a folder in '%s': %s", from,
				       strerror(errno));
		scratch.lock = lock_folder(AT_FDCWD, scratch.root);
	}
	snprintf(scratch.dir, sizeof(scratch.dir), "%s", from);
	return 0;
}

char *
scratch_folder(void)
{
	char path[PATH_MAX];

	if (!scratch.dir[0])
		return NULL;
	snprintf(path, sizeof(path), "%s/%u", scratch.root, ++scratch.serial);
	return mkdir(path, MODE) == 0 ? strdup(path) : NULL;
}

void
scratch_end(void)
{
	if (scratch.dir[0])
		scratch_remove(scratch.root);
}
