# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, fault 8: a rebalance storm."""

import random
import time

from harness.case import limit
from harness.faults import QUICK, assert_calls, interrupted, owned
from harness.ledger import Ledger
from harness.process import wait_until


@limit(240)
def test_rebalance_storm(t):
    """3 workers, one killed or started every 2 s for 60 s, 6 partitions, 600 commands. All of them
    once; 15 s later every partition serves."""
    t.make_topics(commands=6)
    ledger = Ledger(t)
    rng = random.Random(8)
    workers = [t.worker(f"w{i}", config=QUICK, ready=False) for i in range(3)]
    workers[0].wait_ready(40)
    records, kills = [], 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for i in range(10):
            records += t.topics.publish(
                ledger.execute(f"run-{len(records)}", seconds=rng.choice([0, 0.1, 1, 3]))
                if i % 2
                else ledger.probe(key=f"k{rng.randrange(20)}")
            )
        records += t.topics.publish(
            *(ledger.probe(key=f"k{rng.randrange(20)}") for _ in range(10))
        )
        down = [w for w in workers if not w.running]
        if down:
            down[0].start()
        else:
            rng.choice(workers).kill()
            kills += 1
        time.sleep(2)
    for worker in workers:
        if not worker.running:
            worker.start()
    # A slow machine published fewer within the minute.
    records += t.topics.publish(*(ledger.probe() for _ in range(600 - len(records))))
    for worker in workers:
        worker.wait_ready(40)
    t.topics.wait(records, timeout=60)
    time.sleep(15)  # the sessions of those that were killed last run out
    # One for each partition, none of which may be stuck.
    for partition in range(6):
        probes = t.topics.publish(ledger.probe(), ledger.probe(), partition=partition)
        t.topics.wait(probes, timeout=5)
    wait_until(
        lambda: sorted(p for w in workers for p in owned(w)) == list(range(6)),
        10,
        lambda: f"each partition has one owner: {[owned(w) for w in workers]}",
    )
    events = t.verify(quiet=1)
    assert_calls(ledger, events)
    print(f"{kills} kills, {len(interrupted(events))} of {len(records)} INTERRUPTED")
