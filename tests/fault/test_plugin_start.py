# SPDX-License-Identifier: Apache-2.0
"""Plugins that need eight seconds to start, while workers come and go."""

import threading
import time

from harness.case import limit
from harness.commands import command

SLOW = 8000  # ms; four times what a command waits for a worker that is down


class Load(threading.Thread):
    """Probes and executions of many keys, 20 a second."""

    def __init__(self, topics):
        super().__init__()
        self.topics = topics
        self.records = []
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.1):
            key = f"key-{len(self.records) % 7}"
            pair = command("Probe", orderingKey=""), command("Execute", orderingKey=key)
            self.records += self.topics.publish(*pair)

    def end(self):
        self.over.set()
        self.join()
        return self.records


@limit(240)
def test_a_rolling_restart_fails_no_command(t):
    t.install(t.fixture(initDelayMs=SLOW))
    workers = [t.worker(name, ready=False) for name in ("w1", "w2")]
    for worker in workers:
        worker.wait_ready(60)
    load = Load(t.topics)
    for worker in workers:
        time.sleep(3)
        assert worker.terminate(40) == 0
        worker.start()
        # Its plugin runs when it takes over partitions.
        worker.wait_ready(60)
    time.sleep(3)
    records = load.end()
    failed = [e.plain for e in t.topics.wait(records, 60) if e.status != "SUCCEEDED"]
    print(f"{len(records)} commands, {len(failed)} failed")
    assert not failed, failed[:3]
    t.verify()


@limit(120)
def test_a_plugin_that_died_is_waited_for(t):
    """It ran, and its next start takes as long as the first."""
    t.install(t.fixture(initDelayMs=SLOW))
    t.worker()
    for _ in range(2):
        crash = command("Probe", config={"test": {"crash": 1}}, orderingKey="")
        [event] = t.topics.wait(t.topics.publish(crash))
        assert event.error["code"] == "WORKER_UNAVAILABLE", event.plain
        began = time.monotonic()
        records = t.topics.publish(*(command("Probe", orderingKey="") for _ in range(5)))
        assert [e.status for e in t.topics.wait(records)] == ["SUCCEEDED"] * 5
        assert time.monotonic() - began >= SLOW / 1000 - 1
    t.verify()
