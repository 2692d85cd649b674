# SPDX-License-Identifier: Apache-2.0
"""Secrets: references in config and env become values just before the call, from the files of the
command's own company, and nowhere else."""

import hashlib
import json
import os

from harness.case import limit
from harness.commands import command
from harness.process import wait_until

SANDBOX = {"type": "SandboxProvider", "provider": "fixture-sandbox"}
UUID = "7d1f0c52-3c1a-4b0e-9b1e-0f3c2a1b4d5e"
DIGEST = {"test": {"digest": True}}


def ref(secret, **more):
    return {"type": "secret_ref", "secretId": secret, **more}


def put(folder, company, secret, value):
    os.makedirs(f"{folder}/{company}", mode=0o700, exist_ok=True)
    with open(f"{folder}/{company}/{secret}", "w", encoding="utf-8") as f:
        f.write(value)


def fixture_with_places(t):
    """Its drivers mark secrets in arrays, unions and behind a $ref that closes a circle, too."""
    package = t.fixture()
    secret = {"type": "string", "format": "secret-ref"}
    for driver in package.manifest["environmentDrivers"]:
        schema = driver["configSchema"]
        login = {"properties": {"password": secret, "next": {"$ref": "#/$defs/login"}}}
        schema["$defs"] = {"login": login}
        schema["properties"]["keys"] = {"type": "array", "items": secret}
        schema["properties"]["auth"] = {"oneOf": [{"type": "null"}, {"properties": {"token": secret}}]}
        schema["properties"]["login"] = {"$ref": "#/$defs/login"}
    return package


def worker_with(t, package, **config):
    plugin_id = t.install(package)
    worker = t.worker(config=config)
    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")
    return worker


def sent(config, env=None):
    """The digest of what the plugin is to be sent."""
    text = json.dumps({"config": config, "env": env}, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seen(event):
    for name in ("details", "metadata"):
        if event.value.get(name):
            found = json.loads(event.value[name])
            return found.get("metadata", found)["digest"]
    return json.loads(event.value["lease"]["metadata"])["digest"]


def run(t, *commands, company="acme"):
    for one in commands:
        one["orderingKey"] = ""
        one["companyId"] = company
    return t.topics.wait(t.topics.publish(*commands))


@limit(90)
def test_references_become_values(t):
    folder = str(t.dir / "secrets")
    os.makedirs(folder, mode=0o700)
    values = {"key": "s3cret-key", "quote": 'with "quotes"\nand é', UUID: "of-a-uuid", "key@3": "third value"}
    for name, value in values.items():
        put(folder, "acme", name, value + "\n")
    put(folder, "other", "theirs", "of another company\n")
    os.symlink(f"{folder}/other/theirs", f"{folder}/acme/link")
    worker = worker_with(t, fixture_with_places(t), **{"secrets.dir": folder})

    configs = [
        ({"a": [0, {"b": ref("key")}], "c": ref("quote")}, {"a": [0, {"b": "s3cret-key"}], "c": values["quote"]}),
        ({"apiKey": "key", "image": "key"}, {"apiKey": "s3cret-key", "image": "key"}),
        ({"apiKey": "", "keys": [UUID, ref("key"), "quote"]}, {"apiKey": "", "keys": ["of-a-uuid", "s3cret-key", values["quote"]]}),
        ({"auth": {"token": UUID}, "login": {"next": {"next": {"password": "key"}}}},
         {"auth": {"token": "of-a-uuid"}, "login": {"next": {"next": {"password": "s3cret-key"}}}}),
    ]
    commands = [command("Probe", config={**c, **DIGEST}, target=SANDBOX) for c, _ in configs]
    pinned = command("Probe", config={"x": ref("key", version=3), **DIGEST})
    env = {"A": "plain", "B": ref("key"), "C": ref("quote")}
    execute = command("Execute", {"command": "true", "env": env}, config={"apiKey": "key", **DIGEST})
    got = run(t, *commands, pinned, execute)
    for event, (_, want) in zip(got, configs):
        assert event.status == "SUCCEEDED", event.plain
        assert seen(event) == sent(want), want
    assert got[-2].status == "SUCCEEDED", got[-2].plain
    assert seen(got[-2]) == sent({"x": "third value"}), got[-2].plain
    want = {"A": "plain", "B": "s3cret-key", "C": values["quote"]}
    assert seen(got[-1]) == sent({"apiKey": "s3cret-key"}, want), got[-1].plain

    # A new value counts at once.
    put(folder, "acme", "key", "rotated-key")
    [event] = run(t, command("Probe", config={"apiKey": "key", **DIGEST}, target=SANDBOX))
    assert seen(event) == sent({"apiKey": "rotated-key"}), event.plain

    # What cannot be had ends the command, names the place, and shows no value.
    put(folder, "acme", "short", "12345")
    bad = [
        ({"x": ref("none")}, 'Secret "none" could not be resolved for x: not found for company "acme" (asked: secrets.dir)'),
        ({"x": [ref("theirs")]}, 'Secret "theirs" could not be resolved for x.0: not found'),
        ({"x": ref("../other/theirs")}, "its id begins with a dot"),
        ({"x": ref("link")}, "is a link that leads out"),
        ({"x": ref("short")}, "secrets.dir has 5 bytes for it; fewer than 6 cannot be masked"),
        ({"apiKey": UUID[::-1]}, "apiKey the id of a secret"),
        ({"apiKey": "sk-live-1234567890"}, "apiKey the id of a secret (the string is not shown"),
        ({"x": ref("key", version="2")}, 'x: its version must be a whole number or "latest"'),
    ]
    got = run(t, *(command("Probe", config={**c, **DIGEST}, target=SANDBOX) for c, _ in bad))
    for event, (_, text) in zip(got, bad):
        assert (event.status, event.error["code"]) == ("FAILED", "SECRET_UNRESOLVED"), event.plain
        assert text in event.error["message"], (text, event.error)
        assert not event.error["retryable"] and not event.error["mayHaveRun"], event.error
        assert "sk-live" not in event.plain and event.value["trace"]["attempt"] == 0, event.plain

    # ValidateConfig sees ids, and so does who asked.
    asked = {"apiKey": ref(UUID), "keys": [ref("key"), "quote"], "other": ref("key"), "test": {"normalizedConfig": False}}
    [event] = run(t, command("ValidateConfig", config=asked, target=SANDBOX))
    assert event.status == "SUCCEEDED", event.plain
    want = {"apiKey": UUID, "keys": ["key", "quote"], "other": ref("key")}
    answered = json.loads(event.value["config"])
    assert {k: answered[k] for k in want} == want, event.plain
    t.verify()
    for value in ("s3cret-key", "rotated-key", "of-a-uuid"):
        assert value not in worker.stderr(), f"{value} in the log"


@limit(90)
def test_what_a_plugin_asks_for(t):
    folder = str(t.dir / "secrets")
    os.makedirs(folder, mode=0o700)
    for company in ("acme", "other"):
        put(folder, company, "key", f"key of {company}\n")
        put(folder, company, "loose", "not bound\n")
    stored = {"acme": {"apiKey": ref("key"), "two": [ref("twice"), ref("twice")]}}
    plugin_id = t.install(t.fixture(), config=stored)
    worker = t.worker(config={"secrets.dir": folder})
    key = f"envdriver:worker:{plugin_id}:{worker.name}"
    wait_until(lambda: t.redis.client.hget(key, "status") == "running", 30, "the plugin runs")

    def ask(secret, company="acme"):
        knob = "secretRef" if secret.startswith("string:") else "secretId"
        one = command("Probe", config={"test": {knob: secret}}, target=SANDBOX)
        [event] = run(t, one, company=company)
        assert event.status == "SUCCEEDED", event.plain
        return json.loads(event.value["details"])["metadata"]["secret"]

    got = ask("key")
    assert got == "***", got  # it has it, and so it is masked
    for secret, company, text in [
        ("string:key", "acme", "Invalid secret reference for plugin: "),
        ("loose", "acme", "is bound nowhere in this plugin's config"),
        ("key", "other", "is bound nowhere in this plugin's config"),
    ]:
        error = ask(secret, company)["error"]
        assert error["code"] == -32603 and text in error["message"], error
    for _ in range(30):
        last = ask("key")
    assert "Rate limit exceeded: 30 secrets in 60 s" in last["error"]["message"], last


@limit(60)
def test_from_the_command_line(t):
    folder = str(t.dir / "secrets")
    os.makedirs(folder, mode=0o700)
    put(folder, "acme", "token", "value-of-token\n")
    worker_with(t, t.fixture(), **{"secrets.dir": folder})
    digest = 'test "$(printf %s "$A" | sha256sum | cut -c1-64)" = ' + hashlib.sha256(b"value-of-token").hexdigest()
    arguments = ["exec", "--provider", "fixture-sandbox", "--company", "acme", "--environment", "e", "--lease", "l"]
    shown = t.cli(*arguments, "--env-secret", "A=token", "--", "sh", "-c", digest + ' && echo "$A"')
    assert (shown.returncode, shown.stdout) == (0, "***\n"), shown
    shown = t.cli(*arguments, "--env-secret", "A=none", "--", "true")
    assert shown.returncode and 'Secret "none" could not be resolved for env.A' in shown.stderr, shown
