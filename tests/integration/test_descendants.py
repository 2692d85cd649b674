# SPDX-License-Identifier: Apache-2.0
"""What a plugin starts and hides (a session of its own, no parent, no environment) ends with the
plugin and with the worker, however they end; orphans are reaped."""

import os
import signal

from harness.case import limit
from harness.hostile import Hostile
from harness.process import wait_until


def state(pid):
    """(state letter, parent), or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            after = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return after[0], int(after[1])


def hidden(t, plugin, name):
    """The process id of one that the plugin has hidden."""
    path = t.dir / name
    [event] = t.topics.wait(t.topics.publish(plugin.command(config={"hide": str(path)})))
    assert event.status == "SUCCEEDED", event.plain
    pid = int(wait_until(lambda: path.exists() and path.read_text(), 5, "it hides"))
    assert state(pid)
    return pid


def zombies(of):
    found = [state(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    return sum(s == ("Z", of) for s in found)


@limit(120)
def test_nothing_outlives_its_plugin_or_the_worker(t):
    plugin = Hostile(t)
    worker = t.worker()
    key = f"envdriver:worker:{plugin.id}:w1"

    [event] = t.topics.wait(t.topics.publish(plugin.command(config={"orphans": 20})))
    assert event.status == "SUCCEEDED", event.plain
    wait_until(lambda: zombies(worker.pid) == 0, 5, "the orphans are reaped")

    one = hidden(t, plugin, "one")
    wait_until(lambda: state(one)[1] == worker.pid, 5, "an orphan is the worker's child")
    os.kill(int(t.redis.client.hget(key, "pid")), signal.SIGKILL)
    wait_until(lambda: not state(one), 5, "it ended with its plugin")

    t.wait_plugins(worker)
    two = hidden(t, plugin, "two")
    worker.kill()
    wait_until(lambda: not state(two) or state(two)[0] == "Z", 5, "it ended with a killed worker")

    worker.start().wait_ready(40)
    three = hidden(t, plugin, "three")
    assert worker.terminate() == 0
    wait_until(lambda: not state(three) or state(three)[0] == "Z", 5, "it ended with the worker")
