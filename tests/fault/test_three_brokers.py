# SPDX-License-Identifier: Apache-2.0
"""Three brokers, replication 3, min.insync.replicas 2: one after another is killed and comes back
under load."""

import time

from harness.case import limit
from harness.faults import assert_calls, interrupted
from harness.ledger import Ledger, published
from harness.process import wait_until


def settings(t, broker):
    known = t.topics.admin.list_topics(timeout=20).topics
    for topic in known.values():
        for partition in topic.partitions.values():
            assert len(partition.replicas) == 3, (topic.topic, partition.replicas)
    properties = (broker.folder / "1" / "server.properties").read_text("utf-8")
    assert "min.insync.replicas=2" in properties
    assert "transaction.state.log.min.isr=2" in properties


@limit(420)
def test_each_of_three_brokers_killed_under_load(t):
    """Nothing is lost, doubled or interrupted; commits go on while one is down."""
    broker = t.own_broker(brokers=3)
    t.make_topics(commands=6)
    settings(t, broker)
    ledger = Ledger(t)
    workers = [t.worker("w1"), t.worker("w2")]
    records, slowest = [], 0.0

    def load(seconds):
        nonlocal records, slowest
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            records += t.topics.publish(
                *(ledger.execute(f"run-{len(records)}-{i}", seconds=0.3 * i) for i in range(8)),
                *(ledger.probe(key=f"k{i}") for i in range(8)),
                ledger.acquire(),
            )
            time.sleep(0.5)

    load(5)
    for number in (1, 2, 3):
        broker.kill(number)
        load(4)
        # It goes on with two of three.
        begin = time.monotonic()
        t.topics.wait(records, timeout=60)
        slowest = max(slowest, time.monotonic() - begin)
        load(3)
        broker.restart()
        load(3)
        in_sync(t)
    for worker in workers:
        worker.wait_ready(40)
    t.topics.wait(records, timeout=60)
    events = t.verify(quiet=2)
    assert not interrupted(events), interrupted(events)[0].plain
    assert_calls(ledger, events)
    assert ledger.leases() == published(events)
    print(f"{len(records)} commands; with a broker down all were done {slowest:.1f} s after the last")


def in_sync(t):
    """The copies have caught up, so that another broker may go."""

    def all_there():
        known = t.topics.admin.list_topics(timeout=20).topics
        return all(len(p.isrs) == 3 for k in known.values() for p in k.partitions.values())

    wait_until(all_there, 60, "all copies are in sync again")


@limit(240)
def test_one_of_three_brokers_frozen_under_load(t):
    """A broker that hangs for 20 s; its partitions move to the others."""
    broker = t.own_broker(brokers=3)
    t.make_topics(commands=6)
    ledger = Ledger(t)
    worker = t.worker("w1")
    records = []
    for number in (1, 2, 3):
        records += t.topics.publish(
            *(ledger.execute(f"run-{number}-{i}", seconds=0.5 * i) for i in range(10)),
            *(ledger.probe(key=f"k{i % 4}") for i in range(20)),
        )
        broker.pause(number)
        time.sleep(20 if number == 1 else 10)
        worker.assert_running()
        broker.cont(number)
        in_sync(t)
    worker.wait_ready(60)
    t.topics.wait(records, timeout=60)
    events = t.verify(quiet=2)
    assert not interrupted(events)
    assert_calls(ledger, events)
