# SPDX-License-Identifier: Apache-2.0
"""What a plugin that starts slowly, or not at all, does to commands and to its worker."""

import json
import time

from harness.case import limit
from harness.commands import command, plugin_driver
from harness.hostile import Hostile
from harness.process import wait_until

SLOW = 8000  # ms; four times what a command waits for a worker that is down


def statuses(t, records, timeout=40):
    return [event.status for event in t.topics.wait(records, timeout)]


def record(t, plugin_id, worker):
    return t.redis.client.hgetall(f"envdriver:worker:{plugin_id}:{worker.name}")


@limit(90)
def test_a_backlog_waits_for_a_slow_plugin(t):
    plugin_id = t.install(t.fixture(initDelayMs=SLOW))
    probes = (command("Probe", orderingKey="") for _ in range(50))
    pinned = (command("Probe", orderingKey="", target=plugin_driver(plugin_id=plugin_id)) for _ in range(10))
    queued = t.topics.publish(*probes, *pinned)
    began = time.monotonic()
    worker = t.worker(ready=False)
    wait_until(lambda: "is waited for" in worker.ready_text(), 20, worker.ready_text)
    reply = worker.get("/readyz")
    assert reply.status == 503, reply
    assert "plugin fixture.envdriver is starting; it is waited for, " in reply.body, reply.body
    assert json.loads(worker.get("/status").body)["partitions"] == []
    assert statuses(t, queued) == ["SUCCEEDED"] * 60
    assert time.monotonic() - began >= SLOW / 1000
    t.verify()


@limit(90)
def test_a_plugin_that_never_starts(t):
    """The others' commands are served when it has had its time; its own fail with the reason."""
    words = "no licence server\nat 127.0.0.1:7"
    silent = t.install(t.fixture(initHang=True, stderr=words))
    hostile = Hostile(t)
    began = time.monotonic()
    worker = t.worker(config={"plugin.start.timeout": "4s"})
    assert time.monotonic() - began >= 4
    assert worker.ready_status() == 200
    assert "; it is not waited for any longer" in worker.stderr()
    assert statuses(t, t.topics.publish(hostile.command())) == ["SUCCEEDED"]
    records = t.topics.publish(command("Probe", orderingKey=""), command("Probe", target=plugin_driver(plugin_id=silent)))
    for event in t.topics.wait(records, 30):
        error, [why] = event.error, event.value["trace"]["warnings"]
        assert error["code"] == "NO_RUNNING_WORKER" and error["retryable"], event.plain
        assert 'RPC call "initialize" timed out after 4000ms' in why, why
        assert why.startswith((f'The worker of plugin "{silent}" is backoff: Worker initialize ',
                               f'The worker of plugin "{silent}" is starting: Worker init')), why
    t.verify()
