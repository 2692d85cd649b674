/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/isolation/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "envdriver/base/err.h"

#define PLUGIN "plugin-"

enum { LINE_SIZE = 1024, FOLDER_MODE = 0755, TRIES = 100, PAUSE_US = 10000 };

static struct {
	char root[PATH_MAX - 64];	/* "": there are none */
	unsigned serial;
} cgroup;

static bool
write_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = write(fd, text, strlen(text));
		close(fd);
	}
	return n >= 0;
}

/* --- where we are --- */

/* Copies what is behind the first "0::" of /proc/self/cgroup. */
static bool
own_group(char ret[LINE_SIZE])
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[LINE_SIZE];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		if (strncmp(line, "0::/", 4) == 0) {
			snprintf(ret, LINE_SIZE, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
			found = true;
		}
	if (f)
		fclose(f);
	return found;
}

/* systemd marks what it delegates. */
static bool
find_delegated(char *ret, size_t size)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char own[LINE_SIZE], mark[2];

	if (!own_group(own))
		return false;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		if ((size_t)snprintf(ret, size, "%s%s", mounts[i], own) < size &&
		    (getxattr(ret, "user.delegate", mark, sizeof(mark)) > 0 ||
		     getxattr(ret, "trusted.delegate", mark, sizeof(mark)) > 0) &&
		    mark[0] == '1')
			return true;
	}
	return false;
}

/* --- groups --- */

/* Of a worker that was killed: empty, or the keeper is about to make it so. */
static void
remove_old_groups(void)
{
	DIR *d = opendir(cgroup.root);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, PLUGIN, sizeof(PLUGIN) - 1) == 0)
			(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}

int
cgroup_start(const char *dir, struct err *reterr)
{
	static const char *const controllers[] = { "+memory", "+pids", "+cpu" };
	char worker[PATH_MAX];

	if (!dir && !find_delegated(cgroup.root, sizeof(cgroup.root))) {
		cgroup.root[0] = '\0';
		return 0;
	}
	if (dir)
		snprintf(cgroup.root, sizeof(cgroup.root), "%s", dir);
	snprintf(worker, sizeof(worker), "%s/worker", cgroup.root);
	if ((mkdir(worker, FOLDER_MODE) < 0 && errno != EEXIST) ||
	    !write_file(worker, "cgroup.procs", "0")) {
		err_set(reterr, ERR_IO, "cannot use the control group '%s': %s", cgroup.root,
			strerror(errno));
		cgroup.root[0] = '\0';
		return ERR_IO;
	}
	for (size_t i = 0; i < sizeof(controllers) / sizeof(*controllers); i++)
		(void)write_file(cgroup.root, "cgroup.subtree_control", controllers[i]);
	remove_old_groups();
	return 0;
}

bool
cgroup_works(void)
{
	return cgroup.root[0] != '\0';
}

char *
cgroup_new(uint64_t memory_max, size_t tasks_max)
{
	char path[PATH_MAX], text[24];

	if (!cgroup_works())
		return NULL;
	snprintf(path, sizeof(path), "%s/" PLUGIN "%d-%u", cgroup.root, (int)getpid(),
		 ++cgroup.serial);
	if (mkdir(path, FOLDER_MODE) < 0)
		return NULL;
	if (memory_max) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)memory_max);
		(void)write_file(path, "memory.max", text);
		(void)write_file(path, "memory.oom.group", "1");
	}
	if (tasks_max) {
		snprintf(text, sizeof(text), "%zu", tasks_max);
		(void)write_file(path, "pids.max", text);
	}
	return strdup(path);
}

/* A group can be removed once its last process was reaped. */
void
cgroup_end(const char *folder)
{
	(void)write_file(folder, "cgroup.kill", "1");
	for (int i = 0; i < TRIES && rmdir(folder) < 0 && errno == EBUSY; i++)
		usleep(PAUSE_US);
}
