/* SPDX-License-Identifier: Apache-2.0 */
/*
 * package: the folder of a plugin, and the command that runs its worker
 * (docs/operations.md, "Plugin packages").
 *
 * Owns the strings. Write access to Redis must not be enough to run any program
 * on the host: the folder, and what it names by a path, must really lie inside
 * one of plugin.dirs. Reads a few small files; blocks as long as these take.
 */
#ifndef ENVDRIVER_PLUGIN_PACKAGE_H
#define ENVDRIVER_PLUGIN_PACKAGE_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

struct err;

enum { PACKAGE_FILE_MAX = 1 << 20, PACKAGE_ARGS_MAX = 64 };

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
	PACKAGE_NODE,		/* package.json, whose paperclipPlugin names worker and manifest */
	PACKAGE_COMMAND,	/* plugin.json: command and manifest */
};

/* Which of the two files says what the package is, and what it holds: package.json
 * when it names a worker, else plugin.json. `text` owns `ret`. */
int package_describe(const char *dir, struct buf *text, struct jtext *ret,
		     enum package_kind *ret_kind, struct err *reterr);
/* The package's own manifest has that id; of one in JavaScript, which is not run
 * for this: it names it. */
bool package_has_key(const char *dir, const char *key);
/* ERR_NOTFOUND, ERR_DENIED or ERR_INVALID say what is wrong with which file. */
int package_open(const char *folder, const struct package_rules *rules, struct package *ret,
		 struct err *reterr);
/* Accepts one that was not opened. */
void package_release(struct package *p);

#endif
