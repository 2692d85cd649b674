/* SPDX-License-Identifier: Apache-2.0 */
/*
 * package: the folder of a plugin, and the command that runs its worker
 * (docs/operations.md, "Plugin packages").
 *
 * Owns the strings. Write access to Redis must not be enough to run any program
 * on the host: the folder, and what it names by a path, must really lie inside
 * one of plugin.dirs. Reads a few small files; blocks as long as these take.
 */
#ifndef ENVDRIVER_PACKAGE_PACKAGE_H
#define ENVDRIVER_PACKAGE_PACKAGE_H

#include <limits.h>
#include <stdbool.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/digest.h"
#include "envdriver/base/jtext.h"

struct err;

enum { PACKAGE_FILE_MAX = 1 << 20, PACKAGE_ARGS_MAX = 64 };

#define PACKAGE_DIGEST_PREFIX "sha256:"
enum { PACKAGE_DIGEST_SIZE = sizeof(PACKAGE_DIGEST_PREFIX) - 1 + DIGEST_HEX_SIZE };

struct package {
	char *dir;		/* without links */
	char **argv;		/* argv[0] is a path; ends with NULL */
};

/* Where a package may lie, and how its command is run. */
struct package_rules {
	const char *dirs;	/* plugin.dirs */
	const char *wrapper;	/* plugin.wrapper; NULL: none */
	const char *path;	/* the worker's PATH */
};

enum package_kind {
	PACKAGE_NODE,		/* package.json; node runs the manifest's entrypoints.worker */
	PACKAGE_COMMAND,	/* plugin.json: command and manifest */
};

/* Which of the two files says what the package is, and what it holds: package.json
 * when its paperclipPlugin names a worker, else plugin.json, else a package.json
 * that names a manifest or has one at its usual place. `text` owns `ret`. */
int package_describe(const char *dir, struct buf *text, struct jtext *ret,
		     enum package_kind *ret_kind, struct err *reterr);
/* Where the manifest of a package that was described lies; `ret_path` is "" when it
 * is `ret`, in the file itself. The file is there, and inside the package. */
int package_manifest(const char *dir, struct jtext package, enum package_kind kind,
		     char ret_path[PATH_MAX], struct jtext *ret, struct err *reterr);
/* The path that `name` (a JSON string) stands for. False when it is not inside the
 * package, as its letters have it: what a link leads to is not looked at. */
bool package_path(const char *dir, struct jtext name, char ret[PATH_MAX]);
/* The package's own manifest has that id; of one in JavaScript, which is not run
 * for this: it names it. */
bool package_has_key(const char *dir, const char *key);
/* `manifest` is the one that its worker will be told, MISSING: none. ERR_NOTFOUND,
 * ERR_DENIED or ERR_INVALID say what is wrong with which file, or that it asks for
 * a newer host. */
int package_open(const char *folder, struct jtext manifest, const struct package_rules *rules,
		 struct package *ret, struct err *reterr);
/* Of all files below the folder, but those in a .git: their paths, contents, whether
 * they may be executed, and where links lead. Two packages have the same only when
 * they have the same files. Blocks for as long as it takes to read them. */
int package_digest(const char *dir, char ret[PACKAGE_DIGEST_SIZE], struct err *reterr);
/* ERR_INVALID: the manifest asks for a newer host. */
int package_check_host(struct jtext manifest, struct err *reterr);
/* `path`, which has no links in it, lies inside one of `dirs` ("a:b"). */
bool package_permitted(const char *path, const char *dirs);
/* Accepts one that was not opened. */
void package_release(struct package *p);

#endif
