/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/nearest.h"

#include <ctype.h>
#include <string.h>

static size_t
min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, three rows of the table at a time. */
size_t
nearest_distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_LEN_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > NEAREST_LEN_MAX || lb > NEAREST_LEN_MAX)
		return 2 * NEAREST_LEN_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			row[j] = min(min(up[j], row[j - 1]) + 1,
				     up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min(row[j], up2[j - 2] + 1);
		}
	}
	return rows[la % 3][lb];
}

static void
lower(char ret[NEAREST_LEN_MAX + 2], const char *text)
{
	size_t n = 0;

	for (; text[n] && n <= NEAREST_LEN_MAX; n++)
		ret[n] = (char)tolower((unsigned char)text[n]);
	ret[n] = '\0';
}

const char *
nearest_begun(const char *word, nearest_at_fn *at, const void *arg)
{
	char small[NEAREST_LEN_MAX + 2], other[NEAREST_LEN_MAX + 2];
	size_t len = strlen(word), best = (len / 3 ? len / 3 : 1) + 1, d;
	const char *nearest = NULL, *candidate;

	lower(small, word);
	for (size_t i = 0; (candidate = at(arg, i)); i++) {
		lower(other, candidate);
		d = nearest_distance(small, other);
		if (len >= 3 && d > 1 && strncmp(small, other, len) == 0)
			d = 1;
		if (d < best) {
			best = d;
			nearest = candidate;
		}
	}
	return nearest;
}

const char *
nearest_word(const char *word, nearest_at_fn *at, const void *arg)
{
	size_t limit = strlen(word) / 3, best, d;
	const char *nearest = NULL, *candidate;

	best = (limit ? limit : 1) + 1;
	for (size_t i = 0; (candidate = at(arg, i)); i++) {
		d = nearest_distance(word, candidate);
		if (d < best) {
			best = d;
			nearest = candidate;
		}
	}
	return nearest;
}
