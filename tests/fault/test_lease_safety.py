# SPDX-License-Identifier: Apache-2.0
"""P4: a lease whose answer reached a worker is published or destroyed again. The ledger plugin makes
a new lease for every call and counts them: those alive at the end are those that were published.

What P4 leaves open: a worker that dies after the plugin made the lease and before the answer is in
Redis orphans it. Then the next attempt says so in its warnings.
"""

import time

from harness.case import limit, short
from harness.faults import QUICK, Hit, wait_calls, wait_frozen, wait_owner
from harness.ledger import Ledger, published
from harness.process import wait_until


def settle(t, ledger, unknown=(), timeout=130):
    """Waits until the leases alive are those published (and those that nobody can know of), then
    asks the oracle."""

    def told():
        return (
            f"alive {ledger.leases()} are published {published(t.topics.read_all())}; "
            f"orphans {t.redis.client.hgetall('envdriver:orphans')}"
        )

    wait_until(lambda: t.redis.client.hlen("envdriver:orphans") == 0, timeout, told)
    events = t.verify(quiet=1)
    assert ledger.leases() - set(unknown) == published(events), told()
    return events


def orphaned(events):
    return [e for e in events if e.name == "PluginEvent" and e.value["type"] == "LEASE_ORPHANED"]


# --- killed ---


def killed_at(t, stage, runs, told=True):
    """kill -9 with the lease at a stage, restarted; `told`: the answer is in Redis by then."""
    ledger = Ledger(t)
    hit = Hit(t, stage)
    worker = t.worker(config=QUICK, env=hit.env)
    unknown = set()
    for _ in range(runs):
        before = ledger.leases()
        t.topics.wait(t.topics.publish(ledger.probe()))
        hit.arm()
        records = t.topics.publish(ledger.acquire())
        assert worker.wait(30) == -9, stage
        hit.disarm()
        lost = ledger.leases() - before
        assert len(lost) == 1, lost
        worker.start().wait_ready(40)
        [event] = t.topics.wait(records, timeout=40)
        assert event.status == "SUCCEEDED", event.plain
        given = event.value["lease"]["providerLeaseId"]
        if told:
            assert {given} == lost, (stage, given, lost)
        else:
            assert {given} != lost, (stage, given, lost)
            trace = event.value["trace"]
            assert any(trace["invocationId"] in text for text in trace["warnings"]), event.plain
            unknown |= lost
    settle(t, ledger, unknown)


@short
@limit(90)
def test_killed_with_the_answer_recorded(t):
    killed_at(t, "recorded", 1)


@limit(150)
def test_killed_5_times_with_the_answer_recorded(t):
    killed_at(t, "recorded", 5)


@limit(150)
def test_killed_before_the_answer_is_recorded(t):
    """The gap that stays open, and is told."""
    killed_at(t, "recording", 3, told=False)


@limit(150)
def test_killed_in_the_transaction_of_the_lease(t):
    killed_at(t, "offsets", 3)


@limit(150)
def test_killed_between_commit_and_finish(t):
    """The claim stays "answered": the lease is its reader's, not an orphan."""
    ledger = Ledger(t)
    hit = Hit(t, "committed")
    worker = t.worker(config=QUICK, env=hit.env)
    t.topics.wait(t.topics.publish(ledger.probe()))
    hit.arm()
    records = t.topics.publish(ledger.acquire())
    assert worker.wait(30) == -9
    hit.disarm()
    worker.start().wait_ready(40)
    t.topics.wait(records)
    settle(t, ledger)


# --- declared dead ---


def asleep_at(t, stage, seconds=25):
    """Frozen with the lease at a stage until another worker was given a lease for that command."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, stage, "STOP")
    asleep = t.worker("b", config={"kafka.client.id": "b"}, env=hit.env)
    t.topics.wait(t.topics.publish(ledger.probe()))
    hit.arm()
    records = t.topics.publish(ledger.acquire())
    wait_frozen(asleep)
    hit.disarm()
    awake = t.worker("a", config={"kafka.client.id": "a"}, ready=False)
    time.sleep(seconds)
    t.topics.wait(records, timeout=20)
    asleep.cont()
    asleep.wait_ready(40)
    events = settle(t, ledger)
    awake.assert_running()
    return ledger, events


@limit(260)
def test_declared_dead_before_the_answer_is_recorded(t):
    """Its answer is refused: that lease is destroyed, the other one stays."""
    ledger, events = asleep_at(t, "recording")
    assert len(ledger.acquired()) == 2 and len(ledger.leases()) == 1
    assert len(orphaned(events)) == 1


@limit(260)
def test_declared_dead_with_the_answer_recorded(t):
    """The other worker publishes the recorded answer: one lease, no orphan."""
    ledger, events = asleep_at(t, "recorded")
    assert len(ledger.acquired()) == 1
    assert not orphaned(events)


@limit(260)
def test_fenced_in_the_transaction_of_the_lease(t):
    """A zombie's commit is refused; the lease is published by another, once."""
    ledger, events = asleep_at(t, "offsets")
    assert len(ledger.acquired()) == 1
    assert not orphaned(events)


@limit(220)
def test_fenced_by_a_second_worker_of_its_name(t):
    """Two workers with one group.instance.id: the first is told to go and exits 69. Its leases are
    published by the second, or told in a warning when they ended with the first."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    config = {**QUICK, "kafka.group.instance.id": "one"}
    first = t.worker("first", config=config)
    t.topics.wait(t.topics.publish(ledger.probe()))
    records = t.topics.publish(*(ledger.acquire(seconds=s) for s in (0, 1, 2, 4, 8)))
    second = t.worker("second", config=config, ready=False)
    assert first.wait(40) == 69
    lost = set(ledger.acquired())
    second.wait_ready(40)
    warned = 0
    for event in t.topics.wait(records, timeout=60):
        assert event.status == "SUCCEEDED", event.plain
        warned += event.value["trace"]["attempt"] > 1
    lost -= published(t.topics.read_all())
    assert len(lost) <= warned, (lost, warned)
    settle(t, ledger, lost)


# --- revoked ---


def revoked_at(t, stage, seconds=6):
    """The partition goes to another worker while this one is frozen with the lease at a stage, for
    longer than the session and too short to be declared dead."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, stage, "STOP")
    old = t.worker("b", config={**QUICK, "kafka.client.id": "b"}, env=hit.env)
    t.topics.wait(t.topics.publish(ledger.probe()))
    hit.arm()
    records = t.topics.publish(ledger.acquire(seconds=1 if stage == "called" else 0))
    wait_frozen(old)
    hit.disarm()
    new = t.worker("a", config={**QUICK, "kafka.client.id": "a"}, ready=False)
    time.sleep(seconds)
    old.cont()
    wait_owner(new)
    [event] = t.topics.wait(records, timeout=30)
    assert event.status == "SUCCEEDED", event.plain
    events = settle(t, ledger)
    assert len(ledger.acquired()) == 1 and not orphaned(events)


@limit(220)
def test_revoked_in_the_call_of_the_lease(t):
    revoked_at(t, "called")


@limit(220)
def test_revoked_while_the_answer_is_recorded(t):
    revoked_at(t, "recording")


@limit(220)
def test_revoked_with_the_answer_recorded(t):
    revoked_at(t, "recorded")


@limit(220)
def test_revoked_in_the_transaction_of_the_lease(t):
    revoked_at(t, "produced")


@limit(220)
def test_revoked_at_the_commit_of_the_lease(t):
    revoked_at(t, "committing")


def killed_handing(t, stage, leases):
    """Killed while the answer is handed over (`leases`: how many calls that takes)."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, stage)
    config = {**QUICK, "kafka.client.id": "b"}
    old = t.worker("b", config=config, env=hit.env)
    t.topics.wait(t.topics.publish(ledger.probe()))
    records = t.topics.publish(ledger.acquire(seconds=8))
    wait_calls(old, 1)
    t.worker("a", config={**QUICK, "kafka.client.id": "a"})
    hit.arm()
    assert old.wait(30) == -9
    made = set(ledger.acquired())
    [event] = t.topics.wait(records, timeout=40)
    assert event.status == "SUCCEEDED", event.plain
    assert len(ledger.acquired()) == leases, ledger.lines()
    settle(t, ledger, made if leases > 1 else ())


@limit(220)
def test_killed_before_the_hand_over_of_the_lease(t):
    """The gap that stays open."""
    killed_handing(t, "handing", 2)


@limit(220)
def test_killed_after_the_hand_over_of_the_lease(t):
    killed_handing(t, "handed", 1)


# --- timed out ---


@limit(220)
def test_late_answers(t):
    """TIMEOUT is published, the leases come after all, and are destroyed again."""
    ledger = Ledger(t)
    t.worker(config={"plugin.call.timeout": "1s"})
    records = t.topics.publish(
        *(ledger.acquire(seconds=s) for s in (0, 0.5, 2, 3, 4)), ledger.acquire(seconds=2)
    )
    events = t.topics.wait(records)
    timed_out = [e for e in events if e.error and e.error["code"] == "TIMEOUT"]
    assert len(timed_out) == 4, [e.plain for e in events]
    wait_until(lambda: len(ledger.acquired()) == 6, 20, "the late leases are made")
    wait_until(lambda: len(ledger.leases()) == 2, 60, "the late leases are destroyed")
    events = settle(t, ledger)
    assert len(orphaned(events)) == 4


@limit(220)
def test_late_answer_after_the_partition_moved(t):
    """A call that timed out here, whose partition is another's when the lease comes."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    config = {**QUICK, "plugin.call.timeout": "1s"}
    t.worker("b", config={**config, "kafka.client.id": "b"})
    records = t.topics.publish(ledger.acquire(seconds=10))
    [event] = t.topics.wait(records)
    assert event.error["code"] == "TIMEOUT", event.plain
    t.worker("a", config={**config, "kafka.client.id": "a"})
    wait_until(lambda: ledger.acquired(), 20, "the late lease is made")
    wait_until(lambda: not ledger.leases(), 60, "the late lease is destroyed")
    settle(t, ledger)


@limit(220)
def test_late_answer_while_the_plugin_stops(t):
    """A call timed out, the worker is told to stop, and in the time that the plugin is given to end
    it brings the lease after all."""
    ledger = Ledger(t)
    worker = t.worker(config={"plugin.call.timeout": "1s"})
    records = t.topics.publish(ledger.acquire(seconds=3.5, config={"stays": True}))
    [event] = t.topics.wait(records)
    assert event.error["code"] == "TIMEOUT", event.plain
    assert worker.terminate() == 0
    assert len(ledger.leases()) == 1, "the plugin made it before it ended"
    worker.start().wait_ready(40)
    wait_until(lambda: not ledger.leases(), 60, "the late lease is destroyed")
    settle(t, ledger)


@limit(220)
def test_given_up_at_the_handover_timeout(t):
    """O gives its call up; the lease comes all the same, in the time that its worker is given to
    end, or never."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    config = {**QUICK, "drain.timeout": "1s", "handover.timeout": "3s"}
    old = t.worker("b", config={**config, "kafka.client.id": "b"})
    records = t.topics.publish(ledger.acquire(seconds=6))
    wait_calls(old, 1)
    t.worker("a", config={**config, "kafka.client.id": "a"})
    [event] = t.topics.wait(records, timeout=40)
    assert event.status == "SUCCEEDED", event.plain
    assert event.value["trace"]["attempt"] == 2
    old.assert_running()
    wait_until(lambda: len(ledger.acquired()) == 2, 20, "both leases were made")
    wait_until(lambda: len(ledger.leases()) == 1, 130, "one of them is destroyed")
    settle(t, ledger)


# --- Redis, at the worst moment ---


@limit(150)
def test_redis_away_when_the_answer_comes(t):
    """Nothing is published before the answer is recorded."""
    ledger = Ledger(t)
    worker = t.worker()
    t.topics.wait(t.topics.publish(ledger.probe()))
    records = t.topics.publish(*(ledger.acquire(seconds=2) for _ in range(5)))
    wait_calls(worker, 5)
    t.redis.kill()
    wait_until(lambda: len(ledger.acquired()) == 5, 20, "the leases are made")
    time.sleep(3)  # time to publish, if it did
    assert not {r.position for r in records} & {e.source for e in t.topics.read_all()}
    t.redis.start()
    worker.wait_ready(30)
    for event in t.topics.wait(records):
        assert event.status == "SUCCEEDED", event.plain
    events = settle(t, ledger)
    assert not orphaned(events) and len(ledger.acquired()) == 5


@limit(150)
def test_killed_while_redis_is_away(t):
    """The answers reached nobody: new leases, told as such."""
    ledger = Ledger(t)
    worker = t.worker(config=QUICK)
    t.topics.wait(t.topics.publish(ledger.probe()))
    records = t.topics.publish(*(ledger.acquire(seconds=2) for _ in range(5)))
    wait_calls(worker, 5)
    t.redis.kill()
    wait_until(lambda: len(ledger.acquired()) == 5, 20, "the leases are made")
    unknown = ledger.leases()
    time.sleep(1)  # the worker has the answers, and cannot record them
    worker.kill()
    t.redis.start()
    worker.start().wait_ready(40)
    for event in t.topics.wait(records, timeout=60):
        trace = event.value["trace"]
        assert any(trace["invocationId"] in text for text in trace["warnings"]), event.plain
    settle(t, ledger, unknown)


@limit(420)
def test_leases_under_kills(t):
    """A minute of acquires, with two workers of which one is killed every 4 s: no lease is
    forgotten but those that a dead worker's plugin made last, each told in a warning."""
    t.make_topics(commands=4)
    ledger = Ledger(t)
    config = {**QUICK, "plugin.call.timeout": "2s"}
    t.worker("steady", config=config)
    shaky = t.worker("shaky", config=config)
    records = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for _ in range(8):
            records += t.topics.publish(
                ledger.acquire(), ledger.acquire(seconds=1), ledger.acquire(seconds=2.2)
            )
            time.sleep(0.5)
        shaky.kill()
        time.sleep(0.3)
        shaky.start()
    shaky.wait_ready(40)
    t.topics.wait(records, timeout=90)
    given = published(t.topics.read_all())
    warned = [
        e
        for e in t.topics.read_all(["lease-results"])
        if any(e.value["trace"]["invocationId"] in w for w in e.value["trace"]["warnings"])
    ]
    wait_until(
        lambda: t.redis.client.hlen("envdriver:orphans") == 0, 240, "all orphans are looked after"
    )
    lost = ledger.leases() - given
    assert len(lost) <= len(warned), (len(lost), len(warned))
    assert given <= set(ledger.acquired()) and given <= ledger.leases(), given - ledger.leases()
    t.verify(quiet=1)
    print(f"{len(records)} acquires, {len(given)} published, {len(lost)} lost with a warning")
