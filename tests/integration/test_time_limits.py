# SPDX-License-Identifier: Apache-2.0
"""How long a call may take: what the command, its config, the driver's configSchema and the keys
say, and that a TIMEOUT says which of them it was."""

import json

from harness.case import limit
from harness.commands import command, plugin_driver
from harness.process import wait_until

HANG = {"test": {"hang": True}}
SLOW = {"test": {"sleepMs": 1500}}


def fixture_with_defaults(t):
    """Its sandbox driver has a default of timeoutMs, as the drivers of real clouds do."""
    package = t.fixture()
    fields = package.manifest["environmentDrivers"][0]["configSchema"]["properties"]
    fields["timeoutMs"]["default"] = 3_600_000
    return package


@limit(180)
def test_what_sets_the_limit(t):
    plugin_id = t.install(fixture_with_defaults(t))
    keys = {
        "plugin.call.timeout": "1s",
        "plugin.call.timeout.ResumeLease": "700ms",
        "plugin.call.timeout.fixture.envdriver.Probe": "600ms",
    }
    worker = t.worker(config=keys)
    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")
    sandbox = {"type": "SandboxProvider", "provider": "fixture-sandbox"}
    # Without the schema's default these three end after a second.
    lives = [
        command("Execute", {"command": "echo", "args": ["x"]}, target=sandbox, config=SLOW),
        command("AcquireLease", target=sandbox, config=SLOW),
        command("AcquireLease", target=plugin_driver("fixture-sandbox", plugin_id=plugin_id), config=SLOW),
    ]
    ends = [
        (command("Execute", config=HANG), "plugin.call.timeout", 1000),
        (command("ValidateConfig", target=sandbox, config=HANG), "plugin.call.timeout", 1000),
        (command("ResumeLease", target=sandbox, config=HANG), "plugin.call.timeout.ResumeLease", 700),
        (command("Probe", target=sandbox, config=HANG), "plugin.call.timeout.fixture.envdriver.Probe", 600),
    ]
    for one in [*lives, *(row[0] for row in ends)]:
        one["orderingKey"] = ""
    got = t.topics.wait(t.topics.publish(*lives, *(row[0] for row in ends)))
    for event in got[: len(lives)]:
        assert event.status == "SUCCEEDED", event.plain
    for (one, name, ms), event in zip(ends, got[len(lives) :]):
        assert (event.status, event.error["code"]) == ("FAILED", "TIMEOUT"), event.plain
        assert event.error["message"].endswith(f"timed out after {ms}ms"), event.error
        details = json.loads(event.error["details"])
        assert (details["limit"], details["setMs"], details["limitMs"]) == (name, ms, ms), details
        assert details["setBy"].rpartition(":")[2].isdigit(), details
    t.verify()
    # The tools say it, too.
    plain = json.dumps({**ends[2][0], "commandId": "said"})
    shown = t.cli("publish", "--file", "-", "--wait", "--json", input=plain)
    assert '"setBy"' in shown.stdout, shown
    lease = ["--lease", '{"providerLeaseId":"l"}', "--target", "fixture.envdriver:fixture-env"]
    who = ["--company", "company-1", "--environment", "e", "--config", json.dumps(HANG)]
    shown = t.cli("exec", *lease, *who, "--", "true")
    assert shown.returncode == 125, shown
    assert "(the limit: plugin.call.timeout, 1000ms, set by " in shown.stderr, shown
    assert "--timeout gives the command a limit of its own" in shown.stderr, shown
    shown = t.cli("watch", "--from", "beginning", "--limit", "9", "--timeout", "9s", "-o", "wide")
    assert "(the limit: plugin.call.timeout.ResumeLease, 700ms, set by " in shown.stdout, shown


@limit(30)
def test_a_key_of_no_operation_is_a_finding(t):
    shown = t.cli("config", "check", "--offline", config={"plugin.call.timeout.Excute": "1s"})
    assert shown.returncode == 1 and "did you mean 'Execute'?" in shown.stderr, shown
