/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: what is taken, printed and read again
 * gives the same values, all but the secrets, which are not printed. */
#include <sys/mman.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "fuzz.h"

/* Loads the bytes from a file that lies in memory. */
static int
load(struct config *c, struct span text, struct err *reterr)
{
	char path[32];
	int fd = memfd_create("fuzz", MFD_CLOEXEC), ret;

	MUST(fd >= 0);
	for (size_t at = 0; at < text.len;) {
		ssize_t n = write(fd, text.ptr + at, text.len - at);

		MUST(n > 0);
		at += (size_t)n;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = config_load_file(c, path, reterr);
	close(fd);
	return ret;
}

/* The value as it would be printed is the value: it is no secret. */
static bool
shown(const struct config_entry *e, struct buf *out)
{
	buf_reset(out);
	if (!e->value)
		return true;
	config_add_shown(out, e->key, e->value);
	return span_is(buf_span(out), e->value);
}

static void
see_same(const struct config *a, const struct config *b)
{
	struct config_entry e, f;
	size_t i;

	for (i = 0; config_entry(a, i, &e); i++) {
		MUST(config_entry(b, i, &f) && strcmp(e.key, f.key) == 0);
		MUST(!e.value == !f.value && (!e.value || strcmp(e.value, f.value) == 0));
	}
	MUST(!config_entry(b, i, &f));
}

static void
see_loaded(const struct config *c)
{
	struct config *back = config_new(NULL);
	struct buf text = BUF_INIT, one = BUF_INIT;
	struct config_entry e;
	struct err err = { .text = "" };
	bool secrets = false;
	int ret;

	for (size_t i = 0; config_entry(c, i, &e); i++) {
		secrets = !shown(&e, &one) || secrets;
		if (strcmp(e.key, "kafka.sasl.password") == 0 && e.value && *e.value)
			MUST(strcmp(one.data, "***") == 0);
	}
	config_print(c, &text);
	MUST(back && !text.failed);
	if (!secrets) {
		ret = load(back, buf_span(&text), &err);
		MUST(ret == 0);
		see_same(c, back);
	}
	ret = config_check(c, &err);
	MUST(ret == 0 || (ret == ERR_CONFIG && *err.text));
	config_free(back);
	buf_release(&text);
	buf_release(&one);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = config_new(NULL);
	struct err err = { .text = "" };
	int ret;

	MUST(c);
	ret = load(c, (struct span){ (const char *)data, size }, &err);
	MUST(ret == 0 || (ret == ERR_CONFIG && *err.text));
	MUST(!strchr(err.text, '\n') && !fuzz_printed_null(err.text, data, size));
	if (ret == 0)
		see_loaded(c);
	config_free(c);
	return 0;
}
