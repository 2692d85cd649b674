# SPDX-License-Identifier: Apache-2.0
"""What waits behind one key, for one plugin or in one partition holds up nobody else
(docs/engine.md section 5, "Shares")."""

import statistics
import time

from harness.case import limit
from harness.commands import command
from harness.ledger import Ledger
from harness.process import wait_until

SLOW = 5  # seconds of what is waited for; each case is through before it ends
PROBES = 15


class Others:
    """Commands without a key that are sent one after another, as somebody else would."""

    def __init__(self, t, partitions):
        self.t = t
        self.partitions = partitions
        self.usual = statistics.median(self.times())

    def times(self):
        took = []
        for n in range(PROBES):
            begin = time.monotonic()
            partition = self.partitions[n % len(self.partitions)]
            probe = command("Probe", orderingKey="")
            [event] = self.t.topics.wait(self.t.topics.publish(probe, partition=partition))
            took.append(time.monotonic() - begin)
            assert event.status == "SUCCEEDED", event.plain
        return took

    def not_held_up(self, what):
        """The median against the usual one; one alone may have bad luck, but not wait for it."""
        took = self.times()
        median, worst = statistics.median(took), max(took)
        print(f"{what}: usually {self.usual:.3f}, now {median:.3f}, at worst {worst:.3f} s")
        assert median < 2 * self.usual + 0.1, took
        assert worst < 2, took


def taken(worker, least):
    """What may be in flight is; a second later so is what waits behind it."""
    wait_until(lambda: worker.metric("envdriver_in_flight") >= least, 20, f"{least} in flight")
    time.sleep(1)


def slow_chain(key, count, **more):
    """The first is slow, the others wait behind it."""
    slow = command("Probe", orderingKey=key, config={"test": {"sleepMs": SLOW * 1000}, **more})
    return [slow, *(command("Probe", orderingKey=key, config=more) for _ in range(count - 1))]


@limit(180)
def test_nobody_waits_for_what_is_not_his(t):
    """Less may be in flight than by default, so that fewer commands do. By key: three keys in one partition
    hold six times what may be in flight. By plugin: its slots are taken, and more wait. By bytes:
    those behind one key need more than there is."""
    t.make_topics(commands=3)
    t.install(t.fixture())
    ledger = Ledger(t)
    config = {
        "max.in.flight": "64",
        "plugin.max.in.flight": "16",
        "in.flight.max.bytes": "16MiB",
        "command.max.bytes": "1MiB",
    }
    worker = t.worker(config=config)
    t.topics.wait(t.topics.publish(command("Probe"), ledger.probe()))
    others = Others(t, (0, 1, 2))

    chains = [c for key in "abc" for c in slow_chain(key, 128)]
    records = t.topics.publish(*chains, partition=0)
    taken(worker, 64)
    others.not_held_up("behind keys")
    t.topics.wait(records, timeout=60)

    records = t.topics.publish(*(ledger.probe(seconds=SLOW / 2) for _ in range(32)))
    records += t.topics.publish(*(ledger.probe() for _ in range(200)))
    taken(worker, 64)
    others.not_held_up("behind a plugin")
    t.topics.wait(records, timeout=60)

    others = Others(t, (1, 2))
    records = t.topics.publish(*slow_chain("large", 40, pad="x" * 500_000), partition=0)
    wait_until(lambda: worker.metric("envdriver_partitions_paused") == 1, 20, "it is paused alone")
    others.not_held_up("behind bytes")
    assert worker.ready_status() == 200
    assert worker.metric("envdriver_bytes_held") < 8 << 20
    t.topics.wait(records, timeout=60)
    assert "partition 0 is paused: " in worker.stderr() and "'large'" in worker.stderr()
    t.verify()
