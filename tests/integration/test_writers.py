# SPDX-License-Identifier: Apache-2.0
"""Commands by the schemas of other people's tools, as they register them. What Avro's schema
resolution reads is read, in the unit that was written; what it refuses is a dead letter that names
the field. A command that has expired is never run, whatever its clock counts in."""

import copy
import json
import time

from harness import avro
from harness.case import limit
from harness.schema_registry import Fake

COMMAND = "envdriver.EnvironmentCommand"
TIMES = ("issuedAt", "expiresAt")
RUNS, EXPIRES = "SUCCEEDED", "EXPIRED"


def field(schema, name):
    return next(f for f in schema["fields"] if f["name"] == name)


def each(schema, change):
    """`change` gives the new type of each field but the unions of records."""
    for f in schema["fields"]:
        if f["name"] not in ("target", "operation"):
            f["type"] = change(f["name"], f["type"])
            f.pop("default", None)
    return schema


def named(schema, name, namespace=None):
    """Another name for the outermost record; those within keep theirs."""
    schema["name"] = name
    schema.pop("namespace", None)
    if namespace:
        schema["namespace"] = namespace
    return schema


def java(schema):
    def type_of(_, was):
        if was == "string":
            return {"type": "string", "avro.java.string": "String"}
        if isinstance(was, list):
            return [type_of(_, branch) for branch in was]
        return was

    return each(schema, type_of)


def flink(schema):
    """Flink's table writer: every column may be null, the record is called "record"."""
    return named(each(schema, lambda _, was: was if isinstance(was, list) else ["null", was]), "record")


def spark(schema):
    """Spark's to_avro: the null comes last, the record is called "topLevelRecord"."""

    def type_of(_, was):
        kinds = [t for t in was if t != "null"] if isinstance(was, list) else [was]
        return [*kinds, "null"]

    schema["fields"].reverse()
    return named(each(schema, type_of), "topLevelRecord")


def connect(schema):
    """Kafka Connect's AvroConverter: its own name, and properties that nobody else knows."""
    when = {
        "type": "long",
        "connect.version": 1,
        "connect.name": "org.apache.kafka.connect.data.Timestamp",
        "logicalType": "timestamp-millis",
    }
    each(schema, lambda name, was: ["null", when] if name in TIMES else was)
    return named(schema, "ConnectDefault", "io.confluent.connect.avro")


def go(schema):
    """Names that a Go struct's tags may hold; times as plain numbers."""
    each(schema, lambda name, was: ["null", "long"] if name in TIMES else was)
    schema["namespace"] = "com.acme-corp"
    extra = {"name": "x-request-id", "type": "string"}
    schema["fields"].insert(0, extra)
    schema["fields"].insert(1, {"name": "x_request_id", "type": "string"})
    return schema


def node(schema):
    """avsc infers the smallest type of a number and the branches that it has seen."""
    each(schema, lambda name, was: "boolean" if name == "rerunIfInterrupted" else was)
    field(schema, "issuedBy")["type"] = "string"
    field(schema, "config")["type"] = "bytes"
    return schema


def times(logical):
    def change(schema):
        when = {"type": "long", "logicalType": logical}
        return each(schema, lambda name, was: ["null", when] if name in TIMES else was)

    return change


def only_the_unit(schema):
    """Ours to the letter but for the unit, so that both have one fingerprint."""

    def type_of(name, was):
        when = {"type": "long", "logicalType": "timestamp-micros"}
        return (["null", when] if isinstance(was, list) else when) if name in TIMES else was

    return each(schema, type_of)


def double_times(schema):
    return each(schema, lambda name, was: "double" if name == "issuedAt" else was)


def in_union(schema):
    """Several types in one topic (RecordNameStrategy turned inside out)."""
    other = {"type": "record", "name": "Other", "namespace": "acme", "fields": []}
    return [other, schema]


def same(schema):
    return schema


# What is registered, changes to the record, and what comes of it: an outcome or the text of a
# dead letter. `per_ms`: what the times are counted in.
ROWS = [
    ("Java, SpecificRecord", java, {}, RUNS, 1),
    ("Flink, every column nullable", flink, {}, RUNS, 1),
    ("Flink, a null for a default", flink, {"config": None, "rerunIfInterrupted": None}, RUNS, 1),
    ("Flink, a null that is needed", flink, {"companyId": None},
     "companyId: null is written, string is expected", 1),
    ("Spark, null last, fields in another order", spark, {}, RUNS, 1),
    ("Spark, expired", spark, {"expiresAt": -3600_000}, EXPIRES, 1),
    ("Kafka Connect", connect, {}, RUNS, 1),
    ("Kafka Connect, expired", connect, {"expiresAt": -3600_000}, EXPIRES, 1),
    ("Go, dashes in names, plain numbers", go, {"x-request-id": "r", "x_request_id": "s"}, RUNS, 1),
    ("Go, expired", go, {"x-request-id": "r", "x_request_id": "s", "expiresAt": -1000}, EXPIRES, 1),
    ("Node, inferred types", node, {"issuedBy": "me", "config": b"{}"}, RUNS, 1),
    ("Node, a number that became a double", double_times, {},
     "issuedAt: double is written, long is expected", 1),
    ("Python, microseconds", times("timestamp-micros"), {"expiresAt": 3600_000}, RUNS, 1000),
    ("Python, microseconds, expired", times("timestamp-micros"), {"expiresAt": -3600_000},
     EXPIRES, 1000),
    ("ours in microseconds", only_the_unit, {"expiresAt": 3600_000}, RUNS, 1000),
    ("ours in microseconds, expired", only_the_unit, {"expiresAt": -3600_000}, EXPIRES, 1000),
    ("Rust, nanoseconds", times("timestamp-nanos"), {"expiresAt": 3600_000}, RUNS, 1000_000),
    ("Rust, nanoseconds, expired", times("timestamp-nanos"), {"expiresAt": -3600_000}, EXPIRES,
     1000_000),
    ("a time without a zone", times("local-timestamp-micros"), {},
     "issuedAt: local-timestamp-micros is written, timestamp-millis is expected", 1000),
    ("a union at the top", in_union, {}, RUNS, 1),
    ("a union at the top, expired", in_union, {"expiresAt": -3600_000}, EXPIRES, 1),
]


def record(now, number, changes, per_ms):
    ago = changes.get("expiresAt")
    values = {
        "commandId": f"w{number}",
        "issuedAt": now * per_ms,
        "issuedBy": None,
        "companyId": "company-1",
        "environmentId": "e",
        "issueId": None,
        "orderingKey": "",
        "expiresAt": None,
        "rerunIfInterrupted": False,
        "traceparent": None,
        "config": "{}",
        "operation": ("envdriver.Probe", {}),
        "target": (
            "envdriver.PluginDriver",
            {"pluginKey": "fixture.envdriver", "driverKey": "fixture-env", "pluginId": None},
        ),
    }
    values.update(changes)
    if ago is not None:
        values["expiresAt"] = (now + ago) * per_ms
    return values


def publish(t, fake, number, row, now):
    name, change, changes, _, per_ms = row
    schema = change(copy.deepcopy(avro.schema_json("EnvironmentCommand")))
    value = record(now, number, changes, per_ms)
    if isinstance(schema, list):
        value = (COMMAND, value)
    data = avro.id_frame(fake.register(f"writer-{number}", schema)) + avro.datum(schema, value)
    return t.topics.publish_raw(data, b"k")


def check_replay(t, fake, now):
    """The tools read them, too, and tell the time in one unit."""
    done = t.cli("replay", "--topics", "commands", config={"schema.registry.url": fake.url})
    told = {c.get("commandId"): c for c in map(json.loads, done.stdout.splitlines())}
    for n, (name, *_) in enumerate(ROWS):
        assert f"w{n}" in told or "double" in name or "zone" in name or "needed" in name, name
    issued = {avro.time_value(c["issuedAt"]) for c in told.values() if "issuedAt" in c}
    assert issued == {now}, issued


@limit(120)
def test_writers(t):
    fake = Fake()
    t.at_end(fake.stop)
    fake.start()
    avro.use_registry(fake)
    t.install(t.fixture())
    t.worker(config={"schema.registry.url": fake.url})
    now = int(time.time() * 1000)
    records = [publish(t, fake, n, row, now) for n, row in enumerate(ROWS)]
    wrong = []
    for row, event in zip(ROWS, t.topics.wait(records, timeout=60), strict=True):
        got = event.value["message"] if event.name == "DeadLetter" else event.status
        if not got.endswith(row[3]):
            wrong.append(f"{row[0]}: {got}, expected {row[3]}")
    assert not wrong, "\n".join(wrong)
    check_replay(t, fake, now)
