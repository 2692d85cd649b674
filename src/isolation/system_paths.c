/* SPDX-License-Identifier: Apache-2.0 */
#include "system_paths.h"

#include <stddef.h>

/* The folders of /usr one by one: /usr/local/etc is looked at as /etc is. */
const char *const system_paths_programs[] = {
	"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32",
	"/usr/libexec", "/usr/share", "/usr/include", "/usr/games", "/usr/src",
	"/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/usr/local/lib64",
	"/usr/local/libexec", "/usr/local/share", "/usr/local/include",
	"/nix/store", "/gnu/store", "/snap", NULL,
};

const char *const system_paths_kernel[] = {
	"/proc", "/sys/fs/cgroup", "/sys/devices/system", "/sys/kernel/mm/transparent_hugepage",
	NULL,
};

const char *const system_paths_devices[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
	"/dev/ptmx", "/dev/pts", NULL,
};

const char *const system_paths_settings[] = { "/etc", "/usr/local/etc", "/usr/etc", NULL };
