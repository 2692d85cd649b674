/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_print: the configuration in force as a file, and the table of
 * parameters as documents. Apart from config.c, which only keeps values.
 */
#include "envdriver/base/config.h"

#include "envdriver/base/units.h"

static const char *const type_names[] = {
	[CONFIG_STRING] = "text",
	[CONFIG_INT] = "whole number",
	[CONFIG_BOOL] = "true or false",
	[CONFIG_DURATION] = "duration",
	[CONFIG_SIZE] = "size",
	[CONFIG_PATHS] = "folders separated by ':'",
};

static void
add_range(struct buf *out, const struct config_param *p)
{
	if (p->words) {
		for (size_t i = 0; p->words[i]; i++)
			buf_addf(out, "%s%s", i ? ", " : "", p->words[i]);
		return;
	}
	buf_adds(out, type_names[p->type]);
	if (p->type == CONFIG_DURATION) {
		buf_adds(out, ", ");
		units_add_duration(out, p->min);
		buf_adds(out, " to ");
		units_add_duration(out, p->max);
	} else if (p->type == CONFIG_SIZE) {
		buf_adds(out, ", ");
		units_add_size(out, p->min);
		buf_adds(out, " to ");
		units_add_size(out, p->max);
	} else if (p->type == CONFIG_INT) {
		buf_addf(out, ", %lld to %lld", (long long)p->min, (long long)p->max);
	}
}

void
config_print(const struct config *c, struct buf *out)
{
	struct config_entry e;

	for (size_t i = 0; config_entry(c, i, &e); i++) {
		if (e.param) {
			buf_addf(out, "# %s.\n# ", e.param->help);
			add_range(out, e.param);
			if (e.param->def)
				buf_addf(out, "; default %s", e.param->def);
			/* Some values end in a full stop. */
			buf_adds(out, "\n");
		}
		buf_addf(out, "# Set by: %s\n", e.where);
		buf_addf(out, "%s%s = ", e.value ? "" : "#", e.key);
		if (e.value)
			config_add_shown(out, e.key, e.value);
		buf_adds(out, "\n\n");
	}
}

void
config_print_markdown(struct buf *out)
{
	buf_adds(out, "| key | default | takes | meaning |\n|---|---|---|---|\n");
	for (const struct config_param *p = config_params; p->name; p++) {
		buf_addf(out, "| `%s` | ", p->name);
		if (p->def)
			buf_addf(out, "`%s`", p->def);
		buf_adds(out, " | ");
		add_range(out, p);
		buf_addf(out, " | %s |\n", p->help);
	}
}

/* A '-' that can be copied out of the page, and no line that starts a
 * macro. */
static void
add_roff(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			buf_addch(out, '\\');
		buf_addch(out, *text == '\\' ? 'e' : *text);
	}
}

void
config_print_man(struct buf *out)
{
	for (const struct config_param *p = config_params; p->name; p++) {
		struct buf range = BUF_INIT;

		add_range(&range, p);
		buf_adds(out, ".TP\n.B ");
		add_roff(out, p->name);
		buf_adds(out, "\n");
		add_roff(out, p->help);
		buf_adds(out, ".\nTakes ");
		add_roff(out, range.data ? range.data : "");
		if (p->def) {
			buf_adds(out, "; default \\fB");
			add_roff(out, p->def);
			buf_adds(out, "\\fR");
		}
		buf_adds(out, p->def ? ".\n" : "; unset by default.\n");
		out->failed |= range.failed;
		buf_release(&range);
	}
}
