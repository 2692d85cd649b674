# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, faults 1 and 2: a worker dies at each stage of a command's way, and comes
back or not; or is told to stop there."""

import time

from harness.case import limit, short
from harness.faults import (
    QUICK,
    STAGES,
    Hit,
    assert_attempts,
    assert_calls,
    owned,
    wait_not_stalled,
)
from harness.ledger import Ledger, published
from harness.process import wait_until

TRANSACTION_TIMEOUT = 10  # s, transaction.timeout's default

# --- fault 1: kill -9 at each stage, restarted under the same name ---


def killed_at(t, stage, runs):
    """Every second run has an execution alone, so that it is the one that is hit."""
    ledger = Ledger(t)
    hit = Hit(t, stage)
    worker = t.worker(config=QUICK, env=hit.env)
    stalls = []
    for run in range(runs):
        t.topics.wait(t.topics.publish(ledger.probe()))
        alone = run % 2 == 0
        commands = [ledger.execute(f"{stage}-{run}")]
        if not alone:
            commands += [ledger.probe(), ledger.acquire(), ledger.execute(f"{stage}-{run}-more")]
        hit.arm()
        records = t.topics.publish(*commands)
        assert worker.wait(30) == -9, stage
        hit.disarm()
        worker.start().wait_ready(40)
        # Its INIT ended what the dead one left open.
        stalls.append(wait_not_stalled(t, 1, f"readers go on ({stage})"))
        events = t.topics.wait(records, timeout=40)
        expected = "SUCCEEDED" if stage == "polled" else "INTERRUPTED"
        if alone:
            assert events[0].status == expected, (stage, run, events[0].plain)
    events = t.verify()
    assert_calls(ledger, events)
    assert_attempts(events)
    print(f"{runs} kills at {stage}: readers stalled {max(stalls):.2f} s at most")


@short
@limit(120)
def test_killed_at_called_and_committing(t):
    """Two of the stages below, a few times each."""
    ledger = Ledger(t)
    for stage in ("called", "committing"):
        hit = Hit(t, stage)
        worker = t.worker(f"w-{stage}", config=QUICK, env=hit.env)
        for run in range(2):
            t.topics.wait(t.topics.publish(ledger.probe()))
            hit.arm()
            records = t.topics.publish(ledger.execute(f"{stage}-{run}"))
            assert worker.wait(30) == -9, stage
            hit.disarm()
            worker.start().wait_ready(40)
            [event] = t.topics.wait(records, timeout=40)
            assert event.status == "INTERRUPTED", event.plain
        assert worker.terminate() == 0
    assert_calls(ledger, t.verify())


@limit(600)
def test_killed_20_times_at_polled(t):
    killed_at(t, "polled", 20)


@limit(600)
def test_killed_20_times_at_claimed(t):
    killed_at(t, "claimed", 20)


@limit(600)
def test_killed_20_times_at_called(t):
    killed_at(t, "called", 20)


@limit(600)
def test_killed_20_times_at_answered(t):
    killed_at(t, "answered", 20)


@limit(600)
def test_killed_20_times_at_begun(t):
    killed_at(t, "begun", 20)


@limit(600)
def test_killed_20_times_at_produced(t):
    killed_at(t, "produced", 20)


@limit(600)
def test_killed_20_times_at_offsets(t):
    killed_at(t, "offsets", 20)


@limit(600)
def test_killed_20_times_at_committing(t):
    killed_at(t, "committing", 20)


@limit(300)
def test_sigterm_at_each_stage(t):
    """Exit 0, drained: what was called ends with its real result, nothing is interrupted."""
    ledger = Ledger(t)
    for stage in STAGES:
        hit = Hit(t, stage, "TERM")
        worker = t.worker(config=QUICK, env=hit.env)
        for run in range(3):
            t.topics.wait(t.topics.publish(ledger.probe()))
            hit.arm()
            records = t.topics.publish(
                ledger.execute(f"{stage}-{run}", seconds=0.3 * run),
                ledger.execute(f"{stage}-{run}-more", key="k"),
                ledger.probe(key="k"),
                ledger.acquire(),
            )
            assert worker.wait(30) == 0, stage
            hit.disarm()
            worker.start().wait_ready(40)
            for event in t.topics.wait(records, timeout=40):
                assert event.status == "SUCCEEDED", (stage, run, event.plain)
        assert worker.terminate() == 0
    events = t.verify()
    assert_calls(ledger, events)
    assert ledger.leases() == published(events)


# --- fault 2: killed, never restarted ---


@limit(400)
def test_killed_and_not_restarted(t):
    """Another worker takes over. What the dead one's transaction holds up goes on when that is
    older than its time-out; brokers look for such ones every 10 s, this one every second."""
    t.own_broker(transaction_abort_timed_out_transaction_cleanup_interval_ms="1000")
    ledger = Ledger(t)
    other = t.worker("other")
    for stage in STAGES:
        hit = Hit(t, stage)
        dying = t.worker(f"dying-{stage}", env=hit.env)
        wait_until(lambda: owned(dying), 20, "it has partitions")
        hit.arm()
        records = []
        deadline = time.monotonic() + 30
        while dying.running and time.monotonic() < deadline:
            more = [ledger.execute(f"{stage}-{len(records)}-{i}") for i in range(3)]
            records += t.topics.publish(*more, ledger.probe(), ledger.probe())
            time.sleep(0.1)
        assert dying.wait(5) == -9, stage
        begin = time.monotonic()
        wait_not_stalled(t, TRANSACTION_TIMEOUT + 3, f"readers go on ({stage})")
        stall = time.monotonic() - begin
        t.topics.wait(records, timeout=60)
        took = time.monotonic() - begin
        print(f"{stage}: readers stalled {stall:.1f} s, all had their result after {took:.1f} s")
        # session.timeout.ms (6 s) until its partitions move; its death is seen at once, the
        # process being on this host; a transaction may hold up the new owner's stable read.
        assert took < 6 + TRANSACTION_TIMEOUT + 5, (stage, took)
    assert other.is_ready()
    events = t.verify()
    assert_calls(ledger, events)
    assert_attempts(events)
