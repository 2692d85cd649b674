/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/isolation/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"
#include "envdriver/base/fd_above.h"
#include "envdriver/isolation/jail.h"
#include "public_files.h"
#include "seccomp.h"
#include "system_paths.h"

#define BWRAP "/usr/bin/bwrap"

enum { FD_TEXT = 16, OWN_WORDS = 4, FILTER = 1 };

struct namespaces {
	int fds[NAMESPACES_FDS];	/* its options; the filter, -1: none */
	char text[FD_TEXT];
	char **argv;
};

/* Each word with a NUL behind it. */
static void
tell_bwrap(struct buf *out, const char *option, const char *a, const char *b)
{
	buf_add(out, option, strlen(option) + 1);
	if (a)
		buf_add(out, a, strlen(a) + 1);
	if (b)
		buf_add(out, b, strlen(b) + 1);
}

static void
bind_all(struct buf *out, const char *option, const char *const *paths)
{
	for (; paths && *paths; paths++)
		tell_bwrap(out, option, *paths, *paths);
}

static int
bind_public_file(void *arg, const char *path)
{
	tell_bwrap(arg, "--ro-bind-try", path, path);
	return 0;
}

/* A folder that is granted in pieces has its links, too: /etc/localtime. */
static void
bind_links(struct buf *out, const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	char path[PATH_MAX], to[PATH_MAX];
	struct stat st;
	ssize_t n;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
			continue;
		n = readlink(path, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		tell_bwrap(out, "--symlink", to, path);
	}
	if (d)
		closedir(d);
}

struct settings {
	struct buf *out;
	bool whole;		/* /etc is granted as it is */
};

static int
bind_setting(void *arg, const char *path)
{
	struct settings *s = arg;

	s->whole |= strcmp(path, "/etc") == 0;
	return bind_public_file(s->out, path);
}

static void
add_system(struct buf *out)
{
	struct settings s = { out, false };
	char real[PATH_MAX];

	bind_all(out, "--ro-bind-try", system_paths_programs);
	bind_all(out, "--ro-bind-try", system_paths_kernel + 1);	/* but /proc */
	(void)public_files_each_again(system_paths_settings, bind_setting, &s);
	if (!s.whole)
		bind_links(out, "/etc");
	if (realpath("/etc/resolv.conf", real) && strncmp(real, "/etc/", 5) != 0)
		tell_bwrap(out, "--ro-bind-try", real, real);
}

static void
add_options(struct buf *out, const struct jail_rules *rules, const char *tmp, const char *dir)
{
	tell_bwrap(out, "--die-with-parent", NULL, NULL);
	tell_bwrap(out, "--unshare-pid", NULL, NULL);
	tell_bwrap(out, "--unshare-ipc", NULL, NULL);
	tell_bwrap(out, "--unshare-uts", NULL, NULL);
	if (!(rules->permits & JAIL_INET))
		tell_bwrap(out, "--unshare-net", NULL, NULL);
	tell_bwrap(out, "--cap-drop", "ALL", NULL);
	if (rules->system)
		add_system(out);
	tell_bwrap(out, "--proc", "/proc", NULL);
	tell_bwrap(out, "--dev", "/dev", NULL);
	if (tmp) {
		tell_bwrap(out, "--bind", tmp, "/tmp");
		tell_bwrap(out, "--setenv", "TMPDIR", "/tmp");
	}
	bind_all(out, "--ro-bind-try", rules->read);
	bind_all(out, "--bind-try", rules->write);
	tell_bwrap(out, "--chdir", dir, NULL);
}

/* -1 and errno. Close-on-exec and above 2. */
static int
in_memory(const void *data, size_t len)
{
	int fd = memfd_create("envdriver", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, data, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		return -1;
	}
	return fd_above_stderr(fd);
}

static bool
make_argv(struct namespaces *n, char *const *argv)
{
	static char program[] = BWRAP, option[] = "--args", end[] = "--";
	size_t words = 0;

	while (argv[words])
		words++;
	n->argv = calloc(OWN_WORDS + words + 1, sizeof(*n->argv));
	if (!n->argv)
		return false;
	snprintf(n->text, sizeof(n->text), "%d", n->fds[0]);
	n->argv[0] = program;
	n->argv[1] = option;
	n->argv[2] = n->text;
	n->argv[3] = end;
	memcpy(n->argv + OWN_WORDS, argv, words * sizeof(*argv));
	return true;
}

static bool
make_filter(struct namespaces *n, const struct jail_rules *rules, struct buf *options)
{
	struct seccomp_filter filter;
	char text[FD_TEXT];

	if (!(rules->layers & JAIL_SECCOMP) || !jail_support()->seccomp)
		return true;
	seccomp_make(&filter, rules->permits);
	n->fds[FILTER] = in_memory(filter.steps, filter.n * sizeof(*filter.steps));
	if (n->fds[FILTER] < 0)
		return false;
	snprintf(text, sizeof(text), "%d", n->fds[FILTER]);
	tell_bwrap(options, "--seccomp", text, NULL);
	return true;
}

struct namespaces *
namespaces_new(const struct jail_rules *rules, const char *tmp, const char *dir,
	       char *const *argv, struct err *reterr)
{
	struct namespaces *n = calloc(1, sizeof(*n));
	struct buf options = BUF_INIT;
	bool made = false;

	if (!n) {
		err_nomem(reterr);
		return NULL;
	}
	n->fds[0] = n->fds[FILTER] = -1;
	add_options(&options, rules, tmp, dir);
	if (make_filter(n, rules, &options) && !options.failed) {
		n->fds[0] = in_memory(options.data, options.len);
		made = n->fds[0] >= 0 && make_argv(n, argv);
	}
	buf_release(&options);
	if (made)
		return n;
	err_set(reterr, ERR_IO, "cannot prepare bwrap: %s", strerror(errno));
	namespaces_free(n);
	return NULL;
}

char *const *
namespaces_argv(const struct namespaces *n)
{
	return n->argv;
}

const int *
namespaces_fds(const struct namespaces *n)
{
	return n->fds;
}

void
namespaces_free(struct namespaces *n)
{
	if (!n)
		return;
	for (int i = 0; i < NAMESPACES_FDS; i++)
		if (n->fds[i] >= 0)
			close(n->fds[i]);
	free(n->argv);
	free(n);
}

static bool
try_bwrap(void)
{
	int status, null;
	pid_t pid = access(BWRAP, X_OK) < 0 ? -1 : fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		for (int fd = 0; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
		execl(BWRAP, BWRAP, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
		      "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net",
		      "/bin/true", (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool
namespaces_work(void)
{
	static enum { UNKNOWN, WORK, FAIL } known;

	if (known == UNKNOWN)
		known = try_bwrap() ? WORK : FAIL;
	return known == WORK;
}
