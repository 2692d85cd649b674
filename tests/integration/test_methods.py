# SPDX-License-Identifier: Apache-2.0
"""Sync, ingress, set-up sessions and templates on real parts; what is a live credential is read
once and stands nowhere else."""

import json
import time

from harness.case import limit
from harness.commands import command
from harness.process import wait_until

HUSH = "hush-4711-do-not-tell"
SESSION = {"sessionId": "s-1", "includeConnectionPayload": True}


def one(t, *arguments, **more):
    [event] = t.topics.wait(t.topics.publish(command(*arguments, **more)))
    return event


def knob(**test):
    return {"test": test}


def payload(**more):
    return {"type": "ssh", "command": f"ssh {HUSH}@h", "token": HUSH, **more}


def session(**more):
    """What a plugin that repeats its token everywhere answers."""
    return knob(
        on=["environmentStartInteractiveSetup", "environmentGetInteractiveSetup"],
        result={
            "providerLeaseId": "lease-s",
            "status": "waiting_for_user",
            "connectionSummary": {"type": "ssh", "username": HUSH, "token": HUSH},
            "connectionPayload": payload(**more),
            "metadata": {"note": f"token={HUSH}"},
        },
    )


def nowhere(t, worker):
    """No topic, no key of Redis, no log shows it."""
    shown = [e.plain for e in t.topics.read_all() if HUSH in json.dumps(e.plain)]
    assert not shown, shown
    for key in t.redis.client.keys("*"):
        get = {"string": t.redis.client.get, "hash": t.redis.client.hgetall}
        kind = t.redis.client.type(key)
        assert kind not in get or HUSH not in str(get[kind](key)), key
    assert HUSH not in worker.stderr()


@limit(120)
def test_live_credentials(t):
    t.install(t.fixture())
    worker = t.worker()
    redis = t.redis.client
    asked = session(expiresAt="2090-01-01T00:00:00Z")

    started = one(t, "StartInteractiveSetup", SESSION, config=asked)
    assert started.status == "SUCCEEDED", started.plain
    key = started.value["credentialKey"]
    assert key == f"envdriver:credential:{started.command_id}"
    assert started.value["command"]["providerLeaseId"] == "lease-s"
    assert json.loads(started.value["connectionSummary"]) == {"type": "ssh", "username": "***"}
    assert 0 < redis.pttl(key) <= 600_000
    read = t.cli("credential", "get", key)
    assert read.returncode == 0 and json.loads(read.stdout)["token"] == HUSH, read
    again = t.cli("credential", "get", key)
    assert again.returncode == 1 and "was read already" in again.stderr, again

    # Its own end comes before ours; an old one is none; who did not ask gets none.
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 30))
    fields = {"providerLeaseId": "lease-s", "includeConnectionPayload": True}
    short = one(t, "GetInteractiveSetup", fields, config=session(expiresAt=soon))
    assert 0 < redis.pttl(short.value["credentialKey"]) <= 30_000
    assert redis.getdel(short.value["credentialKey"])
    old = one(t, "GetInteractiveSetup", fields, config=session(expiresAt="2001-01-01T00:00:00Z"))
    assert old.value["credentialKey"] is None
    assert "expired already" in str(old.value["trace"]["warnings"])
    plain = one(t, "GetInteractiveSetup", {"providerLeaseId": "lease-s"}, config=asked)
    assert plain.value["credentialKey"] is None and plain.status == "SUCCEEDED"

    headers = [{"name": "x-runner", "value": HUSH}]
    result = {"kind": "authenticated_websocket", "secretHeaders": headers, "generation": "1"}
    result["websocketUrl"] = "wss://h/run"
    where = one(t, "RunnerIngressEndpoint", config=knob(result=result))
    assert where.value["ingress"]["secretHeaderNames"] == ["x-runner"]
    read = t.cli("credential", "get", where.command_id)
    assert json.loads(read.stdout) == headers, read
    result["websocketUrl"] = f"wss://{HUSH}@h/run"
    where = one(t, "RunnerIngressEndpoint", config=knob(result=result))
    assert where.error["code"] == "BAD_RESPONSE" and "user information" in where.error["message"]
    # The knobs of the fixture are in the commands; of what was answered there is nothing.
    redis.delete(*redis.keys("envdriver:credential:*") or ["none"])
    nowhere(t, worker)
    t.verify()


@limit(60)
def test_publish_says_how_to_read_it(t):
    t.install(t.fixture())
    t.worker()
    told = t.cli(
        "publish", "start-setup", "--target", "fixture.envdriver:fixture-env", "--environment", "e",
        "--session-id", "s", "--include-connection-payload", "--wait",
    )
    assert told.returncode == 0, told
    key = json.loads(told.stdout)["credentialKey"]
    assert f"envdriver credential get '{key}'" in told.stderr, told.stderr
    read = t.cli("credential", "get", key)
    assert json.loads(read.stdout)["command"] == "ssh fixture@invalid", read


@limit(60)
def test_sync_copies_in_and_out(t):
    t.install(t.fixture())
    t.worker()
    here = t.dir / "host"
    (here / "tree").mkdir(parents=True)
    (here / "tree" / "a").write_text("12345")
    (here / "one").write_text("123")
    files = [
        {"sourcePath": str(here / "tree"), "targetPath": str(here / "copy"), "kind": "directory"},
        {"sourcePath": str(here / "one"), "targetPath": str(here / "copy" / "b"), "kind": "file"},
    ]
    after = [{"command": "cat a b > c", "cwd": str(here / "copy")}]
    operations = [
        {"operationId": "first", "files": files, "postUploadCommands": after},
        {"operationId": "second", "files": []},
    ]
    done = one(t, "SyncIn", {"operations": operations})
    assert done.status == "SUCCEEDED", done.plain
    assert done.value["operations"] == [
        {"operationId": "first", "filesTransferred": 2, "bytesTransferred": 8},
        {"operationId": "second", "filesTransferred": 0, "bytesTransferred": 0},
    ]
    assert (here / "copy" / "c").read_text() == "12345123"
    wrong = [{"operationId": "x", "files": [{**files[0], "targetPath": "copy"}]}]
    [letter] = t.topics.wait(t.topics.publish(command("SyncOut", {"operations": wrong})))
    assert letter.value["field"] == "operation.operations[0].files[0].targetPath", letter.plain
    t.verify()


def notices(t, kind):
    return [e for e in t.topics.read_all(["plugin-events"]) if e.value["type"] == kind]


@limit(90)
def test_session_without_an_owner_is_cancelled(t):
    t.install(t.fixture())
    limits = {"plugin.call.timeout.StartInteractiveSetup": "500ms"}
    t.worker(config=limits)
    slow = knob(on="environmentStartInteractiveSetup", sleepMs=1500)
    late = one(t, "StartInteractiveSetup", SESSION, environmentId="env-1", config=slow)
    assert late.error["code"] == "TIMEOUT", late.plain
    wait_until(lambda: notices(t, "LEASE_DESTROYED"), 30, "the late session is over")
    [gone] = notices(t, "LEASE_DESTROYED")
    assert gone.value["name"] == "fixture-setup://env-1/s-1", gone.plain
    # The plugin was asked to cancel it (reason: failed), and not to destroy a lease.
    seen = one(t, "GetInteractiveSetup", {"providerLeaseId": "fixture-setup://env-1/s-1"})
    assert seen.value["status"] == "failed", seen.plain
    t.verify()


@limit(120)
def test_what_is_called_once(t):
    t.install(t.fixture())
    worker = t.worker()
    busy = knob(sleepMs=5000)
    ran = [{"operationId": "o", "files": [], "postUploadCommands": [{"command": "true"}]}]
    commands = (
        command("CaptureTemplate", orderingKey="", config=busy),
        command("SyncIn", {"operations": ran}, orderingKey="", config=busy),
        command("CaptureTemplate", orderingKey="", config=busy, rerunIfInterrupted=True),
        command("SyncIn", orderingKey="", config=busy),
        command("StartInteractiveSetup", orderingKey="", config=busy),
    )
    records = t.topics.publish(*commands)
    wait_until(lambda: worker.metric("envdriver_calls_running") == 5, 20, "all are called")
    worker.kill()
    worker.start().wait_ready(40)
    ends = t.topics.wait(records, timeout=60)
    assert [e.status for e in ends] == ["INTERRUPTED"] * 2 + ["SUCCEEDED"] * 3, ends
    assert ends[0].error["message"] == (
        "CaptureTemplate was interrupted; it is not known whether it took effect."
    )
    assert [e.value["trace"]["attempt"] for e in ends] == [1, 1, 2, 2, 2]
    assert "may have left a lease behind" in str(ends[4].value["trace"]["warnings"])
    t.verify()
