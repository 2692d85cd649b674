# SPDX-License-Identifier: Apache-2.0
"""A worker in surroundings that are not ours: a log that nobody reads, other people's variables,
closed descriptors, places that cannot be written."""

import fcntl
import os
import time

from harness.case import limit
from harness.commands import command, sandbox_provider

FULL = 4096  # bytes of the smallest pipe


@limit(90)
def test_a_log_that_nobody_reads_stops_nothing(t):
    t.install(t.local())
    pipe = t.dir / "unread"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, FULL)
    assert os.write(reader, b"x" * FULL) == FULL  # not one line more
    worker = t.worker(before=["sh", "-c", f'exec "$@" >{pipe} 2>&1', "sh"])
    records = t.topics.publish(
        *(command("Probe", target=sandbox_provider("local"), orderingKey="") for _ in range(10))
    )
    for event in t.topics.wait(records, timeout=30):
        assert event.status == "SUCCEEDED", event.plain
    assert worker.ready_status() == 200
    began = time.monotonic()
    assert worker.terminate(timeout=10) == 0
    assert time.monotonic() - began < 8
    assert os.read(reader, 2 * FULL) == b"x" * FULL
    os.close(reader)
