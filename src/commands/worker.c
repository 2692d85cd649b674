/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker: `envdriver worker`: the service, without anything around it.
 */
#include "envdriver/cli/cli.h"
#include "envdriver/commands/commands.h"
#include "envdriver/worker/service.h"

int
worker_main(struct cli *cli)
{
	return service_run(cli, cli_config(cli), /* hooks= */ NULL);
}
