/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/isolation/jail.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "landlock.h"
#include "public_files.h"
#include "seccomp.h"
#include "system_paths.h"

struct jail {
	unsigned layers;
	int ruleset;		/* -1: none */
	int abi;
	bool keep_capabilities;
	struct seccomp_filter filter;
};

/* --- what there is --- */

const struct jail_support *
jail_support(void)
{
	static struct jail_support support;
	static bool asked;

	if (asked)
		return &support;
	support.landlock = landlock_abi();
	support.landlock_errno = support.landlock ? 0 : errno;
	support.seccomp = seccomp_works();
	support.seccomp_errno = support.seccomp ? 0 : errno;
	asked = true;
	return &support;
}

bool
jail_supports(unsigned wanted, char *ret_missing, size_t size)
{
	const struct jail_support *s = jail_support();
	bool files = !(wanted & JAIL_LANDLOCK) || s->landlock;
	bool calls = !(wanted & JAIL_SECCOMP) || s->seccomp;
	char first[100] = "", second[100] = "";

	if (!files)
		snprintf(first, sizeof(first), "Landlock: %s", strerror(s->landlock_errno));
	if (!calls)
		snprintf(second, sizeof(second), "seccomp: %s", strerror(s->seccomp_errno));
	snprintf(ret_missing, size, "%s%s%s", first, !files && !calls ? "; " : "", second);
	return files && calls;
}

/* --- files --- */

static const char *const listed[] = { "/usr", "/usr/local", "/etc", "/dev", NULL };

static int
grant_all(const struct jail *j, const char *const *paths, enum landlock_grant grant)
{
	for (; paths && *paths; paths++)
		if (landlock_grant(j->ruleset, j->abi, *paths, grant) < 0)
			return -1;
	return 0;
}

static int
on_public_file(void *arg, const char *path)
{
	const struct jail *j = arg;

	return landlock_grant(j->ruleset, j->abi, path, LANDLOCK_READ);
}

/* Often a link out of /etc, to where a daemon writes a new one by its name. */
static int
grant_resolver(struct jail *j)
{
	char real[PATH_MAX], *slash;

	if (!realpath("/etc/resolv.conf", real) || strncmp(real, "/etc/", 5) == 0)
		return 0;
	slash = strrchr(real, '/');
	if (strncmp(real, "/run/", 5) != 0 || slash - real <= 5)
		return landlock_grant(j->ruleset, j->abi, real, LANDLOCK_READ);
	*slash = '\0';
	return public_files_each(real, on_public_file, j);
}

static int
grant_system(struct jail *j)
{
	if (grant_all(j, system_paths_programs, LANDLOCK_READ) < 0 ||
	    grant_all(j, system_paths_kernel, LANDLOCK_READ) < 0 ||
	    grant_all(j, listed, LANDLOCK_LIST) < 0 ||
	    grant_all(j, system_paths_devices, LANDLOCK_DEVICE) < 0 ||
	    public_files_each_again(system_paths_settings, on_public_file, j) < 0)
		return -1;
	return grant_resolver(j);
}

static int
grant_rules(struct jail *j, const struct jail_rules *r)
{
	if ((r->system && grant_system(j) < 0) ||
	    grant_all(j, r->read, LANDLOCK_READ) < 0 ||
	    grant_all(j, r->write, LANDLOCK_WRITE) < 0)
		return -1;
	for (size_t i = 0; i < r->n_ports; i++)
		if (landlock_grant_port(j->ruleset, r->ports[i]) < 0)
			return -1;
	return 0;
}

/* --- the jail --- */

void
jail_hide(const char *folder)
{
	if (folder)
		public_files_hide(folder);
}

struct jail *
jail_new(const struct jail_rules *rules, struct err *reterr)
{
	const struct jail_support *s = jail_support();
	struct jail *j = calloc(1, sizeof(*j));

	if (!j) {
		err_nomem(reterr);
		return NULL;
	}
	j->ruleset = -1;
	j->abi = s->landlock;
	j->keep_capabilities = rules->keep_capabilities;
	if (rules->layers & JAIL_LANDLOCK && s->landlock) {
		j->layers |= JAIL_LANDLOCK;
		j->ruleset = landlock_new(j->abi, rules->n_ports > 0);
		if (j->ruleset < 0 || grant_rules(j, rules) < 0) {
			err_set(reterr, ERR_IO, "cannot set up Landlock: %s", strerror(errno));
			jail_free(j);
			return NULL;
		}
	}
	if (rules->layers & JAIL_SECCOMP && s->seccomp) {
		j->layers |= JAIL_SECCOMP;
		seccomp_make(&j->filter, rules->permits);
	}
	return j;
}

void
jail_free(struct jail *j)
{
	if (!j)
		return;
	if (j->ruleset >= 0)
		close(j->ruleset);
	free(j);
}

unsigned
jail_layers(const struct jail *j)
{
	return j->layers;
}

/* --- in the child --- */

/* Of a root user, who can do without them what others can. What has none does
 * not notice. */
static int
drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return (int)syscall(SYS_capset, &header, none);
}

int
jail_enter(const struct jail *j, const char **ret_what)
{
	*ret_what = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	*ret_what = "capabilities";
	if (!j->keep_capabilities && drop_capabilities() < 0)
		return -1;
	*ret_what = "Landlock";
	if (j->ruleset >= 0 && landlock_enter(j->ruleset) < 0)
		return -1;
	*ret_what = "seccomp";
	if (j->layers & JAIL_SECCOMP && seccomp_enter(&j->filter) < 0)
		return -1;
	return 0;
}
