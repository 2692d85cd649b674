/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/units.h"

#include <stddef.h>
#include <string.h>

#include "envdriver/base/buf.h"
#include "envdriver/base/err.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* The largest first: the first that divides is the one to print. */
static const struct unit durations[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "min", 60000 },
	{ "s", 1000 },	   { "ms", 1 },	     { NULL, 0 },
};

static const struct unit sizes[] = {
	{ "TiB", (int64_t)1 << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 },
	{ "KiB", 1 << 10 },	     { "B", 1 },	 { NULL, 0 },
};

/* What else people write. A unit of 1000 ends in B, one of 1024 in iB or in
 * nothing, as GNU's tools have it. */
static const struct unit other_durations[] = {
	{ "msec", 1 },	      { "millis", 1 },	    { "milliseconds", 1 },
	{ "sec", 1000 },      { "secs", 1000 },	    { "second", 1000 },
	{ "seconds", 1000 },  { "m", 60000 },	    { "mins", 60000 },
	{ "minute", 60000 },  { "minutes", 60000 }, { "hr", 3600000 },
	{ "hrs", 3600000 },   { "hour", 3600000 },  { "hours", 3600000 },
	{ "day", 86400000 },  { "days", 86400000 }, { "w", 604800000 },
	{ "week", 604800000 }, { "weeks", 604800000 }, { NULL, 0 },
};

static const struct unit other_sizes[] = {
	{ "byte", 1 },	     { "bytes", 1 },	  { "kB", 1000 },    { "KB", 1000 },
	{ "MB", 1000000 },   { "GB", 1000000000 }, { "TB", INT64_C(1000000000000) },
	{ "k", 1 << 10 },    { "K", 1 << 10 },	  { "M", 1 << 20 },  { "G", 1 << 30 },
	{ "T", (int64_t)1 << 40 }, { NULL, 0 },
};

/* Digits at the start of `text`; NULL when there are none or too many. */
static const char *
number(const char *text, int64_t *ret)
{
	const char *p = text;
	int64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return NULL;
	*ret = n;
	return p == text ? NULL : p;
}

static const struct unit *
find(const struct unit *units, const char *name)
{
	for (; units->name; units++)
		if (strcmp(units->name, name) == 0)
			return units;
	return NULL;
}

int
units_int(const char *text, int64_t *ret, struct err *reterr)
{
	int64_t n;
	const char *end = number(text, &n);

	if (!end || *end)
		return err_set(reterr, ERR_INVALID, "'%s' is not a whole number", text);
	*ret = n;
	return 0;
}

static int
with_unit(const char *text, const struct unit *units, const struct unit *others, int64_t *ret,
	  const char *expected, struct err *reterr)
{
	const struct unit *u;
	const char *end;
	int64_t n = 0;

	end = number(text, &n);
	if (!end)
		return err_set(reterr, ERR_INVALID, "'%s' is not %s", text, expected);
	while (*end == ' ')
		end++;
	u = find(units, end);
	if (!u)
		u = find(others, end);
	if (!u || __builtin_mul_overflow(n, u->factor, &n))
		return err_set(reterr, ERR_INVALID, "'%s' is not %s", text, expected);
	*ret = n;
	return 0;
}

int
units_duration(const char *text, int64_t *ret_ms, struct err *reterr)
{
	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return 0;
	}
	return with_unit(text, durations, other_durations, ret_ms,
			 "a duration like 500ms, 10s, 5min, 24h or 9d", reterr);
}

int
units_size(const char *text, int64_t *ret_bytes, struct err *reterr)
{
	int64_t n;
	const char *end = number(text, &n);

	if (end && !*end) {
		*ret_bytes = n;
		return 0;
	}
	return with_unit(text, sizes, other_sizes, ret_bytes,
			 "a size like 64KiB, 1MiB, 2GiB or plain bytes", reterr);
}

static void
add(struct buf *out, int64_t n, const struct unit *u)
{
	if (n == 0) {
		buf_addch(out, '0');
		return;
	}
	while (n % u->factor != 0)
		u++;
	buf_addf(out, "%lld%s", (long long)(n / u->factor), u->name);
}

void
units_add_duration(struct buf *out, int64_t ms)
{
	add(out, ms, durations);
}

void
units_add_size(struct buf *out, int64_t bytes)
{
	add(out, bytes, sizes);
}
