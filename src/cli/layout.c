/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cell.h"
#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"

enum { ID_SHORT = 10, TAIL_SHORT = 14, PROSE_SHORT = 20, TEXT_SHORT = 6, USUAL_WIDTH = 80 };

/* "pluginKey", "plugin-key" and "PLUGIN KEY" are the same. */
static bool
is_column(const char *key, struct span word)
{
	size_t i = 0;

	for (; *key; key++, i++) {
		while (i < word.len && strchr("-_ ", word.ptr[i]))
			i++;
		if (i == word.len || tolower((unsigned char)word.ptr[i]) !=
					     tolower((unsigned char)*key))
			return false;
	}
	return i == word.len;
}

/* Of -o "time,status" the next word; false behind the last one. */
static bool
next_column(const char **text, struct span *ret)
{
	if (!*text)
		return false;
	ret->ptr = *text;
	ret->len = strcspn(*text, ",");
	*text = (*text)[ret->len] ? *text + ret->len + 1 : NULL;
	return true;
}

/* The columns that -o names; NULL when it names none. */
static const char *
named_columns(const struct cli *cli)
{
	const char *text = cli_flag(cli, "output");

	return text && strcmp(text, "wide") != 0 && strcmp(text, "json") != 0 &&
			       strcmp(text, "table") != 0 ? text : NULL;
}

static const struct cli_column *
find_column(const struct cli_column *columns, struct span word)
{
	for (; columns->key; columns++)
		if (is_column(columns->key, word))
			return columns;
	return NULL;
}

static const char *
column_at(const void *arg, size_t i)
{
	return ((const struct cli_column *)arg)[i].key;
}

int
layout_check(const struct cli *cli, const struct cli_column *columns, struct err *reterr)
{
	const char *text = named_columns(cli), *near;
	char name[NEAREST_LEN_MAX + 1];
	struct buf all = BUF_INIT;
	size_t n = 0;
	struct span word;

	while (next_column(&text, &word)) {
		if (++n > CLI_COLUMNS_MAX)
			return err_set(reterr, ERR_INVALID, "-o: more than %d columns",
				       CLI_COLUMNS_MAX);
		if (find_column(columns, word))
			continue;
		snprintf(name, sizeof(name), "%.*s",
			 (int)(word.len < NEAREST_LEN_MAX ? word.len : NEAREST_LEN_MAX), word.ptr);
		near = nearest_begun(name, column_at, columns);
		if (near)
			return err_set(reterr, ERR_INVALID,
				       "-o: unknown column '%s'; did you mean '%s'?", name, near);
		for (; columns->key; columns++)
			buf_addf(&all, "%s%s", all.len ? "," : "", columns->key);
		err_set(reterr, ERR_INVALID, "-o: unknown column '%s'; valid: wide, or some of %s",
			name, all.data ? all.data : "");
		buf_release(&all);
		return ERR_INVALID;
	}
	return 0;
}

/* A title has a space before each capital letter. */
static size_t
title_width(const char *key)
{
	size_t n = strlen(key);

	for (; *key; key++)
		n += isupper((unsigned char)*key) != 0;
	return n;
}

static void
show_column(struct layout *t, const struct cli_column *c)
{
	size_t title = title_width(c->key), width = (size_t)c->width;

	if (t->n_shown == CLI_COLUMNS_MAX)
		return;
	t->shown[t->n_shown++] = (struct layout_column){
		.column = c,
		.cell = (size_t)(c - t->all),
		.title = title,
		.natural = width > title ? width : title,
	};
}

static void
choose_columns(struct layout *t, const struct cli *cli)
{
	const char *text = named_columns(cli), *wide = cli_flag(cli, "output");
	struct span word;

	while (next_column(&text, &word)) {
		const struct cli_column *c = find_column(t->all, word);

		if (c)
			show_column(t, c);
	}
	for (size_t i = 0; t->all[i].key && !named_columns(cli); i++)
		if (!(t->all[i].cell & CLI_HIDDEN) || (wide && strcmp(wide, "wide") == 0))
			show_column(t, &t->all[i]);
}

/* 0 when nobody would mind long lines, or with -o. */
static size_t
terminal_width(const struct cli *cli)
{
	const char *columns = getenv("COLUMNS"), *output = cli_flag(cli, "output");
	struct winsize size = { 0 };
	int n = columns ? atoi(columns) : 0;

	if ((output && strcmp(output, "table") != 0) || !isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return n > 0 ? (size_t)n : USUAL_WIDTH;
}

/* --- how wide --- */

void
layout_init(struct layout *t, const struct cli *cli, const struct cli_column *columns)
{
	*t = (struct layout){ .all = columns, .at_once = columns[0].width };
	t->limit = terminal_width(cli);
	choose_columns(t, cli);
}

void
layout_note(struct layout *t, size_t i, size_t width)
{
	if (!t->at_once && t->shown[i].natural < width)
		t->shown[i].natural = width;
}

/* The least that a column may have; `press`: also one that is usually whole. */
static size_t
least_width(const struct layout *t, size_t i, bool press)
{
	const struct layout_column *s = &t->shown[i];
	unsigned kind = s->column->cell;
	size_t least = kind & CLI_ID      ? ID_SHORT
		       : kind & CLI_TAIL  ? TAIL_SHORT
		       : kind & CLI_TIME  ? CELL_TIME_SHORT
		       : kind & CLI_PROSE ? PROSE_SHORT
		       : press && !(kind & CLI_OUTCOME) ? TEXT_SHORT
					  : s->natural;

	if (least < s->title)
		least = s->title;
	/* The last one of rows that are written at once takes what is left. */
	if (t->at_once && i + 1 == t->n_shown && kind & CLI_PROSE)
		return least;
	return least < s->natural ? least : s->natural;
}

static size_t
least_sum(const struct layout *t, bool press)
{
	size_t sum = t->n_shown ? LAYOUT_GAP * (t->n_shown - 1) : 0;

	for (size_t i = 0; i < t->n_shown; i++)
		sum += least_width(t, i, press);
	return sum;
}

/* Leaves out the last column that can be spared. */
static bool
spare_column(struct layout *t)
{
	for (size_t i = t->n_shown; i-- > 0;) {
		if (!(t->shown[i].column->cell & CLI_SPARE))
			continue;
		memmove(&t->shown[i], &t->shown[i + 1],
			(t->n_shown - i - 1) * sizeof(t->shown[i]));
		t->n_shown--;
		return true;
	}
	return false;
}

/* Takes from the columns of that kind what is too much. */
static size_t
shrink(struct layout *t, unsigned kind, bool press, size_t excess)
{
	for (size_t i = t->n_shown; i-- > 0 && excess > 0;) {
		struct layout_column *s = &t->shown[i];
		size_t most = s->width - least_width(t, i, press);
		size_t less = most < excess || kind == CLI_TIME ? most : excess;

		if ((kind && !(s->column->cell & kind)) || !most)
			continue;
		s->width -= less;
		excess = less < excess ? excess - less : 0;
	}
	return excess;
}

void
layout_fit(struct layout *t)
{
	static const unsigned order[] = { CLI_TIME, CLI_ID, CLI_TAIL, CLI_PROSE };
	size_t sum = 0, excess;
	bool press;

	while (t->limit && least_sum(t, false) > t->limit && spare_column(t))
		;
	press = t->limit && least_sum(t, false) > t->limit;
	for (size_t i = 0; i < t->n_shown; i++) {
		struct layout_column *s = &t->shown[i];
		bool takes_rest = t->at_once && i + 1 == t->n_shown &&
				  s->column->cell & CLI_PROSE;

		s->width = takes_rest ? least_width(t, i, false) : s->natural;
		sum += s->width + (i ? LAYOUT_GAP : 0);
	}
	if (!t->limit)
		return;
	excess = sum > t->limit ? sum - t->limit : 0;
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		excess = shrink(t, order[i], press, excess);
	(void)shrink(t, 0, press, excess);
	sum = 0;
	for (size_t i = 0; i + 1 < t->n_shown; i++)
		sum += t->shown[i].width + LAYOUT_GAP;
	if (t->n_shown && sum < t->limit)
		t->shown[t->n_shown - 1].width = t->limit - sum;
}
