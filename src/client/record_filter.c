/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/record_filter.h"

#include <stdio.h>

#include "envdriver/base/err.h"
#include "envdriver/base/nearest.h"
#include "envdriver/cli/cli.h"
#include "envdriver/client/record.h"
#include "envdriver/command/command.h"
#include "envdriver/command/operation.h"
#include "envdriver/command/outcome.h"

static const char *
operation_word(size_t i)
{
	return i < OPERATION_COUNT ? operation_by_id((enum operation_id)i)->name : NULL;
}

/* Statuses, the codes of errors, the reasons of dead letters. */
static const char *
status_word(size_t i)
{
	enum { N_STATUSES = OUTCOME_EXPIRED + 1, N_CODES = CODE_COUNT - 1,
	       N_REASONS = REJECT_TOO_LARGE + 1 };

	if (i < N_STATUSES)
		return outcome_status_name((enum outcome_status)i);
	i -= N_STATUSES;
	if (i < N_CODES)
		return outcome_code_name((enum outcome_code)(i + 1));
	i -= N_CODES;
	if (i < N_REASONS)
		return command_reject_name((enum reject_reason)i);
	return i == N_REASONS ? "DEAD_LETTER" : NULL;
}

/* Options whose values are words that we know. */
static const struct list {
	const char *option;
	const char *(*word)(size_t i);
} lists[] = {
	{ "operation", operation_word },
	{ "status", status_word },
};

static const char *
word_of_list(const void *arg, size_t i)
{
	return ((const struct list *)arg)->word(i);
}

/* Of "a,b" the next part; false behind the last one. */
static bool
next_part(const char **text, struct span *ret)
{
	if (!*text)
		return false;
	ret->ptr = *text;
	ret->len = strcspn(*text, ",");
	*text = (*text)[ret->len] ? *text + ret->len + 1 : NULL;
	return true;
}

static int
check_word(const struct list *list, struct span word, struct err *reterr)
{
	char text[NEAREST_LEN_MAX + 1];
	struct buf all = BUF_INIT;
	const char *known, *near;
	int ret;

	for (size_t i = 0; (known = list->word(i)); i++)
		if (span_is(word, known))
			return 0;
	snprintf(text, sizeof(text), "%.*s",
		 (int)(word.len < NEAREST_LEN_MAX ? word.len : NEAREST_LEN_MAX), word.ptr);
	near = nearest_begun(text, word_of_list, list);
	if (near)
		return err_set(reterr, ERR_INVALID, "--%s: unknown '%s'; did you mean '%s'?",
			       list->option, text, near);
	for (size_t i = 0; (known = list->word(i)); i++)
		buf_addf(&all, "%s%s", i ? ", " : "", known);
	ret = err_set(reterr, ERR_INVALID, "--%s: unknown '%s'; valid: %s", list->option, text,
		      all.data ? all.data : "");
	buf_release(&all);
	return ret;
}

int
record_filter_check(const struct cli *cli, struct err *reterr)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		const char *text;
		struct span word;

		for (size_t k = 0; (text = cli_flag_at(cli, lists[i].option, k)); k++)
			while (next_part(&text, &word))
				if (check_word(&lists[i], word, reterr) < 0)
					return ERR_INVALID;
	}
	return 0;
}

static bool
is_id(const struct cli *cli, const char *option, struct span is)
{
	const char *wanted = cli_flag(cli, option);

	return !wanted || span_is(is, wanted);
}

/* Whether one of the option's words is this or that. */
static bool
is_listed(const struct cli *cli, const char *option, struct span is, struct span or_is)
{
	const char *text;
	struct span word;

	for (size_t k = 0; (text = cli_flag_at(cli, option, k)); k++)
		while (next_part(&text, &word))
			if (span_eq(is, word) || span_eq(or_is, word))
				return true;
	return !cli_has(cli, option);
}

bool
record_wanted(const struct record *r, const struct cli *cli)
{
	return is_id(cli, "command", r->command_id) && is_id(cli, "lease", r->lease_id) &&
	       is_id(cli, "environment", r->environment_id) &&
	       is_id(cli, "company", r->company_id) &&
	       is_listed(cli, "operation", r->operation, r->operation) &&
	       is_listed(cli, "status", r->status, r->code);
}
