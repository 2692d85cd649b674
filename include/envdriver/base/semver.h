/* SPDX-License-Identifier: Apache-2.0 */
/*
 * semver: versions as semver.org has them: MAJOR.MINOR.PATCH, then perhaps
 * -pre.release and +build.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_BASE_SEMVER_H
#define ENVDRIVER_BASE_SEMVER_H

#include <stdbool.h>

#include "envdriver/base/buf.h"

bool semver_ok(struct span version);
/* Below, at or above 0. Both must be versions. Builds do not count. */
int semver_compare(struct span a, struct span b);

#endif
