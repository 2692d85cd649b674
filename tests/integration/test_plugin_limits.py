# SPDX-License-Identifier: Apache-2.0
"""What a plugin says has limits and forms; what goes beyond costs nobody but itself."""

import json

from harness.case import limit
from harness.hostile import Hostile
from harness.process import wait_until

LISTED_MAX = 64 << 10


def reply(lease, tail=""):
    return '{"jsonrpc":"2.0","id":{id},"result":{"providerLeaseId":%s}%s}\n' % (lease, tail)


def read(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@limit(120)
def test_leases_that_no_command_can_name(t):
    """Each is destroyed again with the id that the plugin gave, and the result says why."""
    hostile = Hostile(t)
    worker = t.worker()
    path = t.dir / "destroyed"
    rows = [
        ('"{big}"', [1500, "x"], "x" * 1500, "at most 1024 bytes, got 1500"),
        ('"{big}"', [LISTED_MAX, "y"], "y" * LISTED_MAX, f"at most 1024 bytes, got {LISTED_MAX}"),
        ('"{big}"', [3 << 20, "z"], "z" * (3 << 20), "at most 1024 bytes, got"),
        ("{big}", [1100, "7"], int("7" * 1100), "at most 1024 bytes, got 1100"),
        ('{"a":[1]}', [0, ""], {"a": [1]}, "expected string, got object"),
        ("true", [0, ""], True, "expected string, got boolean"),
        ('"a\\ud800"', [0, ""], "a\ud800", "expected Unicode characters, got lone surrogates"),
    ]
    rows.append(('"beside"', [0, ""], "beside", "Unexpected response format"))
    made = []
    for lease, big, _, why in rows:
        tail = ',"error":null' if "format" in why else ""
        config = {"answer": reply(lease, tail), "big": big, "destroyed": str(path)}
        made.append(hostile.command("AcquireLease", config=config))
    for (_, _, _, why), event in zip(rows, t.topics.wait(t.topics.publish(*made))):
        assert (event.status, event.error["code"]) == ("FAILED", "BAD_RESPONSE"), event.plain
        assert why in event.error["message"], event.error
        assert "it is destroyed" in event.value["trace"]["warnings"][-1], event.plain
    wanted = [row[2] for row in rows]
    wait_until(lambda: len(read(path)) == len(rows), 40, lambda: [str(x)[:20] for x in read(path)])
    assert all(one in wanted for one in read(path)) and all(one in read(path) for one in wanted)
    config = {"answer": reply("12345"), "destroyed": str(path)}
    [event] = t.topics.wait(t.topics.publish(hostile.command("AcquireLease", config=config)))
    assert event.value["lease"]["providerLeaseId"] == "12345", event.plain
    assert "is a number" in event.value["trace"]["warnings"][0], event.plain
    fields = {"providerLeaseId": "12345"}
    one = hostile.command("DestroyLease", fields, {"destroyed": str(path)})
    assert t.topics.wait(t.topics.publish(one))[0].status == "SUCCEEDED"
    assert read(path)[-1] == "12345"
    wait_until(lambda: t.redis.client.hlen("envdriver:orphans") == 0, 30, "no orphan is left")
    events = [e for e in t.verify() if e.name == "PluginEvent"]
    assert all(len(e.value["name"] or "") <= 1024 for e in events)
    types = [e.value["type"] for e in events]
    assert types.count("LEASE_DESTROYED") == len(rows), types
    assert worker.process.poll() is None


@limit(60)
def test_long_orphans_in_redis_are_not_read(t):
    """A record longer than any that is written stays where it is, and holds up no other."""
    hostile = Hostile(t)
    path = t.dir / "destroyed"
    t.redis.client.hset("envdriver:orphans", "long:T", "x" * (5 << 20))
    worker = t.worker()
    config = {"answer": reply('"{big}"'), "big": [1500, "x"], "destroyed": str(path)}
    t.topics.wait(t.topics.publish(hostile.command("AcquireLease", config=config)))
    wait_until(lambda: read(path) == ["x" * 1500], 30, "the other one is destroyed")
    wait_until(lambda: "1 records of the hash 'orphans'" in worker.stderr(), 10, worker.stderr)
    assert t.redis.client.hkeys("envdriver:orphans") == ["long:T"]
    t.verify()
