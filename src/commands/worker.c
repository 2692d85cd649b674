/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: the long-running command; everything is in service and flow.
 */
#include "envdriver/cli/cli.h"
#include "envdriver/commands/commands.h"
#include "envdriver/worker/service.h"

int
worker_main(struct cli *cli)
{
	return service_run(cli, cli_config(cli), /* hooks= */ NULL);
}
