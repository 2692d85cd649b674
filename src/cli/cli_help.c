/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_help: the help of a command, made from its table and those above it.
 * Apart from cli.c, which parses: both only read the tables.
 */
#include "envdriver/cli/cli.h"

#include <stdio.h>

#include "envdriver/base/err.h"

enum { DEPTH_MAX = 4, HELP_COLUMN = 34, HELP_WIDTH = 80, SUMMARY_COLUMN = 16 };

/* A command and those above it, the root first. */
struct way {
	const struct cli_command *at[DEPTH_MAX];
	size_t depth;
};

static const struct cli_command *
leaf(const struct way *w)
{
	return w->at[w->depth - 1];
}

static void
add_path(struct buf *out, const struct way *w)
{
	for (size_t i = 0; i < w->depth; i++)
		buf_addf(out, "%s%s", i ? " " : "", w->at[i]->name);
}

static void
heading(struct buf *out, bool bold, const char *text)
{
	buf_addf(out, bold ? "\n\x1b[1m%s\x1b[0m\n" : "\n%s\n", text);
}

/* "-c, --config-file FILE" */
static void
add_option_name(struct buf *out, const struct cli_option *o)
{
	if (o->letter)
		buf_addf(out, "-%c, ", o->letter);
	buf_addf(out, "--%s", o->name);
	if (o->value)
		buf_addf(out, " %s", o->value);
}

static void
add_option_help(struct buf *out, const struct cli_option *o)
{
	buf_adds(out, o->help);
	if (o->many)
		buf_adds(out, " (may be repeated)");
	if (o->required)
		buf_adds(out, " (required)");
}

/* From HELP_COLUMN on, cut between words. */
static void
add_help_lines(struct buf *out, const char *text)
{
	size_t column = HELP_COLUMN;

	for (const char *word = text; word && *word; word += strspn(word, " ")) {
		size_t len = strcspn(word, " ");

		if (word != text && column + 1 + len > HELP_WIDTH) {
			buf_addf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (word != text) {
			buf_addch(out, ' ');
			column++;
		}
		buf_add(out, word, len);
		column += len;
		word += len;
	}
	buf_addch(out, '\n');
}

static void
add_option_lines(struct buf *out, bool bold, const struct cli_command *c, const char *title)
{
	struct buf help = BUF_INIT;

	if (!c->options || !c->options->name)
		return;
	heading(out, bold, title);
	for (const struct cli_option *o = c->options; o->name; o++) {
		size_t start = out->len;

		buf_adds(out, "  ");
		add_option_name(out, o);
		if (out->len - start >= HELP_COLUMN) {
			buf_addch(out, '\n');
			start = out->len;
		}
		while (out->len - start < HELP_COLUMN && !out->failed)
			buf_addch(out, ' ');
		buf_reset(&help);
		add_option_help(&help, o);
		add_help_lines(out, help.data);
		out->failed |= help.failed;
	}
	buf_release(&help);
}

static void
add_usage(struct buf *out, const struct way *w)
{
	const struct cli_command *c = leaf(w);

	buf_adds(out, "usage: ");
	add_path(out, w);
	for (const struct cli_option *o = c->options; o && o->name; o++)
		if (o->required)
			buf_addf(out, " --%s %s", o->name, o->value);
	buf_adds(out, " [options]");
	if (c->subs)
		buf_adds(out, c->run ? " [COMMAND]" : " COMMAND");
	if (c->args)
		buf_addf(out, " %s", c->args);
	buf_addch(out, '\n');
}

static void
add_subs(struct buf *out, bool bold, const struct cli_command *c)
{
	if (!c->subs[0]->stage)
		heading(out, bold, "Commands");
	for (size_t i = 0; c->subs[i]; i++) {
		if (c->subs[i]->stage)
			heading(out, bold, c->subs[i]->stage);
		buf_addf(out, "  %-*s  %s\n", SUMMARY_COLUMN, c->subs[i]->name,
			 c->subs[i]->summary);
	}
}

static void
help_of(const struct way *w, bool bold, struct buf *out)
{
	const struct cli_command *c = leaf(w);
	struct buf path = BUF_INIT;

	add_path(&path, w);
	buf_addf(out, bold ? "\x1b[1m%s\x1b[0m: %s.\n\n" : "%s: %s.\n\n",
		 path.data ? path.data : "", c->summary);
	out->failed |= path.failed;
	buf_release(&path);
	add_usage(out, w);
	if (c->text)
		buf_addf(out, "\n%s", c->text);
	if (c->subs)
		add_subs(out, bold, c);
	for (size_t i = w->depth; i-- > 0;)
		add_option_lines(out, bold, w->at[i],
				 i == 0		     ? "Global options"
				 : i + 1 == w->depth ? "Options"
						     : "Common options");
}

static int
step_down(struct way *w, const char *word, struct err *reterr)
{
	const char *near = NULL;
	const struct cli_command *sub = cli_sub(leaf(w), word, &near);

	if (sub && w->depth < DEPTH_MAX) {
		w->at[w->depth++] = sub;
		return 0;
	}
	if (near)
		return err_set(reterr, ERR_INVALID, "unknown command '%.64s'; did you mean '%s'?",
			       word, near);
	return err_set(reterr, ERR_INVALID, "unknown command '%.64s'", word);
}

int
cli_help(const struct cli_command *root, const char *const *words, size_t n_words, bool bold,
	 struct buf *out, struct err *reterr)
{
	struct way w = { { root }, 1 };

	for (size_t i = 0; i < n_words; i++) {
		int ret = step_down(&w, words[i], reterr);

		if (ret < 0)
			return ret;
	}
	help_of(&w, bold, out);
	return 0;
}
