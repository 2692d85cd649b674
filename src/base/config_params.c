/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_params: the tables of keys: those that we know, those that are gone,
 * and those of librdkafka that are refused. A new key is a new row.
 */
#include "envdriver/base/config.h"

#include <ctype.h>
#include <stdlib.h>

#include "envdriver/base/redis_url.h"

#define KiB (INT64_C(1) << 10)
#define MiB (INT64_C(1) << 20)
#define GiB (INT64_C(1) << 30)
#define SEC INT64_C(1000)
#define MIN (60 * SEC)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

enum { TEXT_MAX = 4096, NAME_MAX_LEN = 200, PORT_MAX = 65535, PORTS_MAX = 64 };

static const char *const assignors[] = { "range", "cooperative-sticky", NULL };
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const commands[] = { "all", "failed", "off", NULL };
static const char *const isolations[] = { "auto", "strict", "none", NULL };
static const char *const namespaces[] = { "auto", "none", NULL };
static const char *const networks[] = { "host", "none", NULL };
static const char *const formats[] = { "auto", "text", "json", NULL };

static bool
starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Digits up to `max` and then the end. */
static bool
is_number(const char *text, long max)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtol(text, &end, 10);
	return *end == '\0' && n <= max;
}

static const char *
wrong_redis_url(const char *value)
{
	struct redis_url url;

	return redis_url_parse(value, &url);
}

static const char *
wrong_topic(const char *value)
{
	for (; *value; value++)
		if (!isalnum((unsigned char)*value) && !strchr("._-", *value))
			return "may contain only letters, digits, '.', '_' and '-'";
	return NULL;
}

static const char *
wrong_listen(const char *value)
{
	const char *colon = strrchr(value, ':');

	if (!colon || colon == value || !is_number(colon + 1, PORT_MAX))
		return "must be ADDRESS:PORT, for example 127.0.0.1:9464";
	return NULL;
}

static const char *
wrong_path(const char *value)
{
	return *value == '/' ? NULL : "must be an absolute path";
}

static const char *
wrong_paths(const char *value)
{
	const char *p = value;

	for (; p; p = strchr(p, ':')) {
		p += *p == ':';
		if (*p != '/')
			return "must be a list of absolute folders separated by ':'";
	}
	return NULL;
}

static const char *
wrong_http_url(const char *value)
{
	bool is_url = starts(value, "http://") || starts(value, "https://");

	return is_url ? NULL : "must be an http or https URL";
}

static const char *
wrong_names(const char *value)
{
	for (; *value; value++)
		if (!isalnum((unsigned char)*value) && !strchr("_ ,", *value))
			return "must be a list of variable names separated by spaces";
	return NULL;
}

static const char *
wrong_ports(const char *value)
{
	char *end;
	int n = 0;

	for (; n < PORTS_MAX; value = end + strspn(end, " ,"), n++) {
		long port = isdigit((unsigned char)*value) ? strtol(value, &end, 10) : 0;

		if (port < 1 || port > PORT_MAX || !strchr(" ,", *end))
			break;
		if (!end[strspn(end, " ,")])
			return NULL;
	}
	return "must be a list of up to 64 ports, for example 443,80";
}

#define STRING(key, d, lo, hi, wrong_fn, text) \
	{ .name = key, .type = CONFIG_STRING, .def = d, .min = lo, .max = hi, \
	  .wrong = wrong_fn, .help = text }
#define WORD(key, d, list, text) \
	{ .name = key, .type = CONFIG_STRING, .def = d, .min = 1, .max = TEXT_MAX, \
	  .words = list, .help = text }
#define NUMBER(t, key, d, lo, hi, text) \
	{ .name = key, .type = CONFIG_##t, .def = d, .min = lo, .max = hi, .help = text }

const struct config_param config_params[] = {
	STRING("kafka.bootstrap.servers", "localhost:9092", 1, TEXT_MAX, NULL,
	       "Initial Kafka brokers: host:port, separated by commas"),
	STRING("kafka.group.id", "envdriver", 1, NAME_MAX_LEN, NULL,
	       "Consumer group; the workers of one group share the commands"),
	NUMBER(INT, "kafka.session.timeout.ms", "10000", 1000, 30 * MIN,
	       "Silence after which the group reassigns a worker's partitions"),
	WORD("assignor", "range", assignors,
	     "Partition assignor of the group; the same for all of its workers"),
	STRING("topic.prefix", "environment.", 0, NAME_MAX_LEN, wrong_topic,
	       "Prefix of all topic names"),

	STRING("redis.url", "redis://127.0.0.1:6379/0", 1, TEXT_MAX, wrong_redis_url,
	       "Redis: redis://[user:password@]host[:port][/db] or unix:///path"),
	STRING("redis.prefix", "envdriver:", 0, NAME_MAX_LEN, NULL,
	       "Prefix of all Redis keys; one prefix serves one group on one cluster"),

	STRING("instance.id", NULL, 1, NAME_MAX_LEN, wrong_topic,
	       "Name of this worker, stable across restarts; the host name when unset"),
	NUMBER(INT, "max.in.flight", "1024", 1, 100000,
	       "Most commands worked on at once; those that wait for a key or plugin do not count"),
	NUMBER(SIZE, "in.flight.max.bytes", "256MiB", MiB, 1024 * GiB,
	       "Most bytes of commands and results in memory; partitions pause at the limit"),
	NUMBER(SIZE, "command.max.bytes", "1MiB", KiB, GiB,
	       "Largest command; larger ones become dead letters"),
	STRING("command.token", NULL, 16, TEXT_MAX, NULL,
	       "Key of the signatures of commands; with it, a worker takes only signed ones"),
	NUMBER(SIZE, "execution.inline.limit", "256KiB", 0, 64 * MiB,
	       "Most output of an execution inside its result; the rest goes to log records"),
	NUMBER(DURATION, "commit.interval", "10ms", 0, 10 * SEC,
	       "Shortest time between transactions under load"),
	NUMBER(INT, "transaction.max.records", "1000", 1, 100000,
	       "Most results in one transaction"),
	NUMBER(DURATION, "transaction.timeout", "10s", SEC, 15 * MIN,
	       "Age at which the broker aborts the transaction of a dead worker"),
	NUMBER(DURATION, "revoke.drain", "3s", 0, MIN,
	       "Longest wait of a rebalance for results that are about to be published"),
	NUMBER(DURATION, "drain.timeout", "30s", 0, DAY,
	       "At a stop: time for running calls to end before the worker leaves the group"),
	NUMBER(DURATION, "handover.timeout", "15min", 0, 7 * DAY,
	       "At a stop: time for the remaining calls after that; their answers are handed over"),
	NUMBER(DURATION, "claim.retention", "24h", MIN, 365 * DAY,
	       "Time for which a finished command's id is remembered, to detect duplicates"),
	NUMBER(DURATION, "credential.max.age", "10min", SEC, DAY,
	       "Longest time for which a credential that a plugin returned waits in Redis"),
	NUMBER(DURATION, "heartbeat.interval", "5s", 500, 10 * SEC,
	       "Time between writes of a plugin worker's record in Redis"),

	{.name = "plugin.dirs",
	 .type = CONFIG_PATHS,
	 .def = "/usr/lib/envdriver/plugins:/var/lib/envdriver/plugins",
	 .min = 1,
	 .max = TEXT_MAX,
	 .wrong = wrong_paths,
	 .help = "Folders that must contain the plugin packages and sockets"},
	NUMBER(INT, "plugin.max.in.flight", "64", 1, 100000,
	       "Most concurrent calls to one plugin worker"),
	NUMBER(DURATION, "plugin.call.timeout", "30s", 1, 7 * DAY,
	       "Time limit of calls that set none; plugin.call.timeout.<pluginKey> for one plugin"),
	NUMBER(DURATION, "plugin.start.timeout", "15s", 100, HOUR,
	       "Time limit of a plugin worker's start, and of the waits for it"),
	NUMBER(DURATION, "plugin.start.wait", "2s", 0, MIN,
	       "Longest wait of a command while its plugin's worker is down and not starting"),
	NUMBER(DURATION, "plugin.drain.timeout", "1h", 0, 7 * DAY,
	       "How long a worker that another one has replaced may take for its last calls"),
	{.name = "plugin.restart",
	 .type = CONFIG_BOOL,
	 .def = "true",
	 .help = "Whether a plugin worker that crashed is started again"},
	{.name = "plugin.log.info",
	 .type = CONFIG_BOOL,
	 .def = "false",
	 .help = "Whether what plugins log at info appears at info, and not at debug"},
	NUMBER(SIZE, "plugin.line.max.bytes", "128MiB", 64 * KiB, GiB,
	       "Longest line of a plugin; a longer one is dropped and its call fails"),
	NUMBER(SIZE, "plugin.log.max.bytes", "128MiB", 0, 16 * GiB,
	       "Most live output accepted from one call"),
	NUMBER(SIZE, "plugin.state.value.max.bytes", "256KiB", KiB, 4 * MiB,
	       "Largest value that a plugin may keep with state.set"),
	NUMBER(SIZE, "plugin.state.max.bytes", "16MiB", KiB, GiB,
	       "Most bytes that a plugin may keep for one company"),
	NUMBER(INT, "plugin.state.max.keys", "10000", 1, 1000000,
	       "Most keys that a plugin may keep for one company"),
	NUMBER(INT, "plugin.metrics.max.series", "200", 0, 5000,
	       "Most series of metrics.write of a plugin in /metrics; 0: none of them"),
	STRING("plugin.env", NULL, 1, TEXT_MAX, wrong_names,
	       "Names of variables passed to every plugin; plugin.env.<pluginKey> for one plugin"),
	STRING("plugin.wrapper", NULL, 1, TEXT_MAX, NULL,
	       "Command that wraps a plugin's own, as in: bwrap --ro-bind / / --dev /dev"),

	WORD("plugin.isolation", "auto", isolations,
	     "Landlock and seccomp around plugins: where the kernel has them, strict: or no start"),
	WORD("plugin.isolation.namespaces", "none", namespaces,
	     "Namespaces of their own for plugins, by bwrap; auto: when it works here"),
	WORD("plugin.network", "host", networks, "Network of plugins: the host's, or none"),
	STRING("plugin.connect", NULL, 1, TEXT_MAX, wrong_ports,
	       "TCP ports that plugins may connect to, as in 443,80; unset: all"),
	{.name = "plugin.unix",
	 .type = CONFIG_BOOL,
	 .def = "false",
	 .help = "Whether plugins may use unix sockets (docker.sock, an SSH agent)"},
	{.name = "plugin.read",
	 .type = CONFIG_PATHS,
	 .min = 1,
	 .max = TEXT_MAX,
	 .wrong = wrong_paths,
	 .help = "More files and folders that plugins may read; plugin.read.<pluginKey> for one"},
	{.name = "plugin.write",
	 .type = CONFIG_PATHS,
	 .min = 1,
	 .max = TEXT_MAX,
	 .wrong = wrong_paths,
	 .help = "More files and folders that plugins may write; plugin.write.<pluginKey> for one"},
	STRING("plugin.cgroup", NULL, 1, TEXT_MAX, wrong_path,
	       "Folder of the delegated control group; unset: the worker's own with Delegate=yes"),
	STRING("plugin.data.dir", NULL, 1, TEXT_MAX, wrong_path,
	       "Folder in which each plugin has one that it may keep files in; unset: none"),
	STRING("plugin.tmp.dir", NULL, 1, TEXT_MAX, wrong_path,
	       "Folder for the temporary folders of plugins; unset: TMPDIR, else /tmp"),

	NUMBER(SIZE, "plugin.limit.memory", NULL, 16 * MiB, 1024 * GiB,
	       "Writable memory of each plugin process (RLIMIT_DATA)"),
	NUMBER(INT, "plugin.limit.files", "4096", 16, 1000000,
	       "Open files of each plugin process (RLIMIT_NOFILE)"),
	NUMBER(INT, "plugin.limit.processes", NULL, 1, 1000000,
	       "Processes and threads of the user above which a plugin cannot start more "
	       "(not for root)"),
	NUMBER(SIZE, "plugin.limit.core", "0", 0, 1024 * GiB,
	       "Largest core file of a plugin process (RLIMIT_CORE)"),

	{.name = "core.dumps",
	 .type = CONFIG_BOOL,
	 .def = "false",
	 .help = "Whether the worker's memory can be dumped and traced by its own user"},
	STRING("lock.dir", NULL, 1, TEXT_MAX, wrong_path,
	       "Folder of the lock that refuses a second worker of one instance.id on this host"),
	STRING("secrets.dir", NULL, 1, TEXT_MAX, wrong_path,
	       "Folder of secrets: the files <companyId>/<secretId>; read at each use"),
	{.name = "secrets.env",
	 .type = CONFIG_BOOL,
	 .def = "false",
	 .help = "Whether variables ENVDRIVER_SECRET_<COMPANY>__<ID> are secrets (development)"},
	STRING("http.listen", NULL, 1, TEXT_MAX, wrong_listen,
	       "Address of health, metrics and status, as in 127.0.0.1:9464; unset: off"),
	STRING("http.token.file", NULL, 1, TEXT_MAX, wrong_path,
	       "File with the bearer token; required beyond loopback"),
	STRING("schema.registry.url", NULL, 1, TEXT_MAX, wrong_http_url,
	       "Schema registry, http(s)://[user:password@]host[:port]; "
	       "unset: single-object framing"),
	WORD("log.level", "info", levels, "Least severe messages that are logged"),
	WORD("log.format", "auto", formats, "auto: text on a terminal, JSON elsewhere"),
	WORD("log.commands", "all", commands,
	     "Commands that get a line at info when they end: all, those that failed, none"),
	{ .name = NULL },
};

const char *const config_gone[] = { "otlp.endpoint", NULL };

static const struct refusal {
	const char *name;
	const char *reason;
} refusals[] = {
	{ "enable.auto.commit",
	  "offsets are committed inside the transaction of the results; an automatic commit "
	  "would lose commands" },
	{ "auto.commit.enable",
	  "offsets are committed inside the transaction of the results; an automatic commit "
	  "would lose commands" },
	{ "enable.auto.offset.store",
	  "offsets are committed inside the transaction of the results; a stored one would "
	  "lose commands" },
	{ "isolation.level",
	  "commands are read read_committed; otherwise commands of aborted transactions would "
	  "run" },
	{ "auto.offset.reset",
	  "a silent jump in the log would lose or repeat commands; the worker starts where the "
	  "group's offsets say" },
	{ "transactional.id",
	  "it is made of kafka.group.id and instance.id, so that a restart fences its "
	  "predecessor; set instance.id" },
	{ "transaction.timeout.ms", "it has a key of its own: set transaction.timeout" },
	{ "enable.idempotence", "results are published in transactions, which need it" },
	{ "acks", "results are published in transactions, which need acks=all" },
	{ "request.required.acks", "results are published in transactions, which need acks=all" },
	{ "group.protocol", "the hand-over of partitions is built on the classic protocol" },
	{ "partition.assignment.strategy", "it has a key of its own: set assignor" },
	{ "partitioner",
	  "murmur2_random, as Java's: all publishers must put a key's commands into the same "
	  "partition" },
	{ "metadata.broker.list", "it is another name of kafka.bootstrap.servers: set that" },
};

const char *
config_refusal(const char *kafka_name)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strcmp(refusals[i].name, kafka_name) == 0)
			return refusals[i].reason;
	return NULL;
}
