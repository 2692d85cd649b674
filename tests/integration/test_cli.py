# SPDX-License-Identifier: Apache-2.0
"""The command line against a real broker and a real Redis; a few lines of Python stand in for the
worker, so that what it answers is known to the byte."""

import json
import secrets
import subprocess
import threading
import time

from confluent_kafka import KafkaException, Producer

from harness import avro
from harness.case import limit
from harness.commands import MINIMAL, MORE, command, message_key, plugin_driver
from harness.events import execution_result, lease_result, log, outcome, probe_result
from harness.paths import ROOT, environment
from harness.process import wait_until
from harness.topics import TOPICS
from harness.worker import SANITIZER_OPTIONS, program

USAGE, UNAVAILABLE, AGAIN, CONFIG = 64, 69, 75, 78


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def commands_of(t):
    """t.topics.read_commands, also right after the topics were made: then a partition's leader
    may not know yet that it is."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return t.topics.read_commands()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def run(*arguments, env=None, input=None):
    """The program without any server."""
    return subprocess.run(
        [program(), *map(str, arguments)],
        input=input,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=environment(**SANITIZER_OPTIONS, **(env or {})),
    )


# --- a worker that answers what it is told ---


class Answering:
    """Reads the command topic from its beginning; `answer(plain, source)` gives the events:
    (topic, record name, record, key)."""

    def __init__(self, t, answer):
        self.topics, self.answer, self.failed = t.topics, answer, None
        self.over = threading.Event()
        self.consumer = t.topics.consumer()
        self.consumer.assign(
            [p for p in self._from_zero(t.topics._partitions(("commands",)))]
        )
        self.producer = Producer({"bootstrap.servers": t.bootstrap, "linger.ms": 0})
        self.thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _from_zero(partitions):
        for partition in partitions:
            partition.offset = 0
            yield partition

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(20)
        self.consumer.close()
        if self.failed:
            raise self.failed

    def _run(self):
        try:
            while not self.over.is_set():
                message = self.consumer.poll(0.05)
                if message is None or message.error():
                    continue
                plain = avro.to_plain(*avro.decode(message.value()))
                source = message.topic(), message.partition(), message.offset()
                for topic, name, record, key in self.answer(plain, source):
                    self.producer.produce(
                        self.topics.full(topic),
                        avro.encode(name, record),
                        key,
                        headers=[("command-id", plain["commandId"].encode())],
                    )
                    self.producer.flush(10)
        except Exception as error:
            self.failed = error


# --- wrong usage and wrong configuration: said before anybody is asked ---

MISUSE = [
    (["pubish"], "unknown command 'pubish'; did you mean 'publish'?"),
    (["publish", "prob"], "unknown command 'prob'; did you mean 'probe'?"),
    (["publish", "probe", "--enviroment", "e"], "unknown option '--enviroment'; did you mean '--environment'?"),
    (["topics", "create", "--partitions"], "option '--partitions' needs a value"),
    (["topics"], "missing subcommand: create, list"),
    (["publish"], "missing subcommand or --file"),
    (["publish", "resume"], "missing option: --lease ID"),
    (["publish", "probe", "--target", "x"], "--target: 'x' is not PLUGIN:DRIVER"),
    (["publish", "probe"], "missing option: --target PLUGIN:DRIVER or --provider NAME"),
    (["publish", "probe", "--provider", "p", "--config", "{"], "--config: "),
    (["publish", "probe", "--provider", "p", "--config", "[]"], "config: "),
    (["publish", "exec", "--provider", "p", "--lease", "L"], "missing argument: COMMAND"),
    (["publish", "exec", "--provider", "p", "--lease", "L", "-e", "A", "--", "x"], "--env: 'A' is not NAME=VALUE"),
    (["publish", "runner-ingress", "--provider", "p", "--lease", "L", "--port", "0", "--path", "/"], "operation.port: "),
    (["publish", "list-drivers", "--provider", "p"], "target: "),
    (["publish", "probe", "--provider", "p", "--id", "x" * 201], "commandId: "),
    (["watch", "--results", "prob"], "unknown topic 'prob'; did you mean 'probe'?"),
    (["watch", "--from", "yesterday"], "--from: 'yesterday' is not beginning, end"),
    (["replay", "--offsets", "3..1"], "--offsets: '3..1' is not FIRST..LAST"),
    (["replay", "--offsets", "1..3"], "need one topic and one partition"),
    (["drivers", "--resolve", "x"], "--resolve: 'x' is not PLUGIN:DRIVER"),
    (["plugin", "ready"], "missing argument: ID"),
]


def test_misuse(t):
    for arguments, text in MISUSE:
        done = run(*arguments)
        assert done.returncode == USAGE, (arguments, done.returncode, done.stderr)
        assert text in done.stderr, (arguments, done.stderr)
        assert "`envdriver help" in done.stderr, (arguments, done.stderr)
        assert done.stdout == "", arguments


CONFIGS = [
    ("a = 1\n", "{path}:1: unknown key 'a'"),
    ("# x\n\nredis.ulr = x\n", "{path}:3: unknown key 'redis.ulr'; did you mean 'redis.url'?"),
    ("max.in.flight = 0\n", "{path}:1: max.in.flight: 0 is out of range: must be 1 to 100000"),
    ("topic.prefix = a.\ndrain.timeout = 10\n", "{path}:2: drain.timeout: '10' is not a duration"),
    ("kafka.isolation.level = read_uncommitted\n", "{path}:1: kafka.isolation.level is refused: "),
    ("kafka.no.such = 1\n", '{path}:1: kafka.no.such: No such configuration property: "no.such"'),
    ("kafka.linger.ms = x\n", "{path}:1: kafka.linger.ms: Invalid value"),
    ("http.listen = 0.0.0.0:1\n", "http.token.file"),
]


def test_wrong_configuration(t):
    path = t.dir / "envdriver.conf"
    for text, expected in CONFIGS:
        path.write_text(text, "utf-8")
        done = run("config", "check", "--offline", "-c", path)
        assert done.returncode == CONFIG, (text, done.returncode, done.stderr)
        assert expected.format(path=path) in done.stderr, (text, done.stderr)
    done = run("config", "print", "-c", t.dir / "missing")
    assert done.returncode == CONFIG and "cannot open" in done.stderr
    done = run("config", "print", env={"ENVDRIVER_MAX_IN_FLIGHT": "x"})
    assert done.returncode == CONFIG and "ENVDRIVER_MAX_IN_FLIGHT: max.in.flight" in done.stderr


def test_configuration_is_printed_without_secrets(t):
    path = t.dir / "envdriver.conf"
    path.write_text(
        "kafka.sasl.password = geheim-1\nredis.url = redis://u:geheim-2@127.0.0.1:1/0\n"
        "kafka.ssl.key.password = geheim-3\n# kafka.sasl.username = no\nmax.in.flight = 7\n",
        "utf-8",
    )
    for json_lines in ([], ["--json"]):
        done = run("config", "print", "-c", path, *json_lines)
        assert done.returncode == 0
        assert "geheim" not in done.stdout + done.stderr
        assert "redis://u:***@127.0.0.1:1/0" in done.stdout
    by_key = {row["key"]: row for row in lines(done.stdout)}
    assert by_key["max.in.flight"] == {
        "key": "max.in.flight",
        "value": "7",
        "setBy": f"{path}:5",
    }
    done = run("drivers", "-v", "-c", path)
    assert done.returncode == UNAVAILABLE and "geheim" not in done.stderr
    # What was printed reads back, but for the secrets: these say so.
    copy = t.dir / "copy.conf"
    copy.write_text(run("config", "print", "-c", path).stdout, "utf-8")
    done = run("config", "print", "-c", copy)
    assert done.returncode == CONFIG and "*** is a masked secret" in done.stderr


def test_help_and_version(t):
    version = run("--version").stdout.splitlines()
    names = ["envdriver", "librdkafka", "avro-c", "hiredis", "libuv", "jansson"]
    assert [line.split()[0] for line in version] == names
    assert all(line.split()[1][0].isdigit() for line in version)
    general = run("help")
    assert general.returncode == 0 and "envdriver topics create" in general.stdout
    listed = [
        line.split()[0]
        for line in general.stdout.splitlines()
        if line.startswith("  ") and line[2].islower()
    ]
    assert {"worker", "dev", "publish", "exec", "watch", "replay", "topics"} <= set(listed)
    for name in listed:
        assert run("help", name).stdout == run(name, "--help").stdout != ""
    assert run("help", "publish", "probe").stdout == run("publish", "probe", "--help").stdout
    assert run("help", "pubish").returncode == USAGE
    assert run("help", "--man").stdout == (ROOT / "man" / "envdriver.1").read_text("utf-8")


# --- topics ---


@limit(120)
def test_topics(t):
    other = {"topic.prefix": f"c{secrets.token_hex(4)}."}
    missing = t.cli("topics", "list", config=other)
    assert missing.returncode == 1
    assert {row["state"] for row in lines(missing.stdout)} == {"missing"}
    first = t.cli("topics", "create", "--partitions", 2, "--partitions", "commands=4", config=other)
    assert first.returncode == 0, first.stderr
    rows = lines(first.stdout)
    assert [row["topic"] for row in rows] == [other["topic.prefix"] + name for name in TOPICS]
    assert all(row["state"] == "created" and row["differs"] is None for row in rows)
    second = t.cli("topics", "create", "--partitions", 2, "--partitions", "commands=4", config=other)
    assert second.returncode == 0
    again = lines(second.stdout)
    assert [row["topic"] for row in again] == [row["topic"] for row in rows]
    assert all(row["state"] == "exists" and row["differs"] is None for row in again)
    third = t.cli("topics", "create", "--partitions", 2, "--retention", "dead-letters=1d", config=other)
    differs = {row["topic"].removeprefix(other["topic.prefix"]): row["differs"] for row in lines(third.stdout)}
    assert differs["commands"] == "partitions is 4, not 2", third
    assert differs["dead-letters"] == "retention.ms is 1209600000, not 86400000"
    assert differs["probe-results"] is None
    described = t.topics.admin.list_topics(timeout=10).topics
    assert len(described[other["topic.prefix"] + "commands"].partitions) == 4
    t.topics.admin.delete_topics([other["topic.prefix"] + name for name in TOPICS])


# --- publish ---


def flags(operation, fields):
    """The options of `publish` for an operation's fields."""
    given = []
    for name, value in fields.items():
        kebab = "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
        if name == "providerLeaseId":
            kebab = "lease"
        if name == "command" or name == "args":
            continue
        if name == "env":
            given += [f"--env={k}={v}" for k, v in value.items()]
        elif value is True:
            given.append(f"--{kebab}")
        elif value is False:
            continue
        elif isinstance(value, (dict, list)):
            given += [f"--{kebab}", json.dumps(value)]
        else:
            given += [f"--{kebab}", str(value)]
    if operation == "Execute":
        given += ["--", fields["command"], *fields.get("args", [])]
    return given


SUBCOMMANDS = {
    "ValidateConfig": "validate",
    "Probe": "probe",
    "AcquireLease": "acquire",
    "ResumeLease": "resume",
    "ReleaseLease": "release",
    "DestroyLease": "destroy",
    "RealizeWorkspace": "realize",
    "Execute": "exec",
    "ListDrivers": "list-drivers",
    "SyncIn": "sync-in",
    "SyncOut": "sync-out",
    "RunnerIngressEndpoint": "runner-ingress",
    "StartInteractiveSetup": "start-setup",
    "GetInteractiveSetup": "get-setup",
    "CancelInteractiveSetup": "cancel-setup",
    "CaptureTemplate": "capture-template",
    "DeleteTemplate": "delete-template",
}


@limit(180)
def test_every_operation_from_options(t):
    expected = {}
    for operation, name in SUBCOMMANDS.items():
        for fields in (MINIMAL[operation], {**MINIMAL[operation], **MORE[operation]}):
            plain = command(
                operation,
                {k: v for k, v in fields.items() if v is not False},
                target=plugin_driver("d", "p.k", "id-1"),
                config={"a": [1, "ü"]},
                issueId="issue-1",
                issuedBy="somebody",
            )
            target = [] if operation == "ListDrivers" else ["--target", "p.k:d", "--plugin-id", "id-1"]
            done = t.cli(
                # fmt: off
                "publish", name, "--company", "company-1", "--environment", "environment-1",
                "--id", plain["commandId"], "--issue", "issue-1", "--issued-by", "somebody",
                "--config", '{"a": [1, "ü"]}', *target,
                *flags(operation, {k: v for k, v in plain["operation"].items() if k != "type"}),
                # fmt: on
            )
            assert done.returncode == 0, (operation, done.stderr)
            [placed] = lines(done.stdout)
            expected[placed["commandId"]] = (plain, placed)
    read = {r.command_id: r for r in commands_of(t)}
    assert read.keys() == expected.keys()
    for id, (plain, placed) in expected.items():
        got = avro.without_nulls(read[id].command)
        assert abs(avro.time_value(got.pop("issuedAt")) - plain["issuedAt"]) < 120_000
        wanted = {**avro.without_nulls(plain), "rerunIfInterrupted": False}
        del wanted["issuedAt"]
        if plain["operation"]["type"] == "Execute":
            wanted["operation"].setdefault("args", [])
        for flag in ("includeConnectionPayload",):
            if flag in got["operation"]:
                wanted["operation"].setdefault(flag, False)
        assert got == wanted, id
        assert read[id].key == message_key(plain).encode(), id
        assert (read[id].partition, read[id].offset) == (placed["partition"], placed["offset"])
    # The same partition as any other publisher's.
    for record in t.topics.publish(*[plain for plain, _ in expected.values()]):
        assert read[record.command_id].partition == record.partition


def test_ordering_of_publish(t):
    for arguments, key in (
        (["destroy", "--lease", "L"], b"L"),
        (["destroy", "--lease", "L", "--now"], b"the-id"),
        (["destroy", "--lease", "L", "--ordering-key", "K"], b"K"),
        (["release", "--lease", "L", "--now", "--cancel-active-work"], b"the-id"),
        (["probe"], b"the-id"),
    ):
        done = t.cli("publish", *arguments, "--provider", "p", "--id", "the-id")
        assert done.returncode == 0, done.stderr
        [placed] = lines(done.stdout)
        [record] = [
            r
            for r in commands_of(t)
            if (r.partition, r.offset) == (placed["partition"], placed["offset"])
        ]
        assert record.key == key, arguments


def test_file_comes_back_byte_for_byte(t):
    plain = [
        command(operation, {**MORE[operation]}, config={"n": [0, 1, 2.5, "ü\u2028\\"]})
        for operation in MINIMAL
    ]
    for one in plain:
        one["issuedAt"] = avro.time_text(one["issuedAt"])
    # In full, as the plain form has it: every field, in the order of the schema.
    text = "".join(
        json.dumps(
            avro.to_plain("EnvironmentCommand", avro.from_plain("EnvironmentCommand", one)),
            ensure_ascii=False,
            separators=(",", ":"),
        )
        + "\n"
        for one in plain
    )
    path = t.dir / "commands.jsonl"
    path.write_text(text, "utf-8")
    assert t.cli("publish", "--file", path).returncode == 0
    by_id = sorted(text.splitlines())
    for arguments in (
        ["replay", "--topics", "commands"],
        ["watch", "--results", "commands", "--from", "beginning", "--limit", len(plain), "--timeout", "20s"],
    ):
        done = t.cli(*arguments)
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.splitlines()) == by_id, arguments
    # And again, through a pipe, under new ids.
    done = t.cli("publish", "--file", "-", "--new-ids", input=text)
    assert done.returncode == 0 and len(lines(done.stdout)) == len(plain), done.stderr
    ids = {row["commandId"] for row in lines(done.stdout)}
    assert len(ids) == len(plain) and not ids & {one["commandId"] for one in plain}


def test_bad_file_publishes_nothing(t):
    path = t.dir / "commands.jsonl"
    good = json.dumps(command("Probe"))
    for bad, expected in (
        ('{"operation":{"type":"Probe"},"colour":1}', ":3: unknown field 'colour'"),
        ('{"operation":{"type":"Prob"}}', ":3: operation"),
        ("{", ":3: "),
        ("[]", ":3: expected object, got array"),
        (json.dumps(command("Execute", {"timeoutMs": 0})), ":3: operation.timeoutMs: "),
        (json.dumps(command("Execute", {"lease": {}})), ":3: operation.lease"),
    ):
        path.write_text(f"{good}\n\n{bad}\n", "utf-8")
        done = t.cli("publish", "--file", path)
        assert done.returncode == 2, (bad, done.stderr)
        assert f"{path}{expected}" in done.stderr, (bad, done.stderr)
    assert commands_of(t) == []
    done = t.cli("publish", "--file", "-", input=f"{good}\n[]\n")
    assert done.returncode == 2 and "-:2: expected object" in done.stderr
    assert len(commands_of(t)) == 1


@limit(120)
def test_wait(t):
    ends = {"good": None, "bad": outcome("FAILED", "DRIVER_NOT_READY", "is not ready.")}

    def answer(plain, source):
        if plain["environmentId"] == "nobody":
            return []
        return [probe_result(plain, source, ends[plain["environmentId"]])]

    probe = ["publish", "probe", "--provider", "p", "--wait", "--environment"]
    with Answering(t, answer):
        done = t.cli(*probe, "good")
        assert done.returncode == 0, done.stderr
        [result] = lines(done.stdout)
        assert result["summary"] == "fine" and result["outcome"]["status"] == "SUCCEEDED"
        done = t.cli(*probe, "bad")
        assert done.returncode == 1
        assert lines(done.stdout)[0]["outcome"]["error"]["code"] == "DRIVER_NOT_READY"
        done = t.cli(*probe, "nobody", "--timeout", "1s", "--id", "c-9")
        assert done.returncode == AGAIN and done.stdout == ""
        assert "no result of 'c-9'" in done.stderr
        # An id that was there before: its old result is not ours.
        plain = [command("Probe", environmentId=e) for e in ("good", "bad", "good")]
        text = "".join(json.dumps(one) + "\n" for one in plain)
        done = t.cli("publish", "--file", "-", "--wait", input=text)
        assert done.returncode == 1
        got = {row["command"]["commandId"]: row["outcome"]["status"] for row in lines(done.stdout)}
        assert [got[one["commandId"]] for one in plain] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]


# --- exec ---

WHOLE = "".join(f"line {n}\n" for n in range(40))


def answer_exec(plain, source):
    """What happens is named by the program that is to be run."""
    what = plain["operation"]["command"]
    if what == "silent":
        return []
    if what == "live":
        return [
            log(plain, 0, "one\n"),
            log(plain, 4, "two\n"),
            log(plain, 0, "err\n", "STDERR"),
            execution_result(plain, source, exitCode=3, stdout="one\ntwo\nthree\n", stderr="err\n"),
        ]
    if what == "lost":
        return [
            log(plain, 0, "one\n"),
            log(plain, 8, "three\n"),
            execution_result(plain, source, exitCode=0, stdout="one\ntwo\nthree\n"),
        ]
    if what == "large":
        finals = [
            log(plain, n, WHOLE[n : n + 50], origin="FINAL") for n in range(0, len(WHOLE), 50)
        ]
        first = execution_result(
            # fmt: off
            plain, source, exitCode=0, stdout=WHOLE[:30], stdoutBytes=len(WHOLE),
            stdoutTruncated=True, finalLogRecords=len(finals),
            # fmt: on
        )
        return [*finals[:3], first, *finals[3:]]
    if what == "again":
        return [
            log(plain, 0, "abandoned\n", token="old.1"),
            execution_result(plain, source, exitCode=0, stdout="done\n"),
        ]
    ends = {
        "killed": {"signal": "SIGKILL"},
        "late": {"timedOut": True, "signal": "SIGTERM"},
        "echo": {"exitCode": 0, "stdout": json.dumps(plain, sort_keys=True)},
        "refused": {"ended": outcome("FAILED", "NO_RUNNING_WORKER", "has no running worker.")},
        "cut": {"ended": outcome("INTERRUPTED", "INTERRUPTED", "not known whether it ran.")},
        "missing": {"ended": outcome("FAILED", "PLUGIN_ERROR", "spawn missing ENOENT")},
        "denied": {"ended": outcome("FAILED", "PLUGIN_ERROR", "spawn denied EACCES")},
        "limit": {
            "exitCode": 0,
            "stdout": "begin",
            "metadata": '{"outputCut":true,"outputLimitBytes":5}',
        },
        "9": {"signal": "9"},
        "expired": {"ended": outcome("EXPIRED", "EXPIRED", "expired.")},
    }
    return [execution_result(plain, source, **ends[what])]


@limit(120)
def test_exec(t):
    base = ["exec", "--lease", "L", "--provider", "p"]
    with Answering(t, answer_exec):
        for what, code, out, err in (
            ("live", 3, "one\ntwo\nthree\n", "err\n"),
            ("lost", 0, "one\ntwo\nthree\n", ""),
            ("large", 0, WHOLE, ""),
            ("killed", 137, "", ""),
            ("late", 124, "", "exceeded its time limit"),
            ("refused", 125, "", "NO_RUNNING_WORKER: has no running worker."),
            ("expired", 125, "", "EXPIRED: expired."),
            ("cut", 122, "", "INTERRUPTED: not known whether it ran."),
            ("missing", 127, "", "PLUGIN_ERROR: spawn missing ENOENT"),
            ("denied", 126, "", "PLUGIN_ERROR: spawn denied EACCES"),
            ("limit", 123, "begin", "at the plugin's output limit of 5 bytes"),
            ("9", 137, "", ""),
        ):
            done = t.cli(*base, "--", what)
            assert done.returncode == code, (what, done.returncode, done.stderr)
            assert done.stdout == out, (what, done.stdout)
            assert done.stderr == err if err.endswith("\n") else err in done.stderr, (what, done.stderr)
        # The piece and the result come in any order.
        done = t.cli(*base, "--", "again")
        assert done.returncode == 0 and done.stdout in ("abandoned\ndone\n", "done\n"), done
        done = t.cli(
            # fmt: off
            *base, "--cwd", "/x", "-e", "A=1", "--env", "B=a=b", "--env-secret", "S=s-1",
            "--timeout", "2s", "--stdin", "--rerun-if-interrupted", "echo", "-n", "--", "ü",
            # fmt: on
            input="in\n",
        )
        assert done.returncode == 0, done.stderr
        plain = json.loads(done.stdout)
        assert plain["rerunIfInterrupted"] is True
        assert plain["companyId"] == "envdriver-exec", "without a company nothing comes live"
        assert avro.without_nulls(plain["operation"]) == {
            "type": "Execute",
            "lease": {"providerLeaseId": "L"},
            "command": "echo",
            "args": ["-n", "--", "ü"],
            "cwd": "/x",
            "env": {"A": "1", "B": "a=b", "S": {"type": "secret_ref", "secretId": "s-1"}},
            "stdin": "in\n",
            "timeoutMs": 2000,
        }
        done = t.cli(*base, "--wait", "1s", "silent")
        assert done.returncode == 125 and "no result within --wait" in done.stderr


@limit(120)
def test_exec_finds_out_whose_lease_it_is(t):
    def answer(plain, source):
        kind = plain["operation"]["type"]
        if kind == "AcquireLease":
            return [lease_result(plain, source)]
        if kind == "DestroyLease":
            topic, name, record, key = lease_result(plain, source)
            return [(topic, name, {**record, "lease": None}, key)]
        return answer_exec(plain, source)

    with Answering(t, answer):
        done = t.cli("exec", "--lease", "lease-9", "--", "echo")
        assert done.returncode == 125 and "no event of lease 'lease-9' is recorded" in done.stderr
        acquire = ["publish", "acquire", "--target", "p.k:d", "--run-id", "r", "--wait"]
        assert t.cli(*acquire, "--company", "co", "--environment", "env").returncode == 0
        done = t.cli("exec", "--lease", "lease-9", "--", "echo")
        assert done.returncode == 0, done.stderr
        plain = json.loads(done.stdout)
        assert plain["target"] == plugin_driver("d", "p.k", "plugin-1")
        assert (plain["companyId"], plain["environmentId"]) == ("co", "env")
        done = t.cli("exec", "--lease", "lease-9", "--provider", "p", "--", "echo")
        assert json.loads(done.stdout)["companyId"] == "co", done.stderr
        assert plain["operation"]["lease"] == {
            "providerLeaseId": "lease-9",
            "metadata": {"region": "north"},
        }
        destroy = ["publish", "destroy", "--target", "p.k:d", "--lease", "lease-9", "--wait"]
        assert t.cli(*destroy).returncode == 0
        done = t.cli("exec", "--lease", "lease-9", "--", "echo")
        assert done.returncode == 0 and "was destroyed or lost" in done.stderr


# --- watch and replay ---


@limit(120)
def test_replay_ranges_and_filters(t):
    def answer(plain, source):
        bad = plain["environmentId"] == "e2"
        return [probe_result(plain, source, outcome("FAILED", "TIMEOUT", "late") if bad else None)]

    plain = [command("Probe", environmentId=f"e{n}", companyId="co") for n in range(4)]
    with Answering(t, answer):
        records = t.topics.publish(*plain)
        t.topics.wait(records)

    def replay(*arguments):
        done = t.cli("replay", *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        return lines(done.stdout)

    assert len(replay()) == 8
    assert len(replay("--topics", "commands")) == 4
    assert len(replay("--topics", "probe-results,lease")) == 4
    assert len(replay("--command", plain[0]["commandId"])) == 2
    assert len(replay("--environment", "e2")) == 2
    assert len(replay("--company", "nobody")) == 0
    assert len(replay("--operation", "Probe")) == 8
    assert len(replay("--status", "FAILED")) == 1 == len(replay("--status", "TIMEOUT"))
    assert len(replay("--status", "SUCCEEDED")) == 3
    assert len(replay("--from", "1h")) == 8
    assert len(replay("--to", "2000-01-01T00:00:00Z")) == 0
    assert len(replay("--from", "2000-01-01T00:00:00Z", "--limit", "3")) == 3
    assert len(replay("--from", "end")) == 0
    stamps = [row["timestamp"] for row in replay("--envelope")]
    assert stamps == sorted(stamps)
    one = records[1]
    [row] = replay(
        "--topics", "commands", "--partition", one.partition, "--offsets", f"{one.offset}..{one.offset}", "--envelope"
    )
    assert (row["topic"], row["partition"], row["offset"]) == one.position
    assert row["record"] == "EnvironmentCommand" and row["key"] == one.key.decode()
    assert row["value"]["commandId"] == one.command_id
    table = t.cli("replay", "--table", "--status", "FAILED").stdout.splitlines()
    assert len(table) == 2 and table[0].startswith("TIME ") and "TIMEOUT: late" in table[1]
    done = t.cli("watch", "--from", "beginning", "--environment", "e1", "--limit", "1", "--timeout", "20s")
    assert done.returncode == 0 and lines(done.stdout)[0]["command"]["environmentId"] == "e1"
    done = t.cli("watch", "--limit", "1", "--timeout", "1s")
    assert done.returncode == AGAIN and done.stdout == ""


def test_replay_ends_at_the_last_stable_offset(t):
    [first] = t.topics.publish(command("Probe"), partition=0)
    producer = Producer({"bootstrap.servers": t.bootstrap, "transactional.id": t.topics.prefix})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(t.topics.full("commands"), first.value, partition=0)
    producer.flush(10)
    t.topics.publish(command("Probe"), partition=0)
    began = time.monotonic()
    done = t.cli("replay", "--topics", "commands")
    assert done.returncode == 0 and len(lines(done.stdout)) == 1
    assert time.monotonic() - began < 10
    producer.abort_transaction()
    deadline = time.monotonic() + 10
    while len(lines(t.cli("replay", "--topics", "commands").stdout)) != 2:
        assert time.monotonic() < deadline


def test_records_that_cannot_be_read(t):
    t.topics.publish_raw(b"junk \x1b[31m", key=b"\xff", partition=0)
    t.topics.publish_raw(None, key=b"k", partition=0)
    junk, tombstone = lines(t.cli("replay", "--topics", "commands", "--envelope").stdout)
    assert junk["record"] is None and junk["value"]["value"] == "anVuayAbWzMxbQ=="
    assert junk["key"] == "\ufffd" and junk["value"]["unreadable"]
    assert tombstone["value"]["value"] is None
    table = t.cli("replay", "--topics", "commands", "--table").stdout
    assert "\x1b" not in table and table.count("unreadable") == 2


# --- plugin and drivers ---


@limit(90)
def test_plugin_registry(t):
    package = t.fixture().folder
    added = t.cli("plugin", "add", package, "--id", "fix")
    assert added.returncode == 0, added.stderr
    [row] = lines(added.stdout)
    assert row == {"pluginId": "fix", "pluginKey": "fixture.envdriver", "status": "installed", "done": "added"}
    client = t.redis.client
    record = client.hgetall("envdriver:plugin:fix")
    assert json.loads(record["manifest"]) == t.fixture().manifest
    assert record["status"] == "installed" and record["package"] == str(package.resolve())
    assert client.get("envdriver:plugin-key:fixture.envdriver") == "fix"
    assert client.zscore("envdriver:plugins", "fix") == 1
    resolve = ["drivers", "--resolve", "fixture.envdriver:fixture-env", "--json"]

    def unresolved(text, arguments=resolve):
        done = t.cli(*arguments)
        assert (done.returncode, done.stderr) == (1, text + "\n"), done

    unresolved('Plugin environment driver "fixture.envdriver:fixture-env" is not ready.')
    assert t.cli("plugin", "ready", "fixture.envdriver").returncode == 0
    unresolved('Plugin environment driver "fixture.envdriver:fixture-env" has no running worker.')
    unresolved(
        'Plugin "fixture.envdriver" does not declare environment driver "x".',
        ["drivers", "--resolve", "fixture.envdriver:x"],
    )
    assert t.cli("drivers", "--provider", "fixture-sandbox").stdout == "null\n"
    client.hset("envdriver:worker:fix:host-a", "status", "running")
    done = t.cli(*resolve)
    assert done.returncode == 0
    declared = {d["driverKey"]: d for d in t.fixture().manifest["environmentDrivers"]}
    assert json.loads(done.stdout) == {
        "pluginId": "fix",
        "pluginKey": "fixture.envdriver",
        "driverKey": "fixture-env",
        "driver": declared["fixture-env"],
    }
    done = t.cli("drivers", "--provider", "fixture-sandbox")
    assert json.loads(done.stdout)["driver"] == declared["fixture-sandbox"]
    # Only sandbox providers are found by provider.
    assert t.cli("drivers", "--provider", "fixture-env").stdout == "null\n"
    assert len(lines(t.cli("drivers").stdout)) == len(declared)
    config = t.dir / "config.json"
    config.write_text('{"co": {"a": 1}}', "utf-8")
    again = t.cli("plugin", "add", package, "--config", config)
    assert lines(again.stdout)[0]["done"] == "updated"
    record = client.hgetall("envdriver:plugin:fix")
    assert (record["status"], record["config"]) == ("ready", '{"co":{"a":1}}')
    assert t.cli("plugin", "add", package, "--id", "other").returncode == 2
    assert t.cli("plugin", "disable", "fix").returncode == 0
    assert lines(t.cli("plugin", "list").stdout)[0]["status"] == "disabled"
    assert t.cli("plugin", "enable", "fix").returncode == 0
    assert lines(t.cli("plugin", "list").stdout)[0]["status"] == "ready"
    client.hset("envdriver:plugin:fix", "manifest", "{")
    assert t.cli("plugin", "ready", "fix").returncode == 2
    assert t.cli("plugin", "remove", "fix").returncode == 0
    assert client.keys("envdriver:plugin*") == []
    assert t.cli("plugin", "remove", "fix").returncode == 2


@limit(90)
def test_plugin_add_refuses_what_workers_would(t):
    """The same code looks at the package; what runs is not replaced but with --force."""
    base = t.dir / "plugins"
    manifest = {**t.fixture().manifest, "id": "a.mine"}
    config = {"plugin.dirs": str(base)}

    def add(*options, folder=base / "a", **files):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text, "utf-8")
        return t.cli("plugin", "add", folder, "--id", "a", *options, config=config)

    own = json.dumps({"manifest": manifest, "command": ["./run.sh"]})
    done = add(plugin_json=own)
    assert done.returncode != 0 and "cannot run" in done.stderr, done
    (base / "a" / "run.sh").mkdir()
    done = add()
    assert done.returncode != 0 and "it is not a file" in done.stderr, done
    (base / "a" / "run.sh").rmdir()
    (base / "a" / "run.sh").write_text("#!/bin/sh\n", "ascii")
    done = add()
    assert done.returncode != 0 and "Permission denied" in done.stderr, done
    (base / "a" / "run.sh").chmod(0o755)
    assert add().returncode == 0
    before = t.redis.client.hgetall("envdriver:plugin:a")
    done = add(package_json="{ // a comment")
    assert done.returncode != 0 and "package.json" in done.stderr, done
    outside = t.dir / "outside"
    done = add(folder=outside, plugin_json=own)
    assert done.returncode != 0 and "plugin.dirs" in done.stderr, done
    assert t.redis.client.hgetall("envdriver:plugin:a") == before
    assert add("--force", folder=outside).returncode == 0
    # Modules as the original reads them.
    text = json.dumps(manifest)
    modules = {
        "prints.mjs": f"console.log('loading'); export default {text}",
        "stays.mjs": f"setInterval(() => {{}}, 1000); export default {text}",
        "named.mjs": f"export const manifest = {text}",
        "exports.cjs": f"exports.manifest = {text}",
        "esmodule.cjs": "Object.defineProperty(exports, '__esModule', {value: true}); "
        f"exports.default = {text}",
    }
    node = base / "node"
    node.mkdir()
    (node / "worker.mjs").write_text("", "ascii")
    for name, source in modules.items():
        (node / name).write_text(source, "utf-8")
        package = {"paperclipPlugin": {"manifest": f"./{name}", "worker": "./worker.mjs"}}
        done = add(folder=node, package_json=json.dumps(package))
        assert done.returncode == 0, (name, done)
        assert json.loads(t.redis.client.hget("envdriver:plugin:a", "manifest")) == manifest, name


@limit(90)
def test_plugin_digest_reload_and_restart(t):
    """The digest of a package's files decides whether there is anything to run anew."""
    folder = t.dir / "plugins" / "a"
    (folder / "lib" / "empty").mkdir(parents=True)
    (folder / ".git").mkdir()
    manifest = {**t.fixture().manifest, "id": "a.mine"}
    package = {"manifest": manifest, "command": ["./run.sh"]}
    (folder / "plugin.json").write_text(json.dumps(package), "utf-8")
    (folder / "run.sh").write_text("#!/bin/sh\n", "ascii")
    (folder / "run.sh").chmod(0o755)
    (folder / "lib" / "a.js").write_text("1", "ascii")
    (folder / "link").symlink_to("lib/a.js")
    client, config = t.redis.client, {"plugin.dirs": str(folder.parent)}

    def cli(*arguments, code=0):
        done = t.cli("plugin", *arguments, config=config)
        assert done.returncode == code, done
        return done

    def digest():
        return cli("digest", folder).stdout.strip()

    def record(field):
        return client.hget("envdriver:plugin:a", field)

    def done(*arguments):
        [row] = lines(cli(*arguments).stdout)
        return row["done"]

    changes = {
        "contents": lambda: (folder / "lib" / "a.js").write_text("2", "ascii"),
        "a new file": lambda: (folder / "lib" / "b.js").write_text("", "ascii"),
        "another name": lambda: (folder / "lib" / "b.js").rename(folder / "lib" / "c.js"),
        "a right": lambda: (folder / "lib" / "c.js").chmod(0o755),
        "a link": lambda: ((folder / "link").unlink(), (folder / "link").symlink_to("lib/c.js")),
        "one file less": lambda: (folder / "lib" / "c.js").unlink(),
    }
    seen = [digest()]
    for name, change in changes.items():
        change()
        seen.append(digest())
        assert seen[-1] not in seen[:-1], name
    for change in (
        lambda: (folder / ".git" / "HEAD").write_text("x", "ascii"),
        lambda: (folder / "run.sh").touch(),
        lambda: (folder / "lib" / "empty").rmdir(),
    ):
        change()
        assert digest() == seen[-1]
    assert done("add", folder, "--id", "a") == "added"
    assert (record("packageDigest"), record("packagePin")) == (digest(), None)
    assert done("reload", "a.mine") == "unchanged"
    assert done("reload", "a", "--pin") == "updated"
    (folder / "lib" / "a.js").write_text("3", "ascii")
    assert done("add", folder) == "updated"
    assert record("packageDigest") == record("packagePin") == digest()
    assert done("reload", "a", "--no-pin") == "updated"
    assert record("packagePin") is None
    cli("restart", "a")
    cli("restart", "a.mine")
    assert record("generation") == "2"
    client.hset("envdriver:plugin:a", "generation", "by hand")
    cli("restart", "a")
    assert record("generation") == "1"
    (folder / "plugin.json").write_text(json.dumps({**package, "manifest": t.fixture().manifest}))
    assert "is that of 'fixture.envdriver' now" in cli("reload", "a", code=2).stderr
    cli("reload", "b", code=2)
    cli("restart", "b", code=2)
    cli("digest", t.dir / "gone", code=2)


def test_instances_are_compared(t):
    client = t.redis.client
    t.install(t.fixture(), "fix")
    group = t.config["kafka.group.id"]
    for name in ("host-a", "host-b"):
        client.hset(f"envdriver:instance:{name}", "group", group)
    client.hset("envdriver:worker:fix:host-a", "status", "running")
    done = t.cli("config", "check")
    assert done.returncode == 1, done.stderr
    assert "runs in host-a but not in host-b" in done.stderr
    client.hset("envdriver:worker:fix:host-b", "status", "running")
    assert t.cli("config", "check").returncode == 0


# --- servers that are not there ---


@limit(120)
def test_servers_away(t):
    away = {"ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ENVDRIVER_REDIS_URL": "unix:///nonexistent"}
    for arguments, code, text in (
        (["topics", "list"], UNAVAILABLE, "Kafka at 127.0.0.1:1"),
        (["publish", "probe", "--provider", "p"], UNAVAILABLE, "Kafka at 127.0.0.1:1"),
        (["replay"], UNAVAILABLE, "Kafka at 127.0.0.1:1"),
        (["watch"], UNAVAILABLE, "Kafka at 127.0.0.1:1"),
        (["exec", "--lease", "L", "x"], 125, "Kafka at 127.0.0.1:1"),
        (["drivers"], UNAVAILABLE, "Redis at unix:///nonexistent"),
        (["plugin", "list"], UNAVAILABLE, "Redis at unix:///nonexistent"),
    ):
        done = run(*arguments, env=away)
        assert done.returncode == code, (arguments, done.returncode, done.stderr)
        assert text in done.stderr, (arguments, done.stderr)
    t.topics.delete("probe-results")
    name = t.topics.full("probe-results")
    wait_until(lambda: name not in t.topics.admin.list_topics(timeout=10).topics, 20, "it is gone")
    done = t.cli("watch", "--timeout", "1s")
    assert done.returncode == 2, done
    assert f"'{name}'" in done.stderr and "topics create" in done.stderr


@limit(120)
def test_brokers_that_make_topics_by_themselves(t):
    broker = t.own_broker(auto_create_topics_enable="true")
    env = {"ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "ENVDRIVER_TOPIC_PREFIX": "x."}
    for arguments, code in (
        (["topics", "list"], 1),
        (["publish", "probe", "--provider", "p"], 2),
        (["replay"], 2),
        (["topics", "list"], 1),
    ):
        done = run(*arguments, env=env)
        assert done.returncode == code, (arguments, done)
    assert {row["state"] for row in lines(done.stdout)} == {"missing"}


SASL = {
    "listener_security_protocol_map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl_enabled_mechanisms": "PLAIN,SCRAM-SHA-256",
    "sasl_mechanism_inter_broker_protocol": "PLAIN",
    "listener_name_plaintext_plain_sasl_jaas_config": (
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=admin "
        "password=admin-geheim user_admin=admin-geheim user_me=mine-geheim;"
    ),
    "listener_name_plaintext_scram-sha-256_sasl_jaas_config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super_users": "User:admin;User:ANONYMOUS",
}


@limit(120)
def test_not_permitted(t):
    broker = t.own_broker(**SASL)

    def tried(*arguments, user="me", password="mine-geheim", mechanism="PLAIN"):
        path = t.dir / "sasl.conf"
        path.write_text(
            f"kafka.bootstrap.servers = {broker.bootstrap}\n"
            "kafka.security.protocol = SASL_PLAINTEXT\n"
            f"kafka.sasl.mechanism = {mechanism}\nkafka.sasl.username = {user}\n"
            f"kafka.sasl.password = {password}\n",
            "utf-8",
        )
        done = run(*arguments, "-c", path, "-v")
        assert "geheim" not in done.stdout + done.stderr
        return done

    made = tried("topics", "create", user="admin", password="admin-geheim")
    assert made.returncode == 0, made.stderr
    for arguments in (["publish", "probe", "--provider", "p"], ["replay"], ["topics", "list"]):
        done = tried(*arguments)
        assert done.returncode == 77, (arguments, done.stderr)
        assert "environment.commands" in done.stderr and "ACLs" in done.stderr
    done = tried("topics", "list", password="wrong-geheim")
    assert done.returncode == 77 and "kafka.sasl.password" in done.stderr
    done = tried("topics", "list", mechanism="SCRAM-SHA-256")
    assert done.returncode == 77, done.stderr
    version = run("--version").stdout.split("librdkafka ")[1].split()[0]
    if tuple(map(int, version.split(".")[:3])) < (2, 6, 1):
        assert f"librdkafka {version} has bug #4895" in done.stderr
    done = run("topics", "list", env={"ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap})
    assert done.returncode == UNAVAILABLE and "SASL" in done.stderr
