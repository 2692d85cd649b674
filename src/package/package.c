/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/package/package.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/semver.h"
#include "envdriver/rpc/handshake.h"

/* The command, being put together. */
struct words {
	char *at[PACKAGE_ARGS_MAX + 1];
	size_t n;
};

static int
add_word(struct words *w, struct span text, struct err *reterr)
{
	if (w->n == PACKAGE_ARGS_MAX)
		return err_set(reterr, ERR_LIMIT, "a command of more than %d words",
			       PACKAGE_ARGS_MAX);
	if (memchr(text.ptr, '\0', text.len))
		return err_set(reterr, ERR_INVALID, "a command with a NUL in it");
	w->at[w->n] = strndup(text.ptr, text.len);
	if (!w->at[w->n])
		return err_nomem(reterr);
	w->at[++w->n] = NULL;
	return 0;
}

static void
release_words(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->at[i]);
}

/* Folders */

/* `path`, which has no links in it, is `dir` or lies inside it. */
static bool
lies_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool
package_permitted(const char *path, const char *dirs)
{
	char real[PATH_MAX], one[PATH_MAX];

	for (const char *end; *dirs; dirs = *end ? end + 1 : end) {
		end = strchrnul(dirs, ':');
		if (end == dirs || (size_t)(end - dirs) >= sizeof(one))
			continue;
		memcpy(one, dirs, (size_t)(end - dirs));
		one[end - dirs] = '\0';
		if (realpath(one, real) && lies_inside(path, real))
			return true;
	}
	return false;
}

static int
real_folder(const char *folder, const struct package_rules *rules, char **ret, struct err *reterr)
{
	char *real;

	if (*folder != '/')
		return err_set(reterr, ERR_DENIED, "package '%s' is not an absolute path", folder);
	real = realpath(folder, NULL);
	if (!real)
		return err_set(reterr, ERR_NOTFOUND, "cannot open package '%s': %s", folder,
			       strerror(errno));
	if (!package_permitted(real, rules->dirs)) {
		free(real);
		return err_set(reterr, ERR_DENIED,
			       "package '%s' is not inside any directory of plugin.dirs (%s)",
			       folder, rules->dirs);
	}
	*ret = real;
	return 0;
}

/* Programs */

/* A folder can be "executed", too: errno is 0 then. */
static bool
is_program(const char *path)
{
	struct stat st;

	if (access(path, X_OK) < 0 || stat(path, &st) < 0)
		return false;
	errno = 0;
	return S_ISREG(st.st_mode);
}

static int
find_in_path(struct span name, const char *path, struct words *w, struct err *reterr)
{
	char file[PATH_MAX];

	for (const char *end; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if ((size_t)snprintf(file, sizeof(file), "%.*s/%.*s", (int)(end - path), path,
				     SPAN_FMT(name)) < sizeof(file) &&
		    *file == '/' && is_program(file))
			return add_word(w, span_of(file), reterr);
	}
	return err_set(reterr, ERR_NOTFOUND, "there is no '%.*s' in the worker's PATH",
		       SPAN_FMT(name));
}

/* A program named by a path, from the package folder on: its folder must be a
 * permitted one, so that neither ".." nor a link of a folder leads out. The
 * program itself may be a link, as an interpreter in a Python venv is. */
static int
program_at(const char *dir, struct span name, const struct package_rules *rules, struct words *w,
	   struct err *reterr)
{
	char path[PATH_MAX], real[PATH_MAX], *slash;
	size_t n;

	n = (size_t)snprintf(path, sizeof(path), "%s%s%.*s", *name.ptr == '/' ? "" : dir,
			     *name.ptr == '/' ? "" : "/", SPAN_FMT(name));
	if (n >= sizeof(path))
		return err_set(reterr, ERR_LIMIT, "the path of its command is too long");
	slash = strrchr(path, '/');
	*slash = '\0';
	if (!realpath(slash == path ? "/" : path, real))
		return err_set(reterr, ERR_NOTFOUND, "cannot open '%s': %s", path, strerror(errno));
	if (!package_permitted(real, rules->dirs))
		return err_set(reterr, ERR_DENIED, "its command '%.*s' is not inside any "
			       "directory of plugin.dirs (%s)", SPAN_FMT(name), rules->dirs);
	*slash = '/';
	if (!is_program(path))
		return err_set(reterr, ERR_NOTFOUND, "cannot run '%s': %s", path,
			       errno ? strerror(errno) : "it is not a file");
	return add_word(w, span_of(path), reterr);
}

static int
add_program(const char *dir, struct span name, const struct package_rules *rules, struct words *w,
	    struct err *reterr)
{
	char path[PATH_MAX];

	if (!name.len)
		return err_set(reterr, ERR_INVALID, "its command is empty");
	if (memchr(name.ptr, '/', name.len))
		return program_at(dir, name, rules, w, reterr);
	/* A bare name: the package's own, else one of the system's. */
	if ((size_t)snprintf(path, sizeof(path), "%s/%.*s", dir, SPAN_FMT(name)) < sizeof(path) &&
	    is_program(path))
		return add_word(w, span_of(path), reterr);
	return find_in_path(name, rules->path, w, reterr);
}

static int
add_wrapper(const struct package_rules *rules, struct words *w, struct err *reterr)
{
	const char *p = rules->wrapper ? rules->wrapper : "";
	int ret = 0;

	while (ret == 0 && *(p += strspn(p, " \t"))) {
		struct span word = { p, strcspn(p, " \t") };

		/* The operator's own words, from the configuration. */
		if (w->n == 0 && !memchr(word.ptr, '/', word.len))
			ret = find_in_path(word, rules->path, w, reterr);
		else
			ret = add_word(w, word, reterr);
		p += word.len;
	}
	if (ret < 0)
		err_prefix(reterr, "plugin.wrapper");
	return ret;
}

/* The two kinds of package */

/* Node takes a file of that name for JavaScript. */
static bool
is_javascript(const char *path)
{
	static const char *const kinds[] = { ".js", ".mjs", ".cjs" };
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(dot, kinds[i]) == 0)
			return true;
	return false;
}

/* What node is to run: the manifest's entrypoints.worker. One without it, which the
 * original does not take, has package.json's; so has one that names what is not for
 * node, as a manifest does that is shared with a package in another language. */
static int
worker_path(const char *dir, struct jtext package, struct jtext manifest, char ret[PATH_MAX],
	    struct err *reterr)
{
	struct jtext name = jtext_get(jtext_get(manifest, "entrypoints"), "worker");
	struct jtext other = jtext_get(jtext_get(package, "paperclipPlugin"), "worker");
	char path[PATH_MAX];

	if (name.kind != JTEXT_STRING)
		name = other;
	if (name.kind != JTEXT_STRING)
		return err_set(reterr, ERR_INVALID, "its manifest names no entrypoints.worker");
	if (!package_path(dir, name, ret))
		return err_set(reterr, ERR_INVALID, "the path of its worker, %.*s, must be inside "
			       "the package", SPAN_FMT(name.raw));
	if (!is_javascript(ret) && other.kind == JTEXT_STRING && package_path(dir, other, path) &&
	    is_javascript(path) && access(path, F_OK) == 0)
		memcpy(ret, path, sizeof(path));
	return 0;
}

static int
node_command(const char *dir, struct jtext package, struct jtext manifest,
	     const struct package_rules *rules, struct words *w, struct err *reterr)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct stat st;
	int ret = worker_path(dir, package, manifest, path, reterr);

	if (ret < 0)
		return ret;
	/* The SDK starts only when it is named by its real path. */
	if (!realpath(path, real))
		return err_set(reterr, ERR_NOTFOUND, "cannot open its worker '%s': %s", path,
			       strerror(errno));
	if (stat(real, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(reterr, ERR_INVALID, "its worker '%s' is not a file", path);
	if (!package_permitted(real, rules->dirs))
		return err_set(reterr, ERR_DENIED, "its worker '%s' is not inside any directory "
			       "of plugin.dirs (%s)", path, rules->dirs);
	ret = find_in_path(SPAN_LIT("node"), rules->path, w, reterr);
	return ret < 0 ? ret : add_word(w, span_of(real), reterr);
}

/* plugin.json: {"command": ["./program", "argument", …]}. */
static int
own_command(const char *dir, struct jtext command, const struct package_rules *rules,
	    struct words *w, struct err *reterr)
{
	struct buf text = BUF_INIT;
	struct jtext_iter it;
	struct jtext word;
	struct span key;
	size_t before = w->n;
	int ret = 0;

	if (command.kind != JTEXT_ARRAY)
		return err_set(reterr, ERR_INVALID, "%s/plugin.json: command is not an array", dir);
	jtext_iter_init(&it, command);
	while (ret == 0 && jtext_iter_next(&it, &key, &word)) {
		buf_reset(&text);
		jtext_decode(word, &text, /* ret_replaced= */ NULL);
		if (word.kind != JTEXT_STRING)
			ret = err_set(reterr, ERR_INVALID, "%s/plugin.json: command has an element "
				      "that is not a string", dir);
		else if (text.failed)
			ret = err_nomem(reterr);
		else if (w->n == before)
			ret = add_program(dir, buf_span(&text), rules, w, reterr);
		else
			ret = add_word(w, buf_span(&text), reterr);
	}
	if (ret == 0 && w->n == before)
		ret = err_set(reterr, ERR_INVALID, "%s/plugin.json: command is empty", dir);
	buf_release(&text);
	return ret;
}

/* Plugins say from which host on they work. */
int
package_check_host(struct jtext manifest, struct err *reterr)
{
	struct jtext wanted = jtext_get(manifest, "minimumHostVersion");
	struct buf text = BUF_INIT;
	int ret = 0;

	if (wanted.kind != JTEXT_STRING)
		wanted = jtext_get(manifest, "minimumPaperclipVersion");
	if (wanted.kind != JTEXT_STRING)
		return 0;
	jtext_decode(wanted, &text, /* ret_replaced= */ NULL);
	if (text.failed)
		ret = err_nomem(reterr);
	else if (!semver_ok(buf_span(&text)))
		ret = err_set(reterr, ERR_INVALID, "its minimumHostVersion '%.64s' is no version",
			      text.len ? text.data : "");
	else if (semver_compare(SPAN_LIT(HANDSHAKE_HOST_VERSION), buf_span(&text)) < 0)
		ret = err_set(reterr, ERR_INVALID, "it requires host version %.64s or newer, "
			      "and this envdriver stands for " HANDSHAKE_HOST_VERSION, text.data);
	buf_release(&text);
	return ret;
}

static int
read_command(const char *dir, struct jtext manifest, const struct package_rules *rules,
	     struct words *w, struct err *reterr)
{
	struct buf text = BUF_INIT;
	enum package_kind kind;
	struct jtext root;
	int ret = package_describe(dir, &text, &root, &kind, reterr);

	if (ret == 0 && kind == PACKAGE_NODE)
		ret = node_command(dir, root, manifest, rules, w, reterr);
	else if (ret == 0)
		ret = own_command(dir, jtext_get(root, "command"), rules, w, reterr);
	buf_release(&text);
	return ret;
}

int
package_open(const char *folder, struct jtext manifest, const struct package_rules *rules,
	     struct package *ret, struct err *reterr)
{
	struct words w = { { NULL }, 0 };
	struct package p = { NULL, NULL };
	int code = real_folder(folder, rules, &p.dir, reterr);

	if (code == 0)
		code = package_check_host(manifest, reterr);
	if (code == 0)
		code = add_wrapper(rules, &w, reterr);
	if (code == 0)
		code = read_command(p.dir, manifest, rules, &w, reterr);
	if (code == 0) {
		p.argv = malloc((w.n + 1) * sizeof(char *));
		code = p.argv ? 0 : err_nomem(reterr);
	}
	if (code < 0) {
		release_words(&w);
		package_release(&p);
		return code;
	}
	memcpy(p.argv, w.at, (w.n + 1) * sizeof(char *));
	*ret = p;
	return 0;
}

void
package_release(struct package *p)
{
	for (char **a = p->argv; a && *a; a++)
		free(*a);
	free(p->argv);
	free(p->dir);
	*p = (struct package){ NULL, NULL };
}
