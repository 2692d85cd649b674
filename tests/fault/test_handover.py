# SPDX-License-Identifier: Apache-2.0
"""Ownership moves while calls run (docs/engine.md sections 3, 7, 8): who lives finishes with the
real result, what a dead worker ran is INTERRUPTED, nothing is called twice.

The assignor `range` gives a single partition to the member whose id sorts first, and a member id
begins with client.id: so a worker named "a" takes it from "b", and gives it back when it leaves.
"""

import random
import threading
import time

from harness.case import limit, short
from harness.faults import (
    assert_calls,
    QUICK,
    incarnation,
    interrupted,
    owned,
    status,
    wait_owner,
)
from harness.ledger import Ledger, published
from harness.process import wait_until


def by(event):
    """The incarnation whose call it was."""
    return (event.value["trace"]["callToken"] or "").rpartition("-")[0]


class Lives:
    """Every incarnation that ran, and those that were killed."""

    def __init__(self, t):
        self.t = t
        self.names = {}
        self.dead = set()

    def add(self, worker):
        wait_until(lambda: incarnation(self.t, worker), 20, f"{worker.name} has an incarnation")
        self.names[incarnation(self.t, worker)] = worker.name

    def kill(self, worker):
        self.dead.add(incarnation(self.t, worker))
        worker.kill()

    def judge(self, events):
        """INTERRUPTED only on those that were killed."""
        for event in interrupted(events):
            token = event.value["trace"]["callToken"]
            assert token is not None, event.plain
            assert any(token.startswith(one) for one in self.dead), (
                f"{event.plain} was called by {token}, killed were {self.dead}"
            )


# --- one partition, whose owner the test chooses ---


class Chain:
    """Workers on one partition, which goes to the one whose name sorts first."""

    def __init__(self, t, **config):
        t.make_topics(commands=1)
        self.t = t
        self.ledger = Ledger(t)
        self.config = {**QUICK, **config}

    def join(self, name):
        config = {**self.config, "kafka.client.id": name}
        worker = self.t.worker(name, config=config, ready=False)
        wait_owner(worker)
        worker.wait_ready()
        return worker

    def publish(self, *commands):
        return self.t.topics.publish(*commands)

    def running(self, count=1):
        wait_until(lambda: len(self.ledger.asked()) >= count, 15, "the execution is called")

    def end(self, records, timeout=60):
        """All SUCCEEDED, called once."""
        for event in self.t.topics.wait(records, timeout=timeout):
            assert event.status == "SUCCEEDED", event.plain
        events = self.t.verify(quiet=1.5)
        assert_calls(self.ledger, events)
        return events


@short
@limit(90)
def test_away_and_back(t):
    """O, N, O while O's call runs: it is O's again, with its call (attached)."""
    c = Chain(t)
    old = c.join("b")
    records = c.publish(c.ledger.execute("long", seconds=14, key="k"))
    c.running()
    new = c.join("a")
    records += c.publish(c.ledger.execute("next", key="k"), c.ledger.execute("other"))
    t.topics.wait(records[2:])
    assert new.terminate() == 0
    wait_owner(old)
    c.end(records)
    assert "is ours again, its call still runs" in old.stderr()


@limit(90)
def test_the_answer_comes_while_another_owns(t):
    """O, N, O: the call ends while N owns; N publishes O's answer."""
    c = Chain(t)
    old = c.join("b")
    records = c.publish(c.ledger.execute("long", seconds=8), c.ledger.acquire(seconds=8))
    c.running()
    new = c.join("a")
    events = t.topics.wait(records, timeout=30)
    assert len(owned(new)) == 1
    for event in events:
        assert event.value["trace"]["callToken"].startswith(incarnation(t, old)), event.plain
    assert new.terminate() == 0
    wait_owner(old)
    records += c.publish(c.ledger.execute("after"))
    events = c.end(records)
    assert c.ledger.leases() == published(events)


@short
@limit(120)
def test_on_to_a_third(t):
    """O, N, M: neither N nor M calls; M publishes O's answer."""
    c = Chain(t)
    old = c.join("c")
    records = c.publish(
        c.ledger.execute("long", seconds=16, key="k"),
        c.ledger.execute("next", key="k"),
        c.ledger.acquire(seconds=16),
    )
    c.running()
    c.join("b")
    third = c.join("a")
    events = t.topics.wait(records, timeout=40)
    assert len(owned(third)) == 1
    assert events[0].value["trace"]["callToken"].startswith(incarnation(t, old))
    events = c.end(records)
    assert c.ledger.leases() == published(events)


@limit(120)
def test_on_to_a_third_and_the_first_dies(t):
    """O, N, M, and O is killed: INTERRUPTED, said by M, and what waits behind it goes on."""
    c = Chain(t)
    old = c.join("c")
    records = c.publish(
        c.ledger.execute("long", seconds=40, key="k"),
        c.ledger.execute("next", key="k"),
        c.ledger.acquire(seconds=25),
    )
    c.running()
    c.join("b")
    c.join("a")
    old.kill()
    # The lease is acquired again: 25 s more.
    first, following, acquired = t.topics.wait(records, timeout=80)
    assert first.status == "INTERRUPTED", first.plain
    assert following.status == "SUCCEEDED" and acquired.status == "SUCCEEDED", acquired.plain
    assert acquired.value["trace"]["attempt"] == 2
    events = t.verify(quiet=1)
    assert_calls(c.ledger, events)
    assert c.ledger.leases() == published(events)


@limit(120)
def test_the_one_between_dies(t):
    """O, N, and N is killed while it waits for O: the partition and the call are O's again."""
    c = Chain(t)
    old = c.join("b")
    records = c.publish(c.ledger.execute("long", seconds=20, key="k"))
    c.running()
    new = c.join("a")
    records += c.publish(c.ledger.execute("next", key="k"))
    time.sleep(1)
    new.kill()
    wait_owner(old)
    c.end(records)


@limit(150)
def test_back_and_forth_six_times(t):
    """One long call, whose partition comes and goes."""
    c = Chain(t)
    old = c.join("b")
    records = c.publish(c.ledger.execute("long", seconds=45, key="k"))
    c.running()
    for turn in range(3):
        new = c.join("a")
        records += c.publish(c.ledger.execute(f"turn-{turn}"), c.ledger.probe(key="k"))
        time.sleep(1)
        assert new.terminate() == 0
        wait_owner(old)
    assert status(old)["calling"] == 1, status(old)
    c.end(records)


@limit(90)
def test_call_past_the_handover_timeout(t):
    """O ends its own claim when it has waited long enough: nobody waits for its death (15 s)."""
    c = Chain(t, **{"drain.timeout": "1s", "handover.timeout": "4s"})
    old = c.join("b")
    records = c.publish(c.ledger.execute("long", seconds=40))
    c.running()
    c.join("a")
    begin = time.monotonic()
    threading.Thread(target=old.terminate).start()
    [event] = t.topics.wait(records, timeout=12)
    assert event.status == "INTERRUPTED", event.plain
    print(f"INTERRUPTED {time.monotonic() - begin:.1f} s after SIGTERM")
    assert old.wait(20) == 0
    assert_calls(c.ledger, t.verify(quiet=1))


def frozen(t, seconds):
    """O freezes in a call, thaws after that many seconds; N is there to take over."""
    c = Chain(t)
    old = c.join("b")
    spare = t.worker("z", config={**c.config, "kafka.client.id": "z"}, ready=False)
    time.sleep(2)
    records = c.publish(
        c.ledger.execute("long", seconds=3, key="k"), c.ledger.execute("next", key="k")
    )
    c.running()
    old.stop()
    time.sleep(seconds)
    old.cont()
    events = t.topics.wait(records, timeout=40)
    spare.assert_running()
    return c, old, events


@limit(90)
def test_frozen_and_thawed_within_the_session(t):
    """The session does not end within a second: nothing happened."""
    c, old, events = frozen(t, 1)
    assert [e.status for e in events] == ["SUCCEEDED", "SUCCEEDED"], events[0].plain
    assert_calls(c.ledger, t.verify(quiet=1))


@short
@limit(90)
def test_frozen_beyond_the_session(t):
    """10 s: the partition is another's, but O lives and its answer is handed over."""
    c, old, events = frozen(t, 10)
    assert [e.status for e in events] == ["SUCCEEDED", "SUCCEEDED"], events[0].plain
    assert events[0].value["trace"]["callToken"].startswith(incarnation(t, old))
    assert_calls(c.ledger, t.verify(quiet=1))


@limit(120)
def test_frozen_until_declared_dead(t):
    """25 s: INTERRUPTED; when O wakes up, its answer is dropped."""
    c, old, events = frozen(t, 25)
    assert [e.status for e in events] == ["INTERRUPTED", "SUCCEEDED"], events[0].plain
    old.wait_ready(30)
    assert_calls(c.ledger, t.verify(quiet=2))


@limit(150)
def test_revoked_while_commands_wait_for_a_slot(t):
    """A slot becomes free between the revoke event and the last batch: what waits for it is
    dropped, not run. The sanitizer saw a dropped command being looked at (soak, seed 12)."""
    c = Chain(t, **{"plugin.max.in.flight": "1"})
    c.join("b")
    records = []
    for turn in range(4):
        records += c.publish(*(c.ledger.execute(f"run-{turn}-{i}", seconds=0.02) for i in range(150)))
        c.running(150 * turn + 20)
        new = c.join("a")
        time.sleep(0.5)
        assert new.terminate() == 0
    c.end(records)


# --- many partitions, one to five workers ---


def execution(ledger, rng, number, longest):
    """Most are short, some take the whole time."""
    seconds = rng.choice([0, 0.5, 1, 2, 5, longest])
    key = f"k{rng.randrange(40)}" if seconds < 3 and rng.random() < 0.5 else ""
    return ledger.execute(f"run-{number}", seconds=seconds, key=key)


@limit(400)
def test_one_to_five_workers_come_and_go(t):
    """Two minutes of joins, leaves, restarts, freezes of 4 s and kills, one every 4 s, under
    executions of 0 to 30 s."""
    t.make_topics(commands=8)
    ledger = Ledger(t)
    lives = Lives(t)
    seed = 4
    rng = random.Random(seed)
    config = {**QUICK, "drain.timeout": "1s", "handover.timeout": "60s"}
    workers = [t.worker(f"w{i}", config=config, ready=False) for i in range(2)]
    for worker in workers:
        worker.wait_ready()
        lives.add(worker)
    leaving = []
    records, done = [], []
    spare = 0
    end = time.monotonic() + 120

    def join():
        nonlocal spare
        name = f"s{spare}"
        spare += 1
        worker = t.worker(name, config=config, ready=False)
        lives.add(worker)
        workers.append(worker)

    def leave(worker):
        thread = threading.Thread(target=worker.terminate, args=(90,))
        thread.start()
        leaving.append((worker, thread))
        workers.remove(worker)

    while time.monotonic() < end:
        records += t.topics.publish(
            *(execution(ledger, rng, len(records) + i, 30) for i in range(12)),
            *(ledger.probe(key=f"k{rng.randrange(40)}") for _ in range(6)),
        )
        act = rng.choice(["join", "leave", "kill", "freeze", "restart"])
        if len(workers) < 2 or (act == "join" and len(workers) < 5):
            act = "join"
        elif act == "join":
            act = "leave"
        worker = rng.choice(workers)
        done.append(act)
        if act == "join":
            join()
        elif act == "leave":
            leave(worker)
        elif act == "kill":
            lives.kill(worker)
            workers.remove(worker)
        elif act == "freeze":
            worker.stop()
            time.sleep(4)
            worker.cont()
        else:
            leave(worker)
            join()
        time.sleep(4)
    for worker, thread in leaving:
        thread.join(90)
        assert worker.process.returncode == 0, worker.name
    if not workers:
        join()
    t.topics.wait(records, timeout=120)
    events = t.verify(quiet=2)
    assert_calls(ledger, events)
    lives.judge(events)
    print(f"seed {seed}: {' '.join(done)}: {len(interrupted(events))} of {len(records)} INTERRUPTED")


@limit(300)
def test_rolling_restart_under_60_executions_of_20_s(t):
    """Three workers, one after another; 20 executions begin before each. None is interrupted."""
    t.make_topics(commands=6)
    ledger = Ledger(t)
    config = {"drain.timeout": "1s", "handover.timeout": "60s"}
    workers = [t.worker(f"w{i}", config=config, ready=False) for i in range(3)]
    for worker in workers:
        worker.wait_ready(30)
        wait_owner(worker, 2)
    records = []
    for turn, worker in enumerate(workers):
        records += t.topics.publish(
            *(ledger.execute(f"run-{turn}-{i}", seconds=20) for i in range(20))
        )
        wait_until(lambda: len(ledger.asked()) == len(records), 30, "all are called")
        assert worker.terminate(60) == 0
        worker.start().wait_ready(40)
    for event in t.topics.wait(records, timeout=60):
        assert event.status == "SUCCEEDED", event.plain
    events = t.verify(quiet=1)
    assert not interrupted(events)
    assert_calls(ledger, events)
    restarted = [e for e in events if e.final and e.name == "ExecutionResult"]
    assert len(restarted) == 60


@limit(300)
def test_rolling_restart_all_60_at_once(t):
    """The same with all 60 at the start, and each worker replaced while it still hands over."""
    t.make_topics(commands=6)
    ledger = Ledger(t)
    config = {"drain.timeout": "1s", "handover.timeout": "60s"}
    workers = [t.worker(f"w{i}", config=config, ready=False) for i in range(3)]
    for worker in workers:
        worker.wait_ready(30)
        wait_owner(worker, 2)
    records = t.topics.publish(*(ledger.execute(f"run-{i}", seconds=20) for i in range(60)))
    wait_until(lambda: len(ledger.asked()) == 60, 15, "all are called")
    threads = []
    for i, worker in enumerate(workers):
        threads.append(threading.Thread(target=worker.terminate, args=(60,)))
        threads[-1].start()
        t.worker(f"n{i}", config=config)
    for event in t.topics.wait(records, timeout=60):
        assert event.status == "SUCCEEDED", event.plain
    for worker, thread in zip(workers, threads):
        thread.join(60)
        assert worker.process.returncode == 0
    events = t.verify(quiet=1)
    assert not interrupted(events)
    assert_calls(ledger, events)
