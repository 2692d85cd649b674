/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main: the table of commands, help and version.
 *
 * Owns nothing beyond the table: each command is a file under commands/.
 */
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/cli/cli.h"
#include "envdriver/commands/commands.h"

static int help_main(struct cli *cli);

static const struct cli_option global_options[] = {
	{ .name = "config-file", .letter = 'c', .value = "FILE", .many = true,
	  .help = "Configuration file with key = value lines" },
	{ .name = "set", .letter = 'X', .value = "KEY=VALUE", .many = true,
	  .help = "Value of one key; wins over files and variables" },
	{ .name = "json", .help = "Print JSON lines, even on a terminal" },
	{ .name = "table", .help = "Print tables, even in a pipe" },
	{ .name = "output", .letter = 'o', .value = "wide|COLUMN,...",
	  .help = "Print tables with all columns, or with these, and shorten nothing" },
	{ .name = "verbose", .letter = 'v', .help = "Print more messages on standard error" },
	{ .name = "quiet", .letter = 'q', .help = "Print only errors on standard error" },
	{ .name = "help", .letter = 'h', .help = "Show help for the command" },
	{ .name = "version", .help = "Show the versions of envdriver and its libraries" },
	{ .name = NULL },
};

static const struct cli_command worker_command = {
	.name = "worker",
	.stage = "Run",
	.summary = "Take commands from Kafka, call plugins, publish results",
	.service = true,
	.text = "Runs until SIGTERM or SIGINT. Then running calls get time to end\n"
		"(drain.timeout), and longer ones are handed over to other workers\n"
		"(handover.timeout). A second signal ends the worker at once. The topics must\n"
		"exist: `envdriver topics create`.\n\n"
		"    envdriver worker -c /etc/envdriver.conf\n"
		"    envdriver worker -X instance.id=a -X http.listen=127.0.0.1:9464\n",
	.run = worker_main,
};

static const struct cli_option dev_options[] = {
	{ .name = "env-file", .value = "FILE",
	  .help = "File for the variables that point other commands here, written when ready" },
	{ .name = "no-http", .help = "Do not listen on 127.0.0.1:9464" },
	{ .name = "no-watch", .help = "Do not start a plugin anew when its files change" },
	{ .name = NULL },
};

static const struct cli_command dev_command = {
	.name = "dev",
	.summary = "Try plugins in a worker with its own Kafka and Redis; nothing is kept",
	.args = "[PLUGIN-DIR...]",
	.max_args = -1,
	.options = dev_options,
	.text = "Starts a mock Kafka cluster inside the process, a private redis-server, and a\n"
		"worker with the plugins in the given folders (default: the bundled local\n"
		"provider). Says when they run, or why not, and prints the addresses for other\n"
		"commands. A plugin whose files change is started anew, without losing a\n"
		"command (--no-watch: not). Logs warnings only; -X log.level=info shows more.\n\n"
		"    envdriver dev ./my-plugin\n",
	.run = dev_main,
};

static const struct cli_option help_options[] = {
	{ .name = "man", .help = "Print the manual page" },
	{ .name = "markdown", .help = "Print the configuration keys as a Markdown table" },
	{ .name = NULL },
};

static const struct cli_command help_command = {
	.name = "help",
	.summary = "Explain a command",
	.args = "[COMMAND...]",
	.max_args = 2,
	.options = help_options,
	.run = help_main,
};

static const struct cli_command *const commands[] = {
	&worker_command,  &dev_command,	  &publish_command, &exec_command,   &credential_command,
	&watch_command,	  &replay_command, &audit_command,   &topics_command, &plugin_command,
	&drivers_command, &config_command, &help_command,    NULL,
};

static const struct cli_command root = {
	.name = "envdriver",
	.summary = "Run environment-driver commands from Kafka and publish their results",
	.options = global_options,
	.subs = commands,
	.text = "Orchestrators publish commands to a Kafka topic. A worker looks up in Redis\n"
		"which plugin serves the driver, calls it, and publishes exactly one result\n"
		"per command.\n\n"
		"A first session, with a broker on localhost:9092 and Redis on\n"
		"localhost:6379:\n\n"
		"    envdriver topics create\n"
		"    envdriver plugin add /usr/local/lib/envdriver/plugins/local --id local\n"
		"    envdriver plugin ready local\n"
		"    envdriver worker -X plugin.dirs=/usr/local/lib/envdriver/plugins &\n"
		"    envdriver publish probe --provider local --environment env-1 --wait\n"
		"    envdriver publish acquire --provider local --environment env-1 --run-id "
		"r1 --wait\n"
		"    envdriver exec --lease LEASE-ID -- sh -c 'echo hello'\n"
		"    envdriver replay --environment env-1\n\n"
		"`envdriver config print` shows every configuration key, its value and where it\n"
		"was set. Output is a table on a terminal and JSON lines in a pipe. A table\n"
		"fits the terminal: ids are shortened and columns left out. -o wide shows all of\n"
		"it, -o time,status only these columns.\n",
};

static int
help_main(struct cli *cli)
{
	struct buf out = BUF_INIT;
	struct err err = { 0 };
	const char *words[2];
	size_t n = 0;
	int ret = EXIT_DONE;

	while (cli_arg(cli, n)) {
		words[n] = cli_arg(cli, n);
		n++;
	}
	if (cli_has(cli, "man"))
		cli_man(&root, &out);
	else if (cli_has(cli, "markdown"))
		config_print_markdown(&out);
	else if (cli_help(&root, words, n, cli_colours(cli), &out, &err) < 0)
		ret = cli_misuse(cli, "%s", err.text);
	cli_write_buf(cli, &out);
	buf_release(&out);
	return cli_end(cli, ret);
}

static int
show_version(struct cli *cli)
{
	struct buf out = BUF_INIT;

	buf_addf(&out, "envdriver %s\n", ENVDRIVER_VERSION);
	buf_addf(&out, "librdkafka %s\n", rd_kafka_version_str());
	buf_addf(&out, "avro-c %s\n", AVRO_C_VERSION);
	buf_addf(&out, "hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	buf_addf(&out, "libuv %s\n", uv_version_string());
	buf_addf(&out, "jansson %s\n", jansson_version_str());
	cli_write_buf(cli, &out);
	buf_release(&out);
	return cli_end(cli, EXIT_DONE);
}

/* `envdriver COMMAND --help` is `envdriver help COMMAND`. */
static int
show_help(struct cli *cli)
{
	struct buf out = BUF_INIT;
	const struct cli_command *c;
	const char *words[2];
	size_t n = 0;

	for (; n < 2 && (c = cli_way(cli, n + 1)); n++)
		words[n] = c->name;
	(void)cli_help(&root, words, n, cli_colours(cli), &out, /* reterr= */ NULL);
	cli_write_buf(cli, &out);
	buf_release(&out);
	return cli_end(cli, EXIT_DONE);
}

static int
run_command(struct cli *cli, int argc, char *argv[], char *envp[])
{
	struct err err = { 0 };
	int ret = cli_parse(cli, argc, argv, &err);

	if (ret == ERR_NOMEM)
		return cli_fail(cli, &err);
	if (ret < 0)
		return cli_misuse(cli, "%s", err.text);
	if (cli_has(cli, "version"))
		return show_version(cli);
	if (cli_has(cli, "help"))
		return show_help(cli);
	if (cli_found(cli) == &help_command)
		return help_main(cli);
	if (cli_configure(cli, envp, &err) < 0)
		return cli_fail(cli, &err);
	return cli_found(cli)->run(cli);
}

/*
 * A descriptor of ours must not become number 0, 1 or 2: what is written to
 * these would go into it, and a child would lose it. Reading a closed input and
 * writing a closed output stay errors.
 */
static void
open_missing_descriptors(void)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDWR };

	for (int fd = 0; fd < (int)(sizeof(modes) / sizeof(*modes)); fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", modes[fd]);	/* takes the lowest number */
}

int
main(int argc, char *argv[], char *envp[])
{
	struct cli *cli;
	int ret;

	open_missing_descriptors();
	/* Peers that go away show as EPIPE; see also cli_write. */
	signal(SIGPIPE, SIG_IGN);
	cli = cli_new(&root);
	if (!cli)
		return EXIT_AGAIN;
	ret = run_command(cli, argc, argv, envp);
	cli_free(cli);
	return ret;
}
