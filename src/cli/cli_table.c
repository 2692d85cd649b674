/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_table: the table of cli.h. On a terminal it is held until its end, so
 * that its columns fit their contents; if the first column has a width, each
 * row is written at once, for rows that arrive over time. Then it is made to
 * fit the terminal: ids and times become shorter, columns are left out.
 */
#include "envdriver/cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cell.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "layout.h"

#define BOLD "\x1b[1m"
#define PLAIN "\x1b[0m"

struct cli_table {
	struct cli *cli;
	const struct cli_column *columns;
	size_t n_columns;
	bool json, colours, titled;
	struct layout layout;
	struct buf *cells;	/* held rows, cell after cell */
	size_t n_cells;
	struct buf out;
};

int
cli_check_columns(const struct cli *cli, const struct cli_column *columns, struct err *reterr)
{
	return layout_check(cli, columns, reterr);
}

struct cli_table *
cli_table_new(struct cli *cli, const struct cli_column *columns)
{
	struct cli_table *t = malloc(sizeof(*t));
	struct err err = { 0 };

	if (!t) {
		cli_complain(cli, "out of memory");
		return NULL;
	}
	if (layout_check(cli, columns, &err) < 0) {
		cli_complain(cli, "%s", err.text);
		cli_output_lost(cli);
		free(t);
		return NULL;
	}
	*t = (struct cli_table){ .cli = cli, .columns = columns };
	t->json = cli_json(cli);
	t->colours = cli_colours(cli);
	while (columns[t->n_columns].key)
		t->n_columns++;
	layout_init(&t->layout, cli, columns);
	return t;
}

/* --- cells --- */

static void
json_row(struct cli_table *t, const struct span *cells)
{
	bool first = true;

	for (size_t i = 0; i < t->n_columns; i++) {
		/* They are of tables only: JSON has them elsewhere. */
		if (t->columns[i].cell & CLI_HIDDEN)
			continue;
		buf_addch(&t->out, first ? '{' : ',');
		first = false;
		jtext_add_string(&t->out, span_of(t->columns[i].key));
		buf_addch(&t->out, ':');
		if (!cells[i].ptr) {
			buf_adds(&t->out, "null");
		} else if (t->columns[i].cell & CLI_RAW) {
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

/* The colour of an outcome; "": none. */
static const char *
colour_of(struct span text)
{
	static const struct {
		const char *words, *colour;
	} all[] = {
		{ " SUCCEEDED ready running exists created added updated ", "\x1b[32m" },
		{ " FAILED DEAD_LETTER not-ok timed-out crashed missing gave-up error gap "
		  "duplicate orphan wrong-id wrong-record served-twice wrong-first output "
		  "unreadable ",
		  "\x1b[31m" },
		{ " INTERRUPTED EXPIRED lease-lost no-exit-code pending gone backoff disabled "
		  "stopped stopping starting installed uninstalled upgrade_pending ", "\x1b[33m" },
	};
	char word[40];

	if (text.len >= 5 &&
	    (memcmp(text.ptr, "exit ", 5) == 0 || memcmp(text.ptr, "SIG", 3) == 0))
		return all[1].colour;
	if (!text.len || text.len + 3 > sizeof(word))
		return "";
	snprintf(word, sizeof(word), " %.*s ", SPAN_FMT(text));
	for (char *p = word + 1; p < word + 1 + text.len; p++)
		if (*p == ' ')
			*p = '-';
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strstr(all[i].words, word))
			return all[i].colour;
	return "";
}

static void
cut_text(const struct cli_table *t, const struct layout_column *s, struct span text,
	 struct buf *out)
{
	unsigned kind = s->column->cell;

	if (!t->layout.limit)
		buf_addspan(out, text);
	else if (kind & CLI_TIME)
		cell_cut_time(out, text, s->width);
	else if (kind & CLI_TAIL)
		cell_cut_start(out, text, s->width);
	else if (kind & (CLI_ID | CLI_RAW))
		cell_cut_end(out, text, s->width);
	else
		cell_cut_words(out, text, s->width);
}

static void
add_cell(struct cli_table *t, size_t i, struct span text, bool coloured)
{
	const struct layout_column *s = &t->layout.shown[i];
	const char *colour = coloured && t->colours && s->column->cell & CLI_OUTCOME
				     ? colour_of(text) : "";
	struct buf cut = BUF_INIT;
	size_t width;

	cut_text(t, s, text, &cut);
	width = cell_width(buf_span(&cut));
	buf_addf(&t->out, "%s", colour);
	buf_addspan(&t->out, buf_span(&cut));
	buf_adds(&t->out, *colour ? PLAIN : "");
	t->out.failed |= cut.failed;
	buf_release(&cut);
	if (i + 1 == t->layout.n_shown)
		return;
	/* One that is wider than its column, which piped tables do not cut, has
	 * its gap, too. */
	if (width < s->width)
		buf_addf(&t->out, "%*s", (int)(s->width - width), "");
	buf_addf(&t->out, "%*s", LAYOUT_GAP, "");
}

/* The last cell, on as many lines as it takes. */
static void
add_wrapped(struct cli_table *t, size_t i, struct span text)
{
	size_t indent = 0;

	for (size_t k = 0; k < i; k++)
		indent += t->layout.shown[k].width + LAYOUT_GAP;
	for (bool first = true; text.len; first = false) {
		size_t len = cell_line(text, t->layout.shown[i].width);

		if (!first)
			buf_addf(&t->out, "\n%*s", (int)indent, "");
		buf_add(&t->out, text.ptr, len);
		while (len < text.len && text.ptr[len] == ' ')
			len++;
		text = (struct span){ text.ptr + len, text.len - len };
	}
}

static void
titles(struct cli_table *t)
{
	layout_fit(&t->layout);
	if (t->colours)
		buf_adds(&t->out, BOLD);
	for (size_t i = 0; i < t->layout.n_shown; i++) {
		struct buf title = BUF_INIT;

		for (const char *p = t->layout.shown[i].column->key; *p; p++) {
			if (isupper((unsigned char)*p))
				buf_addch(&title, ' ');
			buf_addch(&title, (char)toupper((unsigned char)*p));
		}
		add_cell(t, i, buf_span(&title), false);
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
	for (size_t i = 0; i < t->layout.n_shown; i++) {
		struct span text = buf_span(&cells[t->layout.shown[i].cell]);

		if (t->layout.limit && i + 1 == t->layout.n_shown &&
		    t->layout.shown[i].column->cell & CLI_WRAP)
			add_wrapped(t, i, text);
		else
			add_cell(t, i, text, true);
	}
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

		*cell = (struct buf)BUF_INIT;
		cli_add_safe(cell, cells[i].ptr ? cells[i] : SPAN_LIT(""));
		t->out.failed |= cell->failed;
	}
	for (size_t i = 0; i < t->layout.n_shown; i++)
		layout_note(&t->layout, i,
			    cell_width(buf_span(&grown[t->n_cells + t->layout.shown[i].cell])));
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
	if (!hold_row(t, cells) || !t->layout.at_once)
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
