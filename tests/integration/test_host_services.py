# SPDX-License-Identifier: Apache-2.0
"""What a plugin on the real SDK gets from its host, and what its errors come to."""

import json
import re

from harness.case import limit
from harness.commands import command
from harness.hostile import Hostile
from harness.process import wait_until

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
    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")


@limit(180)
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


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ALL = ["events.emit", "events.subscribe", "telemetry.track"]


def asked(t, asks, knobs=None, **top):
    config = {"test": {"ask": asks, **(knobs or {})}}
    [event] = t.topics.wait(t.topics.publish(command("Probe", config=config, **top)))
    assert event.status == "SUCCEEDED", event.plain
    return json.loads(event.value["details"])["metadata"]["asked"]


def plugin_events(t):
    return [e for e in t.topics.read_all() if e.name == "PluginEvent"]


def error(code, message):
    return {"error": {"code": code, "message": message}}


def with_capabilities(t, *more):
    package = t.fixture()
    package.manifest["capabilities"] += more
    return package


@limit(120)
def test_what_a_plugin_asks(t):
    """Each service through the SDK; what the worker makes of it is in /metrics and in the plugin
    events."""
    configs = {"company-1": {"greeting": "hello"}, "company-2": {"n": 1}}
    plugin_id = t.install(with_capabilities(t, *ALL), config=configs)
    worker = t.worker(config={"plugin.metrics.max.series": "3"})
    wait_running(t, plugin_id, worker)
    key = {"scopeKind": "company", "scopeId": "company-1", "stateKey": "k"}
    denied = 'Plugin "%s" is not allowed to perform "%s": '
    scope = 'requested company "company-2" but the current invocation is scoped to company "company-1"'
    rows = [
        (["config.get", "company-1"], {"greeting": "hello"}),
        (["config.get", "company-2"], error(-32005, denied % (plugin_id, "config.get") + scope)),
        (["state.set", key, {"n": 1}], None),
        (["state.get", key], {"n": 1}),
        (["state.delete", key], None),
        (["state.get", key], None),
        (["state.get", {**key, "scopeId": "company-2"}],
         error(-32005, denied % (plugin_id, "state.get") + scope)),
        (["metrics.write", "files.copied", 2, {"kind": "big", "co": "company-1"}], None),
        (["metrics.write", "files.copied", 3, {"kind": "big", "co": "company-1"}], None),
        (["metrics.write", "evil\n} 1\nenvdriver_ready 7", 1, {"a\"b": "c\"\n"}], None),
        (["activity.log", {"companyId": "company-1", "message": "did it", "metadata": {"a": 1}}], None),
        (["activity.log", {"message": "no company"}],
         error(-32603, "companyId is required for this operation")),
        (["events.emit", "done", "company-1", {"n": 1}], None),
        (["events.emit", "plugin.done", "company-1", {}], "prefix when emitting events"),
        (["events.on", "issue.created"], None),
        (["telemetry.track", "a_slug"], None),
        (["telemetry.track", "No Slug"], "must be lowercase slugs"),
        (["span", "pack", {"size": 3}], None),
        (["http.fetch", "http://127.0.0.1/"], error(-32601, 'Host does not handle method "http.fetch"')),
        (["entities.list", {}], error(-32601, 'Host does not handle method "entities.list"')),
    ]
    got = asked(t, [ask for ask, _ in rows], traceparent=TRACE)
    for (ask, wanted), answer in zip(rows, got, strict=True):
        if isinstance(wanted, str):
            assert wanted in answer["error"]["message"] and answer["error"]["code"] == -32603, answer
        else:
            assert answer == wanted, (ask, answer)
    # No traceparent, no span: the SDK does not even ask.
    knobs = {"stream": True, "log": [{"level": "warn", "message": "mind", "meta": {"n": 1}}]}
    assert asked(t, [["span", "unseen", {}]], knobs) == [None]
    wait_until(lambda: 'mind {"n":1}' in worker.stderr(), 10, worker.stderr)
    text = worker.get("/metrics").body
    labels = 'plugin="fixture.envdriver",name="files.copied",tag_kind="big"'
    for family, value in (("points_total", 2), ("sum", 5), ("last", 3)):
        assert f"envdriver_plugin_metric_{family}{{{labels}}} {value}\n" in text, text
    assert 'name="evil___1_envdriver_ready_7",tag_a_b="c\\"_"} 1\n' in text, text
    assert all(re.fullmatch(r'# .*|envdriver_\w+(\{.*\})? [-+.\deE]+', x) for x in text.splitlines())
    assert "company-1" not in text
    events = {}

    def reported():
        events.update({(e.value["type"], e.value["name"]): e.value for e in plugin_events(t)})
        return ("SPAN_RECORDED", "pack") in events and ("EVENT_EMITTED", "done") in events

    wait_until(reported, 20, lambda: list(events))
    span = json.loads(events["SPAN_RECORDED", "pack"]["details"])
    assert (span["attributes"], span["traceparent"], span["status"]) == ({"size": 3}, TRACE, {"code": 1})
    assert events["ACTIVITY", None]["message"] == "did it"
    assert json.loads(events["EVENT_EMITTED", "done"]["details"]) == {"payload": {"n": 1}}
    assert ("SPAN_RECORDED", "unseen") not in events
    closed = ("STREAM_CLOSED", "fixture-stream")
    wait_until(lambda: reported() and closed in events, 20, lambda: list(events))
    assert ("STREAM_OPENED", "fixture-stream") in events
    said = events["STREAM_EVENT", "fixture-stream"]
    assert json.loads(said["details"]) == {"event": {"method": "environmentProbe"}}, said
    assert said["companyId"] == "company-1", said
    # The limit of series: one more fits, the next does not; those that are there go on.
    writes = [["metrics.write", name, 1] for name in ("x", "y", "files.copied")]
    assert asked(t, writes) == [None] * 3
    assert worker.metric("envdriver_plugin_metric_points_total") == 4
    assert worker.metric("envdriver_plugin_metric_points_dropped_total") == 2
    assert "are more series than plugin.metrics.max.series (3) allows" in worker.stderr()
    t.redis.client.hset(f"envdriver:plugin:{plugin_id}", "status", "disabled")
    t.verify()


@limit(60)
def test_set_up_may_ask_for_a_company_with_config(t):
    """Outside a call a plugin reaches the companies that have a stored config, and no other."""
    configs = {"company-1": {"greeting": "hello"}}
    plugins = []
    for company in ("company-1", "company-9"):
        package = t.fixture(configGet=True, configGetCompany=company)
        package.manifest["id"] = f"fixture.{company}"
        plugins.append(t.install(package, config=configs))
    worker = t.worker(config={"log.level": "debug"})
    wait_running(t, plugins[0], worker)
    wait_running(t, plugins[1], worker)
    wait_until(lambda: worker.stderr().count("config.get in setup") == 2, 10, worker.stderr)
    said = [line for line in worker.stderr().splitlines() if "config.get in setup" in line]
    assert any("fixture.company-1" in x and "hello" in x for x in said), said
    [denied] = [x for x in said if "fixture.company-9" in x]
    assert "-32005" in denied and "company context is required" in denied, said


@limit(180)
def test_a_flood_of_one_company_leaves_room_for_another(t):
    """Events are limited for each company: one that floods loses its own."""
    hostile = Hostile(t)
    worker = t.worker()
    for company, n in (("loud", 4000), ("quiet", 50)):
        asks = [["activity.log", {"companyId": company, "message": "m"}]] * n
        one = hostile.command(config={"asks": asks}, companyId=company)
        [event] = t.topics.wait(t.topics.publish(one))
        assert json.loads(event.value["summary"]) == [None] * n, event.plain

    def mine(company):
        return [e for e in plugin_events(t) if e.value["companyId"] == company]

    wait_until(lambda: len(mine("quiet")) == 50, 20, lambda: len(mine("quiet")))
    assert 1000 <= len(mine("loud")) < 4000, len(mine("loud"))
    assert worker.process.poll() is None
