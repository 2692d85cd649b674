/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/audit/audit.h"

#include <stdlib.h>

#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/cli_schemas.h"
#include "report.h"
#include "scan.h"

/* The verified offsets of each partition. NULL when out of memory. */
static struct report_range *
ranges_of(const struct scan *s, size_t *ret_n)
{
	struct report_range *ranges = calloc((size_t)s->n_parts + 1, sizeof(*ranges));

	for (int32_t p = 0; ranges && p < s->n_parts; p++)
		if (s->parts[p].first >= 0)
			ranges[(*ret_n)++] =
				(struct report_range){p, s->parts[p].first, s->parts[p].last - 1};
	return ranges;
}

static int
conclude(struct scan *s, struct report *report, struct err *reterr)
{
	struct ledger_sums sums;
	size_t n = 0;
	struct report_range *ranges = ranges_of(s, &n);
	bool clean;

	if (!ranges)
		return err_nomem(reterr);
	ledger_end(s->read.ledger);
	ledger_sum(s->read.ledger, &sums);
	clean = report_summary(report, &sums, ranges, n);
	free(ranges);
	return clean ? EXIT_DONE : EXIT_FINDINGS;
}

int
audit_check(const struct cli *cli, struct err *reterr)
{
	return report_check(cli, reterr);
}

int
audit_verify(struct cli *cli, const struct audit_options *options, struct err *reterr)
{
	struct cli_schemas *schemas = cli_schemas_new(cli_config(cli), reterr);
	struct report *report = schemas ? report_new(cli, options->limit) : NULL;
	struct scan scan = {
		.config = cli_config(cli),
		.options = options,
		.report = report,
		.read = {.schemas = cli_schemas_get(schemas)},
		.earliest = -1,
	};
	int ret;

	if (!schemas)
		return ERR_CONFIG;
	ret = report ? scan_run(&scan, reterr) : err_nomem(reterr);
	if (ret == 0)
		ret = conclude(&scan, report, reterr);
	report_free(report);
	scan_release(&scan);
	cli_schemas_free(schemas);
	return ret;
}
