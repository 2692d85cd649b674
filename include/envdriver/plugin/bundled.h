/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundled: the plugin package that comes with this program and lies beside it,
 * in the build or installed. It is as trusted as the program itself; where it lies says
 * that it is the one, not what its manifest says.
 */
#ifndef ENVDRIVER_PLUGIN_BUNDLED_H
#define ENVDRIVER_PLUGIN_BUNDLED_H

#include <limits.h>
#include <stdbool.h>

/* False: there is none. */
bool bundled_find(char ret[PATH_MAX]);
/* `dir` has no links in it. */
bool bundled_is(const char *dir);

#endif
