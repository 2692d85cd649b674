# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a worker that is hit at a stage of a command's way, members that are
noticed soon when they die, and what is looked for in the events."""

import json
import os
import time

from .process import _stat, wait_until
from .topics import EVENTS

# Of a command's way, in its order (include/envdriver/base/crash.h).
STAGES = "polled claimed called answered begun produced offsets committing".split()

# A dead member holds its partitions for 2 s in place of 6.
QUICK = {"kafka.session.timeout.ms": "2000", "kafka.heartbeat.interval.ms": "200"}


class Hit:
    """Signals a worker at a stage, as often as it is armed:

    hit = Hit(t, "called", "KILL")
    worker = t.worker(env=hit.env)
    hit.arm()
    """

    def __init__(self, t, stage, signal="KILL", count=1):
        self.file = t.dir / f"armed-{stage}-{time.monotonic_ns()}"
        self.env = {
            "ENVDRIVER_CRASH_AT": f"{stage}:{count}",
            "ENVDRIVER_CRASH_SIGNAL": signal,
            "ENVDRIVER_CRASH_ARM": str(self.file),
        }

    def arm(self):
        self.file.touch()

    def disarm(self):
        self.file.unlink(missing_ok=True)


def wait_frozen(worker, timeout=30):
    """Until a STOP has reached it."""
    wait_until(
        lambda: _stat(worker.pid)[0] == "T", timeout, f"{worker.name} has stopped at its stage"
    )


def status(worker):
    """What its /status says, at most a second old; {} when nobody answers."""
    try:
        return json.loads(worker.get("/status", timeout=2).body)
    except (OSError, ValueError):
        return {}


def owned(worker):
    """The partitions that it has open."""
    return [p["partition"] for p in status(worker).get("partitions", ())]


def wait_owner(worker, count=1, timeout=30):
    wait_until(
        lambda: len(owned(worker)) == count,
        timeout,
        lambda: f"{worker.name} has {count} partitions, it has {owned(worker)}",
    )


def wait_calls(worker, count, timeout=20):
    """Until so many requests are with its plugins."""
    name = "envdriver_calls_running"
    wait_until(
        lambda: worker.metric(name) == count,
        timeout,
        lambda: f"{worker.name} has {count} calls, it has {worker.metric(name)}",
    )


def interrupted(events):
    return [e for e in events if e.final and e.status == "INTERRUPTED"]


def incarnation(t, worker):
    return t.redis.client.hget(f"envdriver:instance:{worker.name}", "incarnation")


def stalled(t, names=EVENTS):
    """Partitions whose read_committed readers are held up by an open transaction."""
    committed = t.topics.ends(names)
    written = t.topics.ends(names, isolation="read_uncommitted")
    return [place for place, end in written.items() if committed[place] < end]


def wait_not_stalled(t, timeout, what):
    """Seconds that readers were held up for, at most `timeout`."""
    begin = time.monotonic()
    wait_until(lambda: not stalled(t), timeout, what)
    return time.monotonic() - begin


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def assert_calls(ledger, events):
    """The plugin's own ledger beside the results: an Execute is called at most once, exactly once
    when its result says that it ran, and not at all when it says that nothing was called. Each
    call has a result."""
    asked = ledger.asked()
    many = [c for c in asked.items() if c[1] > 1]
    assert not many, f"called more than once: {many}"
    told = set()
    for event in events:
        if event.final and event.name == "ExecutionResult" and event.command_id in ledger.names:
            name, attempt = ledger.names[event.command_id], event.value["trace"]["attempt"]
            told.add(name)
            if event.status == "SUCCEEDED":
                assert asked[name] == attempt == 1, (f"called {asked[name]} times", event.value)
            elif attempt == 0:
                assert asked[name] == 0, (f"called {asked[name]} times", event.value)
    assert told, "no Execute has a result"
    assert asked.keys() <= told, f"called without a result: {sorted(asked.keys() - told)}"


def assert_attempts(events):
    """Other operations are called once or twice."""
    results = [e for e in events if e.final and e.name != "DeadLetter"]
    assert results, "nothing has a result"
    for event in results:
        assert event.value["trace"]["attempt"] <= 2, event.plain
