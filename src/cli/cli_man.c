/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_man: the manual page, made from the tables, so that it cannot differ from
 * the help and the parser. It is the only user of all tables at once.
 */
#include "envdriver/cli/cli.h"

#include <ctype.h>

#include "envdriver/base/config.h"

/* Escapes '-', so that it can be copied, and what would start a macro. */
static void
add_roff_text(struct buf *out, const char *text, size_t len)
{
	for (const char *p = text; p < text + len; p++) {
		if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			buf_adds(out, "\\&");
		if (*p == '-' || *p == '\\')
			buf_addch(out, '\\');
		buf_addch(out, *p == '\\' ? 'e' : *p);
	}
}

/* Lines that begin with a space are examples; an empty line separates
 * paragraphs. */
static void
add_paragraphs(struct buf *out, const char *text)
{
	bool literal = false;

	while (text && *text) {
		const char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end - text) : strlen(text);
		bool now = *text == ' ';

		if (now != literal && len)
			buf_adds(out, now ? ".nf\n" : ".fi\n");
		if (len)
			literal = now;
		if (len)
			add_roff_text(out, text, len);
		else
			buf_adds(out, literal ? "" : ".PP");
		if (len || !literal)
			buf_addch(out, '\n');
		text = end ? end + 1 : text + len;
	}
	if (literal)
		buf_adds(out, ".fi\n");
}

static void
add_option_entries(struct buf *out, const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && o->name; o++) {
		buf_adds(out, ".TP\n\\fB");
		if (o->letter)
			buf_addf(out, "\\-%c\\fR, \\fB", o->letter);
		buf_adds(out, "\\-\\-");
		add_roff_text(out, o->name, strlen(o->name));
		buf_adds(out, "\\fR");
		if (o->value)
			buf_addf(out, " \\fI%s\\fR", o->value);
		buf_addch(out, '\n');
		add_roff_text(out, o->help, strlen(o->help));
		buf_adds(out, o->required ? " (required).\n"
			      : o->many	  ? " (may be repeated).\n"
					  : ".\n");
	}
}

static void
add_command(struct buf *out, const char *above, const struct cli_command *c)
{
	struct buf name = BUF_INIT;

	buf_addf(&name, "%s%s%s", above, *above ? " " : "", c->name);
	buf_adds(out, ".SS ");
	add_roff_text(out, name.data ? name.data : "", name.len);
	if (c->args) {
		buf_addch(out, ' ');
		add_roff_text(out, c->args, strlen(c->args));
	}
	buf_addf(out, "\n");
	add_roff_text(out, c->summary, strlen(c->summary));
	buf_adds(out, ".\n");
	if (c->text) {
		buf_adds(out, ".PP\n");
		add_paragraphs(out, c->text);
	}
	add_option_entries(out, c->options);
	for (size_t i = 0; c->subs && c->subs[i]; i++) {
		const struct cli_command *s = c->subs[i];

		/* There is no deeper level. */
		buf_adds(out, ".PP\n\\fB");
		add_roff_text(out, s->name, strlen(s->name));
		buf_adds(out, "\\fR");
		if (s->args) {
			buf_addch(out, ' ');
			add_roff_text(out, s->args, strlen(s->args));
		}
		buf_adds(out, ": ");
		add_roff_text(out, s->summary, strlen(s->summary));
		buf_adds(out, ".\n");
		if (s->text) {
			buf_adds(out, ".PP\n");
			add_paragraphs(out, s->text);
		}
		add_option_entries(out, s->options);
	}
	out->failed |= name.failed;
	buf_release(&name);
}

static const struct exit_row {
	int code;
	const char *meaning;
} exits[] = {
	{ EXIT_DONE, "success" },
	{ EXIT_FINDINGS, "findings, or a command whose outcome is not SUCCEEDED" },
	{ EXIT_TROUBLE, "failure" },
	{ EXIT_USAGE, "usage error" },
	{ EXIT_UNAVAILABLE, "fenced by another worker, or Kafka or Redis is unavailable" },
	{ EXIT_BUG, "a bug in envdriver" },
	{ EXIT_AGAIN, "temporary failure: no result in time, or out of resources; try again" },
	{ EXIT_DENIED, "permission denied" },
	{ EXIT_CONFIG, "configuration error" },
	{ EXIT_EXEC_INTERRUPTED, "exec: interrupted; whether the command ran is unknown" },
	{ EXIT_EXEC_CUT, "exec: the command was ended at the plugin's limit of output" },
	{ EXIT_EXEC_TIMEOUT, "exec: the command exceeded its time limit" },
	{ EXIT_EXEC_FAILED,
	  "exec: envdriver, the plugin or Kafka failed; see standard error" },
	{ EXIT_EXEC_DENIED, "exec: the program is not executable" },
	{ EXIT_EXEC_MISSING, "exec: the program was not found" },
};

void
cli_man(const struct cli_command *root, struct buf *out)
{
	buf_adds(out, ".\\\" Made by `envdriver help --man` from the tables of the program.\n"
		      ".TH ENVDRIVER 1 \"\" \"envdriver " ENVDRIVER_VERSION "\"\n"
		      ".SH NAME\nenvdriver \\- ");
	add_roff_text(out, root->summary, strlen(root->summary));
	buf_adds(out, "\n.SH SYNOPSIS\n.B envdriver\n[\\fIoptions\\fR] \\fICOMMAND\\fR ...\n"
		      ".SH DESCRIPTION\n");
	add_paragraphs(out, root->text);
	buf_adds(out, ".SH OPTIONS\n");
	add_option_entries(out, root->options);
	buf_adds(out, ".SH COMMANDS\n");
	for (size_t i = 0; root->subs[i]; i++)
		add_command(out, "", root->subs[i]);
	buf_adds(out,
		 ".SH CONFIGURATION\n"
		 "A configuration file consists of lines \\fIkey\\fR = \\fIvalue\\fR; lines that "
		 "begin with # are comments. The variable\n.B ENVDRIVER_REDIS_URL\nsets "
		 "redis.url, and so on. Files are read first, then variables, then "
		 "\\fB\\-X\\fR; the last value wins.\n"
		 "Other keys that begin with \\fBkafka.\\fR are passed on to librdkafka, except "
		 "those that would break a guarantee: they are refused with the reason.\n");
	config_print_man(out);
	buf_adds(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < sizeof(exits) / sizeof(*exits); i++) {
		buf_addf(out, ".TP\n.B %d\n", exits[i].code);
		add_roff_text(out, exits[i].meaning, strlen(exits[i].meaning));
		buf_adds(out, ".\n");
	}
	buf_adds(out, ".SH ENVIRONMENT\n.TP\n.B ENVDRIVER_CONFIG\nConfiguration file, used "
		      "without \\fB\\-c\\fR.\n.TP\n.B NO_COLOR\nNo colours, unless it is empty.\n");
}
