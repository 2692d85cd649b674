# SPDX-License-Identifier: Apache-2.0
"""What a plugin on the real SDK gets from its host, and what its errors come to."""

from harness.case import limit
from harness.commands import command

THROWN = [
    # message, code, retryable
    ("read ECONNRESET", None, True),
    ("fetch failed", None, True),
    ("Request failed with status code 503", None, True),
    ("exe.dev API command failed (429) for: ls", None, True),
    ("14 UNAVAILABLE: No connection established", 14, True),
    ("HTTP-Code: 500\nMessage: Unknown API Status Code!", 500, True),
    ("Request failed with status code 404", None, False),
    ("429 files on port 5000 could not be read", None, False),
    ("unauthorized", 401, False),
    ("lease is gone", None, False),
]


def wait_running(t, plugin_id, worker):
    from harness.process import wait_until

    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")


@limit(90)
def test_which_errors_are_retryable(t):
    plugin_id = t.install(t.fixture())
    wait_running(t, plugin_id, t.worker())
    commands = []
    for message, code, _ in THROWN:
        knobs = {"throw": message} if code is None else {"throw": message, "throwCode": code}
        commands.append(command("Probe", config={"test": knobs}))
    lease = {"providerLeaseId": "lease-1", "cancelActiveWork": True}
    commands.append(command("ReleaseLease", lease))
    *thrown, released = t.topics.wait(t.topics.publish(*commands))
    for (message, code, retryable), event in zip(THROWN, thrown):
        assert event.error["code"] == "PLUGIN_ERROR", event.plain
        assert event.error["message"] == message, event.error
        assert event.error["rpcCode"] == (-32002 if code is None else code), event.error
        assert event.error["retryable"] is retryable, event.error
    # A plugin that gives no receipts gives none the next time.
    assert released.error["code"] == "RELEASE_UNCONFIRMED", released.plain
    assert released.error["retryable"] is False, released.error
    t.verify()
