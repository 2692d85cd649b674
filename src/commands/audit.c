/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit: `envdriver audit …`: what recorded commands and events prove.
 */
#include "audit/audit_impl.h"

#include "envdriver/cli/cli.h"
#include "envdriver/commands/commands.h"

static const struct cli_command *const subs[] = { &audit_verify_command, NULL };

const struct cli_command audit_command = {
	.name = "audit",
	.summary = "Prove from the records that each command had exactly one end",
	.subs = subs,
};
