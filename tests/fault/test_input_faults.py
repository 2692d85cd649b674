# SPDX-License-Identifier: Apache-2.0
"""What is no command ends as one dead letter, byte for byte; the worker goes on."""

import json
import struct
import time

from harness import avro
from harness.case import limit
from harness.commands import command


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
def test_unreadable_records(t):
    t.install(t.fixture())
    t.worker()
    for name, value in unreadable():
        record = t.topics.publish_raw(value, key=b"k", headers=[("h", b"\xff\x00"), ("n", None)])
        [letter] = t.topics.wait([record])
        assert letter.name == "DeadLetter", (name, letter.plain)
        assert letter.value["reason"] == "UNREADABLE_COMMAND", (name, letter.plain)
        assert letter.value["value"] == value, name
        assert letter.value["key"] == b"k" and letter.key == b"k", name
        assert letter.header("__connect.errors.exception.class.name") == "UNREADABLE_COMMAND"
    tombstone = t.topics.publish_raw(None, key=b"k")
    [letter] = t.topics.wait([tombstone])
    assert letter.value["value"] is None and letter.value["valueBytes"] == -1
    [event] = t.topics.wait(t.topics.publish(command("Probe")))
    assert event.status == "SUCCEEDED"
    t.verify()


@limit(120)
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


@limit(120)
def test_malformed_registry_records(t):
    t.worker()
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


@limit(240)
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
    after_few = resident(worker.pid)
    feed(100_000)
    after_many = resident(worker.pid)
    print(f"resident: {after_few} KiB after 10^3, {after_many} KiB after 10^5")
    assert after_many - after_few <= 4096, (after_few, after_many)


def resident(pid):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
