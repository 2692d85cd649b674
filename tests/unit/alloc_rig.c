/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc_rig.h"

enum { ALLOCATIONS_MAX = 5000, NEVER = INT32_MAX };

static struct {
	int left;		/* allocations until one fails */
	bool for_good;		/* and all after it */
	int failed;
} memory = { .left = NEVER };

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static bool
fails(void)
{
	if (memory.left == NEVER || (memory.left > 0 && --memory.left > 0))
		return false;
	if (memory.failed && !memory.for_good)
		return false;
	memory.failed++;
	return true;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *
__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t n)
{
	return fails() ? NULL : __real_strndup(text, n);
}

void
alloc_run(const struct alloc_row *row, bool for_good)
{
	bool ok;
	int n;

	for (n = 1; n < ALLOCATIONS_MAX; n++) {
		memory.failed = 0;
		memory.for_good = for_good;
		memory.left = n;
		ok = row->use();
		memory.left = NEVER;
		if (memory.failed == 0)
			break;
		if (ok)
			fail_msg("%s: well without its allocation %d", row->name, n);
	}
	if (!ok)
		fail_msg("%s: fails with memory", row->name);
	if (n <= row->at_least || n == ALLOCATIONS_MAX)
		fail_msg("%s: %d allocations", row->name, n - 1);
}
