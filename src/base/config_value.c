/* SPDX-License-Identifier: Apache-2.0 */
#include "config_value.h"

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/units.h"

static void
add_limit(struct buf *out, const struct config_param *p, int64_t n)
{
	if (p->type == CONFIG_DURATION)
		units_add_duration(out, n);
	else if (p->type == CONFIG_SIZE)
		units_add_size(out, n);
	else
		buf_addf(out, "%lld", (long long)n);
}

static int
check_range(const struct config_param *p, const char *value, int64_t num, struct err *reterr)
{
	struct buf lo = BUF_INIT, hi = BUF_INIT;
	int ret = 0;

	if (num >= p->min && num <= p->max)
		return 0;
	add_limit(&lo, p, p->min);
	add_limit(&hi, p, p->max);
	if (lo.failed || hi.failed)
		ret = err_nomem(reterr);
	else
		ret = err_set(reterr, ERR_CONFIG, "%s is out of range: must be %s to %s", value,
			      lo.data, hi.data);
	buf_release(&lo);
	buf_release(&hi);
	return ret;
}

static int
check_word(const struct config_param *p, const char *value, struct err *reterr)
{
	struct buf list = BUF_INIT;
	int ret;

	for (size_t i = 0; p->words[i]; i++)
		if (strcmp(p->words[i], value) == 0)
			return 0;
	for (size_t i = 0; p->words[i]; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", p->words[i]);
	if (list.failed)
		ret = err_nomem(reterr);
	else
		ret = err_set(reterr, ERR_CONFIG, "'%s' must be one of: %s", value, list.data);
	buf_release(&list);
	return ret;
}

static int
check_string(const struct config_param *p, const char *value, struct err *reterr)
{
	struct buf shown = BUF_INIT;
	const char *wrong = p->wrong ? p->wrong(value) : NULL;
	size_t len = strlen(value);
	int ret = 0;

	if (p->words)
		return check_word(p, value, reterr);
	if ((int64_t)len > p->max)
		return err_set(reterr, ERR_CONFIG,
			       "value of %zu bytes is too long: at most %lld", len,
			       (long long)p->max);
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"')
		wrong = "must not be quoted";
	if (!wrong)
		return 0;
	config_add_refused(&shown, p->name, value);
	if (shown.failed)
		ret = err_nomem(reterr);
	else
		ret = err_set(reterr, ERR_CONFIG, "'%s' %s", shown.data, wrong);
	buf_release(&shown);
	return ret;
}

static int
parse_bool(const char *value, int64_t *ret, struct err *reterr)
{
	static const char *const words[][2] = {
		{ "false", "true" }, { "no", "yes" }, { "off", "on" }, { "0", "1" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		for (int b = 0; b < 2; b++)
			if (strcmp(words[i][b], value) == 0) {
				*ret = b;
				return 0;
			}
	return err_set(reterr, ERR_CONFIG, "'%s' must be true or false", value);
}

int
config_value_parse(const struct config_param *p, const char *value, int64_t *ret,
		   struct err *reterr)
{
	int rc = 0;

	switch (p->type) {
	case CONFIG_STRING:
	case CONFIG_PATHS:
		return check_string(p, value, reterr);
	case CONFIG_BOOL:
		return parse_bool(value, ret, reterr);
	case CONFIG_INT:
		rc = units_int(value, ret, reterr);
		break;
	case CONFIG_DURATION:
		rc = units_duration(value, ret, reterr);
		break;
	case CONFIG_SIZE:
		rc = units_size(value, ret, reterr);
		break;
	}
	if (rc < 0 && reterr)
		reterr->code = ERR_CONFIG;
	return rc < 0 ? ERR_CONFIG : check_range(p, value, *ret, reterr);
}
