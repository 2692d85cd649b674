/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"

static int
nothing(struct cli *cli)
{
	(void)cli;
	return EXIT_DONE;
}

static const struct cli_option globals[] = {
	{ .name = "config-file", .letter = 'c', .value = "FILE", .many = true, .help = "File" },
	{ .name = "set", .letter = 'X', .value = "KEY=VALUE", .many = true, .help = "Set" },
	{ .name = "json", .help = "JSON" },
	{ .name = "table", .help = "Table" },
	{ .name = "output", .letter = 'o', .value = "COLUMN,...", .help = "Columns" },
	{ .name = "verbose", .letter = 'v', .help = "More" },
	{ .name = "quiet", .letter = 'q', .help = "Less" },
	{ .name = "help", .letter = 'h', .help = "Help" },
	{ .name = "version", .help = "Version" },
	{ .name = NULL },
};

static const struct cli_option send_options[] = {
	{ .name = "wait", .help = "Wait" },
	{ .name = "timeout", .value = "DURATION", .help = "How long" },
	{ .name = NULL },
};

static const struct cli_option ping_options[] = {
	{ .name = "lease", .value = "ID", .help = "Lease", .required = true },
	{ .name = "env", .letter = 'e', .value = "K=V", .many = true, .help = "Variable" },
	{ .name = NULL },
};

static const struct cli_command ping = {
	.name = "ping", .summary = "Ping it", .options = ping_options, .run = nothing,
};
static const struct cli_command call = {
	.name = "call", .summary = "Call it", .args = "PROGRAM [ARG...]", .min_args = 1,
	.max_args = -1, .passes_on = true, .run = nothing, .text = "Calls.\n\n    call ls\n",
};
static const struct cli_command *const send_subs[] = { &ping, &call, NULL };
static const struct cli_command send = {
	.name = "send", .stage = "Use", .summary = "Send it", .options = send_options,
	.subs = send_subs, .run = nothing,
};
static const struct cli_command show = {
	.name = "show", .summary = "Show it", .args = "[NAME]", .max_args = 1, .run = nothing,
};
static const struct cli_command list = {
	.name = "list", .summary = "List", .run = nothing,
};
static const struct cli_command *const tool_subs[] = { &list, NULL };
static const struct cli_command tool = {
	.name = "tool", .summary = "Tools", .subs = tool_subs,
};
static const struct cli_command *const root_subs[] = { &send, &show, &tool, NULL };
static const struct cli_command root = {
	.name = "prog", .summary = "Do things", .options = globals, .subs = root_subs,
	.text = "Text of it.\n",
};

/* `got` is "path|arg,arg" after a success, the error's text else. */
static const struct parse_row {
	const char *name;
	const char *words[9];
	const char *got;
} parse_rows[] = {
	{ "nothing", { NULL }, "missing subcommand: send, show, tool" },
	{ "one level", { "show" }, "prog show|" },
	{ "argument", { "show", "x" }, "prog show|x," },
	{ "too many", { "show", "x", "y" }, "unexpected argument 'y'" },
	{ "unknown command", { "sohw" }, "unknown command 'sohw'; did you mean 'show'?" },
	{ "nothing near", { "xyzzy" }, "unknown command 'xyzzy'" },
	{ "unknown below", { "send", "pnig" }, "unknown command 'pnig'; did you mean 'ping'?" },
	{ "only below", { "tool" }, "missing subcommand: list" },
	{ "needed option", { "send", "ping" }, "missing option: --lease ID" },
	{ "value behind", { "send", "ping", "--lease", "L" }, "prog send ping|" },
	{ "value with =", { "send", "ping", "--lease=L" }, "prog send ping|" },
	{ "value looks like an option", { "send", "ping", "--lease", "--wait" },
	  "prog send ping|" },
	{ "empty value", { "send", "ping", "--lease=" }, "prog send ping|" },
	{ "value missing", { "send", "ping", "--lease" }, "option '--lease' needs a value: ID" },
	{ "switch with value", { "send", "--wait=1" }, "option '--wait' takes no value" },
	{ "unknown option", { "send", "ping", "--laese", "L" },
	  "unknown option '--laese'; did you mean '--lease'?" },
	{ "unknown option with =", { "send", "ping", "--laese=L" },
	  "unknown option '--laese'; did you mean '--lease'?" },
	{ "inherited near", { "send", "ping", "--timout=1s" },
	  "unknown option '--timout'; did you mean '--timeout'?" },
	{ "unknown letter", { "-z" }, "unknown option '-z'" },
	{ "letters together", { "-vqc", "f", "show" }, "prog show|" },
	{ "letter with its value", { "-Xa=b", "show" }, "prog show|" },
	{ "letter without", { "show", "-c" }, "option '-c' needs a value: FILE" },
	{ "option before the command", { "--json", "send", "--wait", "ping", "--lease", "x" },
	  "prog send ping|" },
	{ "option of another command", { "show", "--lease", "x" }, "unknown option '--lease'" },
	{ "double dash", { "show", "--", "--json" }, "prog show|--json," },
	{ "a dash alone", { "show", "-" }, "prog show|-," },
	{ "passes on", { "send", "call", "ls", "-la", "--json", "--", "x" },
	  "prog send call|ls,-la,--json,--,x," },
	{ "passes on behind --", { "send", "call", "--", "-x", "--" }, "prog send call|-x,--," },
	{ "passes nothing on", { "send", "call", "--" }, "missing argument: PROGRAM [ARG...]" },
	{ "help needs nothing", { "send", "ping", "--help" }, "prog send ping|" },
	{ "version needs nothing", { "--version" }, "prog|" },
	{ "help and a mistake", { "send", "pnig", "--help" },
	  "unknown command 'pnig'; did you mean 'ping'?" },
};

static struct cli *
parse(const char *const *words, struct err *err, int *ret)
{
	struct cli *cli = cli_new(&root);
	char *argv[12] = { (char *)"prog" };
	int argc = 1;

	assert_non_null(cli);
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	*ret = cli_parse(cli, argc, argv, err);
	return cli;
}

static void
test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(parse_rows) / sizeof(*parse_rows); i++) {
		const struct parse_row *r = &parse_rows[i];
		struct err err = { 0 };
		char got[300];
		int ret;
		struct cli *cli = parse(r->words, &err, &ret);

		snprintf(got, sizeof(got), "%s|", cli_path(cli));
		for (size_t k = 0; cli_arg(cli, k); k++) {
			strcat(got, cli_arg(cli, k));
			strcat(got, ",");
		}
		CHECK_TEXT(r->name, ret < 0 ? err.text : got, r->got);
		if (ret < 0 && ret != ERR_INVALID)
			fail_msg("%s: code %d", r->name, ret);
		cli_free(cli);
	}
}

static void
test_values(void **state)
{
	const char *words[] = { "send", "--timeout=5s", "ping", "--lease", "a", "-e", "A=1",
				"-eB=2", "--env=C=3", NULL };
	struct err err = { 0 };
	int64_t ms = 7;
	int ret;
	struct cli *cli = parse(words, &err, &ret);

	(void)state;
	assert_int_equal(ret, 0);
	assert_ptr_equal(cli_found(cli), &ping);
	assert_ptr_equal(cli_way(cli, 0), &root);
	assert_ptr_equal(cli_way(cli, 2), &ping);
	assert_null(cli_way(cli, 3));
	assert_string_equal(cli_flag(cli, "lease"), "a");
	assert_string_equal(cli_flag(cli, "env"), "C=3");
	assert_string_equal(cli_flag_at(cli, "env", 1), "B=2");
	assert_null(cli_flag_at(cli, "env", 3));
	assert_false(cli_has(cli, "wait"));
	assert_int_equal(cli_duration(cli, "timeout", &ms, &err), 0);
	assert_int_equal(ms, 5000);
	assert_null(cli_config(cli));
	cli_free(cli);

	words[1] = "--timeout=5";
	cli = parse(words, &err, &ret);
	assert_int_equal(cli_duration(cli, "timeout", &ms, &err), ERR_INVALID);
	CHECK_TEXT("duration", err.text,
	     "--timeout: '5' is not a duration like 500ms, 10s, 5min, 24h or 9d");
	cli_free(cli);
	cli_free(NULL);
}

/* A file, then a variable, then -X: later wins. */
static void
test_configure(void **state)
{
	char path[] = "/tmp/test_cli.XXXXXX";
	const char *words[] = { "show", "-c", path, "-X", "max.in.flight=3", NULL };
	char *envp[] = { (char *)"ENVDRIVER_MAX_IN_FLIGHT=2", (char *)"ENVDRIVER_DRAIN_TIMEOUT=2s",
			 NULL };
	static const char text[] = "max.in.flight = 1\ndrain.timeout = 1s\nrevoke.drain = 1s\n";
	struct err err = { 0 };
	int fd = mkstemp(path), ret;
	struct cli *cli = parse(words, &err, &ret);

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_int_equal(cli_configure(cli, envp, &err), 0);
	assert_int_equal(config_int(cli_config(cli), "max.in.flight"), 3);
	assert_int_equal(config_int(cli_config(cli), "drain.timeout"), 2000);
	assert_int_equal(config_int(cli_config(cli), "revoke.drain"), 1000);
	unlink(path);
	cli_free(cli);
	cli = parse(words, &err, &ret);
	assert_int_equal(cli_configure(cli, envp, &err), ERR_CONFIG);
	assert_non_null(strstr(err.text, "cannot open"));
	cli_free(cli);
}

static void
test_help(void **state)
{
	const char *words[] = { "send", "ping" }, *wrong[] = { "sned" };
	struct buf out = BUF_INIT;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(cli_help(&root, NULL, 0, false, &out, &err), 0);
	CHECK_TEXT("root", out.data,
	     "prog: Do things.\n\nusage: prog [options] COMMAND\n\nText of it.\n\nUse\n"
	     "  send              Send it\n  show              Show it\n  tool              Tools\n"
	     "\nGlobal options\n"
	     "  -c, --config-file FILE          File (may be repeated)\n"
	     "  -X, --set KEY=VALUE             Set (may be repeated)\n"
	     "  --json                          JSON\n"
	     "  --table                         Table\n"
	     "  -o, --output COLUMN,...         Columns\n"
	     "  -v, --verbose                   More\n"
	     "  -q, --quiet                     Less\n"
	     "  -h, --help                      Help\n"
	     "  --version                       Version\n");
	buf_reset(&out);
	assert_int_equal(cli_help(&root, words, 2, false, &out, &err), 0);
	assert_non_null(strstr(out.data, "usage: prog send ping --lease ID [options]\n"));
	assert_non_null(strstr(out.data, "  --lease ID                      Lease (required)\n"));
	assert_non_null(strstr(out.data, "Common options\n  --wait"));
	buf_reset(&out);
	assert_int_equal(cli_help(&root, wrong, 1, false, &out, &err), ERR_INVALID);
	CHECK_TEXT("wrong", err.text, "unknown command 'sned'; did you mean 'send'?");
	assert_int_equal(out.len, 0);
	cli_man(&root, &out);
	assert_non_null(strstr(out.data, ".SS send\nSend it.\n"));
	assert_non_null(strstr(out.data, "\\fB\\-\\-timeout\\fR \\fIDURATION\\fR\nHow long.\n"));
	assert_non_null(strstr(out.data, ".SH EXIT STATUS\n.TP\n.B 0\nsuccess.\n"));
	buf_release(&out);
}

static const struct safe_row {
	const char *name, *text, *safe;
} safe_rows[] = {
	{ "plain", "a \xc3\xa9", "a \xc3\xa9" },
	{ "escape", "\x1b[31m", "\\x1b[31m" },
	{ "line break", "a\nb\tc", "a b c" },
	{ "C1", "\xc2\x9b", "\\xc2\\x9b" },
	{ "direction", "\xe2\x80\xae", "\\xe2\\x80\\xae" },
	{ "isolate", "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
	{ "dash stays", "\xe2\x80\x94", "\xe2\x80\x94" },
	{ "bad UTF-8", "a\xff", "a\xef\xbf\xbd" },
	{ "DEL", "\x7f", "\\x7f" },
};

static void
test_safe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(safe_rows) / sizeof(*safe_rows); i++) {
		struct buf out = BUF_INIT;

		cli_add_safe(&out, span_of(safe_rows[i].text));
		CHECK_TEXT(safe_rows[i].name, out.data, safe_rows[i].safe);
		buf_release(&out);
	}
}

static const struct safe_row json_rows[] = {
	{ "plain", "{\"a\":\"\xc3\xa9\\n\"}\n", "{\"a\":\"\xc3\xa9\\n\"}\n" },
	{ "C1 and DEL", "\"\xc2\x9b\x7f\"", "\"\\u009b\\u007f\"" },
	{ "direction", "\"a\xe2\x80\xae" "b\"", "\"a\\u202eb\"" },
	{ "tag", "\"\xf3\xa0\x81\x81\"", "\"\\udb40\\udc41\"" },
};

static void
test_json_safe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(json_rows) / sizeof(*json_rows); i++) {
		struct buf out = BUF_INIT;

		cli_add_json_safe(&out, span_of(json_rows[i].text));
		CHECK_TEXT(json_rows[i].name, out.data, json_rows[i].safe);
		buf_release(&out);
	}
}

/* Runs `fn` with standard output in a pipe and gives what it wrote. */
static void
captured(struct cli *cli, const struct cli_column *columns, const struct span *cells,
	 size_t n_rows, char *ret, size_t size)
{
	struct cli_table *t;
	int fds[2], saved = dup(STDOUT_FILENO);
	ssize_t n;
	size_t width = 0;

	while (columns[width].key)
		width++;
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDOUT_FILENO);
	t = cli_table_new(cli, columns);
	for (size_t i = 0; i < n_rows; i++)
		cli_table_row(t, cells + i * width);
	cli_table_end(t);
	dup2(saved, STDOUT_FILENO);
	close(fds[1]);
	close(saved);
	n = read(fds[0], ret, size - 1);
	close(fds[0]);
	ret[n < 0 ? 0 : n] = '\0';
}

static void
test_table(void **state)
{
	static const struct cli_column held[] = {
		{ "name", CLI_TEXT, 0 }, { "pluginKey", CLI_TEXT, 0 }, { "n", CLI_RAW, 0 },
		{ NULL, CLI_TEXT, 0 },
	};
	static const struct cli_column flowing[] = { { "name", CLI_TEXT, 6 }, { "n", CLI_RAW, 0 },
						     { NULL, CLI_TEXT, 0 } };
	static const struct span cells[] = {
		SPAN_LIT("a\xc3\xa9"), SPAN_LIT("x\"y"), SPAN_LIT("1"),
		SPAN_LIT("longer one"), { NULL, 0 }, { NULL, 0 },
	};
	const char *as_json[] = { "show", "--json", NULL };
	const char *as_table[] = { "show", "--table", NULL };
	char got[500];
	int ret;
	struct cli *cli = parse(as_json, NULL, &ret);

	(void)state;
	captured(cli, held, cells, 2, got, sizeof(got));
	CHECK_TEXT("json", got,
	     "{\"name\":\"a\xc3\xa9\",\"pluginKey\":\"x\\\"y\",\"n\":1}\n"
	     "{\"name\":\"longer one\",\"pluginKey\":null,\"n\":null}\n");
	cli_free(cli);
	cli = parse(as_table, NULL, &ret);
	captured(cli, held, cells, 2, got, sizeof(got));
	CHECK_TEXT("held", got,
	     "NAME        PLUGIN KEY  N\n"
	     "a\xc3\xa9          x\"y         1\n"
	     "longer one\n");
	captured(cli, held, cells, 0, got, sizeof(got));
	CHECK_TEXT("no rows", got, "");
	captured(cli, flowing, cells, 1, got, sizeof(got));
	CHECK_TEXT("flowing", got, "NAME    N\na\xc3\xa9      x\"y\n");
	cli_free(cli);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	  cmocka_unit_test(test_values),
		cmocka_unit_test(test_configure), cmocka_unit_test(test_help),
		cmocka_unit_test(test_safe),	  cmocka_unit_test(test_json_safe),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
