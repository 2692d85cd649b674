# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, fault 17: a schema registry that is away, slow, wrong or hostile, and a real
one."""

import copy
import json
import time

from harness import avro
from harness.case import limit
from harness.commands import command
from harness.process import wait_until
from harness.schema_registry import Fake, Real, drip, huge

URL = "schema.registry.url"


def begin(t, registry=None, ready=True, **config):
    registry = registry or Fake()
    t.at_end(registry.stop)
    registry.start()
    avro.use_registry(registry)
    t.install(t.fixture())
    return registry, t.worker(config={URL: registry.url, **config}, ready=ready)


def framed(plain, schema_id, writer=None):
    """A command as a publisher with a registry writes it; `writer`: its own schema (a dict)."""
    if writer is None:
        return avro.id_frame(schema_id) + avro.encode_command(plain)[avro.FRAME :]
    return avro.id_frame(schema_id) + avro.datum(writer, plain)


def put(t, schema_id, plain, partition=None, writer=None):
    key = (plain.get("orderingKey") or plain["commandId"]).encode()
    return t.topics.publish_raw(framed(plain, schema_id, writer), key, partition)


def ours():
    return copy.deepcopy(avro.schema_json("EnvironmentCommand"))


def letters(t):
    """{offset of the command: message} of the dead letters."""
    return {
        e.source: e.value["message"]
        for e in t.topics.read_all()
        if e.name == "DeadLetter"
    }


def one(t, record, timeout=30):
    [event] = t.topics.wait([record], timeout=timeout)
    return event


# --- the way it is meant to be ---


@limit(240)
def test_main_job_with_a_real_registry(t):
    """A command by the CLI, a command by another program, results that fastavro reads by id."""
    registry, worker = begin(t, Real(t.dir))
    made = registry.register(f"{t.topics.prefix}commands-value", ours())
    mine = put(t, made, command("Probe", config={"image": "img"}))
    event = one(t, mine)
    assert event.status == "SUCCEEDED", event.plain
    config = {URL: registry.url}
    said = t.cli(
        "publish", "probe", "--target", "fixture.envdriver:fixture-env", "--environment", "e",
        "--wait", "--json", config=config,
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["outcome"]["status"] == "SUCCEEDED"
    t.topics.publish(command("Probe"))  # and one that knows of no registry
    letter = t.topics.publish_raw(b"\x00\x7f\xff\xff\xffabc")
    assert "schema id 2147483647: the registry does not know it" in one(t, letter).value["message"]
    wait_until(lambda: len(t.topics.read_all()) >= 5, 20, "all events")
    t.verify()
    frames = [m.value()[:1] for m in t.topics._read(("probe-results", "dead-letters"), "read_committed")]
    assert frames == [b"\x00"] * 4, frames
    subjects = registry.subjects()
    for topic in ("probe-results", "dead-letters", "plugin-events", "execution-logs", "commands"):
        assert f"{t.topics.prefix}{topic}-value" in subjects, subjects
    shown = t.cli("replay", "--json", config=config)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count('"unreadable"') == 1, shown.stdout  # the record with no such id
    assert shown.stdout.count('"operation":"Probe"') == 3, shown.stdout
    followed = t.cli("watch", "--from", "beginning", "--limit", "4", "--timeout", "20s", "--json", config=config)
    assert followed.returncode == 0 and len(followed.stdout.splitlines()) == 4, followed.stderr
    blind = t.cli("replay", "--json")
    assert "schema.registry.url is not set" in blind.stdout, blind.stdout


@limit(240)
def test_incompatible_subject_of_a_real_registry_is_exit_78(t):
    registry = Real(t.dir)
    t.at_end(registry.stop)
    registry.start()
    subject = f"{t.topics.prefix}probe-results-value"
    other = {"type": "record", "name": "ProbeResult", "namespace": "envdriver",
             "fields": [{"name": "x", "type": "int"}]}
    registry.register(subject, other)
    registry.compatibility(subject, "FULL_TRANSITIVE")
    worker = t.worker(config={URL: registry.url}, ready=False)
    assert worker.wait(60) == 78
    assert f"subject '{subject}'" in worker.stderr()
    assert "incompatible" in worker.stderr()


@limit(120)
def test_exec_by_registry(t):
    registry, _ = begin(t)
    target = ("--target", "fixture.envdriver:fixture-env", "--environment", "e")
    config = {URL: registry.url}
    got = t.cli("publish", "acquire", *target, "--run-id", "r", "--wait", "--json", config=config)
    assert got.returncode == 0, got.stderr
    lease = json.loads(got.stdout)["lease"]["providerLeaseId"]
    ran = t.cli("exec", "--lease", lease, "--", "true", config=config)
    assert ran.returncode == 0, ran.stderr
    t.verify()


# --- writers that are older or newer ---


def evolved():
    """Of another release: fields in another order, without some that have a default, with some
    more, an int for a long, bytes for a string, plain types for unions."""
    schema = ours()
    fields = {f["name"]: f for f in schema["fields"]}
    for name in ("issuedBy", "traceparent", "config", "expiresAt", "rerunIfInterrupted"):
        del fields[name]
    fields["issuedAt"]["type"] = "int"
    fields["companyId"]["type"] = "bytes"
    fields["issueId"] = {"name": "issueId", "type": "string"}
    fields["priority"] = {"name": "priority", "type": {"type": "map", "values": "double"}}
    target = fields["target"]["type"]
    target[1]["fields"].insert(0, {"name": "region", "type": ["null", "string"], "default": None})
    fields["operation"]["type"].append(
        {"type": "record", "name": "Teleport", "fields": [{"name": "to", "type": "string"}]}
    )
    schema["fields"] = list(reversed(fields.values()))
    return schema


@limit(90)
def test_evolved_writers(t):
    registry, _ = begin(t)
    schema = evolved()
    number = registry.register("other", schema)
    plain = command("Execute", {"command": "true"}, orderingKey="k")
    # The named types are defined at their first use, which the new order has moved: nothing to do.
    value = {
        "commandId": "evolved", "issuedAt": 5, "companyId": b"company-1", "environmentId": "e",
        "issueId": "issue-1", "orderingKey": "k", "priority": {"x": 1.5},
        "target": ("envdriver.PluginDriver", {
            "region": "north", "pluginKey": "fixture.envdriver", "driverKey": "fixture-env",
            "pluginId": None}),
        "operation": ("envdriver.Execute", {
            **{k: None for k in ("args", "cwd", "env", "stdin", "timeoutMs", "bypassSession")},
            "lease": json.dumps(plain["operation"]["lease"]), "command": "true"}),
    }
    records = [t.topics.publish_raw(framed(value, number, schema), b"k")]
    later = {**value, "commandId": "later", "operation": ("envdriver.Teleport", {"to": "moon"})}
    records.append(t.topics.publish_raw(framed(later, number, schema), b"k"))
    broken = {**value, "commandId": "broken", "companyId": b"\xff\xfe"}
    records.append(t.topics.publish_raw(framed(broken, number, schema), b"k"))
    done, unknown, bad = t.topics.wait(records)
    assert done.status == "SUCCEEDED", done.plain
    ref = done.value["command"]
    assert (ref["commandId"], ref["companyId"], ref["issueId"]) == ("evolved", "company-1", "issue-1")
    assert unknown.value["reason"] == "INVALID_COMMAND", unknown.plain
    assert "'Teleport' is not known to this version" in unknown.value["message"]
    assert unknown.value["commandId"] == "later"
    assert bad.value["reason"] == "INVALID_COMMAND" and "UTF-8" in bad.value["message"]


# --- what a registry may answer ---


def recursive():
    schema = ours()
    schema["fields"].append({"name": "next", "type": ["null", "EnvironmentCommand"], "default": None})
    return schema


def deep():
    kind = "int"
    for _ in range(80):
        kind = {"type": "array", "items": kind}
    return {"type": "record", "name": "EnvironmentCommand", "fields": [{"name": "a", "type": kind}]}


def bomb():
    """Thirty types, each of which holds the one before twice."""
    kind = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "null"}]}
    for i in range(1, 14):
        kind = {"type": "record", "name": f"R{i}", "fields": [
            {"name": "a", "type": kind}, {"name": "b", "type": f"R{i - 1}"}]}
    fields = [{"name": f"f{i}", "type": kind if i == 0 else "R13"} for i in range(20)]
    return {"type": "record", "name": "EnvironmentCommand", "fields": fields}


def other():
    return {"type": "record", "name": "Other", "fields": [{"name": "a", "type": "int"}]}


def lacking():
    schema = ours()
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "companyId"]
    return schema


def wrong_type():
    schema = ours()
    for field in schema["fields"]:
        if field["name"] == "rerunIfInterrupted":
            field["type"] = "string"
    return schema


BAD = [
    (101, recursive, "recursive at 'EnvironmentCommand'"),
    (102, deep, "nested deeper than 64"),
    (103, bomb, "more than 65536 values"),
    (104, other, "expected an EnvironmentCommand, got a Other"),
    (105, lacking, "companyId: not written, and it has no default"),
    (106, wrong_type, "rerunIfInterrupted: string is written, boolean is expected"),
    (107, lambda: '"int"', "expected a record, got int"),
    (108, lambda: {"type": "record", "name": "EnvironmentCommand"}, "a record without fields"),
]


@limit(120)
def test_bad_schemas_are_dead_letters(t):
    registry, worker = begin(t)
    for number, schema, _ in BAD:
        registry.put(number, schema())
    registry.put(109, "{ this is no JSON")
    registry.put(110, " " * (300 << 10))
    answers = {
        111: (200, b"<html>log in</html>"),
        112: (200, {"id": 112}),
        113: (200, {"schema": "{}", "schemaType": "PROTOBUF"}),
        114: huge(10),
        115: (200, b'{"schema": "' + b"[" * 70000 + b'"}'),
        116: (200, b"[" * 100_000),
    }
    for number, what in answers.items():
        registry.faults[f"GET /schemas/ids/{number}"] = what
    expected = {number: text for number, _, text in BAD} | {
        109: "expected", 110: "262144", 111: "the registry's answer", 112: 'holds no "schema"',
        113: "another type than AVRO", 114: "exceeds 1048576 bytes", 115: "nested deeper",
        116: "the registry's answer", 117: "the registry does not know it",
    }
    records = {n: put(t, n, command("Probe", orderingKey="")) for n in expected}
    good = t.topics.publish(command("Probe"))
    t.topics.wait([*records.values(), *good], timeout=60)
    said = letters(t)
    for number, text in expected.items():
        message = said[records[number].position]
        assert text in message, (number, message)
    again = put(t, 101, command("Probe", orderingKey=""))
    one(t, again)
    assert len(registry.asked("GET /schemas/ids/101")) == 1, "a bad id is remembered"
    t.verify()


@limit(60)
def test_without_a_registry_an_id_is_a_dead_letter(t):
    t.install(t.fixture())
    t.worker()
    event = one(t, put(t, 7, command("Probe")))
    assert event.value["reason"] == "UNREADABLE_COMMAND"
    assert "schema id 7" in event.value["message"]
    assert "schema.registry.url is not set" in event.value["message"]
    event = one(t, t.topics.publish_raw(b"\xc3\x01" + b"\x01" * 8))
    assert "unknown schema fingerprint 0101010101010101" in event.value["message"]
    event = one(t, t.topics.publish_raw(b"\x00\x00\x01"))
    assert "ends inside its schema id" in event.value["message"]
    t.verify()


# --- a registry that gives no answer ---


def waits(t, worker, registry, trouble, text):
    """While the registry is in trouble nothing is lost, other partitions go on, the order of a
    key is kept; then it goes on by itself."""
    known = registry.register("commands", ours())
    one(t, put(t, known, command("Probe"), partition=1))  # its schema is known from here on
    new = registry.register("commands", {**ours(), "doc": "another text, and another id"})
    assert new != known
    trouble(registry, new)
    blocked = [put(t, new, command("Probe", orderingKey="k", commandId="first"), partition=0)]
    blocked += [
        put(t, known, command("Probe", orderingKey="k", commandId=f"next-{i}"), partition=0)
        for i in range(3)
    ]
    free = [put(t, known, command("Probe"), partition=1) for _ in range(5)]
    t.topics.wait(free, timeout=20)
    wait_until(lambda: worker.ready_status() == 503, 20, "/readyz says 503")
    said = worker.ready_text()
    assert f"GET /schemas/ids/{new}" in said and text in said, said
    assert "4 commands wait for a schema" in said, said
    time.sleep(2)  # time to overtake, if they could
    done = {e.source for e in t.topics.read_all()}
    assert not done & {r.position for r in blocked}, "nothing overtakes, nothing is given up"
    return known, new, blocked


def mended(t, worker, blocked):
    t.topics.wait(blocked, timeout=40)
    worker.wait_ready()
    events = t.verify()
    order = sorted(
        (e for e in events if e.final and e.source in {r.position for r in blocked}),
        key=lambda e: e.value["trace"]["startedAt"],
    )
    assert [e.value["command"]["commandId"] for e in order] == [
        "first", "next-0", "next-1", "next-2"
    ]
    assert not [e for e in events if e.name == "DeadLetter"]


@limit(120)
def test_registry_down_midway(t):
    t.make_topics(commands=2)
    registry, worker = begin(t)
    _, _, blocked = waits(t, worker, registry, lambda r, _: r.stop(), "connect")
    registry.start()
    mended(t, worker, blocked)


def _status(code):
    def trouble(registry, new):
        registry.faults[f"GET /schemas/ids/{new}"] = (code, {"error_code": code, "message": "x"})

    return trouble


@limit(120)
def test_registry_says_500(t):
    t.make_topics(commands=2)
    registry, worker = begin(t)
    _, new, blocked = waits(t, worker, registry, _status(500), "HTTP 500")
    asked = len(registry.asked(f"GET /schemas/ids/{new}"))
    assert 2 <= asked <= 12, asked  # it asks again, and more and more seldom
    registry.faults.clear()
    mended(t, worker, blocked)


@limit(120)
def test_registry_says_429_then_a_proxy_says_404(t):
    t.make_topics(commands=2)
    registry, worker = begin(t)
    _, new, blocked = waits(t, worker, registry, _status(429), "HTTP 429")
    # Not the registry's own word: it must not cost the command.
    registry.faults[f"GET /schemas/ids/{new}"] = (404, b"<html>no such page</html>")
    wait_until(lambda: "HTTP 404" in worker.ready_text(), 30, "HTTP 404")
    registry.faults[f"GET /schemas/ids/{new}"] = (302, b"")
    wait_until(lambda: "redirects are not followed" in worker.ready_text(), 40, "HTTP 302")
    registry.faults.clear()
    mended(t, worker, blocked)


@limit(150)
def test_registry_drips(t):
    t.make_topics(commands=2)
    registry, worker = begin(t)

    def trouble(r, new):
        r.faults[f"GET /schemas/ids/{new}"] = drip

    _, _, blocked = waits(t, worker, registry, trouble, "no whole answer in time")
    registry.faults.clear()
    mended(t, worker, blocked)


@limit(120)
def test_registry_down_at_start(t):
    registry = Fake()
    t.install(t.fixture())
    worker = t.worker(config={URL: registry.url}, ready=False)
    records = t.topics.publish(command("Probe"))
    wait_until(lambda: "our schemas are not registered yet: schema registry" in worker.ready_text(),
               20, "/readyz says why")
    assert worker.ready_status() == 503
    registry, _ = registry.start(), t.at_end(registry.stop)
    avro.use_registry(registry)
    worker.wait_ready(40)
    t.topics.wait(records)
    t.verify()
    frames = {m.value()[:1] for m in t.topics._read(("plugin-events",), "read_committed")}
    assert frames == {b"\x00"}, "a plugin that starts is told of in the same framing"


@limit(60)
def test_refused_at_start(t):
    for status, code, text in ((409, 78, "incompatible"), (401, 77, "HTTP 401")):
        registry = Fake()
        t.at_end(registry.stop)
        subject = f"{t.topics.prefix}lease-results-value"
        registry.start().faults[f"POST /subjects/{subject}/versions"] = (
            status, {"error_code": status, "message": "said so"})
        worker = t.worker(f"w{status}", config={URL: registry.url}, ready=False)
        assert worker.wait(30) == code, worker.stderr()[-500:]
        assert f"subject '{subject}'" in worker.stderr() and text in worker.stderr()


@limit(90)
def test_credentials_are_sent_and_shown_nowhere(t):
    registry = Fake()
    t.at_end(registry.stop)
    url = registry.url.replace("://", "://alice:s%65cret-word@")
    registry.start().faults["POST"] = (503, {"error_code": 503, "message": "later"})
    t.install(t.fixture())
    worker = t.worker(config={URL: url}, ready=False)
    wait_until(lambda: "HTTP 503" in worker.ready_text(), 20, "HTTP 503")
    registry.faults.clear()
    worker.wait_ready(40)
    sent = {headers.get("Authorization") for _, _, headers in registry.requests}
    assert sent == {"Basic YWxpY2U6c2VjcmV0LXdvcmQ="}, sent
    shown = worker.stderr() + worker.ready_text() + worker.get("/status").body
    shown += t.cli("config", "print", config={URL: url}).stdout
    for word in ("secret-word", "s%65cret", "YWxpY2U6"):
        assert word not in shown, word


@limit(120)
def test_command_line_says_that_the_registry_is_away(t):
    registry, _ = begin(t)
    one(t, put(t, registry.register("c", ours()), command("Probe")))
    registry.stop()
    config = {URL: registry.url}
    said = t.cli("replay", "--json", config=config, timeout=60)
    assert said.returncode == 69 and "schema registry" in said.stderr, said.stderr
    said = t.cli("publish", "probe", "--target", "a:b", config=config, timeout=60)
    assert said.returncode == 69 and "schema registry" in said.stderr, said.stderr
    registry.start()
