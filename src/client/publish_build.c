/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/publish_build.h"

#include <stdio.h>

#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/base/units.h"
#include "envdriver/cli/cli.h"

enum { FILE_MAX = 64 * 1024 * 1024 };

/* Options of PUBLISH_OPTIONS whose text is a field of the command. */
static const struct top {
	const char *option, *field;
} tops[] = {
	{ "id", "commandId" },		{ "issued-by", "issuedBy" },
	{ "issue", "issueId" },		{ "ordering-key", "orderingKey" },
	{ "traceparent", "traceparent" },
};

static int
add_option_string(struct buf *out, const char *option, struct span text, struct err *reterr)
{
	if (!jtext_utf8_ok(text))
		return err_set(reterr, ERR_INVALID, "--%s: not UTF-8", option);
	jtext_add_string(out, text);
	return 0;
}

static void
add_name(struct buf *out, const char *name)
{
	if (out->len && out->data[out->len - 1] != '{')
		buf_addch(out, ',');
	buf_addf(out, "\"%s\":", name);
}

/* JSON as the option holds it, or from a file. */
static int
add_json(struct buf *out, const char *option, const char *value, struct err *reterr)
{
	struct buf file = BUF_INIT;
	struct span text = span_of(value);
	int ret = 0;

	if (value[0] == '@') {
		ret = cli_read(value + 1, FILE_MAX, &file, reterr);
		text = buf_span(&file);
	}
	if (ret == 0)
		ret = jtext_check(text, JTEXT_DEPTH_MAX, NULL, reterr);
	if (ret < 0)
		err_prefix(reterr, "--%s", option);
	else
		buf_addspan(out, text);
	buf_release(&file);
	return ret;
}

static int
add_lease(struct buf *out, const char *option, const char *value, struct err *reterr)
{
	if (value[0] == '{' || value[0] == '@')
		return add_json(out, option, value, reterr);
	buf_adds(out, "{\"providerLeaseId\":");
	if (add_option_string(out, option, span_of(value), reterr) < 0)
		return ERR_INVALID;
	buf_addch(out, '}');
	return 0;
}

/* Of a command's input: a command is one record, and its texts are UTF-8. */
static int
add_input(const struct cli *cli, struct buf *out, const char *option, const char *value,
	  struct err *reterr)
{
	size_t max = (size_t)config_int(cli_config(cli), "command.max.bytes");
	struct buf file = BUF_INIT;
	int ret;

	if (value[0] != '@')
		return add_option_string(out, option, span_of(value), reterr);
	ret = cli_read(value + 1, max, &file, reterr);
	if (ret == ERR_LIMIT)
		err_set(reterr, ERR_LIMIT,
			"--%s: the input has more than %zu bytes, the most that a command may "
			"have (command.max.bytes); send it in pieces, or let the command fetch "
			"it",
			option, max);
	else if (ret < 0)
		err_prefix(reterr, "--%s", option);
	else if (!jtext_utf8_ok(buf_span(&file)))
		ret = err_set(reterr, ERR_INVALID, "--%s: the input is not UTF-8; send it as "
			      "base64 and let the command decode it", option);
	else
		jtext_add_string(out, buf_span(&file));
	buf_release(&file);
	return ret;
}

/* The pairs of one option, as members of the object `env`. */
static int
add_pairs(const struct cli *cli, struct buf *out, const struct cli_option *o, struct err *reterr)
{
	const char *pair;

	for (size_t i = 0; (pair = cli_flag_at(cli, o->name, i)); i++) {
		const char *eq = strchr(pair, '=');

		if (!eq || eq == pair)
			return err_set(reterr, ERR_INVALID, "--%s: '%.64s' is not %s", o->name,
				       pair, o->value);
		if (out->data[out->len - 1] != '{')
			buf_addch(out, ',');
		if (add_option_string(out, o->name, (struct span){pair, (size_t)(eq - pair)},
				      reterr) < 0)
			return ERR_INVALID;
		buf_addch(out, ':');
		if (o->kind == PUBLISH_SECRET)
			buf_adds(out, "{\"type\":\"secret_ref\",\"secretId\":");
		if (add_option_string(out, o->name, span_of(eq + 1), reterr) < 0)
			return ERR_INVALID;
		if (o->kind == PUBLISH_SECRET)
			buf_addch(out, '}');
	}
	return 0;
}

static bool
is_env(const struct cli_option *o)
{
	return o->kind == PUBLISH_ENV || o->kind == PUBLISH_SECRET;
}

static int
add_env(const struct cli *cli, struct buf *out, const struct cli_option *options,
	struct err *reterr)
{
	bool any = false;

	for (const struct cli_option *o = options; o && o->name; o++)
		any |= is_env(o) && cli_has(cli, o->name);
	if (!any)
		return 0;
	add_name(out, "env");
	buf_addch(out, '{');
	for (const struct cli_option *o = options; o->name; o++)
		if (is_env(o) && add_pairs(cli, out, o, reterr) < 0)
			return ERR_INVALID;
	buf_addch(out, '}');
	return 0;
}

static int
add_option_number(struct buf *out, const struct cli_option *o, const char *value,
		  struct err *reterr)
{
	int64_t n;
	int ret = o->kind == PUBLISH_INT ? units_int(value, &n, reterr)
					 : units_duration(value, &n, reterr);

	if (ret == 0)
		buf_addf(out, "%lld", (long long)n);
	else
		err_prefix(reterr, "--%s", o->name);
	return ret;
}

static int
add_field(const struct cli *cli, struct buf *out, const struct cli_option *o, struct err *reterr)
{
	const char *value = cli_flag(cli, o->name);

	add_name(out, o->field);
	switch (o->kind) {
	case PUBLISH_TEXT:
		return add_option_string(out, o->name, span_of(value), reterr);
	case PUBLISH_STDIN:
		return add_input(cli, out, o->name, value, reterr);
	case PUBLISH_PIPE:
		return add_input(cli, out, o->name, "@-", reterr);
	case PUBLISH_JSON:
		return add_json(out, o->name, value, reterr);
	case PUBLISH_LEASE:
		return add_lease(out, o->name, value, reterr);
	case PUBLISH_INT:
	case PUBLISH_DURATION:
		return add_option_number(out, o, value, reterr);
	default:
		buf_adds(out, "true");
		return 0;
	}
}

/* The words behind the options, for an operation that runs a command. */
static int
add_command_line(const struct cli *cli, struct buf *out, struct err *reterr)
{
	add_name(out, "command");
	if (add_option_string(out, "command", span_of(cli_arg(cli, 0)), reterr) < 0)
		return ERR_INVALID;
	add_name(out, "args");
	buf_addch(out, '[');
	for (size_t i = 1; cli_arg(cli, i); i++) {
		buf_adds(out, i > 1 ? "," : "");
		if (add_option_string(out, "args", span_of(cli_arg(cli, i)), reterr) < 0)
			return ERR_INVALID;
	}
	buf_addch(out, ']');
	return 0;
}

static int
add_operation(const struct cli *cli, const char *operation, struct span lease, struct buf *out,
	      struct err *reterr)
{
	const struct cli_option *options = cli_found(cli)->options;
	int ret;

	buf_addf(out, ",\"operation\":{\"type\":\"%s\"", operation);
	if (lease.ptr) {
		add_name(out, "lease");
		buf_addspan(out, lease);
	}
	for (const struct cli_option *o = options; o && o->name; o++) {
		if (!o->field || is_env(o) || !cli_has(cli, o->name) ||
		    (lease.ptr && o->kind == PUBLISH_LEASE))
			continue;
		ret = add_field(cli, out, o, reterr);
		if (ret < 0)
			return ret;
	}
	ret = add_env(cli, out, options, reterr);
	if (ret == 0 && cli_found(cli)->passes_on)
		ret = add_command_line(cli, out, reterr);
	buf_addch(out, '}');
	return ret;
}

static int
add_target(const struct cli *cli, const char *operation, struct span given, struct buf *out,
	   struct err *reterr)
{
	const char *target = cli_flag(cli, "target"), *provider = cli_flag(cli, "provider");
	const char *pinned = cli_flag(cli, "plugin-id");
	const char *colon = target ? strchr(target, ':') : NULL;

	if (target && provider)
		return err_set(reterr, ERR_INVALID,
			       "--target and --provider are mutually exclusive");
	if (target && !colon)
		return err_set(reterr, ERR_INVALID, "--target: '%.64s' is not PLUGIN:DRIVER",
			       target);
	if (!target && !provider && pinned)
		return err_set(reterr, ERR_INVALID, "--plugin-id needs --target or --provider");
	if (!target && !provider && !given.ptr && strcmp(operation, "ListDrivers") != 0)
		return err_set(reterr, ERR_INVALID,
			       "missing option: --target PLUGIN:DRIVER or --provider NAME");
	if (!target && !provider && !given.ptr)
		return 0;
	add_name(out, "target");
	if (!target && !provider) {
		buf_addspan(out, given);
		return 0;
	}
	if (target) {
		buf_adds(out, "{\"type\":\"PluginDriver\",\"pluginKey\":");
		if (add_option_string(out, "target",
				      (struct span){target, (size_t)(colon - target)}, reterr) < 0)
			return ERR_INVALID;
		buf_adds(out, ",\"driverKey\":");
		if (add_option_string(out, "target", span_of(colon + 1), reterr) < 0)
			return ERR_INVALID;
	} else {
		buf_adds(out, "{\"type\":\"SandboxProvider\",\"provider\":");
		if (add_option_string(out, "provider", span_of(provider), reterr) < 0)
			return ERR_INVALID;
	}
	if (pinned) {
		buf_adds(out, ",\"pluginId\":");
		if (add_option_string(out, "plugin-id", span_of(pinned), reterr) < 0)
			return ERR_INVALID;
	}
	buf_addch(out, '}');
	return 0;
}

/* A time, or a duration from now. */
static int
add_expires(const struct cli *cli, struct buf *out, struct err *reterr)
{
	const char *value = cli_flag(cli, "expires");
	int64_t n;

	if (!value)
		return 0;
	if (clock_parse_loose(value, &n) < 0) {
		if (units_duration(value, &n, NULL) < 0)
			return err_set(reterr, ERR_INVALID,
				       "--expires: '%.64s' is neither a time like "
				       "2026-11-23T05:17:57Z nor a duration like 10min", value);
		n += clock_wall_ms();
	}
	add_name(out, "expiresAt");
	buf_addf(out, "%lld", (long long)n);
	return 0;
}

static int
add_tops(const struct cli *cli, struct buf *out, struct err *reterr)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(tops) / sizeof(*tops) && ret == 0; i++) {
		const char *value = cli_flag(cli, tops[i].option);

		if (!value)
			continue;
		add_name(out, tops[i].field);
		ret = add_option_string(out, tops[i].option, span_of(value), reterr);
	}
	for (const struct cli_option *o = cli_found(cli)->options; o && o->name; o++) {
		if (o->kind == PUBLISH_NOW && cli_has(cli, o->name)) {
			add_name(out, "orderingKey");
			buf_adds(out, "\"\"");
		} else if (o->kind == PUBLISH_RERUN && cli_has(cli, o->name)) {
			add_name(out, "rerunIfInterrupted");
			buf_adds(out, "true");
		}
	}
	return ret == 0 ? add_expires(cli, out, reterr) : ret;
}

static int
add_id(const struct cli *cli, const char *option, const char *field, struct span given,
       struct buf *out, struct err *reterr)
{
	const char *value = cli_flag(cli, option);

	add_name(out, field);
	return add_option_string(out, option,
				 value	     ? span_of(value)
				 : given.ptr ? given
					     : SPAN_LIT(""),
				 reterr);
}

int
publish_build(const struct cli *cli, const char *operation, const struct publish_given *given,
	      struct buf *out, struct err *reterr)
{
	const char *config = cli_flag(cli, "config");
	int ret;

	buf_addch(out, '{');
	if (add_id(cli, "company", "companyId", given->company, out, reterr) < 0 ||
	    add_id(cli, "environment", "environmentId", given->environment, out, reterr) < 0 ||
	    add_tops(cli, out, reterr) < 0 ||
	    add_target(cli, operation, given->target, out, reterr) < 0)
		return ERR_INVALID;
	if (config) {
		add_name(out, "config");
		ret = add_json(out, "config", config, reterr);
		if (ret < 0)
			return ret;
	} else if (given->config.ptr) {
		add_name(out, "config");
		buf_addspan(out, given->config);
	}
	ret = add_operation(cli, operation, given->lease, out, reterr);
	buf_addch(out, '}');
	return ret == 0 && out->failed ? err_nomem(reterr) : ret;
}
