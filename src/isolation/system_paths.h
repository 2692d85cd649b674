/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system_paths: what of the system every program may read.
 */
#ifndef ENVDRIVER_ISOLATION_SYSTEM_PATHS_H
#define ENVDRIVER_ISOLATION_SYSTEM_PATHS_H

/* Each ends with NULL. Programs and libraries; the kernel's own files; devices; folders whose
 * public files may be read (public_files.h). */
extern const char *const system_paths_programs[];
extern const char *const system_paths_kernel[];
extern const char *const system_paths_devices[];
extern const char *const system_paths_settings[];

#endif
