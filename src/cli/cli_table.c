/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_table: the table of cli.h. On a terminal it is held until its end, so
 * that its columns fit their contents; if the first column has a width, each
 * row is written at once, for rows that arrive over time.
 */
#include "envdriver/cli/cli.h"

#include <ctype.h>
#include <stdlib.h>

#include "envdriver/base/jtext.h"
#include "envdriver/base/utf8.h"

#define BOLD "\x1b[1m"
#define PLAIN "\x1b[0m"

struct cli_table {
	struct cli *cli;
	const struct cli_column *columns;
	size_t n_columns;
	bool json, colours, titled;
	size_t widths[CLI_COLUMNS_MAX];
	struct buf *cells;	/* held rows, cell after cell */
	size_t n_cells;
	struct buf out;
};

/* "pluginKey" becomes "PLUGIN KEY". */
static size_t
title_width(const char *key)
{
	size_t n = strlen(key);

	for (; *key; key++)
		n += isupper((unsigned char)*key) != 0;
	return n;
}

struct cli_table *
cli_table_new(struct cli *cli, const struct cli_column *columns)
{
	struct cli_table *t = malloc(sizeof(*t));

	if (!t) {
		cli_complain(cli, "out of memory");
		return NULL;
	}
	*t = (struct cli_table){ .cli = cli, .columns = columns };
	t->json = cli_json(cli);
	t->colours = cli_colours(cli);
	for (; columns[t->n_columns].key; t->n_columns++) {
		const struct cli_column *c = &columns[t->n_columns];
		size_t title = title_width(c->key), width = (size_t)c->width;

		t->widths[t->n_columns] = width > title ? width : title;
	}
	return t;
}

/* Characters, not bytes; wide ones count as one, which is close enough. */
static size_t
width_of(struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return n;
}

static void
json_row(struct cli_table *t, const struct span *cells)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		buf_addch(&t->out, i ? ',' : '{');
		jtext_add_string(&t->out, span_of(t->columns[i].key));
		buf_addch(&t->out, ':');
		if (!cells[i].ptr) {
			buf_adds(&t->out, "null");
		} else if (t->columns[i].cell == CLI_RAW) {
			buf_addspan(&t->out, cells[i]);
		} else {
			struct buf repaired = BUF_INIT;

			jtext_add_repaired(&repaired, cells[i]);
			jtext_add_string(&t->out, buf_span(&repaired));
			t->out.failed |= repaired.failed;
			buf_release(&repaired);
		}
	}
	buf_adds(&t->out, "}\n");
}

static void
add_cell(struct cli_table *t, size_t column, struct span text)
{
	size_t width = width_of(text);

	buf_addspan(&t->out, text);
	if (column + 1 == t->n_columns)
		return;
	for (; width < t->widths[column]; width++)
		buf_addch(&t->out, ' ');
	buf_adds(&t->out, "  ");
}

static void
titles(struct cli_table *t)
{
	if (t->colours)
		buf_adds(&t->out, BOLD);
	for (size_t i = 0; i < t->n_columns; i++) {
		struct buf title = BUF_INIT;

		for (const char *p = t->columns[i].key; *p; p++) {
			if (isupper((unsigned char)*p))
				buf_addch(&title, ' ');
			buf_addch(&title, (char)toupper((unsigned char)*p));
		}
		add_cell(t, i, buf_span(&title));
		t->out.failed |= title.failed;
		buf_release(&title);
	}
	buf_adds(&t->out, t->colours ? PLAIN "\n" : "\n");
	t->titled = true;
}

static void
row_now(struct cli_table *t, const struct buf *cells)
{
	if (!t->titled)
		titles(t);
	for (size_t i = 0; i < t->n_columns; i++)
		add_cell(t, i, buf_span(&cells[i]));
	while (t->out.len && t->out.data[t->out.len - 1] == ' ')
		t->out.data[--t->out.len] = '\0';
	buf_addch(&t->out, '\n');
}

/* Keeps the cells of the row as they will be shown. */
static bool
hold_row(struct cli_table *t, const struct span *cells)
{
	struct buf *grown = realloc(t->cells,
					(t->n_cells + t->n_columns) * sizeof(*grown));

	if (!grown) {
		t->out.failed = true;
		return false;
	}
	t->cells = grown;
	for (size_t i = 0; i < t->n_columns; i++) {
		struct buf *cell = &grown[t->n_cells + i];
		size_t width;

		*cell = (struct buf)BUF_INIT;
		cli_add_safe(cell, cells[i].ptr ? cells[i] : SPAN_LIT(""));
		t->out.failed |= cell->failed;
		width = width_of(buf_span(cell));
		if (t->widths[i] < width && !t->columns[0].width)
			t->widths[i] = width;
	}
	t->n_cells += t->n_columns;
	return true;
}

static void
release_cells(struct cli_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		buf_release(&t->cells[i]);
	t->n_cells = 0;
}

void
cli_table_row(struct cli_table *t, const struct span *cells)
{
	if (!t)
		return;
	if (t->json) {
		json_row(t, cells);
		cli_write_buf(t->cli, &t->out);
		return;
	}
	if (!hold_row(t, cells) || !t->columns[0].width)
		return;
	row_now(t, t->cells);
	release_cells(t);
	cli_write_buf(t->cli, &t->out);
}

void
cli_table_end(struct cli_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i += t->n_columns)
		row_now(t, t->cells + i);
	cli_write_buf(t->cli, &t->out);
	release_cells(t);
	free(t->cells);
	buf_release(&t->out);
	free(t);
}
