# SPDX-License-Identifier: Apache-2.0
"""One publisher's long queues, with the default limits: nobody else waits for them (docs/engine.md
section 1, P2, and section 5, "Shares")."""

import statistics
import time

from harness.case import limit, short
from harness.commands import command
from harness.process import wait_until

SLEEP = 20  # seconds


def times(t, partitions, count):
    """Of probes without a key, one after another."""
    took = []
    for n in range(count):
        probe = command("Probe", orderingKey="", companyId="other")
        begin = time.monotonic()
        t.topics.wait(t.topics.publish(probe, partition=partitions[n % len(partitions)]))
        took.append(time.monotonic() - begin)
    return took


def judge(usual, took):
    usual, median = statistics.median(usual), statistics.median(took)
    print(f"usually {usual:.3f}, now {median:.3f}, at worst {max(took):.3f} s")
    assert median < 2 * usual + 0.1 and max(took) < 3, took


@short
@limit(180)
def test_five_keys_of_six_hundred(t):
    """Each behind a sleeper, all in one partition of three."""
    t.make_topics(commands=3)
    t.install(t.fixture())
    worker = t.worker()
    t.topics.wait(t.topics.publish(command("Probe")))
    usual = times(t, (0, 1, 2), 20)
    made = []
    for key in "abcde":
        slow = {"test": {"sleepMs": SLEEP * 1000}}
        made.append(command("Probe", orderingKey=key, config=slow))
        made += [command("Probe", orderingKey=key) for _ in range(599)]
    begin = time.monotonic()
    records = t.topics.publish(*made, partition=0)
    wait_until(lambda: worker.metric("envdriver_in_flight") >= 1024, 15, "they are read")
    time.sleep(2)
    took = times(t, (0, 1, 2), 40)
    assert time.monotonic() - begin < SLEEP + 3, "the sleepers still slept"
    judge(usual, took)
    t.topics.wait(records, timeout=90)
    t.verify()


@limit(180)
def test_more_than_all_limits_in_one_partition(t):
    """100 MB behind a sleeper, with 64 MiB for all: its partition stands, the others never do."""
    t.make_topics(commands=3)
    t.install(t.fixture())
    worker = t.worker(config={"in.flight.max.bytes": "64MiB"})
    t.topics.wait(t.topics.publish(command("Probe")))
    usual = times(t, (1, 2), 20)
    pad = {"pad": "x" * 500_000}
    made = [command("Probe", orderingKey="a", config={"test": {"sleepMs": SLEEP * 1000}})]
    made += [command("Probe", orderingKey="a", config=pad) for _ in range(200)]
    records = t.topics.publish(*made, partition=0)
    wait_until(lambda: worker.metric("envdriver_partitions_paused") == 1, 20, "it is paused")
    judge(usual, times(t, (1, 2), 60))
    assert worker.metric("envdriver_bytes_held") < 32 << 20
    t.topics.wait(records, timeout=90)
    t.verify()
