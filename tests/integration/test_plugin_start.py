# SPDX-License-Identifier: Apache-2.0
"""What a plugin that starts slowly, or not at all, does to commands and to its worker."""

import json
import time

from harness.case import limit
from harness.commands import command, plugin_driver
from harness.hostile import Hostile
from harness.process import wait_until
from harness.registry import Package

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
    missing = {**t.fixture().manifest, "id": "a.missing"}
    absent = t.install(Package(t.fixture().folder / "absent", missing), "absent")
    began = time.monotonic()
    worker = t.worker(config={"plugin.start.timeout": "3s"})
    assert time.monotonic() - began >= 3
    assert worker.ready_status() == 200
    assert "; it is not waited for any longer" in worker.stderr()
    assert statuses(t, t.topics.publish(hostile.command())) == ["SUCCEEDED"]
    records = t.topics.publish(command("Probe", orderingKey=""), command("Probe", target=plugin_driver(plugin_id=silent)))
    for event in t.topics.wait(records, 30):
        error, [why] = event.error, event.value["trace"]["warnings"]
        assert error["code"] == "NO_RUNNING_WORKER" and error["retryable"], event.plain
        assert 'RPC call "initialize" timed out after 3000ms' in why, why
        assert why.startswith((f'The worker of plugin "{silent}" is backoff: Worker initialize ',
                               f'The worker of plugin "{silent}" is starting: Worker init')), why
    where_people_look(t, worker, {silent: "RPC call", absent: "No such file", hostile.id: None})
    [row] = [row for row in plugins(t) if row["pluginId"] == hostile.id]
    assert (row["worker"], row["running"]) == ("running", worker.name), row
    t.cli("plugin", "disable", hostile.id)
    wait_until(lambda: worker.ready_status() == 503, 10, "none runs")
    assert "plugin fixture.envdriver is " in worker.ready_text(), worker.ready_text()
    t.cli("plugin", "ready", hostile.id)
    wait_until(lambda: worker.ready_status() == 200, 10, worker.ready_text)
    t.verify()


def plugins(t):
    done = t.cli("plugin", "list")
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def where_people_look(t, worker, wanted):
    """`plugin list`, the record in Redis, /status, the events. `wanted`: part of each reason."""
    status = {p["id"]: p for p in json.loads(worker.get("/status").body)["plugins"]}
    listed = {row["pluginId"]: row for row in plugins(t)}
    for plugin_id, part in wanted.items():
        at_worker, row = status[plugin_id], listed[plugin_id]
        if part is None:
            assert (at_worker["status"], at_worker["reason"]) == ("running", None), at_worker
            assert row["reason"] is None and "reason" not in record(t, plugin_id, worker), row
            continue
        assert at_worker["status"] in ("backoff", "starting", "stopped"), at_worker
        assert part in at_worker["reason"], at_worker
        assert row["worker"] in ("backoff", "starting", "stopped") and not row["running"], row
        assert row["reason"].startswith(f"{worker.name}: ") and part in row["reason"], row
        assert part in record(t, plugin_id, worker)["reason"]
        assert row["status"] == "ready"
    events = [e.value for e in t.topics.read_all() if e.name == "PluginEvent"]
    crashes = [e["message"] for e in events if e["type"] == "WORKER_CRASHED"]
    assert crashes and all("RPC call" in message for message in crashes), events


@limit(60)
def test_a_reason_is_one_bounded_line(t):
    """What a plugin writes before it dies may be anything, and goes to a terminal at the end."""
    words = "\x1b[2J\x07first\r\n\ta \u2028 b\u202e " + "\u2603" * 400 + "\nlast words"
    plugin_id = t.install(t.fixture(initExit=3, stderr=words))
    worker = t.worker(ready=False)
    wait_until(lambda: record(t, plugin_id, worker).get("reason"), 20, "a reason")
    reason = record(t, plugin_id, worker)["reason"]
    assert len(reason.encode()) < 512 and reason.isprintable(), reason
    begin = f'Worker initialize failed for "{plugin_id}": Worker process exited (code=3, signal=null)'
    assert reason.startswith(f"{begin} Worker stderr: [2J first a b \u2603"), reason
    assert "\u2603\u2026\u2603" in reason and reason.endswith("\u2603 last words"), reason
    done = t.cli("plugin", "list", "-o", "wide")
    assert "\x1b" not in done.stdout and "last words" in done.stdout, done
