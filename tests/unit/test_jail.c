/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "envdriver/isolation/jail.h"
#include "isolation/public_files.h"
#include "jail_tries.h"

static int
run_in(const struct jail *jail, int (*try)(void))
{
	const char *what;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (jail_enter(jail, &what) < 0)
			_exit(JAIL_CANNOT);
		_exit(try());
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return JAIL_CANNOT;
	return WEXITSTATUS(status);
}

static void
make_folder(char *at, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(at, PATH_MAX, "%s/%s", jail_place.root, name);
	assert_int_equal(mkdir(at, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/file", jail_place.root, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void
test_rows(void **state)
{
	const char *read[] = { jail_place.given, NULL }, *write[] = { jail_place.own, NULL };
	const uint16_t ports[] = { JAIL_PORT };
	struct jail_rules rules = { .layers = JAIL_LANDLOCK | JAIL_SECCOMP, .system = true,
				    .read = read, .write = write,
				    .ports = ports, .n_ports = 1 };

	(void)state;
	for (const struct jail_try *row = jail_tries; row->name; row++) {
		struct jail *jail;

		rules.permits = 0;
		jail = jail_new(&rules, NULL);
		assert_non_null(jail);
		CHECK_INT(row->name, run_in(jail, row->try), row->expected);
		jail_free(jail);
		if (!row->permits)
			continue;
		rules.permits = row->permits;
		jail = jail_new(&rules, NULL);
		assert_non_null(jail);
		CHECK_INT(row->name, run_in(jail, row->try), row->permitted);
		jail_free(jail);
	}
}

static int
on_test_path(void *arg, const char *path)
{
	buf_addf(arg, "%s ", path + strlen(jail_place.given) + 1);
	return 0;
}

/* Of what others may not read, nothing is granted, however deep it lies. */
static void
test_public(void **state)
{
	static const char *const folders[] = { "tree", "tree/clean", "tree/mixed",
					       "tree/mixed/in" };
	struct buf got = BUF_INIT;
	char path[PATH_MAX + 100];

	(void)state;
	for (size_t i = 0; i < COUNT(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", jail_place.given, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		snprintf(path, sizeof(path), "%s/%s/file", jail_place.given, folders[i]);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		assert_int_equal(chmod(path, 0644), 0);
	}
	snprintf(path, sizeof(path), "%s/tree/link", jail_place.given);
	assert_int_equal(symlink(jail_place.secret, path), 0);
	snprintf(path, sizeof(path), "%s/tree", jail_place.given);
	assert_int_equal(public_files_each(path, on_test_path, &got), 0);
	CHECK_TEXT("all of it", got.data, "tree ");
	buf_reset(&got);
	snprintf(path, sizeof(path), "%s/tree/mixed/password", jail_place.given);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	snprintf(path, sizeof(path), "%s/tree", jail_place.given);
	assert_int_equal(public_files_each(path, on_test_path, &got), 0);
	CHECK_HAS("piece by piece", got.data, "tree/clean ");
	CHECK_HAS("piece by piece", got.data, "tree/file ");
	CHECK_HAS("piece by piece", got.data, "tree/mixed/file ");
	CHECK_HAS("piece by piece", got.data, "tree/mixed/in ");
	CHECK("no password", !strstr(got.data, "password"));
	CHECK("no link", !strstr(got.data, "link"));
	CHECK("not the whole", strncmp(got.data, "tree ", 5) != 0 && !strstr(got.data, " tree "));
	/* Nor of what is hidden, though all may read it. */
	snprintf(path, sizeof(path), "%s/tree/mixed/in", jail_place.given);
	public_files_hide(path);
	public_files_hide(path);
	buf_reset(&got);
	snprintf(path, sizeof(path), "%s/tree", jail_place.given);
	assert_int_equal(public_files_each(path, on_test_path, &got), 0);
	CHECK("not what is hidden", !strstr(got.data, "tree/mixed/in"));
	CHECK_HAS("what lies beside it", got.data, "tree/mixed/file ");
	buf_release(&got);
}

static int (*find_try(const char *name))(void)
{
	const struct jail_try *row = jail_tries;

	while (strcmp(row->name, name) != 0)
		row++;
	return row->try;
}

static void
test_layers(void **state)
{
	struct jail_rules rules = { .layers = JAIL_SECCOMP };
	struct jail *jail = jail_new(&rules, NULL);
	char text[200];

	(void)state;
	assert_non_null(jail);
	assert_int_equal(jail_layers(jail), JAIL_SECCOMP);
	CHECK_INT("no Landlock, all files", run_in(jail, find_try("a file of others")), 0);
	CHECK_INT("no Landlock, a namespace", run_in(jail, find_try("a namespace")), EPERM);
	jail_free(jail);
	rules.layers = JAIL_LANDLOCK;
	jail = jail_new(&rules, NULL);
	assert_non_null(jail);
	assert_int_equal(jail_layers(jail), JAIL_LANDLOCK);
	CHECK_INT("Landlock only, files", run_in(jail, find_try("names of users")), EACCES);
	CHECK_INT("Landlock only, io_uring", run_in(jail, find_try("io_uring")) != ENOSYS, 1);
	jail_free(jail);
	assert_true(jail_supports(JAIL_LANDLOCK | JAIL_SECCOMP, text, sizeof(text)));
	assert_string_equal(text, "");
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(jail_place.root, sizeof(jail_place.root), "/tmp/envdriver-test-jail-XXXXXX");
	if (!mkdtemp(jail_place.root))
		return -1;
	jail_place.parent = getpid();
	make_folder(jail_place.own, "own");
	make_folder(jail_place.given, "given");
	make_folder(jail_place.secret, "secret");
	return 0;
}

static int
tear_down(void **state)
{
	char command[PATH_MAX + 10];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", jail_place.root);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_layers),
	};

	if (!jail_supports(JAIL_LANDLOCK | JAIL_SECCOMP, (char[200]){ 0 }, 200))
		return 0;	/* a kernel that has neither: nothing to test */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
