# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what it reads and writes is what the schemas say, and its oracle sees each
kind of mistake. These tests need a broker and a Redis but no envdriver."""

import copy
import hashlib
import json
import os
import subprocess
from collections import Counter

from confluent_kafka import Producer
from harness import avro, commands, oracle, process, registry, without
from harness.case import limit
from harness.commands import command
from harness.faults import assert_calls
from harness.paths import FIXTURES, environment
from harness.tally import AGAIN, GOOD, POISON, Tally
from harness.topics import TOPICS, Event, Record

# --- the engine without a rule ---


def test_each_rule_is_found_where_it_is_taken_out(t):
    """What builds the programs of fault/test_model_rules.py, which run much longer."""
    for rule in without.PLACES:
        assert without.source(rule)


# --- avro ---


def test_fingerprints_are_the_published_ones(t):
    rows = (FIXTURES / "fingerprints").read_text().split()
    published = dict(zip(rows[::2], rows[1::2]))
    assert published == {name: avro.fingerprint(name).hex() for name in avro.names()}
    assert {record for record, _, _ in TOPICS.values()} == set(published)


def test_framing(t):
    data = avro.encode_command(command("Probe"))
    assert data[:2] == b"\xc3\x01"
    assert data[2:10].hex() == "41b88313c2cf2caf"
    rows = {
        "no marker": (data[1:], "does not start with c3 01"),
        "empty": (b"", "does not start with c3 01"),
        "unknown fingerprint": (data[:2] + b"\0" * 8 + data[10:], "unknown fingerprint"),
        "bytes left": (data + b"\0", "1 bytes after the datum"),
    }
    for name, (bad, expected) in rows.items():
        try:
            avro.decode(bad)
        except ValueError as error:
            assert expected in str(error), f"{name}: {error}"
        else:
            raise AssertionError(f"{name}: was decoded")


def test_each_operation_survives_the_round_trip(t):
    branches = operations_in_the_schema()
    assert list(commands.MINIMAL) == list(commands.MORE) == list(commands.RESULT_OF) == branches
    assert len(branches) == 17
    for operation in branches:
        for more in ({}, commands.MORE[operation]):
            plain = command(operation, more)
            name, record = avro.decode(avro.encode_command(plain))
            assert name == "EnvironmentCommand"
            back = avro.to_plain(name, record)
            assert back["operation"]["type"] == operation
            for key, value in plain["operation"].items():
                assert back["operation"][key] == value, f"{operation}.{key}: {back}"
            assert avro.encode_command(back) == avro.encode_command(plain), operation


def operations_in_the_schema():
    fields = avro.schema_json("EnvironmentCommand")["fields"]
    [operation] = [f for f in fields if f["name"] == "operation"]
    return [branch["name"] for branch in operation["type"]]


def test_every_field_of_every_operation_is_in_the_examples(t):
    fields = avro.schema_json("EnvironmentCommand")["fields"]
    [operation] = [f for f in fields if f["name"] == "operation"]
    for branch in operation["type"]:
        name = branch["name"]
        given = {**commands.MINIMAL[name], **commands.MORE[name]}
        assert set(given) == {f["name"] for f in branch["fields"]}, name
        needed = {f["name"] for f in branch["fields"] if "default" not in f}
        assert set(commands.MINIMAL[name]) == needed, name


def test_an_unknown_field_is_named(t):
    for plain, place in (
        (command("Probe", comandId="x"), "comandId"),
        (command("Execute", {"comand": "x"}), "comand"),
    ):
        try:
            avro.encode_command(plain)
        except ValueError as error:
            assert place in str(error), error
        else:
            raise AssertionError(f"{place} was taken")


def test_times(t):
    assert avro.time_text(1795411077000) == "2026-11-23T05:17:57.000Z"
    assert avro.time_value("2026-11-23T05:17:57.000Z") == 1795411077000
    assert avro.time_value("2026-11-23T05:17:57.007Z") == 1795411077007


def test_ordering_key(t):
    rows = [
        ("lease of the operation", command("ResumeLease"), "lease-1", "lease-1"),
        ("lease object", command("Execute"), "lease-1", "lease-1"),
        ("no lease", command("Probe", commandId="c"), None, "c"),
        ("given", command("Execute", orderingKey="k"), "k", "k"),
        ("none wanted", command("Execute", orderingKey="", commandId="c"), None, "c"),
        ("null lease", command("DestroyLease", commandId="c"), None, "c"),
    ]
    for name, plain, key, message_key in rows:
        assert commands.ordering_key(plain) == key, name
        assert commands.message_key(plain) == message_key, name


# --- kafka ---


def test_topics_are_as_the_document_says(t):
    from confluent_kafka.admin import ConfigResource

    t.make_topics(commands=4, results=2, others=1)
    admin = t.topics.admin
    known = admin.list_topics(timeout=10).topics
    resources = [ConfigResource("topic", t.topics.full(name)) for name in TOPICS]
    found = {r.name: f.result(10) for r, f in admin.describe_configs(resources).items()}
    for name, (_, days, largest) in TOPICS.items():
        config = found[t.topics.full(name)]
        assert config["cleanup.policy"].value == "delete", name
        assert config["retention.ms"].value == str(days * 24 * 3600 * 1000), name
        assert config["max.message.bytes"].value == str(largest), name
        expected = {"commands": 4, "plugin-events": 1, "dead-letters": 1}.get(name, 2)
        assert len(known[t.topics.full(name)].partitions) == expected, name


def test_publish_and_read_back(t):
    plain = [command(op, more) for op, more in commands.MORE.items()]
    same_key = [command("Execute", orderingKey="key") for _ in range(5)]
    records = t.topics.publish(*plain, *same_key)
    assert [r.command for r in records] == plain + same_key
    assert len({r.partition for r in records[-5:]}) == 1
    assert [r.offset for r in records[-5:]] == sorted(r.offset for r in records[-5:])
    read = t.topics.read_commands()
    assert sorted(r.position for r in read) == sorted(r.position for r in records)
    by_position = {r.position: r for r in read}
    for record in records:
        back = by_position[record.position]
        assert (back.key, back.value) == (record.key, record.value)
        assert back.command_id == record.command["commandId"]


def test_keys_go_where_java_puts_them(t):
    """murmur2 of Java's client: known values (partition = murmur2 & 0x7fffffff, modulo)."""
    t.make_topics(commands=12)
    for key in ("lease-1", "a", "21", "environment-1", ""):
        wanted = (murmur2(key.encode()) & 0x7FFFFFFF) % 12
        if key:
            [record] = t.topics.publish(command("Probe", orderingKey=key))
            assert record.partition == wanted, key
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF


def murmur2(data):
    """Written from the published algorithm; the two values above are Kafka's own test values."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_poison_is_published_as_it_is(t):
    records = [
        t.topics.publish_raw(b"\xff\xfe", key=b"k", headers=[("h", b"1"), ("h", None)]),
        t.topics.publish_raw(None, partition=2),
    ]
    assert [r.command for r in records] == [None, None]
    read = {r.position: r for r in t.topics.read_commands()}
    assert read[records[0].position].headers == (("h", b"1"), ("h", None))
    assert read[records[1].position].value is None


def test_aborted_and_open_transactions_are_not_seen(t):
    """What a reader with read_committed sees of three transactions: committed, aborted, open. The
    end it reads to is the last stable offset, so an open one does not hold it up."""
    topics = t.topics
    records = topics.publish(*[command("Probe") for _ in range(4)])
    events = [probe_result(r) for r in records]
    producer = transactional(t, "one")
    for event, ending in zip(events[:3], ("commit", "abort", "commit")):
        producer.begin_transaction()
        write(producer, topics, event)
        producer.flush(10)
        getattr(producer, f"{ending}_transaction")(10)
    dangling = transactional(t, "two")
    dangling.begin_transaction()
    write(dangling, topics, events[3])
    dangling.flush(10)
    seen = [e.command_id for e in topics.read_all()]
    assert sorted(seen) == sorted([records[0].command_id, records[2].command_id])
    dirty = [e.command_id for e in topics.read_all(isolation="read_uncommitted")]
    assert sorted(dirty) == sorted(r.command_id for r in records)
    found = oracle.check_exactly_once(records, topics.read_all())
    assert len(found) == 2 and all(text.startswith("gap:") for text in found), found
    dangling.commit_transaction(10)
    assert len(topics.wait([records[3]])) == 1
    assert len(topics.read_all()) == 3


def transactional(t, name):
    producer = Producer(
        {
            "bootstrap.servers": t.bootstrap,
            "transactional.id": t.topics.prefix + name,
            "transaction.timeout.ms": 10000,
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(20)
    return producer


def write(producer, topics, event):
    producer.produce(
        topics.full(event.topic),
        value=avro.encode(event.name, event.value),
        key=event.key,
        headers=list(event.headers),
    )


# --- calls beside their results ---


class Asked:
    """A ledger that says what it is told to."""

    def __init__(self, **asked):
        self.names = {f"id-{name}": name for name in ("a", "b")}
        self.counts = Counter(asked)

    def asked(self):
        return self.counts


def execution(name, status, attempt):
    value = {
        "command": {"commandId": f"id-{name}"},
        "outcome": {"status": status, "error": None},
        "trace": {"attempt": attempt},
    }
    return Event("execution-results", 0, 0, 0, b"", (), "ExecutionResult", value)


def test_calls_are_joined_to_their_results(t):
    """Each world but the good one is told, in words that name what is wrong."""
    ran, cut = execution("a", "SUCCEEDED", 1), execution("b", "INTERRUPTED", 1)
    not_called = execution("b", "FAILED", 0)
    assert_calls(Asked(a=1), [ran])
    assert_calls(Asked(a=1, b=1), [ran, cut])
    assert_calls(Asked(a=1), [ran, cut])
    assert_calls(Asked(a=1), [ran, not_called])
    for wrong, ledger, events in (
        ("called 0 times", Asked(), [ran]),
        ("called 0 times", Asked(b=1), [ran, cut]),
        ("called more than once", Asked(a=1, b=2), [ran, cut]),
        ("called 1 times", Asked(a=1, b=1), [ran, not_called]),
        ("called without a result", Asked(a=1, b=1), [ran]),
        ("no Execute has a result", Asked(), []),
    ):
        try:
            assert_calls(ledger, events)
        except AssertionError as error:
            assert wrong in str(error), (wrong, error)
        else:
            raise AssertionError(f"{wrong}: was not seen")


# --- the oracle ---


def probe_result(record, **changes):
    """The event that a faultless worker would publish for a Probe."""
    plain = record.command
    ref = {
        "commandId": plain["commandId"],
        "operation": plain["operation"]["type"],
        "companyId": plain["companyId"],
        "environmentId": plain["environmentId"],
        "issueId": None,
        "pluginId": "p",
        "pluginKey": "fixture.envdriver",
        "driverKey": "fixture-env",
        "providerLeaseId": None,
    }
    began = plain["issuedAt"] + 1000 * record.offset
    trace = {
        "sourceTopic": record.topic,
        "sourcePartition": record.partition,
        "sourceOffset": record.offset,
        "attempt": 1,
        "invocationId": "i",
        "callToken": "t",
        "instanceId": "w1",
        "receivedAt": began,
        "startedAt": began,
        "finishedAt": began + 100,
        "traceparent": None,
        "warnings": [],
    }
    headers = {
        "command-id": plain["commandId"],
        "operation": "Probe",
        "company-id": plain["companyId"],
        "environment-id": plain["environmentId"],
        "status": "SUCCEEDED",
        "schema": "ProbeResult",
    }
    value = {
        "command": ref,
        "outcome": {"status": "SUCCEEDED", "error": None},
        "trace": trace,
        "ok": True,
        "driver": "plugin",
        "summary": "",
        "details": "{}",
    }
    event = {
        "topic": "probe-results",
        "partition": 0,
        "offset": record.offset,
        "timestamp": began + 150,
        "key": plain["environmentId"].encode(),
        "headers": tuple((k, v.encode()) for k, v in headers.items()),
        "name": "ProbeResult",
        "value": value,
    }
    return Event(**{**event, **changes})


def duplicate_letter(record, first):
    value = {
        "reason": "DUPLICATE_COMMAND",
        "message": "m",
        "field": None,
        "commandId": record.command_id,
        "companyId": "company-1",
        "environmentId": "environment-1",
        "operation": "Probe",
        "sourceTopic": record.topic,
        "sourcePartition": record.partition,
        "sourceOffset": record.offset,
        "sourceTimestamp": None,
        "firstTopic": first.topic,
        "firstPartition": first.partition,
        "firstOffset": first.offset,
        "key": record.key,
        "value": record.value,
        "headers": [],
        "valueBytes": len(record.value),
        "valueSha256": hashlib.sha256(record.value).hexdigest(),
        "valueTruncated": False,
        "redriveCount": 0,
        "instanceId": "w1",
        "deadLetteredAt": 0,
    }
    headers = {
        "envdriver.status": "DEAD_LETTER",
        "envdriver.schema": "DeadLetter",
        "envdriver.command-id": record.command_id,
        "envdriver.operation": "Probe",
        "envdriver.company-id": "company-1",
        "envdriver.environment-id": "environment-1",
        "__connect.errors.topic": record.topic,
        "__connect.errors.partition": str(record.partition),
        "__connect.errors.offset": str(record.offset),
        "__connect.errors.stage": "TRANSFORMATION",
        "__connect.errors.exception.class.name": "DUPLICATE_COMMAND",
        "__connect.errors.exception.message": "m",
    }
    packed = tuple((k, v.encode()) for k, v in headers.items())
    return Event("dead-letters", 0, record.offset, 0, record.key, packed, "DeadLetter", value)


def a_log(count, **fields):
    """Command records as they would lie in one partition."""
    records = []
    for offset in range(count):
        plain = command("Probe", commandId=f"c{offset}", issuedAt=1_000_000, **fields)
        value = avro.encode_command(plain)
        key = commands.message_key(plain).encode()
        records.append(Record("x.commands", 0, offset, key, value, (), plain))
    return records


def changed(event, *path, to):
    value = copy.deepcopy(event.value)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return Event(**{**vars(event), "value": value})


def test_oracle_is_content_with_a_good_log(t):
    records = a_log(3, orderingKey="k")
    records.append(Record(*records[2].position[:2], 3, b"k", records[2].value, (), records[2].command))
    events = [probe_result(r) for r in records[:3]] + [duplicate_letter(records[3], records[2])]
    assert oracle.check(records, events) == []


def test_oracle_catches(t):
    records = a_log(3)
    good = [probe_result(r) for r in records]
    stranger = Record("x.commands", 0, 99, b"c99", b"", (), command("Probe", commandId="c99"))
    twin = Record("x.commands", 1, 0, b"c0", records[0].value, (), records[0].command)
    letter = duplicate_letter(twin, records[0])
    no_header = tuple(h for h in good[0].headers if h[0] != "status")
    rows = [
        # name, records, events, how each violation begins or what is in it
        ("a duplicate", records, good + [probe_result(records[1], offset=50)], ["duplicate: x.commands[0]@1"]),
        ("a gap", records, good[:2], ["gap: x.commands[0]@2"]),
        ("an orphan", records, good + [probe_result(stranger)], ["orphan: probe-results"]),
        ("a result and a dead letter", records, good + [duplicate_letter(records[1], records[0])],
         ["duplicate: x.commands[0]@1", "names"]),
        ("another command's id", records, good[:2] + [changed(good[2], "command", "commandId", to="c0")],
         ["names command c0", "header command-id"]),
        ("source and id swapped", records,
         [changed(good[0], "trace", "sourceOffset", to=1), changed(good[1], "trace", "sourceOffset", to=0), good[2]],
         ["names command c1", "names command c0"]),
        ("both of one id served", records + [twin], good + [probe_result(twin)], ["id c0: 2 records have a result"]),
        ("none of one id served", records + [twin], [duplicate_letter(records[0], twin), letter] + good[1:],
         ["id c0: 0 records have a result"]),
        ("a letter that names the wrong first", records + [twin], good + [changed(letter, "firstOffset", to=1)],
         ["as the first one"]),
        ("a letter for the only one", records, [duplicate_letter(records[0], records[0])] + good[1:],
         ["id c0: 0 records have a result"]),
        ("a wrong source topic", records, good[:2] + [changed(good[2], "trace", "sourceTopic", to="y")],
         ["orphan:", "gap: x.commands[0]@2"]),
        ("success with an error", records, [changed(good[0], "outcome", "error", to={"code": "X"})] + good[1:],
         ["status SUCCEEDED with error", "header error-code"]),
        ("a missing header", records, [Event(**{**vars(good[0]), "headers": no_header})] + good[1:], ["header status"]),
        ("a wrong key", records, [Event(**{**vars(good[0]), "key": b"?"})] + good[1:], ["key is b'?'"]),
        ("a wrong tenant", records, [changed(good[0], "command", "companyId", to="other")] + good[1:],
         ["companyId is 'other'", "header company-id"]),
        ("a call that was none", records, [changed(good[0], "trace", "attempt", to=0)] + good[1:], ["attempt 0"]),
        ("a truncated dead letter's digest", records + [twin], good + [changed(letter, "valueSha256", to="0")],
         ["valueSha256"]),
        ("a dead letter that lost its bytes", records + [twin], good + [changed(letter, "value", to=b"")],
         ["value is b''"]),
    ]  # fmt: skip
    for name, log, events, expected in rows:
        found = oracle.check(log, events)
        for text in expected:
            assert any(text in line for line in found), f"{name}: {text!r} not in {found}"
        assert len(found) == len(expected), f"{name}: {found}"


def test_oracle_catches_broken_order(t):
    records = a_log(3, orderingKey="k")
    good = [probe_result(r) for r in records]
    early = good[0].value["trace"]["finishedAt"] - 1
    overlap = [good[0], changed(good[1], "trace", "startedAt", to=early), good[2]]
    [found] = oracle.check_order(records, overlap)
    assert "started 1 ms before" in found and "was finished" in found, found
    unpublished = [good[0], changed(good[1], "trace", "startedAt", to=early + 2), good[2]]
    [found] = oracle.check_order(records, unpublished)
    assert "was published" in found, found
    assert oracle.check_order(a_log(3), overlap) == [], "without a key there is no order"


def test_oracle_checks_large_output(t):
    whole = "äöü" * 10
    pieces = [whole[:7], whole[7:]]
    log = [
        Event("execution-logs", 0, i, 0, b"c", (), "ExecutionLog",
              {"origin": "FINAL", "stream": "STDOUT", "callToken": "t", "sequence": i, "text": text,
               "last": i == 1})
        for i, text in enumerate(pieces)
    ]  # fmt: skip
    result = {
        "trace": {"callToken": "t"},
        "stdout": whole[:3],
        "stdoutTruncated": True,
        "stdoutBytes": len(whole.encode()),
        "stdoutSha256": hashlib.sha256(whole.encode()).hexdigest(),
        "stderr": "e",
        "stderrTruncated": False,
        "stderrBytes": 1,
        "stderrSha256": None,
        "finalLogRecords": 2,
        "outcome": {"status": "SUCCEEDED"},
    }
    event = Event("execution-results", 0, 0, 0, b"l", (), "ExecutionResult", result)
    assert oracle.check_output([event, *log]) == []
    stale = [changed(piece, "callToken", to="old") for piece in log]
    assert oracle.check_output([event, *log, *stale]) == [], "an abandoned attempt counts for nothing"
    assert oracle.check_output([event, *log, *log]) == [], "a piece that is there twice"
    lost = changed(event, "stdout", to="")
    lost.value.update(stdoutTruncated=False, stdoutBytes=0, finalLogRecords=0)
    assert oracle.check_output([lost, log[0]]) == [], "left over from what was lost in the middle"
    rows = [
        ("a lost piece", [event, log[0]], "finalLogRecords"),
        ("twice and not the same", [event, *log, changed(log[1], "text", to="x")], "differs"),
        ("a changed piece", [event, changed(log[0], "text", to="x"), log[1]], "stdoutSha256"),
        ("no last mark", [event, log[0], changed(log[1], "last", to=False)], "last marks"),
        ("not the beginning", [changed(event, "stdout", to="z"), *log], "not the beginning"),
        ("a wrong count", [changed(event, "stderrBytes", to=2), *log], "stderrBytes"),
    ]
    for name, events, expected in rows:
        found = oracle.check_output(events)
        assert any(expected in line for line in found), f"{name}: {found}"


# --- redis, registry, processes ---


def test_redis_keeps_what_it_acknowledged(t):
    client = t.redis.client
    client.set("a", "1")
    t.redis.kill()
    t.redis.start()
    assert client.get("a") == "1"
    assert client.set("a", "2", nx=True, get=True) == "1"


def test_registry_records(t):
    package = t.fixture(initDelayMs=5)
    plugin_id = t.install(package, order=3, config={"company-1": {"greeting": "hello"}})
    client = t.redis.client
    assert client.zscore("envdriver:plugins", plugin_id) == 3
    assert client.get("envdriver:plugin-key:fixture.envdriver") == plugin_id
    stored = client.hgetall(f"envdriver:plugin:{plugin_id}")
    assert stored["status"] == "ready" and stored["pluginKey"] == "fixture.envdriver"
    assert stored["package"] == str(package.folder)
    assert json.loads(stored["manifest"])["fixture"] == {"initDelayMs": 5}
    assert json.loads(stored["config"]) == {"company-1": {"greeting": "hello"}}
    registry.set_status(client, plugin_id, "disabled")
    assert client.hget(f"envdriver:plugin:{plugin_id}", "status") == "disabled"
    registry.remove(client, plugin_id)
    assert client.keys("envdriver:*") == []


def test_the_fixture_plugin_runs_on_both_sdk_releases(t):
    for sdk in ("916", "427"):
        package = t.fixture(sdk)
        params = {
            "manifest": package.manifest,
            "config": {},
            "instanceInfo": {"instanceId": "i", "hostVersion": "2026.916.1"},
            "apiVersion": 1,
        }
        request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        plugin = process.spawn(
            ["node", package.folder / "worker.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        t.at_end(plugin.kill)
        plugin.stdin.write(json.dumps(request) + "\n")
        plugin.stdin.flush()
        answer = json.loads(plugin.stdout.readline())
        while answer.get("id") != 1:
            answer = json.loads(plugin.stdout.readline())
        assert answer["result"]["ok"] is True, sdk
        assert "environmentProbe" in answer["result"]["supportedMethods"], sdk


def test_sanitizer_reports_are_seen(t):
    rows = [
        ("==12==ERROR: AddressSanitizer: heap-use-after-free on address", True),
        ("x\n==12==ERROR: LeakSanitizer: detected memory leaks\n", True),
        ("src/a.c:3:1: runtime error: signed integer overflow", True),
        ("envdriver: src/a.c:3: f: Assertion `x' failed.", True),
        ("worker w1 is ready", False),
        ("a plugin said: ERROR: no", False),
    ]
    for text, expected in rows:
        assert bool(process.sanitizer_report(text)) == expected, text


def test_what_is_left_behind_is_found_and_ended(t):
    orphan = subprocess.run(
        ["sh", "-c", "setsid sleep 77 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
    )
    pid = int(orphan.stdout)
    found = process.leftovers(patience=0.1)
    assert any(f"process {pid} " in line and "sleep 77" in line for line in found), found
    process.wait_until(lambda: not process.children(), 5, "the orphan is gone")


def test_the_environment_of_a_program_has_no_settings_of_ours(t):
    os.environ["ENVDRIVER_BUILD"] = "build/address"
    assert not [name for name in environment() if name.startswith("ENVDRIVER_")]
    assert environment(ENVDRIVER_CRASH_AT="begun")["ENVDRIVER_CRASH_AT"] == "begun"


# --- a broker of a test's own ---


@limit(120)
def test_three_brokers_outlive_one(t):
    t.own_broker(brokers=3)
    t.make_topics(commands=3, results=3)
    first = t.topics.publish(*[command("Probe") for _ in range(10)])
    t.broker.kill(2)
    second = t.topics.publish(*[command("Probe") for _ in range(10)])
    t.broker.restart()
    read = t.topics.read_commands()
    assert {r.position for r in read} == {r.position for r in first + second}


def test_tally_finds_what_it_counts(t):
    def tallied(sent, ended, **statuses):
        found = Tally(None)
        for offset, kind in enumerate(sent):
            found.sent(0, offset, kind)
        found.counts[0] = bytearray(ended)
        found.statuses.update(statuses)
        return found.check()

    assert tallied([GOOD, GOOD, GOOD], [1, 1, 1]) == []
    assert tallied([POISON, AGAIN], [1, 1], UNREADABLE_COMMAND=1, DUPLICATE_COMMAND=1) == []
    for wrong, found in {
        "gap": tallied([GOOD, GOOD], [1, 0]),
        "duplicate": tallied([GOOD, GOOD], [1, 2]),
        "orphan": tallied([GOOD], [1, 1]),
        "ids used again": tallied([GOOD, AGAIN], [1, 1]),
        "no command": tallied([POISON], [1]),
    }.items():
        assert len(found) == 1 and wrong in found[0], (wrong, found)
