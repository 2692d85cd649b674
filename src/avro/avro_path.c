/* SPDX-License-Identifier: Apache-2.0 */
#include "avro_path.h"

#include <inttypes.h>
#include <stdio.h>

enum { DEPTH_MAX = 128 };

char *
avro_path_text(const struct avro_path *path, char *text, size_t size)
{
	const struct avro_path *way[DEPTH_MAX];
	size_t depth = 0, n = 0;

	text[0] = '\0';
	for (; path && depth < DEPTH_MAX; path = path->up)
		way[depth++] = path;
	if (depth == 0)
		return text;
	while (depth-- > 0 && n < size) {
		const struct avro_path *at = way[depth];
		int more = at->name ? snprintf(text + n, size - n, "%s%s", n ? "." : "", at->name)
				    : snprintf(text + n, size - n, "[%" PRIu64 "]", at->item);

		n += more < 0 ? 0 : (size_t)more;
	}
	if (n < size)
		snprintf(text + n, size - n, ": ");
	return text;
}
