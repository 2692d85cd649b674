/* SPDX-License-Identifier: Apache-2.0 */
#include "trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct trash {
	int root;
	char prefix[NAME_MAX + 1];	/* ".gone-<id>." */
	uint64_t salt;		/* names made by two removers at once must differ */
	unsigned long next;
	int error;		/* the first one of a round, an errno */
	char culprit[NAME_MAX + 1];
};

static void
blame(struct trash *t, const char *name)
{
	if (t->error || errno == ENOENT)	/* gone is what it should be */
		return;
	t->error = errno;
	snprintf(t->culprit, sizeof(t->culprit), "%s", name);
}

/* Moves `name` of folder `dir` into the root. */
static int
move_up(struct trash *t, int dir, const char *name)
{
	char fresh[sizeof(t->prefix) + 48];
	snprintf(fresh, sizeof(fresh), "%s%016llx%lx", t->prefix, (unsigned long long)t->salt,
		 t->next++);
	if (renameat(dir, name, t->root, fresh) == 0)
		return 0;
	/* To move a folder is to write its "..", which its mode may forbid. */
	if (errno != EACCES || fchmodat(dir, name, 0700, 0) < 0)
		return -1;
	return renameat(dir, name, t->root, fresh);
}

static int
open_folder(int dir, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir, name, flags);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, flags);
	return fd;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Empties and removes one folder of the root. */
static bool
remove_flat(struct trash *t, const char *name)
{
	if (unlinkat(t->root, name, 0) == 0)	/* not a folder at all */
		return true;
	int fd = open_folder(t->root, name);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		blame(t, name);
		if (fd >= 0)
			close(fd);
		return false;
	}
	fchmod(fd, 0700);	/* or nothing can be unlinked in it */
	const struct dirent *e;
	while ((e = readdir(d))) {
		if (is_dots(e->d_name) || unlinkat(fd, e->d_name, 0) == 0)
			continue;
		if ((errno != EISDIR && errno != EPERM) || move_up(t, fd, e->d_name) < 0)
			blame(t, e->d_name);
	}
	closedir(d);
	if (unlinkat(t->root, name, AT_REMOVEDIR) == 0)
		return true;
	blame(t, name);
	return false;
}

/* Removes what bears the lease's name now; what moves up meanwhile is for the
 * next round. Returns how many folders are gone. */
static unsigned
round_of_removal(struct trash *t)
{
	unsigned removed = 0;
	int fd = openat(t->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		blame(t, ".");
		if (fd >= 0)
			close(fd);
		return 0;
	}
	const struct dirent *e;
	while ((e = readdir(d)))
		if (strncmp(e->d_name, t->prefix, strlen(t->prefix)) == 0)
			removed += remove_flat(t, e->d_name);
	closedir(d);
	return removed;
}

int
trash_folder(const char *root, const char *id, struct rpc_error *reterr)
{
	struct trash t = { .root = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };
	snprintf(t.prefix, sizeof(t.prefix), ".gone-%.200s.", id);
	if (t.root < 0)
		blame(&t, root);
	else if (getrandom(&t.salt, sizeof(t.salt), 0) != sizeof(t.salt))
		blame(&t, "/dev/urandom");
	else if (move_up(&t, t.root, id) < 0)
		blame(&t, id);
	if (!t.error) {
		/* What fails in one round may work in the next; the last one counts. */
		do
			t.error = 0;
		while (round_of_removal(&t) > 0);
	}
	if (t.root >= 0)
		close(t.root);
	if (!t.error)
		return 0;
	return rpc_error_set(reterr, RPC_WORKER_ERROR, "cannot remove '%s' of lease \"%s\": %s",
			     t.culprit, id, strerror(t.error));
}
