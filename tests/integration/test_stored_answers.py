# SPDX-License-Identifier: Apache-2.0
"""Answers that were put into Redis by somebody else than a worker. None of them is published: the
command is called as if there were none, and no worker ends of it."""

import time

from harness import avro
from harness.case import limit
from harness.commands import command


def zigzag(n):
    n = (n << 1) ^ (n >> 63)
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def text(value):
    return zigzag(len(value)) + value


def packed(*events):
    """The answer record of docs/schemas.md: (topic, value) each."""
    out = b"v1"
    for topic, value in events:
        headers = zigzag(1) + text(b"status") + zigzag(1) + text(b"SUCCEEDED") + zigzag(0)
        out += zigzag(1) + text(topic) + zigzag(0) + headers + text(value)
    return out + zigzag(0)


def forge(t, record, timestamp, answer):
    """A claim that says that the command was answered, and the answer."""
    where = f"{t.topics.prefix}commands|{record.partition}|{record.offset}|{timestamp}"
    claim = f"v1|answered|{where}|evil|evil-inc|evil.1|1|2026-12-01T00:00:00.000Z|"
    redis = t.redis.client
    redis.set(f"envdriver:answer:{record.command_id}", answer)
    redis.set(f"envdriver:claim:{record.command_id}", claim)


def result_of_another(t):
    """A true result, of a command that is none of the forged ones."""
    [event] = t.topics.wait(t.topics.publish(command("Probe", orderingKey="")))
    return avro.encode("ProbeResult", event.value)


@limit(120)
def test_forged_answers(t):
    t.install(t.fixture())
    t.worker("w1")
    other = result_of_another(t)
    t.workers[0].stop()
    forged = {
        "for the command topic": packed((b"commands", other)),
        "of another command": packed((b"probe-results", other)),
        "of no schema": packed((b"probe-results", b"nonsense")),
        "empty": b"v1\0",
        "two results": packed((b"probe-results", other), (b"probe-results", other)),
        "a dead letter": packed((b"dead-letters", b"nonsense")),
    }
    now = int(time.time() * 1000)
    records = t.topics.publish(*(command("Probe", orderingKey="") for _ in forged), timestamp=now)
    for record, answer in zip(records, forged.values(), strict=True):
        forge(t, record, now, answer)
    worker = t.worker("w2")
    for name, event in zip(forged, t.topics.wait(records, timeout=60), strict=True):
        assert event.name == "ProbeResult" and event.status == "SUCCEEDED", (name, event.plain)
        assert event.value["trace"]["instanceId"] == "w2", (name, event.plain)
    assert worker.stderr().count("is not usable, ignoring it") >= len(forged)
    t.verify()
