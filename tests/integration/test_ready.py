# SPDX-License-Identifier: Apache-2.0
"""/readyz says what is so now, and takes it back when it has passed."""

from harness.case import limit
from harness.commands import command
from harness.faults import Hit
from harness.process import wait_until

STUCK = "the event loop has not turned for "


@limit(60)
def test_a_loop_that_stands_still_is_told(t):
    """The server that answers is not the loop, and what it knows was true once."""
    t.install(t.fixture())
    hold = Hit(t, "called", "HOLD")
    worker = t.worker(env=hold.env)
    hold.arm()
    records = t.topics.publish(command("Probe"))
    wait_until(lambda: STUCK in worker.ready_text(), 20, worker.ready_text)
    assert worker.ready_status() == 503 and worker.get("/healthz").status == 200
    hold.disarm()
    wait_until(lambda: worker.ready_status() == 200, 20, worker.ready_text)
    [event] = t.topics.wait(records)
    assert event.status == "SUCCEEDED", event.plain
    t.verify()
