/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/semver.h"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Behind the identifiers that begin at `i`, "a.b-1.2"; 0 when one is empty. */
static size_t
skip_identifiers(struct span v, size_t i)
{
	for (size_t start = i;; start = ++i) {
		while (i < v.len && (v.ptr[i] == '-' || is_digit(v.ptr[i]) ||
				     ((v.ptr[i] | 0x20) >= 'a' && (v.ptr[i] | 0x20) <= 'z')))
			i++;
		if (i == start)
			return 0;
		if (i == v.len || v.ptr[i] != '.')
			return i;
	}
}

bool
semver_ok(struct span v)
{
	size_t i = 0;

	for (int part = 0; part < 3; part++) {
		size_t start = i;

		while (i < v.len && is_digit(v.ptr[i]))
			i++;
		if (i == start || (part < 2 && (i == v.len || v.ptr[i++] != '.')))
			return false;
	}
	for (const char *sign = "-+"; *sign; sign++) {
		if (i == v.len || v.ptr[i] != *sign)
			continue;
		i = skip_identifiers(v, i + 1);
		if (i == 0)
			return false;
	}
	return i == v.len;
}

/* Takes the next part of a list with dots. */
static struct span
next_part(struct span *rest)
{
	struct span part = { rest->ptr, 0 };

	while (part.len < rest->len && part.ptr[part.len] != '.')
		part.len++;
	rest->ptr += part.len;
	rest->len -= part.len;
	if (rest->len) {
		rest->ptr++;
		rest->len--;
	}
	return part;
}

static bool
is_number(struct span part)
{
	for (size_t i = 0; i < part.len; i++)
		if (!is_digit(part.ptr[i]))
			return false;
	return part.len > 0;
}

/* Of any length. */
static int
compare_numbers(struct span a, struct span b)
{
	for (; a.len > 1 && *a.ptr == '0'; a.ptr++)
		a.len--;
	for (; b.len > 1 && *b.ptr == '0'; b.ptr++)
		b.len--;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.ptr, b.ptr, a.len);
}

static int
compare_parts(struct span a, struct span b)
{
	bool a_number = is_number(a), b_number = is_number(b);
	size_t n = a.len < b.len ? a.len : b.len;
	int ret;

	if (a_number && b_number)
		return compare_numbers(a, b);
	if (a_number != b_number)
		return a_number ? -1 : 1;
	ret = memcmp(a.ptr, b.ptr, n);
	return ret ? ret : (a.len > b.len) - (a.len < b.len);
}

static int
compare_lists(struct span a, struct span b)
{
	while (a.len && b.len) {
		int ret = compare_parts(next_part(&a), next_part(&b));

		if (ret)
			return ret;
	}
	return (a.len > 0) - (b.len > 0);
}

/* Up to one of the signs, or all of it. */
static struct span
up_to(struct span *v, const char *signs)
{
	struct span ret = { v->ptr, 0 };

	while (ret.len < v->len && !strchr(signs, v->ptr[ret.len]))
		ret.len++;
	v->ptr += ret.len;
	v->len -= ret.len;
	return ret;
}

int
semver_compare(struct span a, struct span b)
{
	int ret = compare_lists(up_to(&a, "-+"), up_to(&b, "-+"));
	struct span pre_a = up_to(&a, "+"), pre_b = up_to(&b, "+");

	if (ret)
		return ret;
	/* What comes before a release is older than it. */
	if (!pre_a.len || !pre_b.len)
		return (pre_b.len > 0) - (pre_a.len > 0);
	return compare_lists((struct span){ pre_a.ptr + 1, pre_a.len - 1 },
			     (struct span){ pre_b.ptr + 1, pre_b.len - 1 });
}
