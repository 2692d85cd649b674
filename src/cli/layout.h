/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout: which columns of a table are shown, and how wide: as -o says, or so
 * that they fit the terminal.
 *
 * A plain value. Knows nothing of rows.
 */
#ifndef ENVDRIVER_CLI_LAYOUT_H
#define ENVDRIVER_CLI_LAYOUT_H

#include "envdriver/cli/cli.h"

/* Spaces between two columns. */
enum { LAYOUT_GAP = 2 };

struct layout_column {
	const struct cli_column *column;
	size_t cell;		/* its index in a row */
	size_t title, natural;	/* widths of its title, of all it has */
	size_t width;		/* after layout_fit */
};

struct layout {
	const struct cli_column *all;	/* borrowed */
	bool at_once;		/* rows are written before all are known */
	size_t limit;		/* columns of the terminal; 0: any number */
	struct layout_column shown[CLI_COLUMNS_MAX];
	size_t n_shown;
};

/* See cli_check_columns. */
int layout_check(const struct cli *cli, const struct cli_column *columns, struct err *reterr);
void layout_init(struct layout *t, const struct cli *cli, const struct cli_column *columns);
/* The i-th column that is shown has a cell of that width. */
void layout_note(struct layout *t, size_t i, size_t width);
/* Decides. */
void layout_fit(struct layout *t);

#endif
