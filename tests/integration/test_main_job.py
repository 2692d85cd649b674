# SPDX-License-Identifier: Apache-2.0
"""The main job on real parts: a command goes in on Kafka, a plugin answers, its result comes out."""

import json
import time

from harness.case import limit
from harness.commands import command, plugin_driver, sandbox_provider
from harness.process import wait_until


def start(t, sdk="916", **config):
    plugin_id = t.install(t.fixture(sdk))
    worker = t.worker(config=config)
    # A command that comes sooner waits for it two seconds, which a busy machine can need.
    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")
    return plugin_id, worker


def one(t, *arguments, **more):
    [event] = t.topics.wait(t.topics.publish(command(*arguments, **more)))
    return event


@limit(90)
def test_probe(t):
    plugin_id, _ = start(t)
    event = one(t, "Probe", config={"image": "img"})
    assert event.status == "SUCCEEDED", event.plain
    assert event.value["ok"] is True
    assert event.value["driver"] == "plugin"
    assert event.value["summary"] == "Fixture is ready for image img."
    assert event.value["command"]["pluginId"] == plugin_id
    assert event.value["trace"]["attempt"] == 1
    t.verify()


@limit(90)
def test_probe_on_the_older_sdk(t):
    start(t, sdk="427")
    event = one(t, "Probe", config={"image": "img"})
    assert event.status == "SUCCEEDED", event.plain
    t.verify()


@limit(120)
def test_life_of_a_lease_in_the_local_plugin(t):
    t.install(t.local())
    t.worker()
    target = sandbox_provider("local")
    acquired = one(t, "AcquireLease", target=target)
    assert acquired.status == "SUCCEEDED", acquired.plain
    lease = acquired.value["lease"]
    plain = {"providerLeaseId": lease["providerLeaseId"]}
    if lease["metadata"] is not None:
        plain["metadata"] = json.loads(lease["metadata"])
    fields = {"lease": plain, "command": "sh", "args": ["-c", "echo out; echo err >&2; exit 3"]}
    ran = one(t, "Execute", fields, target=target)
    assert ran.status == "SUCCEEDED", ran.plain
    assert (ran.value["exitCode"], ran.value["stdout"], ran.value["stderr"]) == (3, "out\n", "err\n")
    gone = one(t, "DestroyLease", {"providerLeaseId": lease["providerLeaseId"]}, target=target)
    assert gone.status == "SUCCEEDED", gone.plain
    assert gone.value["receipt"]["state"] == "destroyed"
    events = t.verify()
    live = [e for e in events if e.name == "ExecutionLog" and e.value["origin"] == "LIVE"]
    assert "".join(e.value["text"] for e in live if e.value["stream"] == "STDOUT") == "out\n"


@limit(120)
def test_every_operation_has_an_end(t):
    start(t)
    names = (
        "ValidateConfig Probe AcquireLease ResumeLease ReleaseLease DestroyLease RealizeWorkspace "
        "Execute ListDrivers SyncIn SyncOut RunnerIngressEndpoint StartInteractiveSetup "
        "GetInteractiveSetup CancelInteractiveSetup CaptureTemplate DeleteTemplate"
    ).split()
    records = t.topics.publish(*(command(name, orderingKey="") for name in names))
    for name, event in zip(names, t.topics.wait(records)):
        assert event.status == "SUCCEEDED", (name, event.plain)
    t.verify()


@limit(90)
def test_resolution_failures(t):
    plugin_id, _ = start(t)
    cases = [
        (plugin_driver(plugin="no.such"), "DRIVER_NOT_READY",
         'Plugin environment driver "no.such:fixture-env" is not ready.'),
        (plugin_driver("nope"), "DRIVER_NOT_DECLARED",
         'Plugin "fixture.envdriver" does not declare environment driver "nope".'),
        (sandbox_provider("nope"), "PROVIDER_NOT_AVAILABLE",
         'Sandbox provider "nope" is not installed or its plugin worker is not running.'),
        (plugin_driver(plugin_id="nobody"), "NO_RUNNING_WORKER",
         'No worker registered for plugin "nobody"'),
    ]
    for target, code, message in cases:
        event = one(t, "RealizeWorkspace", target=target, orderingKey="")
        error = event.value["outcome"]["error"]
        assert (error["code"], error["message"]) == (code, message), error
        assert event.value["trace"]["attempt"] == 0
    event = one(t, "Probe", target=plugin_driver(plugin_id=plugin_id))
    assert event.status == "SUCCEEDED"
    t.verify()


@limit(90)
def test_expired_is_not_called(t):
    start(t)
    event = one(t, "Probe", expiresAt=1_000)
    assert event.status == "EXPIRED", event.plain
    assert event.value["outcome"]["error"]["message"] == (
        "Command expired at 1970-01-01T00:00:01.000Z before it was started."
    )
    t.verify()


@limit(90)
def test_same_id_twice_is_a_dead_letter(t):
    start(t)
    first = command("Probe", commandId="same")
    records = t.topics.publish(first, partition=0)
    t.topics.wait(records)
    again = t.topics.publish(command("Probe", commandId="same"), partition=1)
    [letter] = t.topics.wait(again)
    assert letter.name == "DeadLetter" and letter.value["reason"] == "DUPLICATE_COMMAND"
    assert (letter.value["firstPartition"], letter.value["firstOffset"]) == (0, 0)
    t.verify()


@limit(120)
def test_one_key_one_after_another_others_side_by_side(t):
    start(t)
    slow = {"test": {"sleepMs": 300}}
    keyed = [command("Probe", orderingKey="k", config=slow) for _ in range(5)]
    free = [command("Probe", orderingKey="", config=slow) for _ in range(20)]
    begin = time.monotonic()
    t.topics.wait(t.topics.publish(*keyed, *free))
    took = time.monotonic() - begin
    assert 1.5 <= took < 6, took
    t.verify()


@limit(120)
def test_warm_lookups_cost_one_round_trip(t):
    start(t)
    one(t, "Probe")
    before = commandstats(t)
    t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(200))))
    # A claim is ended after the commit that a reader sees.
    wait_until(lambda: commandstats(t)["set"] >= before["set"] + 400, 5, "all claims are ended")
    after = commandstats(t)
    used = {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}
    # One SET for the claim, one for its end; reads of the registry none.
    assert 400 <= used.get("set", 0) <= 410, used
    assert used.get("hgetall", 0) == 0 and used.get("get", 0) == 0, used


def commandstats(t):
    stats = t.redis.client.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}


@limit(120)
def test_restart_goes_on_where_it_was(t):
    _, worker = start(t)
    t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(50))))
    assert worker.terminate() == 0
    records = t.topics.publish(*(command("Probe") for _ in range(50)))
    worker.start().wait_ready()
    t.topics.wait(records)
    t.verify()


@limit(120)
def test_large_output_is_whole(t):
    t.install(t.local())
    t.worker()
    target = sandbox_provider("local")
    lease = one(t, "AcquireLease", target=target).value["lease"]["providerLeaseId"]
    script = "head -c 3000000 /dev/zero | tr '\\0' 'x'"
    event = one(t, "Execute", {"lease": {"providerLeaseId": lease}, "command": "sh",
                               "args": ["-c", script]}, target=target)
    assert event.status == "SUCCEEDED", event.plain
    assert event.value["stdoutBytes"] == 3_000_000 and event.value["stdoutTruncated"]
    assert event.value["finalLogRecords"] == 6
    t.verify()
