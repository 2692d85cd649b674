/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "envdriver/base/err.h"

enum { MS_PER_SEC = 1000, NS_PER_MS = 1000000 };

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * MS_PER_SEC + ts.tv_nsec / NS_PER_MS;
}

int64_t
clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t
clock_thread_ms(void)
{
	return read_ms(CLOCK_THREAD_CPUTIME_ID);
}

char *
clock_text(int64_t wall_ms, char text[CLOCK_TEXT_MAX])
{
	int64_t sec = wall_ms / MS_PER_SEC, ms = wall_ms % MS_PER_SEC;
	time_t t;
	struct tm tm;

	if (ms < 0) {
		ms += MS_PER_SEC;
		sec--;
	}
	t = (time_t)sec;
	if (!gmtime_r(&t, &tm) || tm.tm_year + 1900 > 9999 || tm.tm_year + 1900 < 0) {
		snprintf(text, CLOCK_TEXT_MAX, "%lld", (long long)wall_ms);
		return text;
	}
	/* The masks only tell the compiler what gmtime_r promises. */
	snprintf(text, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		 (tm.tm_year + 1900) & 0x3fff, (tm.tm_mon + 1) & 0x1f, tm.tm_mday & 0x1f,
		 tm.tm_hour & 0x1f, tm.tm_min & 0x3f, tm.tm_sec & 0x3f, (int)(ms & 0x3ff));
	return text;
}

static bool
digits(const char **p, const char *end, int n, int *ret)
{
	int v = 0;

	for (; n > 0; n--, (*p)++) {
		if (*p == end || **p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool
literal(const char **p, const char *end, const char *any)
{
	for (; *p < end && *any; any++) {
		if (**p == *any) {
			(*p)++;
			return true;
		}
	}
	return false;
}

/* At least one digit; what is finer than a millisecond is dropped. */
static bool
fraction_ms(const char **p, const char *end, int64_t *ret)
{
	const char *from = *p;
	int64_t unit = 100;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		*ret += unit * (**p - '0');
	return *p > from;
}

static bool
offset_s(const char **p, const char *end, int *ret)
{
	int sign, h, m;

	*ret = 0;
	if (literal(p, end, "Zz"))
		return true;
	sign = *p < end && **p == '-' ? -1 : 1;
	if (!literal(p, end, "+-") || !digits(p, end, 2, &h) || !literal(p, end, ":") ||
	    !digits(p, end, 2, &m) || h > 23 || m > 59)
		return false;
	*ret = sign * (h * 3600 + m * 60);
	return true;
}

int
clock_parse_loose(const char *text, int64_t *ret_wall_ms)
{
	/* What may be missing at the end, and what it stands for. */
	static const struct missing {
		size_t from;	/* length of what is there before it */
		const char *rest;
	} all[] = {
		{ sizeof("2026-11-23") - 1, "T00:00:00Z" },
		{ sizeof("2026-11-23T05:17") - 1, ":00Z" },
	};
	char whole[64];
	size_t len = strlen(text), end = strcspn(text, "Zz+");

	if (clock_parse(text, len, ret_wall_ms) == 0)
		return 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (len != all[i].from)
			continue;
		snprintf(whole, sizeof(whole), "%s%s", text, all[i].rest);
		return clock_parse(whole, strlen(whole), ret_wall_ms);
	}
	/* "2026-11-23T05:17Z": only the seconds are missing. */
	if (end == all[1].from && len + 3 < sizeof(whole)) {
		snprintf(whole, sizeof(whole), "%.*s:00%s", (int)end, text, text + end);
		return clock_parse(whole, strlen(whole), ret_wall_ms);
	}
	if (len + 1 >= sizeof(whole))
		return ERR_INVALID;
	snprintf(whole, sizeof(whole), "%sZ", text);
	return clock_parse(whole, strlen(whole), ret_wall_ms);
}

int
clock_parse(const char *text, size_t len, int64_t *ret_wall_ms)
{
	const char *p = text, *end = text + len;
	struct tm tm = { 0 }, check;
	int64_t ms = 0;
	time_t t;
	int off;

	if (!digits(&p, end, 4, &tm.tm_year) || !literal(&p, end, "-") ||
	    !digits(&p, end, 2, &tm.tm_mon) || !literal(&p, end, "-") ||
	    !digits(&p, end, 2, &tm.tm_mday) || !literal(&p, end, "Tt ") ||
	    !digits(&p, end, 2, &tm.tm_hour) || !literal(&p, end, ":") ||
	    !digits(&p, end, 2, &tm.tm_min) || !literal(&p, end, ":") ||
	    !digits(&p, end, 2, &tm.tm_sec))
		return ERR_INVALID;
	if (literal(&p, end, ".") && !fraction_ms(&p, end, &ms))
		return ERR_INVALID;
	if (!offset_s(&p, end, &off) || p != end || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return ERR_INVALID;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	check = tm;
	check.tm_sec = 0;	/* a leap second is of the minute it stands in */
	t = timegm(&check) + tm.tm_sec;
	if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon)
		return ERR_INVALID;	/* 30 February and the like */
	*ret_wall_ms = ((int64_t)t - off) * MS_PER_SEC + ms;
	return 0;
}
