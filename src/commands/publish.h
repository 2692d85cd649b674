/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish: what the tables of `envdriver publish` (publish_ops.c) run. Both
 * return the exit code.
 */
#ifndef ENVDRIVER_COMMANDS_PUBLISH_H
#define ENVDRIVER_COMMANDS_PUBLISH_H

struct cli;

/* `publish OPERATION`: one command, made from the options. */
int publish_one(struct cli *cli);
/* `publish --file`: commands in plain JSON. */
int publish_main(struct cli *cli);

#endif
