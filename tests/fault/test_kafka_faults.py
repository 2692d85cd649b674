# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, faults 3 to 6 and 19: brokers that freeze, die, are not there or are full;
workers that freeze for so long that others take their place."""

import os
import subprocess
import time

from harness.case import limit, short
from harness.faults import (
    STAGES,
    Hit,
    assert_attempts,
    assert_calls,
    interrupted,
    wait_frozen,
)
from harness.ledger import Ledger
from harness.process import wait_until

# --- faults 3 and 4: a broker that freezes or dies at the worst moment ---


def at_stage(t, ledger, worker, hit, name, fault):
    """The worker stands still at a stage while `fault` comes over the broker; returns the
    execution's event."""
    t.topics.wait(t.topics.publish(ledger.probe()), timeout=60)
    hit.arm()
    records = t.topics.publish(ledger.execute(name), ledger.probe())
    wait_frozen(worker)
    hit.disarm()
    fault()
    return t.topics.wait(records, timeout=90)[0]


def frozen_broker(t, stage, seconds):
    broker = t.own_broker()
    ledger = Ledger(t)
    hit = Hit(t, stage, "STOP")
    worker = t.worker(env=hit.env)

    def fault():
        broker.pause()
        worker.cont()
        time.sleep(seconds)
        assert worker.ready_status() == 503, worker.ready_text()
        broker.cont()

    event = at_stage(t, ledger, worker, hit, f"frozen-{stage}", fault)
    assert event.status == "SUCCEEDED", event.plain
    worker.wait_ready(60)
    assert_calls(ledger, t.verify(quiet=2))


@limit(180)
def test_broker_frozen_20_s_at_commit(t):
    frozen_broker(t, "committing", 20)


@limit(180)
def test_broker_frozen_20_s_at_offsets(t):
    frozen_broker(t, "produced", 20)


@limit(180)
def test_broker_frozen_20_s_at_begin(t):
    frozen_broker(t, "begun", 20)


@short
@limit(120)
def test_broker_frozen_5_s_at_commit(t):
    frozen_broker(t, "committing", 5)


@limit(300)
def test_broker_killed_in_a_transaction(t):
    """Fault 4: kill -9 and restart of the broker at each stage of the transaction."""
    broker = t.own_broker()
    ledger = Ledger(t)
    for stage in STAGES[4:]:
        hit = Hit(t, stage, "STOP")
        worker = t.worker(f"w-{stage}", env=hit.env)

        def fault(worker=worker):
            broker.kill()
            worker.cont()
            time.sleep(1)
            broker.restart()

        event = at_stage(t, ledger, worker, hit, f"killed-{stage}", fault)
        assert event.status == "SUCCEEDED", (stage, event.plain)
        assert worker.terminate() == 0, stage
    assert_calls(ledger, t.verify(quiet=2))


# --- fault 5: no broker at the start, none at the end ---


def started_without_broker(t, seconds):
    broker = t.own_broker()
    ledger = Ledger(t)
    records = t.topics.publish(ledger.probe(), ledger.execute("first"))
    broker.stop()
    worker = t.worker(ready=False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        worker.assert_running()
        assert worker.ready_status() in (None, 503)
        time.sleep(0.5)
    assert worker.ready_status() == 503
    assert "roker" in worker.ready_text() or "Kafka" in worker.ready_text(), worker.ready_text()
    broker.start()
    worker.wait_ready(40)
    t.topics.wait(records, timeout=30)
    assert_calls(ledger, t.verify())


@limit(120)
def test_broker_down_at_start_for_30_s(t):
    started_without_broker(t, 30)


@limit(180)
def test_stop_while_the_broker_is_down(t):
    """Exit 0 in good time; what was not committed is published after the next start."""
    broker = t.own_broker()
    ledger = Ledger(t)
    worker = t.worker(config={"drain.timeout": "5s", "handover.timeout": "20s"})
    t.topics.wait(t.topics.publish(ledger.probe()))
    records = t.topics.publish(*(ledger.execute(f"run-{i}", seconds=2) for i in range(6)))
    wait_until(lambda: len(ledger.asked()) == 6, 10, "all are called")
    broker.kill()
    done = lambda: [line for line in ledger.lines() if line["did"] == "executed"]
    wait_until(lambda: len(done()) == 6, 10, "all have their answers, and nowhere to publish them")
    begin = time.monotonic()
    assert worker.terminate(timeout=60) == 0
    took = time.monotonic() - begin
    assert took < 30, took
    print(f"ended {took:.1f} s after SIGTERM")
    broker.restart()
    worker.start().wait_ready(40)
    events = t.topics.wait(records, timeout=60)
    assert {e.status for e in events} == {"SUCCEEDED"}, [e.plain for e in events][:2]
    assert_calls(ledger, t.verify())


# --- fault 6: a zombie ---


def zombie(t, stage, seconds):
    """A frozen worker; another one serves what was its; it wakes up, is refused, goes on."""
    ledger = Ledger(t)
    hit = Hit(t, stage, "STOP")
    asleep = t.worker("asleep", env=hit.env)
    t.topics.wait(t.topics.publish(ledger.probe()))
    hit.arm()
    records = t.topics.publish(
        ledger.execute("slept-1"), ledger.execute("slept-2", seconds=1), ledger.probe()
    )
    wait_frozen(asleep)
    hit.disarm()
    awake = t.worker("awake", ready=False)
    time.sleep(seconds)
    # Nobody has to wait for it to wake up.
    t.topics.wait(records, timeout=20)
    asleep.cont()
    asleep.wait_ready(40)
    awake.assert_running()
    more = [ledger.execute(f"after-{i}") for i in range(12)]
    for event in t.topics.wait(t.topics.publish(*more), timeout=40):
        assert event.status == "SUCCEEDED", event.plain
    events = t.verify(quiet=2)
    assert_calls(ledger, events)
    assert_attempts(events)
    assert asleep.terminate(60) == 0
    return ledger, records, events


def seen_uncommitted(t, record):
    """Final events of a record that a read_uncommitted reader sees."""
    events = t.topics.read_all(isolation="read_uncommitted")
    return [e for e in events if e.final and e.source == record.position]


@limit(180)
def test_zombie_in_a_transaction(t):
    """Beyond session and transaction time-out. A read_uncommitted reader sees both results, one
    of which never was (docs/reliability.md)."""
    _, records, _ = zombie(t, "produced", 24)
    assert max(len(seen_uncommitted(t, record)) for record in records) == 2


@limit(180)
def test_zombie_at_commit(t):
    zombie(t, "committing", 24)


@limit(180)
def test_zombie_in_a_call(t):
    """Its calls are INTERRUPTED by who takes over; its late answers change nothing."""
    _, records, events = zombie(t, "called", 24)
    assert len(interrupted(events)) >= 1, [e.plain for e in events if e.final][:4]


@limit(180)
def test_zombie_about_to_call(t):
    """Frozen between its claim and the call (docs/engine.md section 3, CLAIMING): it looks at its
    own record before it calls, and finds that the command is another's by now."""
    ledger, records, _ = zombie(t, "claimed", 24)
    assert max(ledger.asked().values()) == 1


# --- fault 19: the broker's disk is full ---


def fill(path):
    """Until nothing fits any more, while others write, too."""
    with open(path, "wb", buffering=0) as f:
        while True:
            try:
                f.write(bytes(65536))
            except OSError:
                return


@limit(240)
def test_disk_of_the_broker_full(t):
    if os.geteuid() != 0:
        t.skip("mounting a small file system needs root")
    folder = t.dir / "kafka"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        t.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    t.at_end(lambda: subprocess.run(["umount", "-l", folder], check=True))
    broker = t.own_broker(log_segment_bytes="1048576")
    ledger = Ledger(t)
    worker = t.worker()
    t.topics.wait(t.topics.publish(ledger.probe()))
    ballast = folder / "ballast"
    records = t.topics.publish(*(ledger.execute(f"run-{i}", seconds=3) for i in range(10)))
    wait_until(lambda: len(ledger.asked()) == 10, 10, "all are called")
    fill(ballast)
    time.sleep(15)  # what runs ends meanwhile, and cannot be published
    worker.assert_running()
    print("while the disk was full:", worker.ready_status(), worker.ready_text())
    ballast.unlink()
    # A Kafka whose only log folder failed ends itself.
    broker.restart()
    worker.wait_ready(60)
    events = t.topics.wait(records, timeout=60)
    assert {e.status for e in events} == {"SUCCEEDED"}, [e.plain for e in events][:2]
    assert_calls(ledger, t.verify(quiet=2))
