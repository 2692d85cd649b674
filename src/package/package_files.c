/* SPDX-License-Identifier: Apache-2.0 */
/*
 * package_files: which files of a package's folder say what it is, and what they
 * hold. Apart from package.c, which makes of it a command to run.
 */
#include "envdriver/package/package.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"

/* Where a manifest lies when package.json does not say. */
static const char *const usual[] = { "dist/manifest.js", "manifest.js" };

/* Reads a file. ERR_NOTFOUND when there is none. */
static int
read_package_file(const char *path, struct buf *out, struct err *reterr)
{
	struct stat st;
	ssize_t n;
	int fd, ret = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(reterr, errno == ENOENT ? ERR_NOTFOUND : ERR_IO,
			       "cannot open '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		ret = err_set(reterr, ERR_INVALID, "'%s' is not a file", path);
	else if (st.st_size > PACKAGE_FILE_MAX)
		ret = err_set(reterr, ERR_LIMIT, "'%s' is larger than %d bytes", path,
			      PACKAGE_FILE_MAX);
	else if (!buf_reserve(out, (size_t)st.st_size))
		ret = err_nomem(reterr);
	if (ret == 0) {
		n = read(fd, out->data, (size_t)st.st_size);
		if (n < 0)
			ret = err_set(reterr, ERR_IO, "cannot read '%s': %s", path,
				      strerror(errno));
		out->len = n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return ret;
}

static int
read_json(const char *dir, const char *name, struct buf *out, struct jtext *ret, struct err *reterr)
{
	char path[PATH_MAX];
	int code;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	code = read_package_file(path, out, reterr);
	if (code < 0)
		return code;
	code = jtext_check(buf_span(out), JTEXT_DEPTH_MAX, ret, reterr);
	if (code == 0 && ret->kind != JTEXT_OBJECT)
		code = err_set(reterr, ERR_INVALID, "not a JSON object");
	if (code < 0)
		err_prefix(reterr, "%s", path);
	return code;
}

/* `path` without ".", ".." and empty parts, in place. False when it leads above the
 * folder that it begins in. */
static bool
flatten(char *path)
{
	size_t out = 0, len;

	for (char *p = path; *(p += strspn(p, "/")); p += len) {
		len = strcspn(p, "/");
		if (len == 1 && *p == '.')
			continue;
		if (len == 2 && strncmp(p, "..", 2) == 0) {
			if (out == 0)
				return false;
			while (out > 0 && path[--out] != '/')
				;
			continue;
		}
		if (out)
			path[out++] = '/';
		memmove(path + out, p, len);
		out += len;
	}
	path[out] = '\0';
	return out > 0;
}

bool
package_path(const char *dir, struct jtext name, char ret[PATH_MAX])
{
	struct buf text = BUF_INIT;
	size_t n = strlen(dir);
	bool ok;

	if (name.kind != JTEXT_STRING)
		return false;
	jtext_decode(name, &text, /* ret_replaced= */ NULL);
	ok = !text.failed && text.len && !memchr(text.data, '\0', text.len);
	/* An absolute path may name what is inside. */
	if (ok && strncmp(text.data, dir, n) == 0 && text.data[n] == '/')
		buf_consume(&text, n);
	else if (ok && text.data[0] == '/')
		ok = false;
	ok = ok && flatten(text.data) &&
	     (size_t)snprintf(ret, PATH_MAX, "%s/%s", dir, text.data) < PATH_MAX;
	buf_release(&text);
	return ok;
}

/* The manifest's usual place that is there; NULL. */
static const char *
usual_manifest(const char *dir)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, usual[i]) < sizeof(path) &&
		    access(path, F_OK) == 0)
			return usual[i];
	return NULL;
}

static bool
names(struct jtext package, const char *member)
{
	return jtext_get(jtext_get(package, "paperclipPlugin"), member).kind == JTEXT_STRING;
}

int
package_describe(const char *dir, struct buf *text, struct jtext *ret, enum package_kind *ret_kind,
		 struct err *reterr)
{
	struct err err = { 0 };
	struct buf own = BUF_INIT;
	struct jtext own_root;
	int code = read_json(dir, "package.json", text, ret, &err);
	bool is_node = code == 0;

	*ret_kind = PACKAGE_NODE;
	if (code < 0 && code != ERR_NOTFOUND)
		return err_set(reterr, code, "%s", err.text);
	if (is_node && names(*ret, "worker"))
		return 0;
	code = read_json(dir, "plugin.json", &own, &own_root, &err);
	if (code == ERR_NOTFOUND && is_node && (names(*ret, "manifest") || usual_manifest(dir)))
		return 0;
	buf_release(text);
	*text = own;
	*ret = own_root;
	*ret_kind = PACKAGE_COMMAND;
	if (code == ERR_NOTFOUND)
		return err_set(reterr, code, "'%s' is not a plugin package: it has neither a "
			       "package.json with paperclipPlugin, nor one beside a %s, nor a "
			       "plugin.json", dir, usual[0]);
	return code < 0 ? err_set(reterr, code, "%s", err.text) : 0;
}

int
package_manifest(const char *dir, struct jtext package, enum package_kind kind,
		 char ret_path[PATH_MAX], struct jtext *ret, struct err *reterr)
{
	const char *name;
	struct jtext member;

	ret_path[0] = '\0';
	if (kind == PACKAGE_COMMAND) {
		*ret = jtext_get(package, "manifest");
		if (ret->kind == JTEXT_OBJECT)
			return 0;
		if (ret->kind != JTEXT_STRING)
			return err_set(reterr, ERR_INVALID, "%s: manifest: expected object or path,"
				       " got %s", dir, jtext_kind_name(ret->kind));
		member = *ret;
	} else {
		member = jtext_get(jtext_get(package, "paperclipPlugin"), "manifest");
		name = member.kind == JTEXT_STRING ? NULL : usual_manifest(dir);
		if (name && snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
			return 0;
		if (member.kind != JTEXT_STRING)
			return err_set(reterr, ERR_NOTFOUND, "%s: package.json names no "
				       "paperclipPlugin.manifest, and there is no %s", dir,
				       usual[0]);
	}
	if (!package_path(dir, member, ret_path))
		return err_set(reterr, ERR_INVALID, "the path of the manifest must be inside the "
			       "package");
	if (access(ret_path, F_OK) < 0)
		return err_set(reterr, ERR_NOTFOUND, "cannot read its manifest '%s': %s (has the "
			       "package been built?)", ret_path, strerror(errno));
	return 0;
}

/* A module's id is not known before it is run: it must at least name the key. */
static bool
names_key(struct span text, const char *key)
{
	size_t n = strlen(key);
	const char *p = text.ptr, *end = text.ptr + text.len;

	while (p && (p = memmem(p, (size_t)(end - p), key, n))) {
		if (p > text.ptr && p + n < end && p[-1] == p[n] && strchr("'\"`", *(p + n)))
			return true;
		p++;
	}
	return false;
}

bool
package_has_key(const char *dir, const char *key)
{
	struct buf text = BUF_INIT, file = BUF_INIT;
	enum package_kind kind;
	struct jtext manifest, root;
	char path[PATH_MAX];
	bool ret = false;

	if (package_describe(dir, &text, &root, &kind, /* reterr= */ NULL) < 0 ||
	    package_manifest(dir, root, kind, path, &manifest, /* reterr= */ NULL) < 0)
		goto out;
	if (path[0]) {
		if (read_package_file(path, &file, /* reterr= */ NULL) < 0)
			goto out;
		if (jtext_check(buf_span(&file), JTEXT_DEPTH_MAX, &manifest, NULL) < 0) {
			ret = names_key(buf_span(&file), key);
			goto out;
		}
	}
	ret = jtext_is(jtext_get(manifest, "id"), key);
out:
	buf_release(&text);
	buf_release(&file);
	return ret;
}
