/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_read: finds and loads the manifest of a package folder; one in
 * JavaScript by running node. Apart from manifest.c, which checks a manifest
 * wherever it comes from.
 */
#include "envdriver/client/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/package/package.h"

enum { FILE_MAX = 4 * 1024 * 1024, NODE_MS = 20000,  };

enum { OUT_FD = 3 };

/* Writes the manifest of the module to OUT_FD: what a module prints is not it, and
 * what it leaves running does not matter. A CommonJS module's exports are the
 * default export here, and may hold the manifest as their own. */
static const char script[] =
	"const {pathToFileURL} = await import('node:url');"
	"const {writeSync} = await import('node:fs');"
	"const m = await import(pathToFileURL(process.argv[1]).href);"
	"const all = [m.default?.default, m.default?.manifest, m.default, m.manifest, m];"
	"const x = all.find(x => x && typeof x === 'object' && 'id' in x) ??"
	"  m.default ?? m.manifest;"
	"let b = Buffer.from(JSON.stringify(x ?? null));"
	"while (b.length) b = b.subarray(writeSync(3, b));"
	"process.exit(0);";

/* The child's output until it ends or the time is over. */
static int
read_child(int fd, struct buf *out, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + NODE_MS;
	char chunk[65536];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_mono_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return err_set(reterr, ERR_TIMEOUT, "node took longer than %d s",
				       NODE_MS / 1000);
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_set(reterr, ERR_IO, "cannot read from node: %s",
				       strerror(errno));
		if (n > 0)
			buf_add(out, chunk, (size_t)n);
		if (out->failed)
			return err_nomem(reterr);
		if (out->len > FILE_MAX)
			return err_set(reterr, ERR_LIMIT, "it is larger than %d bytes", FILE_MAX);
	}
}

static int
start_node(const char *path, int out, pid_t *ret, struct err *reterr)
{
	const char *search = getenv("PATH");
	char *argv[] = { (char *)"node", (char *)"--input-type=module", (char *)"-e",
			 (char *)script, (char *)path, NULL };
	char env_path[PATH_MAX];
	char *envp[] = { env_path, (char *)"NODE_ENV=production", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	snprintf(env_path, sizeof(env_path), "PATH=%s", search ? search : "/usr/bin:/bin");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, OUT_FD);
	posix_spawn_file_actions_addclosefrom_np(&actions, OUT_FD + 1);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	rc = posix_spawnp(ret, "node", &actions, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		return err_set(reterr, ERR_NOTFOUND,
			       "cannot run node, which is needed to read it: %s", strerror(rc));
	return 0;
}

/* What it prints goes to our standard error. */
static int
run_node(const char *path, struct buf *out, struct err *reterr)
{
	int fds[2], ret, status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(reterr, ERR_IO, "cannot make a pipe: %s", strerror(errno));
	ret = start_node(path, fds[1], &pid, reterr);
	close(fds[1]);
	if (ret < 0) {
		close(fds[0]);
		return ret;
	}
	ret = read_child(fds[0], out, reterr);
	close(fds[0]);
	kill(-pid, SIGKILL);	/* its children, and node itself if it hangs */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret == 0 && out->len == 0)
		return err_set(reterr, ERR_INVALID, "node could not load it");
	return ret;
}

static int
load_manifest(const char *path, struct buf *out, struct err *reterr)
{
	const char *dot = strrchr(path, '.');
	int ret;

	if (dot && strcmp(dot, ".json") == 0)
		return cli_read(path, FILE_MAX, out, reterr);
	ret = run_node(path, out, reterr);
	if (ret < 0)
		err_prefix(reterr, "%s", path);
	return ret;
}

/* Of the file that a worker would take the command from. `path` is "" when the
 * manifest lies in it. */
static int
find_manifest(const char *dir, struct buf *text, char path[PATH_MAX], struct jtext *ret,
	      struct err *reterr)
{
	enum package_kind kind;
	struct jtext package;
	int rc = package_describe(dir, text, &package, &kind, reterr);

	if (rc < 0)
		return rc;
	if (kind == PACKAGE_COMMAND && jtext_get(package, "command").kind != JTEXT_ARRAY)
		return err_set(reterr, ERR_INVALID,
			       "%s/plugin.json: command: expected array, got %s", dir,
			       jtext_kind_name(jtext_get(package, "command").kind));
	return package_manifest(dir, package, kind, path, ret, reterr);
}

int
manifest_read(const char *dir, struct buf *out, struct jtext *ret, struct err *reterr)
{
	struct buf text = BUF_INIT, loaded = BUF_INIT;
	struct jtext found;
	char path[PATH_MAX];
	int rc = find_manifest(dir, &text, path, &found, reterr);

	if (rc == 0 && path[0]) {
		rc = load_manifest(path, &loaded, reterr);
		if (rc == 0) {
			rc = jtext_check(buf_span(&loaded), JTEXT_DEPTH_MAX, &found, reterr);
			if (rc < 0)
				err_prefix(reterr, "%s", path);
		}
	}
	if (rc == 0) {
		manifest_add_compact(out, found.raw);
		rc = out->failed ? err_nomem(reterr)
				 : jtext_check(buf_span(out), JTEXT_DEPTH_MAX, ret, reterr);
	}
	buf_release(&text);
	buf_release(&loaded);
	return rc;
}
