/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_add: `envdriver plugin add`, `reload` and `digest`: a package is read,
 * checked and registered.
 *
 * Owns nothing.
 */
#ifndef COMMANDS_PLUGIN_ADD_H
#define COMMANDS_PLUGIN_ADD_H

struct cli_command;

extern const struct cli_command plugin_add_command, plugin_reload_command, plugin_digest_command;

#endif
