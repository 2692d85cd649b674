/* SPDX-License-Identifier: Apache-2.0 */
#include "jail_paths.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/package/package.h"

enum { LINE_MAX_READ = 512, LINKS_MAX = 4 };

#define MODULES "node_modules"

void
jail_paths_add(struct jail_paths_list *l, const char *path)
{
	if (!path || !*path || l->n == JAIL_PATHS_MAX)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->at[i], path) == 0)
			return;
	l->at[l->n] = strdup(path);
	if (l->at[l->n])
		l->at[++l->n] = NULL;
}

/* The next one of "/a:/b" that is not empty and fits; false: there is none. */
static bool
next_path(const char **paths, char ret[PATH_MAX])
{
	while (*paths && **paths) {
		const char *at = *paths;
		size_t len = strcspn(at, ":");

		*paths += len + (at[len] == ':');
		if (len == 0 || len >= PATH_MAX)
			continue;
		memcpy(ret, at, len);
		ret[len] = '\0';
		return true;
	}
	return false;
}

void
jail_paths_add_list(struct jail_paths_list *l, const char *paths)
{
	char one[PATH_MAX];

	while (next_path(&paths, one))
		jail_paths_add(l, one);
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* --- programs --- */

/* Of a place such as /opt/node/bin: what lies there, and the libraries beside it.
 * Not its "share" nor its "etc": of a home they hold secrets. */
static void
add_bin(struct jail_paths_list *l, const char *folder)
{
	static const char *const beside[] = { "lib", "lib64", "libexec", "include", "pyvenv.cfg" };
	const char *slash = strrchr(folder, '/');
	char path[PATH_MAX];

	if (!slash || slash == folder ||
	    (strcmp(slash, "/bin") != 0 && strcmp(slash, "/sbin") != 0))
		return;
	jail_paths_add(l, folder);
	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++)
		if ((size_t)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - folder), folder,
				     beside[i]) < sizeof(path))
			jail_paths_add(l, path);
}

static void
add_program_file(struct jail_paths_list *l, const char *program)
{
	char real[PATH_MAX], *slash;

	if (!realpath(program, real))
		return;
	jail_paths_add(l, real);
	slash = strrchr(real, '/');
	*slash = '\0';
	add_bin(l, real);
}

/* "#!/opt/python/bin/python3 -u": the interpreter, or false. */
static bool
read_interpreter(const char *script, char ret[PATH_MAX])
{
	char line[LINE_MAX_READ];
	const char *p = line + 2;
	int fd = open(script, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	p += strspn(p, " \t");
	snprintf(ret, PATH_MAX, "%.*s", (int)strcspn(p, " \t\r\n"), p);
	return *ret == '/';
}

static void
add_interpreters(struct jail_paths_list *l, const char *program)
{
	char at[PATH_MAX], next[PATH_MAX];

	snprintf(at, sizeof(at), "%s", program);
	for (int i = 0; i < LINKS_MAX && read_interpreter(at, next); i++) {
		add_program_file(l, next);
		memcpy(at, next, sizeof(at));
	}
}

static void
add_search_path(struct jail_paths_list *l, const char *path)
{
	char one[PATH_MAX], real[PATH_MAX];

	while (next_path(&path, one)) {
		if (*one != '/' || !realpath(one, real) || strncmp(real, "/usr/", 5) == 0)
			continue;
		jail_paths_add(l, real);
		add_bin(l, real);
	}
}

/* --- packages --- */

static bool
lies_below(const char *path, const char *dirs)
{
	char one[PATH_MAX], real[PATH_MAX];
	size_t n;

	while (next_path(&dirs, one)) {
		n = realpath(one, real) ? strlen(real) : 0;
		if (n > 0 && strncmp(path, real, n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	return false;
}

/* A package may not lead anywhere it likes: a link counts when it ends below
 * plugin.dirs, or in another folder of modules. */
static void
add_modules(struct jail_paths_list *l, const char *folder, const char *dirs)
{
	char path[PATH_MAX], real[PATH_MAX];
	const char *name;

	if ((size_t)snprintf(path, sizeof(path), "%s/" MODULES, folder) >= sizeof(path) ||
	    !realpath(path, real) || !is_folder(real))
		return;
	name = strrchr(real, '/');
	if (strcmp(name, "/" MODULES) == 0 || lies_below(real, dirs))
		jail_paths_add(l, real);
}

/* Node looks for modules in each folder above, too. */
static void
add_package(struct jail_paths_list *l, const char *folder, const char *dirs)
{
	char at[PATH_MAX], *slash;

	jail_paths_add(l, folder);
	snprintf(at, sizeof(at), "%s", folder);
	while ((slash = strrchr(at, '/'))) {
		add_modules(l, at, dirs);
		*slash = '\0';
	}
}

/* Of the words of its command those that are files below plugin.dirs, as Node's
 * worker, which may be a link out of the package. */
static void
add_words(struct jail_paths_list *l, const struct package *package, const char *dirs)
{
	char real[PATH_MAX], *slash;

	for (char **word = package->argv; *word; word++) {
		if (**word != '/' || !realpath(*word, real) || !lies_below(real, dirs))
			continue;
		slash = strrchr(real, '/');
		*slash = '\0';
		if (strncmp(real, package->dir, strlen(package->dir)) != 0)
			add_package(l, real, dirs);
	}
}

/* A variable that the operator passes on and that names a file, as
 * SSL_CERT_FILE=/srv/ca.pem does. Folders must be given by plugin.read. */
static void
add_variables(struct jail_paths_list *l, char *const env[])
{
	struct stat st;

	for (; *env; env++) {
		const char *value = strchr(*env, '=');

		if (value && value[1] == '/' && stat(value + 1, &st) == 0 && S_ISREG(st.st_mode))
			jail_paths_add(l, value + 1);
	}
}

static const char *
path_of(char *const env[])
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return NULL;
}

void
jail_paths_add_program(struct jail_paths *p, const char *dirs, const struct package *package,
		       char *const env[])
{
	struct jail_paths_list *l = &p->read;

	add_package(l, package->dir, dirs);
	add_words(l, package, dirs);
	add_program_file(l, package->argv[0]);
	add_interpreters(l, package->argv[0]);
	add_search_path(l, path_of(env));
	add_variables(l, env);
}

static void
release_list(struct jail_paths_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	l->n = 0;
}

void
jail_paths_release(struct jail_paths *p)
{
	release_list(&p->read);
	release_list(&p->write);
}
