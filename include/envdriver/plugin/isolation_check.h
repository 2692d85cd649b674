/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolation_check: what isolates plugins on this host, and what a configuration
 * leaves open. Asks the kernel, no server.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_PLUGIN_ISOLATION_CHECK_H
#define ENVDRIVER_PLUGIN_ISOLATION_CHECK_H

struct buf;
struct config;
struct findings;

/* Findings: layers that are asked for and are not there. Notes: what plugins can reach though
 * no password is asked for. */
void isolation_check(const struct config *config, const struct findings *f);
/* Appends the layers that plugins have here when nothing else is set for one:
 * "limits,landlock:7,seccomp". */
void isolation_check_add_layers(const struct config *config, struct buf *out);

#endif
