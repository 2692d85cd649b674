/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/cli/cli.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"
#include "envdriver/base/units.h"

enum { PATH_MAX_DEPTH = 4, PATH_TEXT = 128 };

struct given {
	const struct cli_option *option;
	const char *value;	/* NULL of a switch */
};

struct cli {
	const struct cli_command *path[PATH_MAX_DEPTH];	/* root first */
	size_t depth;
	char path_text[PATH_TEXT];
	struct given *given;
	size_t n_given;
	const char **args;
	size_t n_args;
	struct config *config;
	bool output_lost;
};

static void
enter_command(struct cli *cli, const struct cli_command *command)
{
	size_t len = strlen(cli->path_text);

	assert(cli->depth < PATH_MAX_DEPTH);
	cli->path[cli->depth++] = command;
	snprintf(cli->path_text + len, sizeof(cli->path_text) - len, "%s%s", len ? " " : "",
		 command->name);
}

struct cli *
cli_new(const struct cli_command *root)
{
	struct cli *cli = malloc(sizeof(*cli));

	if (!cli)
		return NULL;
	*cli = (struct cli){ 0 };
	enter_command(cli, root);
	return cli;
}

void
cli_free(struct cli *cli)
{
	if (!cli)
		return;
	config_free(cli->config);
	free(cli->given);
	free(cli->args);
	free(cli);
}

/* The i-th of the options that are valid here, the found command's own first;
 * NULL past the last. */
static const struct cli_option *
option_at(const struct cli *cli, size_t i)
{
	for (size_t d = cli->depth; d-- > 0;)
		for (const struct cli_option *o = cli->path[d]->options; o && o->name; o++)
			if (i-- == 0)
				return o;
	return NULL;
}

static const char *
option_name_at(const void *arg, size_t i)
{
	const struct cli_option *o = option_at(arg, i);

	return o ? o->name : NULL;
}

static const struct cli_option *
find_option(const struct cli *cli, const char *name, size_t len)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = option_at(cli, i)); i++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *
find_letter(const struct cli *cli, char letter)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = option_at(cli, i)); i++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static int
give(struct cli *cli, const struct cli_option *option, const char *value, struct err *reterr)
{
	struct given *grown = realloc(cli->given, (cli->n_given + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(reterr);
	cli->given = grown;
	grown[cli->n_given++] = (struct given){ option, value };
	return 0;
}

static int
unknown_option(const struct cli *cli, const char *word, size_t len, struct err *reterr)
{
	char name[NEAREST_LEN_MAX + 1];
	const char *near;

	snprintf(name, sizeof(name), "%.*s", (int)(len < NEAREST_LEN_MAX ? len : NEAREST_LEN_MAX),
		 word);
	near = nearest_word(name, option_name_at, cli);
	if (near)
		return err_set(reterr, ERR_INVALID, "unknown option '--%s'; did you mean '--%s'?",
			       name, near);
	return err_set(reterr, ERR_INVALID, "unknown option '--%s'", name);
}

/* "--name", "--name=value", "--name value"; `next` is the following word or
 * NULL. Returns the words used, or a negative code. */
static int
parse_long(struct cli *cli, const char *word, const char *next, struct err *reterr)
{
	const char *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	const struct cli_option *o = find_option(cli, word, len);
	int ret;

	if (!o)
		return unknown_option(cli, word, len, reterr);
	if (!o->value && eq)
		return err_set(reterr, ERR_INVALID, "option '--%s' takes no value", o->name);
	if (o->value && !eq && !next)
		return err_set(reterr, ERR_INVALID, "option '--%s' needs a value: %s", o->name,
			       o->value);
	ret = give(cli, o, !o->value ? NULL : eq ? eq + 1 : next, reterr);
	return ret < 0 ? ret : o->value && !eq ? 2 : 1;
}

/* "-v", "-vq", "-c FILE", "-cFILE". */
static int
parse_short(struct cli *cli, const char *letters, const char *next, struct err *reterr)
{
	for (const char *p = letters; *p; p++) {
		const struct cli_option *o = find_letter(cli, *p);
		int ret;

		if (!o)
			return err_set(reterr, ERR_INVALID, "unknown option '-%c'", *p);
		if (!o->value) {
			ret = give(cli, o, NULL, reterr);
			if (ret < 0)
				return ret;
			continue;
		}
		if (!p[1] && !next)
			return err_set(reterr, ERR_INVALID, "option '-%c' needs a value: %s", *p,
				       o->value);
		ret = give(cli, o, p[1] ? p + 1 : next, reterr);
		return ret < 0 ? ret : p[1] ? 1 : 2;
	}
	return 1;
}

static const char *
sub_name_at(const void *arg, size_t i)
{
	const struct cli_command *const *subs = arg;

	return subs && subs[i] ? subs[i]->name : NULL;
}

const struct cli_command *
cli_sub(const struct cli_command *command, const char *word, const char **ret_near)
{
	for (size_t i = 0; command->subs && command->subs[i]; i++)
		if (strcmp(command->subs[i]->name, word) == 0)
			return command->subs[i];
	*ret_near = nearest_word(word, sub_name_at, command->subs);
	return NULL;
}

/* A word that is not an option: a subcommand, or an argument. */
static int
parse_word(struct cli *cli, const char *word, struct err *reterr)
{
	const struct cli_command *here = cli_found(cli), *sub;
	const char *near;

	if (cli->n_args || !here->subs) {
		cli->args[cli->n_args++] = word;
		return 0;
	}
	sub = cli_sub(here, word, &near);
	if (sub) {
		enter_command(cli, sub);
		return 0;
	}
	if (near)
		return err_set(reterr, ERR_INVALID, "unknown command '%.64s'; did you mean '%s'?",
			       word, near);
	return err_set(reterr, ERR_INVALID, "unknown command '%.64s'", word);
}

/* One word or two; returns how many, or a negative code. */
static int
parse_at(struct cli *cli, const char *word, const char *next, struct err *reterr)
{
	int ret;

	if (word[0] == '-' && word[1] == '-')
		return parse_long(cli, word + 2, next, reterr);
	if (word[0] == '-' && word[1])
		return parse_short(cli, word + 1, next, reterr);
	ret = parse_word(cli, word, reterr);
	return ret < 0 ? ret : 1;
}

static int
check_args(const struct cli *cli, struct err *reterr)
{
	const struct cli_command *here = cli->path[cli->depth - 1];
	const struct cli_option *o;
	struct buf list = BUF_INIT;
	int ret = 0;

	if (!here->run) {
		for (size_t i = 0; here->subs[i]; i++)
			buf_addf(&list, "%s%s", i ? ", " : "", here->subs[i]->name);
		ret = err_set(reterr, ERR_INVALID, "missing subcommand: %s",
			      list.data ? list.data : "");
		buf_release(&list);
		return ret;
	}
	if (here->max_args >= 0 && cli->n_args > (size_t)here->max_args)
		return err_set(reterr, ERR_INVALID, "unexpected argument '%.64s'",
			       cli->args[here->max_args]);
	if (cli->n_args < (size_t)here->min_args)
		return err_set(reterr, ERR_INVALID, "missing argument: %s", here->args);
	for (size_t i = 0; (o = option_at(cli, i)); i++)
		if (o->required && !cli_has(cli, o->name))
			return err_set(reterr, ERR_INVALID, "missing option: --%s %s", o->name,
				       o->value);
	return 0;
}

int
cli_parse(struct cli *cli, int argc, char *const *argv, struct err *reterr)
{
	int i = 1, used;

	cli->args = malloc(((size_t)argc + 1) * sizeof(*cli->args));
	if (!cli->args)
		return err_nomem(reterr);
	for (; i < argc; i += used) {
		if (cli->n_args && cli_found(cli)->passes_on)
			break;
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		used = parse_at(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, reterr);
		if (used < 0)
			return used;
	}
	while (i < argc)
		cli->args[cli->n_args++] = argv[i++];
	if (cli_has(cli, "help") || cli_has(cli, "version"))
		return 0;
	return check_args(cli, reterr);
}

const struct cli_command *
cli_found(const struct cli *cli)
{
	return cli->path[cli->depth - 1];
}

const char *
cli_path(const struct cli *cli)
{
	return cli->path_text;
}

const struct cli_command *
cli_way(const struct cli *cli, size_t i)
{
	return i < cli->depth ? cli->path[i] : NULL;
}

const struct config *
cli_config(const struct cli *cli)
{
	return cli->config;
}

static const struct given *
given_at(const struct cli *cli, const char *name, size_t i)
{
	for (size_t k = 0; k < cli->n_given; k++)
		if (strcmp(cli->given[k].option->name, name) == 0 && i-- == 0)
			return &cli->given[k];
	return NULL;
}

bool
cli_has(const struct cli *cli, const char *name)
{
	assert(find_option(cli, name, strlen(name)));
	return given_at(cli, name, 0);
}

const char *
cli_flag_at(const struct cli *cli, const char *name, size_t i)
{
	const struct given *g = given_at(cli, name, i);

	assert(find_option(cli, name, strlen(name)));
	return g ? g->value : NULL;
}

const char *
cli_flag(const struct cli *cli, const char *name)
{
	const char *value = NULL, *next;

	for (size_t i = 0; (next = cli_flag_at(cli, name, i)); i++)
		value = next;
	return value;
}

size_t
cli_n_args(const struct cli *cli)
{
	return cli->n_args;
}

const char *
cli_arg(const struct cli *cli, size_t i)
{
	return i < cli->n_args ? cli->args[i] : NULL;
}

int
cli_duration(const struct cli *cli, const char *name, int64_t *ret_ms, struct err *reterr)
{
	const char *value = cli_flag(cli, name);
	int ret = value ? units_duration(value, ret_ms, reterr) : 0;

	if (ret < 0)
		err_prefix(reterr, "--%s", name);
	return ret;
}

void
cli_take_config(struct cli *cli, struct config **take_config)
{
	config_free(cli->config);
	cli->config = *take_config;
	*take_config = NULL;
}

void
cli_output_lost(struct cli *cli)
{
	cli->output_lost = true;
}

bool
cli_output_is_lost(const struct cli *cli)
{
	return cli->output_lost;
}

int
cli_end(const struct cli *cli, int code)
{
	return cli->output_lost && code == EXIT_DONE ? EXIT_TROUBLE : code;
}
