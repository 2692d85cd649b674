/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/plugin/bundled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const places[] = { "plugins/local", "../lib/envdriver/plugins/local" };

bool
bundled_find(char ret[PATH_MAX])
{
	char self[PATH_MAX], probe[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (snprintf(ret, PATH_MAX, "%s/%s", self, places[i]) >= PATH_MAX)
			continue;
		snprintf(probe, sizeof(probe), "%s/plugin.json", ret);
		if (access(probe, R_OK) == 0)
			return true;
	}
	return false;
}

bool
bundled_is(const char *dir)
{
	char found[PATH_MAX], real[PATH_MAX];

	return bundled_find(found) && realpath(found, real) && strcmp(real, dir) == 0;
}
