# SPDX-License-Identifier: Apache-2.0
"""Output of an execution is whole, however large (P5): DESIGN section 5, ENGINE section 6."""

import hashlib
import threading
import time

from harness.case import limit
from harness.commands import command
from harness.process import wait_until

LINE = 1024
MIB = 1024 * 1024


def numbered(lines):
    """What the fixture plugin's knobs stdoutLines and stderrLines make."""
    rest = "\u2603" + "x" * 1011 + "\n"
    return "".join(f"{i:09d}{rest}" for i in range(lines)).encode()


def execution(lines, stderr=0, **top):
    knobs = {"on": "environmentExecute", "stdoutLines": lines, "stderrLines": stderr}
    knobs |= top.pop("knobs", {})
    return command("Execute", orderingKey="", config={"test": knobs}, **top)


def assert_whole(event, lines, stderr=0):
    """The oracle compares pieces and result; this compares the result with the truth."""
    assert event.status == "SUCCEEDED", event.plain["outcome"]
    for name, count in (("stdout", lines), ("stderr", stderr)):
        whole = numbered(count)
        assert event.value[f"{name}Bytes"] == len(whole), (name, event.value[f"{name}Bytes"])
        if event.value[f"{name}Truncated"]:
            assert event.value[f"{name}Sha256"] == hashlib.sha256(whole).hexdigest(), name
        else:
            assert event.value[name].encode() == whole, name


def pieces(events, token=None):
    return [
        e
        for e in events
        if e.name == "ExecutionLog"
        and e.value["origin"] == "FINAL"
        and token in (None, e.value["callToken"])
    ]


@limit(120)
def test_outputs_of_3_and_9_and_20_mb(t):
    t.install(t.fixture())
    worker = t.worker()
    sizes = [(3000, 0), (9000, 0), (100, 9000), (10000, 10000)]
    records = t.topics.publish(*(execution(*size) for size in sizes), command("Probe"))
    events = t.topics.wait(records, timeout=90)
    for event, size in zip(events, sizes):
        assert_whole(event, *size)
    t.verify()
    # One transaction at the least for each set of 8 MiB.
    assert worker.metric("envdriver_transactions_total") >= 4 + 3, worker.metric(
        "envdriver_transactions_total"
    )
