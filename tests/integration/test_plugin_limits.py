# SPDX-License-Identifier: Apache-2.0
"""What a plugin says has limits and forms; what goes beyond costs nobody but itself."""

import json

from harness.case import limit
from harness.hostile import Hostile
from harness.process import wait_until

FULL = "The state of this plugin and company is full"

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


def asked(t, hostile, asks, **top):
    [event] = t.topics.wait(t.topics.publish(hostile.command(config={"asks": asks}, **top)))
    assert event.status == "SUCCEEDED", event.plain
    return json.loads(event.value["summary"])


def state(method, key, **more):
    return [f"state.{method}", {"scopeKind": "instance", "stateKey": key, **more}]


@limit(60)
def test_state_has_a_quota(t):
    """Keys and bytes of one plugin and company; the others of it are not touched, and what is there
    can be made smaller and taken away."""
    hostile = Hostile(t)
    limits = {"keys": "3", "bytes": "2KiB"}
    t.worker(config={f"plugin.state.max.{name}": value for name, value in limits.items()})
    field = '["instance",null,"default","%s"]'
    t.redis.client.hset(f"envdriver:state:{hostile.id}:co", field % "a", '"old"')
    long = [state("set", "a", value="x" * 1000), state("set", "b", value="x" * 1500)]
    keys = [state("set", k, value=1) for k in "abcd"]
    got = asked(t, hostile, [state("get", "a"), *long, state("get", "a"), *keys], companyId="co")
    assert got[:2] == ["old", None] and got[2].startswith(FULL) and got[3] == "x" * 1000, got
    assert got[4:7] == [None] * 3 and got[7].startswith(FULL), got
    assert asked(t, hostile, keys[:1], companyId="other") == [None]
    again = [state("delete", "b"), *keys[3:], state("get", "d")]
    assert asked(t, hostile, again, companyId="co") == [None, None, 1]
    [long] = asked(t, hostile, [state("set", "a", value="x" * (1 << 18))], companyId="co")
    assert long == "A value of 262146 bytes exceeds the limit of 262144 bytes"
    kept = t.redis.client.hgetall(f"envdriver:state:{hostile.id}:co")
    counted = int(t.redis.client.get(f"envdriver:state-bytes:{hostile.id}:co"))
    assert counted == sum(len(k) + len(v) for k, v in kept.items())


@limit(60)
def test_state_of_ids_with_colons(t):
    """Company "x:c" of plugin "p" and company "c" of plugin "p:x" are two."""
    one = Hostile(t)
    former = f"envdriver:state:{one.id}:x:c"
    field = '["instance",null,"default","k"]'
    t.redis.client.hset(former, field, '"former"')
    t.worker()
    assert asked(t, one, [state("get", "k")], companyId="x:c") == ["former"]
    t.redis.client.zadd("envdriver:plugins", {f"{one.id}:x": 2})
    assert asked(t, one, [state("get", "k")], companyId="x:c") == [None]
    asks = [state("set", "k", value="mine"), state("get", "k")]
    assert asked(t, one, asks, companyId="x:c") == [None, "mine"]
    assert t.redis.client.hget(f"envdriver:state:{one.id}:x%3Ac", field) == '"mine"'
    assert t.redis.client.hget(former, field) == '"former"'


@limit(60)
def test_noise_on_standard_output_is_told(t):
    """Once a minute, with the beginning of the line."""
    hostile = Hostile(t)
    worker = t.worker()
    raw = {"raw": ["hello from a print\n"] * 50 + ['{"level":30,"msg":"a logger"}\n']}
    [event] = t.topics.wait(t.topics.publish(hostile.command(config=raw)))
    assert event.status == "SUCCEEDED"
    text = "standard output is the protocol; not JSON: hello from a print (such lines so far: 1)"
    wait_until(lambda: text in worker.stderr(), 5, worker.stderr)
    assert worker.stderr().count("standard output is the protocol") == 1
