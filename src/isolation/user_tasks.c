/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/isolation/user_tasks.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_OF_FOLDER = 2 };

/* The folder "task" of a process has a link per thread. Those of a process that
 * cannot be dumped, as ours, are root's: counted, too, rather than left out. */
size_t
user_tasks_count(void)
{
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	uid_t self = geteuid();
	char path[40];
	struct stat st;
	size_t n = 0;

	while (proc && (d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%.20s/task", d->d_name);
		if (fstatat(dirfd(proc), path, &st, 0) == 0 &&
		    (st.st_uid == self || st.st_uid == 0) && st.st_nlink > LINKS_OF_FOLDER)
			n += st.st_nlink - LINKS_OF_FOLDER;
	}
	if (proc)
		closedir(proc);
	return n;
}
