# SPDX-License-Identifier: Apache-2.0
"""Exactly one final event for every command, while workers are killed and started."""

import random
import re
import sys
import threading
import time
from collections import Counter

from harness.case import limit
from harness.commands import command
from harness.faults import assert_calls
from harness.ledger import Ledger
from harness.paths import ROOT
from harness.process import wait_until

KEYS = [f"key-{i}" for i in range(40)]


def load(count, seed):
    """A third of them executions of 0.1 to 5 s (most are short), half of these keyed."""
    rng = random.Random(seed)
    made = []
    for i in range(count):
        key = rng.choice(KEYS) if rng.random() < 0.3 else ""
        if i % 3:
            made.append(command("Probe", orderingKey=key))
            continue
        seconds = round(min(5.0, 0.1 + rng.expovariate(1.5)), 2)
        config = {"test": {"sleepMs": int(seconds * 1000), "stdoutBytes": 10}}
        made.append(command("Execute", {"command": f"run-{i}"}, orderingKey=key, config=config))
    return made


def watched(t):
    """Settings that have everything written down that plugins are sent."""
    tee = ROOT / "tests" / "golden" / "tee.py"
    return {"plugin.wrapper": f"{sys.executable} -B {tee} {t.dir / 'sent'}"}


def executions(t):
    """How often plugins were asked to run each command, by what they were sent."""
    calls = Counter()
    for path in (t.dir / "sent").glob("*/*/in"):
        for line in path.read_bytes().splitlines():
            if b'"environmentExecute"' in line:
                calls.update(re.findall(rb'"command":"(run-\d+)"', line))
    return calls


def interrupted(events):
    return [e for e in events if e.final and e.status == "INTERRUPTED"]


@limit(420)
def test_two_workers_one_killed_every_5_s(t):
    t.make_topics(commands=6)
    t.install(t.fixture())
    config = {"plugin.max.in.flight": "256", "max.in.flight": "2000", **watched(t)}
    steady = t.worker("steady", config=config)
    shaky = t.worker("shaky", config=config)
    records = t.topics.publish(*load(5000, seed=1))
    end = time.monotonic() + 60
    kills = 0
    while time.monotonic() < end:
        time.sleep(5)
        shaky.kill()
        kills += 1
        time.sleep(1)
        shaky.start()
    shaky.wait_ready()
    t.topics.wait(records, timeout=240)
    events = t.verify(quiet=3)
    lost = interrupted(events)
    # Whoever lived finished its executions with their real results.
    for event in lost:
        token = event.value["trace"]["callToken"]
        assert token is None or not token.startswith(incarnation(t, steady)), event.plain
    calls = executions(t)
    assert len(calls) > 1000, len(calls)
    assert max(calls.values()) == 1, [c for c in calls.items() if c[1] > 1][:5]
    print(f"{kills} kills, {len(lost)} of {len(records)} INTERRUPTED")


def incarnation(t, worker):
    return t.redis.client.hget(f"envdriver:instance:{worker.name}", "incarnation")


@limit(240)
def test_rolling_restart_interrupts_nothing(t):
    t.make_topics(commands=6)
    t.install(t.fixture())
    workers = [t.worker(f"w{i}", config={"drain.timeout": "1s"}) for i in range(3)]
    config = {"test": {"sleepMs": 15000, "stdoutBytes": 10}}
    records = t.topics.publish(
        *(command("Execute", orderingKey="", config=config) for _ in range(30))
    )
    wait_until(
        lambda: all(worker.metric("envdriver_calls_running") for worker in workers),
        20,
        "each worker has calls",
    )
    for worker in workers:
        # Its calls run on and are handed over; a new one takes its place.
        threading.Thread(target=worker.terminate, args=(60,)).start()
        time.sleep(1.5)  # one after the other, as a rolling restart goes
    for worker in workers:
        worker.wait(60)
        worker.start().wait_ready(40)
    t.topics.wait(records, timeout=90)
    events = t.verify()
    assert not interrupted(events), [e.plain for e in interrupted(events)][:3]


@limit(90)
def test_room_for_one_command(t):
    """max.in.flight of 1 to 3: three quarters of it were none, and consumption never resumed."""
    t.install(t.fixture())
    for most in ("1", "3"):
        worker = t.worker(f"w{most}", config={"max.in.flight": most})
        t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(12))), timeout=30)
        assert worker.terminate() == 0
    t.verify()


@limit(180)
def test_redis_away_and_back(t):
    t.install(t.fixture())
    worker = t.worker()
    t.topics.wait(t.topics.publish(command("Probe")))
    t.redis.stop()
    records = t.topics.publish(*(command("Probe") for _ in range(20)))
    wait_until(lambda: worker.ready_status() == 503, 20, "it knows that Redis is away")
    assert "Redis" in worker.ready_text(), worker.ready_text()
    t.redis.start()
    t.topics.wait(records, timeout=60)
    t.verify()


@limit(180)
def test_kill_at_every_stage(t):
    """docs/reliability.md, fault 1: one final event each; an Execute is called at most once, which
    the plugin's ledger says and not the worker that died."""
    ledger = Ledger(t)
    for stage in "polled claimed called answered begun produced offsets committing".split():
        worker = t.worker(f"w-{stage}", ready=False, env={"ENVDRIVER_CRASH_AT": stage})
        wait_until(
            lambda: t.redis.client.hget(
                f"envdriver:worker:{ledger.plugin_id}:{worker.name}", "status"
            )
            == "running",
            20,
            f"{worker.name}'s plugin runs",
        )
        records = t.topics.publish(ledger.execute(stage), ledger.probe())
        worker.wait(40)
        assert worker.process.returncode == -9, (stage, worker.process.returncode)
        worker.env = {}
        worker.start()
        t.topics.wait(records, timeout=60)
        assert worker.terminate() == 0, stage
    assert_calls(ledger, t.verify())


@limit(120)
def test_late_lease_is_destroyed(t):
    """An AcquireLease that times out and brings a lease after all: the lease does not stay (P4)."""
    t.install(t.fixture())
    worker = t.worker(config={"plugin.call.timeout": "1s"})
    config = {"test": {"on": "environmentAcquireLease", "sleepMs": 3000}}
    [event] = t.topics.wait(t.topics.publish(command("AcquireLease", config=config)))
    assert event.error["code"] == "TIMEOUT", event.plain
    wait_until(lambda: "has no owner" in worker.stderr(), 20, "the orphan is written")
    wait_until(lambda: t.redis.client.hlen("envdriver:orphans") == 0, 30, "the orphan is gone")
    types = [e.value["type"] for e in t.verify() if e.name == "PluginEvent"]
    assert types.count("LEASE_ORPHANED") == 1 and types.count("LEASE_DESTROYED") == 1, types


@limit(150)
def test_lease_published_by_the_next_attempt_stays(t):
    """Killed between the recorded answer and the commit: whoever publishes the answer is the
    lease's owner, so the lease is no orphan."""
    plugin_id = t.install(t.fixture())
    worker = t.worker(env={"ENVDRIVER_CRASH_AT": "begun"})
    wait_until(
        lambda: t.redis.client.hget(f"envdriver:worker:{plugin_id}:w1", "status") == "running",
        20,
        "the plugin runs",
    )
    records = t.topics.publish(command("AcquireLease"))
    worker.wait(30)
    assert "answered" in t.redis.client.get(f"envdriver:claim:{records[0].command_id}")
    worker.env = {}
    worker.start()
    [event] = t.topics.wait(records, timeout=60)
    lease = event.value["lease"]["providerLeaseId"]
    assert event.status == "SUCCEEDED" and lease
    # The finish follows the commit.
    claim = f"envdriver:claim:{records[0].command_id}"
    wait_until(
        lambda: t.redis.client.get(claim).startswith("v1|done|"), 20, "the claim is finished"
    )
    assert lease.split("/")[-1] in t.redis.client.get(claim)
    assert t.redis.client.hlen("envdriver:orphans") == 0
    t.verify()
