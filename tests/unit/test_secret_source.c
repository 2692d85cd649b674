/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/secret/secret_source.h"

#define TEN(x) x x x x x x x x x x
#define LONG_NAME TEN(TEN("ab")) TEN("abcde") "abcdef"	/* 256 */

static char top[] = "/tmp/envdriver-secrets-XXXXXX";
static char *variables[] = {
	(char[]){ "ENVDRIVER_SECRET_ACME__API_KEY=from the environment" },
	(char[]){ "ENVDRIVER_SECRET_ACME__SHORT=12345" },
	(char[]){ "ENVDRIVER_SECRET_ACME__EMPTY=" },
	NULL,
};

/* Under `top`: "d/" and then what follows are secrets.dir, "c/" credentials. */
static const struct made {
	const char *path;
	const char *content;		/* NULL: a folder; "->...": a link; "|": a FIFO */
	mode_t mode;
} made[] = {
	{ "d", NULL, 0700 },
	{ "d/acme", NULL, 0700 },
	{ "d/acme/key", "s3cret-value", 0600 },
	{ "d/acme/line", "s3cret-line\n", 0600 },
	{ "d/acme/crlf", "s3cret-line\r\n", 0600 },
	{ "d/acme/two", "s3cret-line\n\n", 0600 },
	{ "d/acme/key@2", "second version", 0600 },
	{ "d/acme/with space", "s3cret-value", 0600 },
	{ "d/acme/empty", "", 0600 },
	{ "d/acme/short", "12345\n", 0600 },
	{ "d/acme/six", "123456\n", 0600 },
	{ "d/acme/latin", "caf\xe9 au lait", 0600 },
	{ "d/acme/open", "s3cret-value", 0606 },
	{ "d/acme/folder", NULL, 0700 },
	{ "d/acme/fifo", "|", 0600 },
	{ "d/acme/out", "->/etc/passwd", 0 },
	{ "d/acme/up", "->../../outside", 0 },
	{ "d/acme/other", "->../other/key", 0 },
	{ "d/acme/loop", "->loop", 0 },
	{ "d/acme/null", "->/dev/null", 0 },
	{ "d/acme/magic", "->/proc/self/environ", 0 },
	{ "d/acme/..2026", NULL, 0700 },
	{ "d/acme/..2026/mounted", "as kubernetes does", 0600 },
	{ "d/acme/..data", "->..2026", 0 },
	{ "d/acme/mounted", "->..data/mounted", 0 },
	{ "d/other", NULL, 0700 },
	{ "d/other/key", "of another company", 0600 },
	{ "d/loose", NULL, 0707 },
	{ "d/loose/key", "s3cret-value", 0600 },
	{ "d/elsewhere", "->../elsewhere", 0 },
	{ "d/file", "s3cret-value", 0600 },
	{ "outside", "out of secrets.dir", 0600 },
	{ "elsewhere", NULL, 0700 },
	{ "elsewhere/key", "out of secrets.dir", 0600 },
	{ "c", NULL, 0700 },
	{ "c/secrets_acme_cred", "of systemd\n", 0600 },
	{ "c/secrets_acme_key", "not the first source", 0600 },
	{ "c/secrets_a_b_c", "whose is it?", 0600 },
	{ "c/acme_bare", "not one of ours", 0600 },
};

static const struct row {
	const char *name;
	const char *company, *id;
	int ret;
	const char *expected;		/* the value, or a part of the text */
} rows[] = {
	{ "a file", "acme", "key", 0, "s3cret-value" },
	{ "a line break at the end", "acme", "line", 0, "s3cret-line" },
	{ "as Windows writes it", "acme", "crlf", 0, "s3cret-line" },
	{ "only one of two", "acme", "two", 0, "s3cret-line\n" },
	{ "a version", "acme", "key@2", 0, "second version" },
	{ "a space", "acme", "with space", 0, "s3cret-value" },
	{ "six bytes", "acme", "six", 0, "123456" },
	{ "five bytes", "acme", "short", ERR_INVALID, "5 bytes" },
	{ "nothing", "acme", "empty", ERR_INVALID, "0 bytes" },
	{ "not UTF-8", "acme", "latin", ERR_INVALID, "not text" },
	{ "writable by others", "acme", "open", ERR_DENIED, "chmod o-w" },
	{ "in a folder that is", "loose", "key", ERR_DENIED, "chmod o-w" },
	{ "a folder", "acme", "folder", ERR_INVALID, "not a regular file" },
	{ "a FIFO", "acme", "fifo", ERR_INVALID, "not a regular file" },
	{ "a link to /etc", "acme", "out", ERR_DENIED, "link" },
	{ "a link up", "acme", "up", ERR_DENIED, "link" },
	{ "a link to another company", "acme", "other", ERR_DENIED, "link" },
	{ "a link to itself", "acme", "loop", ERR_DENIED, "link" },
	{ "a link to a device", "acme", "null", ERR_DENIED, "link" },
	{ "a link into /proc", "acme", "magic", ERR_DENIED, "link" },
	{ "links that stay, as Kubernetes has them", "acme", "mounted", 0, "as kubernetes does" },
	{ "a company that is a link out", "elsewhere", "key", ERR_DENIED, "link" },
	{ "a company that is a file", "file", "key", ERR_NOTFOUND, "asked: secrets.dir" },
	{ "no such file", "acme", "none", ERR_NOTFOUND, "asked: secrets.dir, "
	  "$CREDENTIALS_DIRECTORY, the worker's environment" },
	{ "no such company", "none", "key", ERR_NOTFOUND, "asked: secrets.dir" },
	{ "another company's", "acme", "../other/key", ERR_INVALID, "its id begins with a dot" },
	{ "a path", "acme", "folder/key", ERR_INVALID, "its id has a '/'" },
	{ "up and down", "acme", "x/../key", ERR_INVALID, "its id has a '/'" },
	{ "hidden", "acme", "..data", ERR_INVALID, "its id begins with a dot" },
	{ "absolute", "acme", "/etc/passwd", ERR_INVALID, "its id has a '/'" },
	{ "a company above", "..", "outside", ERR_INVALID, "the company's id begins with a dot" },
	{ "a company that is a path", "acme/..2026", "mounted", ERR_INVALID, "the company's id" },
	{ "no id", "acme", "", ERR_INVALID, "its id is empty" },
	{ "no company", "", "key", ERR_INVALID, "no company is named" },
	{ "a control character", "acme", "k\n", ERR_INVALID, "its id has" },
	{ "a long id", "acme", LONG_NAME, ERR_INVALID, "longer than 255 bytes" },
	{ "a credential", "acme", "cred", 0, "of systemd" },
	{ "a credential that is not ours", "acme", "bare", ERR_NOTFOUND, "asked" },
	{ "a credential of two companies: the one", "a", "b_c", 0, "whose is it?" },
	{ "and not the other", "a_b", "c", ERR_NOTFOUND, "asked" },
	{ "a variable", "acme", "api-key", 0, "from the environment" },
	{ "a name that another one could be taken for", "acme", "api_key", ERR_NOTFOUND, "asked" },
	{ "and in capitals", "acme", "API-KEY", ERR_NOTFOUND, "asked" },
	{ "a variable that is too short", "acme", "short", ERR_INVALID, "5 bytes" },
	{ "a variable without a value", "acme", "empty", ERR_INVALID, "0 bytes" },
};

static void
write_file(const char *path, const void *content, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(content, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int
make_files(void **state)
{
	const struct made *m;
	char path[400];

	(void)state;
	assert_non_null(mkdtemp(top));
	EACH(m, made) {
		snprintf(path, sizeof(path), "%s/%s", top, m->path);
		if (!m->content)
			assert_int_equal(mkdir(path, 0700), 0);
		else if (strncmp(m->content, "->", 2) == 0)
			assert_int_equal(symlink(m->content + 2, path), 0);
		else if (strcmp(m->content, "|") == 0)
			assert_int_equal(mkfifo(path, m->mode), 0);
		else
			write_file(path, m->content, strlen(m->content));
		if (m->mode)
			assert_int_equal(chmod(path, m->mode), 0);
	}
	return 0;
}

static int
remove_files(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static struct secret_source
all_sources(char dir[static 100], char credentials[static 100])
{
	snprintf(dir, 100, "%s/d", top);
	snprintf(credentials, 100, "%s/c", top);
	return (struct secret_source){ dir, credentials, variables };
}

static void
test_rows(void **state)
{
	char dir[100], credentials[100];
	struct secret_source s = all_sources(dir, credentials);
	const struct row *r;

	(void)state;
	EACH(r, rows) {
		struct buf out = BUF_WIPES;
		struct err err = { 0 };
		int ret = secret_source_read(&s, span_of(r->company), span_of(r->id), &out, &err);

		if (ret != r->ret)
			fail_msg("%s: %d (%s), not %d", r->name, ret, err.text, r->ret);
		if (ret == 0)
			CHECK_TEXT(r->name, out.data, r->expected);
		else
			CHECK_HAS(r->name, err.text, r->expected);
		CHECK(r->name, !err.retriable);
		CHECK(r->name, ret == 0 || !strstr(err.text, "s3cret"));
		buf_release(&out);
	}
}

static void
test_sizes(void **state)
{
	static char big[SECRET_MAX + 10];
	char dir[100], credentials[100], path[200];
	struct secret_source s = all_sources(dir, credentials);
	static const struct {
		size_t len;
		const char *end;
		int ret;
	} sizes[] = {
		{ SECRET_MAX, "", 0 }, { SECRET_MAX, "\n", 0 }, { SECRET_MAX, "\r\n", 0 },
		{ SECRET_MAX + 1, "", ERR_INVALID }, { SECRET_MAX + 1, "\n", ERR_INVALID },
		{ SECRET_MAX, "\n\n", ERR_INVALID }, { sizeof(big) - 3, "", ERR_INVALID },
	}, *z;

	(void)state;
	snprintf(path, sizeof(path), "%s/acme/big", dir);
	EACH(z, sizes) {
		struct buf out = BUF_WIPES;

		memset(big, 'x', sizeof(big));
		memcpy(big + z->len, z->end, strlen(z->end));
		write_file(path, big, z->len + strlen(z->end));
		assert_int_equal(secret_source_read(&s, SPAN_LIT("acme"), SPAN_LIT("big"), &out,
						    NULL), z->ret);
		if (z->ret == 0)
			assert_int_equal(out.len, z->len);
		buf_release(&out);
	}
	write_file(path, "with\0NUL inside", 15);
	struct buf out = BUF_WIPES;
	assert_int_equal(secret_source_read(&s, SPAN_LIT("acme"), SPAN_LIT("big"), &out, NULL),
			 ERR_INVALID);
	buf_release(&out);
}

/* Behind what the buf holds already; and a value that is replaced counts at once. */
static void
test_again(void **state)
{
	char dir[100], credentials[100], path[200];
	struct secret_source s = all_sources(dir, credentials);
	struct buf out = BUF_WIPES;

	(void)state;
	snprintf(path, sizeof(path), "%s/acme/turning", dir);
	buf_adds(&out, "x=");
	write_file(path, "first value\n", 12);
	assert_int_equal(secret_source_read(&s, SPAN_LIT("acme"), SPAN_LIT("turning"), &out, NULL),
			 0);
	write_file(path, "second\n", 7);
	assert_int_equal(secret_source_read(&s, SPAN_LIT("acme"), SPAN_LIT("turning"), &out, NULL),
			 0);
	assert_string_equal(out.data, "x=first valuesecond");
	buf_release(&out);
}

static void
test_no_source(void **state)
{
	const struct secret_source none = { NULL, NULL, NULL };
	const struct secret_source gone = { "/nonexistent/secrets", NULL, NULL };
	struct buf out = BUF_WIPES;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(secret_source_read(&none, SPAN_LIT("acme"), SPAN_LIT("key"), &out, &err),
			 ERR_NOTFOUND);
	assert_string_equal(err.text, "this worker has no source of secrets; set secrets.dir");
	assert_int_equal(secret_source_read(&gone, SPAN_LIT("acme"), SPAN_LIT("key"), &out, &err),
			 ERR_NOTFOUND);
	assert_string_equal(err.text, "not found for company \"acme\" (asked: secrets.dir)");
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_again), cmocka_unit_test(test_no_source),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
