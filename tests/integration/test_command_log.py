# SPDX-License-Identifier: Apache-2.0
"""What a worker logs of itself and of each command: JSON lines with fields."""

import json
import os

from harness.case import limit
from harness.commands import command, plugin_driver, sandbox_provider
from harness.process import wait_until


def lines(worker):
    return [json.loads(line) for line in worker.stderr().splitlines()]


def ended(worker, n):
    """The lines of `n` commands, by offset."""

    def found():
        whole = worker.stderr().rpartition("\n")[0].splitlines()
        rows = [json.loads(line) for line in whole if '"command ended"' in line]
        return {(r["partition"], r["offset"]): r for r in rows} if len(rows) >= n else None

    return wait_until(found, 10, f"{n} lines")


@limit(120)
def test_each_command_has_one_line(t):
    t.install(t.local())
    config = {"log.format": "json", "log.level": "info"}
    worker = t.worker(config=config)
    probe = command("Probe", target=sandbox_provider("local"))
    failed = command("Probe", target=plugin_driver("no.such", "x"), orderingKey="")
    records = [*t.topics.publish(probe, failed), t.topics.publish_raw(b"no command", b"k")]
    events = t.topics.wait(records)
    assert [e.status for e in events[:2]] == ["SUCCEEDED", "FAILED"]
    rows = ended(worker, 3)
    assert len(rows) == 3
    one, two, three = (rows[(r.partition, r.offset)] for r in records)
    assert one["level"] == "info" and one["commandId"] == probe["commandId"]
    assert (one["operation"], one["status"]) == ("Probe", "SUCCEEDED") and "errorCode" not in one
    assert one["plugin"] == "envdriver.local" and one["topic"] == f"{t.topics.prefix}commands"
    assert 0 <= one["ms"] < 20000
    assert (two["status"], two["errorCode"]) == ("FAILED", events[1].error["code"])
    assert "plugin" not in two
    assert (three["status"], three["errorCode"]) == ("DEAD_LETTER", "UNREADABLE_COMMAND")

    [start] = [row for row in lines(worker) if row["message"] == "envdriver starts"]
    assert start["instance"] == "w1" and start["group"] == f"{t.topics.prefix}group"
    assert start["config"] == str(worker.config_path) and start["pid"] == worker.pid
    assert start["http"] == f"127.0.0.1:{worker.port}" and start["version"]

    assert worker.terminate() == 0
    os.truncate(worker.stderr_path, 0)
    worker.config["log.commands"] = "failed"
    worker.start().wait_ready()
    records = t.topics.publish(
        command("Probe", target=sandbox_provider("local")),
        command("Probe", target=plugin_driver("no.such", "x"), orderingKey=""),
    )
    t.topics.wait(records)
    assert [row["status"] for row in ended(worker, 1).values()] == ["FAILED"]
