/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc_rig.h"

enum { ALLOCATIONS_MAX = 5000, NEVER = INT32_MAX };

static struct {
	int left;		/* allocations until one fails */
	bool for_good;		/* and all after it */
	int failed;
} memory = { .left = NEVER };
static void *(*replacement)(void *ptr, size_t size);

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

void
alloc_replace(void *(*fn)(void *ptr, size_t size))
{
	replacement = fn;
}

void *
__wrap_realloc(void *p, size_t size)
{
	void *(*fn)(void *ptr, size_t size) = replacement;

	if (!fn)
		return fails() ? NULL : __real_realloc(p, size);
	replacement = NULL;
	p = fn(p, size);
	replacement = fn;
	return p;
}

void *
__wrap_malloc(size_t size)
{
	if (replacement)
		return __wrap_realloc(NULL, size);
	return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	void *p;

	if (!replacement)
		return fails() ? NULL : __real_calloc(n, size);
	p = __wrap_realloc(NULL, n * size);
	return p ? memset(p, 0, n * size) : NULL;
}

char *
__wrap_strndup(const char *text, size_t n)
{
	char *p;

	if (!replacement)
		return fails() ? NULL : __real_strndup(text, n);
	n = strnlen(text, n);
	p = __wrap_realloc(NULL, n + 1);
	if (p) {
		memcpy(p, text, n);
		p[n] = '\0';
	}
	return p;
}

char *
__wrap_strdup(const char *text)
{
	if (replacement)
		return __wrap_strndup(text, strlen(text));
	return fails() ? NULL : __real_strdup(text);
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
