/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands: the subcommands for main's table, each in its own file.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_COMMANDS_COMMANDS_H
#define ENVDRIVER_COMMANDS_COMMANDS_H

struct cli;
struct cli_command;

/* Return the exit code. Their tables are in main.c. */
int worker_main(struct cli *cli);
int dev_main(struct cli *cli);

extern const struct cli_command publish_command;
extern const struct cli_command exec_command;
extern const struct cli_command credential_command;
extern const struct cli_command watch_command;
extern const struct cli_command replay_command;
extern const struct cli_command audit_command;
extern const struct cli_command drivers_command;
extern const struct cli_command plugin_command;
extern const struct cli_command topics_command;
extern const struct cli_command config_command;

#endif
