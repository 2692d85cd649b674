# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, faults 16, 23 and 24, and the extras about input. What is no command ends as
one dead letter, byte for byte; what is one twice is served once; leases go as the log has them."""

import json
import struct
import subprocess
import sys
import time

from harness import avro, commands
from harness.case import limit, short
from harness.commands import command, sandbox_provider
from harness.faults import rss_kb, wait_calls
from harness.ledger import Ledger
from harness.paths import ROOT, environment
from harness.worker import SANITIZER_OPTIONS, program


def framed(plain=None):
    return avro.encode_command(plain or command("Probe"))


def varint(n):
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def unreadable():
    good = framed()
    head, datum = good[:10], good[10:]
    yield "empty", b""
    yield "no frame", b"{}"
    yield "half a frame", good[:5]
    yield "json text", json.dumps(command("Probe")).encode()
    yield "wrong fingerprint", good[:2] + bytes(8) + datum
    yield "frame alone", head
    yield "truncated", good[:-3]
    yield "trailing bytes", good + b"x"
    yield "length 2^30", head + varint(1 << 30) + b"abcdefgh"
    yield "length -5", head + varint(-5) + b"abcdefgh"
    yield "varint without end", head + b"\xff" * 12
    yield "invalid UTF-8", head + varint(2) + b"\xff\xfe" + datum
    yield "union branch 99", good[:-1] + varint(99)
    yield "registry framing", b"\x00" + struct.pack(">i", 7) + datum
    yield "deep nesting in the datum", head + b"\x02[" * 50000


def invalid():
    deep = "[" * 100 + "]" * 100
    yield "commandId", command("Probe", commandId="")
    yield "commandId", command("Probe", commandId="x" * 201)
    yield "companyId", command("Probe", companyId="c" * 1025)
    yield "target", {**command("Probe"), "target": None}
    yield "target", {**command("Probe"), "operation": {"type": "ListDrivers"}}
    yield "target.pluginKey", command(
        "Probe", target={"type": "PluginDriver", "pluginKey": "", "driverKey": "d"}
    )
    yield "config", command("Probe", config="[]")
    yield "config", command("Probe", config="{nope")
    yield "config", command("Probe", config='{"a":' + deep + "}")
    yield "operation.lease", command("Execute", {"lease": "[1]"})
    yield "operation.timeoutMs", command("Execute", {"timeoutMs": 0})
    yield "operation.port", command("RunnerIngressEndpoint", {"port": 70000})
    yield "operation.path", command("RunnerIngressEndpoint", {"path": "run"})


@limit(120)
@short
def test_unreadable_records(t):
    t.install(t.fixture())
    t.worker(config={"plugin.start.wait": "15s"})
    for name, value in unreadable():
        record = t.topics.publish_raw(value, key=b"k", headers=[("h", b"\xff\x00"), ("n", None)])
        [letter] = t.topics.wait([record])
        assert letter.name == "DeadLetter", (name, letter.plain)
        assert letter.value["reason"] == "UNREADABLE_COMMAND", (name, letter.plain)
        assert letter.value["value"] == value, name
        assert letter.value["key"] == b"k" and letter.key == b"k", name
        assert letter.header("__connect.errors.exception.class.name") == "UNREADABLE_COMMAND"
    for key in (b"k", None, b""):
        [letter] = t.topics.wait([t.topics.publish_raw(None, key=key)])
        assert letter.value["value"] is None and letter.value["valueBytes"] == -1
        assert letter.key == key and letter.value["key"] == key, key
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED"
    t.verify()


@limit(120)
@short
def test_invalid_commands_name_the_field(t):
    t.install(t.fixture())
    t.worker()
    for field, plain in invalid():
        [letter] = t.topics.wait([t.topics.publish_raw(framed(plain), key=b"k")])
        assert letter.name == "DeadLetter", (field, letter.plain)
        got = letter.value["reason"], letter.value["field"]
        assert got == ("INVALID_COMMAND", field), (got, field, letter.value["message"])
    t.verify()


@limit(90)
def test_command_too_large(t):
    t.worker(config={"command.max.bytes": "64KiB"})
    big = framed(command("Probe", config=json.dumps({"a": "x" * 100_000})))
    [letter] = t.topics.wait([t.topics.publish_raw(big, key=b"k")])
    assert letter.value["reason"] == "COMMAND_TOO_LARGE", letter.plain
    assert letter.value["valueBytes"] == len(big) and letter.value["value"] == big
    t.verify()


@limit(120)
def test_malformed_registry_records(t):
    t.worker(config={"plugin.start.wait": "15s"})
    client = t.redis.client
    broken = {
        "bad-json": {"pluginKey": "bad-json", "status": "ready", "manifest": "{nope"},
        "no-manifest": {"pluginKey": "no-manifest", "status": "ready"},
        "drivers-no-array": {"pluginKey": "drivers-no-array", "status": "ready",
                             "manifest": '{"environmentDrivers":{}}'},
    }
    for i, (key, fields) in enumerate(broken.items()):
        client.hset(f"envdriver:plugin:{key}", mapping=fields)
        client.set(f"envdriver:plugin-key:{key}", key)
        client.zadd("envdriver:plugins", {key: i + 1})
    client.set("envdriver:plugin:wrong-type", "text")
    client.zadd("envdriver:plugins", {"wrong-type": 9})
    good = t.install(t.fixture(), order=20)
    for key in broken:
        target = {"type": "PluginDriver", "pluginKey": key, "driverKey": "d"}
        [event] = t.topics.wait(t.topics.publish(command("Probe", target=target)))
        assert event.error["code"] == "DRIVER_NOT_READY", event.plain
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED" and event.value["command"]["pluginId"] == good
    t.verify()


@limit(300)
def test_memory_after_many_poison_records(t):
    """10^5 poison records leave no more behind than 10^3 (within 4 MB)."""
    # Without sanitizers, which keep what was freed.
    worker = t.worker(config={"log.level": "error"}, build="release")
    poison = [v for _, v in unreadable() if len(v) < 1000]

    def feed(count):
        rows = [poison[i % len(poison)] for i in range(count)]
        before = t.topics.ends(["dead-letters"])
        t.topics.publish_raw_many(rows)
        t.topics.wait_ends(["dead-letters"], sum(before.values()) + count, timeout=150)
        time.sleep(4)  # at rest: the allocator has given back what the burst took

    feed(1_000)
    after_few = rss_kb(worker.pid)
    feed(100_000)
    after_many = rss_kb(worker.pid)
    print(f"resident: {after_few} KiB after 10^3, {after_many} KiB after 10^5")
    assert after_many - after_few <= 4096, (after_few, after_many)
    t.verify()


# --- fault 23: one id, several records ---


@limit(120)
@short
def test_an_id_that_is_published_again(t):
    """At another offset, in the same and in another partition, with the same and with another
    payload, before and after the first one's end: the first has its result, the plugin is called
    once, and each further one is a dead letter that names the first."""
    ledger = Ledger(t)
    t.worker()
    first = ledger.execute("first", seconds=2, commandId="same")
    others = [
        first,
        {**first, "issuedAt": first["issuedAt"] + 1},
        ledger.execute("other", commandId="same"),
        ledger.probe(commandId="same"),
    ]
    records = t.topics.publish(first, partition=1)
    while not ledger.asked():  # claimed
        time.sleep(0.05)
    places = (0, 1, 1, 2)
    records += [t.topics.publish(o, partition=p)[0] for o, p in zip(others, places)]
    result, *letters = t.topics.wait(records)
    late = t.topics.publish(first, partition=1) + t.topics.publish(others[2], partition=0)
    letters += t.topics.wait(late)
    assert result.status == "SUCCEEDED" and result.name == "ExecutionResult", result.plain
    for letter in letters:
        assert letter.status == "DUPLICATE_COMMAND", letter.plain
        named = (letter.value["firstPartition"], letter.value["firstOffset"])
        assert named == (1, records[0].offset), letter.plain
        assert letter.command_id == "same"
    assert ledger.asked() == {"first": 1}, ledger.asked()
    t.verify()


@limit(150)
def test_duplicates_in_a_crowd(t):
    """400 records of 100 ids, four of each and mixed, with two workers."""
    t.make_topics(commands=6)
    ledger = Ledger(t)
    t.worker("w1")
    t.worker("w2")
    made = [ledger.execute(f"run-{n % 100}", commandId=f"id-{n % 100}") for n in range(400)]
    events = t.topics.wait(t.topics.publish(*made), timeout=60)
    refused = [e for e in events if e.status == "DUPLICATE_COMMAND"]
    assert len(refused) == 300, len(refused)
    assert len(ledger.asked()) == 100 and max(ledger.asked().values()) == 1
    t.verify()


# --- fault 24: lease commands out of order ---


def sent(t):
    """(method, lease) of the calls that were written to the plugin, in their order."""
    calls = []
    for path in sorted((t.dir / "sent").glob("*/*/in")):
        for line in path.read_bytes().splitlines():
            request = json.loads(line)
            params = request.get("params") or {}
            lease = (params.get("lease") or params).get("providerLeaseId")
            if lease:
                calls.append((request["method"].removeprefix("environment"), lease))
    return calls


@limit(120)
@short
def test_lease_commands_in_any_order(t):
    """They reach the plugin in the order of the log, and its answers are published as they are."""
    t.install(t.local())
    tee = ROOT / "tests" / "golden" / "tee.py"
    t.worker(config={"plugin.wrapper": f"{sys.executable} -B {tee} {t.dir / 'sent'}"})
    target = sandbox_provider("local")

    def plain(operation, lease, **fields):
        what = {"lease": {"providerLeaseId": lease}} if operation == "Execute" else {
            "providerLeaseId": lease}
        return command(operation, {**what, **fields}, target=target)

    [acquired] = t.topics.wait(t.topics.publish(command("AcquireLease", target=target)))
    lease = acquired.value["lease"]["providerLeaseId"]
    steps = [
        ("Execute", lease), ("DestroyLease", lease), ("ResumeLease", lease),
        ("DestroyLease", lease), ("Execute", lease), ("ReleaseLease", lease),
        ("DestroyLease", "local-never-was"), ("ResumeLease", "local-never-was"),
        ("Execute", "local-never-was"), ("DestroyLease", lease),
    ]
    events = t.topics.wait(t.topics.publish(*(plain(*step) for step in steps)))
    assert [c for c in sent(t) if c[1] == lease] == [s for s in steps if s[1] == lease]
    assert [c for c in sent(t) if c[1] != lease] == [s for s in steps if s[1] != lease]
    said = [(e.status, e.value.get("leaseLost"), (e.error or {}).get("code")) for e in events]
    fine, lost = ("SUCCEEDED", False, None), ("SUCCEEDED", True, None)
    ran, refused = ("SUCCEEDED", None, None), ("FAILED", None, "PLUGIN_ERROR")
    assert said[:4] == [ran, fine, lost, fine], said
    assert said[4] == refused and said[6:8] == [fine, lost] and said[8:] == [refused, fine], said
    for event in (events[1], events[3], events[6], events[9]):
        assert event.value["receipt"]["state"] == "destroyed", event.plain
    t.verify()


@limit(120)
def test_destroy_overtakes_when_it_may(t):
    """With an empty ordering key a lease can be torn down under a running execution."""
    t.install(t.local())
    worker = t.worker()
    target = sandbox_provider("local")
    [acquired] = t.topics.wait(t.topics.publish(command("AcquireLease", target=target)))
    lease = acquired.value["lease"]["providerLeaseId"]
    fields = {"lease": {"providerLeaseId": lease}, "command": "sleep", "args": ["60"]}
    running = t.topics.publish(command("Execute", fields, target=target))
    wait_calls(worker, 1)
    destroy = command("DestroyLease", {"providerLeaseId": lease}, target=target, orderingKey="")
    [gone] = t.topics.wait(t.topics.publish(destroy))
    assert gone.value["receipt"]["state"] == "destroyed", gone.plain
    [ended] = t.topics.wait(running)
    assert ended.status == "SUCCEEDED" and ended.value["signal"] == "SIGTERM", ended.plain
    t.verify()


# --- extras ---


@limit(120)
@short
def test_many_headers(t):
    """About 10^5 headers on one record: on a command they count for nothing, on what is none they
    are in its dead letter."""
    t.install(t.fixture())
    worker = t.worker(config={"plugin.start.wait": "15s"})
    headers = [("h", None)] * 99_900  # librdkafka's readers take 100,000
    began = time.monotonic()
    good = t.topics.publish_raw(framed(), key=b"k", headers=headers)
    bad = t.topics.publish_raw(b"no command", key=b"k", headers=headers)
    result, letter = t.topics.wait([good, bad])
    took = time.monotonic() - began
    assert result.status == "SUCCEEDED", result.plain
    assert len(letter.value["headers"]) == 99_900
    assert letter.value["value"] == b"no command"
    assert took < 20, took
    worker.assert_not_said("the event loop was blocked")
    t.verify()


@limit(90)
@short
def test_without_a_key(t):
    """A record's key is for Kafka only: what orders commands is in them."""
    ledger = Ledger(t)
    t.worker()
    rows = [framed(ledger.execute(f"run-{n}", seconds=0.2, key="one")) for n in range(5)]
    records = [t.topics.publish_raw(row, key=None, partition=0) for row in rows]
    for event in t.topics.wait(records):
        assert event.status == "SUCCEEDED", event.plain
    assert list(ledger.asked()) == [f"run-{n}" for n in range(5)]
    t.verify()


@limit(120)
def test_truncated_configuration_file(t):
    """Cut after any byte it is read, or refused with file, line and key; it never crashes."""
    whole = (
        "kafka.bootstrap.servers = localhost:9092\n"
        "redis.url = redis://user:Pa55word@localhost:6379/0\n"
        "plugin.dirs = /opt/plugins:/srv/plugins\n"
        "# a comment\n"
        "drain.timeout = 30s\n"
        "max.in.flight = 100\n"
    )
    path = t.dir / "cut.conf"
    refused = 0
    for length in range(len(whole) + 1):
        path.write_text(whole[:length], "utf-8")
        done = subprocess.run(
            [program(), "config", "print", "-c", path],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=environment(**SANITIZER_OPTIONS),
        )
        t.assert_no_report(done.stderr)
        assert done.returncode in (0, 78), (length, done.returncode, done.stderr)
        assert "Pa55word" not in done.stdout + done.stderr, length
        if done.returncode == 78:
            refused += 1
            line = whole[:length].count("\n") + 1
            assert f"{path}:{line}" in done.stderr, (length, done.stderr)
    assert refused > 50, refused
