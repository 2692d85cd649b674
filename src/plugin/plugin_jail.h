/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_jail: what isolates one run of a plugin: its folders, its Landlock and
 * seccomp, as the keys plugin.isolation, plugin.network, plugin.connect,
 * plugin.unix, plugin.read and plugin.write have it, each of them also with
 * .<pluginKey> for one plugin.
 *
 * Owns the jail and the folder for temporary files. Knows nothing of processes.
 */
#ifndef ENVDRIVER_PLUGIN_PLUGIN_JAIL_H
#define ENVDRIVER_PLUGIN_PLUGIN_JAIL_H

#include "envdriver/base/buf.h"

struct config;
struct err;
struct jail;
struct namespaces;
struct package;

enum { PLUGIN_JAIL_TEXT = 200 };

struct plugin_jail {
	struct jail *jail;	/* NULL: neither Landlock nor seccomp */
	struct namespaces *namespaces;	/* in place of it; NULL: none */
	char *tmp, *data;	/* folders of its own; NULL: none */
	char *cgroup;		/* its folder; NULL: none */
	size_t processes_max;	/* 0: no limit */
	char layers[PLUGIN_JAIL_TEXT];	/* "limits,landlock:7,seccomp" */
};

/* Whose: its id names its folder, its key (NULL: the package says of itself that it has another)
 * what is set for it alone. */
struct plugin_jail_of {
	const struct config *config;
	const char *plugin_id, *plugin_key;
};

/* Makes the folders. ERR_IO. To be released in any case. */
int plugin_jail_make_folders(struct plugin_jail *pj, const struct plugin_jail_of *of,
			     struct err *reterr);
/* And the jail, for the package that is run with that environment. ERR_DENIED: it must not be
 * started without what is missing here. Blocks for some ms. */
int plugin_jail_close(struct plugin_jail *pj, const struct plugin_jail_of *of,
		      const struct package *package, char *const env[], struct err *reterr);
/* `layers` (of enum jail_layer) and what stands beside them: "limits,landlock:7,seccomp". */
void plugin_jail_name_layers(unsigned layers, bool namespaces, bool cgroup,
			     char ret[PLUGIN_JAIL_TEXT]);
/* The caller owns the folder and the control group, which are still there. */
void plugin_jail_release(struct plugin_jail *pj, char **ret_tmp, char **ret_cgroup);

#endif
